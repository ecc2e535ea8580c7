"""Reading and hashing files. Leaves no trace but the access time, where that must be."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from typing import TYPE_CHECKING, NamedTuple

from iqcli.errors import PhotoError
from iqcli.fs.anchors import at

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PHOTO_BYTES = 2**31
# A file of more than so many bytes is looked at before it is read, by so many of them.
LARGE_BYTES, HEAD_BYTES = 2**24, 2**16
BINARY = getattr(os, "O_BINARY", 0)
# Not blocking: opening a named pipe would wait for its other end.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | BINARY
# A file of a cloud drive that is not on this disk: opening it would download it.
DATALESS = 0x40000000  # macOS, sys/stat.h: SF_DATALESS
RECALL = 0x00400000 | 0x00001000  # Windows: FILE_ATTRIBUTE_RECALL_ON_DATA_ACCESS, _OFFLINE
MAY_BE_IN_CLOUD = hasattr(os.stat_result, "st_flags") or hasattr(
    os.stat_result, "st_file_attributes"
)


class Stamp(NamedTuple):
    """When a file was read (Unix time, ns) and its stat then; None if it changed meanwhile."""

    at_ns: int
    stat: os.stat_result | None


def read_bytes(
    path: Path,
    limit: int = PHOTO_BYTES,
    check: Callable[[bytes], object] | None = None,
    way_out: str = "",
) -> tuple[bytes, Stamp]:
    """Read a regular file whole; links are followed.

    Raises OSError, and PhotoError for what is not a regular file or has more than `limit` bytes.
    Of a large file `check` gets the beginning first, and may raise. `way_out` says how to lift the
    limit.
    """
    at_ns = time.time_ns()
    with os.fdopen(_open(path, _FLAGS), "rb") as file:
        before = os.fstat(file.fileno())
        if not stat.S_ISREG(before.st_mode):
            raise PhotoError("is not a regular file")
        if check and before.st_size > LARGE_BYTES:
            check(file.read(HEAD_BYTES))
            file.seek(0)
        if before.st_size > limit:
            way = f" ({way_out})" if way_out else ""
            raise PhotoError(f"is larger than {limit >> 20} MiB{way}")
        data = file.read(before.st_size + 1)
        after = os.fstat(file.fileno())
    steady = len(data) == before.st_size and _state(before) == _state(after)
    return data, Stamp(at_ns, before if steady else None)


def _open(path: Path, flags: int) -> int:
    with at(path, check=False) as place:
        return os.open(place.name, flags | place.no_follow, dir_fd=place.dir_fd)


def _state(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def read_regular(path: Path, limit: int) -> bytes:
    """Read a regular file whole, through no link. Raises like `read_bytes`."""
    with at(path, check=False) as place:
        status = place.stat()
    if not stat.S_ISREG(status.st_mode):
        raise PhotoError("is not a regular file")
    return read_bytes(path, limit)[0]


def sha256(path: Path) -> str:
    """Hex digest of the content, read as a stream; keeps the access time where permitted."""
    with os.fdopen(open_quietly(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_quietly(path: Path) -> int:
    """Open for reading without changing the access time, where permitted. Raises OSError."""
    try:
        return _open(path, _FLAGS | getattr(os, "O_NOATIME", 0))
    except PermissionError:  # only the owner may ask for O_NOATIME
        return _open(path, _FLAGS)


def is_in_cloud(status: os.stat_result) -> bool:
    """Whether a file is a placeholder, by the flags of macOS or Windows."""
    flags: int = getattr(status, "st_flags", 0)
    attributes: int = getattr(status, "st_file_attributes", 0)
    return bool(flags & DATALESS or attributes & RECALL)
