"""The network behind the block `mini` in torch: EfficientNet-Lite0 without batch norm.

Liu, Tan 2020: inverted residuals, ReLU6, no squeeze-and-excite, padding as TensorFlow's; batch norm
is folded into the convolutions. Quality is in the small as well as in the whole, so not only the
last layer is read: mean and deviation of the maps of every stage and the mean of the last layer are
standardised and joined, and a linear layer a kind of view makes the embedding of it. A mosaic goes
as far as `MOSAIC_STAGE`.

On a CPU the same network runs without torch, see `iqcli.extractors.mini_cpu`. It is trained with
other convolutions, see `iqcli.training.backbone.quality_network`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.nn import functional

from iqcli.extractors.mini_weights import (
    CENTRE,
    FAINTEST,
    LAST,
    MOSAIC_STAGE,
    SCALE,
    STAGES,
    STEM,
    TAPS,
)
from iqcli.extractors.schema import EMBEDDING, KINDS

if TYPE_CHECKING:
    from collections.abc import Callable

    # Of (inputs, outputs, kernel, stride, groups), the last three 1 unless given.
    MakeConvolution = Callable[..., nn.Module]


class PaddedConvolution(nn.Conv2d):
    """A convolution that pads as TensorFlow does ("same")."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        pad = kernel // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, pad, groups=groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, inputs, h, w) to (b, outputs, h / stride, w / stride)."""
        if self.stride == (2, 2):
            x = padded_for_stride_2(x, self.kernel_size[0])
        return super().forward(x)


def padded_for_stride_2(x: torch.Tensor, kernel: int) -> torch.Tensor:
    """(b, c, h, w) with the zeros about it that TensorFlow adds for a stride of two."""
    # Even sides need less, and more of it at their ends.
    height, width = (kernel - 2 + side % 2 for side in x.shape[2:])
    return functional.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))


class InvertedResidual(nn.Module):
    """Widen, filter each channel, narrow."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int,
        expansion: int,
        convolution: MakeConvolution,
    ) -> None:
        super().__init__()
        wide = inputs * expansion
        self.widen = convolution(inputs, wide) if expansion > 1 else None
        self.filter = convolution(wide, wide, kernel, stride, wide)
        self.narrow = convolution(wide, outputs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, inputs, h, w) to (b, outputs, h / stride, w / stride)."""
        y = x if self.widen is None else functional.relu6(self.widen(x), inplace=True)
        y = cast("torch.Tensor", self.narrow(functional.relu6(self.filter(y), inplace=True)))
        return x + y if self.residual else y


class Trunk(nn.Module):
    """Pairs of views to the statistics of their maps, by convolutions of any kind."""

    def __init__(self, convolution: MakeConvolution = PaddedConvolution) -> None:
        super().__init__()
        self.stem = convolution(3, STEM, 3, 2)
        self.stages = nn.ModuleList()
        channels = STEM
        for kernel, stride, expansion, outputs, repeats in STAGES:
            blocks = []
            for k in range(repeats):
                step = stride if k == 0 else 1
                blocks.append(
                    InvertedResidual(channels, outputs, kernel, step, expansion, convolution)
                )
                channels = outputs
            self.stages.append(nn.Sequential(*blocks))
        self.last = convolution(channels, LAST)

    def taps(
        self, pairs: torch.Tensor, *, long_start: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(n, 2, side, side, 3) of uint8 to statistics (n, TAPS) of the whole and of the mosaic.

        `long_start` keeps the first maps in float32: faint noise lives in their last bits, and
        bfloat16 in them moves scores by up to a quarter of a point.
        """
        count = len(pairs)
        x = torch.cat([pairs[:, 0], pairs[:, 1]]).permute(0, 3, 1, 2).float()
        x = (x - CENTRE) / SCALE
        kind = x.device.type
        with torch.autocast(kind, enabled=torch.is_autocast_enabled(kind) and not long_start):
            x = self.stages[0](functional.relu6(self.stem(x), inplace=True))
        whole, parts = [], []
        for k in range(len(self.stages)):
            x = self.stages[k](x) if k else x
            found = _statistics(x)
            whole.append(found[:count])
            if k <= MOSAIC_STAGE:
                parts.append(found[count:])
            if k == MOSAIC_STAGE:
                x = x[:count]
        whole.append(functional.relu6(self.last(x)).float().mean(dim=(2, 3)))
        return torch.cat(whole, dim=1), torch.cat(parts, dim=1)


def _statistics(maps: torch.Tensor) -> torch.Tensor:
    """(b, c, h, w) to (b, 2 c): means and deviations, in float32."""
    variance, mean = torch.var_mean(maps.float(), dim=(2, 3), correction=0)
    return torch.cat([mean, (variance + FAINTEST).sqrt()], dim=1)


class Backbone(Trunk):
    """Pairs of views to embeddings and logits of the score; its tensors are those of the file."""

    def __init__(self) -> None:
        super().__init__()
        for kind, taps in zip(KINDS, TAPS, strict=True):
            self.register_buffer(f"{kind}_mean", torch.zeros(taps))
            self.register_buffer(f"{kind}_deviation", torch.ones(taps))
        self.embed = nn.ModuleList(nn.Linear(taps, EMBEDDING) for taps in TAPS)
        self.score = nn.ModuleList(nn.Linear(EMBEDDING, 1) for _ in TAPS)

    def forward(self, pairs: torch.Tensor) -> torch.Tensor:
        """(n, 2, side, side, 3) of uint8 to (n, SIZE): of each kind the embedding, the logit."""
        found = []
        for k, (kind, taps) in enumerate(zip(KINDS, self.taps(pairs), strict=True)):
            mean, deviation = (getattr(self, f"{kind}_{each}") for each in ("mean", "deviation"))
            with torch.autocast(taps.device.type, enabled=False):
                joined = ((taps - mean) / deviation).clamp(-8, 8)
                embedding = torch.tanh(self.embed[k](joined))
                found += [embedding, self.score[k](embedding)]
        return torch.cat(found, dim=1)
