"""SIGKILL at every change of the disk, on every kind of disk: undo restores hash for hash."""

from __future__ import annotations

import os
import signal
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import pytest
from support.fault_injection import DISKS, Fault, calls_of, disk, here, in_child, kills
from support.kill_scene import NOTHING_TO_UNDO, Family, Scene
from support.photo_trees import SAME, SHOTS, contents, plan_for, tree

from iqcli.transactions.apply import apply
from iqcli.transactions.undo import recover, undo

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", DISKS)
def test_apply_killed_at_every_change(quick_path: Path, kind: str) -> None:
    scene = Scene(quick_path / "scene", kind)
    calls = calls_of(scene.apply, kind)
    assert len(calls) > 40
    for fault in kills(calls, DISKS.index(kind)):
        scene.renew()
        scene.kill(scene.apply, fault)
        scene.restore(fault)


@pytest.mark.parametrize("kind", DISKS)
def test_undo_killed_at_every_change(quick_path: Path, kind: str) -> None:
    scene = Scene(quick_path / "scene", kind)
    scene.applied()
    calls = calls_of(scene.undo, kind)
    assert len(calls) > 30
    for fault in kills(calls, DISKS.index(kind)):
        scene.applied()
        scene.kill(scene.undo, fault)
        scene.restore(fault)


@pytest.mark.parametrize("kind", ["native", "copies-claims"])
def test_copies_edits_and_links_killed_at_every_change(quick_path: Path, kind: str) -> None:
    """Of what holds the same bytes, every name comes back, and none of other programs goes."""
    scene = Family(quick_path / "scene", kind)
    calls = calls_of(scene.apply, kind)
    assert {os.fsencode(name) for name in SAME} <= tree(scene.root).keys()
    for fault in kills(calls, DISKS.index(kind), 8):
        scene.renew()
        scene.kill(scene.apply, fault)
        scene.restore(fault)
    scene.applied()
    for fault in kills(calls_of(scene.undo, kind), DISKS.index(kind), 8):
        scene.applied()
        scene.kill(scene.undo, fault)
        scene.restore(fault)


@pytest.mark.parametrize("kind", DISKS)
def test_undo_killed_after_a_killed_apply(quick_path: Path, kind: str) -> None:
    scene = Scene(quick_path / "scene", kind)
    hits = 0
    for nth, first in enumerate(islice(kills(calls_of(scene.apply, kind), 0), 3, None, 4)):
        scene.renew()
        scene.kill(scene.apply, first)
        for at in range(20 + nth % 3, 500, 7):  # the first changes are those of locks and journal
            second = Fault(at, "before")
            if in_child(scene.undo, kind, second).code != -signal.SIGKILL:
                break
            hits += 1
            assert scene.held <= contents(scene.root), (first, second)
        scene.restore(second)
    assert hits > 5


def test_the_next_cull_takes_a_killed_one_back(quick_path: Path) -> None:
    scene = Scene(quick_path / "scene", "native")
    scene.applied()
    after = set(tree(scene.root))
    scene.renew()
    calls = calls_of(scene.apply)
    for fault in kills(calls, 0):
        scene.renew()
        scene.kill(scene.apply, fault)
        ended = here(partial(recover, [scene.root / "2024"], scene.state))
        assert ended.code == 0, (ended, fault)
        if fault.at == len(calls):  # only the fsync of "finished" is missing
            assert set(tree(scene.root)) == after
        else:
            assert tree(scene.root) == scene.before, fault


@pytest.mark.parametrize("kind", ["native", "copies-claims"])
def test_undo_in_part_killed_at_every_change(quick_path: Path, kind: str) -> None:
    """A reject of the second of two runs is lost: the first comes back whole after all."""
    scene = Scene(quick_path / "scene", kind)
    lost = {os.fsencode(name) for name in SHOTS[0]}
    held = scene.held - {scene.before[os.fsencode(SHOTS[0][0])][-1]}
    runs: list[str] = []

    def culled() -> None:
        scene.renew()
        with disk(kind):
            plans = (plan_for(scene.root, shots) for shots in (SHOTS[2:], SHOTS[:2]))
            runs[:] = [apply(plan, scene.state).run for plan in plans]
        (scene.root / "_Rejected" / SHOTS[0][0]).unlink()

    def in_part() -> None:
        undo(runs[1], scene.state, partly=True)

    culled()
    calls = calls_of(in_part, kind)
    assert len(calls) > 20
    for fault in kills(calls, DISKS.index(kind)):
        culled()
        assert in_child(in_part, kind, fault).code == -signal.SIGKILL, fault
        assert held <= contents(scene.root), fault
        assert here(in_part, kind).code == 0, fault
        assert here(scene.undo, kind).code == 0, fault
        assert NOTHING_TO_UNDO in here(scene.undo, kind).says, fault
        now = tree(scene.root)
        assert scene.before.keys() - now.keys() == lost, fault
        assert {name: now.get(name) for name in scene.before.keys() - lost} == {
            name: leaf for name, leaf in scene.before.items() if name not in lost
        }, fault


def test_what_was_left_comes_back_by_name_after_any_kill(quick_path: Path) -> None:
    scene = Scene(quick_path / "scene", "native")
    away = scene.top / "away"
    runs: list[str] = []

    def closed() -> None:
        scene.applied()
        moved = scene.root / "_Rejected" / SHOTS[1][0]
        moved.rename(away)
        runs[:] = [undo(None, scene.state, partly=True).of or ""]
        away.rename(moved)

    def by_name() -> None:
        undo(runs[0], scene.state)

    closed()
    calls = calls_of(by_name)
    assert tree(scene.root) == scene.before
    for fault in kills(calls, 1):
        closed()
        scene.kill(by_name, fault)
        ended = here(by_name)
        assert ended.code == 0 or "already taken back" in ended.says, (ended, fault)
        assert tree(scene.root) == scene.before, fault
        assert NOTHING_TO_UNDO in here(scene.undo).says, fault
