"""The metadata in the index of a film (QuickTime, MP4).

Sources: Apple, QuickTime File Format (moov, meta, keys, ilst); ISO/IEC 14496-12.
"""

from __future__ import annotations

from iqcli.photos.codecs.boxes import box, boxes


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
