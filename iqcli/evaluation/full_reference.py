"""How far a copy is from its original: full-reference measures of two pictures of one size.

    MSE, PSNR   over red, green and blue; levels², decibels
    SSIM        luma; window 11, sigma 1.5, no downsampling      Wang et al. 2004
    MS-SSIM     luma; five scales                                Wang, Simoncelli and Bovik 2003
    VIF         luma; in the pixel domain (VIFp), four scales    Sheikh and Bovik 2006
    FSIM        colour (FSIMc), at a short side near 256         Zhang et al. 2011

Luma is 0.299 R + 0.587 G + 0.114 B, rounded to whole levels as in the programs of the authors. All
but FSIM are taken at full size, in strips, so that memory stays near that of the two pictures. A
measure that is not defined for a pair (too small, flat) is None, with a note.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from scipy import fft

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from iqcli.records import Pixels

    Plane = NDArray[np.float64]
    Grey = NDArray[np.uint8] | NDArray[np.float32] | Plane

PEAK = 255.0
C1, C2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
WINDOW, SIGMA = 11, 1.5
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
# The variance of the noise of the eye, in levels².
VIF_NOISE = 2.0
VIF_WINDOWS = (17, 9, 5, 3)
TINY = 1e-10
# Rows computed at once; with those around them a few ten megabytes for the widest photo.
STRIP = 256
# The short sides from which a measure has all of its scales, or its longest wave.
LEAST = {"ssim": 11, "ms_ssim": 161, "vif": 41, "fsim": 48}
LABELS = {"ssim": "SSIM", "ms_ssim": "MS-SSIM", "vif": "VIF", "fsim": "FSIM"}
FSIM_SHORT = 256
# The most phase congruency where rounding alone makes waves.
FEATURELESS = 1e-6

# Phase congruency.
SCALES, DIRECTIONS = 4, 4
SHORTEST_WAVE, WIDTH = 6.0, 0.55
SPREAD = np.pi / (DIRECTIONS * 1.2)
CUTOFF, STEEPNESS = 0.45, 15
# Standard deviations of the noise above its mean from which energy counts, and how much Kovesi
# found that estimate to be too high.
ABOVE_NOISE, TOO_HIGH = 2.0, 1.7
# An amplitude below which there is nothing but the rounding of the transform, in levels.
EPS = 1e-4


@dataclass(frozen=True, slots=True)
class Fidelity:
    """The measures of a copy; None where one is not defined, and `notes` say why.

    `mse` in levels² is 0 for an identical copy, whose `psnr` is None for it is infinite. The
    others are 1 for an identical copy and fall; SSIM may be negative, VIF above 1 (more contrast).
    """

    mse: float
    psnr: float | None
    ssim: float | None
    ms_ssim: float | None
    fsim: float | None
    vif: float | None
    notes: tuple[str, ...]


def compare(original: Pixels, copy: Pixels) -> Fidelity:
    """Every measure of two sRGB pictures (h, w, 3) of one shape. Raises ValueError for others."""
    if original.shape != copy.shape or original.ndim != 3 or original.shape[2] != 3:
        raise ValueError(f"pictures of one size are wanted, not {original.shape}, {copy.shape}")
    short, error = min(original.shape[:2]), mse(original, copy)
    notes = [] if error else ["identical pixels: PSNR is infinite"]
    for name, least in LEAST.items():
        if short < least:
            notes.append(f"{LABELS[name]} needs a short side of {least} pixels")
    grey = luma(original), luma(copy)
    fits = {name for name, least in LEAST.items() if short >= least}
    found = {
        "ssim": ssim(*grey) if "ssim" in fits else None,
        "ms_ssim": ms_ssim(*grey) if "ms_ssim" in fits else None,
        "fsim": fsim(original, copy) if "fsim" in fits else None,
        "vif": vif(*grey) if "vif" in fits else None,
    }
    for name in ("fsim", "vif"):
        if name in fits and found[name] is None:
            notes.append(f"{LABELS[name]} is not defined for a flat original")
    return Fidelity(mse=error, psnr=psnr(error), notes=tuple(notes), **found)


def luma(picture: Pixels) -> Pixels:
    """(h, w, 3) sRGB to (h, w) luma of BT.601, whole levels 0..255."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)


def mse(original: Pixels, copy: Pixels) -> float:
    """The mean squared difference over all pixels and channels, in levels²."""
    rows = range(0, len(original), STRIP)
    squares = (
        cv2.norm(original[row : row + STRIP], copy[row : row + STRIP], cv2.NORM_L2SQR)
        for row in rows
    )
    return float(sum(squares)) / original.size


def psnr(error: float) -> float | None:
    """Decibels from a mean squared error, None (infinite) for none."""
    return float(10 * np.log10(PEAK**2 / error)) if error else None


