"""Sharpness, clipping and light by tile of the larger view, for issues and explanations.

The score never reads these: no opinion at hand was given at this size. Fine blur and noise show
only here, and a sharp subject before a soft ground shows as a few sharp tiles.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from iqcli.extractors.area import halved
from iqcli.extractors.schema import DIRECTIONS, GRID, LAGS, LAYERS, LEAST_SHORT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from iqcli.records import Pixels, Vector, Views

SIZE = GRID * GRID * len(LAYERS) + len(LAGS) * len(DIRECTIONS)
WHITE, BLACK = 250, 5
# The noise mask of Immerkaer (1996) is this one across and down.
SECOND = np.array([1, -2, 1], np.float32)
# A picture of as many rows is read in bands: each row of tiles in so many, of so many rows. An even
# number, so that they can be halved.
HIGH, BANDS, BAND = 960, 4, 10
# Of so many pixels, about, the steps are taken.
COMPARED = 200_000


def extract(views: Views) -> Vector:
    """`LAYERS` x `GRID` x `GRID` values of `views.detail`, flattened, float32.

    `fine` and `coarse`: mean absolute Laplacian of luma at the view's size and at half of it;
    `noise`: mean absolute response of the noise mask of Immerkaer (1996), which edges do not stir;
    `white` and `black`: share (0..1) of pixels that hold no detail any more; `mean` and `spread`:
    mean and standard deviation of luma, 0..255, the last four at half of the size. Of a high
    picture a third of the rows tells enough, see `_bands`. Behind them `LAGS` x `DIRECTIONS` root
    mean square differences of luma over the whole picture, which show a shake by the way it went.
    All NaN for a picture under 4 pixels a tile.
    """
    luma = cv2.cvtColor(views.detail, cv2.COLOR_RGB2GRAY)
    if min(luma.shape) < LEAST_SHORT:
        return np.full(SIZE, np.nan, np.float32)
    some, band = _bands(luma)
    half = halved(some)
    mean = tile_means(half, GRID)
    # 8-bit results keep the positive part only, which is half of all in the mean; integers and
    # small planes keep twelve megapixels at three milliseconds.
    layers = (
        2 * _inner_means(cv2.Laplacian(some, cv2.CV_8U), band),
        2 * _inner_means(cv2.Laplacian(half, cv2.CV_8U), band // 2),
        2 * _inner_means(cv2.sepFilter2D(some, cv2.CV_8U, SECOND, SECOND), band),
        tile_means(cv2.compare(half, WHITE, cv2.CMP_GE), GRID) / 255,
        tile_means(cv2.compare(half, BLACK, cv2.CMP_LE), GRID) / 255,
        mean,
        tile_spreads(half, mean),
    )
    return np.append(np.stack(layers), _steps(luma)).astype(np.float32)


def _bands(luma: Pixels) -> tuple[Pixels, int]:
    """The rows that are read, and how many of them at a time lie together; 0 for all together.

    Every row of tiles has as many, spread evenly, so that they make up rows of tiles themselves.
    """
    if len(luma) < HIGH:
        return luma, 0
    return luma[_band_rows(len(luma))], BAND


@lru_cache(maxsize=64)
def _band_rows(height: int) -> NDArray[np.int64]:
    top, bottom = _borders(height, GRID)
    middle = (np.arange(BANDS) + 0.5) / BANDS
    first = (top[:, None] + np.outer(bottom - top, middle) - BAND / 2).astype(np.int64)
    return (first[..., None] + np.arange(BAND)).ravel()


def _inner_means(response: Pixels, band: int) -> NDArray[np.float64]:
    """Tile means of a response of 3x3 pixels, without the rows whose neighbour is of another band.

    Those rows of `response` are set to 0.
    """
    if not band:
        return tile_means(response, GRID)
    response[::band] = response[band - 1 :: band] = 0
    return tile_means(response, GRID) * (band / (band - 2))


def _steps(luma: Pixels) -> list[float]:
    """Root mean square differences between pixels so far apart; `COMPARED` of them tell enough.

    Squares, since a shake shows at the strongest edges, and hardly in what varies little.
    """
    height, width = luma.shape
    # Odd, so that the rows lie everywhere in the blocks of a JPEG.
    rows = round(luma.size / COMPARED) | 1
    found = []
    for lag in LAGS:
        for x, y in ((lag * x, lag * y) for x, y in DIRECTIONS):
            here = luma[: height - y : rows, max(0, -x) : width - max(0, x)]
            there = luma[y::rows, max(0, x) : width - max(0, -x)]
            square = cv2.norm(here, there, cv2.NORM_L2SQR) / here.size
            found.append(math.sqrt(square))
    return found


def tile_means(plane: NDArray[Any], count: int) -> NDArray[np.float64]:
    """Means of a (height, width) plane over (count, count) tiles.

    Rows are added up first, which takes a third of the time of a summed-area table.
    """
    height, width = plane.shape
    # Sums of 16 bits and floats down a tile keep 24 bits, which the squares of bytes need.
    kind = cv2.CV_32S if plane.dtype == np.uint8 else cv2.CV_32F
    top, bottom = _borders(height, count)
    left, right, places = _places(width, count)
    sums = np.zeros((count, width + 1))
    for row, (first, last) in enumerate(zip(top.tolist(), bottom.tolist(), strict=True)):
        sums[row, :-1] = cv2.reduce(plane[first:last], 0, cv2.REDUCE_SUM, dtype=kind)
    added = np.add.reduceat(sums, places, axis=1)[:, ::2]
    means: NDArray[np.float64] = added / np.outer(bottom - top, right - left)
    return means


def tile_spreads(plane: Pixels, means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviations of an 8-bit plane over the tiles of these means."""
    square = cv2.multiply(plane, plane, dtype=cv2.CV_16U)
    return np.sqrt(np.maximum(tile_means(square, len(means)) - means**2, 0))


@lru_cache(maxsize=64)
def _places(size: int, count: int) -> tuple[NDArray[np.int64], ...]:
    """Where each tile begins, where it ends, and both in turn."""
    left, right = _borders(size, count)
    return left, right, np.stack([left, right], axis=1).ravel()


@lru_cache(maxsize=64)
def _borders(size: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each tile begins and ends; a side of fewer pixels than tiles repeats them."""
    edges = np.linspace(0, size, count + 1).astype(np.int64)
    first = np.minimum(edges[:-1], size - 1)
    return first, np.maximum(edges[1:], first + 1)
