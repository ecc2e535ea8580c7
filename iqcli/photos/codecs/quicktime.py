"""The index of a film (QuickTime, MP4), and the metadata in it. Reads no picture.

Sources: Apple, QuickTime File Format (moov, meta, keys, ilst); ISO/IEC 14496-12.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iqcli.photos.codecs.boxes import box, boxes

if TYPE_CHECKING:
    from typing import BinaryIO

# The index of a film; that of a live part has some kilobytes.
MOST_INDEX = 2**24


def index_of(file: BinaryIO, size: int) -> bytes:
    """The content of the film's `moov`, wherever it lies; empty if there is none."""
    at = 0
    for _ in range(1000):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return b""
        length, name, skip = int.from_bytes(head[:4], "big"), head[4:8], 8
        if length == 1:
            length, skip = int.from_bytes(head[8:16], "big"), 16
        length = length or size - at
        if length < skip:
            return b""
        if name == b"moov":
            file.seek(at + skip)
            return file.read(min(length - skip, MOST_INDEX))
        at += length
        if at >= size:
            break
    return b""


def metadata_of(moov: bytes, key: bytes) -> bytes:
    """A text among the metadata of a film, empty for none: keys, and items by their numbers."""
    meta = box(moov, b"meta")
    keys = box(meta, b"keys") or box(meta[4:], b"keys")
    items = box(meta, b"ilst") or box(meta[4:], b"ilst")
    names = [content for _, content in boxes(keys[8:])]
    for number, item in boxes(items):
        place = int.from_bytes(number, "big")
        if 0 < place <= len(names) and names[place - 1] == key:
            return box(item, b"data")[8:]
    return b""
