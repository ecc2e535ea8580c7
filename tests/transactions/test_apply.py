"""Apply on real trees: the re-check, the collisions, the locks, the manifest."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.fault_injection import in_child
from support.photo_trees import SHOTS, STAYS, grow, grow_planned, plan_for, tree

from iqcli.errors import IqError, PlanConflict
from iqcli.fs import locks, syscalls
from iqcli.transactions.apply import apply
from iqcli.transactions.history import State, history
from iqcli.transactions.undo import undo

if TYPE_CHECKING:
    from iqcli.transactions.plan import Plan


def refused(plan: Plan, root: Path, state: Path, match: str) -> None:
    """The plan is refused with these words, and nothing has moved."""
    before = tree(root)
    with pytest.raises(PlanConflict, match=match):
        apply(plan, state)
    assert tree(root) == before


def test_every_file_of_a_shot_goes_below_rejected(root: Path, state: Path) -> None:
    before = tree(root)
    outcome = apply(plan_for(root), state)
    assert (outcome.shots, outcome.files) == (3, 6)
    assert outcome.rejects == (root / "_Rejected",)
    after = tree(root)
    for name in (os.fsencode(name) for names in SHOTS for name in names):
        assert after[b"_Rejected/" + name] == before[name]
        assert name not in after
    assert all(after[os.fsencode(name)] == before[os.fsencode(name)] for name in STAYS)


def test_an_empty_plan_touches_nothing(root: Path, state: Path) -> None:
    before = tree(root)
    assert apply(plan_for(root, []), state).shots == 0
    assert tree(root) == before
    assert not state.exists()


def test_a_changed_companion_blocks_the_whole_plan(root: Path, state: Path) -> None:
    plan = plan_for(root)
    (root / "2024/IMG_1234.MOV").write_bytes(b"edited")
    refused(plan, root, state, "IMG_1234.MOV has changed since; nothing was moved")


def test_same_size_and_new_bytes_are_a_change(root: Path, state: Path) -> None:
    path = root / "IMG_0001.JPG"
    plan = plan_for(root)
    path.write_bytes(path.read_bytes()[::-1])
    refused(plan, root, state, "IMG_0001.JPG has changed")


def test_a_new_time_alone_is_no_change(root: Path, state: Path) -> None:
    plan = plan_for(root)
    os.utime(root / "IMG_0001.JPG")
    assert apply(plan, state).shots == 3


def test_a_vanished_companion_blocks_the_whole_plan(root: Path, state: Path) -> None:
    plan = plan_for(root)
    (root / "IMG_0001.JPG.xmp").unlink()
    (root / "2024/IMG_1234.MOV").unlink()
    refused(plan, root, state, r"IMG_0001.JPG.xmp is gone \(and 1 more\)")


def test_a_new_companion_blocks_the_whole_plan(root: Path, state: Path) -> None:
    plan = plan_for(root)
    (root / "2024/IMG_1234.HEIC.xmp").write_bytes(b"<x/>")
    refused(plan, root, state, "IMG_1234.HEIC.xmp belongs to a shot of the plan and is not in it")


def test_a_photo_replaced_by_a_link_blocks_the_plan(root: Path, state: Path) -> None:
    plan = plan_for(root)
    (root / "IMG_0001.JPG").unlink()
    (root / "IMG_0001.JPG").symlink_to(root / "notes.txt")
    refused(plan, root, state, "IMG_0001.JPG has changed")


def test_a_target_taken_since_blocks_the_plan(root: Path, state: Path) -> None:
    apply(plan_for(root, [SHOTS[1]]), state)
    plan = plan_for(root, [SHOTS[0]])
    (root / "_Rejected/IMG_0001.JPG.xmp").write_bytes(b"mine")
    refused(plan, root, state, "IMG_0001.JPG.xmp is taken")


def test_a_rejected_folder_of_the_user_since_then_blocks_the_plan(root: Path, state: Path) -> None:
    plan = plan_for(root)
    (root / "_Rejected").mkdir()
    refused(plan, root, state, "_Rejected is not a folder of iq")


def test_a_plan_applied_twice_is_refused(root: Path, state: Path) -> None:
    plan = plan_for(root)
    apply(plan, state)
    refused(plan, root, state, "IMG_0001.JPG is already at .*_Rejected")


@pytest.mark.parametrize("nth", [1, 2, 3, 4, 5, 6])
def test_a_late_taker_of_a_name_keeps_his_file(
    root: Path, state: Path, nth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, before = plan_for(root), tree(root)
    real, moves = syscalls.rename_new, []

    def late(source: Path, target: Path, *folders: int | None) -> None:
        moves.append(target)
        if len(moves) == nth:
            target.write_bytes(b"from somebody else")
        real(source, target, *folders)

    monkeypatch.setattr(syscalls, "rename_new", late)
    with pytest.raises(PlanConflict, match="was taken meanwhile; all files are where they were"):
        apply(plan, state)
    kept = moves[nth - 1]
    assert kept.read_bytes() == b"from somebody else"
    after = tree(root)
    assert all(after[name] == leaf for name, leaf in before.items())


def test_a_late_change_rolls_back(root: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_for(root)
    last = plan.shots[-1]
    real = syscalls.rename_new

    def late(source: Path, target: Path, *folders: int | None) -> None:
        real(source, target, *folders)
        (root / last.files[0].source).write_bytes(b"edited meanwhile")

    with monkeypatch.context() as patch:
        patch.setattr(syscalls, "rename_new", late)
        with pytest.raises(PlanConflict, match="has changed since; all files are where they were"):
            apply(plan, state)
    assert not (root / "_Rejected").exists()
    assert (root / last.files[0].source).read_bytes() == b"edited meanwhile"
    assert [row.state for row in history(state)] == [State.ABORTED]
    with pytest.raises(IqError, match="no run is left to undo"):
        undo(None, state)


def test_names_taken_by_an_earlier_run_move_the_whole_shot_aside(root: Path, state: Path) -> None:
    shot = SHOTS[1]
    for _ in range(3):
        apply(plan_for(root, [shot]), state)
        grow(root, shot)
    (root / "_Rejected/again-2/2024/IMG_1234.HEIC").unlink()
    plan = plan_for(root, [shot])
    layers = {each.target.parts[:2] for each in plan.shots[0].files}
    assert layers == {("_Rejected", "again-4")}  # its companions would not be alone in again-2
    apply(plan, state)
    names = [Path(name).name for name in shot]
    for layer in ("", "again-3/", "again-4/"):
        assert sorted(p.name for p in (root / f"_Rejected/{layer}2024").iterdir()) == sorted(names)


def test_the_manifest_lets_a_person_put_things_back(root: Path, state: Path) -> None:
    before = tree(root)
    outcome = apply(plan_for(root), state)
    folder = root / "_Rejected"
    first, *rest = (folder / "MANIFEST.jsonl").read_text("utf-8").splitlines()
    assert json.loads(first)["kind"] == "iq-rejects"
    assert len(rest) == 3
    for entry in map(json.loads, rest):
        assert entry["run"] == outcome.run
        assert entry["score"] == 2.0
        assert entry["reasons"] == ["score 2.0 is below 4.0"]
        for each in entry["files"]:
            if "from_b64" not in each:
                (root / each["to"]).rename(root / each["from"])
                assert each["sha256"] == before[os.fsencode(each["from"])][-1]
    assert (root / "IMG_0001.JPG").is_file()
    assert undo(None, state).shots == 3  # what a person put back is home already
    assert tree(root) == before


def test_new_folders_are_as_private_as_the_old(tmp_path: Path, state: Path) -> None:
    root = tmp_path / "photos"
    plan = grow_planned(root, {"one": ["private/a.jpg"]})
    (root / "private").chmod(0o700)
    apply(plan, state)
    assert (root / "_Rejected/private").stat().st_mode & 0o777 == 0o700


def test_two_roots_each_have_their_rejects(tmp_path: Path, state: Path) -> None:
    plans = [grow_planned(tmp_path / name, {"one": ["a.jpg", "a.xmp"]}) for name in ("x", "y")]
    both = type(plans[0])("", "", "", plans[0].shots + plans[1].shots)
    before = tree(tmp_path / "x"), tree(tmp_path / "y")
    assert len(apply(both, state).rejects) == 2
    undo(None, state)
    assert (tree(tmp_path / "x"), tree(tmp_path / "y")) == before


@pytest.mark.parametrize("held", [".", "2024", ".."])
def test_a_second_process_is_locked_out(root: Path, state: Path, held: str) -> None:
    plan, before = plan_for(root), tree(root)
    with locks.hold([(root / held).resolve()], state):
        ended = in_child(lambda: apply(plan, state))
    assert ended.code == 2
    assert re.search("another iq is working in .*; wait", ended.says)
    assert tree(root) == before
    assert in_child(lambda: apply(plan, state)).code == 0  # and let in afterwards


def test_roots_side_by_side_do_not_lock_each_other_out(root: Path, state: Path) -> None:
    plan = plan_for(root)
    with locks.hold([root.with_name("other"), root.with_name("photo")], state):
        assert in_child(lambda: apply(plan, state)).code == 0


def test_two_applies_at_once_move_each_shot_once(quick_path: Path) -> None:
    root, state = quick_path / "photos", quick_path / "state"
    shots = {str(n): [f"{n % 7}/{n}.jpg", f"{n % 7}/{n}.xmp"] for n in range(150)}
    plan = grow_planned(root, shots)
    before = tree(root)
    children = []
    for _ in range(2):
        if (pid := os.fork()) == 0:
            try:
                apply(plan, state)
            except IqError as error:
                os._exit(error.exit_code)
            except BaseException:
                os._exit(70)
            os._exit(0)
        children.append(pid)
    codes = sorted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children)
    assert codes in ([0, 2], [0, 4])  # locked out, or too late and nothing left to move
    assert sum(path.is_file() for path in (root / "_Rejected").rglob("*")) == 301
    undo(None, state)
    assert tree(root) == before


def test_a_state_folder_that_cannot_be_written_moves_nothing(root: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_bytes(b"")
    before = tree(root)
    with pytest.raises(IqError, match="cannot lock in"):
        apply(plan_for(root), blocked)
    assert tree(root) == before


def test_the_journal_is_private(root: Path, state: Path) -> None:
    outcome = apply(plan_for(root), state)
    assert (state / "journal").stat().st_mode & 0o777 == 0o700
    assert (state / f"journal/{outcome.run}.jsonl").stat().st_mode & 0o777 == 0o600
