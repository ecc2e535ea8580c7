"""Reading a file whole, and noticing when it changes meanwhile."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING, NamedTuple

from iqcli.errors import PhotoError
from iqcli.fs.files import lstat_or_none

if TYPE_CHECKING:
    from pathlib import Path

PHOTO_BYTES = 2**31
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class Stamp(NamedTuple):
    """When a file was read (Unix time, ns) and its stat then; None if it changed meanwhile."""

    at_ns: int
    stat: os.stat_result | None


def read_bytes(path: Path, limit: int = PHOTO_BYTES) -> tuple[bytes, Stamp]:
    """Read a regular file whole; links are followed.

    Raises OSError, and PhotoError for what is not a regular file or has more than `limit` bytes.
    """
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


def read_regular(path: Path, limit: int) -> bytes:
    """Read a regular file whole, through no link. Raises like `read_bytes`."""
    status = lstat_or_none(path)
    if status is None or not stat.S_ISREG(status.st_mode):
        raise PhotoError("is not a regular file")
    return read_bytes(path, limit)[0]


def _state(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
