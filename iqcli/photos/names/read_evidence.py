"""What files hold, read once in a process: an `Evidence` that knows no cache on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from iqcli.fs.read import is_in_cloud
from iqcli.photos.names.evidence import UNKNOWN, Header, Look

if TYPE_CHECKING:
    import os

# A header takes about 200 bytes.
MOST = 100_000


class FileVersion(NamedTuple):
    """What tells that a file is still the same."""

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


_headers: dict[FileVersion, Header] = {}
_looks: dict[tuple[FileVersion, FileVersion], Look] = {}


class ReadEvidence:
    """Opens the files, unless they were read in this process and are still the same.

    Of those whose content is not on this disk nothing is known, lest it be downloaded.
    """

    def header(self, path: Path) -> Header:
        """The header of a photo or a film; `UNKNOWN` where it cannot be read."""
        try:
            status = path.stat()
        except OSError:
            return UNKNOWN
        if is_in_cloud(status):
            return UNKNOWN
        version = _version(path, status)
        if version not in _headers:
            _make_room(_headers)
            _headers[version] = self.read_header(path, status)
        return _headers[version]

    def likeness(self, edit: Path, original: Path) -> Look:
        """How two pictures look beside each other."""
        try:
            one, other = edit.stat(), original.stat()
        except OSError:
            return Look.UNREADABLE
        if is_in_cloud(one) or is_in_cloud(other):
            return Look.UNREADABLE
        pair = _version(edit, one), _version(original, other)
        if pair not in _looks:
            _make_room(_looks)
            _looks[pair] = self.read_likeness(edit, one, original, other)
        return _looks[pair]

    def read_header(self, path: Path, status: os.stat_result) -> Header:
        """The header of a file that this process has not read."""
        from iqcli.photos.names.headers import read_header  # deferred: not for a warm run

        return read_header(path)

    def read_likeness(
        self, edit: Path, one: os.stat_result, original: Path, other: os.stat_result
    ) -> Look:
        """How two pictures look that this process has not compared; their stats are given."""
        from iqcli.photos.names.looks import likeness

        return likeness(edit, original)


def _version(path: Path, status: os.stat_result) -> FileVersion:
    return FileVersion(
        str(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
    )


def _make_room(known: dict[Any, Any]) -> None:
    if len(known) >= MOST:
        known.clear()
