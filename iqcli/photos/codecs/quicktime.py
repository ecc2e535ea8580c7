"""The index of a film (QuickTime, MP4): when it was made, how long it is, and Apple's texts.

Sources: Apple, QuickTime File Format (moov, mvhd, meta, keys, ilst); ISO/IEC 14496-12.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iqcli.photos.codecs.boxes import box, boxes
from iqcli.photos.codecs.metadata import find_box

if TYPE_CHECKING:
    from typing import BinaryIO

# Beside the time by UTC, Apple writes one with its offset: "2020-01-02T03:04:05+0100".
CREATED = b"com.apple.quicktime.creationdate"
MODEL = b"com.apple.quicktime.model"
CONTENT_ID = b"com.apple.quicktime.content.identifier"
# None of these texts is longer; an index may hold millions of bytes.
LONG_TEXT = 2**10


@dataclass(frozen=True, slots=True)
class Index:
    """What the index of a film tells; texts are as they are in the file, empty for none.

    `made` are seconds since 1904 by UTC, 0 where unknown. `seconds` is the length, infinite where
    it cannot be read, and None where the film has no header.
    """

    made: int = 0
    seconds: float | None = None
    created: bytes = b""
    model: bytes = b""
    content_id: bytes = b""


def index_of(file: BinaryIO) -> Index:
    """The index of a film, wherever it lies in the file. Raises OSError."""
    moov = find_box(file, b"moov")
    texts = _texts(moov)
    apple = [texts.get(key, b"") for key in (CREATED, MODEL, CONTENT_ID)]
    header = box(moov, b"mvhd")
    if not header:
        return Index(0, None, *apple)
    wide = 8 if header[0] == 1 else 4
    made, _, scale, length = (
        int.from_bytes(header[at : at + size], "big")
        for at, size in ((4, wide), (4 + wide, wide), (4 + 2 * wide, 4), (8 + 2 * wide, wide))
    )
    return Index(made, length / scale if scale else math.inf, *apple)


def _texts(moov: bytes) -> dict[bytes, bytes]:
    """The metadata by their keys: these are in one list, and the texts by their numbers in it."""
    meta = box(moov, b"meta")
    keys = box(meta, b"keys") or box(meta[4:], b"keys")
    items = box(meta, b"ilst") or box(meta[4:], b"ilst")
    names = [content for _, content in boxes(keys[8:])]
    found: dict[bytes, bytes] = {}
    for number, item in boxes(items):
        place = int.from_bytes(number, "big")
        if 0 < place <= len(names):
            found.setdefault(names[place - 1], box(item, b"data")[8 : 8 + LONG_TEXT])
    return found
