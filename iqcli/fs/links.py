"""Symbolic links, made and taken away again only while they read as they did."""

from __future__ import annotations

import errno
import stat
from typing import TYPE_CHECKING

from iqcli.fs import files

if TYPE_CHECKING:
    from pathlib import Path


def make_link(path: Path, text: str) -> None:
    """Make a symbolic link that reads so. Raises FileExistsError if the name is taken, OSError."""
    path.symlink_to(text)


def link_reads(path: Path, text: str) -> bool:
    """Whether a symbolic link is there and reads so. Raises OSError if unknowable."""
    status = files.seen(path)
    return status is not None and stat.S_ISLNK(status.st_mode) and str(path.readlink()) == text


def remove_link(path: Path, text: str) -> None:
    """Remove a symbolic link that reads so. Raises OSError, removing nothing, if it is none."""
    if not link_reads(path, text):
        raise OSError(errno.EEXIST, "it is no link of ours", str(path))
    path.unlink()
