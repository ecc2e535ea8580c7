"""Files read once, in a worker: a photo's bytes, and the rating in its sidecars."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING, NamedTuple

from iqcli.errors import PhotoError
from iqcli.files import shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from iqcli.cache import Cache
    from iqcli.records import Shot

    Stars = int | None

PHOTO_BYTES = 2**31
SIDECAR_BYTES = 2**25
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class Stamp(NamedTuple):
    """When a file was read (Unix time) and its stat then; None if it changed under our hands."""

    at_ns: int
    stat: os.stat_result | None


class Rated(NamedTuple):
    """A sidecar that was read, and the rating in it: -1..5, None for none."""

    path: Path
    stamp: Stamp
    stars: Stars


def read_bytes(path: Path, limit: int = PHOTO_BYTES) -> tuple[bytes, Stamp]:
    """Read a regular file whole. Raises OSError, and PhotoError for what is not to be read."""
    at_ns = time.time_ns()
    # Not blocking: opening a named pipe would wait for its other end.
    with os.fdopen(os.open(path, _FLAGS), "rb") as file:
        before = os.fstat(file.fileno())
        if not stat.S_ISREG(before.st_mode):
            raise PhotoError("is not a regular file")
        if before.st_size > limit:
            raise PhotoError(f"is larger than {limit >> 20} MiB")
        data = file.read(before.st_size + 1)
        after = os.fstat(file.fileno())
    steady = len(data) == before.st_size and _state(before) == _state(after)
    return data, Stamp(at_ns, before if steady else None)


def _state(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def sidecars(shot: Shot) -> list[Path]:
    """The XMP files of a shot, the surest first: `NAME.EXT.xmp` of the primary file."""
    full = f"{shot.path.name}.xmp".lower()
    found = (path for path in shot.companions if path.suffix.lower() == ".xmp")
    return sorted(found, key=lambda path: path.name.lower() != full)


def known_stars(paths: Sequence[Path], cache: Cache, fingerprint: str) -> tuple[Stars] | None:
    """The rating in the sidecars, in a tuple; None if one has to be read. Raises OSError."""
    found: Stars = None
    for path in paths:
        known = cache.stars(path, path.stat(), fingerprint)
        if known is None:
            return None
        found = most(found, known[0])
    return (found,)


def most(one: Stars, other: Stars) -> Stars:
    """The higher of two ratings: a person who gave stars anywhere wants the photo."""
    return max((each for each in (one, other) if each is not None), default=None)


def read_stars(paths: Sequence[Path]) -> list[Rated]:
    """Read the sidecars. Raises PhotoError: a rating that cannot be read must not count as none."""
    from iqcli.photos.xmp import stars_of

    rated = []
    for path in paths:
        try:
            data, stamp = read_bytes(path, SIDECAR_BYTES)
            rated.append(Rated(path, stamp, stars_of(data)))
        except (OSError, PhotoError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise PhotoError(f"its sidecar {shown(path)} cannot be read: {why}") from error
    return rated


def keep_stars(rated: Sequence[Rated], cache: Cache, fingerprint: str) -> Stars:
    """Remember what was read; the rating is the highest of the sidecars'."""
    for path, (at_ns, status), stars in rated:
        if status:
            cache.remember_stars(path, status, at_ns, fingerprint, stars)
    return max((each.stars for each in rated if each.stars is not None), default=None)
