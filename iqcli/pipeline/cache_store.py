"""Bytes by key, written in batches: a store that never fails, only forgets and warns.

The only module that uses diskcache. diskcache pickles what it does not know, unpickles whatever it
finds and keeps large values in files named by its table (CVE-2025-69872). None of that happens
here: whoever can write to the cache folder can make us forget, but can run nothing.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn

import diskcache
from diskcache.core import DBNAME, MODE_RAW

from iqcli import interrupts
from iqcli.fs.files import quarantine
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# How many seconds another run may hold the database before it counts as trouble.
PATIENCE = 30.0
# What a crash can lose, at most: so many entries, or so many seconds of work.
BATCH = 512
SECONDS = 5.0
# What waits in memory, at most, in bytes.
MOST_PENDING = 2**23
FAULTS = (sqlite3.Error, diskcache.Timeout, OSError, ValueError)

_SETTINGS: dict[str, Any] = diskcache.DEFAULT_SETTINGS | {
    "eviction_policy": "none",
    "size_limit": 2**62,
    "cull_limit": 0,
    "disk_min_file_size": 2**62,
    "disk_pickle_protocol": 0,
}
_COUNTERS = {"count", "size", "hits", "misses"}
_ABSENT = object()
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


def refuse_links(folder: Path) -> None:
    """Raise OSError where the folder, the one that it lies in or a file in it is a link.

    What it leads to would be given other permissions, or tables. Folders further up may be links.
    """
    inside = folder.iterdir() if folder.is_dir() and not folder.is_symlink() else ()
    for each in (folder.parent, folder, *inside):
        if each.is_symlink():
            raise OSError(
                f"{display_path(each)} is a link, and none is followed there; remove it, or let "
                "--cache-dir name the folder itself"
            )


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
    cause = _root_cause(error)
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in _BROKEN
    return isinstance(cause, ValueError)


def is_foreign(error: BaseException) -> bool:
    """Whether one entry, not the database, could not be read: text that is no UTF-8."""
    return isinstance(error, sqlite3.OperationalError) and not hasattr(error, "sqlite_errorcode")


def reason(error: BaseException) -> str:
    """The cause in a few words."""
    cause = _root_cause(error)
    return (isinstance(cause, OSError) and cause.strerror) or str(cause) or type(cause).__name__


def _root_cause(error: BaseException) -> BaseException:
    # diskcache hides the cause: its Timeout stands for any trouble at BEGIN, and its ROLLBACK
    # fails after SQLite has rolled back by itself.
    while isinstance(error.__context__, FAULTS):
        error = error.__context__
    return error


class Store:
    """Bytes by key, written behind in batches. Trouble becomes a warning and a miss.

    Writes belong to the thread that made the store; any thread may read.
    """

    def __init__(self, folder: Path, warn: Callable[[str], None]) -> None:
        self._folder = folder
        self._place = display_path(folder)
        self._warn = warn
        self._owner = threading.get_ident()
        self._pending: dict[bytes, bytes] = {}
        self._bytes = 0
        self._due = time.monotonic() + SECONDS
        self._writing = True
        self._rebuilt = self._distrusted = False
        self._identity: tuple[int, int] | None = None
        self._db: Any = None
        self._holding = threading.local()
        self._open()

    def get(self, key: bytes) -> Any:
        """The value, or None. What was not written by `put` may be of any kind."""
        if (held := self._pending.get(key)) is not None:
            return held
        if (db := self._db) is None:
            return None
        if threading.get_ident() == self._owner:
            return self._read(db, key)
        try:
            return _read_elsewhere(db, key)
        finally:
            if not getattr(self._holding, "several", False):
                db.close()

    @contextmanager
    def several(self) -> Iterator[None]:
        """Reads that share a connection in another thread than the owner's.

        diskcache opens one a thread, and nobody would close it when the thread ends; to open it
        takes 0.3 ms, beside a decode.
        """
        db, mine = self._db, threading.get_ident() == self._owner
        self._holding.several = True
        try:
            yield
        finally:
            self._holding.several = False
            if db is not None and not mine:
                db.close()

    def put(self, key: bytes, value: bytes) -> None:
        """Keep `value`; it reaches the disk with its batch."""
        if self._writing:
            self._pending[key] = value
            self._bytes += len(value)
            full = len(self._pending) >= BATCH or self._bytes >= MOST_PENDING
            if full or time.monotonic() >= self._due:
                self.flush()

    def flush(self) -> None:
        """Commit what is pending, in one transaction."""
        # At most twice: a damaged database is begun anew, any other trouble ends the writing.
        while self._pending and self._writing and self._db is not None:
            try:
                self._commit()
            except FAULTS as error:
                self._write_failed(error)
        self._pending, self._bytes = {}, 0
        self._due = time.monotonic() + SECONDS

    def clear(self) -> int:
        """Delete everything; returns how many entries there were."""
        self._pending = {}
        try:
            return int(self._db.clear()) if self._db is not None else 0
        except FAULTS as error:
            self._write_failed(error)
            return 0

    def count(self) -> int:
        """How many entries there are on disk."""
        try:
            return int(self._db.reset("count")) if self._db is not None else 0
        except FAULTS as error:
            self._failed(error)
            return 0

    def close(self) -> None:
        """Commit and let go of the files."""
        self.flush()
        self._close()

    def distrust(self) -> None:
        """Warn, once a run, that an entry was damaged or foreign."""
        if not self._distrusted:
            self._distrusted = True
            self._warn(
                f"the cache in {self._place} holds entries that are damaged or foreign; "
                "they are ignored"
            )

    def _read(self, db: Any, key: bytes) -> Any:
        try:
            value = db.get(key, _ABSENT)
        except FAULTS as error:
            if is_foreign(error):
                self.distrust()
            else:
                self._failed(error)
            return None
        if value is None:
            self.distrust()
        return None if value is _ABSENT else value

    def _commit(self) -> None:
        # An interrupt behind BEGIN would leave the transaction open, and the next one would fail.
        with interrupts.held(), self._db.transact():
            for key, value in self._pending.items():
                self._db.set(key, value)
        self._pending = {}

    def _write_failed(self, error: Exception) -> None:
        if is_damage(error):
            self._failed(error)
        else:
            # Reading goes on: a full disk must not cost a warm cache.
            self._writing = False
            self._warn(f"nothing more is kept in the cache in {self._place}: {reason(error)}")

    def _failed(self, error: Exception) -> None:
        self._close()
        if is_damage(error) and not self._rebuilt:
            self._rebuild()
        else:
            self._give_up(error)

    def _rebuild(self) -> None:
        self._rebuilt = True
        try:
            if _identity(self._folder) == self._identity:  # else another run has done it
                aside = quarantine(self._folder)
                self._warn(
                    f"the cache in {self._place} is damaged; it now lies in "
                    f"{display_path(aside)} and a new one is begun"
                )
        except OSError as error:
            self._give_up(error)
        else:
            self._open()

    def _give_up(self, error: Exception) -> None:
        self._writing = False
        self._warn(f"going on without the cache in {self._place}: {reason(error)}")

    def _open(self) -> None:
        try:
            refuse_links(self._folder)
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            require_ours(self._folder)
            self._folder.chmod(0o700)
            self._identity = _identity(self._folder)
            self._db = open_plain(self._folder)
        except FAULTS as error:
            self._failed(error)

    def _close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with suppress(*FAULTS):
                db.close()


def _read_elsewhere(db: Any, key: bytes) -> Any:
    # A fault is left for the owner of the store to find.
    try:
        value = db.get(key, _ABSENT)
    except FAULTS:
        return None
    return None if value is _ABSENT else value


def _identity(folder: Path) -> tuple[int, int]:
    stat = folder.stat()
    return stat.st_dev, stat.st_ino
