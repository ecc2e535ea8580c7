"""The inputs of the network of the block `mini`: the whole picture made small, and pieces of it.

A network for 224 pixels cannot take a whole scoring view pixel by pixel in a time that suits
culling. Blur and noise are in single pixels, composition is in the whole; so it gets the whole at
224 by 224, and a mosaic of pieces at the view's own scale, taken from all over it (compare the
fragments of FAST-VQA, Wu et al. 2022). That squeezes a panorama and takes few pieces of it, so it
is looked at in squares, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from iqcli.records import Pixels

SIDE = 224
GRID = 4
PIECE = SIDE // GRID
# In the middle of its cell lies each piece, but for training.
MIDDLE = np.full((GRID, GRID, 2), 0.5, np.float32)
# How many times as long as it is high a panorama is, at least; or as high as it is wide.
PANORAMA = 2


def pair(picture: Pixels) -> Pixels:
    """Both views of a picture, (2, SIDE, SIDE, 3)."""
    return np.stack([whole(picture), mosaic(picture, MIDDLE)])


def squares(head: Pixels) -> list[Pixels]:
    """The windows in which a panorama is judged: squares of its short side, from end to end.

    None for other pictures, and for strips that would have to be enlarged for them.
    """
    short, long = sorted(head.shape[:2])
    if short < SIDE or long < PANORAMA * short:
        return []
    starts = np.rint(np.linspace(0, long - short, -(-long // short))).astype(int)
    if head.shape[0] == short:
        return [head[:, start : start + short] for start in starts]
    return [head[start : start + short] for start in starts]


def whole(head: Pixels) -> Pixels:
    """The picture as (SIDE, SIDE, 3), each side on its own scale."""
    return np.asarray(cv2.resize(head, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def mosaic(head: Pixels, places: NDArray[np.floating]) -> Pixels:
    """Pieces of the picture side by side, (SIDE, SIDE, 3), unscaled.

    The picture is cut into `GRID` by `GRID` cells; `places` (GRID, GRID, 2), in 0..1, tell where in
    its cell each piece lies, down and across. A side shorter than a piece is enlarged to one.
    """
    if min(head.shape[:2]) < PIECE:
        size = tuple(max(side, PIECE) for side in head.shape[1::-1])
        head = np.asarray(cv2.resize(head, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    rows, columns = np.mgrid[:GRID, :GRID]
    tops = _starts(head.shape[0], rows, places[..., 0])
    lefts = _starts(head.shape[1], columns, places[..., 1])
    out = np.empty((GRID, PIECE, GRID, PIECE, 3), np.uint8)
    for row, column in np.ndindex(GRID, GRID):
        top, left = tops[row, column], lefts[row, column]
        out[row, :, column] = head[top : top + PIECE, left : left + PIECE]
    return out.reshape(SIDE, SIDE, 3)


def _starts(
    side: int, cells: NDArray[np.integer], places: NDArray[np.floating]
) -> NDArray[np.intp]:
    """The first pixel of each piece along one axis; cells smaller than a piece overlap."""
    cell = side / GRID
    starts = cells * cell + places * (cell - PIECE)
    return np.clip(np.rint(starts), 0, side - PIECE).astype(np.intp)
