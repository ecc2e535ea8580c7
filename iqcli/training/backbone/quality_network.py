"""The network behind the block `mini` as it is trained: EfficientNet-Lite0, read at all depths.

Liu, Tan 2020: inverted residuals, ReLU6, no squeeze-and-excite. Batch norm is a fixed gain a
channel: in training the gain is kept apart from the weights, so that the steps of the optimiser
keep the proportions of the public network; for use it is folded into them (see `fold`).

Its inputs are whole numbers of at most 8 bits, so that bfloat16 holds them exactly, and the mean
that is taken off is one as well.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from iqcli.extractors.backbone import Trunk, padded_for_stride_2
from iqcli.extractors.mini_weights import TAPS
from iqcli.extractors.schema import EMBEDDING, KINDS
from iqcli.training.backbone.depthwise import depthwise


class Convolution(nn.Module):
    """A convolution with a fixed gain and a bias a channel, padded as TensorFlow does ("same")."""

    gain: torch.Tensor

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
    ):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, inputs // groups, kernel, kernel))
        self.factor = nn.Parameter(torch.ones(outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("gain", torch.ones(outputs))
        self.kernel, self.stride, self.groups = kernel, stride, groups

    def folded(self) -> torch.Tensor:
        """The weights with the gain in them."""
        return self.weight * (self.factor * self.gain)[:, None, None, None]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, inputs, h, w) to (b, outputs, h / stride, w / stride)."""
        if self.kernel == 1:
            return functional.conv2d(x, self.folded(), self.bias)
        pad = self.kernel // 2
        if self.stride == 2:
            x, pad = padded_for_stride_2(x, self.kernel), 0
        if self.groups > 1:
            return depthwise(x, self.folded(), self.bias, self.stride, pad)
        return functional.conv2d(x, self.folded(), self.bias, self.stride, pad)


class QualityNetwork(nn.Module):
    """Both views of pictures to scores: a trunk, and a head that reads each view and both.

    It gives logits (b, 3), of both together, of the whole and of the mosaic, and (b,) logarithms of
    the deviations that it expects of itself, in points, from which the trunk learns nothing.
    """

    whole_mean: torch.Tensor
    whole_deviation: torch.Tensor
    parts_mean: torch.Tensor
    parts_deviation: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk(Convolution)
        for name, taps in zip(KINDS, TAPS, strict=True):
            self.register_buffer(f"{name}_mean", torch.zeros(taps))
            self.register_buffer(f"{name}_deviation", torch.ones(taps))
        self.embed = nn.ModuleList(nn.Linear(taps, EMBEDDING) for taps in TAPS)
        self.score = nn.ModuleList(nn.Linear(EMBEDDING, 1) for _ in range(2))
        last = nn.Linear(64, 1)
        self.both = nn.Sequential(nn.Linear(2 * EMBEDDING, 64), nn.ReLU(), last)
        self.doubt = nn.Sequential(nn.Linear(2 * EMBEDDING, 32), nn.ReLU(), nn.Linear(32, 1))
        self.dropout = nn.Dropout(0.1)
        nn.init.zeros_(last.weight)

    def convolutions(self) -> list[Convolution]:
        """All convolutions in the order of the network."""
        return [module for module in self.trunk.modules() if isinstance(module, Convolution)]

    def forward(
        self, views: torch.Tensor, long_start: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(b, 2, side, side, 3) of uint8 to logits (b, 3) and log deviations (b,)."""
        return self.read(*self.trunk.taps(views, long_start=long_start))

    def read(self, whole: torch.Tensor, parts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(b, TAPS) raw statistics of both views to logits and log deviations, in float32."""
        with torch.autocast(whole.device.type, enabled=False):
            seen = [
                self._embedding(0, (whole - self.whole_mean) / self.whole_deviation),
                self._embedding(1, (parts - self.parts_mean) / self.parts_deviation),
            ]
            single = [
                score(self.dropout(each)) for score, each in zip(self.score, seen, strict=True)
            ]
            all_seen = torch.cat(seen, dim=1)
            both = (single[0] + single[1]) / 2 + self.both(self.dropout(all_seen))
            doubt = self.doubt(all_seen.detach())[:, 0].clamp(-2, 2)
            return torch.cat([both, *single], dim=1), doubt

    def _embedding(self, k: int, taps: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.embed[k](self.dropout(taps.clamp(-8, 8))))

    @torch.no_grad()
    def scale_taps(self, taps: tuple[torch.Tensor, torch.Tensor]) -> None:
        """Take over mean and deviation of the (n, TAPS) of many pictures."""
        for name, values in zip(KINDS, taps, strict=True):
            getattr(self, f"{name}_mean").copy_(values.mean(dim=0))
            getattr(self, f"{name}_deviation").copy_(values.std(dim=0).clamp(min=0.02))


def points(logits: torch.Tensor) -> torch.Tensor:
    """Logits to scores 1..10."""
    return 1 + 9 * torch.sigmoid(logits)
