"""A depthwise convolution whose gradient is quick on a CPU.

In bfloat16 torch's own takes many times as long as the convolution for strides of two and for
kernels of 5 by 5: the network would spend two thirds of its training there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

_BACKWARD = torch.ops.aten.convolution_backward


def depthwise(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, stride: int, pad: int
) -> torch.Tensor:
    """(b, c, h, w) with a kernel (c, 1, k, k) a channel, and `pad` zeros about each side."""
    kind = x.device.type
    if torch.is_autocast_enabled(kind):
        short = torch.get_autocast_dtype(kind)
        x, weight, bias = x.to(short), weight.to(short), bias.to(short)
    if kind != "cpu" or not torch.is_grad_enabled():
        return functional.conv2d(x, weight, bias, stride, pad, groups=weight.shape[0])
    with torch.autocast(kind, enabled=False):
        out: torch.Tensor = _Depthwise.apply(x, weight, bias, stride, pad)
    return out


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, stride: int, pad: int
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.pad = stride, pad
        return functional.conv2d(x, weight, bias, stride, pad, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor) -> Any:
        x, weight = ctx.saved_tensors
        inputs = None
        if ctx.needs_input_grad[0]:
            inputs = _input_gradient(x, weight, slope, ctx.stride, ctx.pad)
        kernels = _kernel_gradient(x, weight, slope, ctx.stride, ctx.pad)
        return inputs, kernels, slope.sum(dim=(0, 2, 3)), None, None


def _input_gradient(
    x: torch.Tensor, weight: torch.Tensor, slope: torch.Tensor, stride: int, pad: int
) -> torch.Tensor:
    """For a stride of two: the slopes, zeros between them, by the kernel turned about."""
    if stride == 1:
        return _gradient(x, weight, slope, stride, pad, inputs=True)
    assert pad == 0
    height, width = (2 * side - 1 for side in slope.shape[2:])
    apart = torch.empty(
        (*slope.shape[:2], height, width), dtype=slope.dtype, memory_format=torch.channels_last
    ).zero_()
    apart[..., ::2, ::2] = slope
    turned = weight.flip(2, 3)
    return functional.conv2d(apart, turned, None, 1, weight.shape[-1] - 1, groups=len(weight))


def _kernel_gradient(
    x: torch.Tensor, weight: torch.Tensor, slope: torch.Tensor, stride: int, pad: int
) -> torch.Tensor:
    """A kernel of 5 by 5 in four parts of 3 by 3, which overlap in the middle."""
    if weight.shape[-1] != 5:
        return _gradient(x, weight, slope, stride, pad, inputs=False)
    if pad:
        x = functional.pad(x, (pad, pad, pad, pad))
    found = torch.empty_like(weight)
    part = weight[..., :3, :3].contiguous()
    height, width = ((side - 1) * stride + 3 for side in slope.shape[2:])
    for top in (0, 2):
        for left in (0, 2):
            seen = x[..., top : top + height, left : left + width]
            found[..., top : top + 3, left : left + 3] = _gradient(
                seen.contiguous(memory_format=torch.channels_last),
                part,
                slope,
                stride,
                0,
                inputs=False,
            )
    return found


def _gradient(
    x: torch.Tensor,
    weight: torch.Tensor,
    slope: torch.Tensor,
    stride: int,
    pad: int,
    *,
    inputs: bool,
) -> torch.Tensor:
    found: torch.Tensor = _BACKWARD(
        slope,
        x,
        weight,
        None,
        [stride, stride],
        [pad, pad],
        [1, 1],
        False,
        [0, 0],
        len(weight),
        [inputs, not inputs, False],
    )[0 if inputs else 1]
    return found
