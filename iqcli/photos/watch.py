"""Watch folders: which photos are fully written, found by polling.

Polling also sees what other machines write to a network disk, which sends no events. A shot has
settled once all of its files have kept their size, time and inode for a while. One that cannot be
read then, or is damaged, gets ten times as long: it may still be being written.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iqcli.errors import IqError
from iqcli.records import is_damaged

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from iqcli.photos.find import OnProblem
    from iqcli.records import Photo, Shot

    State = tuple[tuple[str, int, int, int], ...]
    Walk = Callable[[list[Path], OnProblem], Iterable[Shot]]

# An unreadable or damaged photo gets this many times the usual time to settle.
PATIENCE = 10
# Photos remembered of disks that are not mounted now.
ABSENT = 100_000
# Endings of names of unfinished files; hidden files are unfinished, too (rsync).
TEMPORARY = (".part", ".partial", ".crdownload", ".download", ".filepart", ".tmp", ".temp", "~")


def is_temporary(name: str) -> bool:
    """Whether a file has this name only until it is fully written."""
    return name.startswith(".") or name.lower().endswith(TEMPORARY)


class FolderScanner:
    """Folders that may disappear (a disk is unmounted) and come back, any number of times."""

    def __init__(
        self, folders: Sequence[Path], walk: Walk, say: Callable[[Path, str], None]
    ) -> None:
        """`say` gets each problem with a path once, and when a folder is back."""
        self._walk = walk
        self._say = say
        self._devices = {folder: folder.stat().st_dev for folder in folders}
        self._reported: set[tuple[Path, str]] = set()
        self._away: set[Path] = set()

    def scan(self) -> list[Shot]:
        """The shots in the folders now, in path order."""
        here = [folder for folder in self._devices if self._is_here(folder)]
        problems: set[tuple[Path, str]] = set()
        try:
            found = list(self._walk(here, lambda path, why: problems.add((path, why))))
        except IqError:  # a folder disappeared meanwhile; the next scan reports it
            return []
        for path, why in sorted(problems - self._reported):
            self._say(path, why)
        self._reported = problems
        return [shot for shot in found if not is_temporary(shot.path.name)]

    def _is_here(self, folder: Path) -> bool:
        """Whether a folder can be listed; reports when that changes."""
        is_here = self._holds(folder)
        if is_here and folder in self._away:
            self._away.remove(folder)
            self._say(folder, "is back")
        elif not is_here and folder not in self._away:
            self._away.add(folder)
            self._say(folder, "is not there any more; waiting for it")
        return is_here

    def _holds(self, folder: Path) -> bool:
        try:
            device = folder.stat().st_dev
            # The empty folder on which a disk was mounted is not the disk.
            if device != self._devices[folder] and not any(folder.iterdir()):
                return False
        except OSError:
            return False
        self._devices[folder] = device
        return True


@dataclass(slots=True)
class _Seen:
    """A shot as it was last found, since when, and what became of it."""

    root: Path
    device: int
    state: State
    since: float
    tried: bool = False
    done: bool = False
    sha256: str | None = None

    def was_deleted(self, path: Path) -> bool:
        """Whether a file that is missing was deleted, not unmounted with its whole disk.

        One that was never accepted counts as deleted in any case.
        """
        if not self.done:
            return True
        for each in (path, *path.parents):
            try:
                device = each.stat().st_dev
            except (FileNotFoundError, NotADirectoryError):
                if each == self.root:
                    return False
            except OSError:
                return False
            else:
                return each != path and device == self.device
        return False


class WatchFolder:
    """Shots that have settled, each once, and again when its primary file gets another content."""

    def __init__(
        self, scanner: FolderScanner, settle: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`settle` is in seconds of `clock`."""
        self._scanner = scanner
        self._settle = settle
        self._clock = clock
        self._seen: dict[Path, _Seen] = {}

    def mark_seen(self) -> None:
        """Take all that is there now as known: it is reported only if it changes."""
        self.settled()
        for seen in self._seen.values():
            seen.done, seen.state = True, seen.state[:1]

    def settled(self) -> list[Shot]:
        """Scan once; the shots that may be read now, in path order."""
        now, ready, there = self._clock(), [], set()
        for shot in self._scanner.scan():
            there.add(shot.path)
            try:
                if self._is_ready(shot, now):
                    ready.append(shot)
            except OSError:  # deleted, or being renamed
                self._seen.pop(shot.path, None)
        self._forget(there)
        return ready

    def accept(self, shot: Shot, photo: Photo) -> bool:
        """Whether the result of a settled shot is to be reported.

        Not if its content was reported before, and not yet if a file that should lead it cannot be
        read, or in part, and may still be being written.
        """
        seen = self._seen[shot.path]
        if (photo.error or photo.broken or is_damaged(photo)) and not seen.tried:
            seen.tried = True
            return False
        seen.done, seen.state = True, seen.state[:1]
        is_news = photo.sha256 is None or photo.sha256 != seen.sha256
        seen.sha256 = photo.sha256
        return is_news

    def _is_ready(self, shot: Shot, now: float) -> bool:
        status = shot.path.stat()
        seen = self._seen.get(shot.path)
        state: State = (_state(shot.path, status),)
        if seen and seen.done and seen.state == state:
            return False  # a later companion changes nothing
        state += tuple(_state(path, path.stat()) for path in shot.companions)
        if seen is None or seen.state != state:
            known = seen.sha256 if seen else None
            seen = _Seen(shot.root, status.st_dev, state, now, sha256=known)
            self._seen[shot.path] = seen
        return now - seen.since >= self._settle * (PATIENCE if seen.tried else 1)

    def _forget(self, there: set[Path]) -> None:
        """Forget deleted photos, so that they are new when they come back; not those of a disk."""
        absent = [path for path in self._seen if path not in there]
        gone = [path for path in absent if self._seen[path].was_deleted(path)]
        kept = len(absent) - len(gone)
        for path in gone if kept <= ABSENT else absent:
            del self._seen[path]


def _state(path: Path, status: os.stat_result) -> tuple[str, int, int, int]:
    return path.name, status.st_size, status.st_mtime_ns, status.st_ino
