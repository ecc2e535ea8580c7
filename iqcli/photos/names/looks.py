"""Whether one picture looks like an edit of another: cropped, recoloured, straightened a little.

Small grey pictures, evened so that light and colour do not count, and the edit tried as a part of
the original at several sizes. Measured on photos of BIQ2021: unrelated ones reach .53, edits that
keep half of the picture have .79 or more, turned by two degrees .62.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import simplejpeg

from iqcli.errors import IqError, PhotoError
from iqcli.fs.read import read_bytes
from iqcli.photos.decode import decode
from iqcli.photos.exif import PREFIX, orientation_of, tags_of
from iqcli.photos.formats import RAW_KINDS
from iqcli.photos.limits import check
from iqcli.photos.names.evidence import Look
from iqcli.photos.raw import decode_raw
from iqcli.photos.reading import kind_of
from iqcli.photos.time_limit import allow, bounded
from iqcli.photos.views import upright

if TYPE_CHECKING:
    from pathlib import Path

    from iqcli.records import Array, Pixels

# The long side that is compared, and the least that is decoded for it.
LONG, DECODED = 64, 128
# The share of the sides of the original that an edit may have kept.
SCALES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5)
ENOUGH = 0.65
# Of a mere copy: means of 0..255, in colour; and how much its shape may differ.
MOST_CHANGE, MOST_STRETCH = 2.0, 0.02
# Light is evened over so many pixels; flat ground stays flat.
SPREAD, FLAT = 4.0, 3.0
# The least deviation of an evened picture: a plain one fits anywhere.
PLAIN = 0.05
# What is larger is not looked at; the default of the setting.
MOST_MEGAPIXELS = 250.0


def likeness(edit: Path, original: Path) -> Look:
    """How an edit looks beside its original. Pictures are decoded small, and stay so."""
    try:
        one, other = read_bytes(edit)[0], read_bytes(original)[0]
        if (
            len(one) == len(other)
            and hashlib.sha256(one).digest() == hashlib.sha256(other).digest()
        ):
            return Look.EQUAL
        return compare(small(one), small(other))
    except (OSError, PhotoError):
        return Look.UNREADABLE
    except IqError:
        raise
    except Exception:  # decoders raise whatever they like on broken data
        return Look.UNREADABLE


@dataclass(frozen=True, slots=True)
class Small:
    """A photo as it is compared: upright (h, w, 3), and the two sides it has, the longer first."""

    pixels: Pixels
    sides: tuple[int, int]


def compare(edit: Small, original: Small) -> Look:
    """How a picture looks beside another one."""
    first, second = edit.pixels, original.pixels
    shape = second.shape[:2]
    stretch = abs(first.shape[0] * shape[1] / (first.shape[1] * shape[0]) - 1)
    if stretch <= MOST_STRETCH:
        same = cv2.resize(first, shape[::-1], interpolation=cv2.INTER_AREA)
        if np.abs(same.astype(np.float32) - second).mean() <= MOST_CHANGE:
            return Look.SMALLER
    whole, part = _evened(_grey(second)), _grey(first)
    if max(_best_place(whole, part, scale) for scale in SCALES) < ENOUGH:
        return Look.UNLIKE
    return Look.ALIKE if edit.sides == original.sides else Look.CROPPED


def small(data: bytes) -> Small:
    """A photo as it is compared. Raises whatever its decoder raises."""
    pixels, sides = _decoded(data)
    height, width = pixels.shape[:2]
    scale = LONG / max(height, width)
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    return Small(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), sides)


@bounded
def _decoded(data: bytes) -> tuple[Pixels, tuple[int, int]]:
    kind = kind_of(data)
    if kind == "jpeg":
        check(data, kind, MOST_MEGAPIXELS)
        with suppress(ValueError):  # of colours that it does not convert
            return _decoded_jpeg(data)
    raw = kind in RAW_KINDS
    found = decode_raw(data, MOST_MEGAPIXELS) if raw else decode(data, kind, MOST_MEGAPIXELS)
    return upright(found.pixels, found.orientation), _sides(found.width, found.height)


def _decoded_jpeg(data: bytes) -> tuple[Pixels, tuple[int, int]]:
    height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    allow("jpeg", height * width / 1e6)
    pixels = simplejpeg.decode_jpeg(
        data, "RGB", fastdct=True, min_height=DECODED, min_width=DECODED, strict=False
    )
    at = data.find(PREFIX, 0, 2**17)
    turn = orientation_of(tags_of(data[at : at + 2**16])) if at > 0 else 1
    return upright(pixels, turn), _sides(width, height)


def _sides(width: int, height: int) -> tuple[int, int]:
    return max(width, height), min(width, height)


def _grey(pixels: Pixels) -> Array:
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _evened(grey: Array) -> Array:
    detail = grey - cv2.GaussianBlur(grey, (0, 0), SPREAD)
    spread = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), 1.5 * SPREAD))
    return detail / (spread + FLAT)


def _best_place(whole: Array, part: Array, scale: float) -> float:
    """The highest correlation of the part, at this scale, anywhere in the whole."""
    fit = scale * min(whole.shape[0] / part.shape[0], whole.shape[1] / part.shape[1])
    size = (max(4, int(part.shape[1] * fit)), max(4, int(part.shape[0] * fit)))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    pattern = _evened(small)
    if pattern.std() < PLAIN:
        return 0.0
    found = cv2.matchTemplate(whole, pattern, cv2.TM_CCOEFF_NORMED)
    return float(np.nan_to_num(found).max())
