"""The 36 BRISQUE statistics of a picture: the numbers of OpenCV, in a quarter of its time.

Mittal, Moorthy, Bovik, "No-Reference Image Quality Assessment in the Spatial Domain", IEEE TIP
2012, as in `cv2.quality.QualityBRISQUE_computeFeatures`. OpenCV walks each plane pixel by pixel and
looks for each shape parameter with thousands of gamma functions; here both are tables and sums.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from iqcli.records import Vector, Views

    Plane = NDArray[np.float32]

SIZE = 36
# Below this luma variance the generalised Gaussian fits divide nothing by nothing, and OpenCV
# turns the NaN into a perfect score.
FLAT = 1e-6
SMALLEST = 16
SHIFTS = ((0, 1), (1, 0), (1, 1), (-1, 1))


def extract(views: Views) -> Vector:
    """The unscaled features of `views.scoring`, or all NaN where they are not defined (flat, tiny).

    18 a scale, at the view's size and half of it: shape and variance of the MSCN coefficients,
    then shape, mean, left and right variance of their four neighbour products.
    """
    if views.scoring.dtype != np.uint8:
        raise TypeError(f"BRISQUE reads 8-bit pictures, not {views.scoring.dtype}")
    luma = cv2.cvtColor(views.scoring, cv2.COLOR_RGB2GRAY)
    if min(luma.shape) < SMALLEST or luma.var() < FLAT:
        return np.full(SIZE, np.nan, np.float32)
    plane = luma * np.float32(1 / 255)
    height, width = plane.shape
    half = cv2.resize(plane, (width // 2, height // 2), interpolation=cv2.INTER_CUBIC)
    with np.errstate(divide="ignore", invalid="ignore"):
        features = np.array([*_scale(plane), *_scale(half)], np.float32)
    return features if np.isfinite(features).all() else np.full(SIZE, np.nan, np.float32)


def _scale(plane: Plane) -> list[float]:
    mscn = _mscn(plane)
    shape, left, right = _fit(mscn)
    features = [shape, (left**2 + right**2) / 2]
    for rows, columns in SHIFTS:
        shape, left, right = _fit(_neighbour_product(mscn, rows, columns))
        features += [shape, _mean(shape, left, right), left**2, right**2]
    return features


def _mscn(plane: Plane) -> Plane:
    """Mean-subtracted, contrast-normalised coefficients; 7x7 Gaussian window, sigma 7/6."""
    mean = cv2.GaussianBlur(plane, (7, 7), 7 / 6, borderType=cv2.BORDER_REPLICATE)
    square = cv2.GaussianBlur(plane * plane, (7, 7), 7 / 6, borderType=cv2.BORDER_REPLICATE)
    # Where the picture is flat, rounding makes some variances negative. OpenCV passes over those
    # pixels, as NaN; a zero is passed over just so.
    sigma = np.sqrt(square - mean * mean)
    mscn = (plane - mean) / (sigma + np.float32(1 / 255))
    return cv2.patchNaNs(mscn, 0)


def _neighbour_product(mscn: Plane, rows: int, columns: int) -> Plane:
    """Each coefficient times the one `rows` below and `columns` right; 0 beyond the edge."""
    height, width = mscn.shape
    product = np.zeros_like(mscn)
    here = (slice(max(-rows, 0), height - max(rows, 0)), slice(0, width - columns))
    there = (slice(max(rows, 0), height - max(-rows, 0)), slice(columns, width))
    np.multiply(mscn[here], mscn[there], out=product[here])
    return product


def _fit(plane: Plane) -> tuple[float, float, float]:
    """Asymmetric generalised Gaussian by moments: shape, left and right deviation."""
    positive = cv2.max(plane, 0.0)
    above = cv2.norm(positive, cv2.NORM_L2SQR)
    below = cv2.norm(plane, cv2.NORM_L2SQR) - above
    positives = cv2.countNonZero(positive)
    negatives = cv2.countNonZero(plane) - positives
    left, right = np.sqrt(np.float64(below) / negatives), np.sqrt(np.float64(above) / positives)
    ratio = left / right
    mean = cv2.norm(plane, cv2.NORM_L1) / plane.size
    spread = mean**2 / ((above + below) / plane.size)
    wanted = spread * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    return _shape_of(float(wanted)), float(left), float(right)


def _mean(shape: float, left: float, right: float) -> float:
    one, two, three = (math.gamma(k / shape) for k in (1, 2, 3))
    return (right - left) * two / one * math.sqrt(one / three)


def _shape_of(wanted: float) -> float:
    """The shape 0.2 .. 10, in steps of 0.001, whose moment ratio is nearest."""
    if not math.isfinite(wanted):
        return math.nan
    shapes, ratios = _table()
    after = int(np.clip(np.searchsorted(ratios, wanted), 1, len(ratios) - 1))
    before = after - 1
    nearer = before if wanted - ratios[before] <= ratios[after] - wanted else after
    return float(shapes[nearer])


@cache
def _table() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    shapes = np.arange(200, 10_000) / 1000
    ratios = [math.gamma(2 / s) ** 2 / (math.gamma(1 / s) * math.gamma(3 / s)) for s in shapes]
    return shapes, np.array(ratios)
