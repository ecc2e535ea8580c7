"""The one call that Python lacks: rename that fails if the new name is taken."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_AT_FDCWD, _RENAME_NOREPLACE = -100, 1  # linux/fcntl.h, linux/fs.h
_RENAME_EXCL = 4  # macOS, sys/stdio.h


def rename_new(source: Path, target: Path) -> None:
    """Rename in one step. Raises FileExistsError if taken, OSError ENOSYS where there is no call.

    Source: renameat2(2) of Linux, renamex_np(2) of macOS.
    """
    old, new = os.fsencode(source), os.fsencode(target)
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        if sys.platform == "darwin":
            failed = libc.renamex_np(old, new, _RENAME_EXCL)
        else:
            failed = libc.renameat2(_AT_FDCWD, old, _AT_FDCWD, new, _RENAME_NOREPLACE)
    except AttributeError:  # a C library without it
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(source)) from None
    if failed:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(source), None, str(target))
