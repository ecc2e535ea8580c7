"""From any pixel mode and colour profile to 8-bit sRGB."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageCms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from iqcli.records import Pixels

    Span = tuple[float, float]

PLAIN = {2: "L", 3: "RGB", 4: "CMYK"}
TRANSPARENT = frozenset({"RGBA", "LA", "PA", "RGBa", "La"})
# A profile that changes no colour by more than this is treated as sRGB.
SAME = 2


def flatten(image: Image.Image, span: Span | None = None, paper: int = 255) -> Image.Image:
    """The picture as opaque 8-bit L, RGB or CMYK; transparent parts become white, coded as `paper`.

    16-bit grey keeps its high byte, as Pillow does for 16-bit colour. Modes I and F have no defined
    range: 0..1 is taken as it is, anything else is stretched from minimum to maximum, which for a
    part of a picture are the `span` of the whole.
    """
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        values = _finite(np.asarray(image, dtype=np.float32))
        return Image.fromarray(_stretched(values, span or (values.min(), values.max())))
    if image.mode in TRANSPARENT or ("transparency" in image.info and image.mode != "1"):
        return _on_white(image.convert("RGBA"), paper)
    if image.mode == "LAB":
        return _from_lab(image)
    if image.mode in PLAIN.values():
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def span_of(strips: Iterable[Image.Image]) -> Span | None:
    """The smallest and largest value of a picture given in parts, None for 8 and 16 bits."""
    span = None
    for strip in strips:
        if strip.mode not in ("I", "F"):
            return None
        values = _finite(np.asarray(strip, dtype=np.float32))
        low, high = float(values.min()), float(values.max())
        span = (min(low, span[0]), max(high, span[1])) if span else (low, high)
    return span


def _finite(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)


def _stretched(values: NDArray[np.float32], span: Span) -> Pixels:
    low, high = float(span[0]), float(span[1])
    if low < 0 or high > 1:
        # A range may be wider than its type holds.
        is_wide = high - low > float(np.finfo(np.float32).max)
        known = values.astype(np.float64) if is_wide else values
        return np.rint((known - low) / max(high - low, 1e-9) * 255).astype(np.uint8)
    return np.rint(values * 255).astype(np.uint8)


def _on_white(image: Image.Image, paper: int) -> Image.Image:
    white = Image.new("RGB", image.size, (paper, paper, paper))
    white.paste(image, mask=image.getchannel("A"))
    return white


def _from_lab(image: Image.Image) -> Image.Image:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB").apply(image)


def to_rgb(pixels: Pixels, profile: bytes | None) -> Pixels:
    """L (h, w) or CMYK (h, w, 4) to sRGB (h, w, 3); RGB stays as it is, for `to_srgb`."""
    return pixels if pixels.ndim == 3 and pixels.shape[2] == 3 else to_srgb(pixels, profile)


def to_srgb(pixels: Pixels, profile: bytes | None) -> Pixels:
    """L (h, w), RGB (h, w, 3) or CMYK (h, w, 4) to sRGB (h, w, 3), through the ICC profile if any.

    Costs about 12 ns a pixel where the profile is not sRGB: give it the reduced picture. A profile
    that is broken or fits another mode is ignored.
    """
    mode = "L" if pixels.ndim == 2 else PLAIN[pixels.shape[2]]
    transform = _transform(profile, mode) if profile else None
    if transform:
        return np.asarray(transform.apply(_image(pixels, mode)))
    if mode == "L":
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB), np.uint8)
    return pixels if mode == "RGB" else np.asarray(_image(pixels, mode).convert("RGB"))


def _image(pixels: Pixels, mode: str) -> Image.Image:
    height, width = pixels.shape[:2]
    return Image.frombuffer(mode, (width, height), np.ascontiguousarray(pixels), "raw", mode, 0, 1)


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """A transform to sRGB, None where none is needed or the profile is unusable."""
    intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(source, target, mode, "RGB", intent, flags)
        return None if mode != "CMYK" and _is_srgb(transform, mode) else transform
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


def _is_srgb(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    levels = np.arange(0, 256, 15 if mode == "RGB" else 1, dtype=np.uint8)
    axes = [levels] * (3 if mode == "RGB" else 1)
    probe = np.stack(np.meshgrid(*axes), axis=-1).reshape(1, -1, len(axes))
    before = _image(probe if mode == "RGB" else probe[..., 0], mode)
    after = transform.apply(before)
    moved = np.asarray(after, np.int16) - np.asarray(before.convert("RGB"), np.int16)
    return bool(np.abs(moved).max() <= SAME)
