"""The steps of a transaction: one file each, judged by what lies at both ends.

The same inspection serves a run, its undo and its recovery. A move that was cut off leaves one of
these pictures, whatever the file system:

    source only                    not begun
    target only                    done
    both, two links to one file    linked, the old name not yet removed
    both, target an empty claim    the name is held, the photo not yet there (journalled before)
    both, equal copies             copied across file systems, the original not yet removed
    neither                        not done by iq: reported, never guessed

A copy that was still growing lies beside the target under its own name (`files.part_of`).

Copies and links that were cut off are there or are not, apart from a claim (journalled before) or
an unfinished copy beside them; the originals stay. Files that are written: see `edits`.
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
from iqcli.text import display_path
from iqcli.transactions.plan import Action, PlannedFile

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from iqcli.transactions.edit_records import FileEdit
    from iqcli.transactions.plan import PlannedShot

OnClaim = Callable[[Path], None]


class FileState(Enum):
    """Where a file was found."""

    AT_SOURCE = auto()
    AT_TARGET = auto()
    CLAIMED = auto()  # at the source; at the target stands an empty claim of iq
    SPARE = auto()  # at the target, and the source is a second name or copy of it


@dataclass(frozen=True, slots=True)
class JournalState:
    """What the journals say.

    `settled`: no step of this run can be half done. `at_source`: the last that is known is that
    this file was at its source. `claims`: the names that were about to be held by an empty file.
    `by_bytes`: that size and time are as planned does not tell what a file holds.
    """

    settled: bool
    at_source: bool
    claims: Container[Path] = ()
    by_bytes: bool = False


@dataclass(frozen=True, slots=True)
class Step(ABC):
    """One change: where the file comes from and where it goes to (both absolute)."""

    source: Path
    target: Path
    verb: ClassVar[str]

    @property
    def conflict_message(self) -> str:
        """The sentence for a name that was taken between the inspection and the change."""
        return f"the name {display_path(self.target)} was taken meanwhile"

    @property
    def leftovers(self) -> tuple[Path, ...]:
        """Where unfinished files of this step may lie."""
        return files.part_of(self.source), files.part_of(self.target)

    @abstractmethod
    def inverse(self) -> Step:
        """The step back."""

    @abstractmethod
    def inspect(self, known: JournalState) -> FileState:
        """Find the file. Raises PlanConflict where it is gone or changed, or its name is taken."""

    @abstractmethod
    def apply(self, state: FileState, on_claim: OnClaim) -> None:
        """Make the change from where the file was found, and only that. Raises OSError."""


@dataclass(frozen=True, slots=True)
class PlannedStep(Step):
    """A step of a planned file. `edit` is the edit of it in the same run: it is made before."""

    file: PlannedFile
    edit: FileEdit | None = None


@dataclass(frozen=True, slots=True)
class Move(PlannedStep):
    """The file itself moves; the step back is a move, too."""

    verb = "move"

    def inverse(self) -> Move:
        return Move(self.target, self.source, self.file, self.edit)

    def inspect(self, known: JournalState) -> FileState:
        source, target = files.lstat_or_none(self.source), files.lstat_or_none(self.target)
        if source and target:
            return self._inspect_both(source, target, known)
        if source:
            if not holds(self.source, source, self.file, known):
                raise PlanConflict(f"{display_path(self.source)} has changed since")
            return FileState.AT_SOURCE
        # An undo that was cut off may have moved the file and taken back its edit.
        edit = None if known.settled and known.at_source else self.edit
        if target and (edit or not known.at_source or holds(self.target, target, self.file, known)):
            return FileState.AT_TARGET
        if not target and edit and edit.before is None:
            return FileState.AT_TARGET
        raise PlanConflict(f"{display_path(self.source)} is gone")

    def _inspect_both(
        self, source: os.stat_result, target: os.stat_result, known: JournalState
    ) -> FileState:
        if os.path.samestat(source, target) and source.st_nlink > 1:
            return FileState.SPARE
        if known.settled:
            raise PlanConflict(f"the name {display_path(self.target)} is taken")
        if is_claim(self.target, target, known) and holds(self.source, source, self.file, known):
            return FileState.CLAIMED
        if not is_equal(self.target, target, self.file):
            raise PlanConflict(f"the name {display_path(self.target)} is taken")
        if is_claim(self.source, source, known) or is_equal(self.source, source, self.file):
            return FileState.SPARE
        return FileState.AT_TARGET  # whatever has come up at the source is not from iq

    def apply(self, state: FileState, on_claim: OnClaim) -> None:
        if state is FileState.CLAIMED:
            files.remove_claim(self.target)
        if state in (FileState.AT_SOURCE, FileState.CLAIMED):
            files.move(self.source, self.target, on_claim)
        elif state is FileState.SPARE:
            _remove_spare(self.source, self.target, self.file)


@dataclass(frozen=True, slots=True)
class Copy(PlannedStep):
    """A copy is made at the target."""

    verb = "copy"

    def inverse(self) -> RemoveCopy:
        return RemoveCopy(self.target, self.source, self.file, self.edit)

    def inspect(self, known: JournalState) -> FileState:
        _check_original(self.source, self.file, known)
        target = files.lstat_or_none(self.target)
        if not target:
            return FileState.AT_SOURCE
        if is_claim(self.target, target, known) and not known.settled:
            return FileState.CLAIMED
        if known.settled or not is_equal(self.target, target, self.file):
            raise PlanConflict(f"the name {display_path(self.target)} is taken")
        return FileState.AT_TARGET

    def apply(self, state: FileState, on_claim: OnClaim) -> None:
        if state is FileState.CLAIMED:
            files.remove_claim(self.target)
        if state in (FileState.AT_SOURCE, FileState.CLAIMED):
            files.copy(self.source, self.target, on_claim, self.file.sha256)


@dataclass(frozen=True, slots=True)
class RemoveCopy(PlannedStep):
    """A copy (the source) is removed, while the original (the target) holds the same bytes."""

    verb = "remove"

    @property
    def conflict_message(self) -> str:
        return f"{display_path(self.source)} is no longer equal to the original"

    def inverse(self) -> Copy:
        return Copy(self.target, self.source, self.file, self.edit)

    def inspect(self, known: JournalState) -> FileState:
        copy = files.lstat_or_none(self.source)
        if not copy:  # that is no loss
            return FileState.AT_TARGET
        if self.file.size and is_claim(self.source, copy, known):
            return FileState.SPARE
        if not holds(self.source, copy, self.file, known):
            raise PlanConflict(f"{display_path(self.source)} has changed since")
        _check_original(self.target, self.file, known)
        return FileState.AT_SOURCE

    def apply(self, state: FileState, on_claim: OnClaim) -> None:
        """Compare both to the last byte before the copy is removed."""
        if state is not FileState.AT_TARGET:
            _remove_spare(self.source, self.target, self.file, sync=False)


@dataclass(frozen=True, slots=True)
class Link(PlannedStep):
    """A symbolic link is made at the target, which reads from there to the source."""

    verb = "link"

    @property
    def text(self) -> str:
        """What the link reads."""
        return os.path.relpath(self.source, self.target.parent)

    def inverse(self) -> RemoveLink:
        return RemoveLink(self.target, self.source, self.file, self.edit)

    def inspect(self, known: JournalState) -> FileState:
        if not files.lstat_or_none(self.target):
            if known.settled:
                _check_original(self.source, self.file, known)
            return FileState.AT_SOURCE
        if known.settled or not files.link_reads(self.target, self.text):
            raise PlanConflict(f"the name {display_path(self.target)} is taken")
        return FileState.AT_TARGET

    def apply(self, state: FileState, on_claim: OnClaim) -> None:
        if state is FileState.AT_SOURCE:
            files.make_link(self.target, self.text)


@dataclass(frozen=True, slots=True)
class RemoveLink(PlannedStep):
    """A link of iq (the source) is removed, whatever became of the original (the target)."""

    verb = "remove"

    @property
    def conflict_message(self) -> str:
        return f"{display_path(self.source)} has changed since"

    def inverse(self) -> Link:
        return Link(self.target, self.source, self.file, self.edit)

    def inspect(self, known: JournalState) -> FileState:
        if not files.lstat_or_none(self.source):
            return FileState.AT_TARGET
        if not files.link_reads(self.source, self.inverse().text):
            raise PlanConflict(f"{display_path(self.source)} has changed since")
        return FileState.AT_SOURCE

    def apply(self, state: FileState, on_claim: OnClaim) -> None:
        if state is FileState.AT_SOURCE:
            files.remove_link(self.source, self.inverse().text)


_STEPS: dict[Action, type[PlannedStep]] = {Action.COPY: Copy, Action.LINK: Link}


def forward_steps(
    shot: PlannedShot, action: Action, edits: Mapping[Path, FileEdit]
) -> tuple[PlannedStep, ...]:
    """The steps that bring a shot's files, or what stands for them, to the rejects.

    `edits` are those of the same run, by the path of their file.
    """
    step, root = _STEPS.get(action, Move), shot.root
    return tuple(
        step(root / each.source, root / each.target, each, edits.get(root / each.source))
        for each in shot.files
    )


def inverse_steps(
    shot: PlannedShot, action: Action, edits: Mapping[Path, FileEdit]
) -> tuple[Step, ...]:
    """The steps back to how it was."""
    return tuple(step.inverse() for step in reversed(forward_steps(shot, action, edits)))


def obstacle(step: Step, known: JournalState, *fine: FileState) -> str | None:
    """Why a step cannot be made, or None; with `fine`, the file must be in one of those states."""
    try:
        if step.inspect(known) in (fine or tuple(FileState)):
            return None
        return f"{display_path(step.source)} is already at {display_path(step.target)}"
    except PlanConflict as error:
        return str(error)
    except OSError as error:
        return f"cannot look at {display_path(step.source)}: {error.strerror}"


def is_claim(path: Path, status: os.stat_result, known: JournalState) -> bool:
    """Whether an empty file is there that only held a name for iq."""
    return stat.S_ISREG(status.st_mode) and status.st_size == 0 and path in known.claims


def holds(path: Path, status: os.stat_result, file: PlannedFile, known: JournalState) -> bool:
    """Whether the planned content is there: by size and time, else by the bytes."""
    if not stat.S_ISREG(status.st_mode) or status.st_size != file.size:
        return False
    same_time = status.st_mtime_ns == file.mtime_ns and not known.by_bytes
    return same_time or files.sha256(path) == file.sha256


def is_equal(path: Path, status: os.stat_result, file: PlannedFile) -> bool:
    """Whether the planned content is there, by the bytes."""
    regular = stat.S_ISREG(status.st_mode) and status.st_size == file.size
    return regular and files.sha256(path) == file.sha256


def _remove_spare(spare: Path, kept: Path, file: PlannedFile, *, sync: bool = True) -> None:
    """Remove what stands beside the photo: an empty claim, or a second name or copy of it.

    `sync` is as for `files.remove_spare`.
    """
    if file.size and not files.lstat(spare).st_size:
        files.remove_claim(spare)
    else:
        files.remove_spare(spare, kept, sync=sync)


def _check_original(path: Path, file: PlannedFile, known: JournalState) -> None:
    status = files.lstat_or_none(path)
    if not status:
        raise PlanConflict(f"{display_path(path)} is gone")
    if not holds(path, status, file, known):
        raise PlanConflict(f"{display_path(path)} has changed since")
