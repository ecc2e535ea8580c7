"""Sharpness, clipping and light by tile of the larger view, for issues and explanations.

The score never reads these: no opinion at hand was given at this size. Fine blur and noise show
only here, and a sharp subject before a soft ground shows as a few sharp tiles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from iqcli.features.names import GRID, LAYERS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from iqcli.records import Pixels, Vector, Views

SIZE = GRID * GRID * len(LAYERS)
WHITE, BLACK = 250, 5
SECOND = np.array([1, -2, 1], np.float32)


def extract(views: Views) -> Vector:
    """`LAYERS` x `GRID` x `GRID` values of `views.detail`, flattened, float32.

    `fine` and `coarse`: mean absolute Laplacian of luma at the view's size and at half of it;
    `noise`: mean absolute response of the noise mask of Immerkaer (1996), which edges do not stir;
    `white` and `black`: share (0..1) of pixels that hold no detail any more; `mean` and `spread`:
    mean and standard deviation of luma, 0..255. All NaN for a picture under 4 pixels a tile.
    """
    luma = cv2.cvtColor(views.detail, cv2.COLOR_RGB2GRAY)
    if min(luma.shape) < 4 * GRID:
        return np.full(SIZE, np.nan, np.float32)
    half = cv2.resize(luma, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    mean, spread = _mean_and_spread(half)
    layers = (
        _mean(_edges(luma)),
        _mean(_edges(half)),
        _mean(cv2.convertScaleAbs(cv2.sepFilter2D(luma, cv2.CV_16S, SECOND, SECOND))),
        _mean(cv2.compare(luma, WHITE, cv2.CMP_GE)) / 255,
        _mean(cv2.compare(luma, BLACK, cv2.CMP_LE)) / 255,
        mean,
        spread,
    )
    return np.stack(layers).astype(np.float32).ravel()


def _edges(luma: Pixels) -> Pixels:
    """Absolute Laplacian, saturated at 255: integers keep 12 megapixels at a millisecond."""
    return cv2.convertScaleAbs(cv2.Laplacian(luma, cv2.CV_16S))


def _mean(picture: Pixels) -> NDArray[np.float64]:
    return _tile_means(cv2.integral(picture))


def _mean_and_spread(luma: Pixels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    total, squares = (_tile_means(table) for table in cv2.integral2(luma))
    return total, np.sqrt(np.maximum(squares - total**2, 0))


def _tile_means(table: NDArray[np.generic]) -> NDArray[np.float64]:
    """Means over the grid from a summed-area table (height + 1, width + 1)."""
    rows, columns = (np.linspace(0, size - 1, GRID + 1).astype(int) for size in table.shape)
    corners = table[np.ix_(rows, columns)].astype(np.float64)
    sums: NDArray[np.float64] = np.diff(np.diff(corners, axis=0), axis=1)
    return sums / np.outer(np.diff(rows), np.diff(columns))
