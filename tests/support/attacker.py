"""A process that swaps folders and files for links out of the root while iq applies and undoes."""

from __future__ import annotations

import mmap
import os
import random
import shutil
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from support.kill_scene import NOTHING_TO_UNDO
from support.photo_trees import SHOTS, Tree, contents, grow_shots, plan_for, tree

from iqcli.culling import planner
from iqcli.errors import IqError
from iqcli.photos.folder import MANIFEST
from iqcli.transactions import reject_folder
from iqcli.transactions.apply import apply
from iqcli.transactions.edits import Edit
from iqcli.transactions.jsonl import line
from iqcli.transactions.undo import undo

if TYPE_CHECKING:
    from collections.abc import Callable

    from iqcli.transactions.plan import Plan

FOLDERS = ("2024", "2024/deep", "_Rejected", "_Rejected/2024", "_Rejected/2024/deep")
FILES = (
    "IMG_0001.JPG",
    "2024/IMG_1234.MOV",
    "_Rejected/IMG_0001.JPG",
    "_Rejected/2024/IMG_1234.MOV",
)
SIDECAR, NEW_SIDECAR = "IMG_0001.JPG.xmp", "2024/IMG_1234.HEIC.xmp"
# A folder of rejects that was away while it was to be removed stays, empty.
MANIFESTS = {os.fsencode(f"_Rejected/{MANIFEST}")}
RUNNING, STOPPED, SWAPS = range(3)
LONG = 0.008  # about as long as a run takes, in seconds


class Shared:
    """Numbers that both processes see."""

    def __init__(self) -> None:
        self._view = memoryview(mmap.mmap(-1, 32)).cast("q")

    def __getitem__(self, key: int) -> int:
        return self._view[key]

    def __setitem__(self, key: int, value: int) -> None:
        self._view[key] = value


@dataclass
class Swap:
    """A name that is a link for a while; what was there is `away`."""

    path: Path
    away: Path
    lure: Path

    def make(self) -> bool:
        """Swap it; False where it is not there."""
        try:
            self.path.rename(self.away)
        except OSError:
            return False
        with suppress(OSError):
            self.path.symlink_to(self.lure)
        return True

    def restore(self) -> None:
        """Put back what was there, over nothing but the link."""
        if self.path.is_symlink():
            self.path.unlink()
        _merge(self.away, self.path)


def _merge(away: Path, path: Path) -> None:
    """As a person would put a folder back that was moved away: nothing is overwritten."""
    if not os.path.lexists(away):
        return
    if not os.path.lexists(path):
        with suppress(OSError):
            away.rename(path)
    elif away.is_dir() and path.is_dir():
        for each in list(away.iterdir()):
            _merge(each, path / each.name)
        with suppress(OSError):
            away.rmdir()


def attack(root: Path, outside: Path, shared: Shared, seed: int) -> None:
    """Swap names while `RUNNING` is set, and have everything back when `STOPPED` is."""
    chance, number = random.Random(seed), 0
    while True:
        while not shared[RUNNING]:
            shared[STOPPED] = 1
            time.sleep(0.0002)
        until = time.perf_counter() + chance.random() * 2 * LONG
        while shared[RUNNING]:
            if time.perf_counter() < until:
                time.sleep(0)
                continue
            number += 1
            swap = _swap(root, outside, chance, number)
            if swap.make():
                shared[SWAPS] += shared[RUNNING]
                for_good = chance.random() < 0.5
                until = time.perf_counter() + chance.random() * LONG / 4
                while shared[RUNNING] and (for_good or time.perf_counter() < until):
                    time.sleep(0)
                swap.restore()
                if chance.random() < 0.5:
                    break
            until = time.perf_counter() + chance.random() * LONG / 4
        while shared[RUNNING]:
            time.sleep(0.0002)


