"""Cull a roll as a camera leaves it: bursts, a bracket, moments; and what is done with it."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from PIL.TiffImagePlugin import IFDRational
from skimage import data
from support.images import encoded, exif_block
from support.photo_trees import tree

from iqcli.cli import app
from iqcli.errors import PlanConflict
from iqcli.transactions import reject_folder

if TYPE_CHECKING:
    from support.cli_runner import Iq, Ran

pytestmark = pytest.mark.slow

DAY = "2024:05:01 "
OTHER = "2024:05:02 "
BURST = [f"burst{k}.jpg" for k in range(4)]
BRACKET = [f"bracket{k}.jpg" for k in range(3)]


def stamped(pixels: np.ndarray, taken: str | None, ev: float | None = None) -> bytes:
    """A JPEG that says when it was taken, with which compensation; None: it says nothing."""
    if taken is None:
        return encoded(pixels, "JPEG", quality=92)
    clock, _, fraction = taken.partition(".")
    more: dict[int, Any] = {0x9003: clock, 0x9291: fraction or "000"}
    if ev is not None:
        more |= {0x9204: IFDRational(round(ev), 1), 0x829A: IFDRational(2 ** round(ev), 100)}
        more |= {0x829D: IFDRational(4, 1), 0x8827: 100}
    block = exif_block({0x010F: "Maker", 0x0110: "Maker One"}, more)
    return encoded(pixels, "JPEG", quality=92, exif=block)


def small(picture: np.ndarray) -> np.ndarray:
    return cv2.resize(picture[..., :3], (384, 256), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def pictures() -> dict[str, bytes]:
    """A burst that grows softer, a bracket, a pair in a cafe, one alone, one undated."""
    cat, cup, rocket = map(small, (data.chelsea(), data.coffee(), data.rocket()))
    astronaut = small(data.astronaut())
    held = {}
    for number, name in enumerate(BURST):
        soft = cv2.GaussianBlur(cat, (0, 0), 0.1 + 1.5 * number)
        held[name] = stamped(soft, f"{DAY}10:00:00.{number}00")
    for number, name in enumerate(BRACKET):
        lit = np.clip(astronaut * 2.0 ** (2 * (number - 1)), 0, 255).astype(np.uint8)
        held[name] = stamped(lit, f"{DAY}12:00:0{number}.000", ev=2 * (number - 1))
    held["cafe0.jpg"] = stamped(cup, f"{OTHER}09:00:00.000")
    held["cafe1.jpg"] = stamped(cv2.GaussianBlur(cup, (0, 0), 5), f"{OTHER}09:00:03.000")
    held["alone.jpg"] = stamped((rocket * 0.15).astype(np.uint8), f"{OTHER}15:00:00.000")
    held["undated.jpg"] = stamped(cv2.GaussianBlur(rocket, (0, 0), 6), None)
    return held


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The cache of all tests here: the same pictures are measured once."""
    return str(tmp_path_factory.mktemp("measured"))


@pytest.fixture
def trip(iq: Iq, pictures: dict[str, bytes], measured: str) -> Path:
    """`photos/` filled with the pictures."""
    iq.changes["IQ_CACHE_DIR"] = measured
    folder = iq.cwd / "photos"
    for name, content in pictures.items():
        (folder / name).write_bytes(content)
    return folder


def found(ran: Ran, verdict: str) -> set[str]:
    return {row["path"][9:] for row in ran.rows if row["decision"] == verdict}


def codes(ran: Ran) -> dict[str, list[str]]:
    return {row["path"][9:]: row["codes"] for row in ran.rows}


