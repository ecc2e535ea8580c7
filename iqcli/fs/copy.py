"""Hashing files, and copying them with time, mode and owner. Renames and removes nothing."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import sys
from typing import TYPE_CHECKING

from iqcli.fs.durable import BINARY, NEW, create_of, write_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


def sha256(path: Path) -> str:
    """Hex digest of the content, read as a stream; keeps the access time where permitted."""
    with os.fdopen(_open_quietly(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open_quietly(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | BINARY | getattr(os, "O_NOATIME", 0))
    except PermissionError:  # only the owner may ask for O_NOATIME
        return os.open(path, os.O_RDONLY | BINARY)


def free_bytes(folder: Path) -> int:
    """The free space of the disk of a folder, in bytes. Raises OSError."""
    return shutil.disk_usage(folder).free


def copied(source: Path, part: Path, status: os.stat_result, *, sync: bool = True) -> str:
    """Copy a file to a new name and sync it; returns the hex digest of what was read.

    `status` is that of the source: its times and mode are copied, and its owner where permitted.
    Without `sync` the caller syncs. Raises OSError; the part may then be left.
    """
    digest = hashlib.sha256()
    with os.fdopen(_open_quietly(source), "rb") as file:
        fd = os.open(part, NEW, 0o600)
        try:
            while block := file.read(1 << 20):
                digest.update(block)
                write_all(fd, block)
            _own_like(part, status)
            with _if_permitted():
                shutil.copystat(source, part)  # times first, then what may be refused
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
    return digest.hexdigest()


def write_part(
    part: Path, pieces: Iterable[bytes], like: os.stat_result | None, *, sync: bool = True
) -> None:
    """Write a new file, with the mode and owner of the one that it will replace. Raises OSError.

    Without `sync` the caller syncs.
    """
    create_of(part, pieces, sync=sync)
    if like:
        copy_mode(part, like)


def copy_mode(part: Path, like: os.stat_result) -> None:
    """Copy another file's mode, and its owner where permitted, to one of ours. Raises OSError."""
    _own_like(part, like)
    with _if_permitted():
        part.chmod(stat.S_IMODE(like.st_mode))


def _own_like(path: Path, status: os.stat_result) -> None:
    """Copy the owner where permitted; most people own all their photos anyway."""
    if sys.platform != "win32":
        with _if_permitted():
            os.chown(path, status.st_uid, status.st_gid)


@contextlib.contextmanager
def _if_permitted() -> Iterator[None]:
    """Ignore what this file system or user may not set: FAT, for one, has no owners and modes."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
