"""The block `photometry`: hand-made statistics of the scoring view.

They are of exposure, colour, contrast, sharpness, noise and spectrum.
`iqcli.extractors.schema.PHOTOMETRY` names the numbers. All are taken on the view with a
short side of 512 pixels, so a number means the same for every camera. Each function below is one
part of the vector.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from iqcli.extractors.area import area, resized
from iqcli.extractors.schema import BANDS, PERCENTILES, SCALES
from iqcli.extractors.tiles import tile_means, tile_spreads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from iqcli.records import Pixels, Vector, Views

    Plane = NDArray[np.float32]

EPS = 1e-6
TILES = 8
LEVELS = np.arange(256, dtype=np.float64)
# The noise mask of Immerkaer (1996) is this one across and down.
SECOND = np.array([1, -2, 1], np.float32)
SPECTRUM_SIDE = 256


def extract(views: Views) -> Vector:
    """(94,) statistics of `views.scoring`, float32, in the order of their names; always finite."""
    rgb = views.scoring
    luma = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    planes = [
        luma.astype(np.float32),
        *(area(luma, *_smaller(luma, scale)) for scale in SCALES[1:]),
    ]
    edges = [np.abs(cv2.Laplacian(plane, cv2.CV_32F)) for plane in planes]
    parts = (
        _exposure(luma, rgb),
        _colour(resized(rgb, *_smaller(rgb, 4))),
        *(_sharpness(plane, edge) for plane, edge in zip(planes, edges, strict=True)),
        _tiles(luma, edges[0], edges[1]),
        _spectrum(luma),
    )
    return np.concatenate([np.asarray(part, np.float32) for part in parts])


def _smaller(picture: Pixels, scale: int) -> tuple[int, int]:
    height, width = picture.shape[:2]
    return max(width // scale, 1), max(height // scale, 1)


def _exposure(luma: Pixels, rgb: Pixels) -> list[float]:
    """Percentiles, moments and clipped shares, all from histograms."""
    counts = _histogram(luma)
    whites, blacks = _shares(rgb, 251, cv2.CMP_GE), _shares(rgb, 4, cv2.CMP_LE)
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
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
    a, b = (lab[..., i].astype(np.float32) - 128 for i in (1, 2))
    chroma = cv2.magnitude(a, b)
    (a_mean, a_std), (b_mean, b_std) = _mean_std(a), _mean_std(b)
    correlation = (float((a * b).mean()) - a_mean * b_mean) / (a_std * b_std + EPS)
    levels = np.minimum(chroma, 255).astype(np.uint8)
    grey = (chroma < 20).astype(np.uint8)
    cast_a, cast_b = (cv2.mean(plane, grey)[0] for plane in (a, b))
    return [
        *(a_mean, a_std, b_mean, b_std, correlation),
        *_mean_std(chroma),
        *_percentiles(_histogram(levels), (95,)),
        _colourfulness(rgb),
        *(cast_a, cast_b, float(grey.mean())),
        *_mscn_shape(a),
        *_mscn_shape(b),
        *(
            _log(cv2.norm(cv2.Laplacian(plane, cv2.CV_32F), cv2.NORM_L1) / a.size)
            for plane in (a, b)
        ),
    ]


def _colourfulness(rgb: Pixels) -> float:
    """Hasler and Suesstrunk, "Measuring colorfulness in natural images", 2003."""
    red, green, blue = (rgb[..., i].astype(np.float32) for i in range(3))
    rg_mean, rg_std = _mean_std(red - green)
    yb_mean, yb_std = _mean_std((red + green) * np.float32(0.5) - blue)
    return float(np.hypot(rg_std, yb_std) + 0.3 * np.hypot(rg_mean, yb_mean))


def _mscn_shape(plane: Plane) -> tuple[float, float]:
    """Standard deviation and kurtosis of the locally normalised plane."""
    mean, sigma = _local(plane)
    normal = (plane - mean) / (sigma + 1)
    square = normal * normal
    variance = _mean(square)
    return variance**0.5, _mean(square * square) / (variance**2 + EPS)


def _local(plane: Plane) -> tuple[Plane, Plane]:
    """Mean and standard deviation around each pixel, Gaussian 7x7, sigma 7/6 as in BRISQUE."""
    mean = cv2.GaussianBlur(plane, (7, 7), 7 / 6, borderType=cv2.BORDER_REPLICATE)
    square = cv2.GaussianBlur(plane * plane, (7, 7), 7 / 6, borderType=cv2.BORDER_REPLICATE)
    mean_square = mean * mean
    np.subtract(square, mean_square, out=square)
    return mean, np.sqrt(np.abs(square, out=square), out=square)


def _sharpness(plane: Plane, edge: Plane) -> list[float]:
    """Laplacian, gradient and local contrast at one scale; logs, since sharpness is a ratio."""
    x, y = (cv2.Sobel(plane, cv2.CV_32F, dx, dy, scale=0.25) for dx, dy in ((1, 0), (0, 1)))
    gradient = cv2.magnitude(x, y)
    steps = cv2.convertScaleAbs(gradient, alpha=2)
    square = edge * edge
    energy = _mean(square)
    _, sigma = _local(plane)
    return [
        _log(_mean(edge)),
        _log(energy**0.5),
        _log(cv2.norm(square, cv2.NORM_L2SQR) / square.size / (energy**2 + EPS)),
        _log(_mean(gradient)),
        *(_log(level) for level in _percentiles(_histogram(steps), (50, 90, 99))),
        _log(cv2.norm(x, cv2.NORM_L1) / x.size) - _log(cv2.norm(y, cv2.NORM_L1) / y.size),
        *(_log(value) for value in _mean_std(sigma)),
    ]


def _tiles(luma: Pixels, edge: Plane, half_edge: Plane) -> list[float]:
    """How sharpness, contrast, light and noise spread over 8x8 tiles: a sharp subject is enough."""
    fine, coarse, mean = (tile_means(each, TILES) for each in (edge, half_edge, luma))
    immerkaer = np.abs(cv2.sepFilter2D(luma, cv2.CV_16S, SECOND, SECOND))
    noise = tile_means(immerkaer, TILES)
    ratio = np.log((fine + 0.1) / (coarse + 0.1))
    textured = ratio[coarse >= _quantiles(coarse, 50)]
    sharp = np.log(fine + 0.1)
    return [
        *(sharp.max(), *_quantiles(sharp, 90, 50, 10), sharp[2:6, 2:6].mean() - sharp.mean()),
        *(textured.max(), *_quantiles(textured, 50)),
        *np.log(_quantiles(tile_spreads(luma, mean), 10, 50, 90) + 0.1),
        mean.std(),
        *np.log(_quantiles(noise, 10, 50) + 0.1),
        _log(cv2.norm(immerkaer, cv2.NORM_L1) / immerkaer.size),
        *(_blockiness(each) for each in (luma, cv2.transpose(luma))),
    ]


def _quantiles(values: NDArray[np.float64], *shares: float) -> NDArray[np.float64]:
    """Those that so many per cent lie below, as `np.percentile` interpolates, in a tenth of it."""
    places = np.array(shares) / 100 * (values.size - 1)
    return np.interp(places, np.arange(values.size), np.sort(values, axis=None))


def _blockiness(plane: Pixels) -> float:
    """Log ratio of the steps across 8-pixel borders, from left to right, to those inside."""
    if plane.shape[1] < 17:
        return 0.0
    steps = cv2.reduce(
        cv2.absdiff(plane[:, 1:], plane[:, :-1]), 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S
    )
    means = steps.ravel() / len(plane)
    border = means[7::8]
    inside = (means.sum() - border.sum()) / (len(means) - len(border))
    return _log(border.mean()) - _log(inside)


def _spectrum(luma: Pixels) -> list[float]:
    """Log energy in rings of the Fourier plane at 256x256, their slope, and x over y."""
    small = resized(luma, SPECTRUM_SIDE, SPECTRUM_SIDE).astype(np.float32)
    plane = cv2.dft((small - small.mean()) * _window(), flags=cv2.DFT_COMPLEX_OUTPUT)
    real, imaginary = (plane[:, : SPECTRUM_SIDE // 2 + 1, k].ravel() for k in (0, 1))
    power = real * real + imaginary * imaginary
    ring, along_x, along_y = _rings()
    counts = np.bincount(ring, minlength=BANDS + 1)[:BANDS]
    energy = np.log(np.bincount(ring, power, BANDS + 1)[:BANDS] / counts + 1)
    steps = np.arange(BANDS) - (BANDS - 1) / 2
    slope = steps @ energy / (steps @ steps)
    return [*energy, slope, _log(power[along_x].sum()) - _log(power[along_y].sum())]


@cache
def _window() -> Plane:
    side = np.hanning(SPECTRUM_SIDE)
    return np.outer(side, side).astype(np.float32)


@cache
def _rings() -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Ring number of each coefficient (the last for what lies outside), and two wedges' places."""
    fy, fx = np.meshgrid(
        np.fft.fftfreq(SPECTRUM_SIDE), np.fft.rfftfreq(SPECTRUM_SIDE), indexing="ij"
    )
    radius = np.hypot(fx, fy).ravel()
    ring = np.digitize(radius, np.geomspace(1 / 128, 0.5, BANDS + 1)) - 1
    ring[(ring < 0) | (ring >= BANDS)] = BANDS
    high = radius > 0.1
    wedges = (high & (fx > np.abs(fy)).ravel(), high & (np.abs(fy) > fx).ravel())
    return ring, *(np.flatnonzero(wedge) for wedge in wedges)


def _mean(plane: Plane) -> float:
    return float(cv2.mean(plane)[0])


def _mean_std(plane: Plane) -> tuple[float, float]:
    mean, std = cv2.meanStdDev(plane)
    return float(mean[0, 0]), float(std[0, 0])


def _log(value: float) -> float:
    """Natural log, floored: black and flat pictures stay finite."""
    return float(np.log(value + 1e-3))
