"""Folders held open while a run changes what is in them, so that no link leads it elsewhere.

Below a root that is `anchored`, `at` opens the folders of a path one by one, follows no link, and
gives the last of them: a change relative to it happens there, whatever becomes of the names. When
the change is made, the names must still lead there. Elsewhere paths are used as they are.

Where the system makes no change relative to an open folder (Windows), the names are looked at
before and after instead. A link that is swapped in between is noticed, not prevented.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_CALLS = {os.open, os.stat, os.mkdir, os.rmdir, os.unlink, os.rename, os.link, os.symlink}
_FLAGS = hasattr(os, "O_NOFOLLOW") and hasattr(os, "O_DIRECTORY")
# Whether a change can be made relative to an open folder.
DESCRIPTORS = _CALLS | {os.readlink} <= os.supports_dir_fd and _FLAGS
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
# O_PATH, of Linux, needs no right to list a folder.
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | NO_FOLLOW | getattr(os, "O_PATH", 0)
_NAME_SURROGATE = 0x20000000  # Windows, winnt.h: a reparse point that leads to another name
_LINK_OPENED = {errno.ELOOP, errno.EMLINK, errno.ENOTDIR}
# More open folders than this are closed before the next change.
_MANY = 64


@dataclass(frozen=True, slots=True)
class _Opened:
    """A folder; `fd` is None where folders cannot be held open."""

    path: str
    fd: int | None
    identity: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file is, for the calls of `os`: a `name`, and the `dir_fd` that it counts from.

    `no_follow` is the flag that opens no link, 0 where the path is below no anchored root.
    """

    name: Path | str
    dir_fd: int | None = None
    no_follow: int = 0
    folders: tuple[_Opened, ...] = ()

    def check(self) -> None:
        """See that the path still leads to the open folder. Raises OSError, naming where not."""
        above = None
        for each in self.folders:
            try:
                found = _identity(_look(each.path, above))
            except FileNotFoundError:
                found = None
            if found != each.identity:
                raise _swapped(each.path, "was replaced meanwhile")
            above = each

    def stat(self) -> os.stat_result:
        """The stat of the name, no link followed."""
        return os.stat(self.name, dir_fd=self.dir_fd, follow_symlinks=False)


class _Anchors:
    """The open folders below some roots; `busy` places are in use, whose folders stay open."""

    def __init__(self, roots: Iterable[Path], own: Iterable[Path]) -> None:
        self._roots = {str(folder): os.path.realpath(folder) for folder in own}
        self._roots |= {str(root): str(root) for root in roots}
        self._open: dict[str, _Opened] = {}
        self._replaced: list[_Opened] = []
        self._chains: dict[str, tuple[str, ...]] = {}
        self.busy = 0

    def chain(self, folder: str) -> tuple[str, ...]:
        """The folders from the root to this one; none where it is below no root."""
        if (known := self._chains.get(folder)) is not None:
            return known
        found, above = [folder], folder
        while above not in self._roots and above != os.path.dirname(above):
            above = os.path.dirname(above)
            found.append(above)
        chain = tuple(reversed(found)) if above in self._roots else ()
        self._chains[folder] = chain
        return chain

    def folders(self, chain: Iterable[str]) -> tuple[_Opened, ...]:
        """Open folders, each in the one before, as the names lead to them now. Raises OSError."""
        if not self.busy and len(self._open) + len(self._replaced) > _MANY:
            self.close()
        found: list[_Opened] = []
        above = None
        for folder in chain:
            path = folder if above else self._roots[folder]
            now = _look(path, above)
            known = self._open.get(folder)
            if known is None or known.identity != _identity(now):
                if known:
                    self._replaced.append(self._open.pop(folder))
                known = self._open[folder] = _opened(path, above, now)
            found.append(known)
            above = known
        return tuple(found)

    def close(self) -> None:
        """Close all folders."""
        for each in (*self._open.values(), *self._replaced):
            if each.fd is not None:
                os.close(each.fd)
        self._open.clear()
        self._replaced.clear()


_ANCHORS: ContextVar[_Anchors | None] = ContextVar("anchors", default=None)


@contextmanager
def anchored(roots: Iterable[Path], own: Iterable[Path] = ()) -> Iterator[None]:
    """Hold what lies below these roots (absolute, link-free) while the block changes it.

    So is what lies below folders of our `own`, where links lead to them now.
    """
    anchors = _Anchors(roots, own)
    before = _ANCHORS.set(anchors)
    try:
        yield
    finally:
        _ANCHORS.reset(before)
        anchors.close()


def is_anchored(path: Path) -> bool:
    """Whether a path is below a root that is held."""
    anchors = _ANCHORS.get()
    return anchors is not None and bool(anchors.chain(os.path.dirname(path)))


@contextmanager
def at(path: Path, *, check: bool = True) -> Iterator[Place]:
    """The place of a path, for one look or change in the block.

    Raises OSError, naming the folder, where a link leads elsewhere; with `check` also where the
    path leads elsewhere after the block.
    """
    anchors = _ANCHORS.get()
    folder, name = os.path.split(path)
    chain = anchors.chain(folder) if anchors else ()
    if anchors is None or not chain:
        yield Place(path)
        return
    folders = anchors.folders(chain)
    fd = folders[-1].fd
    anchors.busy += 1
    place = Place(path if fd is None else name, fd, NO_FOLLOW, folders)
    try:
        yield place
        if check or fd is None:
            place.check()
    except OSError as error:
        if fd is None and isinstance(error, FileNotFoundError):
            place.check()
        if error.filename == name:  # messages name the whole path
            error.filename = str(path)
        raise
    finally:
        anchors.busy -= 1


def _look(folder: str, above: _Opened | None) -> os.stat_result:
    """The stat of a folder by its name. Raises OSError for a link and what is no folder."""
    try:
        if above is None or above.fd is None:
            status = os.lstat(folder)
        else:
            name = os.path.basename(folder)
            status = os.stat(name, dir_fd=above.fd, follow_symlinks=False)
    except OSError as error:
        error.filename = folder
        raise
    if stat.S_ISLNK(status.st_mode) or getattr(status, "st_reparse_tag", 0) & _NAME_SURROGATE:
        raise _swapped(folder)
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder)
    return status


def _opened(folder: str, above: _Opened | None, now: os.stat_result) -> _Opened:
    if not DESCRIPTORS:
        return _Opened(folder, None, _identity(now))
    fd = _walk(folder) if above is None else _open(folder, above.fd)
    return _Opened(folder, fd, _identity(os.fstat(fd)))


def _walk(root: str) -> int:
    """Open a root from the top of the file system, no link followed."""
    top, _, rest = root.partition(os.sep)
    path = top + os.sep
    fd = os.open(path, _FOLDER)
    for name in filter(None, rest.split(os.sep)):
        path = os.path.join(path, name)
        try:
            inner = _open(path, fd)
        finally:
            os.close(fd)
        fd = inner
    return fd


def _open(folder: str, above: int | None) -> int:
    try:
        return os.open(os.path.basename(folder), _FOLDER, dir_fd=above)
    except OSError as error:
        error.filename = folder
        if error.errno in _LINK_OPENED:
            raise _swapped(folder) from error
        raise


def _swapped(folder: str, what: str = "leads elsewhere through a link") -> OSError:
    return OSError(errno.ELOOP, f"{display_path(folder)} {what}", folder)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
