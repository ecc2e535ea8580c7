"""The same tree of photos again and again, for a run that dies at every change of the disk."""

from __future__ import annotations

import shutil
import signal
from typing import TYPE_CHECKING

from support.fault_injection import Fault, disk, here, in_child
from support.photo_trees import (
    FAMILY,
    SHOTS,
    contents,
    counts,
    grow_family,
    grow_shots,
    plan_for,
    tree,
)

from iqcli.transactions.apply import apply
from iqcli.transactions.undo import undo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOTHING_TO_UNDO = "no run is left to undo"


class Scene:
    """The same tree and an empty state folder, again for every kill."""

    grow, shots = staticmethod(grow_shots), SHOTS

    def __init__(self, top: Path, kind: str = "native", action: str = "move") -> None:
        self.top, self.kind, self.action = top, kind, action
        self.root, self.state = top / "photos", top / "state"
        self.renew()
        self.before, self.held = tree(self.root), contents(self.root)
        self.counts = counts(self.root)

    def renew(self) -> None:
        shutil.rmtree(self.top, ignore_errors=True)
        self.root.mkdir(parents=True)
        self.grow(self.root)

    def apply(self) -> None:
        apply(plan_for(self.root, self.shots, self.action), self.state)

    def applied(self) -> None:
        self.renew()
        with disk(self.kind):
            self.apply()

    def undo(self) -> None:
        undo(None, self.state)

    def kill(self, work: Callable[[], None], fault: Fault) -> None:
        """Die of the fault; every photo, and every copy of one, is still somewhere."""
        assert in_child(work, self.kind, fault).code == -signal.SIGKILL, fault
        assert self.counts <= counts(self.root), fault

    def restore(self, fault: Fault) -> None:
        """Undo: then nothing differs. There may be nothing to undo."""
        ended = here(self.undo, self.kind)
        assert ended.code == 0 or NOTHING_TO_UNDO in ended.says, (ended, fault)
        assert tree(self.root) == self.before, fault


class Family(Scene):
    """The tree of copies, edits, hard links and folders of other programs."""

    grow, shots = staticmethod(grow_family), FAMILY
