"""The block `photometry`: hand-made statistics of the scoring view.

They are of exposure, colour, contrast, sharpness, noise and spectrum.
`iqcli.extractors.schema.PHOTOMETRY` names the numbers. All are taken on the view with a
short side of 512 pixels, so a number means the same for every camera. Each function below is one
part of the vector.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from iqcli.extractors.area import halved, resized
from iqcli.extractors.schema import BANDS, PERCENTILES
from iqcli.extractors.tiles import SECOND, tile_means, tile_spreads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from iqcli.records import Pixels, Vector, Views

    Plane = NDArray[np.float32]

EPS = 1e-6
TILES = 8
LEVELS = np.arange(256, dtype=np.float64)
SPECTRUM_SIDE = 256
# Red less green, and yellow less blue, of red, green and blue.
OPPONENT = np.array([[1, -1, 0], [0.5, 0.5, -1]], np.float32)


def extract(views: Views) -> Vector:
    """(94,) statistics of `views.scoring`, float32, in the order of their names; always finite.

    Of every third row, where more would tell no more.
    """
    rgb = views.scoring
    luma = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    planes = [luma, half := halved(luma.astype(np.float32)), quarter := halved(half)]
    halves = [half, quarter, halved(quarter)]
    edges = [_Edges.of(*pair) for pair in zip(planes, halves, strict=True)]
    parts = (
        _exposure(luma, rgb),
        _colour(halved(halved(rgb))),
        *(_sharpness(each) for each in edges),
        _tiles(luma, edges[0].second, edges[1].second),
        _spectrum(half),
    )
    return np.concatenate([np.asarray(part, np.float32) for part in parts])


def _some(picture: NDArray[Any]) -> NDArray[Any]:
    """Every third row; all where a row of tiles would have few."""
    return picture[1::3] if len(picture) >= 12 * TILES else picture


def _exposure(luma: Pixels, rgb: Pixels) -> list[float]:
    """Percentiles, moments and clipped shares, all from histograms."""
    counts = _histogram(_some(luma))
    some = np.ascontiguousarray(_some(rgb))
    whites, blacks = _shares(some, 251, cv2.CMP_GE), _shares(some, 4, cv2.CMP_LE)
    mean, std, skew, kurtosis = _moments(counts)
    shares = counts[counts > 0]
    return [
        *_percentiles(counts, PERCENTILES),
        *(mean, std, skew, kurtosis, -float(shares @ np.log2(shares))),
        *(counts[:5].sum(), counts[251:].sum()),
        *(*whites, min(blacks)),
    ]


def _shares(rgb: Pixels, level: int, how: int) -> list[float]:
    """The share of each channel that compares so with a level."""
    height, width = rgb.shape[:2]
    found = cv2.compare(rgb.reshape(height, 3 * width), level, how).reshape(rgb.shape)
    return [total / 255 / (height * width) for total in cv2.sumElems(found)[:3]]


def _histogram(picture: Pixels) -> NDArray[np.float64]:
    """Shares of the 256 levels, summing to 1."""
    counts = cv2.calcHist([picture], [0], None, [256], [0, 256]).ravel().astype(np.float64)
    return counts / counts.sum()


def _percentiles(shares: NDArray[np.float64], wanted: Sequence[int]) -> list[int]:
    return [int(level) for level in np.searchsorted(shares.cumsum(), np.array(wanted) / 100)]


def _moments(shares: NDArray[np.float64]) -> tuple[float, float, float, float]:
    mean = float(shares @ LEVELS)
    centred = LEVELS - mean
    variance = float(shares @ centred**2)
    std = variance**0.5
    if variance < EPS:
        return mean, std, 0.0, 0.0
    return (
        mean,
        std,
        float(shares @ centred**3) / std**3,
        float(shares @ centred**4) / variance**2,
    )


def _colour(rgb: Pixels) -> list[float]:
    """Lab and opponent statistics at a quarter of the size: colour is seen coarsely."""
    ab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)[..., 1:].astype(np.float32)
    ab -= 128
    a, b = cv2.split(ab)
    chroma = cv2.magnitude(a, b)
    (a_mean, b_mean), (a_std, b_std) = (each.ravel().tolist() for each in cv2.meanStdDev(ab))
    correlation = (float((a * b).mean()) - a_mean * b_mean) / (a_std * b_std + EPS)
    levels = np.minimum(chroma, 255).astype(np.uint8)
    grey = (chroma < 20).astype(np.uint8)
    return [
        *(a_mean, a_std, b_mean, b_std, correlation),
        *_mean_std(chroma),
        *_percentiles(_histogram(levels), (95,)),
        _colourfulness(rgb),
        *(*cv2.mean(ab, grey)[:2], float(grey.mean())),
        *_mscn_shapes(ab),
        *(_log(each) for each in cv2.mean(np.abs(cv2.Laplacian(ab, cv2.CV_32F)))[:2]),
    ]


def _colourfulness(rgb: Pixels) -> float:
    """Hasler and Suesstrunk, "Measuring colorfulness in natural images", 2003."""
    opponent = cv2.transform(rgb.astype(np.float32), OPPONENT)
    (rg_mean, yb_mean), (rg_std, yb_std) = (each.ravel() for each in cv2.meanStdDev(opponent))
    return float(np.hypot(rg_std, yb_std) + 0.3 * np.hypot(rg_mean, yb_mean))


def _mscn_shapes(planes: Plane) -> list[float]:
    """Standard deviation and kurtosis of each of two planes, locally normalised.

    By mean and standard deviation around each pixel, Gaussian 7x7, sigma 7/6 as in BRISQUE.
    """
    mean, square = (
        cv2.GaussianBlur(each, (7, 7), 7 / 6, borderType=cv2.BORDER_REPLICATE)
        for each in (planes, cv2.multiply(planes, planes))
    )
    square -= cv2.multiply(mean, mean)
    sigma = np.sqrt(np.abs(square, out=square), out=square)
    sigma += 1
    normal = cv2.divide(cv2.subtract(planes, mean), sigma)
    normal = cv2.multiply(normal, normal)
    variances, fourths = cv2.mean(normal)[:2], cv2.mean(cv2.multiply(normal, normal))[:2]
    found: list[float] = []
    for variance, fourth in zip(variances, fourths, strict=True):
        found += [variance**0.5, fourth / (variance**2 + EPS)]
    return found


@dataclass(frozen=True, slots=True)
class _Edges:
    """Of a plane's rows by `_some`: |Laplacian|, slopes across and down; and its local contrast."""

    second: Plane
    x: Plane
    y: Plane
    sigma: Plane

    @classmethod
    def of(cls, plane: NDArray[Any], half: Plane) -> _Edges:
        """Of a plane in bytes or floats, and of the same at half of the size."""
        # Of bytes in whole numbers, which takes half of the time.
        kind = cv2.CV_16S if plane.dtype == np.uint8 else cv2.CV_32F
        found = (
            cv2.Laplacian(plane, kind),
            cv2.Sobel(plane, kind, 1, 0),
            cv2.Sobel(plane, kind, 0, 1),
        )
        second, x, y = (_some(each).astype(np.float32) for each in found)
        for slope in (x, y):
            slope *= np.float32(0.25)
        return cls(np.abs(second, out=second), x, y, _contrast(plane, half))


