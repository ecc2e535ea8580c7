"""One file on its way, judged by what lies at both ends: the same eyes for a deed and a recovery.

A move that was cut off leaves one of these pictures, whatever the file system:

    source only                    not begun
    target only                    done
    both, two links to one file    linked, the old name not yet removed
    both, target an empty claim    the name is held, the photo not yet there (journalled before)
    both, equal copies             copied across file systems, the original not yet removed
    neither                        not our doing: reported, never guessed

A copy that was still growing lies beside the target under a name of its own (`files.part_of`).

Copies of photos and links to them among the rejects, and the way back; the originals stay.

Cut off, a copy or link is there or is not, but for a claim (journalled before) or a part beside it.
"""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from iqcli.errors import PlanConflict
from iqcli.fs import files
from iqcli.fs import files as links
from iqcli.text import display_path
from iqcli.transactions.plan import Action, PlannedFile

if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from pathlib import Path

    from iqcli.transactions.plan import PlannedFile, PlannedShot


class FileState(Enum):
    """Where a file was found."""

    AT_SOURCE = auto()
    AT_TARGET = auto()
    CLAIMED = auto()  # at the source; at the target stands an empty claim of ours
    SPARE = auto()  # at the target, and the source is a second name or copy of it


@dataclass(frozen=True, slots=True)
class JournalState:
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
        return f"the name {display_path(self.target)} was taken meanwhile"

    @abstractmethod
    def back(self) -> Step:
        """The same way in the other direction."""

    @abstractmethod
    def look(self, known: JournalState) -> FileState:
        """Find the file. Raises PlanConflict where it is gone or changed, or its name is taken."""

    @abstractmethod
    def bring(self, place: FileState, on_claim: Callable[[Path], None]) -> None:
        """Do it from where the file was found, and only that. Raises OSError."""


@dataclass(frozen=True, slots=True)
class Move(Step):
    """A step that takes the file along; the way back is one, too."""

    verb = "move"

    def back(self) -> Move:
        """See `Step`."""
        return Move(self.target, self.source, self.file)

    def look(self, known: JournalState) -> FileState:
        """See `Step`."""
        source, target = files.lstat_or_none(self.source), files.lstat_or_none(self.target)
        if source and target:
            return self._look_at_both(source, target, known)
        if source:
            if not holds(self.source, source, self.file):
                raise PlanConflict(f"{display_path(self.source)} has changed since")
            return FileState.AT_SOURCE
        if not target or (known.at_source and not holds(self.target, target, self.file)):
            raise PlanConflict(f"{display_path(self.source)} is gone")
        return FileState.AT_TARGET

    def _look_at_both(
        self, source: os.stat_result, target: os.stat_result, known: JournalState
    ) -> FileState:
        if os.path.samestat(source, target) and source.st_nlink > 1:
            return FileState.SPARE
        if known.settled:
            raise PlanConflict(f"the name {display_path(self.target)} is taken")
        if is_claim(self.target, target, known) and holds(self.source, source, self.file):
            return FileState.CLAIMED
        if not is_equal(self.target, target, self.file):
            raise PlanConflict(f"the name {display_path(self.target)} is taken")
        if is_claim(self.source, source, known) or is_equal(self.source, source, self.file):
            return FileState.SPARE
        return FileState.AT_TARGET  # whatever has come up at the source is not ours

    def bring(self, place: FileState, on_claim: Callable[[Path], None]) -> None:
        """See `Step`."""
        if place is FileState.CLAIMED:
            files.remove_claim(self.target)
        if place in (FileState.AT_SOURCE, FileState.CLAIMED):
            files.move(self.source, self.target, on_claim)
        elif place is FileState.SPARE:
            drop_spare(self.source, self.target, self.file)


def is_claim(path: Path, status: os.stat_result, known: JournalState) -> bool:
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


def forward_steps(shot: PlannedShot, action: Action) -> tuple[Step, ...]:
    """The way of a shot's files, or of what stands for them, to the rejects."""
    kind = _KINDS.get(action, Move)
    return tuple(
        kind(shot.root / each.source, shot.root / each.target, each) for each in shot.files
    )


def inverse_steps(shot: PlannedShot, action: Action) -> tuple[Step, ...]:
    """The way back to how it was."""
    return tuple(step.back() for step in reversed(forward_steps(shot, action)))