def test_the_best_of_each_burst(iq: Iq, trip: Path) -> None:
    ran = iq("cull", "photos", "--keep", "1", "--per", "burst", "-f", "jsonl")
    assert ran.code == 0
    rows = {row["path"][9:]: row for row in ran.rows}
    assert len({rows[name]["group"] for name in BURST}) == 1
    assert {rows[name]["set"] for name in BRACKET} == {"bracket"}
    assert found(ran, "reject") >= set(BURST[1:])
    assert not found(ran, "reject") & {*BRACKET, "burst0.jpg", "alone.jpg", "undated.jpg"}
    assert codes(ran)["burst0.jpg"] == ["kept_of_burst"]
    assert codes(ran)["burst3.jpg"] == ["not_kept_of_burst"]
    assert codes(ran)["bracket0.jpg"][0] == "set_bracket"
    assert codes(ran)["undated.jpg"] == ["kept_of_burst"]
    keeps, reviews, rejects = map(int, re.findall(r"(?:keep|review|reject) (\d+)", ran.err))
    assert (
        f"{rejects + 2} were due, {rejects} are rejected: 2 are in a bracket, "
        "panorama or time-lapse (--include-sets lifts that)"
    ) in ran.lines
    assert keeps + reviews + rejects == len(rows) == 11


def test_a_bracket_is_treated_as_a_burst_where_that_is_asked_for(iq: Iq, trip: Path) -> None:
    words = ("cull", "photos", "--keep", "1", "--per", "burst", "--include-sets", "-f", "jsonl")
    ran = iq(*words)
    assert len(found(ran, "reject") & set(BRACKET)) == 2


def test_no_moment_is_lost_to_a_comparison_where_that_is_asked_for(iq: Iq, trip: Path) -> None:
    plain = iq("cull", "photos", "--worst", "100%", "-f", "jsonl")
    assert found(plain, "keep") == set(BRACKET)
    ran = iq("cull", "photos", "--worst", "100%", "--keep-moments", "-f", "jsonl")
    assert codes(ran)["alone.jpg"][0] == "only_of_moment"
    assert codes(ran)["undated.jpg"] == ["worst"]
    scenes: dict[str, set[str]] = {}
    for row in ran.rows:
        if row["scene"]:
            scenes.setdefault(row["scene"], set()).add(row["decision"])
    assert scenes and all("keep" in each for each in scenes.values())
    spared = sum(row["codes"][0] in ("only_of_moment", "best_of_moment") for row in ran.rows)
    assert spared > 1
    assert f"11 were due, {8 - spared} are rejected: " in ran.err
    assert "3 are in a bracket, panorama or time-lapse (--include-sets lifts that)" in ran.err
    assert (
        f"{spared} are the best of their moment (leave out --keep-moments to lift that)" in ran.err
    )
    low = iq("cull", "photos", "--below", "10", "-f", "jsonl")
    assert found(low, "keep") == set(BRACKET)


def test_the_table_shows_rejects_then_what_is_for_review(iq: Iq, trip: Path) -> None:
    ran = iq("cull", "photos", "--keep", "1", "--per", "burst", "--margin", "9")
    lines = ran.out.decode().splitlines()
    assert lines[0].split() == ["decision", "group", "score", "±", "issues", "why", "photo"]
    assert {line.split()[0] for line in lines[1:]} == {"review"}
    assert "within 9 points of the last" in lines[1]
    both = iq("cull", "photos", "--keep", "1", "--per", "burst", "--margin", "0.6")
    verdicts = [line.split()[0] for line in both.out.decode().splitlines()[1:]]
    assert verdicts == sorted(verdicts)  # reject, then review


