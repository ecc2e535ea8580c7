"""Plans: where shots go, what a plan file keeps, and what a hostile one may not do."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from support.photo_trees import SHOTS, grow, grow_planned, judged, plan_for, rejected, tree

from iqcli.culling import planner as plans
from iqcli.errors import IqError, PlanConflict
from iqcli.records import Decision, Verdict
from iqcli.transactions import apply as plan_apply
from iqcli.transactions import jsonl
from iqcli.transactions import plan as plan_module
from iqcli.transactions.apply import apply
from iqcli.transactions.plan import Action
from iqcli.transactions.undo import undo

if TYPE_CHECKING:
    from collections.abc import Callable

    from iqcli.transactions.plan import Plan


def targets(plan: Plan) -> list[str]:
    return [str(file.target) for shot in plan.shots for file in shot.files]


def test_only_rejected_shots_are_planned_with_hash_score_and_reasons(root: Path) -> None:
    decisions = rejected(root, SHOTS[:1])
    decisions.append(Decision(judged(root, ["2024/deep/x.jpg"]), Verdict.KEEP, ()))
    decisions.append(Decision(judged(root, ["nowhere.jpg"], None), Verdict.REVIEW, ()))
    plan = plans.make(decisions, "below 4.0", "fusion-mini")
    (shot,) = plan.shots
    assert (shot.root, shot.score, shot.codes) == (root, 2.0, decisions[0].codes)
    assert shot.reasons == ("score 2.0 is below 4.0",)
    leaf = tree(root)[b"IMG_0001.JPG"]
    first = shot.files[0]
    assert (first.mtime_ns, first.sha256) == (leaf[2], leaf[3])
    assert targets(plan) == ["_Rejected/IMG_0001.JPG", "_Rejected/IMG_0001.JPG.xmp"]


@pytest.mark.parametrize("where", ["P.photoslibrary", "day/#recycle", "x/CaptureOne/Cache"])
@pytest.mark.parametrize("root_is_inside", [True, False])
def test_no_plan_changes_a_folder_of_another_program(
    tmp_path: Path, where: str, root_is_inside: bool
) -> None:
    top = tmp_path / where if root_is_inside else tmp_path
    names = ["IMG_1.jpg"] if root_is_inside else [f"{where}/IMG_1.jpg"]
    grow(top, names)
    with pytest.raises(IqError, match=r"copy the photos|export the originals|name the folder"):
        plan_for(top, [names])
    # Made while it was a person's folder, or by hand.
    (shot,) = grow_planned(tmp_path / "free", {"IMG_1": ["IMG_1.jpg"]}).shots
    source = Path(names[0])
    file = dataclasses.replace(shot.files[0], source=source, target=Path("_Rejected") / source)
    forged = dataclasses.replace(shot, root=top, files=(file,))
    before = tree(tmp_path)
    for action in (Action.MOVE, Action.COPY, Action.LINK):
        plan = plans.Plan("2024-01-01T00:00:00+00:00", "", "", (forged,), action)
        with pytest.raises(IqError, match=r"(copy the photos|export|name the folder).*( first|s)$"):
            apply(plan, tmp_path / "state")
    assert tree(tmp_path) == before


def test_a_rejected_folder_of_the_user_is_left_alone(root: Path) -> None:
    (root / "_Rejected").mkdir()
    (root / "_Rejected-2").symlink_to(root / "2024")
    (root / "_Rejected-3").write_bytes(b"a file")
    assert targets(plan_for(root, SHOTS[:1]))[0] == "_Rejected-4/IMG_0001.JPG"


def test_a_manifest_of_somebody_else_is_not_ours(root: Path) -> None:
    (root / "_Rejected").mkdir()
    (root / "_Rejected/MANIFEST.jsonl").write_bytes(b'{"kind": "other"}\n')
    assert targets(plan_for(root, SHOTS[:1]))[0] == "_Rejected-2/IMG_0001.JPG"


def test_our_own_folder_is_used_again(root: Path, tmp_path: Path) -> None:
    apply(plan_for(root, SHOTS[:1]), tmp_path / "state")
    assert targets(plan_for(root, SHOTS[2:]))[0].startswith("_Rejected/2024/")


def test_names_that_differ_in_case_or_form_alone_are_parted(root: Path, tmp_path: Path) -> None:
    shots = {"1": ["x/A.jpg"], "2": ["x/a.JPG"], "3": ["x/é.jpg"], "4": ["x/e\u0301.jpg"]}
    plan = grow_planned(root, shots)
    layers = [shot.files[0].target.parts[:-2] for shot in plan.shots]
    assert layers == [("_Rejected",), ("_Rejected", "again-2")] * 2
    apply(plan, tmp_path / "state")


def test_a_file_that_stands_where_a_folder_must_be_is_stepped_around(
    root: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    apply(grow_planned(root, {"1": ["a.jpg"]}), state)
    before = tree(root)
    plan = grow_planned(root, {"2": ["a.jpg/b.jpg"]})
    assert targets(plan) == ["_Rejected/again-2/a.jpg/b.jpg"]
    apply(plan, state)
    undo(None, state)
    assert {name for name in tree(root) if name not in before} == {b"a.jpg", b"a.jpg/b.jpg"}


def test_the_manifest_name_is_not_for_photos(root: Path) -> None:
    grow(root, ["MANIFEST.jsonl"])
    with pytest.raises(PlanConflict, match="no photo that a plan may move"):
        plan_for(root, [["MANIFEST.jsonl"]])


def test_a_shot_behind_a_link_out_of_the_root_is_refused(root: Path, tmp_path: Path) -> None:
    grow(tmp_path / "elsewhere", ["a.jpg"])
    (root / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PlanConflict, match=r"link/a.jpg lies outside"):
        plan_for(root, [["link/a.jpg"]])


def test_a_linked_folder_within_the_root_is_planned_at_its_real_place(root: Path) -> None:
    (root / "link").symlink_to(root / "2024")
    assert targets(plan_for(root, [["link/deep/x.jpg"]])) == ["_Rejected/2024/deep/x.jpg"]


def test_a_linked_photo_is_refused(root: Path) -> None:
    (root / "link.jpg").symlink_to(root / "IMG_0001.JPG")
    with pytest.raises(PlanConflict, match=r"link.jpg is a link, and .* leave out -L"):
        plan_for(root, [["link.jpg"]])


def test_a_root_given_through_a_link_or_relatively_works(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(root)
    monkeypatch.chdir(tmp_path)
    before = tree(root)
    for given in (Path("link"), Path("photos")):
        plan = plan_for(given)
        assert plan.roots == (root,)
        apply(plan, tmp_path / "state")
        undo(None, tmp_path / "state")
        assert tree(root) == before


def test_a_photo_that_changed_since_it_was_judged_is_refused(root: Path) -> None:
    (decision,) = rejected(root, SHOTS[:1])
    stale = dataclasses.replace(decision.photo, sha256="0" * 64)
    with pytest.raises(PlanConflict, match="changed while it was judged"):
        plans.make([dataclasses.replace(decision, photo=stale)], "", "")


def test_a_shot_listed_twice_is_refused(root: Path) -> None:
    with pytest.raises(PlanConflict, match="stands twice"):
        plan_for(root, [SHOTS[0], SHOTS[0]])


def test_a_plan_file_keeps_every_name(root: Path, tmp_path: Path) -> None:
    plan, path = plan_for(root), tmp_path / "plan.jsonl"
    plans.save(plan, path)
    assert plans.load(path) == plan
    assert path.read_bytes().decode("utf-8").isprintable() is False  # line ends only:
    assert all(line.isprintable() for line in path.read_text("utf-8").split("\n"))
    plans.save(plan, path)


def test_saving_over_a_photo_is_refused(root: Path) -> None:
    before = tree(root)
    with pytest.raises(IqError, match="exists and is no plan of iq"):
        plans.save(plan_for(root), root / "IMG_0001.JPG")
    assert tree(root) == before


def edit(path: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    records = [json.loads(line) for line in path.read_bytes().splitlines()]
    change(records)
    path.write_bytes(b"".join(json.dumps(each).encode() + b"\n" for each in records))


def put(key: str, value: object) -> Callable[[list[dict[str, Any]]], object]:
    return lambda records: records[1]["files"][0].update({key: value})


HOSTILE: list[tuple[str, Callable[[list[dict[str, Any]]], object]]] = [
    ("no photo that a plan", put("from", "../outside.jpg")),
    ("no photo that a plan", put("from", "2024/../../outside.jpg")),
    ("no photo that a plan", put("from", "/etc/passwd")),
    ("no photo that a plan", put("from", ".")),
    ("no photo that a plan", put("from", "a\0b")),
    ("no photo that a plan", put("from", ".iq-part-0123456789abcdef")),
    ("outside the folder of rejects", put("from", "_Rejected/a.jpg")),
    ("from is no path", put("from", "\ud800.jpg")),
    ("from is no path", put("from_b64", "@@@")),
    ("from is no path", put("from_b64", 7)),
    ("from is missing", put("from", None)),
    ("outside the folder of rejects", put("to", "_Rejected/other.jpg")),
    ("no photo that a plan|outside the folder", put("to", "IMG_0001.JPG")),
    ("outside the folder of rejects", put("to", "2024/IMG_0001.JPG")),
    ("outside the folder of rejects", put("to", "_Rejected/../IMG_0001.JPG")),
    ("outside the folder of rejects", put("to", "_Rejected/x/y/IMG_0001.JPG")),
    ("outside the folder of rejects", put("to", "/tmp/_Rejected/IMG_0001.JPG")),
    ("outside the folder of rejects", put("to", "_Rejected/again-2/IMG_0001.JPG")),
    ("outside the folder of rejects", put("to", f"_Rejected/again-{'9' * 300}/IMG_0001.JPG")),
    ("outside the folder of rejects", put("to", f"_Rejected-{'9' * 300}/IMG_0001.JPG")),
    ("size is missing", put("size", True)),
    ("size or sha256", put("size", -1)),
    ("size or sha256", put("sha256", "x")),
    ("mtime_ns", put("mtime_ns", 1.5)),
    ("score", lambda records: records[1].update(score="high")),
    ("finite score", lambda records: records[1].update(score=float("nan"))),
    ("reason", lambda records: records[1].update(reasons=[1])),
    ("line 2", lambda records: records[1].update(reasons=3)),
    ("reasons", lambda records: records[1].update(reasons="a word")),
    ("a code is none", lambda records: records[1].update(codes=["<b>"])),
    ("no file", lambda records: records[1].update(files=[])),
    ("a file is no JSON object", lambda records: records[1].update(files=[1])),
    ("no absolute root", lambda records: records[1].update(root="photos")),
    ("is not there", lambda records: records[1].update(root="/nowhere/photos")),
    ("is not there", lambda records: records[1].update(root="/nowhere\0")),
    ("leads elsewhere", lambda records: records[1].update(root=records[1]["root"] + "/2024/..")),
    ("is no plan", lambda records: records[0].update(kind="other")),
    ("its action is 'shred'", lambda records: records[0].update(action="shred")),
    ("this iq knows move, copy", lambda records: records[0].update(action=["move"])),
    ("schema 2", lambda records: records[0].update(schema=2)),
    (r"schema '\\x1b.{1,40}, this iq", lambda records: records[0].update(schema="\x1b" * 9999)),
    ("should hold 9", lambda records: records[0].update(shots=9)),
    ("should hold 3", lambda records: records.pop()),
    ("stands twice", lambda records: records.__setitem__(2, records[1])),
]


@pytest.mark.parametrize(("says", "change"), HOSTILE)
def test_a_hostile_plan_is_refused(
    root: Path, tmp_path: Path, says: str, change: Callable[[list[dict[str, Any]]], object]
) -> None:
    path = tmp_path / "plan.jsonl"
    plans.save(plan_for(root), path)
    edit(path, change)
    before = tree(tmp_path)
    with pytest.raises(IqError, match=says) as caught:
        plans.load(path)
    assert str(caught.value).isprintable()
    assert tree(tmp_path) == before


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"[]\n", b"{\n", b"[" * 100_000])
def test_what_is_no_plan_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "plan.jsonl"
    path.write_bytes(data)
    with pytest.raises(IqError, match="cannot use the plan"):
        plans.load(path)
    with pytest.raises(IqError, match="cannot read"):
        plans.load(tmp_path / "none")


@pytest.mark.parametrize(
    ("primary", "companion", "says"),
    [
        ("id_rsa", None, "id_rsa is no photo that a plan may move"),
        ("passwd", "IMG_0001.JPG", "passwd is no photo that a plan may move"),
        ("IMG_0001.JPG.xmp", None, "IMG_0001.JPG.xmp is no photo that a plan may move"),
        ("2024/IMG_1234.MOV", None, "IMG_1234.MOV is no photo that a plan may move"),
        ("2024", None, "2024 is no photo that a plan may move"),
        ("IMG_0001.JPG", "notes.txt", "notes.txt is no companion of IMG_0001.JPG"),
        ("IMG_0001.JPG", "id_rsa", "id_rsa is no companion of IMG_0001.JPG"),
        ("IMG_0001.JPG", "2024/IMG_1234.HEIC", "IMG_1234.HEIC is no companion of IMG_0001.JPG"),
        ("2024/IMG_1234.HEIC", "2024/IMG_1235.HEIC", "IMG_1235.HEIC is no companion"),
    ],
)
def test_a_forged_plan_moves_photos_and_their_companions_alone(
    root: Path, tmp_path: Path, primary: str, companion: str | None, says: str
) -> None:
    """With the right sizes, times and hashes, as who can read the files can write them."""
    grow(root, ["id_rsa", "passwd"])
    names = [primary, *([companion] if companion else [])]
    if (root / primary).is_file():
        shot = plan_for(root, [names]).shots[0]
    else:
        shot = plan_for(root, SHOTS[:1]).shots[0]
        file = dataclasses.replace(
            shot.files[0], source=Path(primary), target=Path("_Rejected") / primary
        )
        shot = dataclasses.replace(shot, files=(file,))
    plan = plans.Plan("2024-01-01T00:00:00+00:00", "", "", (shot,))
    path, before = tmp_path / "plan.jsonl", tree(root)
    plans.save(plan, path)
    with pytest.raises(PlanConflict, match=says):
        plans.load(path)
    assert tree(root) == before


def test_a_shot_may_be_led_by_a_companion_that_takes_the_primary_along(
    root: Path, tmp_path: Path
) -> None:
    """As where the primary is broken."""
    grow(root, ["IMG_7.JPG", "IMG_7.DNG", "IMG_7.xmp"])
    path, before = tmp_path / "plan.jsonl", tree(root)
    plans.save(plan_for(root, [["IMG_7.DNG", "IMG_7.JPG", "IMG_7.xmp"]]), path)
    apply(plans.load(path), tmp_path / "state")
    assert {*before} - {*tree(root)} == {b"IMG_7.JPG", b"IMG_7.DNG", b"IMG_7.xmp"}
    undo(None, tmp_path / "state")
    assert tree(root) == before
    for names in (["IMG_7.DNG"], ["IMG_7.DNG", "IMG_7.xmp"]):
        plans.save(plan_for(root, [names]), path)
        with pytest.raises(PlanConflict, match=r"IMG_7\.DNG is no photo that a plan may"):
            plans.load(path)


def test_a_plan_from_a_file_is_compared_by_the_bytes(root: Path, tmp_path: Path) -> None:
    """Size and time are as planned, and the content is another."""
    path, state = tmp_path / "plan.jsonl", tmp_path / "state"
    made = plan_for(root)
    plans.save(made, path)
    photo = root / "2024/IMG_1234.HEIC"
    status = photo.stat()
    photo.chmod(0o600)
    photo.write_bytes(photo.read_bytes()[::-1])
    os.utime(photo, ns=(status.st_atime_ns, status.st_mtime_ns))
    before = tree(root)
    for action in Action.MOVE, Action.COPY, Action.LINK:
        plan = dataclasses.replace(plans.load(path), action=action)
        with pytest.raises(PlanConflict, match=r"IMG_1234\.HEIC has changed since"):
            apply(plan, state)
    assert tree(root) == before


def test_a_folder_that_is_swapped_while_it_is_looked_at_is_named(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `realpath` fails where a folder becomes a link, or a link a folder, in its middle."""
    path, why = tmp_path / "plan.jsonl", OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(root))
    plan = plan_for(root)
    plans.save(plan, path)
    for name in ("below", "find_again"):
        monkeypatch.setattr(plans, name, mock.Mock(side_effect=why))
    monkeypatch.setattr(plan_apply, "find_again", mock.Mock(side_effect=why))
    attempts = (
        lambda: plan_for(root),
        lambda: plans.load(path),
        lambda: plans.check_files(rejected(root)),
        lambda: apply(plan, tmp_path / "state"),
    )
    for attempt in attempts:
        with pytest.raises(IqError, match=f"cannot look at {root}: Invalid argument; run again"):
            attempt()


