"""MUSIQ's head: one score, or shares of the ten marks of AVA, from the class token.

Ke et al., "MUSIQ: Multi-scale Image Quality Transformer", ICCV 2021,
https://arxiv.org/abs/2108.05997.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iqcli.extractors.musiq import SIZE
from iqcli.extractors.musiq_weights import HEAD, invalid_file, read_tensors
from iqcli.models.base import Method

if TYPE_CHECKING:
    from iqcli.models.base import Blocks, Source
    from iqcli.records import Array

MARKS = 10


@dataclass(frozen=True)
class Head:
    """The last layer: `weight` (1 or 10, 384) and `bias` (1 or 10,) over the block `reads`."""

    reads: str
    weight: Array
    bias: Array

    def __call__(self, blocks: Blocks) -> Array:
        """(n, 384) class tokens to (n,) qualities 0..1: of 0..100, or of AVA's 1..10."""
        values = blocks[self.reads] @ self.weight.T + self.bias
        if len(self.bias) == 1:
            return np.clip(values[:, 0] / 100, 0, 1)
        shares = np.exp(values - values.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        return np.asarray(shares @ np.linspace(0, 1, MARKS, dtype=np.float32), np.float32)


def predictor(source: Source) -> Method:
    """The model of an entry whose one need is its block too. Raises IqError for foreign weights."""
    (name,) = source.entry.needs
    found = read_tensors(source.weights, name, head=True)
    weight, bias = (found.get(f"{HEAD}{part}") for part in ("weight", "bias"))
    if (
        weight is None
        or bias is None
        or bias.shape not in ((1,), (MARKS,))
        or weight.shape != (len(bias), SIZE)
    ):
        raise invalid_file(source.weights.path_of(name))
    part = "aesthetic" if len(bias) == MARKS else "technical"
    return Method(quality=Head(name, weight, bias), reads=(name,), part=part)