def test_the_rule_of_the_settings(iq: Iq, trip: Path) -> None:
    given = iq("cull", "photos", "--keep", "1", "--per", "burst", "-f", "jsonl")
    settings = trip / ".iq.toml"
    settings.write_text('keep = "1"\nper = "burst"\n')
    ran = iq("cull", "photos", "-f", "jsonl")
    assert ran.out == given.out
    line = f"the rule is keep 1 per burst (keep from {settings}, per from {settings})"
    assert line in ran.lines
    # A rule on the command line puts that of the settings aside.
    ran = iq("cull", "photos", "--below", "1", "-f", "jsonl")
    assert "the rule" not in ran.err
    assert found(ran, "reject") == set()
    settings.write_text('per = "burst"\nmargin = 0\n')
    ran = iq("cull", "photos", "--keep", "1", "-f", "jsonl")
    assert ran.out == given.out
    assert "the rule is keep 1 per burst (per from " in ran.err
    settings.write_text("duplicates = true\n")
    ran = iq("cull", "photos", "-f", "jsonl")
    assert f"the rule is duplicates (duplicates from {settings})" in ran.lines
    assert ran.out == iq("cull", "photos", "--duplicates", "-f", "jsonl").out


def test_a_list_touches_nothing(iq: Iq, trip: Path) -> None:
    before = tree(iq.cwd)
    ran = iq("cull", "photos", "--keep", "1", "--per", "burst", "--action", "list", "--apply", "-0")
    assert ran.code == 0
    listed = {name.decode() for name in ran.out.split(b"\0")[:-1]}
    assert listed >= {f"./photos/{name}" for name in BURST[1:]}
    assert ran.lines[-1].endswith("listed; nothing is touched")
    assert tree(iq.cwd) == before and not iq.state.exists()


@pytest.mark.parametrize("action", ["copy", "link"])
def test_copies_and_links_leave_the_photos(iq: Iq, trip: Path, action: str) -> None:
    before = tree(trip)
    words = ("cull", "photos", "--keep", "1", "--per", "burst", "--action", action)
    dry = iq(*words)
    assert f"nothing is {'copied' if action == 'copy' else 'linked'} yet" in dry.lines[-1]
    ran = iq(*words, "--apply")
    assert ran.code == 0 and "`iq undo` removes the" in ran.lines[-1]
    after = tree(trip)
    assert before.items() <= after.items() and len(after) > len(before)
    assert iq("undo").code == 0
    assert tree(trip) == before


def test_only_a_plan_reads_photos_again(iq: Iq, trip: Path) -> None:
    words = ("cull", "photos", "--keep", "1", "--per", "burst", "-q")
    time.sleep(0.1)  # a younger file may still be changing: it would be read again
    iq(*words)
    _, opened, _ = iq.spied(*words)
    assert [name for name in opened if name.endswith(".jpg")] == []
    _, opened, _ = iq.spied(*words, "--plan", "my.plan")
    again = {Path(name).name for name in opened if name.endswith(".jpg")}
    assert again >= set(BURST[1:]) and "burst0.jpg" not in again


def test_a_dry_run_refuses_what_the_move_would(iq: Iq, trip: Path) -> None:
    linked = iq.cwd / "linked"
    linked.mkdir()
    (linked / "trip").symlink_to(trip)
    words = ("cull", "linked", "-L", "--worst", "20%")
    for more in ((), ("--apply",), ("--plan", "my.plan")):
        ran = iq(*words, *more)
        assert (ran.code, ran.out) == (4, b"")
        assert "lies outside" in ran.err
    assert iq(*words, "--action", "list").code == 0


def test_a_plan_is_shown_and_guarded(iq: Iq, trip: Path) -> None:
    made = iq("cull", "photos", "--keep", "1", "--per", "burst", "--plan", "my.plan", "-f", "jsonl")
    count = len(found(made, "reject"))
    shown = iq("cull", "--from-plan", "my.plan", "-f", "jsonl")
    assert {(*row["codes"],) for row in shown.rows} == {("not_kept_of_burst",)}
    assert {row["path"].rsplit("/")[-1] for row in shown.rows} == found(made, "reject")
    assert all(row["reasons"][0].startswith("rank ") for row in shown.rows)
    guarded = iq("cull", "--from-plan", "my.plan", "--apply", "--max-reject", "10%")
    assert guarded.code == 2
    assert f"iq: {count} of 11 judged photos would be rejected, more than 10%" in guarded.err
    other = iq("cull", "--from-plan", "my.plan", "--action", "copy")
    assert (other.code, len(other.lines)) == (2, 1)
    assert "the plan is to move; make another plan to copy" in other.err