@pytest.mark.parametrize("kind", ["lines", "files", "bytes", "line", "no file"])
def test_a_plan_is_bounded(
    root: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "plan.jsonl"
    plans.save(plan_for(root), path)
    monkeypatch.setattr(plans, "MAX_SHOTS", 3)
    assert len(plans.load(path).shots) == 3
    if kind == "files":
        monkeypatch.setattr(plans, "MAX_FILES", 5)
    says = {
        "files": "one run takes 5 files, and it has more; cull by folder",
        "lines": "it has 6 lines, and one run takes 4; cull folder by folder",
        "bytes": "it is larger than 512 MiB; cull folder by folder",
        "line": "line 5 is too long, over 1,024 KiB",
        "no file": "it is not a regular file",
    }[kind]
    with path.open("ab") as file:
        match kind:
            case "lines":
                file.write(b"{}\n{}\n")
            case "line":
                file.write(b" " * (jsonl.LINE_BYTES + 1))
            case "bytes":  # a hole
                file.truncate(jsonl.FILE_BYTES + 1)
    if kind == "no file":
        path.unlink()
        os.mkfifo(path)
    with pytest.raises(IqError, match=f"cannot use the plan .*plan.jsonl: {says}"):
        plans.load(path)


def test_more_shots_than_one_run_takes_are_refused_before_they_are_read(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_for(root)
    monkeypatch.setattr(plans.files, "sha256", None)
    for limit, why in (("MAX_SHOTS", "3 photos"), ("MAX_FILES", "6 files")):
        monkeypatch.setattr(plan_module, "MAX_SHOTS", 9)
        monkeypatch.setattr(plan_module, limit, 2)
        for attempt in (lambda: plan_for(root), lambda: apply(plan, tmp_path / "state")):
            with pytest.raises(IqError, match=f"{why} would be rejected, and one run takes 2; "):
                attempt()


def test_a_folder_replaced_by_a_link_after_the_plan_is_refused(root: Path, tmp_path: Path) -> None:
    plan, path = plan_for(root), tmp_path / "plan.jsonl"
    plans.save(plan, path)
    (root / "2024").rename(tmp_path / "elsewhere")
    (root / "2024").symlink_to(tmp_path / "elsewhere")
    before = tree(tmp_path)
    for attempt in (lambda: plans.load(path), lambda: apply(plan, tmp_path / "state")):
        with pytest.raises(PlanConflict, match="leads elsewhere through a link"):
            attempt()
    assert tree(tmp_path) == before


def test_a_link_among_the_rejects_is_not_followed(root: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    apply(plan_for(root, SHOTS[:1]), state)
    (tmp_path / "elsewhere").mkdir()
    (root / "_Rejected/2024").symlink_to(tmp_path / "elsewhere")
    plan = plan_for(root, SHOTS[1:2])
    assert targets(plan)[0] == "_Rejected/again-2/2024/IMG_1234.HEIC"
    apply(plan, state)
    assert list((tmp_path / "elsewhere").iterdir()) == []
