"""Cull from end to end: shown, planned, moved, and all back again to the last bit."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.stats import norm
from support.fake_heads import DOUBT, held, write_head
from support.images import encoded, exif_block, noise
from support.photo_trees import Tree, contents, tree
from support.xmp_sidecars import RATED

from iqcli.models.fusion import LEAST

if TYPE_CHECKING:
    from support.cli_runner import Iq, Ran

ALL = ("--below", "10", "--max-reject", "100%")


def files(found: Tree) -> set[str]:
    """The files of a tree, by name."""
    return {name.decode() for name, leaf in found.items() if leaf[0] == "file"}


def add_up(ran: Ran) -> dict[str, int]:
    """The numbers of a cull, having seen that they agree."""
    text = ran.err
    [total, scored] = map(int, re.findall(r"(\d+) photos?: (\d+) scored", text)[0])
    failed = int((re.findall(r"(\d+) could not be read", text) or [0])[0])
    keep, review, reject = map(int, re.findall(r"keep (\d+), review (\d+), reject (\d+)", text)[0])
    assert total == scored + failed == keep + review + reject
    assert review == failed
    moving = re.findall(r"(\d+) photos? \((\d+) files?\)", text)
    assert (int(moving[0][0]) if moving else 0) == reject
    return {"photos": total, "reject": reject, "files": int(moving[0][1]) if moving else 0}


def test_a_dry_run_moves_nothing_and_says_so(iq: Iq, roll: Path) -> None:
    before = tree(iq.cwd)
    ran = iq("cull", "photos", "--worst", "34%")
    assert ran.code == 0
    assert add_up(ran) == {"photos": 6, "reject": 2, "files": 2}
    assert ran.lines[-1].endswith("would move; nothing has moved yet, give --apply to do it")
    assert ran.out.count(b"among the worst 34% (rank ") == 2
    assert tree(iq.cwd) == before
    assert not iq.state.exists()


def test_apply_then_undo_leaves_no_trace(iq: Iq, roll: Path) -> None:
    before = tree(iq.cwd)
    worst = iq("rank", "photos", "-f", "paths").out.decode().split()[-2:]
    ran = iq("cull", "photos", "--worst", "34%", "--apply")
    assert ran.code == 0
    assert add_up(ran)["reject"] == 2
    assert f"to {roll}/_Rejected; `iq undo` puts them back (run " in ran.lines[-1]
    moved = {name.replace("./photos/", "photos/_Rejected/") for name in worst}
    stayed = files(before) - {name.removeprefix("./") for name in worst}
    assert files(tree(iq.cwd)) == moved | stayed | {"photos/_Rejected/MANIFEST.jsonl"}

    undone = iq("undo")
    assert undone.code == 0
    assert undone.lines[0].startswith("put back 2 photos (2 files) of run ")
    assert tree(iq.cwd) == before
    said = iq("history").out.decode().splitlines()
    assert [line.split()[3:7] for line in said[1:]] == [
        ["undo", "2", "2", "applied"],
        ["cull", "2", "2", "undone"],
    ]
    again = iq("undo")
    assert (again.code, again.lines) == (2, ["iq: no run is left to undo; see iq history"])


def test_rejects_are_not_scored_again(iq: Iq, roll: Path) -> None:
    assert iq("cull", "photos", "--worst", "34%", "--apply").code == 0
    assert len(iq("score", "photos", "-f", "paths").out.split()) == 4
    second = iq("cull", "photos", "--worst", "25%", "--apply")
    assert add_up(second) == {"photos": 4, "reject": 1, "files": 1}
    assert iq("undo").code == iq("undo").code == 0
    assert not (roll / "_Rejected").exists()


def test_a_folder_of_that_name_that_is_not_ours_is_scored(iq: Iq, roll: Path) -> None:
    (roll / "_Rejected").mkdir()
    (roll / "IMG_1.jpg").rename(roll / "_Rejected" / "IMG_1.jpg")
    ran = iq("cull", "photos", *ALL, "--apply")
    assert add_up(ran)["reject"] == 6
    assert (roll / "_Rejected-2" / "_Rejected" / "IMG_1.jpg").exists()


def test_a_plan_in_a_file(iq: Iq, roll: Path) -> None:
    before = tree(roll)
    made = iq("cull", "photos", "--worst", "34%", "--plan", "my.plan")
    assert made.code == 0
    assert made.lines[0].startswith("the plan is in ./my.plan; `iq cull --from-plan FILE --apply`")
    shown = iq("cull", "--from-plan", "my.plan")
    assert shown.lines[-1].startswith("2 photos (2 files) would move")
    assert tree(roll) == before
    done = iq("cull", "--from-plan", "my.plan", "--apply")
    assert done.lines[-1].startswith("moved 2 photos (2 files) to ")
    gone = tree(roll)
    twice = iq("cull", "--from-plan", "my.plan", "--apply")
    assert (twice.code, len(twice.lines)) == (4, 1)
    assert "nothing was moved, make a new plan" in twice.err
    assert tree(roll) == gone
    assert iq("undo").code == 0
    assert tree(roll) == before


def test_a_plan_never_replaces_a_photo(iq: Iq, roll: Path) -> None:
    before = tree(iq.cwd)
    ran = iq("cull", "photos", "--worst", "34%", "--plan", "photos/IMG_1.jpg")
    assert ran.code == 2
    assert "photos/IMG_1.jpg exists and is no plan of iq; give another name" in ran.err
    assert tree(iq.cwd) == before


def test_a_plan_that_no_longer_fits_moves_nothing(iq: Iq, roll: Path) -> None:
    assert iq("cull", "photos", *ALL, "--plan", "my.plan").code == 0
    with (roll / "IMG_2.jpg").open("ab") as photo:
        photo.write(b"edited since")
    before = tree(iq.cwd)
    ran = iq("cull", "--from-plan", "my.plan", "--apply")
    assert (ran.code, len(ran.lines)) == (4, 1)
    assert "IMG_2.jpg has changed since; nothing was moved, make a new plan" in ran.err
    assert tree(iq.cwd) == before


def test_the_guard(seen: Iq, roll: Path) -> None:
    before = tree(seen.cwd)
    ran = seen("cull", "photos", "--below", "10", "--apply")
    assert (ran.code, ran.out) == (2, b"")
    assert ran.lines == [
        "iq: 6 of 6 judged photos would be rejected, more than 50%; "
        "if that is meant, give --max-reject 100%"
    ]
    assert tree(seen.cwd) == before
    (roll / ".iq.toml").write_text('max_reject = "100%"\n')
    ran = seen("cull", "photos", "--below", "10", "--apply")
    held = f"max_reject is 50% (default, not raised to 100% by {roll}/.iq.toml)"
    assert (ran.code, ran.lines[0]) == (2, held)
    assert "more than 50%" in ran.lines[1]
    assert tree(seen.cwd) == before | {b"photos/.iq.toml": tree(seen.cwd)[b"photos/.iq.toml"]}
    (roll / ".iq.toml").write_text('max_reject = "10%"\n')
    assert "more than 10%" in seen("cull", "photos", "--worst", "34%", "--apply").err
    assert seen("cull", "photos", "--worst", "34%", "--apply", "--max-reject", "34%").code == 0


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ((), 7),
        (("-f", "csv", "--dry-run"), 7),
        (("--action", "list", "--apply"), 6),
        (("--html", "sheet.html"), 7),
        (("--plan", "my.plan"), 7),
        (("--xmp",), 7),
    ],
)
def test_a_dry_run_is_shown_whatever_it_rejects(
    seen: Iq, roll: Path, words: tuple[str, ...], lines: int
) -> None:
    before = tree(roll)
    ran = seen("cull", "photos", "--below", "10", *words)
    assert (ran.code, len(ran.out.splitlines())) == (0, lines)
    guard = "6 of 6 judged photos would be rejected, more than 50%"
    assert (guard in ran.lines) == ("list" not in words)  # which is never applied
    assert ran.err.count("--max-reject") == ("list" not in words)
    assert ("--dry-run is the default; nothing changes without --apply" in ran.lines) == (
        "--dry-run" in words
    )
    assert tree(roll) == before


def test_the_guard_is_asked_when_a_plan_is_applied(seen: Iq, roll: Path) -> None:
    before = tree(roll)
    apply = ("cull", "--from-plan", "my.plan", "--apply")
    assert seen("cull", "photos", "--below", "10", "--plan", "my.plan").code == 0
    shown = seen("cull", "--from-plan", "my.plan")
    assert (shown.code, len(shown.out.splitlines())) == (0, 7)
    assert "6 of 6 judged photos would be rejected, more than 50%" in shown.lines
    assert shown.lines[-1].endswith("give --apply --max-reject 100% to do it")
    refused = seen(*apply)
    assert (refused.code, refused.out, refused.lines) == (
        2,
        b"",
        [
            "iq: 6 of 6 judged photos would be rejected, more than 50%; "
            "if that is meant, give --max-reject 100%"
        ],
    )
    assert tree(roll) == before
    assert seen(*apply, "--max-reject", "100%").code == 0
    assert seen("undo").code == 0
    # What was allowed when the plan was made is allowed when it is applied.
    words = ("cull", "photos", "--below", "10", "--plan", "my.plan", "--max-reject", "100%")
    assert "judged photos" not in seen(*words).err
    assert seen(*apply).code == 0
    assert seen("undo").code == 0
    # What is allowed beside the photos counts, wherever the plan is applied.
    (roll / ".iq.toml").write_text('max_reject = "10%"\n')
    assert seen("cull", "photos", "--worst", "2", "--plan", "my.plan").code == 0
    assert "2 of 6 judged photos would be rejected, more than 10%" in seen(*apply).err


@pytest.mark.parametrize(
    "changes",
    [{"judged": -1}, {"judged": "6"}, {"max_reject": 2.0}, {"max_reject": True}],
    ids=str,
)
def test_a_plan_with_a_forged_guard_is_refused(
    seen: Iq, roll: Path, changes: dict[str, object]
) -> None:
    assert seen("cull", "photos", "--below", "10", "--plan", "my.plan").code == 0
    plan = seen.cwd / "my.plan"
    header, *shots = plan.read_text().splitlines()
    plan.write_text("\n".join([json.dumps(json.loads(header) | changes), *shots]) + "\n")
    before = tree(roll)
    ran = seen("cull", "--from-plan", "my.plan", "--apply", "--max-reject", "100%")
    assert (ran.code, len(ran.lines)) == (2, 1)
    assert "cannot use the plan ./my.plan" in ran.err
    assert tree(roll) == before


def test_a_plan_of_an_earlier_version_has_passed_the_guard(seen: Iq, roll: Path) -> None:
    assert seen("cull", "photos", "--below", "10", "--plan", "my.plan").code == 0
    plan = seen.cwd / "my.plan"
    header, *shots = plan.read_text().splitlines()
    old = {k: v for k, v in json.loads(header).items() if k not in ("judged", "max_reject")}
    plan.write_text("\n".join([json.dumps(old), *shots]) + "\n")
    refused = seen("cull", "--from-plan", "my.plan", "--apply", "--max-reject", "80%")
    assert refused.code == 2 and "6 of 6 judged photos" in refused.err
    assert seen("cull", "--from-plan", "my.plan", "--apply").code == 0


def test_a_plan_to_list_is_no_plan_to_carry_out(iq: Iq, roll: Path) -> None:
    worst = iq("rank", "photos", "-f", "jsonl").rows[-1]["path"]
    made = iq("cull", "photos", "--worst", "20%", "--action", "list", "--plan", "my.plan")
    assert made.lines[0] == "the plan is in ./my.plan; `iq cull --from-plan FILE` lists it again"
    before = tree(iq.cwd)
    again = iq("cull", "--from-plan", "my.plan", "--apply")
    assert again.code == 0
    assert again.lines == ["1 photo (1 file) listed; nothing is touched"]
    assert again.out.decode() == f"{iq.cwd / worst}\n"
    assert tree(iq.cwd) == before


def test_rated_photos_stay_unless_told_otherwise(iq: Iq, roll: Path) -> None:
    (roll / "IMG_1.jpg.xmp").write_text(RATED)
    stars = exif_block({0x4746: 5})
    (roll / "day" / "IMG_7.jpg").write_bytes(encoded(noise(320, 240), "JPEG", exif=stars))
    ran = iq("cull", "photos", *ALL, "-f", "jsonl")
    kept = {row["path"]: row["reasons"][0] for row in ran.rows if row["decision"] == "keep"}
    assert kept == {
        "./photos/IMG_1.jpg": "rated 3 stars",
        "./photos/day/IMG_7.jpg": "rated 5 stars",
    }
    assert (
        "7 were due, 5 are rejected: 2 have stars or a flag (--include-rated lifts that)"
        in ran.lines
    )
    assert add_up(ran) == {"photos": 7, "reject": 5, "files": 5}
    assert add_up(iq("cull", "photos", *ALL, "--include-rated")) == {
        "photos": 7,
        "reject": 7,
        "files": 8,
    }


def test_companions_move_and_return_together(iq: Iq, roll: Path) -> None:
    for name in ("IMG_1.jpg.xmp", "IMG_1.MOV", "IMG_1.AAE", "day/IMG_4.dng"):
        (roll / name).write_bytes(name.encode())
    before = tree(iq.cwd)
    ran = iq("cull", "photos/IMG_1.jpg", *ALL, "--apply")
    assert add_up(ran) == {"photos": 1, "reject": 1, "files": 4}
    there = {path.name for path in (roll / "_Rejected").iterdir()}
    assert there == {"IMG_1.jpg", "IMG_1.jpg.xmp", "IMG_1.MOV", "IMG_1.AAE", "MANIFEST.jsonl"}
    assert iq("undo").lines[0].startswith("put back 1 photo (4 files)")
    assert tree(iq.cwd) == before


@pytest.mark.slow
def test_a_person_may_ignore_what_cannot_be_read(seen: Iq, roll: Path) -> None:
    (roll / "broken.jpg").write_bytes(b"")
    for words in (
        ("score", "photos"),
        ("rank", "photos"),
        ("export", "photos"),
        ("cull", "photos", "--worst", "1"),
        ("cull", "photos", "--worst", "1", "--apply"),
    ):
        ran = seen(*words, "--ignore-unreadable")
        assert ran.code == 0, words
        assert "iq: ./photos/broken.jpg: empty file" in ran.lines
        assert "1 could not be read" in ran.err
        left = "1 without a score is among those for review" in ran.lines
        assert left is ("cull" in words)
        if "--apply" in words:
            assert seen("undo").code == 0
        assert seen(*words).code == 1
        if "--apply" in words:
            assert seen("undo").code == 0
    # A path that is not there is no photo that cannot be read.
    gone = seen("score", "-", "--ignore-unreadable", stdin=b"photos/IMG_1.jpg\nphotos/gone.jpg\n")
    assert gone.code == 1


def test_what_cannot_be_judged_is_left_for_review(iq: Iq, roll: Path) -> None:
    (roll / "broken.jpg").write_bytes(b"")
    ran = iq("cull", "photos", *ALL, "--apply")
    assert ran.code == 1
    assert add_up(ran) == {"photos": 7, "reject": 6, "files": 6}
    assert (roll / "broken.jpg").exists()
    again = iq("cull", "photos", *ALL, "--apply")
    assert (again.code, again.lines[-1]) == (1, "no photo is rejected; nothing has moved")


def test_a_list_on_stdin_is_read_once(iq: Iq, roll: Path) -> None:
    listed = b"photos/IMG_1.jpg\0photos/IMG_2.jpg\0"
    ran = iq("cull", "-", "--from0", *ALL, "--apply", stdin=listed)
    assert ran.code == 0
    assert add_up(ran)["reject"] == 2
    assert not (roll / "IMG_1.jpg").exists()


def test_the_rejects_as_paths_feed_another_program(iq: Iq, roll: Path) -> None:
    ran = iq("cull", "photos", *ALL, "-f", "paths", "-0", "-q")
    assert (ran.code, ran.err) == (0, "")
    assert len(ran.out.split(b"\0")[:-1]) == 6


def test_undo_refuses_what_changed_and_partly_goes_round_it(iq: Iq, roll: Path) -> None:
    before = tree(iq.cwd)
    assert iq("cull", "photos", *ALL, "--apply").code == 0
    edited = roll / "_Rejected" / "IMG_2.jpg"
    edited.write_bytes(b"edited")
    away = tree(iq.cwd)
    refused = iq("undo")
    assert (refused.code, len(refused.lines)) == (4, 1)
    assert "IMG_2.jpg has changed since" in refused.err and "--partly" in refused.err
    assert tree(iq.cwd) == away
    partly = iq("undo", "--partly")
    assert partly.code == 1
    assert partly.lines[0].startswith("iq: left in place: ")
    assert partly.lines[1].startswith("put back 5 photos (5 files)")
    assert files(tree(iq.cwd)) >= files(before) - {"photos/IMG_2.jpg"}
    assert edited.read_bytes() == b"edited"


@pytest.mark.slow
def test_a_run_that_was_cut_off_is_taken_back_by_the_next(iq: Iq, roll: Path) -> None:
    held = contents(roll)
    assert iq("cull", "photos", "--worst", "34%", "--apply").code == 0
    [journal] = (iq.state / "journal").iterdir()
    *lines, last = journal.read_bytes().splitlines(keepends=True)
    assert json.loads(last)["event"] == "finished"
    journal.write_bytes(b"".join(lines))
    assert b"interrupted" in iq("history").out
    ran = iq("cull", "photos", "--worst", "17%", "--apply")
    assert ran.code == 0
    assert re.fullmatch(r"run \S+ had been cut off; its 2 photos went back", ran.lines[0])
    assert add_up(ran) == {"photos": 6, "reject": 1, "files": 1}
    assert iq("undo").code == 0
    assert contents(roll) == held
    assert not (roll / "_Rejected").exists()


def test_a_broken_journal_is_named_and_stops_nothing_else(iq: Iq, roll: Path) -> None:
    folder = iq.state / "journal"
    folder.mkdir(parents=True)
    name = "20200101-000000-000000-abcd"
    (folder / f"{name}.jsonl").write_text("what\n\n")
    before = tree(roll)
    for words in (("undo",), ("undo", "2020")):
        ran = iq(*words)
        assert (ran.code, len(ran.lines)) == (2, 1)
        assert "cannot read the journal" in ran.err and "move it elsewhere" in ran.err
    culled = iq("cull", "photos", "--worst", "34%", "--apply")
    assert culled.code == 0
    assert "cannot read the journal" in culled.err
    listed = iq("history")
    assert listed.code == 1
    assert "unreadable" in listed.out.decode() and name in listed.out.decode()
    assert "cannot read the journal" in listed.err
    undone = iq("undo")
    assert undone.code == 0
    assert "cannot read the journal" in undone.err
    assert tree(roll) == before


@pytest.mark.slow
def test_several_runs_by_name(iq: Iq, roll: Path) -> None:
    before = tree(roll)
    runs = []
    for _ in range(3):
        ran = iq("cull", "photos", "--worst", "34%", "--apply")
        runs += re.findall(r"\(run (\S+)\)", ran.err)
    ran = iq("undo", runs[0], runs[1], runs[2])
    assert ran.code == 0
    assert [line.split()[-1] for line in ran.lines] == runs[::-1]
    assert tree(roll) == before


@pytest.mark.slow
def test_a_reader_that_goes_away_does_not_stop_the_move(iq: Iq, roll: Path) -> None:
    process = iq.start("cull", "photos", "--worst", "34%", "--apply")
    assert process.stdout and process.stderr
    process.stdout.close()
    told = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(60) == 0
    assert "moved 2 photos" in told
    assert len(files(tree(roll / "_Rejected"))) == 3  # with the manifest


def test_what_an_undo_left_can_still_be_undone(iq: Iq, roll: Path) -> None:
    before = tree(roll)
    assert iq("cull", "photos", "--worst", "34%", "--apply").code == 0
    [run] = (path.stem for path in (iq.state / "journal").iterdir())
    gone = sorted(files(before) - files(tree(roll)))[0]
    (roll / gone).write_bytes(b"taken")
    assert iq("undo", "--partly").code == 1
    (roll / gone).unlink()
    assert iq("undo", run).code == 0
    assert tree(roll) == before


def test_a_low_rating_never_hides_a_high_one(iq: Iq, roll: Path) -> None:
    (roll / "IMG_1.jpg.xmp").write_text(RATED.replace('"3"', '"0"'))
    (roll / "IMG_1.xmp").write_text(RATED)
    rows = {row["path"]: row for row in iq("cull", "photos", *ALL, "-f", "jsonl").rows}
    assert rows["./photos/IMG_1.jpg"]["stars"] == 3
    assert rows["./photos/IMG_1.jpg"]["decision"] == "keep"


def test_a_name_that_has_gone_from_a_list_does_not_end_the_run(iq: Iq, roll: Path) -> None:
    ran = iq("score", "-", "-f", "jsonl", stdin=b"photos/IMG_1.jpg\nphotos/gone.jpg\n")
    assert ran.code == 1
    assert [row["path"] for row in ran.rows] == ["./photos/IMG_1.jpg"]
    assert "iq: ./photos/gone.jpg: there is no such file" in ran.lines


def test_settings_beside_photos_never_stand_in_the_way_of_undo(iq: Iq, roll: Path) -> None:
    before = tree(roll)
    assert iq("cull", "photos", "--worst", "34%", "--apply").code == 0
    (iq.cwd / ".iq.toml").write_text("no toml at all [")
    assert iq("undo").code == 0
    assert tree(roll) == before


# --- bands and promises ---


def told_apart(iq: Iq) -> tuple[dict[str, float], dict[str, float]]:
    """The score and the uncertainty of each photo by the random head.

    They are ranked, since a cull groups photos as well and finds all that it needs in the cache.
    """
    model = write_head(iq.home / "m.safetensors", {})
    rows = iq("rank", "photos", "-m", model, "--per", "scene", "-f", "jsonl").rows
    scores = {row["path"]: row["score"] for row in rows}
    assert len(set(scores.values())) == len(scores) == 6
    return scores, {row["path"]: row["uncertainty"] for row in rows}


def experienced(iq: Iq, cut: float, doubt: float = 1, *, bad: int = 300, **info: object) -> Path:
    """A weight file whose held-out photos were good just where they score `cut` or more.

    Its doubt is `doubt` times that of the random head.
    """
    scores = [*np.linspace(1, cut - 0.001, bad), *np.linspace(cut, 10, 200)]
    opinions = [2.0] * bad + [9.0] * 200
    scaled = replace(DOUBT, sigmas=np.float32(doubt) * DOUBT.sigmas).tensors()
    return write_head(iq.home / "m.safetensors", held(scores, opinions) | scaled, **info)


def test_the_bands_decide_where_there_is_no_rule(iq: Iq, roll: Path) -> None:
    scores, doubts = told_apart(iq)
    before = tree(iq.cwd)
    seen = set()
    # From hardly any doubt over some to as much as there can be.
    for factor in (0.001, 0.5, 1000):
        model = experienced(iq, 5.5, factor, held="BIQ2021")
        ran = iq("cull", "photos", "-m", model, "--max-reject", "100%", "-f", "jsonl")
        assert ran.code == 0
        for row in ran.rows:
            name = row["path"]
            widest = math.sqrt((scores[name] - 1) * (10 - scores[name]))
            doubt = max(LEAST, min(doubts[name] * factor, widest))
            under = norm.cdf(5.5, scores[name], doubt)
            wanted = "reject" if under >= 0.9 else "keep" if under <= 0.1 else "review"
            assert row["decision"] == wanted
            assert row["reasons"][0].startswith(f"score {row['score']:.1f} ± ")
            seen.add(wanted)
        counts = {
            v: sum(r["decision"] == v for r in ran.rows) for v in ("keep", "review", "reject")
        }
        assert ran.lines[1:4] == [
            ", ".join(f"{name} {count}" for name, count in counts.items()),
            "of 500 held-out photos of BIQ2021, 257 lie in the reject band, "
            "257 of them rated under 5.5",
            "this was NOT measured on these photos, which may be of another kind",
        ]
    assert seen == {"keep", "review", "reject"}
    assert tree(iq.cwd) == before


def test_what_is_for_review_stays(iq: Iq, roll: Path) -> None:
    told_apart(iq)
    model = experienced(iq, 5.5, 1000)
    before = tree(iq.cwd)
    ran = iq("cull", "photos", "-m", model, "--apply")
    assert ran.code == 0
    lines = ran.out.decode().splitlines()
    assert lines[0].split()[0] == "decision"
    assert [line.split()[0] for line in lines[1:]] == ["review"] * 6
    assert ran.lines[1] == "keep 0, review 6, reject 0"
    assert ran.lines[-1] == "no photo is rejected; nothing has moved"
    assert tree(iq.cwd) == before


def test_a_promise_from_end_to_end(iq: Iq, roll: Path) -> None:
    scores, _ = told_apart(iq)
    before = tree(iq.cwd)
    middle = sorted(scores.values())[2:4]
    cut = sum(middle) / 2
    model = experienced(iq, cut, held="BIQ2021")
    ran = iq("cull", "photos", "-m", model, "--promise", "1%", "--plan", "my.plan", "-f", "jsonl")
    assert ran.code == 0
    rejected = {row["path"] for row in ran.rows if row["decision"] == "reject"}
    assert rejected == {name for name, score in scores.items() if score < cut}
    limit = float(re.findall(r"under ([0-9.]+)", ran.err)[0])
    for row in ran.rows:
        relation = "below" if row["path"] in rejected else "not below"
        assert re.fullmatch(rf"score [0-9.]+ is {relation} {limit:.2f}[0-9]*", row["reasons"][0])
    assert ran.lines[2:] == [
        "keep 3, review 0, reject 3",
        f"promise 1%: rejected is what scores under {limit:g}; on 500 held-out photos of BIQ2021 "
        "it rejected 300, 0 of them rated good (bound 0.994%)",
        "near copies count as one photo; this was NOT measured on these photos, which may be of "
        "another kind",
        "3 photos (3 files) would move; nothing has moved yet, give --apply to do it",
    ]
    header = json.loads((iq.cwd / "my.plan").read_text().splitlines()[0])
    assert header["rule"] == f"promise 1% (scores under {limit:g})"
    (iq.cwd / "my.plan").unlink()
    assert tree(iq.cwd) == before
    moved = iq("cull", "photos", "-m", model, "--promise", "1%", "--apply")
    assert add_up(moved)["reject"] == 3
    assert iq("undo").code == 0
    assert tree(iq.cwd) == before


def test_a_promise_caps_another_rule(iq: Iq, roll: Path) -> None:
    scores, _ = told_apart(iq)
    cut = sum(sorted(scores.values())[2:4]) / 2
    model = experienced(iq, cut, held="BIQ2021")
    words = ("--worst", "67%", "--promise", "1%", "--plan", "my.plan", "-f", "jsonl")
    ran = iq("cull", "photos", "-m", model, *words)
    found = {verdict: set() for verdict in ("keep", "review", "reject")}
    for row in ran.rows:
        found[row["decision"]].add(row["path"])
    assert found["reject"] == {name for name, score in scores.items() if score < cut}
    (capped,) = (row for row in ran.rows if row["decision"] == "review")
    assert capped["codes"] == ["over_promise_limit", "worst"]
    assert "which the promise does not cover" in capped["reasons"][0]
    assert "or more is rejected, it is left for review" in ran.err
    shown = iq("cull", "--from-plan", "my.plan")
    assert re.search(r": worst 67%, within promise 1% \(scores under [0-9.]+\)$", shown.lines[0])


def test_a_promise_that_cannot_be_kept_names_one_that_can(iq: Iq, roll: Path) -> None:
    model = experienced(iq, 5.5, bad=100)
    before = tree(iq.cwd)
    ran = iq("cull", "photos", "-m", model, "--promise", "1%", "--apply")
    assert (ran.code, ran.out) == (2, b"")
    assert ran.lines == [
        "iq: the 300 held-out photos of this model do not support a promise of 1%; "
        "the smallest that can be kept is 3%, give --promise 3%"
    ]
    assert tree(iq.cwd) == before and not iq.state.exists() and not iq.cache.exists()
    kept = iq("cull", "photos", "-m", model, "--promise", "3%", "--max-reject", "100%")
    assert kept.code == 0


def test_a_model_without_experience_has_neither(iq: Iq, roll: Path) -> None:
    model = write_head(iq.home / "m.safetensors", {})
    before = tree(iq.cwd)
    for words, wants in (
        ((), "no rule: this model has no reject band yet"),
        (("--promise", "5%"), "no promise: this model has no held-out photos yet"),
    ):
        ran = iq("cull", "photos", "-m", model, *words, "--apply")
        assert (ran.code, ran.out) == (2, b"")
        assert ran.lines == [f"iq: {wants}; give --below SCORE or --worst SHARE"]
    assert tree(iq.cwd) == before and not iq.state.exists() and not iq.cache.exists()
    assert iq("cull", "photos", "-m", model, "--worst", "34%").code == 0


def test_quiet_says_nothing_of_the_experience(iq: Iq, roll: Path) -> None:
    model = experienced(iq, 5.5)
    ran = iq("cull", "photos", "-m", model, "--promise", "1%", "--max-reject", "100%", "-q")
    assert (ran.code, ran.err) == (0, "")