def _contrast(plane: NDArray[Any], half: Plane) -> Plane:
    """Standard deviation around each 2x2 pixels of a plane, from its means over them.

    Gaussian, sigma 7/6 of the plane's pixels as in `_mscn_shapes`.
    """
    square = halved(cv2.multiply(plane, plane, dtype=cv2.CV_32F))
    mean, square = (
        cv2.GaussianBlur(each, (5, 5), 7 / 12, borderType=cv2.BORDER_REPLICATE)
        for each in (half, square)
    )
    square -= cv2.multiply(mean, mean)
    return np.sqrt(np.abs(square, out=square), out=square)


def _sharpness(edges: _Edges) -> list[float]:
    """Laplacian, gradient and local contrast at one scale; logs, since sharpness is a ratio."""
    x, y = edges.x, edges.y
    gradient = cv2.magnitude(x, y)
    steps = cv2.convertScaleAbs(gradient, alpha=2)
    square = cv2.multiply(edges.second, edges.second)
    energy = _mean(square)
    return [
        _log(_mean(edges.second)),
        _log(energy**0.5),
        _log(cv2.norm(square, cv2.NORM_L2SQR) / square.size / (energy**2 + EPS)),
        _log(_mean(gradient)),
        *(_log(level) for level in _percentiles(_histogram(steps), (50, 90, 99))),
        _log(cv2.norm(x, cv2.NORM_L1) / x.size) - _log(cv2.norm(y, cv2.NORM_L1) / y.size),
        *(_log(value) for value in _mean_std(edges.sigma)),
    ]


def _tiles(luma: Pixels, edge: Plane, half_edge: Plane) -> list[float]:
    """How sharpness, contrast, light and noise spread over 8x8 tiles: a sharp subject is enough."""
    some = _some(luma)
    immerkaer = _some(cv2.sepFilter2D(luma, cv2.CV_16S, SECOND, SECOND)).astype(np.float32)
    immerkaer = np.abs(immerkaer, out=immerkaer)
    fine, coarse, mean, noise = (
        tile_means(each, TILES) for each in (edge, half_edge, some, immerkaer)
    )
    ratio = np.log((fine + 0.1) / (coarse + 0.1))
    textured = ratio[coarse >= _quantiles(coarse, 50)[0]]
    sharp = np.log(fine + 0.1)
    return [
        *(sharp.max(), *_quantiles(sharp, 90, 50, 10), sharp[2:6, 2:6].mean() - sharp.mean()),
        *(textured.max(), *_quantiles(textured, 50)),
        *(math.log(each + 0.1) for each in _quantiles(tile_spreads(some, mean), 10, 50, 90)),
        mean.std(),
        *(math.log(each + 0.1) for each in _quantiles(noise, 10, 50)),
        _log(cv2.norm(immerkaer, cv2.NORM_L1) / immerkaer.size),
        *(_blockiness(luma, axis) for axis in (1, 0)),
    ]


