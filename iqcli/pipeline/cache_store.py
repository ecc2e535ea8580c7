"""Bytes by key, written behind in batches: a store that never fails, only forgets and warns."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from iqcli.fs.files import set_aside, shown
from iqcli.pipeline.plaindisk import FAULTS, is_damage, is_foreign, open_plain, reason, require_ours

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# What a crash can lose, at most: so many entries, or so many seconds of work.
BATCH = 512
SECONDS = 5.0
_ABSENT = object()


class Store:
    """Bytes by key, written behind in batches. Trouble becomes a warning and a miss.

    Writes belong to the thread that made the store; any thread may read.
    """

    def __init__(self, folder: Path, warn: Callable[[str], None]) -> None:
        self._folder = folder
        self._place = shown(folder)
        self._warn = warn
        self._owner = threading.get_ident()
        self._pending: dict[bytes, bytes] = {}
        self._due = time.monotonic() + SECONDS
        self._writing = True
        self._rebuilt = self._distrusted = False
        self._identity: tuple[int, int] | None = None
        self._db: Any = None
        self._open()

    def get(self, key: bytes) -> Any:
        """The value, or None. What was not written by `put` may be of any kind."""
        if (held := self._pending.get(key)) is not None:
            return held
        if (db := self._db) is None:
            return None
        mine = threading.get_ident() == self._owner
        return self._read(db, key) if mine else _read_once(db, key)

    def put(self, key: bytes, value: bytes) -> None:
        """Keep `value`; it reaches the disk with its batch."""
        if self._writing:
            self._pending[key] = value
            if len(self._pending) >= BATCH or time.monotonic() >= self._due:
                self.flush()

    def flush(self) -> None:
        """Commit what is pending, in one transaction."""
        # At most twice: a damaged database is begun anew, any other trouble ends the writing.
        while self._pending and self._writing and self._db is not None:
            try:
                self._commit()
            except FAULTS as error:
                self._unwritten(error)
        self._pending = {}
        self._due = time.monotonic() + SECONDS

    def clear(self) -> int:
        """Forget everything; says how many entries there were."""
        self._pending = {}
        try:
            return int(self._db.clear()) if self._db is not None else 0
        except FAULTS as error:
            self._unwritten(error)
            return 0

    def count(self) -> int:
        """How many entries there are on disk."""
        try:
            return int(self._db.reset("count")) if self._db is not None else 0
        except FAULTS as error:
            self._fault(error)
            return 0

    def close(self) -> None:
        """Commit and let go of the files."""
        self.flush()
        self._close()

    def distrust(self) -> None:
        """Say, once a run, that an entry was damaged or foreign."""
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
                self._fault(error)
            return None
        if value is None:
            self.distrust()
        return None if value is _ABSENT else value

    def _commit(self) -> None:
        with self._db.transact():
            for key, value in self._pending.items():
                self._db.set(key, value)
        self._pending = {}

    def _unwritten(self, error: Exception) -> None:
        if is_damage(error):
            self._fault(error)
        else:
            # Reading goes on: a full disk must not cost a warm cache.
            self._writing = False
            self._warn(f"nothing more is kept in the cache in {self._place}: {reason(error)}")

    def _fault(self, error: Exception) -> None:
        self._close()
        if is_damage(error) and not self._rebuilt:
            self._rebuild()
        else:
            self._off(error)

    def _rebuild(self) -> None:
        self._rebuilt = True
        try:
            if _identity(self._folder) == self._identity:  # else another run has done it
                aside = set_aside(self._folder)
                self._warn(
                    f"the cache in {self._place} is damaged; it now lies in {shown(aside)} and "
                    "a new one is begun"
                )
        except OSError as error:
            self._off(error)
        else:
            self._open()

    def _off(self, error: Exception) -> None:
        self._writing = False
        self._warn(f"going on without the cache in {self._place}: {reason(error)}")

    def _open(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            require_ours(self._folder)
            self._folder.chmod(0o700)
            self._identity = _identity(self._folder)
            self._db = open_plain(self._folder)
        except FAULTS as error:
            self._fault(error)

    def _close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with suppress(*FAULTS):
                db.close()


def _read_once(db: Any, key: bytes) -> Any:
    # diskcache opens a connection a thread, and nobody would close it when the thread ends: 0.2 ms,
    # beside a decode. A fault is left for the owner of the store to find.
    try:
        value = db.get(key, _ABSENT)
    except FAULTS:
        return None
    finally:
        db.close()
    return None if value is _ABSENT else value


def _identity(folder: Path) -> tuple[int, int]:
    stat = folder.stat()
    return stat.st_dev, stat.st_ino
