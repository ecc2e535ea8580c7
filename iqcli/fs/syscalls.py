"""System calls that Python lacks."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_AT_FDCWD, _RENAME_NOREPLACE = -100, 1  # linux/fcntl.h, linux/fs.h
_AT_FDCWD_DARWIN, _RENAME_EXCL = -2, 4  # macOS, sys/fcntl.h, sys/stdio.h
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc


def rename_new(
    source: Path, target: Path, source_folder: int | None = None, target_folder: int | None = None
) -> None:
    """Rename in one step. Raises FileExistsError if taken, OSError (ENOSYS: there is no call).

    Where folders are given, open, only the names of the paths count. Source: renameat2(2) of Linux,
    renameatx_np(2) of macOS.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    words = (*_from(source, source_folder), *_from(target, target_folder))
    try:
        if sys.platform == "darwin":
            failed = libc.renameatx_np(*words, _RENAME_EXCL)
        else:
            failed = libc.renameat2(*words, _RENAME_NOREPLACE)
    except AttributeError:  # a C library without it
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(source)) from None
    if failed:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(source), None, str(target))


def _from(path: Path, folder: int | None) -> tuple[int, bytes]:
    if folder is None:
        return (_AT_FDCWD_DARWIN if sys.platform == "darwin" else _AT_FDCWD), os.fsencode(path)
    return folder, os.fsencode(path.name)


def can_rename_new() -> bool:
    """Whether this system renames in one step that never replaces a file; a disk may still not."""
    if sys.platform == "win32":  # `os.rename` refuses by itself there
        return True
    name = "renameatx_np" if sys.platform == "darwin" else "renameat2"
    return hasattr(ctypes.CDLL(None), name)


def sync_disk(path: Path) -> bool:
    """Sync the whole disk of a file; False where there is no such call.

    Raises OSError. Source: syncfs(2) of Linux.
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(path, os.O_RDONLY)
    try:
        failed = libc.syncfs(fd)
    except AttributeError:  # a C library without it
        return False
    finally:
        os.close(fd)
    code = ctypes.get_errno() if failed else 0
    if failed and code != errno.ENOSYS:
        raise OSError(code, os.strerror(code), str(path))
    return not failed


def keep_freed_memory() -> None:
    """Let glibc reuse the memory of one photo for the next; elsewhere do nothing.

    By default it returns each picture's megabytes to the kernel, which clears them again for the
    next one: a tenth of the time of a photo. At most what was in use at once is kept.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return
    mallopt(_M_MMAP_THRESHOLD, 32 << 20)  # the largest that glibc takes
    mallopt(_M_TRIM_THRESHOLD, 256 << 20)


def ends_with_parent() -> Callable[[], None] | None:
    """A function that a new process calls to be killed when this one dies, however that happens.

    None where there is no such call. Source: prctl(2) of Linux.
    """
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)  # loaded here: a process just forked should load nothing
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
