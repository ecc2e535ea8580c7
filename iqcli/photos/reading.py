"""Which format a file is of, and how it is read, by its first bytes and headers.

Loads no decoder: what was measured is found in the cache without one.
"""

from __future__ import annotations

import math
from enum import StrEnum, auto
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from iqcli.errors import PhotoError
from iqcli.photos.formats import FORMATS, HEAD_BYTES, describe, sniff
from iqcli.photos.tiff import raw_kind

# Raised whenever a file that is read in a new way could give other views, and no other file.
NEW_VERSION = 1
# The long side of the larger view. That of a panorama, more than `WIDE` times as long as it is
# high, is longer: the view has as many pixels as that of one of `WIDE`, as far as `WIDEST`.
DETAIL_LONG, WIDE, WIDEST = 2048, 2, 16
# Raised whenever a panorama could give other views, and no other picture.
PANORAMA_VERSION = 1
# Formats of which some pictures tell their colours by code points.
WITH_CODE_POINTS = frozenset({"heif", "avif", "png", "tiff"})
NEW_FORMATS = frozenset({"jp2", "psd", "pnm"})
# How the reason begins where a file is nothing that iq knows.
NO_PICTURE = "not a picture iq can read"


class Reading(StrEnum):
    """How a file is read: whatever changes for some files only leaves the cache of the others.

    PLAIN: as ever since 0.1. CHECKED: the same, though a picture of its format may be NEW. NEW: it
    has code points, or is of a format that came later, or is no picture. LINEAR: its values are
    light itself, in 16 bits. JXL: by the extra.
    """

    PLAIN = auto()
    CHECKED = auto()
    NEW = auto()
    LINEAR = auto()
    JXL = auto()


@cache
def reading_mark(reading: Reading) -> str:
    """What the fingerprint of the facts has besides that of the decoders."""
    if reading is Reading.PLAIN:
        return ""
    mark = f"|{reading}={NEW_VERSION}"
    if reading is not Reading.JXL:
        return mark
    try:
        return f"{mark},{version(FORMATS['jxl'].package)}"
    except PackageNotFoundError:
        return mark


def detail_long(width: int, height: int) -> int:
    """The most pixels of the long side of the larger view of a picture of this size."""
    shape = max(width, height) / max(1, min(width, height))
    return round(DETAIL_LONG * math.sqrt(max(1, min(shape, WIDEST) / WIDE)))


def size_mark(width: int, height: int) -> str:
    """What the fingerprint of what is seen in a picture of this size has besides."""
    is_panorama = detail_long(width, height) > DETAIL_LONG
    return f"|panorama={PANORAMA_VERSION}" if is_panorama else ""


def kind_of(data: bytes) -> str:
    """The format by content: "jpeg", "dng", …; raises PhotoError if iq reads no such thing.

    JPEG XL counts as read, for only decoding it needs the extra.
    """
    if not data:
        raise PhotoError("empty file")
    kind = sniff(data[:HEAD_BYTES])
    if kind == "tiff":
        kind = raw_kind(data) or kind
    if kind is not None:
        if not FORMATS[kind].package:
            raise PhotoError(f"{FORMATS[kind].name}, which iq does not read; convert it")
        return kind
    other = describe(data)
    raise PhotoError(NO_PICTURE + (f" (it looks like {other})" if other else ""))


def reading_of(data: bytes) -> Reading:
    """How a file is read; looks at its header only."""
    try:
        kind = kind_of(data)
    except PhotoError:
        return Reading.NEW if data else Reading.PLAIN
    if kind == "jxl":
        return Reading.JXL
    if kind in WITH_CODE_POINTS:
        # Deferred: NumPy is not for a warm run.
        from iqcli.photos.cicp import code_points, linear_points

        if linear_points(data, kind):
            return Reading.LINEAR
        return Reading.NEW if code_points(data, kind) else Reading.CHECKED
    return Reading.NEW if kind in NEW_FORMATS else Reading.PLAIN
