"""Copies of photos and links to them among the rejects, and the way back; the originals stay.

Cut off, a copy or link is there or is not, but for a claim (journalled before) or a part beside it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iqcli.errors import PlanConflict
from iqcli.fs import files
from iqcli.fs import files as links
from iqcli.transactions.plan import Action, PlannedFile
from iqcli.transactions.steps import Known, Move, Place, Step, drop_spare, holds, is_claim, is_equal

if TYPE_CHECKING:
    from iqcli.transactions.plan import PlannedShot


def outward(shot: PlannedShot, action: Action) -> tuple[Step, ...]:
    """The way of a shot's files, or of what stands for them, to the rejects."""
    kind = _KINDS.get(action, Move)
    return tuple(
        kind(shot.root / each.source, shot.root / each.target, each) for each in shot.files
    )


def homeward(shot: PlannedShot, action: Action) -> tuple[Step, ...]:
    """The way back to how it was."""
    return tuple(step.back() for step in reversed(outward(shot, action)))


@dataclass(frozen=True, slots=True)
class Copy(Step):
    """A copy to be made at the target."""

    verb = "copy"

    def back(self) -> Uncopy:
        """See `ends.Step`."""
        return Uncopy(self.target, self.source, self.file)

    def look(self, known: Known) -> Place:
        """See `ends.Step`."""
        _check_original(self.source, self.file)
        target = files.seen(self.target)
        if not target:
            return Place.AT_SOURCE
        if is_claim(self.target, target, known) and not known.settled:
            return Place.CLAIMED
        if known.settled or not is_equal(self.target, target, self.file):
            raise PlanConflict(f"the name {files.shown(self.target)} is taken")
        return Place.AT_TARGET

    def bring(self, place: Place, claiming: Callable[[Path], None]) -> None:
        """See `ends.Step`."""
        if place is Place.CLAIMED:
            files.remove_claim(self.target)
        if place in (Place.AT_SOURCE, Place.CLAIMED):
            files.copy(self.source, self.target, claiming, self.file.sha256)


@dataclass(frozen=True, slots=True)
class Uncopy(Step):
    """A copy (the source) to be removed, while the original (the target) holds the same."""

    verb = "remove"

    @property
    def late(self) -> str:
        """See `ends.Step`."""
        return f"{files.shown(self.source)} is no longer equal to the original"

    def back(self) -> Copy:
        """See `ends.Step`."""
        return Copy(self.target, self.source, self.file)

    def look(self, known: Known) -> Place:
        """See `ends.Step`. A copy that is gone was no loss."""
        copy = files.seen(self.source)
        if not copy:
            return Place.AT_TARGET
        if self.file.size and is_claim(self.source, copy, known):
            return Place.SPARE
        if not holds(self.source, copy, self.file):
            raise PlanConflict(f"{files.shown(self.source)} has changed since")
        _check_original(self.target, self.file)
        return Place.AT_SOURCE

    def bring(self, place: Place, claiming: Callable[[Path], None]) -> None:
        """See `ends.Step`. Both are compared to the last byte before the copy goes."""
        if place is not Place.AT_TARGET:
            drop_spare(self.source, self.target, self.file, sync=False)


@dataclass(frozen=True, slots=True)
class Link(Step):
    """A symbolic link to be made at the target, which reads from there to the source."""

    verb = "link"

    @property
    def text(self) -> str:
        """What the link reads."""
        return os.path.relpath(self.source, self.target.parent)

    def back(self) -> Unlink:
        """See `ends.Step`."""
        return Unlink(self.target, self.source, self.file)

    def look(self, known: Known) -> Place:
        """See `ends.Step`."""
        if not files.seen(self.target):
            if known.settled:
                _check_original(self.source, self.file)
            return Place.AT_SOURCE
        if known.settled or not links.link_reads(self.target, self.text):
            raise PlanConflict(f"the name {files.shown(self.target)} is taken")
        return Place.AT_TARGET

    def bring(self, place: Place, claiming: Callable[[Path], None]) -> None:
        """See `ends.Step`."""
        if place is Place.AT_SOURCE:
            links.make_link(self.target, self.text)


@dataclass(frozen=True, slots=True)
class Unlink(Step):
    """A link of ours (the source) to be removed, whatever became of the original (the target)."""

    verb = "remove"

    @property
    def late(self) -> str:
        """See `ends.Step`."""
        return f"{files.shown(self.source)} has changed since"

    def back(self) -> Link:
        """See `ends.Step`."""
        return Link(self.target, self.source, self.file)

    def look(self, known: Known) -> Place:
        """See `ends.Step`."""
        if not files.seen(self.source):
            return Place.AT_TARGET
        if not links.link_reads(self.source, self.back().text):
            raise PlanConflict(f"{files.shown(self.source)} has changed since")
        return Place.AT_SOURCE

    def bring(self, place: Place, claiming: Callable[[Path], None]) -> None:
        """See `ends.Step`."""
        if place is Place.AT_SOURCE:
            links.remove_link(self.source, self.back().text)


_KINDS: dict[Action, Callable[[Path, Path, PlannedFile], Step]] = {
    Action.COPY: Copy,
    Action.LINK: Link,
}


def _check_original(path: Path, file: PlannedFile) -> None:
    status = files.seen(path)
    if not status:
        raise PlanConflict(f"{files.shown(path)} is gone")
    if not holds(path, status, file):
        raise PlanConflict(f"{files.shown(path)} has changed since")
