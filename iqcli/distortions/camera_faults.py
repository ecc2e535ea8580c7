"""The faults of phone photos, made in code, on upright 8-bit RGB pictures.

Light is changed where light adds up, in linear sRGB; tone curves act on the coded values, as the
sliders of a camera do; blur is given at the scale of a picture with a long side of 2048 pixels, the
size at which it is looked for. See `iqcli.distortions.synthesis` for how much of each is which
level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from iqcli.distortions.filters import lens_blur, path_kernel, scale_contrast, to_bytes, tone_curve

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from iqcli.records import Pixels

    Fault = Callable[[Pixels, float, np.random.Generator], Pixels]

BLOWN = 254
CODES = np.linspace(0, 1, 256, dtype=np.float32)


# --- light ---


def darken(picture: Pixels, stops: float, _: np.random.Generator) -> Pixels:
    """Under-exposure by that many stops."""
    return _from_linear(_to_linear(picture) * 2.0**-stops)


def blow_out(picture: Pixels, stops: float, _: np.random.Generator) -> Pixels:
    """Over-exposure by that many stops; what passes white is clipped."""
    return _from_linear(_to_linear(picture) * 2.0**stops)


def bend(picture: Pixels, power: float, _: np.random.Generator) -> Pixels:
    """Middle tones darker (power > 1) or brighter (< 1); black and white stay."""
    return tone_curve(picture, CODES**power)


def lift(picture: Pixels, stops: float, _: np.random.Generator) -> Pixels:
    """Brighter by that many stops in the shadows, with a shoulder that keeps the highlights."""
    gain = 2.0**stops
    light = _to_linear(picture)
    return _from_linear(light * gain / (1 + light * (gain - 1)))


def burn(picture: Pixels, gain: float, random: np.random.Generator) -> Pixels:
    """Highlights that rise `gain` times as fast, and are clipped; the shadows stay."""
    knee = random.uniform(0.35, 0.65)
    return tone_curve(picture, np.where(knee > CODES, CODES, knee + (CODES - knee) * gain))


def suppress(picture: Pixels, ceiling: float, random: np.random.Generator) -> Pixels:
    """Highlights rolled off so that white becomes grey at `ceiling` (0..1); the rest stays."""
    knee = ceiling - random.uniform(0.08, 0.3)
    room, rise = ceiling - knee, np.maximum(CODES - knee, 0)
    rolled = knee + room * (1 - np.exp(-rise / room)) / (1 - np.exp(-(1 - knee) / room))
    return tone_curve(picture, np.where(knee > CODES, CODES, rolled))


# --- contrast ---


def steepen(picture: Pixels, slope: float, random: np.random.Generator) -> Pixels:
    """A tone curve of that slope in the middle: shadows and highlights are crushed, or nearly."""
    pivot = np.clip(picture.mean() / 255 + random.uniform(-0.08, 0.08), 0.25, 0.7)
    if random.random() < 0.5:
        return tone_curve(picture, pivot + (CODES - pivot) * slope)
    turn = 1 / (1 + np.exp(-4 * slope * (CODES - pivot)))
    return tone_curve(picture, (turn - turn[0]) / (turn[-1] - turn[0]))


def fade(picture: Pixels, kept: float, _: np.random.Generator) -> Pixels:
    """Contrast reduced to the share `kept` (0..1), towards the mean."""
    return scale_contrast(picture, kept)


def veil(picture: Pixels, kept: float, random: np.random.Generator) -> Pixels:
    """Haze: the share `kept` of the light, and a bright grey air light for the rest."""
    air = np.float32(random.uniform(0.3, 0.8))
    return _from_linear(_to_linear(picture) * kept + air * (1 - kept))


def wash(picture: Pixels, kept: float, random: np.random.Generator) -> Pixels:
    """Black becomes a grey and white another grey, the share `kept` of the scale apart."""
    return tone_curve(picture, (1 - kept) * random.uniform(0.15, 0.85) + CODES * kept)


# --- sharpness and noise ---


def shake(picture: Pixels, sigma: float, random: np.random.Generator) -> Pixels:
    """Motion along a line, of that standard deviation, at any angle; a third are slightly bent."""
    angle = random.uniform(0, np.pi)
    bow = random.uniform(-0.3, 0.3) if random.random() < 1 / 3 else 0.0
    return cv2.filter2D(picture, -1, _bow_kernel(sigma * 12**0.5, angle, bow))


def defocus(picture: Pixels, sigma: float, random: np.random.Generator) -> Pixels:
    """The disc of a lens out of focus, of the variance of a Gaussian with `sigma` pixels."""
    return lens_blur(picture, 2 * sigma, random)


def enlarge(picture: Pixels, sigma: float, _: np.random.Generator) -> Pixels:
    """Sampled too coarsely and enlarged again, as soft as a Gaussian with `sigma` pixels."""
    height, width = picture.shape[:2]
    small = (max(1, round(width / (1.7 * sigma + 1))), max(1, round(height / (1.7 * sigma + 1))))
    coarse = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def add_noise(picture: Pixels, sigma: float, random: np.random.Generator) -> Pixels:
    """Sensor noise: a constant part and a part that grows with the root of light, mid-grey `sigma`.

    Slightly smoothed, as every camera's own processing leaves it. What is blown out stays so.
    """
    return _grainy(picture, sigma, 0.6, random.standard_normal(picture.shape, np.float32))


def add_grain(picture: Pixels, sigma: float, random: np.random.Generator) -> Pixels:
    """The same noise in all channels, of any coarseness."""
    noise = random.standard_normal(picture.shape[:2], np.float32)[..., None].repeat(3, axis=2)
    return _grainy(picture, sigma, random.uniform(0.3, 1.8), noise)


def _grainy(picture: Pixels, sigma: float, smooth: float, noise: NDArray[np.float32]) -> Pixels:
    noise = cv2.GaussianBlur(noise, (0, 0), smooth)
    noise /= noise.std()
    plane = picture.astype(np.float32)
    noise *= sigma * np.sqrt(0.3 + 0.7 * plane / 128)
    return to_bytes(np.where(picture >= BLOWN, plane, plane + noise))


def _bow_kernel(length: float, angle: float, bow: float) -> NDArray[np.float32]:
    """The kernel of an even path of `length` pixels, out of the straight by `bow` lengths."""
    count = 8 * int(np.ceil(length)) + 1
    along = (np.arange(count) + 0.5) / count - 0.5
    turn = np.exp(1j * angle) * length * (along + 1j * bow * (4 * along**2 - 1 / 3))
    return path_kernel(turn.real, turn.imag, int(np.ceil(np.abs(turn).max())) + 1)


def _to_linear(picture: Pixels) -> NDArray[np.float32]:
    curve = np.where(CODES <= 0.04045, CODES / 12.92, ((CODES + 0.055) / 1.055) ** 2.4)
    linear: NDArray[np.float32] = curve.astype(np.float32)[picture]
    return linear


def _from_linear(light: NDArray[np.float32]) -> Pixels:
    light = np.clip(light, 0, 1)
    coded = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return to_bytes(coded * 255)