def _quantiles(values: NDArray[np.float64], *shares: float) -> list[float]:
    """Those that so many per cent lie below, as `np.percentile` interpolates, in a tenth of it."""
    ordered = np.sort(values, axis=None).tolist()
    found = []
    for share in shares:
        place = share / 100 * (len(ordered) - 1)
        low, above = ordered[int(place)], ordered[math.ceil(place)]
        found.append(low + (above - low) * (place % 1))
    return found


def _blockiness(plane: Pixels, axis: int) -> float:
    """Log ratio of the steps across 8-pixel borders, along an axis, to those inside."""
    if plane.shape[axis] < 17:
        return 0.0
    ahead, behind = (plane[:, 1:], plane[:, :-1]) if axis else (plane[1:], plane[:-1])
    steps = cv2.reduce(cv2.absdiff(ahead, behind), 1 - axis, cv2.REDUCE_SUM, dtype=cv2.CV_32S)
    means = steps.ravel() / plane.shape[1 - axis]
    border = means[7::8]
    inside = (means.sum() - border.sum()) / (len(means) - len(border))
    return _log(border.mean()) - _log(inside)


def _spectrum(half: Plane) -> list[float]:
    """Log energy in rings of the Fourier plane at 256x256, their slope, and x over y."""
    small = resized(half, SPECTRUM_SIDE, SPECTRUM_SIDE)
    small = cv2.multiply(cv2.subtract(small, _mean(small)), _window())
    plane = cv2.dft(small, flags=cv2.DFT_COMPLEX_OUTPUT)[:, : SPECTRUM_SIDE // 2 + 1]
    real, imaginary = (cv2.multiply(each, each) for each in cv2.split(plane))
    rings = _rings()
    power = np.take(cv2.add(real, imaginary), rings.order)
    sums = np.add.reduceat(power, rings.starts, dtype=np.float64)
    energy = np.log(np.bincount(rings.ring, sums, BANDS + 1)[:BANDS] / rings.counts + 1)
    steps = np.arange(BANDS) - (BANDS - 1) / 2
    slope = steps @ energy / (steps @ steps)
    x, y = (sums[wedge].sum() for wedge in (rings.along_x, rings.along_y))
    return [*energy, slope, _log(x) - _log(y)]


@cache
def _window() -> Plane:
    side = np.hanning(SPECTRUM_SIDE)
    return np.outer(side, side).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Rings:
    """The coefficients in the `order` of their parts, and where each part `starts` in it.

    Of each part the number of its `ring` (the last for what lies outside), and whether it lies in
    the wedge `along_x` or `along_y`; and `counts` of the coefficients of every ring.
    """

    order: NDArray[np.intp]
    starts: NDArray[np.intp]
    ring: NDArray[np.intp]
    along_x: NDArray[np.bool_]
    along_y: NDArray[np.bool_]
    counts: NDArray[np.intp]


@cache
def _rings() -> _Rings:
    fy, fx = np.meshgrid(
        np.fft.fftfreq(SPECTRUM_SIDE), np.fft.rfftfreq(SPECTRUM_SIDE), indexing="ij"
    )
    radius = np.hypot(fx, fy).ravel()
    ring = np.digitize(radius, np.geomspace(1 / 128, 0.5, BANDS + 1)) - 1
    ring[(ring < 0) | (ring >= BANDS)] = BANDS
    high = radius > 0.1
    along_x, along_y = high & (fx > np.abs(fy)).ravel(), high & (np.abs(fy) > fx).ravel()
    part = 3 * ring + along_x + 2 * along_y
    order = np.argsort(part, kind="stable")
    parts, starts = np.unique(part[order], return_index=True)
    counts = np.bincount(ring, minlength=BANDS + 1)[:BANDS]
    return _Rings(order, starts, parts // 3, parts % 3 == 1, parts % 3 == 2, counts)


def _mean(plane: Plane) -> float:
    return float(cv2.mean(plane)[0])


def _mean_std(plane: Plane) -> tuple[float, float]:
    mean, std = cv2.meanStdDev(plane)
    return float(mean[0, 0]), float(std[0, 0])


def _log(value: float) -> float:
    """Natural log, floored: black and flat pictures stay finite."""
    return math.log(value + 1e-3)