def ssim(original: Grey, copy: Grey) -> float:
    """Structural similarity of two planes (h, w) in levels, from 11 x 11 pixels on."""
    return _ssim_and_contrast(original, copy)[0]


def ms_ssim(original: Grey, copy: Grey) -> float:
    """Multi-scale structural similarity of two planes (h, w), 0..1, from 161 x 161 pixels on.

    The product over the scales, as published. Lists made with the weighted sum that the authors'
    program offers, too, are up to some thousandths higher.
    """
    product, last = 1.0, len(SCALE_WEIGHTS) - 1
    for scale, weight in enumerate(SCALE_WEIGHTS):
        whole, contrast = _ssim_and_contrast(original, copy)
        # A negative mean has no such power: nothing of the structure is left.
        product *= max(whole if scale == last else contrast, 0.0) ** weight
        original, copy = _halved(original), _halved(copy)
    return product


def _ssim_and_contrast(original: Grey, copy: Grey) -> tuple[float, float]:
    whole = contrast = count = 0.0
    for x, y, xx, yy, xy in _moments(original, copy, _gaussian(WINDOW, SIGMA)):
        structure = (2 * xy + C2) / (xx + yy + C2)
        whole += float(((2 * x * y + C1) / (x * x + y * y + C1) * structure).sum())
        contrast += float(structure.sum())
        count += x.size
    return whole / count, contrast / count


def _halved(plane: Grey) -> Grey:
    """Means of 2 x 2 pixels; the last row and column of an odd side stand for two.

    Single precision holds the quarters of quarters of whole levels exactly.
    """
    height, width = plane.shape
    even: Any = np.pad(plane, ((0, height % 2), (0, width % 2)), "edge")
    rows = even[::2].astype(np.float32) + even[1::2]
    half: Grey = (rows[:, ::2] + rows[:, 1::2]) / 4
    return half


def vif(original: Grey, copy: Grey) -> float | None:
    """Visual information fidelity of two planes (h, w), from 41 x 41 on; None for a flat one."""
    kept = held = 0.0
    for size in VIF_WINDOWS:
        window = _gaussian(size, size / 5)
        if size != VIF_WINDOWS[0]:
            original, copy = _thinned(original, window), _thinned(copy, window)
        for _, _, xx, yy, xy in _moments(original, copy, window):
            xx, yy = np.maximum(xx, 0), np.maximum(yy, 0)
            gain = np.where((xx < TINY) | (yy < TINY) | (xy < 0), 0, xy / (xx + TINY))
            # What the copy holds that the original does not explain.
            noise = np.where(xx < TINY, yy, yy - gain * xy)
            kept += float(np.log1p(gain**2 * xx / (np.maximum(noise, TINY) + VIF_NOISE)).sum())
            held += float(np.log1p(np.where(xx < TINY, 0, xx) / VIF_NOISE).sum())
    return kept / held if held else None


def fsim(original: Pixels, copy: Pixels) -> float | None:
    """Feature similarity in colour of two pictures (h, w, 3), 0..1; None where neither has any."""
    (y1, i1, q1), (y2, i2, q2) = _yiq(_pooled(original)), _yiq(_pooled(copy))
    phase1, phase2 = congruency(y1), congruency(y2)
    weight = np.maximum(phase1, phase2)
    chroma = _alike(i1, i2, 200.0) * _alike(q1, q2, 200.0)
    similarity = _alike(phase1, phase2, 0.85) * _alike(_gradient(y1), _gradient(y2), 160.0)
    similarity *= np.abs(chroma) ** 0.03
    if weight.max() < FEATURELESS:
        return None
    return float((similarity * weight).sum() / weight.sum())


def _alike(a: Plane, b: Plane, constant: float) -> Plane:
    return (2 * a * b + constant) / (a * a + b * b + constant)


