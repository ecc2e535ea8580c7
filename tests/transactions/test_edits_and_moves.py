"""Edits and moves in one run: one undo, hash for hash, at every kill and error."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import shutil
import signal
from typing import TYPE_CHECKING

import pytest
from support.fault_injection import (
    DISKS,
    Fault,
    calls_of,
    here,
    in_child,
    kills,
    points,
    seeds,
)
from support.kill_scene import NOTHING_TO_UNDO, Scene
from support.photo_trees import (
    SHOTS,
    contents,
    counts,
    grow,
    grow_copies,
    plan_for,
    random_names,
    shots_in,
    tree,
)

from iqcli.culling.planner import with_edits
from iqcli.errors import IqError, PlanConflict
from iqcli.fs import files
from iqcli.photos.folder import is_photo
from iqcli.transactions.apply import apply, write
from iqcli.transactions.edits import Edit
from iqcli.transactions.history import State, history
from iqcli.transactions.undo import recover, undo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.fake_trash import Trash

    from iqcli.transactions.plan import Outcome, Plan

pytestmark = pytest.mark.slow

OLD = SHOTS[0][1]
NEW = "2024/IMG_1234.HEIC.xmp"
EMBEDDED = SHOTS[2][0]
KEPT, KEPT_NEW = "2024/deep/x.jpg", "2024/IMG_1235.HEIC.xmp"
ACTIONS = ("move", "copy", "link", "trash")
KINDS = [*((each, "native") for each in ACTIONS), ("move", "claims"), ("move", "copies-links")]


def an_edit(root: Path, name: str, after: bytes, shot: str, *, part: bool = False) -> Edit:
    """The edit of a file of a shot; in a `part` that lies ready, where that is asked for."""
    path, content = root / name, after
    expect = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None
    if part:
        ready = path.with_name(files.PART + "ready" + hashlib.sha256(after).hexdigest()[:8])
        ready.write_bytes(after)
        return Edit(root, path, expect, ready, root / shot)
    return Edit(root, path, expect, content, root / shot)


def edits_of(root: Path) -> list[Edit]:
    """Of rejects a sidecar rewritten, one made and a photo replaced; of others the same."""
    return [
        an_edit(root, OLD, b"<rewritten/>", SHOTS[0][0]),
        an_edit(root, NEW, b"<made/>", SHOTS[1][0]),
        an_edit(root, EMBEDDED, b"the photo with its stars", EMBEDDED, part=True),
        an_edit(root, KEPT, b"a kept photo with its stars", KEPT, part=True),
        an_edit(root, KEPT_NEW, b"<made, too/>", "2024/IMG_1235.HEIC"),
    ]


def plan_and_edits(root: Path, action: str = "move") -> tuple[Plan, list[Edit]]:
    plan, edits = plan_for(root, action=action), edits_of(root)
    return with_edits(plan, edits), edits


def carry_out(root: Path, state: Path, action: str = "move") -> Outcome:
    plan, edits = plan_and_edits(root, action)
    return apply(plan, state, edits)


class Both(Scene):
    """The same tree, to be edited and culled again for every fault; `trash` is one of our own."""

    def __init__(self, top: Path, kind: str, action: str, trash: Trash | None = None) -> None:
        self.trash = trash
        super().__init__(top, kind, action)

    def renew(self) -> None:
        if self.trash:
            shutil.rmtree(self.trash.home / ".local", ignore_errors=True)
        super().renew()

    def apply(self) -> None:
        carry_out(self.root, self.state, self.action)

    def calls(self, work: Callable[[], None]) -> list[str]:
        return calls_of(work, self.kind)

    def kill(self, work: Callable[[], None], fault: Fault) -> None:
        assert in_child(work, self.kind, fault).code == -signal.SIGKILL, fault
        kept = contents(self.root) | contents(self.state)
        assert self.held <= kept | (contents(self.trash.folder) if self.trash else set()), fault

    def restore(self, fault: Fault) -> None:
        ended = here(self.undo, self.kind)
        if self.trash and "went to the trash; restore " in ended.says:
            self.trash.restore()
            ended = here(self.undo, self.kind)
        nothing = NOTHING_TO_UNDO in ended.says
        assert ended.code == 0 or nothing, (ended, fault)
        now = tree(self.root)
        if nothing:  # killed before the intent was written: the parts that were given lie there
            now = {name: leaf for name, leaf in now.items() if b".iq-part-ready" not in name}
        assert now == self.before, fault
        assert nothing or not list((self.state / "kept").rglob("*")), fault


def scene(top: Path, kind: str, action: str, bin_: Trash) -> Both:
    return Both(top / "scene", kind, action, bin_ if action == "trash" else None)


@pytest.mark.parametrize("action", ACTIONS)
def test_one_run_and_one_undo(quick_path: Path, bin_: Trash, action: str) -> None:
    both = scene(quick_path, "native", action, bin_)
    root, state, before = both.root, both.state, both.before
    done = carry_out(root, state, action)
    assert (done.what, done.shots, done.files, done.edited) == (action, 3, 7, 5)
    assert (root / KEPT).read_bytes() == b"a kept photo with its stars"
    assert (root / KEPT_NEW).read_bytes() == b"<made, too/>"
    kind = "cull" if action == "move" else action
    [row] = history(state)
    # Seven files moved, sidecars that were made among them, and two of a photo that stays.
    assert (row.kind, row.files, row.state) == (f"{kind}, xmp", 9, State.APPLIED)
    if action == "trash":
        bin_.restore()
    else:
        for name, content in ((OLD, b"<rewritten/>"), (NEW, b"<made/>")):
            assert (root / "_Rejected" / name).read_bytes() == content
            assert (root / name).exists() == (action != "move")
        assert (root / "_Rejected" / EMBEDDED).read_bytes() == b"the photo with its stars"
    back = undo(None, state)
    assert (back.of, back.what, back.shots, back.files, back.edited) == (done.run, action, 3, 7, 5)
    assert tree(root) == before
    assert list((state / "kept").iterdir()) == []
    with pytest.raises(IqError, match="no run is left to undo"):
        undo(None, state)


@pytest.mark.parametrize(("action", "kind"), KINDS)
def test_killed_at_every_change(quick_path: Path, bin_: Trash, action: str, kind: str) -> None:
    both = scene(quick_path, kind, action, bin_)
    calls = both.calls(both.apply)
    assert len(calls) > 60
    for fault in kills(calls, KINDS.index((action, kind))):
        both.renew()
        both.kill(both.apply, fault)
        both.restore(fault)


@pytest.mark.parametrize(("action", "kind"), KINDS)
def test_undo_killed_at_every_change(quick_path: Path, bin_: Trash, action: str, kind: str) -> None:
    both = scene(quick_path, kind, action, bin_)

    def applied() -> None:
        both.applied()
        if both.trash:
            both.trash.restore()

    applied()
    calls = both.calls(both.undo)
    for fault in kills(calls, KINDS.index((action, kind))):
        applied()
        both.kill(both.undo, fault)
        both.restore(fault)


def test_undo_killed_after_a_killed_run(quick_path: Path) -> None:
    both = Both(quick_path / "scene", "native", "move")
    hits = 0
    for nth, first in enumerate(list(kills(both.calls(both.apply), 0))[3::9]):
        both.renew()
        both.kill(both.apply, first)
        for at in range(20 + nth % 3, 500, 7):  # the first changes are those of locks and journal
            second = Fault(at, "before")
            if in_child(both.undo, both.kind, second).code != -signal.SIGKILL:
                break
            hits += 1
            assert both.held <= contents(both.root) | contents(both.state), (first, second)
        both.restore(second)
    assert hits > 5


@pytest.mark.parametrize(("action", "kind"), [("move", "native"), ("copy", "claims")])
def test_whole_or_nothing_under_every_error(quick_path: Path, action: str, kind: str) -> None:
    both = Both(quick_path / "scene", kind, action)
    calls = both.calls(both.apply)
    after = set(tree(both.root))
    for at in points(calls, DISKS.index(kind)):
        both.renew()
        code = (errno.ENOSPC, errno.EACCES, errno.EIO)[at % 3]
        ended = here(both.apply, kind, Fault(at, code=code))
        if ended.code:
            assert os.strerror(code) in ended.says, (ended, at)
            now = tree(both.root)
            now = {name: leaf for name, leaf in now.items() if b".iq-part-ready" not in name}
            assert now == both.before, (ended, at)
            assert not list((both.state / "kept").glob("*/*")), (ended, at)
        else:
            assert set(tree(both.root)) == after, at


def test_an_undo_that_could_not_finish_goes_on(quick_path: Path) -> None:
    both = Both(quick_path / "scene", "native", "move")
    both.applied()
    calls = both.calls(both.undo)
    for at in points(calls, 1):
        both.applied()
        if here(both.undo, fault=Fault(at, code=errno.EIO)).code:
            assert here(both.undo).code == 0, at
        assert tree(both.root) == both.before, at


def test_the_next_run_takes_a_killed_one_back(quick_path: Path) -> None:
    both = Both(quick_path / "scene", "native", "move")
    calls = both.calls(both.apply)
    for fault in (each for each in kills(calls, 2, of=9) if 20 < each.at < len(calls)):
        both.renew()
        both.kill(both.apply, fault)
        assert len(recover([both.root / "2024"], both.state)) == 1, fault
        assert tree(both.root) == both.before, fault


def test_a_file_that_changed_in_between_stops_all(root: Path, state: Path) -> None:
    plan, edits = plan_and_edits(root)
    (root / OLD).write_bytes(b"<by a person/>")
    before = tree(root)
    with pytest.raises(PlanConflict, match="has changed since; nothing was written, run again"):
        apply(plan, state, edits)
    left = {name: leaf for name, leaf in before.items() if b".iq-part-ready" not in name}
    assert tree(root) == left


def test_an_edit_of_another_content_than_planned_is_refused(root: Path) -> None:
    plan = plan_for(root)
    (root / OLD).write_bytes(b"<by a person/>")
    with pytest.raises(PlanConflict, match="changed while its XMP was prepared; run again"):
        with_edits(plan, edits_of(root))


def test_a_taken_name_takes_the_whole_shot_to_a_conflict_folder(root: Path, state: Path) -> None:
    apply(plan_for(root, [("notes.txt",)]), state)  # now the folder is there, and of iq
    grow(root / "_Rejected", [NEW])
    before = contents(root), set(tree(root))
    carry_out(root, state)
    assert (root / "_Rejected/again-2" / NEW).read_bytes() == b"<made/>"
    assert (root / "_Rejected/again-2" / SHOTS[1][0]).exists()
    undo(None, state)
    assert (contents(root), set(tree(root))) == before


@pytest.mark.parametrize("action", ["move", "copy"])
def test_a_reject_that_changed_since_stays_with_its_edits(
    root: Path, state: Path, action: str
) -> None:
    before = tree(root)
    run = carry_out(root, state, action).run
    changed = root / "_Rejected" / SHOTS[0][0]
    changed.chmod(0o644)
    changed.write_bytes(b"edited by a person")
    with pytest.raises(PlanConflict, match="has changed since; nothing was moved, restore"):
        undo(None, state)
    done = undo(None, state, partly=True)
    assert (len(done.left), done.shots, done.edited) == (1, 2, 4)
    place = root / "_Rejected" if action == "move" else root
    assert (place / OLD).read_bytes() == b"<rewritten/>"
    assert not (root / NEW).exists()
    assert tree(root)[os.fsencode(EMBEDDED)] == before[os.fsencode(EMBEDDED)]
    changed.unlink()
    with pytest.raises(IqError, match="no run is left to undo"):
        undo(None, state)
    if action == "copy":  # a copy that is gone is no loss
        undo(run, state)
        assert tree(root) == before
    else:
        with pytest.raises(PlanConflict, match="is gone; nothing was moved, restore"):
            undo(run, state)


def test_an_edited_file_that_changed_since_stays_and_the_photos_go_home(
    root: Path, state: Path
) -> None:
    before = tree(root)
    carry_out(root, state)
    (root / KEPT_NEW).write_bytes(b"<by a person/>")
    with pytest.raises(PlanConflict, match="has changed since; nothing was moved, restore"):
        undo(None, state)
    done = undo(None, state, partly=True)
    assert (len(done.left), done.shots, done.edited) == (1, 3, 4)
    now = tree(root)
    assert now.pop(os.fsencode(KEPT_NEW))[-1] == hashlib.sha256(b"<by a person/>").hexdigest()
    assert now == before


def test_a_journal_with_both_is_refused_by_version_0_1(root: Path, state: Path) -> None:
    done = carry_out(root, state)
    journal = (state / f"journal/{done.run}.jsonl").read_bytes()
    assert journal.startswith(b'{"kind": "iq-journal", "schema": 2, ')


def _is_photo(path: Path) -> bool:
    return is_photo(path, path.lstat())


def random_edits(chance: random.Random, root: Path, shots: list[list[str]]) -> list[Edit]:
    """Of about half the shots a file rewritten or a sidecar made."""
    found = []
    for shot in shots:
        ours = [name for name in shot if name.endswith(".xmp") or _is_photo(root / name)]
        name = chance.choice([*ours, f"{shot[0]}.xmp"])
        if "_Rejected" in name:  # the made-up disks take it as lying on the other one
            continue
        if chance.random() < 0.5 and (name in shot or not (root / name).exists()):
            found.append(an_edit(root, name, os.fsencode(name) + b" edited", shot[0]))
    return found


@pytest.mark.parametrize("seeds", [seeds(0, 8), pytest.param(seeds(8, 40), marks=pytest.mark.slow)])
def test_any_edits_and_moves_are_undone_as_one(quick_path: Path, seeds: range) -> None:
    for seed in seeds:
        edit_and_undo(quick_path / str(seed), seed)


def edit_and_undo(top: Path, seed: int) -> None:
    """Random edits and moves on a random tree and disk; every third run is killed."""
    chance = random.Random(seed)
    root, state, disk = top / "photos", top / "state", chance.choice(DISKS)
    root.mkdir(parents=True)
    grow(root, random_names(chance)[:30])
    grow_copies(root, chance)
    before, held, shots = tree(root), counts(root), shots_in(root)
    picked = chance.sample(shots, chance.randint(0, len(shots)))
    edits = random_edits(chance, root, shots)
    plan = with_edits(plan_for(root, picked, chance.choice(["move", "copy", "link"])), edits)

    def work() -> None:
        assert (apply(plan, state, edits) if plan.shots else write(edits, state)).run or not edits

    if seed % 3 == 0:
        fault = Fault(chance.randint(1, 30 + 6 * (plan.files + len(edits))), "before")
        killed = in_child(work, disk, fault)
        assert killed.code in (0, -signal.SIGKILL), (killed, seed)
    else:
        assert here(work, disk).code == 0, seed
    assert held <= counts(root) + counts(state), seed
    ended = here(lambda: undo(None, state), disk)
    assert ended.code == 0 or NOTHING_TO_UNDO in ended.says, (ended, seed)
    assert tree(root) == before, seed
