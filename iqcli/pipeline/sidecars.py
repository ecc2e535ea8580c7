"""A person's marks in the sidecars of a shot, and the time of the shot, each file read once.

Sidecars are XMP files and the companions of Google Takeout, `IMG_1.JPG.json`, which say whether
the photo was a favourite. A live film is asked for its time only where nothing else tells it.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from iqcli.errors import PhotoError
from iqcli.fs.read import read_bytes
from iqcli.photos import xmp
from iqcli.photos.formats import VIDEO, extension
from iqcli.photos.times import capture_time
from iqcli.records import UNMARKED, Marks
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from iqcli.fs.read import Stamp
    from iqcli.photos.times.capture_time import Taken
    from iqcli.pipeline.cache import Cache
    from iqcli.records import Shot

SIDECARS = (".xmp", ".json")
MAX_BYTES = 2**25
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


def sidecars(shot: Shot) -> list[Path]:
    """The files of a shot that may hold a person's rating or flag."""
    return [path for path in shot.companions if path.suffix.lower() in SIDECARS]


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


def read_marks(paths: Sequence[Path]) -> list[SidecarMarks]:
    """Read the sidecars. Raises PhotoError: a rating that cannot be read must not count as none."""
    found = []
    for path in paths:
        try:
            data, stamp = read_bytes(path, MAX_BYTES)
            found.append(SidecarMarks(path, stamp, *_parse(path, data)))
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


def _parse(path: Path, data: bytes) -> tuple[Marks, Taken | None]:
    if path.suffix.lower() != ".json":
        properties = xmp.properties_of(data)
        return xmp.marks(properties), capture_time.of_xmp(properties, xmp.TIMES)
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
