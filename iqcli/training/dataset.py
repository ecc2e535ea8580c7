"""What a fusion head is trained on: scales of the features, folds, hold-out, ladders."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from iqcli.errors import IqError
from iqcli.extractors.schema import LOGITS
from iqcli.models.fusion import KNOTS, mean_logits, normal_scores

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from iqcli.evaluation.labels_csv import LabelledPhotos
    from iqcli.evaluation.mos_csv import Opinions
    from iqcli.records import Array, Flags, Photo, Shot


SEED = 2021
# Photos of more pixels are refused in every training.
MAX_MEGAPIXELS = 100.0
MEMBERS = 5
# The fewest photos to fit a head on, and the fewest to hold out.
FEWEST, FEWEST_HOLDOUT = 50, 5
# One in so many distorted copies takes part when the scales of the features are set.
COPY_STRIDE = 8
# One scene in so many is held out, of backbones and of heads.
HOLDOUT_ONE_IN = 6


@dataclass(frozen=True)
class TrainingSet:
    """What to train on; every array's rows are photos.

    `blocks` (n, size) by name, `opinions` (n,) in 1..10 and `scenes` (n,). `ladders` (m,
    distortion, level, size) by name are of some of the photos that are not held out, or of others,
    and `margins` (distortion, level - 1) are the points that each level must lose at least.
    `negatives` (k, size) by name are pictures that nobody keeps; they have the lowest opinion.
    """

    blocks: Mapping[str, Array]
    opinions: Array
    scenes: Sequence[str]
    ladders: Mapping[str, Array]
    margins: Array
    negatives: Mapping[str, Array]

    @property
    def sizes(self) -> dict[str, int]:
        """Block -> length of its vectors."""
        return {name: values.shape[1] for name, values in self.blocks.items()}

    @property
    def logits(self) -> dict[str, tuple[int, ...]]:
        """Block -> places of its logits of a score, of those that have any."""
        return {name: LOGITS[name] for name in self.blocks if name in LOGITS}

    def scale_samples(self, name: str, rows: NDArray[np.bool_]) -> Array:
        """(n, size) vectors of the photos of `rows` and of some distorted copies: the range that
        scales must span."""
        values = self.blocks[name][rows]
        copies = self.ladders[name].reshape(-1, values.shape[1])
        return np.concatenate([values, copies[::COPY_STRIDE]])


@dataclass(frozen=True)
class TrainTensors:
    """A training set as normal scores, a tensor a block; ladders (m, distortion, level, size + 1).

    The last value of a vector is 1 where the block is defined, else 0; after it comes the mean of
    its logits where the block has any.
    """

    inputs: list[torch.Tensor]
    target: torch.Tensor
    margins: torch.Tensor
    ladders: list[torch.Tensor]
    negatives: list[torch.Tensor]

    @classmethod
    def of(cls, data: TrainingSet, knots: Mapping[str, Array]) -> TrainTensors:
        def normal(blocks: Mapping[str, Array]) -> list[torch.Tensor]:
            found = []
            for name, grid in knots.items():
                *shape, size = blocks[name].shape
                vectors = blocks[name].reshape(-1, size)
                flat = normal_scores(vectors, grid)
                if name in data.logits:
                    logit = mean_logits({name: vectors}, {name: data.logits[name]})
                    flat = np.column_stack([flat, logit])
                found.append(torch.from_numpy(flat).reshape(*shape, flat.shape[1]))
            return found

        return cls(
            normal(data.blocks),
            torch.from_numpy(data.opinions.astype(np.float32)),
            torch.from_numpy(data.margins),
            normal(data.ladders),
            normal(data.negatives),
        )


def measured_rows(
    photos: Iterable[Photo], names: Iterable[str]
) -> tuple[list[int], dict[str, Array]]:
    """Rows of the photos that could be measured, and their (n, size) vectors by block."""
    found = [(k, photo.blocks) for k, photo in enumerate(photos) if photo.blocks is not None]
    return [k for k, _ in found], stack_blocks([blocks for _, blocks in found], names)


def stack_blocks(photos: Sequence[Mapping[str, Array]], names: Iterable[str]) -> dict[str, Array]:
    """(n, size) vectors by block of n photos; nothing of none."""
    return {name: np.stack([blocks[name] for blocks in photos]) for name in names if photos}


def split_scenes(scenes: Sequence[str], column: str | None) -> Flags:
    """The mask of the photos that are held out.

    Raises IqError where the other scenes are fewer than `MEMBERS`, or those photos than
    `FEWEST_HOLDOUT`.
    """
    holdout = holdout_mask(scenes)
    if len({scene for scene, out in zip(scenes, holdout, strict=True) if not out}) < MEMBERS:
        raise IqError(f"the column {column!r} names too few scenes; give at least {MEMBERS}")
    if holdout.sum() < FEWEST_HOLDOUT:
        raise IqError("there are too few scenes to hold some out; give more photos")
    return holdout


def quantile_knots(values: Array) -> Array:
    """(n, size) to (size, KNOTS): the values whose normal scores are evenly spaced in -3..3.

    Strictly rising, so that a feature with few distinct values still has one score a value.
    """
    from scipy.special import ndtr

    defined = values[np.isfinite(values).all(axis=1)]
    knots = np.quantile(defined, ndtr(np.linspace(-3, 3, KNOTS)), axis=0).T
    size = np.abs(knots).max(axis=1, keepdims=True)
    # A step no smaller than float32 can tell from nothing.
    scale = np.maximum(np.ptp(knots, axis=1, keepdims=True), np.maximum(2e-3 * size, 1e-3))
    return (knots + scale * 1e-4 * np.arange(KNOTS)).astype(np.float32)


def holdout_mask(scenes: Sequence[str]) -> NDArray[np.bool_]:
    """(n,) photos held out, by the names of their scenes alone: the same for all models."""
    return np.array([zlib.crc32(scene.encode()) % HOLDOUT_ONE_IN == 0 for scene in scenes], bool)


def scenes_of(
    table: Opinions | LabelledPhotos, shots: Sequence[Shot], column: str | None
) -> list[str]:
    """(n,) the scene of each shot of the table by one of its columns, else by its own name.

    Raises IqError where there is no such column.
    """
    return table.column(column) if column else [shot.path.name for shot in shots]


def fold_of_scene(scenes: Sequence[str]) -> NDArray[np.int64]:
    """Fold 0..MEMBERS-1 of each photo; all photos of a scene share one."""
    names, index = np.unique(list(scenes), return_inverse=True)
    order = np.random.default_rng(SEED).permutation(len(names))
    return order[index] % MEMBERS
