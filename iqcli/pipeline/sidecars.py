"""Files read once, in a worker: a photo's bytes, and a person's marks in its sidecars.

Google Takeout's companions, `IMG_1.JPG.json`: whether the photo was a favourite.
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

MAX_BYTES = 4 * 2**20


def favourite_of(data: bytes) -> int | None:
    """1 for a favourite, None where the file says nothing of that: Takeout writes no "false".

    What is above `MAX_BYTES` is another program's. Raises ValueError for what is no JSON: half a
    file may have lost the word.
    """
    if len(data) > MAX_BYTES:
        return None
    try:
        said = json.loads(data)
    except RecursionError:
        raise ValueError("nested too deep") from None
    return 1 if isinstance(said, dict) and said.get("favorited") is True else None


SIDECAR_BYTES = 2**25
SIDECARS = (".xmp", ".json")


class Marked(NamedTuple):
    """A sidecar that was read, and what a person said in it."""

    path: Path
    stamp: Stamp
    marks: Marks


def sidecars(shot: Shot) -> list[Path]:
    """The files of a shot that may hold a person's rating or flag: XMP, and Takeout's JSON."""
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


def read_marks(paths: Sequence[Path]) -> list[Marked]:
    """Read the sidecars. Raises PhotoError: a rating that cannot be read must not count as none."""
    marked = []
    for path in paths:
        try:
            data, stamp = read_bytes(path, SIDECAR_BYTES)
            marked.append(Marked(path, stamp, _marks_in(path, data)))
        except (OSError, PhotoError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise PhotoError(f"its sidecar {display_path(path)} cannot be read: {why}") from error
    return marked


def _marks_in(path: Path, data: bytes) -> Marks:
    if path.suffix.lower() != ".json":
        return marks_of(data)
    try:
        return Marks(pick=favourite_of(data))
    except ValueError:
        raise PhotoError("it is no JSON") from None


def keep_marks(marked: Sequence[Marked], cache: Cache, fingerprint: str) -> Marks:
    """Remember what was read; the marks are the highest of the sidecars'."""
    for path, (at_ns, status), marks in marked:
        if status:
            cache.remember_marks(path, status, at_ns, fingerprint, marks)
    return highest(each.marks for each in marked)
