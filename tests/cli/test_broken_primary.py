"""A shot whose primary is broken is judged by its next picture, named, and moved whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.drawn_scenes import texture
from support.images import dng, encoded, exif_block
from support.photo_trees import tree

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli_runner import Iq

EMPTY = "in place of IMG_2.JPG: empty file"


def jpeg(seed: int) -> bytes:
    """A JPEG of the camera that writes the raw files of `dng`."""
    block = exif_block({271: "Maker", 272: "Raw One"})
    return encoded(texture(seed, 200, 300), "JPEG", quality=85, exif=block)


@pytest.fixture
def photos(iq: Iq) -> Path:
    """RAW+JPEG: whole, empty, without a part; and HEIC+JPEG whose JPEG is something else."""
    folder = iq.cwd / "photos"
    folder.mkdir(exist_ok=True)
    cut = jpeg(3)
    firsts = {1: jpeg(1), 2: b"", 3: cut[: int(0.6 * len(cut))] + b"\xff\xd9", 4: b"words " * 9}
    for number, data in firsts.items():
        (folder / f"IMG_{number}.JPG").write_bytes(data)
        preview = encoded(texture(number, 200, 300), "JPEG", quality=90)
        raw = dng(texture(number, 64, 96), preview, (300, 200))
        heic = encoded(texture(number, 200, 300), "HEIF")
        ending, second = ("HEIC", heic) if number == 4 else ("DNG", raw)
        (folder / f"IMG_{number}.{ending}").write_bytes(second)
    return folder


def test_it_is_judged_by_its_next_picture_and_named(iq: Iq, photos: Path) -> None:
    ran = iq("score", "photos", "-f", "jsonl")
    assert ran.code == 1
    assert ran.lines[-3:] == [
        "iq: ./photos/IMG_2.JPG: empty file; IMG_2.DNG is judged in its place",
        "iq: ./photos/IMG_4.JPG: not a picture iq can read (it looks like text); IMG_4.HEIC is "
        "judged in its place",
        "4 photos: 4 scored (3 by another file of their shot)",
    ]
    rows = {row["path"].removeprefix("./photos/"): row for row in ran.rows}
    assert list(rows) == ["IMG_1.JPG", "IMG_2.DNG", "IMG_3.DNG", "IMG_4.HEIC"]
    assert all(row["score"] and row["error"] is None for row in rows.values())
    assert rows["IMG_2.DNG"]["companions"] == ["./photos/IMG_2.JPG"]
    assert [len(row["reasons"]) for row in rows.values()] == [0, 1, 1, 1]
    assert rows["IMG_2.DNG"]["reasons"] == [EMPTY]
    assert rows["IMG_3.DNG"]["reasons"][0].endswith("% of the picture is missing")
    assert iq("score", "photos", "--ignore-unreadable").code == 0


def test_it_goes_whole_and_comes_back(iq: Iq, photos: Path) -> None:
    before = tree(photos)
    ran = iq("cull", "photos", "--worst", "3", "--max-reject", "100%", "--apply", "-f", "jsonl")
    assert ran.code == 1
    rejects = [row for row in ran.rows if row["decision"] == "reject"]
    assert len(rejects) == 3
    stands_in = [row for row in rejects if not row["path"].endswith(".JPG")]
    assert len(stands_in) >= 2
    assert all(row["codes"] == ["worst", "stand_in"] for row in stands_in)
    assert all(row["reasons"][1].startswith("in place of IMG_") for row in stands_in)
    left = {name for name in tree(photos) if not name.startswith(b"_Rejected")}
    gone = {row["path"].encode()[len("./photos/IMG_") :][:1] for row in rejects}
    assert {*before} - left == {name for name in before if name[4:5] in gone}
    assert iq("undo").code == 0
    assert tree(photos) == before


@pytest.mark.slow
def test_a_second_run_opens_no_photo(iq: Iq, photos: Path) -> None:
    first = iq("score", "photos", "-f", "jsonl")
    again, opened, loaded = iq.spied("score", "photos", "-f", "jsonl")
    assert again.rows == first.rows
    assert not [name for name in opened if "IMG_" in name]
    assert loaded & {"torch", "cv2", "PIL"} == set()


@pytest.mark.slow
def test_a_plan_of_it_is_carried_out(iq: Iq, photos: Path) -> None:
    before = tree(photos)
    every = ("cull", "photos", "--worst", "100%", "--max-reject", "100%", "--plan", "plan.jsonl")
    assert iq(*every).code == 1
    assert iq("cull", "--from-plan", "plan.jsonl", "--apply").code == 0
    assert all(name.startswith(b"_Rejected") for name in tree(photos))
    assert iq("undo").code == 0
    assert tree(photos) == before


@pytest.mark.slow
def test_it_is_explained_and_annotated(iq: Iq, photos: Path) -> None:
    explained = iq("explain", "photos/IMG_2.JPG", "-f", "json", "--heatmap", "map.png")
    assert explained.code == 0
    found = json.loads(explained.out)
    assert (found["path"], found["reasons"][0]) == ("./photos/IMG_2.DNG", EMPTY)
    assert f"note: {EMPTY}" in iq("explain", "photos/IMG_2.JPG").out.decode()
    assert iq("export", "photos", "--xmp").code == 1
    assert (photos / "IMG_2.DNG.xmp").exists()
    assert iq("cull", "photos", "--worst", "1", "--html", "sheet.html").code == 1
    assert EMPTY in (iq.cwd / "sheet.html").read_text()
