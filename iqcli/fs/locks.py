"""Locks on files, which the system lets go by itself when a process dies.

One process a root: locks that the system lets go by itself when a process dies.
"""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from iqcli.errors import IqError
from iqcli.fs import files
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

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


@contextmanager
def hold(roots: Iterable[Path], state_dir: Path) -> Iterator[None]:
    """Work alone in these roots (absolute, links resolved), in what they hold and what holds them.

    Each root is locked for us and each folder above it shared, so that two runs meet also where one
    root lies in the other. Raises IqError at once where another process is at work.
    """
    alone = set(roots)
    above = {folder for root in alone for folder in root.parents} - alone
    with ExitStack() as stack:
        for path in sorted(alone | above):
            stack.callback(os.close, _lock(path, state_dir / "locks", alone=path in alone))
        yield


def _lock(path: Path, folder: Path, *, alone: bool) -> int:
    try:
        files.make_folders(folder, 0o700)
        fd = os.open(folder / _name(path), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise IqError(f"cannot lock in {display_path(folder)}: {error.strerror}") from error
    if not try_lock(fd, alone=alone):
        os.close(fd)
        raise IqError(f"another iq is working in {display_path(path)}; wait until it has ended")
    return fd


def _name(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
