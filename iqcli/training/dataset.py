"""What the fusion network learns from, laid out: scales of the features, folds, ladders."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from iqcli.models.fusion import KNOTS, normal_scores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from iqcli.records import Array


SEED = 2021
MEMBERS = 5
# One in so many spoilt copies takes part when the scales of the features are laid out.
COPY_STRIDE = 8
# One scene in so many teaches nothing: neither a backbone nor a head.
HOLDOUT_ONE_IN = 6


@dataclass(frozen=True)
class TrainingSet:
    """What to learn from; every array's rows are photos.

    `blocks` (n, size) by name, `opinions` (n,) in 1..10 and `scenes` (n,). `ladders` (m,
    distortion, rung, size) by name stand on some of the photos that are not held out, or on others,
    and `margins` (distortion, rung - 1) are the points that each rung must lose at least.
    `worthless` (k, size) by name are pictures that nobody keeps; they have the worst opinion for
    every member.
    """

    blocks: Mapping[str, Array]
    opinions: Array
    scenes: Sequence[str]
    ladders: Mapping[str, Array]
    margins: Array
    worthless: Mapping[str, Array]

    def seen(self, name: str, rows: NDArray[np.bool_]) -> Array:
        """(n, size) vectors of photos (those of `rows`) and some spoilt copies: the range that
        scales must span."""
        values = self.blocks[name][rows]
        copies = self.ladders[name].reshape(-1, values.shape[1])
        return np.concatenate([values, copies[::COPY_STRIDE]])


def quantile_knots(values: Array) -> Array:
    """(n, size) to (size, KNOTS): the values whose normal scores are evenly spaced in -3..3.

    Strictly rising, so that a feature with few distinct values still has one score a value.
    """
    from scipy.stats import norm

    defined = values[np.isfinite(values).all(axis=1)]
    knots = np.quantile(defined, norm.cdf(np.linspace(-3, 3, KNOTS)), axis=0).T
    size = np.abs(knots).max(axis=1, keepdims=True)
    # A step no smaller than float32 can tell from nothing.
    scale = np.maximum(np.ptp(knots, axis=1, keepdims=True), np.maximum(2e-3 * size, 1e-3))
    return (knots + scale * 1e-4 * np.arange(KNOTS)).astype(np.float32)


def holdout_mask(scenes: Sequence[str]) -> NDArray[np.bool_]:
    """Which photos only measure, by the names of their scenes alone: the same for every model."""
    return np.array([zlib.crc32(scene.encode()) % HOLDOUT_ONE_IN == 0 for scene in scenes], bool)


def fold_of_scene(scenes: Sequence[str]) -> NDArray[np.int64]:
    """Fold 0..MEMBERS-1 of each photo; all photos of a scene share one."""
    names, index = np.unique(list(scenes), return_inverse=True)
    order = np.random.default_rng(SEED).permutation(len(names))
    return order[index] % MEMBERS


@dataclass(frozen=True)
class TrainTensors:
    """The lessons as normal scores, a tensor a block; ladders (m, distortion, rung, size + 1)."""

    inputs: list[torch.Tensor]
    target: torch.Tensor
    margins: torch.Tensor
    ladders: list[torch.Tensor]
    worthless: list[torch.Tensor]

    @classmethod
    def of(cls, lessons: TrainingSet, knots: Mapping[str, Array]) -> TrainTensors:
        def normal(blocks: Mapping[str, Array]) -> list[torch.Tensor]:
            found = []
            for name, grid in knots.items():
                *shape, size = blocks[name].shape
                flat = normal_scores(blocks[name].reshape(-1, size), grid)
                found.append(torch.from_numpy(flat).reshape(*shape, size + 1))
            return found

        return cls(
            normal(lessons.blocks),
            torch.from_numpy(lessons.opinions.astype(np.float32)),
            torch.from_numpy(lessons.margins),
            normal(lessons.ladders),
            normal(lessons.worthless),
        )