def _pooled(picture: Pixels) -> Plane:
    """Means of square blocks, as many pixels wide as bring the short side near 256."""
    size = max(1, round(min(picture.shape[:2]) / FSIM_SHORT))
    height, width = (side // size for side in picture.shape[:2])
    blocks = picture[: height * size, : width * size].reshape(height, size, width, size, 3)
    pooled: Plane = blocks.mean(axis=(1, 3), dtype=np.float64)
    return pooled


def _yiq(picture: Plane) -> tuple[Plane, Plane, Plane]:
    red, green, blue = (picture[..., i] for i in range(3))
    return (
        0.299 * red + 0.587 * green + 0.114 * blue,
        0.5959 * red - 0.2746 * green - 0.3213 * blue,
        0.2115 * red - 0.5227 * green + 0.3112 * blue,
    )


def _gradient(plane: Plane) -> Plane:
    """Scharr's, with black beyond the border as in the program of the authors."""
    kernel = np.array([[3, 0, -3], [10, 0, -10], [3, 0, -3]]) / 16
    x, y = (cv2.filter2D(plane, -1, k, borderType=cv2.BORDER_CONSTANT) for k in (kernel, kernel.T))
    return np.asarray(np.hypot(x, y))


def _moments(one: Grey, other: Grey, window: Plane) -> Iterator[tuple[Plane, ...]]:
    """Means, variances and covariance under the window wherever it lies inside, by strips."""
    around = len(window) - 1
    for top in range(0, one.shape[0] - around, STRIP):
        rows = slice(top, top + STRIP + around)
        x, y = one[rows].astype(np.float64), other[rows].astype(np.float64)
        mean_x, mean_y = _filtered(x, window), _filtered(y, window)
        xx = _filtered(x * x, window) - mean_x**2
        yy = _filtered(y * y, window) - mean_y**2
        yield mean_x, mean_y, xx, yy, _filtered(x * y, window) - mean_x * mean_y


def _thinned(plane: Grey, window: Plane) -> Plane:
    """Every second pixel of every second row of what `_filtered` gives, by strips."""
    around, step = len(window) - 1, 2 * STRIP
    tops = range(0, plane.shape[0] - around, step)
    strips = (_filtered(plane[top : top + step + around], window) for top in tops)
    return np.concatenate([strip[::2, ::2].copy() for strip in strips])


def _filtered(plane: Grey, window: Plane) -> Plane:
    """The plane under a window (k,) in both directions, only where it lies inside."""
    half = len(window) // 2
    whole: Any = cv2.sepFilter2D(plane, cv2.CV_64F, window, window)
    inside: Plane = whole[half:-half, half:-half]
    return inside


def _gaussian(size: int, sigma: float) -> Plane:
    weights = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * sigma**2))
    window: Plane = weights / weights.sum()
    return window


# --- phase congruency, the map that FSIM needs ---


def congruency(plane: Plane) -> Plane:
    """(h, w) levels to (h, w) phase congruency, 0 (no feature) .. 1: where the waves agree.

    Kovesi's measure, with the settings of Zhang et al., "FSIM: A Feature Similarity Index for Image
    Quality Assessment", 2011: log-Gabor filters of four scales and four directions.
    """
    spectrum = fft.fft2(plane)
    radial, angular = _filters(plane.shape)
    energy, amplitude = np.zeros(plane.shape), np.full(plane.shape, EPS)
    for direction in angular:
        filters = radial * direction
        waves = fft.ifft2(spectrum * filters)
        total = waves.sum(axis=0)
        mean = total / (np.abs(total) + EPS)
        turned = waves * mean.conj()
        agreed = (turned.real - np.abs(turned.imag)).sum(axis=0)
        energy += np.maximum(agreed - _noise(waves[0], filters), 0)
        amplitude += np.abs(waves).sum(axis=0)
    return np.asarray(energy / amplitude)


def _noise(finest: NDArray[np.complex128], filters: Plane) -> float:
    """The energy that noise alone would give, judged by the median of the finest scale."""
    power = np.median(np.abs(finest) ** 2) / np.log(2) / (filters[0] ** 2).sum()
    kernels = fft.ifft2(filters).real * np.sqrt(finest.size)
    squares = (kernels**2).sum()
    products = ((kernels.sum(axis=0) ** 2).sum() - squares) / 2
    rayleigh = np.sqrt(power * (squares + 2 * products))
    mean, deviation = rayleigh * np.sqrt(np.pi / 2), rayleigh * np.sqrt(2 - np.pi / 2)
    return float((mean + ABOVE_NOISE * deviation) / TOO_HIGH)


def _filters(shape: tuple[int, ...]) -> tuple[Plane, list[Plane]]:
    """The radial parts (SCALES, h, w) and the angular ones (h, w), zero frequency first."""
    height, width = shape
    y, x = np.meshgrid(_frequencies(height), _frequencies(width), indexing="ij")
    radius, angle = np.hypot(x, y), np.arctan2(-y, x)
    low_pass = 1 / (1 + (radius / CUTOFF) ** (2 * STEEPNESS))
    radius[0, 0] = 1
    waves = SHORTEST_WAVE * 2.0 ** np.arange(SCALES)[:, None, None]
    radial = np.exp(-(np.log(radius * waves) ** 2) / (2 * np.log(WIDTH) ** 2)) * low_pass
    radial[:, 0, 0] = 0
    angular = []
    for step in range(DIRECTIONS):
        away = angle - step * np.pi / DIRECTIONS
        away = np.abs(np.arctan2(np.sin(away), np.cos(away)))
        angular.append(np.exp(-(away**2) / (2 * SPREAD**2)))
    return radial, angular


def _frequencies(size: int) -> Plane:
    """Of `size` samples, zero first; an odd size reaches a half on both sides, as Kovesi has it."""
    steps = np.arange(size) - size // 2
    return np.asarray(fft.ifftshift(steps / (size - 1 if size % 2 else size)))
