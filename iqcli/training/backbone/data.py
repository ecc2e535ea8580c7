"""The batches of a backbone: photos with their opinions, and ladders of distorted copies.

A batch is a function of the seed and the step alone, so that a resumed run is the same as one that
was never stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from torch.utils.data import Dataset

from iqcli.distortions.bank import DISTORTIONS, LEVELS
from iqcli.errors import IqError, PhotoError
from iqcli.extractors.mini_crops import GRID, mosaic, whole
from iqcli.photos.read import read_photo
from iqcli.pipeline.spec import reason
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from iqcli.records import Array, Pixels

    Random = np.random.Generator

NAMES = tuple(DISTORTIONS)
MAX_MEGAPIXELS = 100.0
# Up to this part of each side is cut off the whole, so that no picture looks the same twice.
CUT = 0.15


@dataclass(frozen=True)
class Batch:
    """Views (n, kind, side, side, 3) of uint8: photos, then ladders level by level.

    `opinions` (photos,) in 1..10; `levels` (ladders, levels) in 0..5; `costs` (ladders,) in points
    a level.
    """

    views: Pixels
    opinions: Array
    levels: Array
    costs: Array


@dataclass(frozen=True)
class BackboneBatches(Dataset[Batch]):
    """The batch of every step.

    `photos` have the opinions `opinions` (n,). Ladders are made of one of `pristine` or of `liked`,
    in turn, where both are given.
    """

    photos: Sequence[Path]
    opinions: Array
    liked: Sequence[Path]
    pristine: Sequence[Path]
    seed: int
    size: int
    ladders: int
    levels: int

    def __getitem__(self, step: int) -> Batch:
        """The batch of a step, which may be any number from 0 on."""
        random = np.random.default_rng([self.seed, step])
        rows = shuffled_rows(len(self.photos), self.size, self.seed, step)
        views = [
            _views(head_of(self.photos[row]), _places(random), random) for row in rows.tolist()
        ]
        levels = np.zeros((self.ladders, self.levels), np.float32)
        costs = np.zeros(self.ladders, np.float32)
        for k in range(self.ladders):
            name = NAMES[random.integers(len(NAMES))]
            levels[k], costs[k] = _levels(self.levels, random), DISTORTIONS[name].cost
            views += self._ladder(name, levels[k], k, random)
        return Batch(np.stack(views), self.opinions[rows], levels, costs)

    def _ladder(self, name: str, levels: Array, k: int, random: Random) -> list[Pixels]:
        bases = [group for group in (self.pristine, self.liked) if group]
        group = bases[k % len(bases)]
        head = head_of(group[int(random.integers(len(group)))])
        places, seed = _places(random), int(random.integers(2**31))
        flip = int(random.integers(2**31))
        distort = DISTORTIONS[name]
        return [
            _views(distort(head, float(level), seed), places, np.random.default_rng(flip))
            for level in levels
        ]


@dataclass(frozen=True)
class SafeDataset(Dataset[Batch | IqError]):
    """The batches, errors as values: raised in a loader's process they end in its traceback."""

    batches: BackboneBatches

    def __getitem__(self, step: int) -> Batch | IqError:
        """The batch of a step, or why there is none."""
        try:
            return self.batches[step]
        except IqError as error:
            return error


def shuffled_rows(count: int, size: int, seed: int, step: int) -> NDArray[np.int64]:
    """The `size` rows of a step; each of `count` rows comes once before any comes twice."""
    rounds, places = np.divmod(np.arange(step * size, (step + 1) * size), count)
    orders = {
        each: np.random.default_rng([seed, 1, each]).permutation(count)
        for each in np.unique(rounds)
    }
    found = [orders[each][place] for each, place in zip(rounds, places, strict=True)]
    return np.array(found, np.int64)


def _levels(count: int, random: Random) -> Array:
    """Rising levels, one in each equal part of 0..5; the first is often the photo as it is."""
    levels = (np.arange(count) + random.random(count)) * LEVELS / count
    if random.random() < 0.6:
        levels[0] = 0
    return levels.astype(np.float32)


def _places(random: Random) -> Array:
    return random.random((GRID, GRID, 2), np.float32)


def _views(head: Pixels, places: Array, random: Random) -> Pixels:
    """Both kinds of view (kind, side, side, 3), mirrored half the time; the whole is nearly so."""
    height, width = head.shape[:2]
    tall, wide = (round(side * (1 - CUT * random.random())) for side in (height, width))
    top, left = random.integers(0, height - tall + 1), random.integers(0, width - wide + 1)
    most = head[top : top + tall, left : left + wide]
    views = np.stack([whole(most), mosaic(head, places)])
    return views[:, :, ::-1] if random.random() < 0.5 else views


@lru_cache(maxsize=160)
def head_of(path: Path) -> Pixels:
    """The scoring view of a photo file; the last ones are cached. Raises IqError."""
    try:
        return read_photo(path.read_bytes(), max_megapixels=MAX_MEGAPIXELS)[1].scoring
    except (OSError, PhotoError) as error:
        raise IqError(f"{display_path(path)}: {reason(error)}; mend it, or leave it out") from error
