"""Phase congruency: where the waves of a picture agree, it has a feature. The map that FSIM needs.

Kovesi's measure, with the settings of Zhang et al., "FSIM: A Feature Similarity Index for Image
Quality Assessment", 2011: log-Gabor filters of four scales and four directions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.float64]

SCALES, DIRECTIONS = 4, 4
SHORTEST_WAVE, WIDTH = 6.0, 0.55
SPREAD = np.pi / (DIRECTIONS * 1.2)
CUTOFF, STEEPNESS = 0.45, 15
# Standard deviations of the noise above its mean from which energy counts, and how much Kovesi
# found that estimate to be too high.
ABOVE_NOISE, TOO_HIGH = 2.0, 1.7
# An amplitude below which there is nothing but the rounding of the transform, in levels.
EPS = 1e-4


def congruency(plane: Plane) -> Plane:
    """(h, w) levels to (h, w) phase congruency, 0 (no feature) .. 1."""
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
