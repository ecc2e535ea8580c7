"""Copies, links and the trash: done whole or not at all, killed at every change, and undone."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import re
import shutil
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from support.fake_trash import Trash
from support.fault_injection import Fault, calls_of, disk, here, in_child, kills, points
from support.kill_scene import Scene
from support.photo_trees import SHOTS, contents, grow, grow_planned, plan_for, rejected, tree

from iqcli.culling import planner as plans
from iqcli.errors import IqError, PlanConflict
from iqcli.fs import files
from iqcli.transactions.apply import apply
from iqcli.transactions.history import State, history
from iqcli.transactions.undo import recover, undo

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli_runner import Iq

pytestmark = pytest.mark.slow

KINDS = [("copy", "native"), ("copy", "claims"), ("link", "native")]


@pytest.mark.parametrize("action", ["copy", "link"])
def test_the_originals_stay_and_undo_leaves_no_trace(root: Path, state: Path, action: str) -> None:
    before = tree(root)
    done = apply(plan_for(root, action=action), state)
    assert (done.what, done.shots, done.files) == (action, 3, 6)
    after = tree(root)
    assert {name: after[name] for name in before} == before
    for name in (os.fsencode(name) for names in SHOTS for name in names):
        there = root / "_Rejected" / os.fsdecode(name)
        if action == "copy":
            assert after[b"_Rejected/" + name] == before[name]
            assert there.stat().st_ino != (root / os.fsdecode(name)).stat().st_ino
        else:
            assert not there.readlink().is_absolute()
            assert there.samefile(root / os.fsdecode(name))
    back = undo(None, state)
    assert (back.what, back.shots, back.files, back.of) == (action, 3, 6, done.run)
    assert tree(root) == before


@pytest.mark.parametrize("action", ["copy", "link", "trash", "list"])
def test_a_plan_file_keeps_the_action(root: Path, tmp_path: Path, action: str) -> None:
    plan = plan_for(root, action=action)
    plans.save(plan, tmp_path / "plan")
    assert plans.load(tmp_path / "plan") == plan
    assert plan.action == action


def test_a_plan_of_old_moves(root: Path, tmp_path: Path) -> None:
    plan, path = plan_for(root), tmp_path / "plan"
    plans.save(plan, path)
    path.write_bytes(path.read_bytes().replace(b'"action": "move", ', b"", 1))
    assert plans.load(path) == plan
    lines = path.read_bytes().splitlines(keepends=True)
    told = b', "codes": ["below"]'
    assert all(told in each for each in lines[1:])
    path.write_bytes(b"".join(each.replace(told, b"") for each in lines))
    assert {each.codes for each in plans.load(path).shots} == {()}


def test_a_list_does_nothing(root: Path, state: Path) -> None:
    before = tree(root)
    assert apply(plan_for(root, action="list"), state).run == ""
    assert tree(root) == before
    assert not state.exists()


@pytest.mark.parametrize(("action", "kind"), KINDS)
def test_apply_killed_at_every_change(quick_path: Path, action: str, kind: str) -> None:
    scene = Scene(quick_path / "scene", kind, action)
    calls = calls_of(scene.apply, kind)
    assert len(calls) > 30
    for fault in kills(calls, KINDS.index((action, kind))):
        scene.renew()
        scene.kill(scene.apply, fault)
        now = tree(scene.root)
        assert {name: now.get(name) for name in scene.before} == scene.before, fault
        scene.restore(fault)


@pytest.mark.parametrize(("action", "kind"), KINDS)
def test_undo_killed_at_every_change(quick_path: Path, action: str, kind: str) -> None:
    scene = Scene(quick_path / "scene", kind, action)
    scene.applied()
    calls = calls_of(scene.undo, kind)
    assert len(calls) > 20
    for fault in kills(calls, KINDS.index((action, kind))):
        scene.applied()
        scene.kill(scene.undo, fault)
        scene.restore(fault)


@pytest.mark.parametrize(("action", "kind"), KINDS)
def test_whole_or_nothing_under_every_error(quick_path: Path, action: str, kind: str) -> None:
    scene = Scene(quick_path / "scene", kind, action)
    calls = calls_of(scene.apply, kind)
    after = {name: leaf for name, leaf in tree(scene.root).items() if b"MANIFEST" not in name}
    for at in points(calls, KINDS.index((action, kind))):
        scene.renew()
        ended = here(scene.apply, kind, Fault(at, code=(errno.ENOSPC, errno.EIO)[at % 2]))
        now = {name: leaf for name, leaf in tree(scene.root).items() if b"MANIFEST" not in name}
        assert now == (scene.before if ended.code else after), (ended, at)
        if not ended.code:
            undone = len(calls_of(scene.undo, kind))
            scene.applied()
            ended = here(scene.undo, kind, Fault(1 + at % undone, code=errno.EIO))
            if ended.code:
                assert here(scene.undo, kind).code == 0, (ended, at)
            assert tree(scene.root) == scene.before, (ended, at)


def test_a_disk_without_links_is_told_in_one_sentence(quick_path: Path) -> None:
    scene = Scene(quick_path / "scene", "native", "link")
    refusing = mock.Mock(side_effect=OSError(errno.EPERM, os.strerror(errno.EPERM)))
    with mock.patch.object(os, "symlink", refusing):
        ended = here(scene.apply)
    assert ended.code == 2
    assert "cannot link " in ended.says
    assert "this disk may know no links, copy or move instead; all files are where" in ended.says
    assert tree(scene.root) == scene.before


@pytest.mark.parametrize("action", ["move", "copy", "link"])
def test_a_name_taken_in_the_last_moment_is_not_ours_to_take_back(
    root: Path, state: Path, action: str
) -> None:
    plan = plan_for(root, action=action)
    before, name = tree(root), root / plan.shots[-1].files[-1].target
    module, call = (files, "make_link") if action == "link" else (files, "place_new")
    real = getattr(module, call)

    def late(*given: object) -> None:
        if name in given:
            name.write_bytes(b"another's")
        real(*given)

    with (
        mock.patch.object(module, call, late),
        pytest.raises(PlanConflict, match="was taken meanwhile; all files are where they were"),
    ):
        apply(plan, state)
    assert name.read_bytes() == b"another's"
    shutil.rmtree(root / "_Rejected")
    assert tree(root) == before
    assert [row.state for row in history(state)] == [State.ABORTED]


def edited(root: Path, name: str) -> None:
    (root / name).chmod(0o644)
    (root / name).write_bytes(b"edited since")


def test_a_copy_that_was_edited_stays(root: Path, state: Path) -> None:
    apply(plan_for(root, action="copy"), state)
    edited(root, "_Rejected/IMG_0001.JPG")
    before = tree(root)
    with pytest.raises(PlanConflict, match=r"_Rejected/IMG_0001.JPG has changed since"):
        undo(None, state)
    assert tree(root) == before
    assert len(undo(None, state, partly=True).left) == 1
    left = {name for name in tree(root) if name.startswith(b"_Rejected/IMG")}
    assert left == {b"_Rejected/IMG_0001.JPG", b"_Rejected/IMG_0001.JPG.xmp"}


@pytest.mark.parametrize("how", ["edited", "gone", "same size and time"])
def test_a_copy_stays_while_its_original_is_another(root: Path, state: Path, how: str) -> None:
    apply(plan_for(root, action="copy"), state)
    original = root / "IMG_0001.JPG"
    status, data = original.stat(), original.read_bytes()
    if how == "edited":
        edited(root, "IMG_0001.JPG")
    elif how == "gone":
        original.unlink()
    else:  # only the bytes tell
        original.write_bytes(data[::-1])
        os.utime(original, ns=(status.st_atime_ns, status.st_mtime_ns))
    before = tree(root)
    with pytest.raises(PlanConflict, match=r"has changed since|is gone|no longer equal"):
        undo(None, state)
    assert timeless(tree(root)) == timeless(before)
    assert (root / "_Rejected/IMG_0001.JPG").read_bytes() == data


def timeless(found: dict[bytes, tuple[object, ...]]) -> dict[bytes, object]:
    return {name: leaf[-1] for name, leaf in found.items()}


def test_copies_and_links_that_a_person_removed_are_no_conflict(root: Path, state: Path) -> None:
    before = tree(root)
    for action in ("copy", "link"):
        apply(plan_for(root, action=action), state)
        (root / "_Rejected/IMG_0001.JPG").unlink()
        undo(None, state)
        assert tree(root) == before


def test_a_link_that_leads_elsewhere_now_stays(root: Path, state: Path) -> None:
    apply(plan_for(root, action="link"), state)
    link = root / "_Rejected/IMG_0001.JPG"
    link.unlink()
    link.symlink_to("/etc/hostname")
    with pytest.raises(PlanConflict, match=r"_Rejected/IMG_0001.JPG has changed since"):
        undo(None, state)
    assert link.is_symlink()


def test_a_link_goes_whatever_became_of_the_original(root: Path, state: Path) -> None:
    apply(plan_for(root, action="link"), state)
    (root / "IMG_0001.JPG").unlink()
    undo(None, state)
    assert not (root / "_Rejected").exists()


def test_the_manifest_says_how_to_clear_up_by_hand(root: Path, state: Path) -> None:
    for action, shot in zip(("move", "copy", "link"), SHOTS, strict=True):
        apply(plan_for(root, [shot], action), state)
    lines = (root / "_Rejected/MANIFEST.jsonl").read_text("utf-8").splitlines()
    moved, copied, linked = map(json.loads, lines[1:])
    assert [each["action"] for each in (moved, copied, linked)] == ["move", "copy", "link"]
    assert "by_hand" not in moved
    assert copied["by_hand"].startswith("delete each 'to', having seen that 'from' is still there")
    assert linked["by_hand"].startswith("delete each 'to': these are links")
    for _ in range(3):
        undo(None, state)
    assert not (root / "_Rejected").exists()


# --- the trash ---


class Bin:
    """A scene whose rejects go to a trash."""

    def __init__(self, top: Path, trash: Trash) -> None:
        self.scene, self.trash = Scene(top / "scene", "native", "trash"), trash

    def renew(self) -> None:
        self.scene.renew()
        shutil.rmtree(self.trash.home / ".local", ignore_errors=True)

    def applied(self) -> None:
        self.renew()
        self.scene.apply()

    def kill(self, work: object, fault: Fault) -> None:
        ended = in_child(work, fault=fault)  # type: ignore[arg-type]
        assert ended.code == -signal.SIGKILL, (ended, fault)
        kept = contents(self.scene.root) | contents(self.trash.folder)
        assert self.scene.held <= kept, fault

    def restore(self, fault: Fault) -> None:
        """A person puts back what is in the trash if `iq undo` says so, and runs it again."""
        ended = here(self.scene.undo)
        if "went to the trash; restore " in ended.says:
            self.trash.restore()
        self.scene.restore(fault)


def test_the_trash_gets_one_folder_that_can_be_restored(quick_path: Path, bin_: Trash) -> None:
    root, state = quick_path / "photos", quick_path / "state"
    plan = grow_planned(root, {})
    grow(root, [name for names in SHOTS for name in names])
    apply(plan_for(root, SHOTS[:1]), state)
    before = tree(root)
    plan = plan_for(root, SHOTS[1:], "trash")
    done = apply(plan, state)
    [thing] = bin_.things
    assert thing.name.startswith("_Rejected-20")
    assert {path.name for path in thing.rglob("*") if path.is_file()} == {
        "MANIFEST.jsonl", "IMG_1234.HEIC", "IMG_1234.MOV", "IMG_O1234.AAE",
        SHOTS[2][0].rpartition("/")[2],
    }  # fmt: skip
    assert (root / "_Rejected/IMG_0001.JPG").exists()
    assert not done.rejects[0].exists()
    with pytest.raises(PlanConflict) as caught:
        undo(None, state)
    assert f"restore {done.rejects[0]} from there, then run iq undo {done.run}" in str(caught.value)
    assert history(state)[-1].state is State.APPLIED
    assert history(state)[-1].kind == "trash"
    bin_.restore()
    assert undo(None, state).what == "trash"
    assert tree(root) == before


def test_what_is_trashed_twice_in_a_second_comes_back_to_two_places(
    quick_path: Path, bin_: Trash
) -> None:
    root, state = quick_path / "photos", quick_path / "state"
    grow(root, [name for names in SHOTS for name in names])
    before = tree(root)
    for shot in SHOTS:
        apply(plan_for(root, [shot], "trash"), state)
    bin_.restore()
    for _ in SHOTS:
        undo(None, state)
    assert tree(root) == before


def test_trash_killed_at_every_change(quick_path: Path, bin_: Trash) -> None:
    bin = Bin(quick_path, bin_)
    calls = calls_of(bin.scene.apply)
    assert calls.count("rename") == 1  # the folder's, as one thing
    for fault in kills(calls, 0):
        bin.renew()
        bin.kill(bin.scene.apply, fault)
        bin.restore(fault)
        assert tree(bin.scene.root) == bin.scene.before, fault


def test_undo_from_the_trash_killed_at_every_change(quick_path: Path, bin_: Trash) -> None:
    bin = Bin(quick_path, bin_)
    bin.applied()
    bin_.restore()
    calls = calls_of(bin.scene.undo)
    for fault in kills(calls, 1):
        bin.applied()
        bin_.restore()
        bin.kill(bin.scene.undo, fault)
        bin.restore(fault)


def test_the_next_cull_leaves_in_the_trash_what_had_reached_it(
    quick_path: Path, bin_: Trash
) -> None:
    bin = Bin(quick_path, bin_)
    for fault in kills(calls_of(bin.scene.apply), 2):
        bin.renew()
        bin.kill(bin.scene.apply, fault)
        ended = here(partial(recover, [bin.scene.root], bin.scene.state))
        assert ended.code == 0, (ended, fault)
        if bin_.things:
            rows = history(bin.scene.state)
            assert [row.state for row in rows] == [State.APPLIED], fault
            bin_.restore()
            bin.scene.undo()
        assert tree(bin.scene.root) == bin.scene.before, fault


@pytest.mark.parametrize("code", [errno.EACCES, errno.EXDEV, errno.ENOTSUP])
def test_a_trash_that_refuses_changes_nothing(
    quick_path: Path, bin_: Trash, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    bin = Bin(quick_path, bin_)
    refusing = mock.Mock(side_effect=OSError(code, os.strerror(code)))
    monkeypatch.setattr("send2trash.send2trash", refusing)
    ended = here(bin.scene.apply)
    assert ended.code == 2
    assert f"{os.strerror(code)}; move instead; all files are where they were" in ended.says
    assert tree(bin.scene.root) == bin.scene.before
    assert refusing.call_count == 1


def test_an_error_of_a_trash_that_took_it_is_none(
    quick_path: Path, bin_: Trash, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin = Bin(quick_path, bin_)
    import send2trash

    real = send2trash.send2trash

    def grumbling(path: Path) -> None:
        real(path)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("send2trash.send2trash", grumbling)
    assert here(bin.scene.apply).code == 0
    assert len(bin_.things) == 1


def test_without_a_program_for_the_trash_nothing_is_touched(
    root: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(root)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(IqError, match=r"pip install 'iqcli\[trash\]', or move them instead"):
        apply(plan_for(root, action="trash"), state)
    assert tree(root) == before
    assert not state.exists()


def test_the_trash_takes_no_folder_that_holds_others(
    quick_path: Path, bin_: Trash, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, state = quick_path / "photos", quick_path / "state"
    root.mkdir()
    grow(root, [name for names in SHOTS for name in names])
    path = quick_path / "plan"
    plans.save(plan_for(root, SHOTS[1:]), path)
    path.write_bytes(path.read_bytes().replace(b'"move"', b'"trash"', 1))
    apply(plan_for(root, SHOTS[:1]), state)
    with pytest.raises(PlanConflict, match="_Rejected is not a folder of iq for this plan"):
        apply(plans.load(path), state)
    assert bin_.things == []


def test_the_trash_gets_a_folder_that_was_not_there(root: Path, state: Path) -> None:
    for _ in range(3):  # within a second two plans would choose one name
        first = plan_for(root, SHOTS[:1], "trash")
        apply(plan_for(root, SHOTS[:1]), state)
        (root / "_Rejected").rename(first.rejects[0])
        again = plan_for(root, SHOTS[1:], "trash")
        assert again.rejects != first.rejects
        first.rejects[0].rename(root / "_Rejected")
        undo(None, state)


def test_the_trash_takes_one_root_at_a_time(tmp_path: Path) -> None:
    decisions = []
    for name in ("x", "y"):
        grow(tmp_path / name, ["a.jpg"])
        decisions += rejected(tmp_path / name, [["a.jpg"]])
    with pytest.raises(IqError, match="one folder at a time"):
        plans.make(decisions, "", "", "trash")


@pytest.mark.parametrize("kind", ["native", "claims"])
def test_an_empty_companion_is_copied_and_removed(quick_path: Path, kind: str) -> None:
    root, state = quick_path / "photos", quick_path / "state"
    grow(root, ["a.jpg", "a.xmp"])
    (root / "a.xmp").chmod(0o644)
    (root / "a.xmp").write_bytes(b"")
    before = tree(root)
    with disk(kind):
        apply(plan_for(root, [["a.jpg", "a.xmp"]], "copy"), state)
        undo(None, state)
    assert tree(root) == before


@pytest.mark.skipif(sys.platform != "linux", reason="the trash of freedesktop.org")
def test_every_action_from_end_to_end(iq: Iq, roll: Path) -> None:
    home = iq.home / "trash"
    home.mkdir()
    iq.changes |= {"HOME": str(home), "XDG_DATA_HOME": str(home / ".local/share")}
    before = tree(roll)
    words = ("cull", "photos", "--worst", "34%", "--action")
    for action in ("copy", "link"):
        assert iq(*words, action, "--apply").code == 0
        assert set(tree(roll)) > set(before)
        undone = iq("undo")
        assert undone.lines[0].startswith("removed the ")
        assert tree(roll) == before
    assert iq(*words, "trash", "--apply").code == 0
    assert len(tree(roll)) == len(before) - 2
    refused = iq("undo")
    assert (refused.code, len(refused.lines)) == (4, 1)
    assert f"went to the trash; restore {roll}/_Rejected-" in refused.err
    Trash(home).restore()
    assert iq("undo").code == 0
    assert tree(roll) == before
    said = iq("history").out.decode()
    assert re.findall("copy|link|trash", said) == ["trash", "link", "copy"]
