"""The recipes of README and guide, each run as it stands, with the programs that it names."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from skimage import data
from support.cli_runner import SOURCE, Iq
from support.images import encoded, exif_block

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("bash"), reason="needs bash"),
]

PAGES = [(SOURCE / name).read_text("utf-8") for name in ("README.md", "iqcli/GUIDE.md")]
RECIPES = re.findall(r"```bash\n# (.*?)\n(.*?)```", "".join(PAGES), re.DOTALL)
ASTRONAUT, CHELSEA = data.astronaut(), data.chelsea()
BLURRED = cv2.GaussianBlur(CHELSEA, (0, 0), 6)
# By name: the picture, and when it was taken.
PHOTOS = {
    "trip/IMG_1.jpg": (cv2.GaussianBlur(ASTRONAUT, (0, 0), 3), "2024:05:01 10:00:00"),
    "trip/IMG_2.jpg": (ASTRONAUT, "2024:05:01 10:00:01"),
    "trip/IMG_3.jpg": (cv2.GaussianBlur(ASTRONAUT, (0, 0), 2), "2024:05:01 10:00:02"),
    "cup of tea.jpg": (data.coffee(), "2024:05:01 15:30:00"),
    "cat.jpg": (BLURRED, "2024:05:02 09:00:00"),
    "rocket.jpg": (data.rocket(), "2024:05:02 21:00:00"),
}
BURST = ["trip/IMG_1.jpg", "trip/IMG_2.jpg", "trip/IMG_3.jpg"]
GOOD = encoded(data.coffee(), "JPEG", quality=92)


def file_of(picture: np.ndarray, taken: str) -> bytes:
    return encoded(picture, "JPEG", quality=92, exif=exif_block({}, {36867: taken}))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iq:
    """A command line on `photos/`, where everything has been measured once."""
    top = tmp_path_factory.mktemp("recipes")
    (top / "home").mkdir()
    for name, (picture, taken) in PHOTOS.items():
        path = top / "here" / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file_of(picture, taken))
    iq = Iq(top / "home", top / "here")
    assert iq("score", "photos").code == 0
    shims = top / "shims"
    shims.mkdir()
    (shims / "iq").write_text(f'#!/bin/sh\nexec {sys.executable} -m iqcli "$@"\n')
    (shims / "iq").chmod(0o755)
    return Iq(iq.home, iq.cwd, {"PATH": f"{shims}:{iq.environ['PATH']}"})


@pytest.fixture
def kitchen(home: Iq, tmp_path: Path) -> Iq:
    """The same photos, in a folder of one's own."""
    shutil.copytree(home.cwd, tmp_path / "here")
    return Iq(home.home, tmp_path / "here", home.changes)


def recipe(title: str) -> str:
    """The one whose title begins so."""
    (text,) = [text for each, text in RECIPES if each.startswith(title)]
    return text


