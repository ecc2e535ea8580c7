"""A person's marks in the files of a shot, and the time of the shot, each file read once.

They are in XMP files, in those of raw developers (`editor_marks`), in the companions of Google
Takeout, `IMG_1.JPG.json`, which say whether the photo was a favourite, and embedded in other
pictures of the shot: the original of an edit, a raw file. Of these only the metadata are read. A
live film is asked for its time only where nothing else tells it.
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
from iqcli.photos import xmp
from iqcli.photos.codecs.metadata import FRONT, exif_blocks, stars_in, xmp_packets
from iqcli.photos.formats import PHOTO, VIDEO, extension
from iqcli.photos.names.takeout import is_takeout
from iqcli.photos.times import capture_time
from iqcli.pipeline import editor_marks
from iqcli.records import UNMARKED, Marks
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from iqcli.photos.times.capture_time import Taken
    from iqcli.pipeline.cache import Cache
    from iqcli.records import Shot

MAX_BYTES = 2**25
# Nikon's have XMP in them, too.
XMP = ("xmp", "nksc")
# A larger JSON file is another program's.
MAX_TAKEOUT_BYTES = 4 * 2**20


class SidecarMarks(NamedTuple):
    """A sidecar that was read, a person's marks in it, and the time that the photo was taken."""

    path: Path
    stamp: Stamp
    marks: Marks
    taken: Taken | None = None


class Beside(NamedTuple):
    """What the sidecars of a shot tell: the highest marks, and the time to believe."""

    marks: Marks = UNMARKED
    taken: Taken | None = None


NOTHING = Beside()


def sidecars(shot: Shot, *, own: bool = False) -> list[Path]:
    """The files of a shot that may hold a person's rating or flag; with `own` the primary, too."""
    several = shot.files if own else shot.companions
    return [path for path in several if _may_be_marked(path)]


def _may_be_marked(path: Path) -> bool:
    ext = extension(path.name)
    known = ext in XMP or ext in PHOTO or ext in editor_marks.RATINGS
    return known or (ext == "json" and is_takeout(path.name))


def known_marks(
    paths: Sequence[Path], cache: Cache, fingerprint: str, *, timed: bool
) -> Beside | None:
    """What the sidecars tell, the time only if `timed`; None if one has to be read.

    Raises OSError.
    """
    marks, times = [], []
    for path in paths:
        stat = path.stat()
        known = cache.marks(path, stat, fingerprint)
        taken = cache.time_beside(path, stat) if timed else (None,)
        if known is None or taken is None:
            return None
        marks.append(known)
        times.append(taken[0])
    return Beside(xmp.highest(marks), capture_time.best(times))


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
                found.append(SidecarMarks(path, stamp, *_parse(path, data, labels)))
        except (OSError, PhotoError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise PhotoError(f"its sidecar {display_path(path)} cannot be read: {why}") from error
    return found


def keep_marks(found: Sequence[SidecarMarks], cache: Cache, fingerprint: str) -> Beside:
    """Store what was read in the cache; the marks are the highest of the sidecars'."""
    for path, (at_ns, status), marks, taken in found:
        if status:
            cache.remember_marks(path, status, at_ns, fingerprint, marks)
            cache.remember_time(path, status, at_ns, taken)
    return Beside(
        xmp.highest(each.marks for each in found), capture_time.best(each.taken for each in found)
    )


def film_time(shot: Shot, cache: Cache) -> Taken | None:
    """The time in the live film of a shot; the cache knows it while the file is unchanged."""
    from iqcli.photos.times import films  # deferred: not for a warm run

    for path in shot.companions:
        if extension(path.name) not in VIDEO:
            continue
        with suppress(OSError):  # the photo is there all the same
            stat, at_ns = path.stat(), time.time_ns()
            known = cache.time_beside(path, stat)
            if known is None:
                known = (films.taken_of(path),)
                cache.remember_time(path, stat, at_ns, known[0])
            if known[0]:
                return known[0]
    return None


def _parse(path: Path, data: bytes, labels: bool) -> tuple[Marks, Taken | None]:
    ext = extension(path.name)
    if ext in editor_marks.RATINGS:
        return editor_marks.marks_of(ext, data, labels=labels), None
    if ext in XMP:
        properties = xmp.properties_of(data)
        marks = xmp.marks(properties, labels=labels)
        return marks, capture_time.of_xmp(properties, xmp.TIMES)
    try:
        content = takeout_of(data)
    except ValueError:
        raise PhotoError("it is no JSON") from None
    return Marks(pick=favourite_of(content)), capture_time.of_takeout(content)


def takeout_of(data: bytes) -> object:
    """The content of a JSON file beside a photo, None for one that is too large for Takeout's.

    Raises ValueError for what is no JSON: in half a file the word "favorited" may be lost.
    """
    if len(data) > MAX_TAKEOUT_BYTES:
        return None
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deep") from None


def favourite_of(content: object) -> int | None:
    """1 for a favourite, else None: Takeout writes no "false"."""
    return 1 if isinstance(content, dict) and content.get("favorited") is True else None


def _read_picture(path: Path, labels: bool) -> SidecarMarks:
    at_ns = time.time_ns()
    with os.fdopen(open_quietly(path), "rb") as file:
        status = os.fstat(file.fileno())
        marks = marks_in(file, labels=labels)
        file.seek(0)
        return SidecarMarks(path, Stamp(at_ns, status), marks, time_in(file))


def marks_in(file: BinaryIO, *, labels: bool = False) -> Marks:
    """The marks embedded in a picture; what is broken in it holds none. Raises OSError."""
    marks = [xmp.marks_of(packet, labels=labels) for packet in xmp_packets(file)]
    file.seek(0)
    with suppress(struct.error, IndexError, ValueError):
        marks += [Marks(stars_in(each)) for each in exif_blocks(file, file.read(FRONT))[:1]]
    return xmp.highest(marks)


def time_in(file: BinaryIO) -> Taken | None:
    """When a picture was taken, by EXIF: an edit may have lost what its original tells.

    When it was changed does not count.
    """
    from iqcli.photos.names.headers import photo_header  # deferred: not for a warm run

    with suppress(struct.error, IndexError, ValueError):
        header = photo_header(file)
        fraction = f".{header.fraction[:6]}" if header.fraction else ""
        if header.taken:
            return capture_time.Taken(header.taken + fraction, capture_time.EXIF)
    return None
