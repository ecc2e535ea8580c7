"""When a film was taken, by its index alone. Source: Apple, QuickTime File Format (mvhd, meta)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from iqcli.fs.read import open_quietly
from iqcli.photos.codecs.boxes import box
from iqcli.photos.codecs.metadata import find_box
from iqcli.photos.codecs.quicktime import metadata_of
from iqcli.photos.times import capture_time
from iqcli.photos.times.capture_time import QUICKTIME, QUICKTIME_EPOCH, Taken

if TYPE_CHECKING:
    from pathlib import Path

# Beside the time by UTC, Apple writes one with its offset: "2020-01-02T03:04:05+0100".
CREATED = b"com.apple.quicktime.creationdate"


def taken_of(path: Path) -> Taken | None:
    """The time of a film; None where it tells none or is none. Raises OSError."""
    with os.fdopen(open_quietly(path), "rb") as file:
        moov = find_box(file, b"moov")
    if when := capture_time.parse(metadata_of(moov, CREATED).decode("latin-1")):
        return Taken(when, QUICKTIME)
    head = box(moov, b"mvhd")
    seconds = int.from_bytes(head[4 : 12 if head[:1] == b"\1" else 8], "big")
    return capture_time.of_seconds(seconds, QUICKTIME, QUICKTIME_EPOCH)
