"""The network behind the block `mini`: MobileNetV2 without batch norm, read at four depths.

Shape of Sandler et al. 2018 (width 1.0), batch norm folded into the convolutions. Quality is in the
small as well as in the whole, so not only the last layer is read: mean and deviation of the maps at
strides 4, 8 and 16 and the mean of the last one are standardised and joined, and a linear layer a
kind of view makes the embedding of it.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn
from torch.nn import functional

from iqcli.extractors.mini_weights import LAST, STAGES, STEM, TAPPED, TAPS
from iqcli.extractors.schema import EMBEDDING, KINDS


class InvertedResidual(nn.Module):
    """An inverted residual: widen, filter each channel, narrow."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.widen = nn.Conv2d(inputs, wide, 1) if expansion > 1 else None
        self.filter = nn.Conv2d(wide, wide, 3, stride, groups=wide)
        self.narrow = nn.Conv2d(wide, outputs, 1)
        self.stride = stride
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, inputs, h, w) to (b, outputs, h / stride, w / stride)."""
        y = x if self.widen is None else functional.relu6(self.widen(x))
        y = functional.relu6(self._filtered(y))
        y = cast("torch.Tensor", self.narrow(y))
        return x + y if self.residual else y

    def _filtered(self, y: torch.Tensor) -> torch.Tensor:
        if self.stride == 1:
            return functional.conv2d(
                y, self.filter.weight, self.filter.bias, padding=1, groups=self.filter.groups
            )
        return cast("torch.Tensor", self.filter(_framed(y)))


class Backbone(nn.Module):
    """Views to embeddings and to scores; `KINDS` have an embedding and a score of their own."""

    tap_mean: torch.Tensor
    tap_deviation: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, STEM, 3, 2)
        self.stages = nn.ModuleList()
        channels = STEM
        for expansion, outputs, repeats, stride in STAGES:
            blocks = []
            for k in range(repeats):
                step = stride if k == 0 else 1
                blocks.append(InvertedResidual(channels, outputs, expansion, step))
                channels = outputs
            self.stages.append(nn.Sequential(*blocks))
        self.last = nn.Conv2d(channels, LAST, 1)
        self.register_buffer("tap_mean", torch.zeros(TAPS))
        self.register_buffer("tap_deviation", torch.ones(TAPS))
        self.embed = nn.ModuleDict({kind: nn.Linear(TAPS, EMBEDDING) for kind in KINDS})
        self.score = nn.ModuleDict({kind: nn.Linear(EMBEDDING, 1) for kind in KINDS})

    def taps(self, views: torch.Tensor) -> torch.Tensor:
        """(b, side, side, 3) of uint8 to (b, TAPS) raw statistics of the maps."""
        x = views.permute(0, 3, 1, 2).to(self.stem.weight.dtype) / 127.5 - 1
        # Faint noise lives in the last bits of the first maps (see `mini_cpu`).
        with torch.autocast(x.device.type, enabled=False):
            x = self.stages[0](functional.relu6(self.stem(_framed(x))))
        found = []
        for k, stage in enumerate(self.stages[1:], 1):
            x = stage(x)
            if k in TAPPED:
                deviation, mean = torch.std_mean(x.float(), dim=(2, 3), correction=0)
                found += [mean, deviation]
        found.append(functional.relu6(self.last(x)).float().mean(dim=(2, 3)))
        return torch.cat(found, dim=1)

    def forward(self, views: torch.Tensor, kind: str) -> tuple[torch.Tensor, torch.Tensor]:
        """(b, side, side, 3) views of one kind to embeddings (b, EMBEDDING) and logits (b,)."""
        return self.read(self.taps(views), kind)

    def read(self, taps: torch.Tensor, kind: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings in -1..1 and logits of the score from the raw taps."""
        with torch.autocast(taps.device.type, enabled=False):
            joined = ((taps - self.tap_mean) / self.tap_deviation).clamp(-8, 8)
            embedding = torch.tanh(self.embed[kind](joined))
            return embedding, self.score[kind](embedding)[:, 0]


def _framed(x: torch.Tensor) -> torch.Tensor:
    """What a stride of two needs about it: a pixel at the end, at both ends of an odd side."""
    height, width = x.shape[2:]
    return functional.pad(x, (width % 2, 1, height % 2, 1))