@dataclass(frozen=True, slots=True)
class Copy(Step):
    """A copy to be made at the target."""

    verb = "copy"

    def back(self) -> RemoveCopy:
        """See `ends.Step`."""
        return RemoveCopy(self.target, self.source, self.file)

    def look(self, known: JournalState) -> FileState:
        """See `ends.Step`."""
        _check_original(self.source, self.file)
        target = files.lstat_or_none(self.target)
        if not target:
            return FileState.AT_SOURCE
        if is_claim(self.target, target, known) and not known.settled:
            return FileState.CLAIMED
        if known.settled or not is_equal(self.target, target, self.file):
            raise PlanConflict(f"the name {display_path(self.target)} is taken")
        return FileState.AT_TARGET

    def bring(self, place: FileState, on_claim: Callable[[Path], None]) -> None:
        """See `ends.Step`."""
        if place is FileState.CLAIMED:
            files.remove_claim(self.target)
        if place in (FileState.AT_SOURCE, FileState.CLAIMED):
            files.copy(self.source, self.target, on_claim, self.file.sha256)


@dataclass(frozen=True, slots=True)
class RemoveCopy(Step):
    """A copy (the source) to be removed, while the original (the target) holds the same."""

    verb = "remove"

    @property
    def late(self) -> str:
        """See `ends.Step`."""
        return f"{display_path(self.source)} is no longer equal to the original"

    def back(self) -> Copy:
        """See `ends.Step`."""
        return Copy(self.target, self.source, self.file)

    def look(self, known: JournalState) -> FileState:
        """See `ends.Step`. A copy that is gone was no loss."""
        copy = files.lstat_or_none(self.source)
        if not copy:
            return FileState.AT_TARGET
        if self.file.size and is_claim(self.source, copy, known):
            return FileState.SPARE
        if not holds(self.source, copy, self.file):
            raise PlanConflict(f"{display_path(self.source)} has changed since")
        _check_original(self.target, self.file)
        return FileState.AT_SOURCE

    def bring(self, place: FileState, on_claim: Callable[[Path], None]) -> None:
        """See `ends.Step`. Both are compared to the last byte before the copy goes."""
        if place is not FileState.AT_TARGET:
            drop_spare(self.source, self.target, self.file, sync=False)


@dataclass(frozen=True, slots=True)
class Link(Step):
    """A symbolic link to be made at the target, which reads from there to the source."""

    verb = "link"

    @property
    def text(self) -> str:
        """What the link reads."""
        return os.path.relpath(self.source, self.target.parent)

    def back(self) -> RemoveLink:
        """See `ends.Step`."""
        return RemoveLink(self.target, self.source, self.file)

    def look(self, known: JournalState) -> FileState:
        """See `ends.Step`."""
        if not files.lstat_or_none(self.target):
            if known.settled:
                _check_original(self.source, self.file)
            return FileState.AT_SOURCE
        if known.settled or not links.link_reads(self.target, self.text):
            raise PlanConflict(f"the name {display_path(self.target)} is taken")
        return FileState.AT_TARGET

    def bring(self, place: FileState, on_claim: Callable[[Path], None]) -> None:
        """See `ends.Step`."""
        if place is FileState.AT_SOURCE:
            links.make_link(self.target, self.text)


@dataclass(frozen=True, slots=True)
class RemoveLink(Step):
    """A link of ours (the source) to be removed, whatever became of the original (the target)."""

    verb = "remove"

    @property
    def late(self) -> str:
        """See `ends.Step`."""
        return f"{display_path(self.source)} has changed since"

    def back(self) -> Link:
        """See `ends.Step`."""
        return Link(self.target, self.source, self.file)

    def look(self, known: JournalState) -> FileState:
        """See `ends.Step`."""
        if not files.lstat_or_none(self.source):
            return FileState.AT_TARGET
        if not links.link_reads(self.source, self.back().text):
            raise PlanConflict(f"{display_path(self.source)} has changed since")
        return FileState.AT_SOURCE

    def bring(self, place: FileState, on_claim: Callable[[Path], None]) -> None:
        """See `ends.Step`."""
        if place is FileState.AT_SOURCE:
            links.remove_link(self.source, self.back().text)


_KINDS: dict[Action, Callable[[Path, Path, PlannedFile], Step]] = {
    Action.COPY: Copy,
    Action.LINK: Link,
}


def _check_original(path: Path, file: PlannedFile) -> None:
    status = files.lstat_or_none(path)
    if not status:
        raise PlanConflict(f"{display_path(path)} is gone")
    if not holds(path, status, file):
        raise PlanConflict(f"{display_path(path)} has changed since")
