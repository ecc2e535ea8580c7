"""The fusion network in torch, for training; inference needs `iqcli.models.fusion` alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from iqcli.models.fusion import BRANCH, TRUNK

if TYPE_CHECKING:
    from collections.abc import Mapping

DROPOUT = 0.3


class Network(nn.Module):
    """One member; layer names are those of the file (see `iqcli.models.fusion`)."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self.blocks = list(sizes)
        self.layers = nn.ModuleDict()
        for block, size in sizes.items():
            self._add(BRANCH[0].format(block=block), size + 1, 64)
            self._add(BRANCH[1].format(block=block), 64, 64)
        for name, (rows, columns) in zip(
            TRUNK, ((64 * len(sizes), 256), (256, 128), (128, 2)), strict=True
        ):
            self._add(name, rows, columns)
        self.dropout = nn.Dropout(DROPOUT)

    def _add(self, name: str, inputs: int, outputs: int) -> None:
        layer = nn.Linear(inputs, outputs)
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
        self.layers[name.replace(".", "/")] = layer

    def _layer(self, name: str, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layers[name.replace(".", "/")](x)
        return out

    def forward(self, inputs: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """[(b, size + 1)] by block to scores (b,) in 1..10 and log deviations (b,)."""
        return self.told(self.joined(inputs))

    def joined(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        """The last hidden layer, (b, 128)."""
        branches = []
        for block, x in zip(self.blocks, inputs, strict=True):
            for name in BRANCH:
                x = self.dropout(torch.relu(self._layer(name.format(block=block), x)))
            branches.append(x)
        z = torch.cat(branches, dim=1)
        for name in TRUNK[:-1]:
            z = self.dropout(torch.relu(self._layer(name, z)))
        return z

    def told(self, joined: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores and log deviations from the last hidden layer."""
        out = self._layer(TRUNK[-1], joined)
        return 1 + 9 * torch.sigmoid(out[:, 0]), out[:, 1]

    def set_doubt(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        """Give the second output these weights (128,) and bias."""
        last = self.layers[TRUNK[-1].replace(".", "/")]
        assert isinstance(last, nn.Linear)
        last.weight[1], last.bias[1] = weight, bias
