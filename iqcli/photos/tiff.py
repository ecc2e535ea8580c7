"""The first directory of a TIFF, enough to distinguish raw files in a TIFF container from TIFFs."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

SUBFILE, COMPRESSION, PHOTOMETRIC, MAKE, SUB_IFDS = 254, 259, 262, 271, 330
XMP, EXIF_IFD, DNG_VERSION = 700, 34665, 50706
KNOWN = frozenset({SUBFILE, COMPRESSION, PHOTOMETRIC, MAKE, SUB_IFDS, XMP, EXIF_IFD, DNG_VERSION})
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1, 8: 2, 9: 4, 13: 4}
SENSOR = frozenset({32803, 34892})  # photometric: colour filter array, linear raw
# Compressions that only cameras write: Sony, Nikon, Samsung, Kodak, Pentax.
CAMERA = frozenset({32767, 32769, 32770, 34713, 65000, 65535})
BY_MAKE = {b"nikon": "nef", b"sony": "arw", b"pentax": "pef", b"samsung": "srw"}


def raw_kind(data: bytes) -> str | None:
    """The raw format inside a TIFF ("dng", "nef", "arw", …, else "raw"), None for a real TIFF.

    A raw file keeps a thumbnail in its first directory, which a TIFF reader takes for the picture.
    """
    first = first_directory(data)
    if DNG_VERSION in first:
        return "dng"
    thumbnail = bool(_number(data, first, SUBFILE) & 1) and SUB_IFDS in first
    sensor = _number(data, first, PHOTOMETRIC) in SENSOR
    if not (thumbnail or sensor or _number(data, first, COMPRESSION) in CAMERA):
        return None
    make = first.get(MAKE, b"").lower()
    return next((kind for name, kind in BY_MAKE.items() if make.startswith(name)), "raw")


def xmp_of(data: bytes) -> bytes:
    """The XMP packet of a TIFF or of a raw file in a TIFF container; empty if there is none."""
    return first_directory(data).get(XMP, b"") if data[:2] in (b"II", b"MM") else b""


def first_directory(data: bytes) -> dict[int, bytes]:
    """The `KNOWN` tags of a TIFF's first directory, see `directory`.

    BigTIFF has another layout and gives nothing.
    """
    order = ">" if data[:2] == b"MM" else "<"
    start = int.from_bytes(data[4:8], "big" if order == ">" else "little")
    return directory(data, order, start, KNOWN)


def directory(data: bytes, order: str, start: int, wanted: Collection[int]) -> dict[int, bytes]:
    """Tag to raw bytes, for `wanted` tags of integer, byte and text types; each the first time.

    `order` is "<" or ">". What is broken, or points out of `data`, is left out: 65,535 bogus
    entries cost no more than `wanted` copies. Source: TIFF 6.0, section 2.
    """
    try:
        (count,) = struct.unpack_from(order + "H", data, start)
    except struct.error:
        return {}
    tags: dict[int, bytes] = {}
    for at in range(start + 2, min(start + 2 + 12 * count, len(data) - 11), 12):
        tag, kind, length = struct.unpack_from(order + "HHI", data, at)
        if tag not in wanted or tag in tags:
            continue
        size = SIZES.get(kind, 0) * length
        offset = at + 8 if size <= 4 else struct.unpack_from(order + "I", data, at + 8)[0]
        if size and offset + size <= len(data):
            tags[tag] = data[offset : offset + size]
    return tags


def _number(data: bytes, tags: dict[int, bytes], tag: int) -> int:
    """The first value of a tag of type SHORT or LONG, 0 if it is absent."""
    raw = tags.get(tag, b"")
    first = raw if len(raw) in (2, 4) else raw[:2]
    return int.from_bytes(first, "big" if data[:2] == b"MM" else "little")
