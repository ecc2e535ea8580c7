"""A hundred photos of one day: what a person asks for is what goes, to the photo."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from support.images import encoded, exif_block
from support.xmp_sidecars import RATED

if TYPE_CHECKING:
    from support.cli_runner import Iq, Ran

COUNT = 100
LONG_AGO = 1_600_000_000


def drawn(number: int) -> np.ndarray:
    """A small picture like no other: shapes at random, more or less blurred and lit."""
    random = np.random.default_rng(number)
    pixels = np.full((144, 192, 3), random.integers(40, 220, 3), np.uint8)
    for _ in range(12):
        centre, colour = random.integers(0, 192, 2).tolist(), random.integers(0, 256, 3).tolist()
        cv2.circle(pixels, centre, int(random.integers(5, 60)), colour, -1)
    blurred = cv2.GaussianBlur(pixels, (0, 0), 0.1 + random.uniform(0, 4))
    return (blurred * random.uniform(0.2, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def drawn_day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photos, one every eight minutes, and beside them a cache of their measurements."""
    top = tmp_path_factory.mktemp("day")
    (top / "photos").mkdir()
    for number in range(COUNT):
        minutes = 360 + 8 * number
        taken = f"2024:05:01 {minutes // 60:02}:{minutes % 60:02}:00"
        path = top / "photos" / f"IMG_{number:04}.jpg"
        exif = exif_block({0x010F: "Maker", 0x0110: "One"}, {0x9003: taken})
        path.write_bytes(encoded(drawn(number), "JPEG", quality=90, exif=exif))
        os.utime(path, (LONG_AGO, LONG_AGO))
    return top


@pytest.fixture
def day(iq: Iq, drawn_day: Path) -> Path:
    """`photos/` filled with the hundred."""
    iq.changes["IQ_CACHE_DIR"] = str(drawn_day / "cache")
    shutil.copytree(drawn_day / "photos", iq.cwd / "photos", dirs_exist_ok=True)
    return iq.cwd / "photos"


def counts(ran: Ran) -> tuple[int, ...]:
    """How many are kept, left for review and rejected; they are all photos."""
    (line,) = re.findall(r"^keep (\d+), review (\d+), reject (\d+)$", ran.err, re.MULTILINE)
    assert sum(map(int, line)) == COUNT
    return tuple(map(int, line))


def left(folder: Path) -> int:
    """How many photos a folder itself holds."""
    return len(list(folder.glob("*.jpg")))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "rejects"),
    [
        (("--worst", "20%"), 20),
        (("--worst", "7"), 7),
        (("--worst", "1"), 1),
        (("--keep", "30"), 70),
    ],
)
def test_what_is_asked_for_is_what_goes(
    iq: Iq, day: Path, rule: tuple[str, ...], rejects: int
) -> None:
    shown = iq("cull", "photos", *rule, "-f", "jsonl")
    assert shown.code == 0
    assert counts(shown) == (COUNT - rejects, 0, rejects)
    scores = [(row["score"], row["decision"]) for row in shown.rows]
    worst = max(score for score, decision in scores if decision == "reject")
    assert worst <= min(score for score, decision in scores if decision == "keep")
    done = iq("cull", "photos", *rule, "--apply", "--max-reject", "70%", "-q")
    assert (done.code, left(day), left(day / "_Rejected")) == (0, COUNT - rejects, rejects)


@pytest.mark.slow
def test_what_is_starred_stays_and_the_summary_says_why(iq: Iq, day: Path) -> None:
    worst = iq("rank", "photos", "-f", "paths").out.decode().split()[-20:]
    for path in worst[::7]:
        (iq.cwd / f"{path}.xmp").write_text(RATED)
    ran = iq("cull", "photos", "--worst", "20%", "--apply")
    assert ran.code == 0
    assert (
        "20 were due, 17 are rejected: 3 have stars or a flag (--include-rated lifts that)"
        in ran.lines
    )
    assert counts(ran) == (83, 0, 17)
    assert left(day / "_Rejected") == 17
    assert all((iq.cwd / path).exists() for path in worst[::7])
    assert iq("undo").code == 0
    lifted = iq("cull", "photos", "--worst", "20%", "--include-rated")
    assert counts(lifted) == (80, 0, 20)
    assert " due, " not in lifted.err


@pytest.mark.slow
def test_what_a_person_rejected_is_not_counted(iq: Iq, day: Path) -> None:
    worst = iq("rank", "photos", "-f", "paths").out.decode().split()[-10:]
    for path in worst:
        (iq.cwd / f"{path}.xmp").write_text(RATED.replace('"3"', '"-1"'))
    ran = iq("cull", "photos", "--worst", "20%")
    assert counts(ran) == (72, 10, 18)
    assert "10 that a person rejected already are left for review, not counted" in ran.lines
    assert counts(iq("cull", "photos", "--keep", "30")) == (30, 0, 70)


def test_the_best_of_each_moment_stays_where_moments_are_kept(iq: Iq, day: Path) -> None:
    ran = iq("cull", "photos", "--worst", "20%", "--keep-moments")
    _, _, rejects = counts(ran)
    assert 0 < rejects < 20
    assert (
        f"20 were due, {rejects} are rejected: {20 - rejects} are the best of their moment "
        "(leave out --keep-moments to lift that)"
    ) in ran.lines


@pytest.mark.slow
def test_a_count_in_the_settings(iq: Iq, day: Path) -> None:
    settings = day / ".iq.toml"
    settings.write_text("worst = 7\n")
    assert counts(iq("cull", "photos")) == (93, 0, 7)
    settings.write_text('worst = "7%"\n')
    assert counts(iq("cull", "photos", IQ_WORST="9")) == (91, 0, 9)
    refused = iq("cull", "photos", IQ_WORST="0.2")
    assert (refused.code, refused.lines) == (
        2,
        ["iq: IQ_WORST is '0.2'; a share needs its %, give \"20%\""],
    )
