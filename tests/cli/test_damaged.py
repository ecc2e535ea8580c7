"""Damaged photos from the files to what people see."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from support.drawn_scenes import texture
from support.images import encoded, exif_block

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli_runner import Iq


def jpeg(seed: int, split: str) -> bytes:
    times = {36867: "2024:05:01 12:00:00", 37521: split}
    block = exif_block({271: "Canon", 272: "EOS"}, times)
    return encoded(texture(seed, 400, 600), "JPEG", quality=85, exif=block)


@pytest.fixture
def photos(iq: Iq) -> Path:
    """A burst whose second frame is blurred, and whose first is cut off."""
    folder = iq.cwd / "photos"
    folder.mkdir(exist_ok=True)
    data = jpeg(3, "10")
    (folder / "IMG_1.jpg").write_bytes(data[: int(0.6 * len(data))] + b"\xff\xd9")
    (folder / "IMG_2.jpg").write_bytes(encoded_soft())
    return folder


def encoded_soft() -> bytes:
    times = {36867: "2024:05:01 12:00:00", 37521: "40"}
    block = exif_block({271: "Canon", 272: "EOS"}, times)
    soft = cv2.GaussianBlur(texture(3, 400, 600), (0, 0), 4)
    return encoded(np.asarray(soft, np.uint8), "JPEG", quality=85, exif=block)


def test_it_is_scored_named_and_counted(iq: Iq, photos: Path) -> None:
    ran = iq("score", "photos", "-f", "jsonl")
    assert ran.code == 0
    assert ran.lines[-1] == "2 photos: 2 scored (1 damaged)"
    first, second = ran.rows
    issue = first["issues"][0]
    assert (issue["name"], issue["level"]) == ("damaged", 4)
    assert issue["share"] == pytest.approx(0.4, abs=0.05)
    assert "damaged" not in {each["name"] for each in second["issues"]}
    again = iq("score", "photos", "-f", "csv")
    assert f"damaged:4:{issue['share']}" in again.out.decode()
    assert again.lines[-1] == ran.lines[-1]


def test_it_loses_to_the_whole_frame_of_its_burst(iq: Iq, photos: Path) -> None:
    ran = iq("cull", "photos", "--keep", "1", "--per", "burst", "-f", "jsonl")
    first, second = ran.rows
    assert first["score"] > second["score"]
    assert (first["decision"], second["decision"]) == ("reject", "keep")
    assert first["reasons"][1].startswith("damaged: ")
    assert first["codes"] == ["not_kept_of_burst", "damaged"]


def test_a_thumbnail_is_named_too_small_and_not_for_its_details(iq: Iq, photos: Path) -> None:
    small = cv2.resize(texture(3, 400, 600), (120, 80), interpolation=cv2.INTER_LINEAR)
    (photos / "IMG_3.jpg").write_bytes(encoded(np.asarray(small, np.uint8), "JPEG"))
    ran = iq("score", "photos/IMG_3.jpg", "-f", "csv")
    assert ran.code == 0 and "too_small:4" in ran.out.decode()
    explained = json.loads(iq("explain", "photos/IMG_3.jpg", "-f", "json").out)["issues"]
    assert explained[0] == {"name": "too_small", "level": 4, "at_least": {}}
    assert not {"blurred", "noisy"} & {each["name"] for each in explained}
    assert "issues: badly too small" in iq("explain", "photos/IMG_3.jpg").out.decode()


@pytest.mark.slow
def test_it_is_named_wherever_issues_are(iq: Iq, photos: Path) -> None:
    explained = json.loads(iq("explain", "photos/IMG_1.jpg", "-f", "json").out)
    assert explained["issues"][0]["name"] == "damaged"
    assert "issues: badly damaged (" in iq("explain", "photos/IMG_1.jpg").out.decode()
    assert iq("export", "photos", "--xmp").code == 0
    assert "iq/damaged" in (photos / "IMG_1.jpg.xmp").read_text()
    assert iq("export", "photos", "--html", "sheet.html").code == 0
    assert "badly damaged (" in (iq.cwd / "sheet.html").read_text()
