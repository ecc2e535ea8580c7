"""Hashing, writing and moving files: the only module that renames, links or unlinks.

Nothing here replaces a file that it did not write itself, but `write_atomic`. A move that is cut
off leaves one of few pictures behind, which `culling.ends` can tell apart.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import secrets
import shutil
import stat
import sys
from typing import TYPE_CHECKING

from iqcli.durable import BINARY, NEW, create, sync_folder, write_all
from iqcli.text import readable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PART = ".iq-part-"
_NO_CALL = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_NO_LINKS = {errno.EPERM, errno.EMLINK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_NOT_EMPTY = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR}
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}


def shown(path: Path) -> str:
    """The path on one line for a sentence: what would steer a terminal is spelled out."""
    return readable(str(path))


def seen(path: Path) -> os.stat_result | None:
    """What lies at this very name (links not followed), or None. Raises OSError if unknowable."""
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def sha256(path: Path) -> str:
    """Hex digest of the content, read as a stream; the access time stays where it may."""
    with os.fdopen(_open_quietly(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open_quietly(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | BINARY | getattr(os, "O_NOATIME", 0))
    except PermissionError:  # only the owner may ask for O_NOATIME
        return os.open(path, os.O_RDONLY | BINARY)


def write_atomic(path: Path, data: bytes) -> None:
    """Replace the content whole: at any instant the name holds the old bytes or the new.

    Mode and owner of an existing file stay; a link keeps pointing. Raises OSError, nothing changed.
    """
    path = path.resolve()
    part = path.with_name(PART + secrets.token_hex(8))
    old = seen(path)
    try:
        create(part, data)
        if old:
            _own_like(part, old)
            with _if_permitted():
                part.chmod(stat.S_IMODE(old.st_mode))
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            remove(part)
        raise
    sync_folder(path.parent)


def place(part: Path, target: Path) -> None:
    """Give a finished part its name, instead of what we wrote there before, and see it on the disk.

    Raises OSError; the part then still lies where it grew.
    """
    part.replace(target)
    sync_folder(target.parent)


def free_bytes(folder: Path) -> int:
    """How much may still be written to the disk on which a folder lies. Raises OSError."""
    return shutil.disk_usage(folder).free


def make_folders(path: Path, mode: int = 0o777) -> tuple[Path, ...]:
    """Make a folder and its parents as needed; returns those made, the outermost first.

    Raises OSError, leaving none of them.
    """
    missing = list(itertools.takewhile(lambda folder: not seen(folder), (path, *path.parents)))
    made: list[Path] = []
    try:
        for folder in reversed(missing):
            folder.mkdir(mode)
            made.append(folder)
            sync_folder(folder.parent)
    except OSError:
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                remove_folder(folder)
        raise
    return tuple(made)


def remove_folder(path: Path) -> None:
    """Remove a folder if it is there and empty, else leave it. Raises other OSErrors."""
    try:
        path.rmdir()
    except OSError as error:
        if error.errno not in _NOT_EMPTY:
            raise


def remove(path: Path) -> None:
    """Remove a file that we wrote for ourselves, such as a part; absent is fine."""
    if seen(path):  # a read-only disk refuses to remove even what is not there
        path.unlink(missing_ok=True)


def remove_claim(path: Path) -> None:
    """Remove an empty file that only held a name. Raises OSError if it is not empty."""
    _check_empty(path)
    path.unlink()


def _check_empty(path: Path) -> None:
    if path.lstat().st_size:
        raise OSError(errno.EEXIST, "the name was taken meanwhile", str(path))


def remove_spare(spare: Path, kept: Path) -> None:
    """Remove one of two names of a photo, having seen that the other one holds it.

    Raises OSError and removes nothing if `kept` is neither a second link nor an equal copy; one
    link seen under two names (a bind mount) is the last copy.
    """
    one, two = spare.lstat(), kept.lstat()
    linked = os.path.samestat(one, two)
    if not (one.st_nlink > 1 if linked else sha256(spare) == sha256(kept)):
        raise OSError(errno.EEXIST, f"differs from {shown(kept)}", str(spare))
    sync_folder(kept.parent)
    spare.unlink()


def part_of(target: Path) -> Path:
    """The name beside `target` under which a copy from another file system grows."""
    return target.with_name(PART + hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16])


def set_aside(folder: Path) -> Path:
    """Rename a damaged folder to the first free `NAME.damaged-N`; returns the new path."""
    if not folder.is_dir():
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    for number in range(1, 1000):
        try:  # a folder replaces nothing but an empty folder
            return folder.rename(folder.with_name(f"{folder.name}.damaged-{number}"))
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
    raise OSError(errno.EEXIST, "too many damaged copies beside it", str(folder))


def move(source: Path, target: Path, claiming: Callable[[Path], None]) -> None:
    """Move a regular file to a name that must be free, across file systems if need be.

    `claiming` is called before the name is held by an empty file, which only systems without a
    better way need. Raises FileExistsError if the name is taken, OSError otherwise; both ends may
    then exist (see `culling.ends`), and never neither.
    """
    try:
        _place(source, target, claiming)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _carry(source, target, claiming)


def _place(source: Path, target: Path, claiming: Callable[[Path], None]) -> None:
    try:
        return rename_new(source, target)
    except OSError as error:
        if error.errno not in _NO_CALL:
            raise
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    else:
        sync_folder(target.parent)
        return source.unlink()
    claiming(target)
    os.close(os.open(target, NEW, 0o600))
    _check_empty(target)
    source.rename(target)


def rename_new(source: Path, target: Path) -> None:
    """Rename in one step that fails if `target` exists; ENOSYS where there is no such call."""
    if sys.platform == "win32":
        source.rename(target)  # refuses by itself there
        return
    from iqcli import libc  # deferred: loads ctypes, and only moves need it

    libc.rename_new(source, target)


def _carry(source: Path, target: Path, claiming: Callable[[Path], None]) -> None:
    part, before = part_of(target), source.lstat()
    digest = _copy(source, part, before)
    after = source.lstat()
    steady = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    if not steady or sha256(part) != digest:
        raise OSError(errno.EIO, "the copy differs from the original", str(source))
    _place(part, target, claiming)
    sync_folder(target.parent)
    source.unlink()


def _copy(source: Path, part: Path, status: os.stat_result) -> str:
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
            os.fsync(fd)
        finally:
            os.close(fd)
    return digest.hexdigest()


def _own_like(path: Path, status: os.stat_result) -> None:
    """Give the owner along where that is permitted; most people own all their photos anyway."""
    if sys.platform != "win32":
        with _if_permitted():
            os.chown(path, status.st_uid, status.st_gid)


@contextlib.contextmanager
def _if_permitted() -> Iterator[None]:
    """Go without what this file system or user may not set: FAT, say, has no owners and modes."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
