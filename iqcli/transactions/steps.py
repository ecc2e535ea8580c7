"""One file on its way, judged by what lies at both ends: the same eyes for a deed and a recovery.

A move that was cut off leaves one of these pictures, whatever the file system:

    source only                    not begun
    target only                    done
    both, two links to one file    linked, the old name not yet removed
    both, target an empty claim    the name is held, the photo not yet there (journalled before)
    both, equal copies             copied across file systems, the original not yet removed
    neither                        not our doing: reported, never guessed

A copy that was still growing lies beside the target under a name of its own (`files.part_of`).
"""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, ClassVar

from iqcli.errors import PlanConflict
from iqcli.fs import files

if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from pathlib import Path

    from iqcli.transactions.plan import PlannedFile


class Place(Enum):
    """Where a file was found."""

    AT_SOURCE = auto()
    AT_TARGET = auto()
    CLAIMED = auto()  # at the source; at the target stands an empty claim of ours
    SPARE = auto()  # at the target, and the source is a second name or copy of it


@dataclass(frozen=True, slots=True)
class Known:
    """What the journals say.

    `settled`: no step of this run can be half done. `at_source`: this file was at its source when
    last heard of. `claims`: the names that were about to be held by an empty file.
    """

    settled: bool
    at_source: bool
    claims: Container[Path] = ()


@dataclass(frozen=True, slots=True)
class Step(ABC):
    """One file, where it should come from and get to (absolute), and what it held when planned."""

    source: Path
    target: Path
    file: PlannedFile
    verb: ClassVar[str]

    @property
    def late(self) -> str:
        """What to say where another came first between the look and the deed."""
        return f"the name {files.shown(self.target)} was taken meanwhile"

    @abstractmethod
    def back(self) -> Step:
        """The same way in the other direction."""

    @abstractmethod
    def look(self, known: Known) -> Place:
        """Find the file. Raises PlanConflict where it is gone or changed, or its name is taken."""

    @abstractmethod
    def bring(self, place: Place, claiming: Callable[[Path], None]) -> None:
        """Do it from where the file was found, and only that. Raises OSError."""


@dataclass(frozen=True, slots=True)
class Move(Step):
    """A step that takes the file along; the way back is one, too."""

    verb = "move"

    def back(self) -> Move:
        """See `Step`."""
        return Move(self.target, self.source, self.file)

    def look(self, known: Known) -> Place:
        """See `Step`."""
        source, target = files.seen(self.source), files.seen(self.target)
        if source and target:
            return self._look_at_both(source, target, known)
        if source:
            if not holds(self.source, source, self.file):
                raise PlanConflict(f"{files.shown(self.source)} has changed since")
            return Place.AT_SOURCE
        if not target or (known.at_source and not holds(self.target, target, self.file)):
            raise PlanConflict(f"{files.shown(self.source)} is gone")
        return Place.AT_TARGET

    def _look_at_both(self, source: os.stat_result, target: os.stat_result, known: Known) -> Place:
        if os.path.samestat(source, target) and source.st_nlink > 1:
            return Place.SPARE
        if known.settled:
            raise PlanConflict(f"the name {files.shown(self.target)} is taken")
        if is_claim(self.target, target, known) and holds(self.source, source, self.file):
            return Place.CLAIMED
        if not is_equal(self.target, target, self.file):
            raise PlanConflict(f"the name {files.shown(self.target)} is taken")
        if is_claim(self.source, source, known) or is_equal(self.source, source, self.file):
            return Place.SPARE
        return Place.AT_TARGET  # whatever has come up at the source is not ours

    def bring(self, place: Place, claiming: Callable[[Path], None]) -> None:
        """See `Step`."""
        if place is Place.CLAIMED:
            files.remove_claim(self.target)
        if place in (Place.AT_SOURCE, Place.CLAIMED):
            files.move(self.source, self.target, claiming)
        elif place is Place.SPARE:
            drop_spare(self.source, self.target, self.file)


def is_claim(path: Path, status: os.stat_result, known: Known) -> bool:
    """Whether an empty file is there that only held a name for us."""
    return stat.S_ISREG(status.st_mode) and status.st_size == 0 and path in known.claims


def holds(path: Path, status: os.stat_result, file: PlannedFile) -> bool:
    """Whether the planned content is there: by size and time, else by the bytes."""
    if not stat.S_ISREG(status.st_mode) or status.st_size != file.size:
        return False
    return status.st_mtime_ns == file.mtime_ns or files.sha256(path) == file.sha256


def is_equal(path: Path, status: os.stat_result, file: PlannedFile) -> bool:
    """Whether the planned content is there, by the bytes."""
    regular = stat.S_ISREG(status.st_mode) and status.st_size == file.size
    return regular and files.sha256(path) == file.sha256


def drop_spare(spare: Path, kept: Path, file: PlannedFile, *, sync: bool = True) -> None:
    """Remove what stands beside the photo: an empty claim, or a second name or copy of it.

    `sync` is as for `files.remove_spare`.
    """
    if file.size and not spare.lstat().st_size:
        files.remove_claim(spare)
    else:
        files.remove_spare(spare, kept, sync=sync)
