"""When a film was taken, by its index alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from iqcli.fs.read import open_quietly
from iqcli.photos.codecs.quicktime import index_of
from iqcli.photos.times import capture_time
from iqcli.photos.times.capture_time import QUICKTIME, QUICKTIME_EPOCH, Taken

if TYPE_CHECKING:
    from pathlib import Path


def taken_of(path: Path) -> Taken | None:
    """The time of a film; None where it tells none or is none. Raises OSError."""
    with os.fdopen(open_quietly(path), "rb") as file:
        index = index_of(file)
    if when := capture_time.parse(index.created.decode("latin-1")):
        return Taken(when, QUICKTIME)
    return capture_time.of_seconds(index.made, QUICKTIME, QUICKTIME_EPOCH)
