"""The one thing that iq wants of a maker note: Apple's mark of a burst.

Maker notes are undocumented directories of every maker's own; exifread skips them.
"""

from __future__ import annotations

import re
import struct

from iqcli.photos.tiff import EXIF_IFD, directory, first_directory

MAKER_NOTE = 0x927C
# "Apple iOS", a zero, a version, and the order of the bytes; the directory follows. Its offsets
# count from the beginning of the note. Source: exiftool, lib/Image/ExifTool/MakerNotes.pm.
APPLE = re.compile(rb"Apple iOS\0..(MM|II)", re.DOTALL)
BURST_UUID = 0x000B
# A UUID has 36 characters; no two photos may be joined by an empty or a broken one.
APPLE_BURST = re.compile(rb"[0-9A-Za-z-]{8,64}")


def apple_burst(block: bytes) -> str | None:
    """The BurstUUID in an EXIF block (or in a whole TIFF), None if there is none."""
    order = ">" if block[:2] == b"MM" else "<"
    pointer = first_directory(block).get(EXIF_IFD, b"")
    if len(pointer) != 4:
        return None
    (start,) = struct.unpack(order + "I", pointer)
    note = directory(block, order, start, {MAKER_NOTE}).get(MAKER_NOTE, b"")
    head = APPLE.match(note)
    if head is None:
        return None
    inner = ">" if head[1] == b"MM" else "<"
    text = directory(note, inner, head.end(), {BURST_UUID}).get(BURST_UUID, b"").rstrip(b"\0")
    return text.decode("ascii") if APPLE_BURST.fullmatch(text) else None
