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

from iqcli.fs.anchors import at
from iqcli.fs.read import BINARY, open_quietly

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY
# From this many files on, one call for their whole disk is faster, whatever else it has to write.
MANY = 16
# Whether times, modes and owners go by an open file; flags, as macOS has them, only by a path.
BY_FD = {os.utime, os.chmod, os.chown} <= os.supports_fd and not hasattr(os.stat_result, "st_flags")
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES}


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to the disk, where the system can."""
    if sys.platform == "win32":
        return
    with at(folder, check=False) as place:
        fd = os.open(place.name, os.O_RDONLY | place.no_follow, dir_fd=place.dir_fd)
    try:
        os.fsync(fd)
    except OSError as error:  # some network file systems know no fsync of a folder
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(fd)


def _sync_file(path: Path) -> None:
    # Except on Windows, a file opened for reading can be synced: it may be read-only.
    flags = (os.O_RDWR if sys.platform == "win32" else os.O_RDONLY) | BINARY
    with at(path, check=False) as place:
        fd = os.open(place.name, flags | place.no_follow, dir_fd=place.dir_fd)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_files(paths: Iterable[Path]) -> None:
    """Sync the content of files of ours, many at once where the system can. Raises OSError."""
    from iqcli.fs import syscalls  # deferred: loads ctypes

    disks: dict[int, list[Path]] = {}
    for path in paths:
        with at(path, check=False) as place:
            disks.setdefault(place.stat().st_dev, []).append(path)
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


def create_of(
    path: Path,
    pieces: Iterable[bytes],
    mode: int = 0o666,
    *,
    like: os.stat_result | None = None,
    sync: bool = True,
) -> None:
    """As `create`, from pieces that need not be in memory together.

    The mode and, where permitted, the owner are those of `like`, if it is given. The name is not
    synced, nor is the content without `sync`.
    """
    with _new_file(path, mode) as fd:
        for piece in pieces:
            write_all(fd, piece)
        if like:
            _mode_like(fd, path, like)
        if sync:
            os.fsync(fd)


@contextlib.contextmanager
def _new_file(path: Path, mode: int) -> Iterator[int]:
    with at(path) as place:
        fd = os.open(place.name, NEW, mode, dir_fd=place.dir_fd)
        try:
            place.check()
        except OSError:  # nothing stays where a link led
            os.close(fd)
            os.unlink(place.name, dir_fd=place.dir_fd)
            raise
        try:
            yield fd
        finally:
            os.close(fd)


def append_line(path: Path, line: bytes, *, sync: bool = True) -> None:
    """Append a line (or lines), on a new line even where the last one is cut off.

    Raises OSError; the file then keeps its old length.
    """
    with at(path, check=False) as place:
        flags = os.O_RDWR | os.O_APPEND | BINARY | place.no_follow
        fd = os.open(place.name, flags, dir_fd=place.dir_fd)
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
    with os.fdopen(open_quietly(source), "rb") as file, _new_file(part, 0o600) as fd:
        while block := file.read(1 << 20):
            digest.update(block)
            write_all(fd, block)
        _own_like(fd, part, status)
        with _if_permitted():  # times first, then what may be refused
            shutil.copystat(*((file.fileno(), fd) if BY_FD else (source, part)))
        if sync:
            os.fsync(fd)
    return digest.hexdigest()


def write_part(
    part: Path, pieces: Iterable[bytes], like: os.stat_result | None, *, sync: bool = True
) -> None:
    """Write a new file, with the mode and owner of the one that it will replace. Raises OSError.

    Without `sync` the caller syncs.
    """
    create_of(part, pieces, like=like, sync=sync)


def copy_mode(part: Path, like: os.stat_result) -> None:
    """Copy another file's mode, and its owner where permitted, to one of ours. Raises OSError."""
    with at(part, check=False) as place:
        fd = os.open(place.name, os.O_RDONLY | BINARY | place.no_follow, dir_fd=place.dir_fd)
    try:
        _mode_like(fd, part, like)
    finally:
        os.close(fd)


def _mode_like(fd: int, path: Path, like: os.stat_result) -> None:
    _own_like(fd, path, like)
    with _if_permitted():
        os.chmod(fd if BY_FD else path, stat.S_IMODE(like.st_mode))


def _own_like(fd: int, path: Path, status: os.stat_result) -> None:
    """Copy the owner where permitted; most people own all their photos anyway."""
    if sys.platform != "win32":
        with _if_permitted():
            os.chown(fd if BY_FD else path, status.st_uid, status.st_gid)


@contextlib.contextmanager
def _if_permitted() -> Iterator[None]:
    """Ignore what this file system or user may not set: FAT, for one, has no owners and modes."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
