"""Links swapped in for folders and files, in the worst moment: nothing leaves the root."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support.attacker import FILES, FOLDERS, Arena, Swap
from support.fault_injection import Fault, calls_of, here
from support.kill_scene import NOTHING_TO_UNDO, Scene
from support.photo_trees import Tree, contents, tree

from iqcli.fs import anchors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Every so many changes of the disk.
STEP = 23
# What cannot be taken back where a path leads elsewhere.
AT_ONCE = ("unlink", "rmdir", "replace")


@pytest.fixture(params=["open folders", "stand-in"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A system that makes changes relative to open folders, or one that does not."""
    if request.param == "stand-in":
        monkeypatch.setattr(anchors, "DESCRIPTORS", False)
    return str(request.param)


@pytest.mark.slow
def test_an_attacker_leads_no_file_out_of_the_root(quick_path: Path) -> None:
    """A few runs of `tests/bench/attacker.py`."""
    swaps = 0
    for seed in range(12):
        arena = Arena(quick_path / str(seed), seed)
        try:
            arena.round()
        finally:
            arena.close()
        assert arena.faults == [], seed
        swaps += arena.totals["swaps"]
    assert swaps > 5


def swaps_of(scene: Scene) -> Iterator[Swap]:
    """Each folder and file with a link to its double, which has the same names and contents."""
    outside = scene.top / "outside"
    for name in (*FOLDERS, *FILES):
        yield Swap(scene.root / name, scene.root / "away", outside / name)


def lay_lures(scene: Scene, held: dict[str, bytes]) -> Tree:
    """What is outside: the same files at home, and among the rejects."""
    for place in ("outside", "outside/_Rejected"):
        for name, data in held.items():
            path = scene.top / place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return tree(scene.top / "outside")


def without_rejects(found: Tree) -> Tree:
    """What stays: a folder that was elsewhere while it was to go, empty; a copy put away."""
    return {
        name: leaf
        for name, leaf in found.items()
        if name != b"away"
        and not (name.startswith(b"_Rejected") and (leaf[0] == "folder" or b"MANIFEST" in name))
    }


def swapped_at_changes(
    scene: Scene, prepare: Callable[[], None], work: Callable[[], None], system: str, step: int
) -> tuple[int, int]:
    """Swap a name before each change of the disk; returns the runs, and those that noticed."""
    scene.renew()
    held = {
        os.fsdecode(name): (scene.root / os.fsdecode(name)).read_bytes()
        for name, leaf in scene.before.items()
        if leaf[0] == "file"
    }
    prepare()
    calls, runs, noticed = calls_of(work), 0, 0
    for nth, swap in enumerate(swaps_of(scene)):
        for at in range(1 + nth % step, len(calls) + 1, step):
            prepare()
            beyond = lay_lures(scene, held)
            ended = here(work, fault=Fault(at, meanwhile=swap.make))
            where = (swap.path, at, calls[at - 1], ended)
            if system == "open folders" or calls[at - 1] not in AT_ONCE:
                assert tree(scene.top / "outside") == beyond, where
            else:  # the link is followed, and that is noticed
                assert tree(scene.top / "outside") == beyond or ended.code, where
            assert scene.held <= contents(scene.root), where
            if ended.code:
                noticed += 1
                assert str(scene.root) in ended.says or str(scene.state) in ended.says, where
            swap.restore()
            ended = here(scene.undo)
            assert ended.code == 0 or NOTHING_TO_UNDO in ended.says, (where, ended)
            assert without_rejects(tree(scene.root)) == scene.before, where
            runs += 1
    return runs, noticed


@pytest.mark.slow
@pytest.mark.parametrize("action", ["move", "copy", "link"])
def test_a_link_swapped_in_at_any_change_is_not_followed(
    quick_path: Path, system: str, action: str
) -> None:
    scene = Scene(quick_path / "scene", action=action)
    for prepare, work in ((scene.renew, scene.apply), (scene.applied, scene.undo)):
        runs, noticed = swapped_at_changes(scene, prepare, work, system, STEP)
        assert runs > 9
        assert noticed > 1
