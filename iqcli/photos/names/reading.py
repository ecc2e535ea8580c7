"""What files hold, read once in a process: an `Evidence` that knows no cache."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from iqcli.photos.names.evidence import UNKNOWN, Header, Likeness

if TYPE_CHECKING:
    import os

# A header takes about 200 bytes.
MOST = 200_000


class State(NamedTuple):
    """What tells that a file is still the same."""

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


def state_of(path: Path, status: os.stat_result) -> State:
    """The state of a file by its stat."""
    return State(str(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


class ReadEvidence:
    """Opens the files, unless they were read in this process and are still the same."""

    def header(self, path: Path) -> Header:
        """The header of a photo or a film; `UNKNOWN` where it cannot be read."""
        try:
            return _header(state_of(path, path.stat()))
        except OSError:
            return UNKNOWN

    def likeness(self, edit: Path, original: Path) -> Likeness:
        """How two pictures look beside each other."""
        try:
            return _likeness(state_of(edit, edit.stat()), state_of(original, original.stat()))
        except OSError:
            return Likeness.UNREADABLE


@lru_cache(MOST)
def _header(state: State) -> Header:
    from iqcli.photos.names.headers import read_header  # deferred: not for a warm run

    return read_header(Path(state.path))


@lru_cache(MOST)
def _likeness(edit: State, original: State) -> Likeness:
    from iqcli.photos.names.looks import likeness

    return likeness(Path(edit.path), Path(original.path))
