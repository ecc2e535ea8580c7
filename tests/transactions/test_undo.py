"""The way back: what it restores, what it refuses, and what the history says."""

from __future__ import annotations

import json
import os
import shutil
import signal
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.fault_injection import Fault, calls_of, in_child
from support.photo_trees import SHOTS, grow, plan_for, tree

from iqcli.errors import IqError, PlanConflict
from iqcli.fs import files, locks
from iqcli.fs.scratch import sweep
from iqcli.photos import folder
from iqcli.transactions import journal
from iqcli.transactions.apply import apply
from iqcli.transactions.history import State, history, unreadable
from iqcli.transactions.jsonl import path_of
from iqcli.transactions.undo import recover, undo, undo_each

if TYPE_CHECKING:
    from collections.abc import Iterator


def refused(root: Path, state: Path, match: str) -> None:
    """Undo is refused with these words, and nothing has moved."""
    before = tree(root)
    with pytest.raises(PlanConflict, match=match):
        undo(None, state)
    assert tree(root) == before


def test_undo_restores_everything(root: Path, state: Path) -> None:
    before = tree(root)
    times = {path: path.stat().st_atime_ns for path in root.rglob("*") if path.is_file()}
    run = apply(plan_for(root), state).run
    outcome = undo(None, state)
    assert (outcome.kind, outcome.of, outcome.shots, outcome.files) == ("undo", run, 3, 6)
    if hasattr(os, "O_NOATIME"):
        assert times == {path: path.stat().st_atime_ns for path in times}
    assert tree(root) == before


def test_a_changed_reject_is_refused_and_named(root: Path, state: Path) -> None:
    apply(plan_for(root), state)
    (root / "_Rejected/2024/IMG_1234.MOV").write_bytes(b"edited")
    refused(root, state, r"_Rejected/2024/IMG_1234.MOV has changed since; nothing was moved")


def test_a_missing_reject_is_refused_and_named(root: Path, state: Path) -> None:
    apply(plan_for(root), state)
    (root / "_Rejected/IMG_0001.JPG").unlink()
    refused(root, state, "_Rejected/IMG_0001.JPG is gone.*--partly")


def test_a_new_photo_under_the_old_name_is_never_touched(root: Path, state: Path) -> None:
    apply(plan_for(root), state)
    (root / "IMG_0001.JPG").write_bytes(b"a new photo")
    refused(root, state, "photos/IMG_0001.JPG is taken")
    (root / "_Rejected/IMG_0001.JPG").unlink()
    refused(root, state, "_Rejected/IMG_0001.JPG is gone")


def test_an_equal_copy_under_the_old_name_is_refused(root: Path, state: Path) -> None:
    apply(plan_for(root), state)
    (root / "IMG_0001.JPG").write_bytes((root / "_Rejected/IMG_0001.JPG").read_bytes())
    refused(root, state, "IMG_0001.JPG is taken")


def test_a_second_link_made_by_hand_leaves_one_name(root: Path, state: Path) -> None:
    before = tree(root)
    apply(plan_for(root), state)
    (root / "IMG_0001.JPG").hardlink_to(root / "_Rejected/IMG_0001.JPG")
    undo(None, state)
    assert tree(root) == before


def test_partly_leaves_the_changed_shot_and_its_line(root: Path, state: Path) -> None:
    before = tree(root)
    apply(plan_for(root), state)
    (root / "_Rejected/2024/IMG_1234.MOV").write_bytes(b"edited")
    outcome = undo(None, state, partly=True)
    assert outcome.shots == 2
    assert len(outcome.left) == 1
    assert "IMG_1234.MOV has changed" in outcome.left[0]
    after = tree(root)
    gone = {os.fsencode(name) for name in SHOTS[1]}
    assert {name for name in before if name not in after} == gone
    manifest = (root / "_Rejected/MANIFEST.jsonl").read_text("utf-8").splitlines()
    assert len(manifest) == 2
    assert "IMG_1234.HEIC" in manifest[1]


