"""An error at every change of the disk: the run is refused whole or done whole, and says so."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from support.fault_injection import DISKS, Fault, calls_of, disk, here, points, whole
from support.kill_scene import Scene
from support.photo_trees import contents, plan_for, tree

from iqcli.errors import Exit, Interrupted, IqError
from iqcli.fs import syscalls
from iqcli.transactions.apply import apply
from iqcli.transactions.undo import undo

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

CODES = (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO)
KINDS = ("native", "claims", "copies-links")
STANDS = "all files are where they were"


@pytest.mark.parametrize("kind", KINDS)
def test_apply_is_whole_or_nothing(quick_path: Path, kind: str) -> None:
    scene = Scene(quick_path / "scene", kind)
    calls = calls_of(scene.apply, kind)
    after = tree(scene.root)
    for at in points(calls, DISKS.index(kind)):
        code = CODES[at % len(CODES)]
        scene.renew()
        ended = here(scene.apply, kind, Fault(at, code=code))
        if ended.code == 0:  # such as an fsync of a folder that may fail
            assert set(tree(scene.root)) == set(after), at
        else:
            assert ended.code in (Exit.USAGE, Exit.CONFLICT), (ended, at)
            assert os.strerror(code) in ended.says, (ended, at)
            assert tree(scene.root) == scene.before, (ended, at)


@pytest.mark.parametrize("kind", KINDS)
def test_undo_is_whole_or_nothing(quick_path: Path, kind: str) -> None:
    scene = Scene(quick_path / "scene", kind)
    scene.applied()
    calls = calls_of(scene.undo, kind)
    for at in points(calls, DISKS.index(kind)):
        code = CODES[at % len(CODES)]
        scene.applied()
        after = tree(scene.root)
        ended = here(scene.undo, kind, Fault(at, code=code))
        if ended.code and "everything is back" not in ended.says:
            assert os.strerror(code) in ended.says, (ended, at)
            assert tree(scene.root) == after, (ended, at)
        if ended.code:
            assert here(scene.undo, kind).code == 0, at
        assert tree(scene.root) == scene.before, (ended, at)


@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_that_fails_for_good_loses_nothing(quick_path: Path, kind: str) -> None:
    scene = Scene(quick_path / "scene", kind)
    calls = calls_of(scene.apply, kind)
    for at in points(calls, DISKS.index(kind)):
        scene.renew()
        fault = Fault(at, code=CODES[at % len(CODES)], lasting=True)
        ended = here(scene.apply, kind, fault)
        assert scene.held <= contents(scene.root), at
        assert ended.code in (Exit.DONE, Exit.USAGE, Exit.CONFLICT), (ended, at)
        assert (
            ended.code == 0
            or STANDS in ended.says
            or "iq undo" in ended.says
            or ("nothing was moved" in ended.says or "cannot lock" in ended.says)
        ), (ended, at)
        scene.restore(fault)


def test_after_a_rollback_that_failed_undo_goes_on_and_minds_no_edits(quick_path: Path) -> None:
    scene = Scene(quick_path / "scene", "native")
    plan = plan_for(scene.root)
    first, last = plan.shots[0].files[0], plan.shots[-1].files[0]
    real = syscalls.rename_new

    def failing(source: Path, target: Path, *folders: int | None) -> None:
        if source == scene.root / last.source or target == scene.root / first.source:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(source, target, *folders)

    with mock.patch.object(syscalls, "rename_new", failing), pytest.raises(IqError) as caught:
        apply(plan, scene.state)
    assert "not put back: " in str(caught.value)
    assert "iq undo" in str(caught.value)
    edited = scene.root / plan.shots[1].files[0].source
    edited.chmod(0o644)
    edited.write_bytes(b"edited")
    undo(None, scene.state)
    assert edited.read_bytes() == b"edited"
    assert set(tree(scene.root)) == set(scene.before)


def test_a_rename_that_crosses_disks_at_once_becomes_a_copy(quick_path: Path) -> None:
    scene = Scene(quick_path / "scene", "native")
    calls = calls_of(scene.apply)
    for at in (nth for nth, name in enumerate(calls, start=1) if name == "rename_new"):
        scene.renew()
        assert here(scene.apply, fault=Fault(at, code=errno.EXDEV)).code == 0
        assert here(scene.undo).code == 0
        assert tree(scene.root) == scene.before


def test_a_card_that_is_read_only_keeps_its_photos_and_no_copy_stays(quick_path: Path) -> None:
    """The copy succeeds; then the card refuses to remove the original, and whatever is absent."""
    scene = Scene(quick_path / "scene", "copies")
    real = os.unlink

    def refusing(path: Path, *, dir_fd: int | None = None) -> None:
        where = whole(path, dir_fd)
        if b"_Rejected" not in where and b"photos" in where:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        real(path, dir_fd=dir_fd)

    with mock.patch.object(os, "unlink", refusing):
        ended = here(scene.apply, "copies")
    assert f"Read-only file system; {STANDS}" in ended.says
    assert tree(scene.root) == scene.before


def test_ctrl_c_takes_everything_back(quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(quick_path / "scene", "native")
    plan = plan_for(scene.root)
    real, moved = syscalls.rename_new, []

    def interrupted(source: Path, target: Path, *folders: int | None) -> None:
        moved.append(target)
        if len(moved) == 3:
            raise KeyboardInterrupt
        real(source, target, *folders)

    monkeypatch.setattr(syscalls, "rename_new", interrupted)
    with pytest.raises(Interrupted, match="all files are where they were") as caught:
        apply(plan, scene.state)
    assert caught.value.exit_code == 130
    assert len(moved) > 3
    assert tree(scene.root) == scene.before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write where nobody may")
def test_a_folder_without_leave_is_named(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "scene", "native")
    plan = plan_for(scene.root)
    (scene.root / "2024").chmod(0o555)
    before = tree(scene.root)
    with disk("native"):
        ended = here(lambda: apply(plan, scene.state))
    assert "IMG_1234.HEIC" in ended.says
    assert tree(scene.root) == before


def test_undo_says_how_to_go_on_after_it_could_not_clear_up(quick_path: Path) -> None:
    scene = Scene(quick_path / "scene", "native")
    scene.applied()
    calls = calls_of(scene.undo)
    scene.applied()
    last_folder = len(calls) - calls[::-1].index("rmdir")
    ended = here(lambda: undo(None, scene.state), fault=Fault(last_folder, code=errno.EIO))
    assert "everything is back" in ended.says
    assert "iq undo" in ended.says
    assert here(scene.undo).code == 0
    assert tree(scene.root) == scene.before
