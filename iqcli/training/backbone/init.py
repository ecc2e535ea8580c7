"""The initial weights of a backbone: a public network trained on ImageNet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from iqcli.errors import IqError
from iqcli.extractors.backbone import Backbone, from_convolutions
from iqcli.pipeline.devices import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TIMM = "timm:"


def initial_backbone(name: str, seed: int) -> Backbone:
    """A backbone with the convolutions of `name`; its other layers are drawn with `seed`.

    `name` is a safetensors file with the folded convolutions `conv00.weight`, `conv00.bias`, …, or
    `timm:MODEL`, a MobileNetV2 of timm with pretrained weights. Raises IqError for another shape of
    network, and where the weights cannot be had.
    """
    try:
        found = _of_timm(name) if name.startswith(TIMM) else load_file(Path(name))
        torch.manual_seed(seed)
        return from_convolutions(found)
    except (OSError, SafetensorError) as error:
        raise IqError(f"cannot read the start {name}: {error}; give --start another") from error
    except (KeyError, RuntimeError) as error:
        raise IqError(
            f"{name} is no MobileNetV2 of width 1.0; give one with 52 convolutions"
        ) from error


def _of_timm(name: str) -> dict[str, torch.Tensor]:
    import timm

    try:
        model = timm.create_model(name.removeprefix(TIMM), pretrained=True)
    except Exception as error:  # the hub's client raises many kinds
        raise IqError(
            f"timm cannot give {name.removeprefix(TIMM)}: {one_line(error).rstrip('.')}; "
            "give --start another"
        ) from error
    config: Any = model.pretrained_cfg
    return for_views(folded(model), config["mean"], config["std"])


def folded(model: nn.Module) -> dict[str, torch.Tensor]:
    """The convolutions of a network in its order, each with the batch norm that follows it."""
    found: dict[str, torch.Tensor] = {}
    for k, (convolution, norm) in enumerate(_pairs(model.eval())):
        fused = fuse_conv_bn_eval(convolution, norm)
        found[f"conv{k:02}.weight"] = fused.weight.detach()
        found[f"conv{k:02}.bias"] = cast("torch.Tensor", fused.bias).detach()
    return found


def for_views(
    convolutions: Mapping[str, torch.Tensor], mean: Sequence[float], deviation: Sequence[float]
) -> dict[str, torch.Tensor]:
    """The same network for values in -1..1, as ours takes them.

    `mean` and `deviation` (3,) are those by which it normalises colours of 0..1.
    """
    weight, spread = convolutions["conv00.weight"], torch.tensor(deviation)
    moved = weight * ((0.5 - torch.tensor(mean)) / spread)[:, None, None]
    return {
        **convolutions,
        "conv00.weight": weight * (0.5 / spread)[:, None, None],
        "conv00.bias": convolutions["conv00.bias"] + moved.sum(dim=(1, 2, 3)),
    }


def _pairs(model: nn.Module) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    waiting: nn.Conv2d | None = None
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            waiting = module
        elif isinstance(module, nn.BatchNorm2d) and waiting is not None:
            yield waiting, module
            waiting = None