def test_partly_closes_a_run_of_which_all_is_gone(root: Path, state: Path) -> None:
    before = tree(root)
    first = apply(plan_for(root, [SHOTS[2]]), state).run
    run = apply(plan_for(root, [SHOTS[0]]), state).run
    moved = root / "_Rejected/IMG_0001.JPG"
    moved.rename(root / "away.JPG")
    refused(root, state, f"is gone; nothing was moved, .*: iq undo {run} --partly")
    closed = undo(None, state, partly=True)
    assert (closed.shots, closed.files, closed.closed) == (0, 0, True)
    [why] = closed.left
    assert why.endswith(f"({moved}.xmp stays with it)")
    assert [row.state for row in history(state)] == [
        *(State.APPLIED, State.CLOSED, State.CLOSED),
    ]
    assert undo(None, state).of == first
    (root / "away.JPG").rename(moved)
    assert undo(run, state).shots == 1
    assert tree(root) == before
    with pytest.raises(IqError, match="already taken back"):
        undo(run, state)


def test_a_run_undone_in_part_lets_go_of_the_others(root: Path, state: Path) -> None:
    """What went home is not touched again, whatever became of it; the rest is, by name."""
    before = tree(root)
    first = apply(plan_for(root, [SHOTS[2]]), state).run
    run = apply(plan_for(root, SHOTS[:2]), state).run
    lost = root / "_Rejected/IMG_0001.JPG"
    data, stat = lost.read_bytes(), lost.stat()
    lost.unlink()
    done = undo(None, state, partly=True)
    assert (done.of, done.shots, done.closed, len(done.left)) == (run, 1, True, 1)
    assert history(state)[1].state is State.PARTLY_UNDONE
    assert recover([root], state) == ()
    again = apply(plan_for(root, [SHOTS[1]]), state).run  # to the very same places
    lost.write_bytes(data)
    os.utime(lost, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    lost.chmod(stat.st_mode)
    rest = undo(run, state)
    assert (rest.shots, rest.files, rest.left) == (1, 2, ())
    assert not (root / SHOTS[1][0]).exists()
    assert [undo(None, state).of for _ in range(2)] == [again, first]
    assert tree(root) == before


def test_every_file_in_the_way_is_named(root: Path, state: Path) -> None:
    apply(plan_for(root), state)
    gone = [f"_Rejected/{name}" for names in SHOTS[:2] for name in names]
    for name in gone:
        (root / name).unlink()
    with pytest.raises(PlanConflict, match=r"^5 files stand in the way; nothing") as caught:
        undo(None, state)
    assert sorted(caught.value.details) == sorted(f"{root / name} is gone" for name in gone)


def test_of_many_files_in_the_way_the_rest_is_counted(root: Path, state: Path) -> None:
    names = [f"many/IMG_{number:03}.JPG" for number in range(60)]
    grow(root, names)
    apply(plan_for(root, [[name] for name in names]), state)
    for name in names:
        (root / "_Rejected" / name).unlink()
    with pytest.raises(PlanConflict, match=r"^60 files stand in the way") as caught:
        undo(None, state)
    assert len(caught.value.details) == 51
    assert caught.value.details[-1] == "and 10 more"


def test_a_missing_root_names_the_run_before(root: Path, state: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    grow(other, ["IMG_1.JPG"])
    first = apply(plan_for(other, [["IMG_1.JPG"]]), state).run
    apply(plan_for(root), state)
    root.rename(root.with_name("unplugged"))
    with pytest.raises(PlanConflict, match=f"mount .*, iq undo {first} takes back the one before"):
        undo(None, state)
    assert undo(first, state).shots == 1


def test_an_unmounted_root_is_not_taken_for_lost_photos(root: Path, state: Path) -> None:
    before = tree(root)
    run = apply(plan_for(root, action="copy"), state).run
    away = root.rename(root.with_name("unplugged"))
    with pytest.raises(PlanConflict, match=f"photos is not there; .*{run} --partly closes this"):
        undo(None, state)
    done = undo(None, state, partly=True)
    assert done.closed
    assert [why for why in done.left if "photos is not there; mount" in why] == [*done.left]
    with pytest.raises(IqError, match="no run is left to undo"):
        undo(None, state)
    away.rename(root)
    assert undo(run, state).shots == 3
    assert tree(root) == before


def test_a_root_that_is_gone_for_good_does_not_hold_up_the_others(
    root: Path, state: Path, tmp_path: Path
) -> None:
    before, other = tree(root), tmp_path / "other"
    other.mkdir()
    grow(other, ["IMG_1.JPG"])
    one, two = plan_for(root), plan_for(other, [["IMG_1.JPG"]])
    apply(replace(one, shots=(*one.shots, *two.shots)), state)
    shutil.rmtree(other)
    done = undo(None, state, partly=True)
    assert done.shots == 3
    assert tree(root) == before
    assert len(done.left) == 1
    with pytest.raises(IqError, match="no run is left to undo"):
        undo(None, state)


def test_a_root_that_became_a_link_is_refused_or_left(
    root: Path, state: Path, tmp_path: Path
) -> None:
    run = apply(plan_for(root), state).run
    root.rename(tmp_path / "new disk")
    root.symlink_to(tmp_path / "new disk")
    moved = tree(tmp_path / "new disk")
    refused(root, state, "photos leads elsewhere through a link")
    assert undo(run, state, partly=True).shots == 0
    assert tree(tmp_path / "new disk") == moved


def test_a_folder_that_became_a_link_is_refused(root: Path, state: Path, tmp_path: Path) -> None:
    apply(plan_for(root), state)
    (root / "2024").rename(tmp_path / "elsewhere")
    (root / "2024").symlink_to(tmp_path / "elsewhere")
    refused(root, state, "photos/2024 leads elsewhere through a link")


def test_runs_are_undone_latest_first_or_by_name(root: Path, state: Path) -> None:
    before = tree(root)
    runs = [apply(plan_for(root, [names]), state).run for names in SHOTS]
    assert undo(None, state).of == runs[2]
    assert undo(runs[0], state).of == runs[0]
    with pytest.raises(IqError, match="already taken back"):
        undo(runs[0], state)
    assert undo(None, state).of == runs[1]
    with pytest.raises(IqError, match="no run is left to undo"):
        undo(None, state)
    assert tree(root) == before


def test_a_run_is_known_by_the_beginning_of_its_name(root: Path, state: Path) -> None:
    runs = [apply(plan_for(root, [names]), state).run for names in SHOTS[:2]]
    with pytest.raises(IqError, match="2 runs begin with '20"):
        undo(runs[0][:4], state)
    assert undo(runs[0][:-1], state).of == runs[0]


@pytest.mark.parametrize("run", ["../../x", "", "nope"])
def test_an_unknown_run_is_named(state: Path, run: str) -> None:
    with pytest.raises(IqError, match="no run"):
        undo(run, state)


def test_a_folder_removed_since_is_made_again(root: Path, state: Path) -> None:
    before = tree(root)
    apply(plan_for(root, [SHOTS[2]]), state)
    (root / "2024/deep/x.jpg").unlink()
    (root / "2024/deep").rmdir()
    undo(None, state)
    after = tree(root)
    assert {name for name in before if name not in after} == {b"2024/deep/x.jpg"}


def test_what_a_person_put_among_the_rejects_stays(root: Path, state: Path) -> None:
    apply(plan_for(root), state)
    (root / "_Rejected/2024/notes.txt").write_bytes(b"mine")
    with (root / "_Rejected/MANIFEST.jsonl").open("ab") as file:
        file.write(b"a note of mine\n")
    undo(None, state)
    left = sorted(path.name for path in (root / "_Rejected").rglob("*"))
    assert left == ["2024", "MANIFEST.jsonl", "notes.txt"]
    assert (root / "_Rejected/MANIFEST.jsonl").read_bytes().endswith(b"a note of mine\n")


def test_undo_needs_no_manifest(root: Path, state: Path) -> None:
    before = tree(root)
    apply(plan_for(root, SHOTS[:1]), state)
    (root / "_Rejected/MANIFEST.jsonl").unlink()
    undo(None, state)
    assert tree(root) == before


def test_a_torn_line_of_the_manifest_goes_with_the_run(root: Path, state: Path) -> None:
    before = tree(root)
    apply(plan_for(root, SHOTS[:1]), state)
    with (root / "_Rejected/MANIFEST.jsonl").open("ab") as file:
        file.write(b'{"run": "2024')
    apply(plan_for(root, SHOTS[1:]), state)
    lines = (root / "_Rejected/MANIFEST.jsonl").read_bytes().splitlines()
    assert len(lines) == 5
    undo(None, state)
    undo(None, state)
    assert tree(root) == before


def test_history_tells_what_became_of_each_run(root: Path, state: Path) -> None:
    first = apply(plan_for(root, [SHOTS[0]]), state).run
    second = apply(plan_for(root, [SHOTS[1]]), state).run
    undo(second, state)
    third = plan_for(root, [SHOTS[2]])
    calls = calls_of(lambda: apply(third, state))
    undo(None, state)
    in_child(lambda: apply(third, state), fault=Fault(len(calls) - 3, "before"))
    rows = history(state)
    assert [(row.kind, row.shots, row.files, str(row.state)) for row in rows] == [
        ("cull", 1, 2, "applied"),
        ("cull", 1, 3, "undone"),
        ("undo", 1, 3, "applied"),
        ("cull", 1, 1, "undone"),
        ("undo", 1, 1, "applied"),
        ("cull", 1, 1, "interrupted"),
    ]
    assert rows[0].run == first
    assert rows[2].of == second
    assert rows[0].roots == (root,)


def test_recover_leaves_other_roots_and_finished_runs_alone(root: Path, state: Path) -> None:
    apply(plan_for(root), state)
    before = tree(root)
    assert recover([root], state) == ()
    assert tree(root) == before


def test_a_photo_edited_after_a_cut_off_run_is_no_conflict(root: Path, state: Path) -> None:
    plan = plan_for(root)
    calls = calls_of(lambda: apply(plan, state))
    undo(None, state)
    fourth = [nth for nth, name in enumerate(calls, start=1) if name == "rename_new"][3]
    in_child(lambda: apply(plan, state), fault=Fault(fourth, "before"))
    grow(root, ["2024/IMG_1235.HEIC"])
    edited = root / plan.shots[2].files[0].source
    edited.chmod(0o644)
    edited.write_bytes(b"edited before the recovery")
    before = tree(root)
    recover([root], state)
    after = tree(root)
    assert edited.read_bytes() == b"edited before the recovery"
    assert (root / "IMG_0001.JPG").is_file()
    assert not (root / "_Rejected").exists()
    assert len(after) > len(before) - 6


def test_a_journal_from_a_later_version_is_not_passed_over(root: Path, state: Path) -> None:
    run = apply(plan_for(root), state).run
    path = state / f"journal/{run}.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"schema": 1', b'"schema": 3', 1))
    with pytest.raises(IqError, match=r"was written by a newer version of iq; update iq"):
        undo(None, state)


@pytest.mark.parametrize("name", ["../../photos", "/tmp/x", ""])
def test_a_journal_that_names_another_run_is_not_believed(
    root: Path, state: Path, name: str
) -> None:
    run = apply(plan_for(root), state).run
    path = state / f"journal/{run}.jsonl"
    path.write_bytes(path.read_bytes().replace(run.encode(), name.encode(), 1))
    before = tree(root)
    with pytest.raises(IqError, match="it is named after another run; move it elsewhere"):
        undo(None, state)
    assert tree(root) == before


@pytest.mark.parametrize("shots", [SHOTS, SHOTS[:1]])
def test_a_person_can_close_a_run_that_was_cut_off(
    root: Path, state: Path, shots: list[tuple[str, ...]]
) -> None:
    before = tree(root)
    plan = plan_for(root, shots)
    for _ in range(2):  # the first makes the folders of the state
        calls = calls_of(lambda: apply(plan, state))
        undo(None, state)
    assert in_child(lambda: apply(plan, state), fault=Fault(len(calls) - 1, "before")).code < 0
    moved = root / "_Rejected/IMG_0001.JPG"
    moved.write_bytes(b"edited since")
    with pytest.raises(PlanConflict, match=r"has changed since; .*iq undo \S+ --partly"):
        recover([root], state)
    closed = undo(None, state, partly=True)
    assert len(closed.left) == 1
    assert recover([root], state) == ()
    with pytest.raises(IqError, match="no run is left to undo"):
        undo(None, state)
    moved.write_bytes(b"IMG_0001.JPG")
    os.utime(moved, ns=(0, 1_600_000_000_123_456_789))
    undo(closed.of, state)
    assert tree(root) == before


def test_a_run_that_ends_while_another_waits_for_it_is_not_taken_back(
    root: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked cut off only because it was still at work."""
    run = apply(plan_for(root), state).run
    path = state / f"journal/{run}.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rindex(b'{"event": "finished"')])
    before = tree(root)

    @contextmanager
    def waiting(*_: object) -> Iterator[None]:
        path.write_bytes(whole)
        yield

    monkeypatch.setattr(locks, "hold", waiting)
    assert recover([root], state) == ()
    assert tree(root) == before


def test_several_runs_are_undone_the_latest_first(root: Path, state: Path) -> None:
    before = tree(root)
    runs = [apply(plan_for(root, [names]), state).run for names in SHOTS]
    asked = [runs[0], runs[2], runs[0][:-1]]
    assert [each.of for each in undo_each(asked, state)] == [runs[2], runs[0]]
    assert [each.of for each in undo_each([], state)] == [runs[1]]
    assert tree(root) == before


def test_a_name_that_is_none_stops_several_before_any(root: Path, state: Path) -> None:
    run = apply(plan_for(root), state).run
    before = tree(root)
    with pytest.raises(IqError, match="no run 'nope' can be undone"):
        list(undo_each([run, "nope"], state))
    assert tree(root) == before


def test_a_run_whose_photos_a_later_one_moved_names_it(root: Path, state: Path) -> None:
    before = tree(root)
    first = apply(plan_for(root), state).run
    again = root / "_Rejected"
    other = apply(plan_for(again, [SHOTS[0]]), state).run
    later = apply(plan_for(again, [SHOTS[1]]), state).run
    undo(other, state)
    with pytest.raises(PlanConflict) as caught:
        undo(first, state)
    way = f"run {later} came after it, run iq undo {later} first"
    assert str(caught.value) == f"3 files stand in the way; nothing was moved, {way}"
    assert [each.endswith(" is gone") for each in caught.value.details] == [True] * 3
    assert [each.of for each in undo_each([first, later], state)] == [later, first]
    assert tree(root) == before


def test_a_copy_whose_original_a_later_run_moved_names_it(root: Path, state: Path) -> None:
    before = tree(root)
    first = apply(plan_for(root, action="copy"), state).run
    later = apply(plan_for(root, SHOTS[:1]), state).run
    with pytest.raises(PlanConflict, match=f"run iq undo {later} first") as caught:
        undo(first, state)
    assert f"{root}/IMG_0001.JPG is gone" in caught.value.details
    assert len(list(undo_each([first, later], state))) == 2
    assert tree(root) == before


def broken(state: Path, run: str) -> Path:
    path = state / f"journal/{run}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"what\n\n")
    return path


def test_an_unreadable_journal_stops_no_other_run(root: Path, state: Path) -> None:
    before = tree(root)
    path = broken(state, "20200101-000000-000000-abcd")
    run = apply(plan_for(root), state).run
    assert [(row.run, row.state, row.roots) for row in history(state)] == [
        (path.stem, State.UNREADABLE, (path,)),
        (run, State.APPLIED, (root,)),
    ]
    [why] = unreadable(state)
    assert f"cannot read the journal {path}: its first line" in why
    assert recover([root], state) == ()
    with pytest.raises(IqError, match="cannot read the journal"):
        undo("2020", state)
    assert undo(None, state).of == run
    assert tree(root) == before


def test_an_unreadable_journal_of_a_later_run_is_passed_over(root: Path, state: Path) -> None:
    before = tree(root)
    run = apply(plan_for(root), state).run
    broken(state, "29990101-000000-000000-abcd")
    assert undo(None, state).of == run
    assert tree(root) == before
    with pytest.raises(IqError, match="cannot read the journal"):
        undo(None, state)


@pytest.mark.parametrize("plan", ["3", "[]", "[1]", '[{"kind": "iq-plan"}]', '{"a": 1}'])
def test_a_journal_with_any_plan_in_it_is_read_or_unreadable(state: Path, plan: str) -> None:
    path = broken(state, "20200101-000000-000000-abcd")
    known = '"kind": "iq-journal", "schema": 1, "run": "x", "what": "cull", "when": "2020-01-01"'
    path.write_text(f'{{{known}, "shots": 1, "files": 1, "plan": {plan}}}\n')
    assert [row.state for row in history(state)] == [State.UNREADABLE]


@pytest.mark.parametrize("edits", ["3", "[1]", '[{"root": "/"}]'])
def test_a_journal_with_any_edits_in_it_is_unreadable(state: Path, edits: str) -> None:
    path = broken(state, "20200101-000000-000000-abcd")
    known = '"kind": "iq-journal", "schema": 1, "run": "x", "what": "xmp", "when": "2020-01-01"'
    path.write_text(f'{{{known}, "shots": 1, "files": 1, "edits": {edits}}}\n')
    assert [row.state for row in history(state)] == [State.UNREADABLE]


@pytest.mark.parametrize("named", [False, True])
def test_a_journal_cut_off_in_its_first_line_is_named(root: Path, state: Path, named: bool) -> None:
    """With the manifest that lists its photos, where the journal still says where that is."""
    run = apply(plan_for(root), state).run
    path = state / f"journal/{run}.jsonl"
    whole = path.read_bytes()
    after_rejects = whole.index(b"_Rejected") + len(b'_Rejected",')
    path.write_bytes(whole[: after_rejects if named else 100])
    [row] = history(state)
    assert (row.run, row.state) == (run, State.UNREADABLE)
    [why] = unreadable(state)
    manifest = root / "_Rejected/MANIFEST.jsonl" if named else "MANIFEST.jsonl beside"
    assert f"{path}: it is cut off in its first line; move it elsewhere; see {manifest}" in why


def test_a_manifest_that_is_too_large_is_not_searched_for_the_run_of_a_journal(
    root: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = apply(plan_for(root), state).run
    path = state / f"journal/{run}.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"_Rejected") + len(b'_Rejected",')])
    monkeypatch.setattr(folder, "MANIFEST_BYTES", 100)
    [why] = unreadable(state)
    assert "see MANIFEST.jsonl beside its rejects" in why


def test_a_journal_or_manifest_that_is_too_large_is_named(
    root: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(root)
    run = apply(plan_for(root), state).run
    with monkeypatch.context() as patch:
        patch.setattr(folder, "MANIFEST_BYTES", 100)
        with pytest.raises(IqError, match=r"everything is back, but cannot clean up .*MANIFEST"):
            undo(None, state)
    undo(None, state)
    assert tree(root) == before
    path = state / f"journal/{run}.jsonl"
    os.truncate(path, journal.JOURNAL_BYTES + 1)
    [why] = unreadable(state)
    assert f"{path}: is larger than 512 MiB; move it elsewhere" in why
    monkeypatch.setattr(journal, "INTENT_BYTES", 1000)
    with pytest.raises(IqError, match=r"larger than 0 MiB; nothing was moved, cull folder by f"):
        apply(plan_for(root), state)
    assert tree(root) == before


@pytest.mark.parametrize("data", [b"", b"\0" * 4096, None])
def test_a_journal_that_says_nothing_is_done_without_by_the_manifest(
    root: Path, state: Path, data: bytes | None
) -> None:
    """Which is found beside the rejects of other runs, and puts every photo back."""
    before = tree(root)
    first = apply(plan_for(root, SHOTS[:1]), state).run
    later = apply(plan_for(root, SHOTS[1:]), state).run
    path = state / f"journal/{later}.jsonl"
    path.unlink()
    if data is None:
        path.mkdir()
    else:
        path.write_bytes(data)
    [why] = unreadable(state)
    manifest = root / "_Rejected/MANIFEST.jsonl"
    assert f"see {manifest} for how to put its photos back by hand" in why
    for row in map(json.loads, manifest.read_text().splitlines()):
        for each in row["files"] if row.get("run") == later else ():
            (root / path_of(each, "to")).rename(root / path_of(each, "from"))
    assert undo(None, state).of == first
    assert {name for name in tree(root) if b"_Rejected" not in name} == before.keys()


@pytest.mark.parametrize("length", [0, 1])
def test_a_journal_with_next_to_nothing_in_it_is_named(
    root: Path, state: Path, length: int
) -> None:
    run = apply(plan_for(root), state).run
    path = state / f"journal/{run}.jsonl"
    path.write_bytes(path.read_bytes()[:length])
    [why] = unreadable(state)
    assert f"{path}: it is cut off in its first line" in why


def test_an_intent_cut_off_in_writing_never_began(root: Path, state: Path) -> None:
    """A journal gets its name when its intent is whole, and no such rest stays for long."""
    before, plan = tree(root), plan_for(root)
    for _ in range(2):  # the first makes the folders of the state
        calls = calls_of(lambda: apply(plan, state))
        undo(None, state)
    named = calls.index("replace") + 1
    faults = Fault(named, "before"), Fault(named - 2, "torn")
    assert [calls[fault.at - 1] for fault in faults] == ["replace", "write"]
    for fault in faults:
        assert in_child(lambda: apply(plan, state), fault=fault).code == -signal.SIGKILL
        assert unreadable(state) == []
        assert tree(root) == before
    parts = [*(state / "journal").glob(".iq-part-*")]
    assert len(parts) == 2
    for part in parts:
        os.utime(part, (0, 0))
    apply(plan, state)
    assert [*(state / "journal").glob(".iq-part-*")] == []


@pytest.mark.parametrize("when", ["", "yesterday", "9999-99-99", "0001-01-01T00:00:00+23:59", 3])
def test_a_journal_with_a_bad_date_is_named(root: Path, state: Path, when: object) -> None:
    first = apply(plan_for(root, SHOTS[:1]), state).run
    run = apply(plan_for(root, SHOTS[1:]), state).run
    path = state / f"journal/{run}.jsonl"
    head, _, rest = path.read_text().partition('"when": "')
    path.write_text(f'{head}"when": {json.dumps(when)}{rest[rest.index(chr(34)) + 1 :]}')
    [why] = unreadable(state)
    assert f"{path}: " in why and f"see {root}/_Rejected/MANIFEST.jsonl for how" in why
    assert [row.state for row in history(state)] == [State.APPLIED, State.UNREADABLE]
    assert undo(None, state).of == first


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes there")
@pytest.mark.parametrize(
    "kind", ["pipe", "link to a pipe", "folder", "link to nowhere", "link to another journal"]
)
def test_whatever_lies_in_the_place_of_a_journal_is_named(
    root: Path, state: Path, kind: str
) -> None:
    before = tree(root)
    run = apply(plan_for(root), state).run
    path = state / "journal/20991231-000000-000000-abcd.jsonl"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(state / (f"journal/{run}.jsonl" if "journal" in kind else "pipe"))
        if "pipe" in kind:
            os.mkfifo(state / "pipe")
    [why] = unreadable(state)
    assert f"cannot read the journal {path}: " in why
    assert [row.state for row in history(state)] == [State.APPLIED, State.UNREADABLE]
    assert undo(None, state).of == run
    assert tree(root) == before


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="files have no such owners there")
@pytest.mark.parametrize("name", ["", "journal", "kept", "work", "locks"])
def test_a_link_of_another_user_is_not_followed(
    root: Path, state: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Nor is one of our own refused: what iq keeps may lie on another disk."""
    before = tree(root)
    run = apply(plan_for(root, SHOTS[:1]), state).run
    later = plan_for(root, SHOTS[1:])
    link, elsewhere = state / name, state.with_name("elsewhere")
    link.mkdir(exist_ok=True)
    link.rename(elsewhere)
    link.symlink_to(elsewhere)
    assert [row.run for row in history(state)] == [run]
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: link.lstat().st_uid + 1)
        patch.setattr(files, "ROOT", -1)
        for work in (lambda: history(state), lambda: undo(None, state), lambda: sweep(state)):
            with pytest.raises(IqError, match=f"{link} is a link that another user made"):
                work()
        with pytest.raises(IqError, match="is a link that another user made"):
            apply(later, state)
    assert undo(None, state).of == run
    assert tree(root) == before


def test_journals_that_cannot_be_listed_are_no_empty_history(state: Path) -> None:
    state.mkdir()
    (state / "journal").write_bytes(b"")
    with pytest.raises(IqError, match=f"cannot read the journals in {state}/journal: "):
        history(state)


@pytest.mark.parametrize("key", ["of", "along"])
def test_a_journal_that_names_no_run_is_unreadable(state: Path, key: str) -> None:
    path = broken(state, "20200101-000000-000000-abcd")
    known = f'"kind": "iq-journal", "schema": 1, "run": "{path.stem}", "what": "undo"'
    path.write_text(f'{{{known}, "when": "2020-01-01", "shots": 1, "files": 1, "{key}": []}}\n')
    assert [row.state for row in history(state)] == [State.UNREADABLE]
