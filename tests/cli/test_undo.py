"""Undo and history as a person has them: an undo never gets stuck, and a list that says so."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import struct
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.fake_trash import Trash
from support.photo_trees import Tree, tree

from iqcli.cli.commands import history
from iqcli.output.fit import fitted
from iqcli.transactions.history import Row, State

if TYPE_CHECKING:
    from support.cli_runner import Iq

if sys.platform != "win32":
    from support.terminal import terminal


@pytest.fixture(autouse=True)
def _measured(seen: Iq) -> None:
    """The photos are measured already."""


def cull(iq: Iq, *words: str) -> str:
    """Apply a cull of `photos/`; the name of the run."""
    ran = iq("cull", "photos", *words, "--max-reject", "100%", "--apply")
    assert ran.code == 0, ran.err
    return max(path.stem for path in (iq.state / "journal").iterdir())


def photos(found: Tree) -> dict[bytes, object]:
    """The hash of every photo that is no reject."""
    return {
        name: leaf[-1]
        for name, leaf in found.items()
        if leaf[0] == "file" and not name.startswith(b"_Rejected")
    }


@pytest.fixture
def two(iq: Iq, roll: Path) -> tuple[str, str]:
    """Two culls, the second of two photos."""
    first = cull(iq, "--worst", "17%")
    return first, cull(iq, "--worst", "40%")


def rejects(roll: Path, run: str) -> list[Path]:
    """Where the photos of a run are, as the manifest says."""
    lines = (roll / "_Rejected/MANIFEST.jsonl").read_text("utf-8").splitlines()[1:]
    entries = [entry for entry in map(json.loads, lines) if entry["run"] == run]
    return [roll / file["to"] for entry in entries for file in entry["files"]]


def test_a_run_that_lost_a_reject_does_not_stand_in_the_way(iq: Iq, roll: Path) -> None:
    before = photos(tree(roll))
    first = cull(iq, "--worst", "17%")
    between = photos(tree(roll))
    second = cull(iq, "--worst", "40%")
    lost, other = rejects(roll, second)
    lost.unlink()
    refused = iq("undo")
    assert (refused.code, refused.lines) == (
        4,
        [
            f"iq: {lost} is gone; nothing was moved, restore what is named, "
            f"or leave it so: iq undo {second} --partly"
        ],
    )
    partly = iq("undo", second, "--partly")
    assert (partly.code, partly.lines) == (
        1,
        [
            f"iq: left in place: {lost} is gone",
            f"put back 1 photo (1 file) of run {second}",
            f"run {second} is closed, and the next `iq undo` takes the run before it; "
            f"`iq undo {second}` puts back what is left, once you have restored it",
        ],
    )
    gone = os.fsencode(lost.relative_to(roll / "_Rejected"))
    assert photos(tree(roll)) == {name: leaf for name, leaf in between.items() if name != gone}
    assert not other.exists()
    following = iq("undo")
    assert (following.code, following.lines) == (0, [f"put back 1 photo (1 file) of run {first}"])
    assert photos(tree(roll)) == {name: leaf for name, leaf in before.items() if name != gone}
    again = iq("undo")
    assert (again.code, again.lines) == (2, ["iq: no run is left to undo; see iq history"])
    rows = iq("history", "-f", "jsonl").rows
    assert [(row["kind"], row["photos"], row["state"]) for row in rows] == [
        ("undo", 1, "applied"),
        ("undo", 1, "partly undone"),
        ("cull", 2, "partly undone"),
        ("cull", 1, "undone"),
    ]


def test_a_run_closed_in_part_goes_on_by_its_name(iq: Iq, roll: Path, two: tuple[str, str]) -> None:
    lost = rejects(roll, two[1])[0]
    lost.rename(iq.cwd / "kept")
    assert iq("undo", "--partly").code == 1
    (iq.cwd / "kept").rename(lost)
    assert iq("undo", two[1]).lines == [f"put back 1 photo (1 file) of run {two[1]}"]
    assert iq("undo").code == 0
    assert not (roll / "_Rejected").exists()


def test_each_file_in_the_way_has_a_line(iq: Iq, roll: Path, two: tuple[str, str]) -> None:
    lost = rejects(roll, two[1])
    for each in lost:
        each.unlink()
    refused = iq("undo")
    assert refused.code == 4
    assert sorted(refused.lines[:-1]) == sorted(f"iq: {each} is gone" for each in lost)
    assert refused.lines[-1] == (
        "iq: 2 files stand in the way; nothing was moved, restore what is named, "
        f"or leave it so: iq undo {two[1]} --partly"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="another trash there")
def test_a_run_whose_trash_was_emptied_can_be_closed(iq: Iq, roll: Path) -> None:
    pytest.importorskip("send2trash.plat_other")
    home = iq.home / "trash"
    home.mkdir()
    iq.changes |= {"HOME": str(home), "XDG_DATA_HOME": str(home / ".local/share")}
    before = photos(tree(roll))
    first = cull(iq, "--worst", "17%")
    second = cull(iq, "--worst", "40%", "--action", "trash")
    away = photos(tree(roll))
    refused = iq("undo")
    assert refused.code == 4
    assert refused.lines[0].endswith(
        f"; if the trash was emptied, iq undo {second} --partly closes the run"
    )
    shutil.rmtree(Trash(home).folder)
    closed = iq("undo", second, "--partly")
    assert closed.code == 1
    assert closed.lines[0].endswith(" went to the trash, and is not restored")
    assert closed.lines[1] == f"nothing of run {second} was put back"
    assert photos(tree(roll)) == away
    assert iq("undo").lines == [f"put back 1 photo (1 file) of run {first}"]
    assert len(before) - len(photos(tree(roll))) == 2
    states = [(row["run"], row["state"]) for row in iq("history", "-f", "jsonl").rows]
    assert (second, "closed") in states


def test_the_history_in_every_format(iq: Iq, roll: Path, two: tuple[str, str]) -> None:
    assert iq("undo").code == 0
    rows = iq("history", "-f", "jsonl").rows
    keys = ["run", "when", "kind", "photos", "files", "state", "of", "roots", "error"]
    assert [list(row) for row in rows] == [keys] * 3
    assert [row["run"] for row in rows[1:]] == [two[1], two[0]]
    assert [row["of"] for row in rows] == [two[1], None, None]
    assert [row["roots"] for row in rows] == [[str(roll)]] * 3
    assert [row["state"] for row in rows] == ["applied", "undone", "applied"]
    assert all(row["when"].endswith("+00:00") and row["error"] is None for row in rows)
    assert json.loads(iq("history", "-f", "json").out) == rows
    cells = iq("history", "-f", "csv").cells
    assert [cell["run"] for cell in cells] == [row["run"] for row in rows]
    assert cells[1] == {
        **{key: str(rows[1][key]) for key in ("run", "when", "kind", "photos", "files", "state")},
        **{"of": "", "roots": str(roll), "error": ""},
    }
    lines = iq("history").out.decode().splitlines()
    assert lines[0].split() == ["run", "when", "what", "photos", "files", "state", "of"]
    assert [line.split()[0] for line in lines[1:]] == [row["run"] for row in rows]
    assert lines[2].split()[-2:] == ["undone", str(roll)]


def test_the_history_can_be_cut(iq: Iq, roll: Path, two: tuple[str, str]) -> None:
    assert [row["run"] for row in iq("history", "--limit", "1", "-f", "jsonl").rows] == [two[1]]
    assert len(iq("history", "--limit", "1").out.splitlines()) == 2
    none = iq("history", "--limit", "0")
    assert (none.code, none.out, none.err) == (0, b"", "")


def test_an_empty_history(iq: Iq) -> None:
    ran = iq("history")
    assert (ran.code, ran.out, ran.lines) == (0, b"", ["nothing has been changed yet"])
    assert iq("history", "-f", "json").out == b"[]\n"
    assert iq("history", "-f", "jsonl").out == b""
    assert iq("history", "-f", "csv").cells == []
    refused = iq("history", "-f", "paths")
    assert (refused.code, refused.lines) == (
        2,
        ["iq: --format is 'paths'; give one of table, csv, json, jsonl"],
    )


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")
def test_the_history_fits_a_narrow_terminal(iq: Iq, roll: Path, two: tuple[str, str]) -> None:
    rejects(roll, two[1])[0].unlink()
    assert iq("undo", "--partly").code == 1
    with terminal(iq, "history", NO_COLOR="1") as desk:
        fcntl.ioctl(desk._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 80, 0, 0))
        assert desk.end() == 0
    lines = desk.seen.splitlines()
    runs = [row["run"] for row in iq("history", "-f", "jsonl").rows]
    assert lines[0].split() == ["run", "what", "photos", "files", "state", "of"]
    assert [line.split()[0] for line in lines[1:]] == runs
    assert all(len(line) <= 80 for line in lines)
    for line, whole in zip(lines[1:], [two[1], str(roll), str(roll)], strict=True):
        head, _, tail = line.split()[-1].partition("…")  # whole, or shortened in the middle
        assert whole.startswith(head) and whole.endswith(tail)


@pytest.mark.parametrize("width", [80, 81, 200])
def test_the_longest_lines_of_the_history_fit(width: int) -> None:
    run, long = "20261130-145931-525868-9267", Path("/a" * 60)
    rows = [
        Row(run, "2026-11-30T14:59:31+00:00", "trash, xmp", None, 12345, 12345, state, (long,))
        for state in State
    ]
    columns, gap = fitted(history._columns(rows), width)
    assert sum(each.width for each in columns) + gap * (len(columns) - 1) <= width
    assert [text.plain for text in columns[0].cells] == [run] * len(rows)
    assert [each.title for each in columns] == [each for each in history.TITLES if each != "when"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes there")
def test_damaged_journals_are_named_and_the_others_go_on(
    iq: Iq, roll: Path, two: tuple[str, str]
) -> None:
    folder = iq.state / "journal"
    whole = (folder / f"{two[1]}.jsonl").read_text()
    made = {
        "20991231-000001-000000-aaaa": whole.replace('"when": "', '"when": "on ', 1),
        "20991231-000002-000000-aaaa": whole[:500],
        "20991231-000003-000000-aaaa": whole.replace('"schema": 1', '"schema": 9', 1),
    }
    for run, text in made.items():
        (folder / f"{run}.jsonl").write_text(text.replace(two[1], run))
    pipe = "20991231-000004-000000-aaaa"
    os.mkfifo(folder / f"{pipe}.jsonl")
    listed = iq("history", "-f", "jsonl")
    assert listed.code == 1
    assert [row["run"] for row in listed.rows] == [pipe, *reversed(made), *reversed(two)]
    assert [row["state"] for row in listed.rows] == ["unreadable"] * 4 + ["applied"] * 2
    assert listed.rows[0] == {
        **dict.fromkeys(listed.rows[0]),
        **{"run": pipe, "state": "unreadable", "roots": [], "error": listed.rows[0]["error"]},
    }
    why = {run: next(line for line in listed.lines if run in line) for run in (*made, pipe)}
    assert "its date is none" in why["20991231-000001-000000-aaaa"]
    assert "it is cut off in its first line" in why["20991231-000002-000000-aaaa"]
    assert "written by a newer version of iq; update iq" in why["20991231-000003-000000-aaaa"]
    assert "is not a regular file" in why[pipe]
    for run in (two[1], two[0]):
        undone = iq("undo")
        assert undone.code == 1  # a later one may have been meant
        assert undone.lines[0].startswith("put back ") and undone.lines[0].endswith(f"run {run}")
        assert sorted(undone.lines[1:]) == sorted(why.values())
    assert not (roll / "_Rejected").exists()
    last = iq("undo")
    assert last.code == 2
    assert sorted(last.lines) == sorted(why.values())


def test_a_damaged_journal_names_the_manifest(iq: Iq, roll: Path, two: tuple[str, str]) -> None:
    path = iq.state / "journal" / f"{two[1]}.jsonl"
    path.write_bytes(path.read_bytes()[:800])
    refused = iq("undo", two[1])
    assert (refused.code, refused.lines) == (
        2,
        [
            f"iq: cannot read the journal {path}: it is cut off in its first line; "
            f"move it elsewhere; see {roll}/_Rejected/MANIFEST.jsonl for how to put its photos "
            "back by hand"
        ],
    )
    # As the manifest says.
    manifest = roll / "_Rejected/MANIFEST.jsonl"
    header, *entries = map(json.loads, manifest.read_text("utf-8").splitlines())
    assert (
        "To put one back by hand, move each file of its line from 'to' to 'from'"
        in (header["about"])
    )
    assert sum(entry["run"] == two[1] for entry in entries) == 2


def test_a_broken_pipe_ends_the_history_silently(iq: Iq, roll: Path, two: tuple[str, str]) -> None:
    process = iq.start("history")
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 0


def test_history_is_light(iq: Iq) -> None:
    _, _, loaded = iq.spied("history")
    assert not loaded & {"rich", "numpy", "torch", "PIL"}
