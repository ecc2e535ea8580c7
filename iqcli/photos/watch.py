"""Which photos have arrived whole: folders are looked through again and again.

Polling sees what other machines write to a network disk, where no notice of a change is sent. A
shot has arrived once all of its files have been quiet, of the same size, time and inode, for a
while; what cannot be read then is given ten times as long, for it may still be on its way.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iqcli.errors import IqError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from iqcli.photos.find import OnProblem
    from iqcli.records import Photo, Shot

    State = tuple[tuple[str, int, int, int], ...]
    Walk = Callable[[list[Path], OnProblem], Iterable[Shot]]

# How many times the quiet that a whole file needs an unreadable one gets.
PATIENCE = 10
# Photos remembered that lie on disks which are not there now.
ABSENT = 100_000
# How programs call files that they have not finished; hidden ones are such, too (rsync).
PASSING = (".part", ".partial", ".crdownload", ".download", ".filepart", ".tmp", ".temp", "~")


def is_passing(name: str) -> bool:
    """Whether a file has this name only until it is whole."""
    return name.startswith(".") or name.lower().endswith(PASSING)


class Watched:
    """Folders that may go (a disk is unmounted) and come back, as often as they like."""

    def __init__(
        self, folders: Sequence[Path], walk: Walk, say: Callable[[Path, str], None]
    ) -> None:
        """`say` is told, once each, what is wrong with a path and when it is over."""
        self._walk = walk
        self._say = say
        self._devices = {folder: folder.stat().st_dev for folder in folders}
        self._told: set[tuple[Path, str]] = set()
        self._away: set[Path] = set()

    def shots(self) -> list[Shot]:
        """What lies there now, in path order."""
        here = [folder for folder in self._devices if self._is_here(folder)]
        problems: set[tuple[Path, str]] = set()
        try:
            found = list(self._walk(here, lambda path, why: problems.add((path, why))))
        except IqError:  # a folder went while it was walked; the next look tells
            return []
        for path, why in sorted(problems - self._told):
            self._say(path, why)
        self._told = problems
        return [shot for shot in found if not is_passing(shot.path.name)]

    def _is_here(self, folder: Path) -> bool:
        """Whether it can be looked through; says when that changes."""
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
    """A shot as it was last found: for how long, and what was said of it."""

    root: Path
    device: int
    state: State
    since: float
    tried: bool = False
    done: bool = False
    sha256: str | None = None

    def is_over(self, path: Path) -> bool:
        """Whether a file that was not found was taken away, and not its whole disk; what was never
        told is over in any case."""
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


class Arrivals:
    """Shots that have settled, each once, and again when its primary file holds something else."""

    def __init__(
        self, watched: Watched, settle: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`settle` is in seconds; `clock` tells them."""
        self._watched = watched
        self._settle = settle
        self._clock = clock
        self._seen: dict[Path, _Seen] = {}

    def pass_over(self) -> None:
        """Take what lies there now as known: it arrives only if it changes."""
        self.settled()
        for seen in self._seen.values():
            seen.done, seen.state = True, seen.state[:1]

    def settled(self) -> list[Shot]:
        """Look once; the shots that may be read now, in path order."""
        now, ready, there = self._clock(), [], set()
        for shot in self._watched.shots():
            there.add(shot.path)
            try:
                if self._is_ready(shot, now):
                    ready.append(shot)
            except OSError:  # gone, or on its way to another name
                self._seen.pop(shot.path, None)
        self._forget(there)
        return ready

    def take(self, judged: Photo) -> bool:
        """Whether the result of a settled shot is to be told: not if its content was told before,
        and not yet if it cannot be read and may still be on its way."""
        seen = self._seen[judged.shot.path]
        if judged.error and not seen.tried:
            seen.tried = True
            return False
        seen.done, seen.state = True, seen.state[:1]
        is_news = judged.sha256 is None or judged.sha256 != seen.sha256
        seen.sha256 = judged.sha256
        return is_news

    def _is_ready(self, shot: Shot, now: float) -> bool:
        status = shot.path.stat()
        seen = self._seen.get(shot.path)
        state: State = (_state(shot.path, status),)
        if seen and seen.done and seen.state == state:
            return False  # a companion that comes late changes nothing
        state += tuple(_state(path, path.stat()) for path in shot.companions)
        if seen is None or seen.state != state:
            known = seen.sha256 if seen else None
            seen = _Seen(shot.root, status.st_dev, state, now, sha256=known)
            self._seen[shot.path] = seen
        return now - seen.since >= self._settle * (PATIENCE if seen.tried else 1)

    def _forget(self, there: set[Path]) -> None:
        """What a person took away arrives when it comes back; a disk that comes back does not."""
        absent = [path for path in self._seen if path not in there]
        gone = [path for path in absent if self._seen[path].is_over(path)]
        kept = len(absent) - len(gone)
        for path in gone if kept <= ABSENT else absent:
            del self._seen[path]


def _state(path: Path, status: os.stat_result) -> tuple[str, int, int, int]:
    return path.name, status.st_size, status.st_mtime_ns, status.st_ino
