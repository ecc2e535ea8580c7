"""Edits: all written or none, at every kill and error, and back to the last bit, times included."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from support.fault_injection import (
    DISKS,
    Fault,
    calls_of,
    disk,
    here,
    in_child,
    kills,
    points,
    whole,
)
from support.kill_scene import Scene
from support.photo_trees import SHOTS, contents, plan_for, tree

from iqcli.errors import IqError, PlanConflict
from iqcli.fs import durable, files, locks, syscalls
from iqcli.fs import durable as contents_of
from iqcli.transactions.apply import apply, write
from iqcli.transactions.edits import Edit
from iqcli.transactions.history import State, history
from iqcli.transactions.undo import recover, undo, undo_each

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

OLD = "IMG_0001.JPG.xmp"
NEW = "2024/IMG_1234.HEIC.xmp"
EMBEDDED = SHOTS[2][0]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sidecars(root: Path) -> list[Edit]:
    """One rewritten, one made."""
    return [
        Edit(root, root / OLD, digest(root / OLD), b"<rewritten/>"),
        Edit(root, root / NEW, None, b"<made/>"),
    ]


def three(root: Path) -> list[Edit]:
    """Those, and a photo replaced by a part that was ready."""
    part = (root / EMBEDDED).with_name(files.PART + "ready")
    part.write_bytes(b"the photo with its stars")
    return [*sidecars(root), Edit(root, root / EMBEDDED, digest(root / EMBEDDED), part)]


class Desk(Scene):
    """The same tree, to be edited again for every fault."""

    def write(self) -> None:
        write(three(self.root), self.state)

    def written(self) -> None:
        self.renew()
        with disk(self.kind):
            self.write()

    def calls(self, work: Callable[[], None]) -> list[str]:
        return calls_of(work, self.kind)

    def kill(self, work: Callable[[], None], fault: Fault) -> None:
        assert in_child(work, self.kind, fault).code == -signal.SIGKILL, fault
        kept = contents(self.root) | contents(self.state)
        assert self.held <= kept, fault  # an old content may be on its way home, and in no name yet

    def restore(self, fault: Fault) -> None:
        ended = here(self.undo, self.kind)
        nothing = "no run is left to undo" in ended.says
        assert ended.code == 0 or nothing, (ended, fault)
        now = tree(self.root)
        if nothing:  # killed before the intent was written: the part that was given lies there
            now = {name: leaf for name, leaf in now.items() if b".iq-part-ready" not in name}
        assert now == self.before, fault
        assert nothing or not list((self.state / "kept").rglob("*")), fault


@pytest.mark.parametrize("many", [durable.MANY, 1])
def test_what_is_read_only_is_edited_by_who_is_not_root(
    root: Path, state: Path, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    opened = os.open

    def by_a_person(path: Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        old = Path(os.fsdecode(whole(path, dir_fd))) if flags & (os.O_WRONLY | os.O_RDWR) else None
        if old and old.exists() and not old.stat().st_mode & 0o200:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, flags, mode, dir_fd=dir_fd)

    for name in (OLD, EMBEDDED):
        (root / name).chmod(0o444)
    before = tree(root)
    monkeypatch.setattr(durable, "MANY", many)
    monkeypatch.setattr(os, "open", by_a_person)
    write(three(root), state)
    assert (root / OLD).read_bytes() == b"<rewritten/>"
    undo(None, state)
    assert tree(root) == before


def test_edits_keep_modes_and_undo_gives_everything_back(root: Path, state: Path) -> None:
    before = tree(root)
    done = write(three(root), state)
    assert (done.kind, done.files, done.what) == ("xmp", 3, "xmp")
    assert (root / OLD).read_bytes() == b"<rewritten/>"
    assert (root / NEW).read_bytes() == b"<made/>"
    assert (root / EMBEDDED).read_bytes() == b"the photo with its stars"
    after = tree(root)
    for name in (OLD, EMBEDDED):
        assert after[os.fsencode(name)][1] == before[os.fsencode(name)][1]
    assert set(after) - set(before) == {NEW.encode()}
    assert len(list((state / "kept" / done.run).iterdir())) == 2
    back = undo(None, state)
    assert (back.of, back.what, back.files) == (done.run, "xmp", 3)
    assert tree(root) == before
    assert list((state / "kept").iterdir()) == []
    assert [(row.kind, row.state) for row in history(state)] == [
        ("xmp", State.UNDONE),
        ("undo", State.APPLIED),
    ]


def test_an_edit_that_changes_nothing_is_no_run(root: Path, state: Path) -> None:
    before = tree(root)
    same = Edit(root, root / OLD, digest(root / OLD), (root / OLD).read_bytes())
    assert write([same], state).run == ""
    assert write([], state).run == ""
    assert tree(root) == before
    assert not state.exists()


@pytest.mark.parametrize(
    ("name", "expect", "says"),
    [
        (OLD, "0" * 64, "IMG_0001.JPG.xmp has changed since; nothing was written, run again"),
        (OLD, None, "has changed since; nothing was written"),
        ("none.xmp", "0" * 64, "none.xmp is gone; nothing was written"),
        ("2024", None, "2024 is no photo and no sidecar, and is not touched"),
        ("link.xmp", None, "link.xmp has changed since; nothing was written"),
        ("../outside.xmp", None, "outside.xmp lies outside"),
        ("away/a.xmp", None, "a.xmp lies outside"),
    ],
)
def test_what_is_not_as_expected_stops_all_edits(
    root: Path, state: Path, name: str, expect: str | None, says: str
) -> None:
    (root / "link.xmp").symlink_to(root / OLD)
    (root.parent / "elsewhere").mkdir()
    (root / "away").symlink_to(root.parent / "elsewhere")
    before = tree(root)
    with pytest.raises(PlanConflict, match=says):
        write([*three(root)[1:], Edit(root, root / name, expect, b"x")], state)
    assert tree(root) == before  # not even the part is left
    assert not (state / "kept").exists()


@pytest.mark.parametrize("held", [".", "2024", ".."])
def test_edits_wait_for_nobody(root: Path, state: Path, held: str) -> None:
    before = tree(root)
    with locks.hold([(root / held).resolve()], state):
        ended = in_child(lambda: write(sidecars(root), state))
    assert ended.code == 2
    assert "another iq is working in " in ended.says
    assert tree(root) == before


def test_no_edit_is_made_in_a_folder_of_another_program(root: Path, state: Path) -> None:
    (root / "2024").rename(root / "2024.photoslibrary")
    inside = Edit(root, root / "2024.photoslibrary/IMG_1234.HEIC.xmp", None, b"<made/>")
    before = tree(root)
    with pytest.raises(IqError, match=r"2024\.photoslibrary belongs to Apple Photos; export the"):
        write([*sidecars(root)[:1], inside], state)
    assert tree(root) == before
    assert history(state) == []


def test_a_file_edited_twice_at_once_is_refused(root: Path, state: Path) -> None:
    edit = sidecars(root)[1]
    with pytest.raises(PlanConflict, match="stands twice among the edits"):
        write([edit, edit], state)


@pytest.mark.parametrize("kind", ["native", "claims"])
def test_killed_at_every_change(quick_path: Path, kind: str) -> None:
    desk = Desk(quick_path / "desk", kind)
    calls = desk.calls(desk.write)
    assert len(calls) > 30
    for fault in kills(calls, DISKS.index(kind)):
        desk.renew()
        desk.kill(desk.write, fault)
        desk.restore(fault)


@pytest.mark.parametrize("kind", ["native", "claims"])
def test_undo_killed_at_every_change(quick_path: Path, kind: str) -> None:
    desk = Desk(quick_path / "desk", kind)
    desk.written()
    calls = desk.calls(desk.undo)
    for fault in kills(calls, DISKS.index(kind)):
        desk.written()
        desk.kill(desk.undo, fault)
        desk.restore(fault)


@pytest.mark.parametrize("kind", ["native", "claims"])
def test_whole_or_nothing_under_every_error(quick_path: Path, kind: str) -> None:
    desk = Desk(quick_path / "desk", kind)
    calls = desk.calls(desk.write)
    for at in points(calls, DISKS.index(kind)):
        desk.renew()
        code = (errno.ENOSPC, errno.EACCES, errno.EIO)[at % 3]
        ended = here(desk.write, kind, Fault(at, code=code))
        if ended.code:
            assert os.strerror(code) in ended.says, (ended, at)
            assert tree(desk.root) == desk.before, (ended, at)
            assert not list((desk.state / "kept").glob("*/*")), (ended, at)


def many(root: Path) -> list[Edit]:
    """Enough that they are seen on the disk at once: one rewritten, the others made."""
    made = [
        Edit(root, root / f"{number}.xmp", None, b"<made/>") for number in range(2 * durable.MANY)
    ]
    return [*made, sidecars(root)[0]]


def test_many_edits_wait_for_the_disk_few_times(root: Path, state: Path) -> None:
    before = tree(root)
    few, many_ = (
        calls_of(lambda edits=edits: write(edits(root), state) and undo(None, state)).count("fsync")
        for edits in (sidecars, many)
    )
    assert many_ <= few
    assert tree(root) == before
    with mock.patch.object(syscalls, "sync_disk", return_value=False):
        write(many(root), state)  # a system without that call
    assert undo(None, state).files == len(many(root))
    assert tree(root) == before


def test_a_disk_that_fails_only_in_the_end_changes_nothing(root: Path, state: Path) -> None:
    before = tree(root)
    broken = OSError(errno.EIO, os.strerror(errno.EIO))
    with (
        mock.patch.object(syscalls, "sync_disk", side_effect=broken),
        pytest.raises(IqError, match="all files are where they were"),
    ):
        write(many(root), state)
    assert tree(root) == before
    assert list((state / "kept").iterdir()) == []


def test_an_undo_that_could_not_finish_goes_on(quick_path: Path) -> None:
    desk = Desk(quick_path / "desk")
    desk.written()
    calls = desk.calls(desk.undo)
    for at in points(calls, 1):
        desk.written()
        ended = here(desk.undo, fault=Fault(at, code=errno.EIO))
        if ended.code:
            assert "nothing was moved" in ended.says or "to finish" in ended.says or at < 12, ended
            assert here(desk.undo).code == 0, (ended, at)
        assert tree(desk.root) == desk.before, (ended, at)


def test_the_next_run_takes_cut_off_edits_back(quick_path: Path) -> None:
    desk = Desk(quick_path / "desk")
    calls = desk.calls(desk.write)
    for fault in (each for each in kills(calls, 1) if 20 < each.at < len(calls)):
        desk.renew()
        desk.kill(desk.write, fault)
        assert len(recover([desk.root / "2024"], desk.state)) == 1, fault
        assert tree(desk.root) == desk.before, fault


def changed(root: Path, name: str) -> None:
    (root / name).chmod(0o644)
    (root / name).write_bytes(b"edited by a person")


@pytest.mark.parametrize("name", [OLD, NEW, EMBEDDED])
def test_what_was_edited_since_stays(root: Path, state: Path, name: str) -> None:
    before = tree(root)
    write(three(root), state)
    changed(root, name)
    with pytest.raises(PlanConflict, match="has changed since; nothing was changed back, restore"):
        undo(None, state)
    assert (root / name).read_bytes() == b"edited by a person"
    [why] = undo(None, state, partly=True).left
    assert "has changed since" in why
    after = tree(root)
    others = {os.fsencode(each) for each in (OLD, NEW, EMBEDDED)} - {os.fsencode(name)}
    assert {each: after.get(each) for each in others} == {each: before.get(each) for each in others}
    assert (root / name).read_bytes() == b"edited by a person"


def test_what_cannot_be_kept_is_not_touched(root: Path, state: Path) -> None:
    before = tree(root)
    with (
        mock.patch.object(contents_of, "free_bytes", return_value=3),
        pytest.raises(IqError, match=r"MiB in .*kept, and 0 are free; make room; all files are"),
    ):
        write(three(root), state)
    assert tree(root) == before


def test_a_kept_content_that_was_damaged_is_not_put_back(root: Path, state: Path) -> None:
    done = write(three(root), state)
    changed(state / "kept" / done.run, "0")
    with pytest.raises(IqError, match="kept of it is damaged; mend that, then run iq undo"):
        undo(None, state)
    assert (root / OLD).read_bytes() == b"<rewritten/>"


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("deleted", rf"what was kept of .*{OLD} is gone; .*: iq undo \S+ --partly"),
        ("damaged", r"kept of it is damaged; .* \(--partly leaves what is damaged\)"),
    ],
)
def test_what_was_kept_and_is_lost_does_not_hold_the_next_undo_up(
    root: Path, state: Path, how: str, why: str
) -> None:
    first = apply(plan_for(root, [SHOTS[1]]), state).run
    between = tree(root)
    done = write(three(root), state)
    kept = state / "kept" / done.run / "0"
    if how == "deleted":
        kept.unlink()
    else:
        changed(state / "kept" / done.run, "0")
    with pytest.raises(IqError, match=why):
        undo(None, state)
    closed = undo(done.run, state, partly=True)
    assert (closed.closed, closed.files, len(closed.left)) == (True, 2, 1)
    now = tree(root)
    assert (root / OLD).read_bytes() == b"<rewritten/>"
    assert {**now, os.fsencode(OLD): between[os.fsencode(OLD)]} == between
    assert undo(None, state).of == first


# --- culls of version 0.1, which made their edits in a run of their own ---


def link_runs(state: Path, cull: str, edits: str) -> None:
    """Write into the journal of a cull, as version 0.1 did, which run made its edits."""
    path = state / f"journal/{cull}.jsonl"
    path.write_bytes(path.read_bytes().replace(b"}\n", f', "along": "{edits}"}}\n'.encode(), 1))


def both(root: Path, state: Path) -> tuple[str, str]:
    """Sidecars written for all photos, then some of them moved; the two runs."""
    edits = write(sidecars(root), state).run
    cull = apply(plan_for(root, [SHOTS[0], (*SHOTS[1], NEW)]), state).run
    link_runs(state, cull, edits)
    return edits, cull


def test_undoing_a_cull_undoes_the_run_of_its_edits(root: Path, state: Path) -> None:
    before = tree(root)
    edits, cull = both(root, state)
    done = undo(None, state)
    assert (done.of, done.files, done.edited) == (cull, 6, 2)
    assert tree(root) == before
    with pytest.raises(IqError, match=f"run {edits} is already taken back"):
        undo(edits, state)
    with pytest.raises(IqError, match="no run is left to undo"):
        undo(None, state)


def test_the_edits_alone_wait_for_the_cull(root: Path, state: Path) -> None:
    edits, cull = both(root, state)
    with pytest.raises(PlanConflict, match=f"run {cull} came after it, run iq undo {cull} first"):
        undo(edits, state)
    assert [each.of for each in undo_each([edits, cull], state)] == [cull]


def test_edits_that_cannot_be_undone_are_named_and_the_photos_are_home(
    root: Path, state: Path
) -> None:
    before = tree(root)
    edits = write(sidecars(root), state).run
    link_runs(state, apply(plan_for(root, [SHOTS[2]]), state).run, edits)
    changed(root, OLD)
    done = undo(None, state)
    [why] = done.left
    assert f"what was written with them stays (run {edits})" in why
    assert tree(root)[os.fsencode(EMBEDDED)] == before[os.fsencode(EMBEDDED)]
    assert (root / NEW).read_bytes() == b"<made/>"
    assert undo(edits, state, partly=True).files == 1


@pytest.mark.parametrize("before", [None, hashlib.sha256(b"old").hexdigest()])
def test_a_forged_journal_touches_only_photos_and_sidecars(
    root: Path, state: Path, tmp_path: Path, before: str | None
) -> None:
    run = write(sidecars(root), state).run
    victim = tmp_path / "notes.txt"
    victim.write_bytes(b"mine")
    path = state / "journal" / f"{run}.jsonl"
    first, rest = path.read_bytes().split(b"\n", 1)
    intent = json.loads(first)
    intent["edits"].append(
        {
            "root": str(tmp_path),
            "path": str(victim),
            "before": before,
            "after": hashlib.sha256(b"mine").hexdigest(),
        }
    )
    path.write_bytes(json.dumps(intent).encode() + b"\n" + rest)
    with pytest.raises(PlanConflict, match=r"notes\.txt is no photo and no sidecar.*--partly"):
        undo(None, state)
    undo(None, state, partly=True)
    assert victim.read_bytes() == b"mine"
    assert not (root / NEW).exists()
