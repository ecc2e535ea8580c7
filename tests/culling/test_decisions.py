"""Decisions in a file: what it keeps, what it refuses of a changed disk or a hostile hand."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.photo_trees import SHOTS, grow, judged, rejected, shots_in, tree

from iqcli.culling import decisions as store
from iqcli.culling import planner as plans
from iqcli.errors import IqError, PlanConflict
from iqcli.fs import files
from iqcli.records import Decision, Verdict
from iqcli.transactions.apply import apply
from iqcli.transactions.jsonl import line
from iqcli.transactions.undo import undo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def decided(root: Path) -> list[Decision]:
    """Each shot of the tree with its hash: two are rejected, and one has no score."""
    found = []
    leaves = tree(root)
    for number, names in enumerate(shots_in(root)):
        score = None if number == 3 else 2.0 + number
        each = judged(root, names, score)
        leaf = leaves[str(names[0]).encode(errors="surrogateescape")]
        each = dataclasses.replace(each, sha256=leaf[-1], error=None)
        verdict = Verdict.REJECT if number in (0, 2) else Verdict.KEEP
        found.append(Decision(each, verdict, ("chosen by hand",), ("by_hand",)))
    return found


def save(path: Path, found: Sequence[Decision]) -> None:
    records = [store.header("fusion-mini"), *map(store.record, found)]
    path.write_bytes(b"".join(line(each) + b"\n" for each in records))


@pytest.fixture
def file(root: Path, tmp_path: Path) -> Path:
    """The decisions about the tree of `root`."""
    path = tmp_path / "decisions.jsonl"
    save(path, decided(root))
    return path


def told(found: Sequence[Decision]) -> list[tuple[object, ...]]:
    return [
        (
            each.photo.shot,
            each.photo.sha256,
            each.photo.rating.score if each.photo.rating else None,
            each.verdict,
            each.reasons,
            each.codes,
        )
        for each in found
    ]


def test_a_file_keeps_every_name_and_decision(root: Path, file: Path, tmp_path: Path) -> None:
    found = store.load(file)
    assert told(found) == told(decided(root))
    assert {each.photo.rating.model for each in found if each.photo.rating} == {"fusion-mini"}
    assert store.is_ours(file)
    assert not store.is_ours(root / "IMG_0001.JPG")
    assert not store.is_ours(tmp_path / "none")


def test_the_rejects_of_a_file_move_and_come_back(root: Path, file: Path, tmp_path: Path) -> None:
    before = tree(root)
    plan = plans.make(store.load(file), "by hand", "fusion-mini")
    assert len(plan.shots) == 2
    apply(plan, tmp_path / "state")
    undo(None, tmp_path / "state")
    assert tree(root) == before


def test_what_a_browser_writes_is_read(root: Path, file: Path) -> None:
    """Numbers without a point, escapes in lower case, and the line ends of Windows."""
    text = file.read_text("utf-8").replace('"score": 2.0', '"score":2').replace("\n", "\r\n")
    text = text.replace("\\\\u001b", "\\\\u001B")
    file.write_bytes(text.encode())
    assert told(store.load(file)) == told(decided(root))


def test_a_root_given_relatively_or_through_a_link_is_kept_real(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(root)
    monkeypatch.chdir(tmp_path)
    for given in (Path("photos"), Path("link")):
        found = [Decision(judged(given, SHOTS[1]), Verdict.KEEP, (), ())]
        save(tmp_path / "d", found)
        [again] = store.load(tmp_path / "d")
        assert again.photo.shot.root == root
        assert again.photo.shot.path == root / SHOTS[1][0]


@pytest.mark.parametrize("name", ["IMG_0001.JPG", "2024/deep/x.jpg"])
def test_a_photo_that_changed_is_refused(root: Path, file: Path, name: str) -> None:
    path = root / name
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(PlanConflict, match=r"has changed since it was decided on; decide again"):
        store.load(file)


def test_a_companion_that_changed_alone_is_none(root: Path, file: Path) -> None:
    """As with a plan that is made now: a sidecar written since goes along."""
    (root / "IMG_0001.JPG.xmp").chmod(0o644)
    (root / "IMG_0001.JPG.xmp").write_bytes(b"<other/>")
    assert len(store.load(file)) == 5


def test_companions_that_came_or_went_are_refused(root: Path, file: Path) -> None:
    (root / "2024/IMG_1234.XMP").write_bytes(b"<x/>")
    with pytest.raises(PlanConflict, match=r"IMG_1234.XMP .* came or went since"):
        store.load(file)
    (root / "2024/IMG_1234.XMP").unlink()
    (root / "2024/IMG_1234.MOV").unlink()
    with pytest.raises(PlanConflict, match=r"IMG_1234.MOV is gone"):
        store.load(file)


def test_a_folder_that_became_a_link_out_is_refused(root: Path, file: Path, tmp_path: Path) -> None:
    (root / "2024").rename(tmp_path / "elsewhere")
    (root / "2024").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PlanConflict, match=r"lies outside"):
        store.load(file)


def shot(key: str, value: object) -> Callable[[list[dict[str, Any]]], object]:
    return lambda records: records[1].update({key: value})


HOSTILE: list[tuple[str, Callable[[list[dict[str, Any]]], object]]] = [
    ("no place in its root", shot("path", "../outside.jpg")),
    ("no place in its root", shot("path", "2024/../../outside.jpg")),
    ("no place in its root", shot("path", "/etc/passwd")),
    ("no place in its root", shot("path", ".")),
    ("no place in its root", shot("path", "a\0b")),
    ("path is no path", shot("path_b64", "@@@")),
    ("path is missing", shot("path", None)),
    ("is gone", shot("path", "none.jpg")),
    ("is no photo", lambda records: records[1].update(path="2024/IMG_1234.MOV", companions=[])),
    ("is no photo", lambda records: records[1].update(path="notes.txt", companions=[])),
    ("stands twice", shot("path", "IMG_0001.JPG.xmp")),
    ("stands twice", shot("companions", [{"path": "2024/IMG_1234.HEIC"}])),
    ("no place in its root", shot("companions", [{"path": "../x"}])),
    ("a companion is no JSON object", shot("companions", ["x"])),
    ("companions is missing", shot("companions", None)),
    ("came or went", shot("companions", [])),
    ("its root is not absolute", shot("root", "photos")),
    ("is not there", shot("root", "/nowhere")),
    ("leads elsewhere", lambda records: records[1].update(root=records[1]["root"] + "/2024/..")),
    ("its decision is 'burn'; give one of keep, review, reject", shot("decision", "burn")),
    ("its decision is 'None'", shot("decision", None)),
    ("its decision is", shot("decision", ["keep"])),
    ("has changed since", shot("sha256", "0" * 64)),
    ("its sha256 is none", shot("sha256", "x")),
    ("sha256 is missing or", shot("sha256", 7)),
    ("it has no sha256", lambda records: records[1].update(sha256=None, decision="reject")),
    ("its score is none", shot("score", "high")),
    ("its score is none", shot("score", True)),
    ("its score is none", shot("score", float("nan"))),
    ("its score is none", shot("score", 10**400)),
    ("reasons is missing", shot("reasons", [1])),
    ("reasons is missing", shot("reasons", "no list")),
    ("a code is none", shot("codes", ["\x1b[31m"])),
    ("holds no decisions", lambda records: records[0].update(kind="iq-plan")),
    ("schema 2", lambda records: records[0].update(schema=2)),
    ("model is missing", lambda records: records[0].update(model=None)),
    ("stands twice", lambda records: records.append(records[1])),
    ("too long", shot("reasons", ["x" * (1 << 20)])),
]


@pytest.mark.parametrize(("says", "change"), HOSTILE)
def test_a_hostile_file_is_refused_in_one_sentence(
    tmp_path: Path, file: Path, says: str, change: Callable[[list[dict[str, Any]]], object]
) -> None:
    records = [json.loads(each) for each in file.read_bytes().splitlines()]
    change(records)
    file.write_bytes(b"".join(json.dumps(each).encode() + b"\n" for each in records))
    before = tree(tmp_path)
    with pytest.raises(IqError, match=says) as caught:
        store.load(file)
    assert str(caught.value).isprintable()
    assert tree(tmp_path) == before


def test_a_shot_led_by_another_of_its_pictures_is_found_again(root: Path, tmp_path: Path) -> None:
    """As where its primary is broken."""
    grow(root, ["IMG_7.JPG", "IMG_7.DNG"])
    path, names = tmp_path / "decisions.jsonl", ["IMG_7.DNG", "IMG_7.JPG"]
    save(path, rejected(root, [names]))
    records = [json.loads(each) for each in path.read_bytes().splitlines()]
    records[1]["sha256"] = files.sha256(root / "IMG_7.DNG")
    path.write_bytes(b"".join(line(each) + b"\n" for each in records))
    assert [each.name for each in store.load(path)[0].photo.shot.files] == names
    records[1]["companions"] = []
    path.write_bytes(b"".join(line(each) + b"\n" for each in records))
    with pytest.raises(PlanConflict, match=r"IMG_7\.JPG was decided on as a file of another shot"):
        store.load(path)


def test_decisions_are_bounded(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_DECISIONS", len(file.read_bytes().splitlines()) - 1)
    store.load(file)
    with monkeypatch.context() as patch:
        patch.setattr(store, "MAX_DECIDED_FILES", 2)
        with pytest.raises(IqError, match="one run takes 2 files; cull folder by folder"):
            store.load(file)
    with file.open("ab") as opened:
        opened.write(b"\n{}\n" * 9)
    for attempt in (store.load, store.roots):
        with pytest.raises(IqError, match=r"cannot use the decisions .* lines, and one run takes"):
            attempt(file)
    file.unlink()
    os.mkfifo(file)
    assert not store.is_ours(file)  # and nobody waits for its other end


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"[]\n", b"{\n", b"[" * 100_000])
def test_what_holds_no_decisions_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(IqError, match="cannot use the decisions"):
        store.load(tmp_path / "file")
    with pytest.raises(IqError, match="cannot read"):
        store.load(tmp_path / "none")


def test_a_shot_that_lies_elsewhere_has_no_line(root: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with pytest.raises(PlanConflict, match="lies outside"):
        store.record(Decision(judged(root, [str(tmp_path / "other/a.jpg")]), Verdict.KEEP, (), ()))
