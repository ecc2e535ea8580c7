"""Writing and copying that is on the disk when the call returns. Replaces and removes nothing."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import sys
from typing import TYPE_CHECKING

from iqcli.fs.read import BINARY, open_quietly

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY
# From this many files on, one call for their whole disk is faster, whatever else it has to write.
MANY = 16
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES}


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to the disk, where the system can."""
    if sys.platform == "win32":
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as error:  # some network file systems know no fsync of a folder
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(fd)


def _sync_file(path: Path) -> None:
    # Except on Windows, a file opened for reading can be synced: it may be read-only.
    fd = os.open(path, (os.O_RDWR if sys.platform == "win32" else os.O_RDONLY) | BINARY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_files(paths: Iterable[Path]) -> None:
    """Sync the content of files of ours, many at once where the system can. Raises OSError."""
    from iqcli.fs import syscalls  # deferred: loads ctypes

    disks: dict[int, list[Path]] = {}
    for path in paths:
        disks.setdefault(path.lstat().st_dev, []).append(path)
    for same in disks.values():
        # One call for the whole disk: each call for a file would wait for the disk anew.
        if len(same) < MANY or not syscalls.sync_disk(same[0]):
            for path in same:
                _sync_file(path)


def write_all(fd: int, data: bytes) -> None:
    """Write every byte, in as many calls as the system needs."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def create(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write a file that must not exist yet. Raises OSError; a part of it may then be left."""
    create_of(path, (data,), mode)
    sync_folder(path.parent)


def create_of(path: Path, pieces: Iterable[bytes], mode: int = 0o666, *, sync: bool = True) -> None:
    """As `create`, from pieces that need not be in memory together.

    The name is not synced, nor is the content without `sync`.
    """
    fd = os.open(path, NEW, mode)
    try:
        for piece in pieces:
            write_all(fd, piece)
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)


def append_line(path: Path, line: bytes, *, sync: bool = True) -> None:
    """Append a line (or lines), on a new line even where the last one is cut off.

    Raises OSError; the file then keeps its old length.
    """
    fd = os.open(path, os.O_RDWR | os.O_APPEND | BINARY)
    try:
        length = os.fstat(fd).st_size
        try:
            write_all(fd, (b"" if _ends_a_line(fd, length) else b"\n") + line + b"\n")
            if sync:
                os.fsync(fd)
        except OSError:
            os.ftruncate(fd, length)
            raise
    finally:
        os.close(fd)


def _ends_a_line(fd: int, length: int) -> bool:
    if not length:
        return True
    os.lseek(fd, length - 1, os.SEEK_SET)
    return os.read(fd, 1) == b"\n"


def free_bytes(folder: Path) -> int:
    """The free space of the disk of a folder, in bytes. Raises OSError."""
    return shutil.disk_usage(folder).free


def copied(source: Path, part: Path, status: os.stat_result, *, sync: bool = True) -> str:
    """Copy a file to a new name and sync it; returns the hex digest of what was read.

    `status` is that of the source: its times and mode are copied, and its owner where permitted.
    Without `sync` the caller syncs. Raises OSError; the part may then be left.
    """
    digest = hashlib.sha256()
    with os.fdopen(open_quietly(source), "rb") as file:
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
