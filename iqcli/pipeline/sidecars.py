"""A person's marks in the other files of a shot, each file read once, in a worker.

They are in XMP files, in the companions of Google Takeout, `IMG_1.JPG.json`, which say whether the
photo was a favourite, and embedded in other pictures of the shot: the original of an edit, a raw
file. Of these only the metadata are read.
"""

from __future__ import annotations

import json
import os
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from iqcli.errors import PhotoError
from iqcli.fs.read import Stamp, open_quietly, read_bytes
from iqcli.photos.codecs.metadata import FRONT, exif_blocks, xmp_packets
from iqcli.photos.formats import PHOTO, extension
from iqcli.photos.names.takeout import is_takeout
from iqcli.photos.tiff import directory
from iqcli.photos.xmp import highest, marks_of, stars_of_percent
from iqcli.records import Marks
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from iqcli.pipeline.cache import Cache
    from iqcli.records import Shot

MAX_BYTES = 2**25
# Tags of EXIF: the rating in stars, and in percent.
RATING, RATING_PERCENT = 0x4746, 0x4749
# A larger JSON file is another program's.
MAX_TAKEOUT_BYTES = 4 * 2**20


class SidecarMarks(NamedTuple):
    """A sidecar that was read, and a person's marks in it."""

    path: Path
    stamp: Stamp
    marks: Marks


def sidecars(shot: Shot, *, own: bool = False) -> list[Path]:
    """The files of a shot that may hold a person's rating or flag; with `own` the primary, too."""
    several = shot.files if own else shot.companions
    return [path for path in several if _may_be_marked(path)]


def _may_be_marked(path: Path) -> bool:
    ext = extension(path.name)
    return ext == "xmp" or ext in PHOTO or (ext == "json" and is_takeout(path.name))


def known_marks(paths: Sequence[Path], cache: Cache, fingerprint: str) -> Marks | None:
    """The highest marks in the sidecars; None if one has to be read. Raises OSError."""
    found = []
    for path in paths:
        known = cache.marks(path, path.stat(), fingerprint)
        if known is None:
            return None
        found.append(known)
    return highest(found)


def read_marks(paths: Sequence[Path], *, labels: bool = False) -> list[SidecarMarks]:
    """Read the sidecars; with `labels` a colour label is as good as a flag.

    Raises PhotoError: a rating that cannot be read must not count as none.
    """
    found = []
    for path in paths:
        try:
            if extension(path.name) in PHOTO:
                found.append(_read_picture(path, labels))
            else:
                data, stamp = read_bytes(path, MAX_BYTES)
                found.append(SidecarMarks(path, stamp, _parse(path, data, labels)))
        except (OSError, PhotoError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise PhotoError(f"its sidecar {display_path(path)} cannot be read: {why}") from error
    return found


def keep_marks(found: Sequence[SidecarMarks], cache: Cache, fingerprint: str) -> Marks:
    """Store what was read in the cache; the marks are the highest of the sidecars'."""
    for path, (at_ns, status), marks in found:
        if status:
            cache.remember_marks(path, status, at_ns, fingerprint, marks)
    return highest(each.marks for each in found)


def favourite_of(data: bytes) -> int | None:
    """1 for a favourite in a Takeout file, else None: Takeout writes no "false".

    Raises ValueError for what is no JSON: in half a file the word may be lost.
    """
    if len(data) > MAX_TAKEOUT_BYTES:
        return None
    try:
        content = json.loads(data)
    except RecursionError:
        raise ValueError("nested too deep") from None
    return 1 if isinstance(content, dict) and content.get("favorited") is True else None


def _parse(path: Path, data: bytes, labels: bool) -> Marks:
    if path.suffix.lower() != ".json":
        return marks_of(data, labels=labels)
    try:
        return Marks(pick=favourite_of(data))
    except ValueError:
        raise PhotoError("it is no JSON") from None


def _read_picture(path: Path, labels: bool) -> SidecarMarks:
    at_ns = time.time_ns()
    with os.fdopen(open_quietly(path), "rb") as file:
        status = os.fstat(file.fileno())
        return SidecarMarks(path, Stamp(at_ns, status), marks_in(file, labels=labels))


def marks_in(file: BinaryIO, *, labels: bool = False) -> Marks:
    """The marks embedded in a picture; what is broken in it holds none. Raises OSError."""
    marks = [marks_of(packet, labels=labels) for packet in xmp_packets(file)]
    file.seek(0)
    with suppress(struct.error, IndexError, ValueError):
        marks.append(Marks(stars=_exif_stars(exif_blocks(file, file.read(FRONT)))))
    return highest(marks)


def _exif_stars(blocks: Sequence[bytes]) -> int | None:
    """The rating in EXIF, as stars or else in percent, as Windows writes both."""
    for block in blocks:
        order = ">" if block[:2] == b"MM" else "<"
        (start,) = struct.unpack_from(order + "I", block, 4)
        tags = directory(block, order, start, {RATING, RATING_PERCENT})
        stars, percent = (
            struct.unpack(order + "H", tags[each])[0] if len(tags.get(each, b"")) == 2 else None
            for each in (RATING, RATING_PERCENT)
        )
        if stars is not None and stars <= 5:
            return int(stars)
        if percent is not None:
            return stars_of_percent(percent)
    return None
