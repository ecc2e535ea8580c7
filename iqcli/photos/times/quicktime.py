"""When a QuickTime or MP4 film was taken, by its header alone.

Sources: Apple, QuickTime File Format (mvhd, meta, keys, ilst); ISO/IEC 14496-12.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from iqcli.fs.read import open_quietly
from iqcli.photos.codecs.boxes import MOST_BOXES, box, boxes
from iqcli.photos.times import capture_time
from iqcli.photos.times.capture_time import QUICKTIME, QUICKTIME_EPOCH, Taken

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

# That of a live film takes some 20 kB; it grows with the length of the film.
LARGEST_HEADER = 16 * 2**20
CREATED = b"com.apple.quicktime.creationdate"


def taken_of(path: Path) -> Taken | None:
    """The time of a film; None where it tells none or is none. Raises OSError."""
    with os.fdopen(open_quietly(path), "rb") as file:
        header = _header(file)
    if when := _written(header):
        return Taken(when, QUICKTIME)
    head = box(header, b"mvhd")
    wide = head[:1] == b"\1"
    seconds = int.from_bytes(head[4 : 12 if wide else 8], "big")
    return capture_time.of_seconds(seconds, QUICKTIME, QUICKTIME_EPOCH)


def _header(file: BinaryIO) -> bytes:
    """The content of the box `moov`, which may lie behind the film; empty if there is none."""
    for _ in range(MOST_BOXES):
        head = file.read(8)
        if len(head) < 8:
            break
        size, taken = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, taken = int.from_bytes(file.read(8), "big"), 16
        if head[4:] == b"moov":
            return file.read(min(size - taken, LARGEST_HEADER)) if size > taken else b""
        if size < taken or size >= 2**62:
            break
        file.seek(size - taken, 1)
    return b""


def _written(header: bytes) -> str | None:
    """The time that Apple writes beside, with its offset: "2020-01-02T03:04:05+0100"."""
    meta = box(header, b"meta")
    if meta[4:8] != b"hdlr":  # in MP4 it has a version before its boxes
        meta = meta[4:]
    keys, values = box(meta, b"keys")[8:], dict(boxes(box(meta, b"ilst")))
    names = [key for _, key in boxes(keys)]
    if CREATED not in names:
        return None
    entry = values.get((names.index(CREATED) + 1).to_bytes(4, "big"), b"")
    return capture_time.parse(box(entry, b"data")[8:].decode("latin-1"))
