"""Locks on open files and on whole folders of photos. They end with the process that holds them."""

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
        """Lock an open file, exclusive or shared; False where another process holds it."""
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
        """Lock an open file, exclusive or shared; False where another process holds it."""
        try:
            fcntl.flock(fd, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def hold(roots: Iterable[Path], state_dir: Path) -> Iterator[None]:
    """Lock these roots (absolute, links resolved) against other runs of iq while the block runs.

    Each root is locked exclusively and each folder above it shared, so that two runs also exclude
    each other where one root lies in the other's. Raises IqError at once where one is locked.
    """
    files.refuse_foreign_links(state_dir)
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
