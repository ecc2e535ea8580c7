"""A person's marks in the sidecars of a shot, each file read once, in a worker.

Sidecars are XMP files and the companions of Google Takeout, `IMG_1.JPG.json`, which say whether
the photo was a favourite.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from iqcli.errors import PhotoError
from iqcli.fs.read import read_bytes
from iqcli.photos.xmp import highest, marks_of
from iqcli.records import Marks
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from iqcli.fs.read import Stamp
    from iqcli.pipeline.cache import Cache
    from iqcli.records import Shot

SIDECARS = (".xmp", ".json")
MAX_BYTES = 2**25
# A larger JSON file is another program's.
MAX_TAKEOUT_BYTES = 4 * 2**20


class SidecarMarks(NamedTuple):
    """A sidecar that was read, and a person's marks in it."""

    path: Path
    stamp: Stamp
    marks: Marks


def sidecars(shot: Shot) -> list[Path]:
    """The files of a shot that may hold a person's rating or flag."""
    return [path for path in shot.companions if path.suffix.lower() in SIDECARS]


def known_marks(paths: Sequence[Path], cache: Cache, fingerprint: str) -> Marks | None:
    """The highest marks in the sidecars; None if one has to be read. Raises OSError."""
    found = []
    for path in paths:
        known = cache.marks(path, path.stat(), fingerprint)
        if known is None:
            return None
        found.append(known)
    return highest(found)


def read_marks(paths: Sequence[Path]) -> list[SidecarMarks]:
    """Read the sidecars. Raises PhotoError: a rating that cannot be read must not count as none."""
    found = []
    for path in paths:
        try:
            data, stamp = read_bytes(path, MAX_BYTES)
            found.append(SidecarMarks(path, stamp, _parse(path, data)))
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


def _parse(path: Path, data: bytes) -> Marks:
    if path.suffix.lower() != ".json":
        return marks_of(data)
    try:
        return Marks(pick=favourite_of(data))
    except ValueError:
        raise PhotoError("it is no JSON") from None
