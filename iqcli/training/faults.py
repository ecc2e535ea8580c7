"""The faults of phone photos, made in code at known strengths, on upright 8-bit RGB pictures.

Each fault has three strengths, for the levels 2 (slight), 3 (clear) and 4 (severe). Light is
changed where light adds up, in linear sRGB; blur and noise are given at the scale of a picture with
a long side of 2048 pixels, the size at which they are looked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from iqcli.records import Pixels

    Fault = Callable[[Pixels, float, np.random.Generator], Pixels]


def darken(picture: Pixels, stops: float, _: np.random.Generator) -> Pixels:
    """Under-exposure by so many stops."""
    return _from_linear(_to_linear(picture) * 2.0**-stops)


def blow_out(picture: Pixels, stops: float, _: np.random.Generator) -> Pixels:
    """Over-exposure by so many stops; what passes white is lost."""
    return _from_linear(_to_linear(picture) * 2.0**stops)


def fade(picture: Pixels, kept: float, _: np.random.Generator) -> Pixels:
    """Contrast reduced to the share `kept`, towards the mean."""
    plane = picture.astype(np.float32)
    return _to_bytes(plane.mean() + (plane - plane.mean()) * kept)


def blur(picture: Pixels, sigma: float, random: np.random.Generator) -> Pixels:
    """Defocus (Gaussian) or shake (a line of equal variance at a random angle), half and half."""
    if random.random() < 0.5:
        return cv2.GaussianBlur(picture, (0, 0), sigma)
    return cv2.filter2D(picture, -1, _line(sigma * 12**0.5, random.uniform(0, np.pi)))


def add_noise(picture: Pixels, sigma: float, random: np.random.Generator) -> Pixels:
    """Sensor noise: a constant part and a part that grows with the root of light, mid-grey `sigma`.

    Slightly smoothed, as every camera's own processing leaves it.
    """
    plane = picture.astype(np.float32)
    noise = random.standard_normal(plane.shape, np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 0.6)
    noise /= noise.std()
    return _to_bytes(plane + noise * sigma * np.sqrt(0.3 + 0.7 * plane / 128))


def compress(picture: Pixels, quality: float, _: np.random.Generator) -> Pixels:
    """JPEG at that quality and back, colours at half size."""
    order, options = picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(quality)]
    decoded: Any = cv2.imdecode(cv2.imencode(".jpg", order, options)[1], cv2.IMREAD_COLOR)
    return np.ascontiguousarray(decoded[..., ::-1])


# name of the issue -> the fault, and its strength at levels 2, 3 and 4
FAULTS: dict[str, tuple[Fault, tuple[float, float, float]]] = {
    "too_dark": (darken, (2.0, 3.0, 4.5)),
    "blurred": (blur, (2.0, 4.0, 8.0)),
    "clipped": (blow_out, (1.25, 2.0, 3.0)),
    "noisy": (add_noise, (9.0, 18.0, 36.0)),
    "flat": (fade, (0.45, 0.3, 0.18)),
}


def _line(length: float, angle: float) -> NDArray[np.float32]:
    """A motion-blur kernel: a line through the centre, anti-aliased, summing to 1."""
    size = int(np.ceil(length)) // 2 * 2 + 3
    kernel = np.zeros((size, size), np.float32)
    middle, reach = size / 2 - 0.5, length / 2
    ends = [
        tuple(round((middle + sign * reach * part) * 16) for part in (np.cos(angle), np.sin(angle)))
        for sign in (-1, 1)
    ]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA, shift=4)
    return kernel / kernel.sum()


def _to_linear(picture: Pixels) -> NDArray[np.float32]:
    levels = np.arange(256, dtype=np.float32) / 255
    curve = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    linear: NDArray[np.float32] = curve.astype(np.float32)[picture]
    return linear


def _from_linear(light: NDArray[np.float32]) -> Pixels:
    light = np.clip(light, 0, 1)
    coded = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return _to_bytes(coded * 255)


def _to_bytes(plane: NDArray[np.float32]) -> Pixels:
    return np.clip(np.rint(plane), 0, 255).astype(np.uint8)
