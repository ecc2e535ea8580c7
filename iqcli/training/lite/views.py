"""What the network sees of a picture: the whole made small, and a mosaic of unscaled pieces.

As `iqcli.extractors.mini_crops`, with any side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from iqcli.records import Pixels

    Random = np.random.Generator

GRID = 4
# Up to this part of each side is cut off the whole in training.
CUT = 0.15


@dataclass(frozen=True)
class Framing:
    """How views are taken: `frame` (top, left, bottom, right, in 0..1) of the whole, `places`
    (GRID, GRID, 2) of the pieces in their cells, and whether all is mirrored."""

    frame: tuple[float, float, float, float]
    places: NDArray[np.float32]
    mirrored: bool


CENTRED = Framing((0, 0, 1, 1), np.full((GRID, GRID, 2), 0.5, np.float32), mirrored=False)


def draw_framing(random: Random) -> Framing:
    """A random framing, for training."""
    tall, wide = 1 - CUT * random.random(2)
    top, left = random.random(2) * (1 - tall, 1 - wide)
    return Framing(
        (top, left, top + tall, left + wide),
        random.random((GRID, GRID, 2), np.float32),
        bool(random.random() < 0.5),
    )


def views_of(picture: Pixels, framing: Framing, side: int) -> Pixels:
    """(h, w, 3) to (2, side, side, 3): the whole and the mosaic."""
    height, width = picture.shape[:2]
    top, left, bottom, right = framing.frame
    most = picture[round(top * height) : round(bottom * height)]
    most = most[:, round(left * width) : round(right * width)]
    whole = cv2.resize(most, (side, side), interpolation=cv2.INTER_AREA)
    views = np.stack([whole, mosaic(picture, framing.places, side)])
    return views[:, :, ::-1] if framing.mirrored else views


def mosaic(picture: Pixels, places: NDArray[np.floating], side: int) -> Pixels:
    """GRID by GRID pieces of a picture, one of each cell, side by side: (side, side, 3)."""
    piece = side // GRID
    if min(picture.shape[:2]) < piece:
        size = tuple(max(each, piece) for each in picture.shape[1::-1])
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    rows, columns = np.mgrid[:GRID, :GRID]
    tops = _starts(picture.shape[0], rows, places[..., 0], piece)
    lefts = _starts(picture.shape[1], columns, places[..., 1], piece)
    out = np.empty((GRID, piece, GRID, piece, 3), np.uint8)
    for row, column in np.ndindex(GRID, GRID):
        top, left = tops[row, column], lefts[row, column]
        out[row, :, column] = picture[top : top + piece, left : left + piece]
    return out.reshape(GRID * piece, GRID * piece, 3)


def _starts(
    side: int, cells: NDArray[np.integer], places: NDArray[np.floating], piece: int
) -> NDArray[np.intp]:
    """The first pixel of each piece along one axis; cells smaller than a piece overlap."""
    cell = side / GRID
    starts = cells * cell + places * (cell - piece)
    return np.clip(np.rint(starts), 0, side - piece).astype(np.intp)
