"""The whole roll, culled and put back: what is due goes whole, and nothing else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from support.photo_trees import tree
from support.whole_roll import build

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli_runner import Iq, Ran
    from support.photo_trees import Tree
    from support.whole_roll import Roll

pytestmark = pytest.mark.slow

SHARE = 5  # one in so many goes: 20%
RULE = ("--duplicates", "--worst", "20%")
# The folder `_Rejected` is a person's.
REJECTS = "_Rejected-2"
REASONS = {
    "copy": "copy of ./photos/{}",
    "cropped": "cropped copy of ./photos/{}",
    "recoloured": "copy of ./photos/{} in other colours",
    "link": "another name of ./photos/{}",
}


def by_name(ran: Ran) -> dict[str, Any]:
    return {name(row["path"]): row for row in ran.rows}


def name(path: str) -> str:
    return path.removeprefix("./photos/")


def worst(roll: Roll, rows: dict[str, Any]) -> set[str]:
    """The fifth with the lowest scores, of those that count."""
    names = {path for path, (_, how) in roll.copies.items() if how == "link"} | roll.rejected
    counted = sorted(
        (row["score"], [-byte for byte in os.fsencode(row["path"])], path)
        for path, row in rows.items()
        if row["score"] is not None and path not in names
    )
    return {path for *_, path in counted[: len(counted) // SHARE]}


def due(roll: Roll, rows: dict[str, Any]) -> set[str]:
    """What a rule takes: the worst and the copies, and no second name without the first."""
    found = worst(roll, rows) | {path for path, (_, how) in roll.copies.items() if how == "copy"}
    return found | {
        path for path, (of, how) in roll.copies.items() if how == "link" and of in found
    }


def files_of(roll: Roll, shots: set[str]) -> set[bytes]:
    return {os.fsencode(each) for shot in shots for each in (shot, *roll.shots[shot])}


def split(root: Path) -> tuple[Tree, Tree]:
    """The files at home, and those among the rejects, by their names before."""
    found = {path: leaf for path, leaf in tree(root).items() if leaf[0] == "file"}
    start = os.fsencode(REJECTS) + b"/"
    away = {path[len(start) :]: leaf for path, leaf in found.items() if path.startswith(start)}
    return {path: leaf for path, leaf in found.items() if not path.startswith(start)}, away


def inodes(root: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_ino for path in root.rglob("*")}


def test_what_is_due_goes_whole_and_comes_back(iq: Iq) -> None:
    roll = build(iq.cwd / "photos")
    assert roll.files >= 200
    before, same = tree(roll.root), inodes(roll.root)
    home = split(roll.root)[0]
    shown = iq("cull", "photos", *RULE, "--format", "jsonl", "--plan", "plan")
    rows = by_name(shown)
    assert tree(roll.root) == before

    # what there is, as who made it says
    companions = {path: {name(each) for each in row["companions"]} for path, row in rows.items()}
    assert companions == roll.shots
    assert {path for path, row in rows.items() if row["score"] is None} == roll.unreadable
    marked = {path for path, row in rows.items() if max(row["stars"] or 0, row["pick"] or 0) > 0}
    assert marked == roll.marked
    copies = {path: name(row["copy_of"]) for path, row in rows.items() if row["copy_of"]}
    assert copies == {path: of for path, (of, _) in roll.copies.items()}
    for path, (of, how) in roll.copies.items():
        assert REASONS[how].format(of) in rows[path]["reasons"]

    # what is decided
    gone = due(roll, rows) - roll.marked - roll.sets
    assert {path for path, row in rows.items() if row["decision"] == "reject"} == gone
    assert len(due(roll, rows) & roll.marked) >= 3
    assert due(roll, rows) & roll.sets
    assert sum(len(roll.shots[path]) > 0 for path in gone) >= 5
    assert {how for path, (_, how) in roll.copies.items() if path in gone} == {"copy", "link"}

    # what is done, at once and by the saved plan
    moved = files_of(roll, gone)
    for words in (("photos", *RULE), ("photos", "--from-plan", "plan")):
        assert iq("cull", *words, "--apply").code in (0, 1)  # some cannot be read
        left, away = split(roll.root)
        assert left.keys() == home.keys() - moved
        assert left.items() <= home.items()
        assert away.pop(b"MANIFEST.jsonl")
        assert away == {path: home[path] for path in moved}
        assert iq("undo").code == 0
        assert tree(roll.root) == before
        assert inodes(roll.root) == same
