"""One file on its way, judged by what lies at both ends: the same eyes for a move and a recovery.

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
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from iqcli import files
from iqcli.errors import PlanConflict

if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from pathlib import Path

    from iqcli.culling.planned import PlannedFile, PlannedShot


@dataclass(frozen=True, slots=True)
class Step:
    """One file, where it should come from and get to (absolute), and what it held when planned."""

    source: Path
    target: Path
    file: PlannedFile

    def back(self) -> Step:
        """The same way in the other direction."""
        return replace(self, source=self.target, target=self.source)


def outward(shot: PlannedShot) -> tuple[Step, ...]:
    """The way of a shot's files to the rejects."""
    return tuple(
        Step(shot.root / each.source, shot.root / each.target, each) for each in shot.files
    )


def homeward(shot: PlannedShot) -> tuple[Step, ...]:
    """The way of a shot's files back to where they were."""
    return tuple(step.back() for step in reversed(outward(shot)))


class Place(Enum):
    """Where a file was found."""

    AT_SOURCE = auto()
    AT_TARGET = auto()
    CLAIMED = auto()  # at the source; at the target stands an empty claim of ours
    SPARE = auto()  # at the target, and the source is a second name or copy of it


@dataclass(frozen=True, slots=True)
class Known:
    """What the journals say.

    `settled`: no move of this run can be half done. `at_source`: this file was at its source when
    last heard of. `claims`: the names that were about to be held by an empty file.
    """

    settled: bool
    at_source: bool
    claims: Container[Path] = ()


def look(step: Step, known: Known) -> Place:
    """Find the file. Raises PlanConflict where it is gone or changed, or its name is taken."""
    source, target = files.seen(step.source), files.seen(step.target)
    if source and target:
        return _look_at_both(step, source, target, known)
    if source:
        if not _holds(step.source, source, step.file):
            raise PlanConflict(f"{files.shown(step.source)} has changed since")
        return Place.AT_SOURCE
    if not target or (known.at_source and not _holds(step.target, target, step.file)):
        raise PlanConflict(f"{files.shown(step.source)} is gone")
    return Place.AT_TARGET


def _look_at_both(
    step: Step, source: os.stat_result, target: os.stat_result, known: Known
) -> Place:
    if os.path.samestat(source, target) and source.st_nlink > 1:
        return Place.SPARE
    if known.settled:
        raise PlanConflict(f"the name {files.shown(step.target)} is taken")
    if _is_claim(step.target, target, known) and _holds(step.source, source, step.file):
        return Place.CLAIMED
    if not _is_equal(step.target, target, step.file):
        raise PlanConflict(f"the name {files.shown(step.target)} is taken")
    if _is_claim(step.source, source, known) or _is_equal(step.source, source, step.file):
        return Place.SPARE
    return Place.AT_TARGET  # whatever has come up at the source is not ours


def _is_claim(path: Path, status: os.stat_result, known: Known) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_size == 0 and path in known.claims


def _holds(path: Path, status: os.stat_result, file: PlannedFile) -> bool:
    """Whether the planned content is there: by size and time, else by the bytes."""
    if not stat.S_ISREG(status.st_mode) or status.st_size != file.size:
        return False
    return status.st_mtime_ns == file.mtime_ns or files.sha256(path) == file.sha256


def _is_equal(path: Path, status: os.stat_result, file: PlannedFile) -> bool:
    regular = stat.S_ISREG(status.st_mode) and status.st_size == file.size
    return regular and files.sha256(path) == file.sha256


def bring(step: Step, place: Place, claiming: Callable[[Path], None]) -> None:
    """Get the file from where it was found to its target, and only there. Raises OSError."""
    if place is Place.CLAIMED:
        files.remove_claim(step.target)
    if place in (Place.AT_SOURCE, Place.CLAIMED):
        files.move(step.source, step.target, claiming)
    elif place is Place.SPARE:
        _drop_spare(step)


def _drop_spare(step: Step) -> None:
    if step.file.size and not step.source.lstat().st_size:
        files.remove_claim(step.source)
    else:
        files.remove_spare(step.source, step.target)