def test_decisions_of_a_person_are_carried_out(iq: Iq, trip: Path) -> None:
    before = tree(trip)
    assert iq("cull", "photos", "--below", "1", "--html", "s.html", "-q").code == 0
    page = (iq.cwd / "s.html").read_text()
    assert "burst3.jpg" in page
    file = iq.cwd / "decisions.jsonl"
    digest = next(row["sha256"] for row in iq("score", "photos/burst3.jpg", "-f", "jsonl").rows)
    shot = {"root": str(trip), "path": "burst3.jpg", "sha256": digest, "companions": []}
    shot |= {"decision": "reject", "score": 5.0}
    shot |= {"reasons": ["chosen by hand"], "codes": ["by_hand"]}
    header = {"kind": "iq-decisions", "schema": 1, "created": "2024-05-01", "model": "fusion-mini"}
    file.write_text("".join(json.dumps(each) + "\n" for each in (header, shot)))
    words = ("cull", "--from-plan", "decisions.jsonl")
    ran = iq(*words, "-f", "jsonl")
    assert [(row["decision"], row["codes"]) for row in ran.rows] == [("reject", ["by_hand"])]
    assert iq(*words, "--apply").code == 0
    assert (trip / "_Rejected" / "burst3.jpg").exists()
    # Cut off at the last moment: the next run takes it back, then does it.
    (journal,) = (iq.state / "journal").iterdir()
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    again = iq(*words, "--apply")
    assert again.code == 0
    assert "had been cut off; its 1 photo went back" in again.lines[0]
    assert iq("undo").code == 0
    assert tree(trip) == before


def test_sidecars_go_with_the_photos_and_come_back(iq: Iq, trip: Path) -> None:
    before = tree(trip)
    words = ("cull", "photos", "--keep", "1", "--per", "burst", "--xmp")
    dry = iq(*words)
    assert "no XMP is written, give --apply" in dry.lines[-1] and tree(trip) == before
    ran = iq(*words, "--apply")
    assert ran.code == 0
    assert (trip / "_Rejected" / "burst3.jpg").exists()
    assert (trip / "_Rejected" / "burst3.jpg.xmp").exists()
    assert (trip / "burst0.jpg.xmp").exists()
    assert iq("undo").code == 0
    assert tree(trip) == before


def test_sidecars_are_taken_back_where_the_move_is_refused(
    iq: Iq, trip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object, **__: object) -> None:
        assert (trip / "burst3.jpg.xmp").exists()
        raise PlanConflict("the disk is another")

    for name, value in iq.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(iq.cwd)
    monkeypatch.setattr(reject_folder, "write_entries", refused)
    words = ["cull", "photos", "--keep", "1", "--per", "burst", "--xmp", "--apply"]
    monkeypatch.setattr(sys, "argv", ["iq", *words])
    before = tree(trip)
    assert app.run() == 4
    assert "the disk is another; all files are where they were" in capsys.readouterr().err
    assert tree(trip) == before


def test_a_kind_that_loses_far_more_is_warned_of(iq: Iq) -> None:
    folder = iq.cwd / "photos"
    dark, fine = small(data.rocket()) // 12, small(data.coffee())
    upright, wide = (encoded(each, "JPEG", quality=80) for each in (np.rot90(dark), fine))
    for number in range(12):
        (folder / f"up{number}.jpg").write_bytes(upright)
        (folder / f"fine{number}.jpg").write_bytes(wide)
    ran = iq("cull", "photos", "--worst", "50%")
    assert "rejected by kind: " in ran.err and "upright 12 of 12" in ran.err
    warned = [
        line for line in ran.lines if line.startswith("iq: warning: of 12 photos of the kind")
    ]
    assert len(warned) == 1 and "100% are rejected, of the others 0%" in warned[0]
