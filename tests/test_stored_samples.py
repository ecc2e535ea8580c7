"""What version 0.1 left on a disk is still read: see `tests/data/make_samples.py`."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from support.cli_runner import Iq

SAMPLES = Path(__file__).parent / "data" / "v0.1"
EXPECTED: dict[str, list[dict[str, Any]]] = json.loads((SAMPLES / "expected.json").read_bytes())
PLACE = "/ROOT"
LATER = ("copy_of", "taken_from")
TASTE = "taste.safetensors"
# `cull-xmp` is two linked runs: 0.1 wrote the sidecars first.
SCENES = ("move", "copy", "link", "trash", "xmp", "cull-xmp")

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the samples hold paths of Linux")


def lay_out(source: Path, target: Path, here: Path) -> None:
    """Copy a file or a tree; where a text says /ROOT it names `here` now."""
    for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
        place = target / path.relative_to(source)
        if path.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            data = path.read_bytes()
            text = path.suffix in (".jsonl", ".json")
            place.write_bytes(data.replace(PLACE.encode(), bytes(here)) if text else data)


def lay_out_scene(iq: Iq, name: str) -> None:
    """The photos as a command of 0.1 left them, and its journals."""
    scene = SAMPLES / name
    lay_out(scene / "after", iq.cwd / "photos", iq.cwd)
    lay_out(scene / "state", iq.state, iq.cwd)
    if (scene / "links.json").is_file():
        for link, target in json.loads((scene / "links.json").read_bytes()).items():
            place = iq.cwd / "photos" / link
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(target.replace(PLACE, str(iq.cwd)))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file by its name below the folder; a link is its target."""
    return {
        path.relative_to(folder).as_posix(): (
            bytes(path.readlink()) if path.is_symlink() else path.read_bytes()
        )
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


@pytest.fixture
def photos(iq: Iq) -> Path:
    """The photos as they were before any command, in `photos/`."""
    lay_out(SAMPLES / "photos", iq.cwd / "photos", iq.cwd)
    return iq.cwd / "photos"


@pytest.fixture
def measured(iq: Iq) -> None:
    """The cache that 0.1 filled."""
    shutil.copytree(SAMPLES / "cache", iq.cache)


def without_words(row: dict[str, Any]) -> dict[str, Any]:
    """A row but for what is said to people, and for columns that 0.1 had not.

    The photos are thumbnails, of which blur and noise are no longer named.
    """
    found = {key: value for key, value in row.items() if key not in ("reasons", "error", *LATER)}
    of_size = ("too_small", "blurred", "noisy")
    found["issues"] = [each for each in row["issues"] if each["name"] not in of_size]
    return found


def assert_alike(rows: list[dict[str, Any]], expected: list[dict[str, Any]], points: float) -> None:
    """Photometry and tiles count fewer rows since 0.5: nearly the same, for every model."""
    numbers = ("score", "uncertainty", "technical", "aesthetic")
    for row, before in zip(map(without_words, rows), map(without_words, expected), strict=True):
        for name in numbers:
            assert row.pop(name) == pytest.approx(before.pop(name), abs=points), name
        found, stored = (
            {e["name"]: e["level"] for e in each.pop("issues")} for each in (row, before)
        )
        assert found == pytest.approx(stored, abs=1)
        assert row == before


@pytest.mark.parametrize("scene", SCENES)
def test_a_journal_can_be_undone(iq: Iq, scene: str) -> None:
    lay_out_scene(iq, scene)
    if scene == "trash":
        trash = iq.cwd / "photos" / "trash"
        for folder in trash.iterdir():
            folder.rename(trash.parent / folder.name)  # as a person restores it
        trash.rmdir()
    assert contents(iq.cwd / "photos") != contents(SAMPLES / "photos")
    ran = iq("undo")
    assert ran.code == 0, ran.err
    assert contents(iq.cwd / "photos") == contents(SAMPLES / "photos")
    assert iq("undo").code == 2


def test_a_run_and_its_undo_are_listed(iq: Iq) -> None:
    lay_out_scene(iq, "undone")
    ran = iq("history")
    assert ran.code == 0, ran.err
    listed = ran.out.decode() + ran.err
    for journal in (iq.state / "journal").iterdir():
        assert journal.stem in listed
    assert "undone" in listed


def test_an_undo_in_part_has_closed_its_run(iq: Iq) -> None:
    """0.1 ended its journal with the same line, and went on to name the run."""
    lay_out_scene(iq, "move")
    (journal,) = (iq.state / "journal").iterdir()
    undo = "20991231-000000-000000-abcd"
    intent = {"kind": "iq-journal", "schema": 1, "run": undo, "what": "undo", "of": journal.stem}
    intent |= {"when": "2099-12-31T00:00:00+00:00", "shots": 1, "files": 1}
    lines = (intent, {"event": "done", "shot": 0}, {"event": "partial"})
    text = "".join(json.dumps(each) + "\n" for each in lines)
    (iq.state / "journal" / f"{undo}.jsonl").write_text(text)
    ran = iq("undo")
    assert (ran.code, ran.lines) == (2, ["iq: no run is left to undo; see iq history"])
    states = {row["run"]: row["state"] for row in iq("history", "-f", "jsonl").rows}
    assert states == {journal.stem: "partly undone", undo: "partly undone"}


def test_a_journal_of_a_later_version_is_refused(iq: Iq) -> None:
    lay_out_scene(iq, "move")
    (journal,) = (iq.state / "journal").iterdir()
    journal.write_bytes(journal.read_bytes().replace(b'"schema": 1', b'"schema": 9'))
    before = contents(iq.cwd / "photos")
    ran = iq("undo")
    assert ran.code != 0
    assert "9" in ran.err
    assert "Traceback" not in ran.err
    assert contents(iq.cwd / "photos") == before


def test_a_plan_is_applied_and_taken_back(iq: Iq, photos: Path) -> None:
    lay_out(SAMPLES / "plan.jsonl", iq.cwd / "plan.jsonl", iq.cwd)
    ran = iq("cull", "--from-plan", "plan.jsonl", "--apply", "--max-reject", "100%")
    assert ran.code == 0, ran.err
    moved = {name for name in contents(photos) if not name.endswith("MANIFEST.jsonl")}
    expected = contents(SAMPLES / "move" / "after")
    assert moved == {name for name in expected if not name.endswith("MANIFEST.jsonl")}
    assert iq("undo").code == 0
    assert contents(photos) == contents(SAMPLES / "photos")


def test_decisions_of_a_contact_sheet_are_carried_out(iq: Iq, photos: Path) -> None:
    lay_out(SAMPLES / "decisions.jsonl", iq.cwd / "decisions.jsonl", iq.cwd)
    ran = iq("cull", "--from-plan", "decisions.jsonl", "--apply", "--max-reject", "100%")
    assert ran.code == 0, ran.err
    left = {path.name for path in photos.glob("*.jpg")}
    assert left == {"IMG_00.jpg", "IMG_04.jpg"}


def test_a_folder_of_rejects_is_known_and_added_to(iq: Iq) -> None:
    """Its photos are not scored again, and a second cull writes on in its manifest."""
    lay_out_scene(iq, "move")
    manifest = iq.cwd / "photos" / "_Rejected" / "MANIFEST.jsonl"
    before = manifest.read_bytes()
    rows = iq("score", "photos", "-f", "jsonl").rows
    assert sorted(row["path"] for row in rows) == ["./photos/IMG_00.jpg", "./photos/IMG_04.jpg"]
    words = ("--below", "3.38", "--max-reject", "100%", "--apply")
    assert iq("cull", "photos", *words).code == 0
    assert manifest.read_bytes().startswith(before)
    assert b"IMG_00.jpg" in manifest.read_bytes()[len(before) :]


def test_sidecars_of_0_1_protect_nothing(iq: Iq) -> None:
    """The stars that iq wrote are known as its own."""
    lay_out_scene(iq, "xmp")
    rows = iq("score", "photos", "-f", "jsonl").rows
    assert len(rows) == 6
    assert {row["stars"] for row in rows} == {None}


def test_the_cache_is_used_for_what_has_not_changed(iq: Iq, photos: Path, measured: None) -> None:
    """The network is another one, so its block is computed, and that is said once."""
    plain = iq("score", "photos", "-f", "jsonl", "--no-cache")
    ran = iq("score", "photos", "-f", "jsonl")
    assert (plain.code, ran.code) == (0, 0), ran.err
    assert ran.rows == plain.rows
    assert sum("were measured without" in line for line in ran.lines) == 1
    known = ("path", "taken", "camera", "width", "height", "sha256")
    assert [[row[key] for key in known] for row in ran.rows] == [
        [row[key] for key in known] for row in EXPECTED[""]
    ]
    again, _, loaded = iq.spied("score", "photos", "-f", "jsonl")
    assert again.rows == ran.rows
    assert loaded & {"torch", "cv2", "PIL"} == set()


def test_copies_are_looked_for_in_it(iq: Iq, photos: Path, measured: None) -> None:
    """Also by the small grey pictures that it lacks: they are made with what is measured anew."""
    ran = iq("cull", "photos", "--duplicates", "-f", "jsonl")
    assert ran.code == 0, ran.err
    assert ran.rows == iq("cull", "photos", "--duplicates", "-f", "jsonl", "--no-cache").rows
    assert not any("measured by an earlier version" in line for line in ran.lines)


def test_a_taste_says_that_the_scores_it_corrects_are_no_longer_given(
    iq: Iq, photos: Path, measured: None
) -> None:
    ran = iq("score", "photos", "--model", str(SAMPLES / "models" / TASTE))
    assert ran.code == 2
    assert "stands on another fusion-mini than this iq has; train it again" in ran.err


@pytest.mark.parametrize("model", [name for name in EXPECTED if name not in ("", TASTE)])
def test_a_trained_model_says_the_same(iq: Iq, photos: Path, measured: None, model: str) -> None:
    ran = iq("score", "photos", "-f", "jsonl", "--model", str(SAMPLES / "models" / model))
    assert ran.code == 0, ran.err
    # The head of six drawn photos is steep.
    assert_alike(ran.rows, EXPECTED[model], 0.6 if model.startswith("hex") else 0.1)


def test_a_scale_is_used(iq: Iq, photos: Path, measured: None) -> None:
    """A calibration that was trained for NIQE gives points and a deviation."""
    plain = iq("score", "photos", "-f", "jsonl", "--model", "niqe").rows
    (iq.home / "data" / "scales").mkdir(parents=True)
    shutil.copy(SAMPLES / "models" / "scale.json", iq.home / "data" / "scales" / "niqe.json")
    rows = iq("score", "photos", "-f", "jsonl", "--model", "niqe").rows
    assert [row["score"] for row in rows] != [row["score"] for row in plain]
