"""Locks on files, which the system lets go by itself when a process dies."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    import msvcrt

    def try_lock(fd: int, *, alone: bool) -> bool:
        """Lock an open file, for us alone or shared; False where another process is in the way."""
        if not alone:  # there is no shared lock there
            return True
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def try_lock(fd: int, *, alone: bool) -> bool:
        """Lock an open file, for us alone or shared; False where another process is in the way."""
        try:
            fcntl.flock(fd, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
