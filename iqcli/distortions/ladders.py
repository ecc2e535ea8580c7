"""Ladders: a good photo and its distorted copies, each level worse than the one before.

Opinions alone teach a network what its data set holds. BIQ2021 has no white noise and little
over-exposure, so a network that knows nothing else takes noise for detail. No opinion of a
distorted copy is known, but its order is: the copy is worse than the photo.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from iqcli.distortions.bank import DISTORTIONS
from iqcli.distortions.readers import ScoringViewCache, ScoringViewReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from iqcli.extractors.base import AnyBlock
    from iqcli.photos.read import PhotoReader
    from iqcli.records import Array, Photo, Pixels, Shot, Vector


NAMES = tuple(DISTORTIONS)
# The levels that a network learns from; the first is the photo as it is.
LADDER_LEVELS = (0, 1, 3, 5)
# Short sides of pictures that show hardly anything, in pixels.
TINY = (16, 24, 32, 40)
# Photos whose scoring views are held at once, a megabyte each.
CHUNK = 64


class Measure(Protocol):
    """Measures shots, as they are or distorted: `cli.session.Session.measure`."""

    def __call__(
        self,
        blocks: Sequence[AnyBlock],
        shots: Sequence[Shot],
        distorted: PhotoReader | None = None,
        /,
    ) -> Iterable[Photo]:
        """Every shot with these blocks, or with the reason for none, in the order given."""
        ...


def measure_ladders(
    shots: Sequence[Shot], blocks: Sequence[AnyBlock], measure: Measure
) -> dict[str, Array]:
    """The blocks of every copy, by name: (shot, distortion, level, size).

    A photo that cannot be read, or one of whose copies could not be measured, has no ladder.
    """
    starts = range(0, max(len(shots), 1), CHUNK)
    parts = [_measure_chunk(shots[k : k + CHUNK], blocks, measure) for k in starts]
    return {block.name: np.concatenate([each[block.name] for each in parts]) for block in blocks}


def _measure_chunk(
    shots: Sequence[Shot], blocks: Sequence[AnyBlock], measure: Measure
) -> dict[str, Array]:
    views = ScoringViewCache()
    untouched = list(measure(blocks, shots, ScoringViewReader(NAMES[0], 0, views)))
    readable = [each.shot for each in untouched if each.blocks]
    first = [each.blocks for each in untouched if each.blocks]
    levels: list[list[Mapping[str, Vector] | None]] = []
    for name in NAMES if readable else ():
        levels.append([*first])
        for level in LADDER_LEVELS[1:]:
            copies = measure(blocks, readable, ScoringViewReader(name, level, views))
            levels.append([each.blocks for each in copies])
    ladders = [copies for copies in zip(*levels, strict=True) if all(copies)]
    shape = (len(ladders), len(NAMES), len(LADDER_LEVELS))
    return {
        block.name: np.array(
            [[copy[block.name] for copy in ladder if copy] for ladder in ladders], np.float32
        ).reshape(*shape, block.size)
        for block in blocks
    }


def margins() -> Array:
    """(distortion, level - 1): the points that each level must lose against the one before."""
    costs = np.array([DISTORTIONS[name].cost for name in NAMES], np.float32)
    return costs[:, None] * np.diff(np.array(LADDER_LEVELS, np.float32))


def blank_frames(count: int) -> list[NDArray[np.uint8]]:
    """Accidental frames (512, 683, 3): black, white or plain, with and without sensor noise."""
    random = np.random.default_rng(1)
    frames = []
    for k in range(count):
        colour = random.integers(0, 256, 3) if k % 3 == 0 else np.full(3, (2, 12, 255, 128)[k % 4])
        noise = random.normal(0, (0, 2, 6, 20)[k // 3 % 4], (512, 683, 3))
        frames.append(np.clip(colour + noise, 0, 255).astype(np.uint8))
    return frames


def thumbnails(pictures: Iterable[Pixels]) -> Iterator[Pixels]:
    """The pictures (h, w, 3) so small that nobody keeps them, one after the other of `TINY`."""
    for k, picture in enumerate(pictures):
        scale = TINY[k % len(TINY)] / min(picture.shape[:2])
        height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
        small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        yield np.asarray(small, np.uint8)