def _swap(root: Path, outside: Path, chance: random.Random, number: int) -> Swap:
    name, kept = (
        chance.choice((*FOLDERS, *FOLDERS, *FILES, "kept")),
        root.with_name("state") / "kept",
    )
    path = root / name
    if name == "kept":  # what the run at work keeps
        path = max(kept.iterdir() if kept.is_dir() else (), default=kept / "none")
    place = path.parent if chance.random() < 0.5 else outside.with_name("away")
    return Swap(path, place / f"away-{number}", outside / name)


@dataclass
class Arena:
    """A tree, its double outside the root, and an attacker; `faults` are what must not happen.

    `totals` count the runs (applies, undos) that were done or refused, and the faults by kind.
    """

    top: Path
    seed: int
    totals: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.root, self.state = self.top / "photos", self.top / "state"
        self.outside, self.shared = self.top / "outside", Shared()
        (self.top / "away").mkdir(parents=True)
        self.root.mkdir()
        grow_shots(self.root)
        # Whoever follows a link finds there the very files, and a folder of rejects of iq.
        shutil.copytree(self.root, self.outside)
        shutil.copytree(self.root, self.outside / "_Rejected")
        (self.outside / "_Rejected" / MANIFEST).write_bytes(line(reject_folder._HEADER) + b"\n")
        (self.outside / "kept").mkdir()
        self.before, self.beyond = tree(self.root), tree(self.outside)
        self.held = contents(self.root)
        self.chance = random.Random(self.seed)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                attack(self.root, self.outside, self.shared, self.seed)
            finally:
                os._exit(1)

    def close(self) -> None:
        """End the attacker, and count its swaps that met a run."""
        self.totals["swaps"] = self.shared[SWAPS]
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def round(self) -> None:
        """An apply and its undo under attack; then an undo in peace gives everything back."""
        plan, edits = self._planned()
        if self._attacked("applies", lambda: apply(plan, self.state, edits)):
            self._attacked("undos", lambda: undo(None, self.state))
        why = ""
        while not why:
            try:
                undo(None, self.state)
            except IqError as error:
                why = str(error)
        now = tree(self.root)
        differ = _differ(now, self.before)
        whole = all(
            name in MANIFESTS or (name not in self.before and now[name][0] == "folder")
            for name in differ
        )
        if NOTHING_TO_UNDO not in why or not whole:
            self._fault("stuck", f"{why}: {sorted(differ)}")

    def _planned(self) -> tuple[Plan, list[Edit]]:
        plan = plan_for(self.root, action=self.chance.choice(("move", "move", "copy", "link")))
        if self.chance.random() < 0.5:
            return plan, []
        digest = next(each.sha256 for each in plan.shots[0].files if each.source.name == SIDECAR)
        one, two = (self.root / shot[0] for shot in SHOTS[:2])
        edits = [
            Edit(self.root, self.root / SIDECAR, digest, b"<rewritten/>", one),
            Edit(self.root, self.root / NEW_SIDECAR, None, b"<made/>", two),
        ]
        return planner.with_edits(plan, edits), edits

    def _attacked(self, kind: str, work: Callable[[], object]) -> bool:
        self.shared[RUNNING] = 1
        try:
            work()
            ended = "done"
        except IqError:
            ended = "refused"
        self.shared[RUNNING] = self.shared[STOPPED] = 0
        while not self.shared[STOPPED]:
            time.sleep(0.0002)
        self.totals.update(["runs", kind, ended])
        self._check()
        return ended == "done"

    def _check(self) -> None:
        """Nothing outside the root is another, and every photo is in it or where it was put."""
        if differ := _differ(tree(self.outside), self.beyond):
            self._fault("outside", str(sorted(differ)))
            self.beyond = tree(self.outside)
        there = contents(self.root) | contents(self.state) | contents(self.top / "away")
        if lost := self.held - there:
            self._fault("lost", f"{len(lost)} files")

    def _fault(self, kind: str, what: str) -> None:
        self.totals[kind] += 1
        self.faults.append(f"{kind}: {what}")


def _differ(one: Tree, two: Tree) -> set[bytes]:
    return {name for name in one.keys() | two.keys() if one.get(name) != two.get(name)}
