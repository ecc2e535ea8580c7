"""`iq rank --per`: real photos of bursts and sets, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.drawn_scenes import photo, texture
from support.images import encoded, exif_block

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli_runner import Iq

    from iqcli.records import Pixels


def save(
    path: Path, picture: Pixels, taken: str | None, part: str = "", bias: tuple[int, int] = (0, 1)
) -> None:
    """A JPEG with what a camera writes; `taken` as EXIF has it."""
    told = {} if taken is None else {0x9003: taken, 0x9291: part, 0x9204: bias}
    block = exif_block({0x010F: "Maker", 0x0110: "One"}, told)
    path.write_bytes(encoded(picture, "JPEG", quality=92, exif=block))


def lit(picture: Pixels, ev: float) -> Pixels:
    """The picture with so much more light."""
    return np.clip(255 * (picture / 255.0) ** (1.4**-ev), 0, 255).astype(np.uint8)


@pytest.fixture
def day(iq: Iq) -> Path:
    """A burst of three, a bracket of three, one photo alone and one without a date."""
    folder = iq.cwd / "photos"
    coffee, cat = photo("coffee.png"), photo("chelsea.png")
    for k in range(3):
        picture = coffee[2 * k : 2 * k + 390, k : k + 590]
        save(folder / f"burst{k}.jpg", lit(picture, -k), "2024:05:01 12:00:07", f"{300 * k:03}")
    for k, ev in enumerate((0, -2, 2)):
        save(folder / f"hdr{k}.jpg", lit(cat, ev), f"2024:05:01 15:00:0{k + 1}", bias=(ev, 1))
    (folder / "more").mkdir()
    save(folder / "more" / "alone.jpg", texture(1), "2024:05:02 09:00:01")
    save(folder / "undated.jpg", texture(2), None)
    return folder


def test_bursts_stand_side_by_side(iq: Iq, day: Path) -> None:
    ran = iq("rank", "photos", "--per", "burst", "--format", "jsonl")
    assert ran.code == 0
    rows = [(each["path"][9:], each["group"], each["set"], each["rank"]) for each in ran.rows]
    burst, bracket = ([row for row in rows if row[1] == name] for name in ("b0001", "b0002"))
    assert {row[0] for row in burst} == {f"burst{k}.jpg" for k in range(3)}
    assert {row[0] for row in bracket} == {f"hdr{k}.jpg" for k in range(3)}
    assert {row[2] for row in burst} == {None} and {row[2] for row in bracket} == {"bracket"}
    for part in (burst, bracket):
        start = rows.index(part[0])
        assert rows[start : start + 3] == part
        assert [row[3] for row in part] == [1, 2, 3]
    assert [row[1] for row in rows if row[3] == 1 and not row[1]] == [None, None]


def test_the_limit_is_of_each_group_and_a_set_is_whole(iq: Iq, day: Path) -> None:
    ran = iq("rank", "photos", "--per", "burst", "--limit", "1", "--format", "paths")
    names = sorted(line.decode().rpartition("/")[2] for line in ran.out.splitlines())
    burst = [name for name in names if name.startswith("burst")]
    assert len(burst) == 1
    alone = ["alone.jpg", "undated.jpg"]
    assert names == sorted([*burst, *alone, "hdr0.jpg", "hdr1.jpg", "hdr2.jpg"])


@pytest.mark.parametrize(
    ("per", "named"),
    [
        ("day", {"2024-05-01", "2024-05-02", "no date"}),
        ("folder", {"./photos", "./photos/more"}),
        ("scene", {"s0001", "s0002"}),
    ],
)
def test_the_table_says_which_group(iq: Iq, day: Path, per: str, named: set[str]) -> None:
    lines = iq("rank", "photos", "--per", per).out.decode().splitlines()
    assert lines[0].split()[0] == per
    found = {line.split("  ")[0].strip() for line in lines[1:]}
    assert found - {""} == named


@pytest.mark.slow
def test_a_warm_run_reads_no_photo_and_needs_no_torch(iq: Iq, day: Path) -> None:
    first = iq("rank", "photos", "--per", "burst", "--format", "csv")
    ran, opened, loaded = iq.spied("rank", "photos", "--per", "burst", "--format", "csv")
    assert ran.out == first.out
    assert not [name for name in opened if name.endswith(".jpg")]
    assert not loaded & {"torch", "cv2", "PIL", "scipy"}


def test_a_model_without_the_network_is_grouped_too(iq: Iq, day: Path) -> None:
    words = ("--per", "burst", "--format", "jsonl", "--model", "brisque-refit")
    rows = iq("rank", "photos", *words).rows
    assert {each["group"] for each in rows} == {None, "b0001", "b0002"}


def test_no_other_word_is_understood(iq: Iq, day: Path) -> None:
    ran = iq("rank", "photos", "--per", "week")
    assert (ran.code, ran.out) == (2, b"")
    assert ran.err.strip() == (
        "iq: --per is 'week'; give one of copies, burst, scene, day, folder, all"
    )


def test_all_is_as_without(iq: Iq, day: Path) -> None:
    assert iq("rank", "photos", "--per", "all").out == iq("rank", "photos").out
