"""The block `niqe`: the natural scene statistics of a picture's blocks, as a Gaussian.

Mittal, Soundararajan, Bovik, "Making a Completely Blind Image Quality Analyzer", IEEE SPL 2013, in
the order of its MATLAB release. All blocks are fitted at once, from sums over each.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from iqcli.records import Doubles, Pixels, Vector, Views

    Plane = NDArray[np.float32]

FEATURES = 36
SIZE = FEATURES + FEATURES * (FEATURES + 1) // 2
SIDE = 96
# No pixel of an 8-bit picture stands out from its surroundings by less, unless by rounding: that
# must not look like noise of a very natural kind.
LEAST = 1e-6
# Where the neighbour of each coefficient lies, in blocks that have one more row above and one more
# column on either side.
NEIGHBOURS = (
    (slice(1, None), slice(None, -2)),
    (slice(None, -1), slice(1, -1)),
    (slice(None, -1), slice(None, -2)),
    (slice(None, -1), slice(2, None)),
)


def extract(views: Views) -> Vector:
    """Mean (36) and covariance (upper triangle, 666) of the blocks of `views.scoring`, float32.

    Flat blocks do not count; all NaN where fewer than two are left, as in a flat or tiny picture.
    """
    features, _ = blocks(views.scoring)
    features = features[np.isfinite(features).all(axis=1)]
    if len(features) < 2:
        return np.full(SIZE, np.nan, np.float32)
    covariance = np.cov(features, rowvar=False)[np.triu_indices(FEATURES)]
    found = np.concatenate([features.mean(axis=0), covariance]).astype(np.float32)
    return found if np.isfinite(found).all() else np.full(SIZE, np.nan, np.float32)


def blocks(picture: Pixels) -> tuple[Doubles, Doubles]:
    """(n, 36) features of an RGB picture's whole blocks, NaN for flat ones; (n,) sharpness.

    18 a scale, at the picture's size and at half of it: shape and scale of the MSCN coefficients,
    then of each of four neighbour products shape, mean, left and right scale. Sharpness is the mean
    local deviation.
    """
    if picture.dtype != np.uint8:
        raise TypeError(f"NIQE reads 8-bit pictures, not {picture.dtype}")
    rows, columns = (side // SIDE for side in picture.shape[:2])
    if not rows * columns:
        return np.empty((0, FEATURES)), np.empty(0)
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[: rows * SIDE, : columns * SIDE]
    plane = luma.astype(np.float64)
    mscn, deviation = _mscn(plane)
    sharpness = _cut(deviation, SIDE).mean(axis=(1, 2))
    half, _ = _mscn(_half(plane))
    both = [_features(_cut(mscn, SIDE)), _features(_cut(half, SIDE // 2))]
    return np.concatenate(both, axis=1), sharpness


def _mscn(plane: Doubles) -> tuple[Plane, Doubles]:
    """Mean-subtracted, contrast-normalised coefficients and the deviation; 7x7, sigma 7/6."""
    mean = cv2.GaussianBlur(plane, (7, 7), 7 / 6, borderType=cv2.BORDER_REPLICATE)
    square = cv2.GaussianBlur(plane * plane, (7, 7), 7 / 6, borderType=cv2.BORDER_REPLICATE)
    deviation = np.sqrt(np.abs(square - mean * mean))
    above = plane - mean
    above[np.abs(above) < LEAST] = 0
    return (above / (deviation + 1)).astype(np.float32), deviation


def _half(plane: Doubles) -> Doubles:
    """MATLAB's imresize(plane, 0.5): bicubic, smoothed before, the border mirrored."""
    padded = cv2.copyMakeBorder(plane, 3, 3, 3, 3, cv2.BORDER_REFLECT)
    taps = _taps()
    height, width = padded.shape
    down = sum(taps[k] * padded[k : height - 7 + k + 1 : 2] for k in range(8))
    return np.asarray(sum(taps[k] * down[:, k : width - 7 + k + 1 : 2] for k in range(8)))


@cache
def _taps() -> Doubles:
    """Keys' cubic (a = -1/2) at twice its width, at the eight pixels around a new one."""
    x = np.abs(np.arange(8) - 3.5) / 2
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    taps = np.where(x <= 1, near, far)
    return np.asarray(taps / taps.sum())


def _cut(plane: NDArray[np.floating], side: int) -> NDArray[np.floating]:
    """(h, w) to (n, side, side), row by row."""
    rows, columns = (length // side for length in plane.shape)
    return plane.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)


def _features(coefficients: NDArray[np.floating]) -> Doubles:
    """(n, side, side) to (n, 18)."""
    # The neighbour beyond an edge is the one at the other end of the block.
    round_it = np.pad(coefficients, ((0, 0), (1, 0), (1, 1)), mode="wrap")
    size, sign = np.abs(round_it), np.sign(round_it)
    powers = (size, round_it * round_it, round_it * size, sign, np.abs(sign))
    here = [each[:, 1:, 1:-1] for each in powers]
    sums = [np.array([each.sum(axis=(1, 2), dtype=np.float64) for each in here])]
    for rows, columns in NEIGHBOURS:
        # Size, square and sign of a product are the products of sizes, squares and signs.
        there = [each[:, rows, columns] for each in powers]
        pairs = zip(here, there, strict=True)
        sums.append(np.array([np.einsum("bij,bij->b", one, other) for one, other in pairs]))
    shape, left, right, mean = _fits(np.array(sums, np.float64), coefficients[0].size)
    products = np.stack([shape, mean, left, right], axis=-1)[1:]
    first = np.stack([shape[0], (left[0] + right[0]) / 2], axis=-1)
    return np.concatenate([first, *products], axis=1)


def _fits(sums: Doubles, count: int) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """Asymmetric generalised Gaussians by moments: shape, left and right scale, mean (m, n) each.

    `sums` (m, 5, n) are those of size, square, signed square, sign and presence over `count`
    values. NaN where all values, or all of one sign, are zero.
    """
    size, square, signed, sign, present = np.moveaxis(sums, 1, 0)
    shapes, ratios, spread, pull = _table()
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.sqrt((square - signed) / (present - sign))
        right = np.sqrt((square + signed) / (present + sign))
        ratio = left / right
        wanted = (size / count) ** 2 / (square / count)
        wanted *= (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    defined = np.isfinite(wanted) & (ratio > 0)
    after = np.searchsorted(ratios, np.where(defined, wanted, 0.5)).clip(1, len(ratios) - 1)
    nearer = after - (wanted - ratios[after - 1] <= ratios[after] - wanted)
    found = [shapes[nearer], left * spread[nearer], right * spread[nearer]]
    shape, left, right = (np.where(defined, each, np.nan) for each in found)
    return shape, left, right, (right - left) * pull[nearer]


@cache
def _table() -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """Shapes 0.2..10 by 0.001: moment ratio, scale over deviation, and mean over scale."""
    shapes = np.arange(200, 10_001) / 1000
    one, two, three = (np.array([math.lgamma(k / shape) for shape in shapes]) for k in (1, 2, 3))
    return shapes, np.exp(2 * two - one - three), np.exp((one - three) / 2), np.exp(two - one)