def begun(iq: Iq, title: str, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ("bash", "-eo", "pipefail", "-c", recipe(title)),
        cwd=iq.cwd,
        env=iq.environ | environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def cooked(iq: Iq, title: str, code: int = 0, **environ: str) -> str:
    """What the recipe writes to stdout."""
    with begun(iq, title, **environ) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    return out


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg"))


def rows(iq: Iq, *words: str) -> dict[str, dict[str, object]]:
    """What iq says itself, by the name below `photos/`."""
    return {row["path"].removeprefix("./photos/"): row for row in iq(*words, "-f", "jsonl").rows}


def test_there_are_recipes_and_each_has_a_test() -> None:
    source = Path(__file__).read_text("utf-8")
    tested = re.findall(r'(?:cooked|begun)\(kitchen, "(.+?)"', source)
    untested = [title for title, _ in RECIPES if not title.startswith(tuple(tested))]
    assert len(RECIPES) >= 8
    assert untested == []


def test_the_best_are_copied(kitchen: Iq) -> None:
    for number in range(20):
        worse = cv2.GaussianBlur(data.rocket(), (0, 0), 9 + number)[number:]
        (kitchen.cwd / "photos" / f"worse {number}.jpg").write_bytes(encoded(worse, "JPEG"))
    cooked(kitchen, "The twenty best")
    best = [Path(name).name for name in rows(kitchen, "rank", "photos", "--limit", "20")]
    assert names(kitchen.cwd / "best") == sorted(best)
    assert len(best) == 20
    assert {"cup of tea.jpg", "IMG_2.jpg"} <= {*best}


@pytest.mark.jq
def test_what_is_blurred(kitchen: Iq) -> None:
    found = cooked(kitchen, "What is clearly").splitlines()
    assert "./photos/cat.jpg" in found
    assert not {"./photos/cup of tea.jpg", "./photos/trip/IMG_2.jpg"} & {*found}


@pytest.mark.jq
def test_the_days(kitchen: Iq) -> None:
    scores = [row["score"] for row in rows(kitchen, "score", "photos").values()]
    lines = [line.split("\t") for line in cooked(kitchen, "Day by day").splitlines()]
    assert [line[:2] for line in lines] == [["2024-05-01", "4"], ["2024-05-02", "2"]]
    total = sum(float(mean) * int(number) for _, number, mean in lines)
    assert total == pytest.approx(sum(scores), abs=0.4)


@pytest.mark.fzf
def test_picked_by_hand(kitchen: Iq) -> None:
    cooked(kitchen, "Picked by hand", FZF_DEFAULT_OPTS="--exact --filter='cup of tea'")
    assert names(kitchen.cwd / "picked") == ["cup of tea.jpg"]


@pytest.mark.jq
@pytest.mark.rsync
def test_the_best_of_each_burst_to_a_backup(kitchen: Iq) -> None:
    cooked(kitchen, "The best of each burst")
    saved = names(kitchen.cwd / "backup" / "photos")
    assert [name for name in saved if name in BURST] == ["trip/IMG_2.jpg"]
    assert {*PHOTOS} - {*BURST} <= {*saved}


def test_only_what_is_new(kitchen: Iq) -> None:
    photos, log = kitchen.cwd / "photos", kitchen.cwd / "scores.jsonl"
    (kitchen.cwd / "last").touch()
    for path in photos.rglob("*.jpg"):
        os.utime(path, (1e9, 1e9))
    (photos / "new.jpg").write_bytes(GOOD)
    os.utime(photos / "new.jpg", (time.time() + 5,) * 2)
    cooked(kitchen, "Only what has come")
    assert [json.loads(line)["path"] for line in log.read_text().splitlines()] == [
        "./photos/new.jpg"
    ]
    os.utime(photos / "new.jpg", (1e9, 1e9))
    cooked(kitchen, "Only what has come", code=3)


@pytest.fixture
def importing(kitchen: Iq) -> Iterator[subprocess.Popen[str]]:
    (kitchen.cwd / "incoming").mkdir()
    with begun(kitchen, "While a card", IQ_MODEL="brisque-refit") as process:
        yield process
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.jq
def test_what_is_good_goes_on(kitchen: Iq, importing: subprocess.Popen[str]) -> None:
    assert importing.stderr
    assert importing.stderr.readline().startswith("watching ./incoming")
    for name, picture in (("bad one", BLURRED), ("good one", ASTRONAUT)):
        (kitchen.cwd / "incoming" / f"{name}.jpg").write_bytes(encoded(picture, "JPEG"))
    for _ in range(200):
        if names(kitchen.cwd / "good"):
            break
        time.sleep(0.1)
    os.killpg(importing.pid, signal.SIGTERM)
    importing.communicate(timeout=20)
    assert names(kitchen.cwd / "good") == ["good one.jpg"]


def test_from_cron(kitchen: Iq) -> None:
    photos = kitchen.cwd / "photos"
    for number in range(1, 6):  # of one moment with the cat: of that, one photo is to stay
        worse = cv2.GaussianBlur(CHELSEA, (0, 0), 8 + number)
        (photos / f"cat {number}.jpg").write_bytes(file_of(worse, f"2024:05:02 09:00:0{number}"))
    assert cooked(kitchen, "From cron") == ""
    assert len(names(photos / "_Rejected")) == 1
    assert len(names(photos)) == len(PHOTOS) + 5
    # A photo that cannot be read is told, and no photo at all is no trouble.
    (photos / "cut.jpg").write_bytes(GOOD[:999])
    cooked(kitchen, "From cron", code=1)
    assert "cut.jpg: JPEG data ends early" in (kitchen.cwd / "cull.log").read_text()
    shutil.rmtree(photos)
    photos.mkdir()
    cooked(kitchen, "From cron")
