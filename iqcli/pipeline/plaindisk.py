"""diskcache made harmless: the one module that knows it.

diskcache pickles what it does not know, unpickles whatever it finds and keeps large values in
files named by its table (CVE-2025-69872). None of that happens here: whoever can write to the cache
folder can make us forget, never act.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, NoReturn

import diskcache
from diskcache.core import DBNAME, MODE_RAW

if TYPE_CHECKING:
    from pathlib import Path

# How many seconds another run may hold the database before it counts as trouble.
PATIENCE = 30.0
FAULTS = (sqlite3.Error, diskcache.Timeout, OSError, ValueError)

_SETTINGS: dict[str, Any] = diskcache.DEFAULT_SETTINGS | {
    "eviction_policy": "none",
    "size_limit": 2**62,
    "cull_limit": 0,
    "disk_min_file_size": 2**62,
    "disk_pickle_protocol": 0,
}
_COUNTERS = {"count", "size", "hits", "misses"}
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}


class PlainDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache has no types
    """Bytes and str in the table's own column: no pickle, no side file, neither read nor written.

    `fetch` gives None for a row that we cannot have written.
    """

    def put(self, key: object) -> tuple[bytes | str, bool]:
        if type(key) is bytes or type(key) is str:
            return key, True
        raise TypeError("a key is bytes or str")

    def get(self, key: object, raw: object) -> object:
        return key if raw else None

    def store(self, value: object, read: bool, key: object = None) -> tuple[int, int, None, object]:
        if read or type(value) not in (bytes, str):
            raise TypeError("a value is bytes or str")
        return 0, MODE_RAW, None, value

    def fetch(self, mode: object, filename: object, value: object, read: bool) -> object:
        ours = mode == MODE_RAW and filename is None and not read
        return value if ours and type(value) in (bytes, str) else None

    def filename(self, key: object = None, value: object = None) -> NoReturn:
        raise TypeError("there are no side files")

    def remove(self, file_path: object) -> None:
        """A name in the table is not ours: whatever it points at stays."""


def open_plain(folder: Path) -> Any:
    """The `diskcache.Cache` in `folder`. Raises one of FAULTS."""
    name = str(folder)
    if os.path.expandvars(os.path.expanduser(name)) != name:  # noqa: PTH111  as diskcache does it
        raise OSError("diskcache would expand the '$' or '~' in the folder's name")
    if (folder / DBNAME).exists():
        _inspect(folder)
    return diskcache.Cache(name, timeout=PATIENCE, disk=PlainDisk, **_SETTINGS)


def require_ours(folder: Path) -> None:
    """Raise OSError for a folder that holds other things than a cache: it is a person's own."""
    if not (folder / DBNAME).exists() and any(folder.iterdir()):
        raise OSError("the folder is not empty and no cache of iq")


def _inspect(folder: Path) -> None:
    # diskcache takes each row of this table for an attribute of its own, `_directory` not excepted.
    with closing(sqlite3.connect(folder / DBNAME, timeout=PATIENCE)) as db:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
        if "Settings" in tables:
            keys = {key for (key,) in db.execute("SELECT key FROM Settings")}
            if not keys <= _SETTINGS.keys() | _COUNTERS:
                raise ValueError("unknown settings")


def is_damage(error: BaseException) -> bool:
    """Whether the database itself is broken, and not only out of reach."""
    cause = _first(error)
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in _BROKEN
    return isinstance(cause, ValueError)


def is_foreign(error: BaseException) -> bool:
    """Whether one entry, not the database, could not be read: text that is no UTF-8."""
    return isinstance(error, sqlite3.OperationalError) and not hasattr(error, "sqlite_errorcode")


def reason(error: BaseException) -> str:
    """The cause in a few words."""
    cause = _first(error)
    return (isinstance(cause, OSError) and cause.strerror) or str(cause) or type(cause).__name__


def _first(error: BaseException) -> BaseException:
    # diskcache hides the cause: its Timeout stands for any trouble at BEGIN, and its ROLLBACK
    # fails after SQLite has rolled back by itself.
    while isinstance(error.__context__, FAULTS):
        error = error.__context__
    return error
