"""Copies on the command line: found over the whole run, listed, rejected and put back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from support.drawn_scenes import photo, texture
from support.images import encoded, exif_block
from support.photo_trees import tree

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli_runner import Iq, Ran

BEACH = "DCIM/100APPLE/IMG_1031.JPG"


def lay(path: Path, data: bytes, age: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (1_600_000_000 - age, 1_600_000_000 - age))


@pytest.fixture
def photos(iq: Iq) -> Path:
    """A camera's photo with its copies in other folders, and photos that are none."""
    folder = iq.cwd / "photos"
    picture = photo("coffee.png")
    height, width = picture.shape[:2]
    taken = {0x9003: "2024:05:01 12:00:07"}
    camera = exif_block({0x010F: "Apple", 0x0110: "iPhone 12"}, taken)
    original = encoded(picture, "JPEG", quality=92, exif=camera)
    half = cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    cropped = picture[height // 16 :, : -width // 16]
    grey = np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    lay(folder / BEACH, original, 0)
    lay(folder / "DCIM/100APPLE/IMG_1031.MOV", b"film", 0)
    lay(folder / "Backup/beach.jpg", original, 100)
    lay(folder / "Backup/beach.jpg.xmp", b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>", 100)
    lay(folder / "WhatsApp/IMG-20240504-WA0001.jpg", encoded(half, "JPEG", quality=60), 500)
    lay(folder / "Edited/beach.jpg", encoded(cropped, "JPEG", quality=95), 0)
    lay(folder / "Edited/grey.jpg", encoded(grey, "JPEG", quality=95), 0)
    lay(folder / "cat.jpg", encoded(photo("chelsea.png"), "JPEG", quality=90), 0)
    lay(folder / "clouds.jpg", encoded(texture(5), "JPEG", quality=90), 0)
    return folder


def by_name(ran: Ran) -> dict[str, Any]:
    return {row["path"].removeprefix("./photos/"): row for row in ran.rows}


def test_duplicates_go_and_come_back(iq: Iq, photos: Path) -> None:
    before = tree(photos)
    rows = by_name(iq("cull", "photos", "--duplicates", "-f", "jsonl"))
    of = f"./photos/{BEACH}"
    found = {
        name: (row["decision"], row["reasons"][0], row["copy_of"]) for name, row in rows.items()
    }
    assert found == {
        BEACH: ("keep", "no copy of another photo", None),
        "Backup/beach.jpg": ("reject", f"copy of {of}", of),
        "WhatsApp/IMG-20240504-WA0001.jpg": ("reject", f"copy of {of}", of),
        "Edited/beach.jpg": ("review", f"cropped copy of {of}", of),
        "Edited/grey.jpg": ("review", f"copy of {of} in other colours", of),
        "cat.jpg": ("keep", "no copy of another photo", None),
        "clouds.jpg": ("keep", "no copy of another photo", None),
    }
    assert iq("cull", "photos", "--duplicates", "--apply").code == 0
    left = {name for name in tree(photos) if not name.startswith(b"_Rejected")}
    assert {*before} - left == {
        *(b"Backup/beach.jpg", b"Backup/beach.jpg.xmp", b"WhatsApp/IMG-20240504-WA0001.jpg")
    }
    assert iq("undo").code == 0
    assert tree(photos) == before


@pytest.mark.slow
def test_they_are_listed_and_exported(iq: Iq, photos: Path) -> None:
    ranked = iq("rank", "photos", "--per", "copies", "-f", "jsonl").rows
    paths = [row["path"].removeprefix("./photos/") for row in ranked]
    start = paths.index(BEACH)
    assert {row["copy_of"] for row in ranked[start + 1 : start + 5]} == {f"./photos/{BEACH}"}
    assert [row["rank"] for row in ranked[start : start + 5]] == [1, 2, 3, 4, 5]
    exported = {row["path"]: row["copy_of"] for row in iq("export", "photos", "-f", "csv").cells}
    assert exported == {row["path"]: row["copy_of"] or "" for row in ranked}
    assert {row["copy_of"] for row in iq("score", "photos", "-f", "jsonl").rows} == {None}
    assert iq("cull", "photos", "--keep", "1", "--per", "copies").code == 2
    # Nothing is opened again for them.
    ran, opened, loaded = iq.spied("cull", "photos", "--duplicates")
    assert ran.code == 0 and not [name for name in opened if name.lower().endswith(".jpg")]
    assert loaded & {"torch", "cv2", "PIL", "scipy"} == set()


def test_the_original_counts_once_in_a_burst(iq: Iq, photos: Path) -> None:
    rows = by_name(iq("cull", "photos", "--keep", "1", "--per", "burst", "-f", "jsonl"))
    gone = {name for name, row in rows.items() if row["decision"] == "reject"}
    assert gone == {"Backup/beach.jpg", "WhatsApp/IMG-20240504-WA0001.jpg"}
    assert {row["group"] for row in rows.values()} == {None}


def test_hard_links_are_one_file(iq: Iq, photos: Path) -> None:
    (photos / "album").mkdir()
    os.link(photos / "cat.jpg", photos / "album" / "cat.jpg")
    rows = by_name(iq("cull", "photos", "--duplicates", "-f", "jsonl"))
    assert (rows["cat.jpg"]["decision"], rows["album/cat.jpg"]["decision"]) == ("keep", "keep")
    assert rows["album/cat.jpg"]["codes"][-1] == "hard_link"
    assert rows["album/cat.jpg"]["copy_of"] == "./photos/cat.jpg"
