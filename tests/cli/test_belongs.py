"""What belongs together, as a person meets it: listed, protected, moved and taken back as one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.phone_files import film, jpeg
from support.photo_trees import tree

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli_runner import Iq

EVERYTHING = ("--max-reject", "100%")
FAVOURITE = json.dumps({"title": "x", "favorited": True}).encode()


def put(root: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def shots(rows: list[dict[str, object]]) -> dict[str, list[str]]:
    """The companions of each photo, as names."""
    return {
        str(row["path"]).removeprefix("./"): [each.rpartition("/")[2] for each in row["companions"]]
        for row in rows
    }


def test_an_edit_and_its_original_are_no_burst(iq: Iq) -> None:
    originals = {
        "apple/IMG_E1234.jpg": "IMG_1234.jpg",
        "google/IMG_20240504_101112-edited.jpg": "IMG_20240504_101112.jpg",
        "lr/IMG_1234-Edit.jpg": "IMG_1234.jpg",
        "osx/IMG_1234_edited.jpg": "IMG_1234.jpg",
        "pixel/PXL_20240504_101112123~2.jpg": "PXL_20240504_101112123.jpg",
    }
    for edit, original in originals.items():
        folder = edit.split("/")[0]
        put(iq.cwd, {edit: jpeg(edited=True), f"{folder}/{original}": jpeg()})
    ran = iq("cull", ".", "--keep", "1", "--per", "burst", *EVERYTHING, "-f", "jsonl")
    assert shots(ran.rows) == {edit: [original] for edit, original in originals.items()}
    assert {row["decision"] for row in ran.rows} == {"keep"}


def test_a_mark_on_either_protects_both(iq: Iq) -> None:
    plain = {"taken": None, "camera": None}
    put(
        iq.cwd,
        {
            "a/IMG_5.jpg": jpeg(**plain),
            "a/IMG_5-bearbeitet.jpg": jpeg(**plain, edited=True),
            "a/IMG_5.jpg.supplemental-metadata.json": FAVOURITE,
            "b/IMG_6.jpg": jpeg(stars=5),
            "b/IMG_6~2.jpg": jpeg(edited=True),
            "c/IMG_7.jpg": jpeg(),
            "c/IMG_7_edited.jpg": jpeg(edited=True, stars=3),
            "d/IMG_8.jpg": jpeg(),
            "d/IMG_8-edited.jpg": jpeg(edited=True),
            "d/.picasa.ini": b"[IMG_8.jpg]\nstar=yes\n",
            "e/Cafe\u0301.jpg": jpeg(),
            "e/Café.jpg.json": FAVOURITE,
            "f/IMG_9.jpg": jpeg(),
        },
    )
    ran = iq("cull", ".", "--worst", "100%", *EVERYTHING, "-f", "jsonl")
    kept = {row["path"].split("/")[1] for row in ran.rows if row["decision"] == "keep"}
    assert kept == set("abcde")
    assert len(ran.rows) == 6


def test_a_colour_label_protects_on_request(iq: Iq) -> None:
    label = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        b'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Label="Red"/></rdf:RDF></x:xmpmeta>'
    )
    put(iq.cwd, {"a/IMG_1.jpg": jpeg(), "a/IMG_1.jpg.xmp": label, "a/IMG_2.jpg": jpeg(2)})
    words = ("cull", "a", "--worst", "100%", *EVERYTHING, "-f", "jsonl")
    assert [row["decision"] for row in iq(*words).rows] == ["reject", "reject"]
    ran = iq(*words, "--protect-labels")
    assert [row["decision"] for row in ran.rows] == ["keep", "reject"]
    assert [row["decision"] for row in iq(*words).rows] == ["reject", "reject"]


def test_all_files_of_a_shot_go_and_come_back(iq: Iq) -> None:
    photos = iq.cwd / "photos"
    put(
        photos,
        {
            "IMG_1.jpg": jpeg(),
            "IMG_1-edited.jpg": jpeg(edited=True),
            **dict.fromkeys(("IMG_1.jpg.xmp", "IMG_1.jpg.cos", "IMG_1.acr", "IMG_1.SRT"), b" "),
            "IMG_1.jpg_original": jpeg(stars=1),
            "IMG_1_HEVC.MOV": film(),
            "IMG_2.MOV": film(1200),
            "IMG_2.jpg": jpeg(2, "2024:05:05 10:00:00"),
        },
    )
    before = tree(photos)
    listed = iq("score", "photos", "-f", "jsonl")
    assert listed.lines[-1] == "2 photos: 2 scored"
    assert "1 video left alone: iq scores and moves photos" in listed.lines
    assert iq("cull", "photos", "--worst", "100%", *EVERYTHING, "--apply").code == 0
    left = [path for path in photos.iterdir() if path.is_file()]
    assert [path.name for path in left] == ["IMG_2.MOV"]
    assert iq("undo").code == 0
    assert tree(photos) == before


@pytest.mark.slow
def test_a_warm_run_opens_no_file_to_see_what_belongs_together(iq: Iq) -> None:
    photos = iq.cwd / "photos"
    plain = {"taken": None, "camera": None}
    put(
        photos,
        {
            "IMG_1.jpg": jpeg(),
            "IMG_1-edited.jpg": jpeg(edited=True),
            "IMG_2.jpg": jpeg(2, **plain),
            "IMG_2-edited.jpg": jpeg(2, **plain, edited=True),
            "IMG_3.HEIC": jpeg(3, kind="HEIF"),
            "IMG_3.JPG": jpeg(3),
            "IMG_3.MOV": film(),
        },
    )
    first = iq("score", "photos", "-f", "jsonl")
    ran, opened, loaded = iq.spied("score", "photos", "-f", "jsonl")
    assert [row["companions"] for row in ran.rows] == [row["companions"] for row in first.rows]
    assert [name for name in opened if str(photos) in str(iq.cwd / str(name))] == []
    assert loaded & {"cv2", "PIL", "exifread", "simplejpeg", "torch"} == set()
