"""The README is true: its commands run as they stand, and it names every command there is."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data
from support.cli_runner import SOURCE, Iq
from typer.main import get_command

from iqcli.cli.app import app

pytestmark = pytest.mark.slow

README = (SOURCE / "README.md").read_text("utf-8")
GUIDE = (SOURCE / "iqcli" / "GUIDE.md").read_text("utf-8")
MAP = (SOURCE / "iqcli" / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
BASH = shutil.which("bash")


@pytest.fixture
def gallery(iq: Iq) -> Path:
    """`photos/` with good photos, two distorted ones, a sub-folder and a file of opinions."""
    folder = iq.cwd / "photos"
    (folder / "day").mkdir()
    good = [data.astronaut(), data.coffee(), data.chelsea(), data.cat(), data.rocket()]
    distorted = [cv2.GaussianBlur(good[0], (0, 0), 6), (good[2] * 0.1).astype(np.uint8)]
    names = ("portrait", "coffee", "cat", "day/tabby", "day/rocket", "day/blurred", "dark")
    for name, picture in zip(names, good + distorted, strict=True):
        Image.fromarray(picture).save(folder / f"{name}.jpg", quality=92)
    opinions = [f"{name}.jpg,{mos / 10}" for mos, name in enumerate(reversed(names))]
    (folder / "opinions.csv").write_text("\n".join(["image,mos", *opinions]))
    return folder


def commands() -> list[str]:
    lines = [line for block in BLOCKS for line in block.splitlines()]
    return [line for line in lines if re.match(r"(iq|find) ", line)]


@pytest.mark.skipif(not BASH, reason="needs bash")
def test_the_commands_run_one_after_the_other(iq: Iq, gallery: Path, tmp_path: Path) -> None:
    shims = tmp_path / "shims"
    shims.mkdir()
    shim = shims / "iq"
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m iqcli "$@"\n')
    shim.chmod(0o755)
    script = "set -o pipefail\n" + "\n".join(f"{line} || exit 9" for line in map(bare, commands()))
    env = iq.environ | {"PATH": f"{shims}:{iq.environ['PATH']}"}
    before = {path: path.read_bytes() for path in gallery.rglob("*.jpg")}
    ran = subprocess.run([str(BASH), "-c", script], cwd=iq.cwd, env=env, capture_output=True)
    assert ran.returncode == 0, ran.stderr.decode()
    assert {path: path.read_bytes() for path in gallery.rglob("*.jpg")} == before
    assert len(commands()) >= 15


def bare(line: str) -> str:
    return line.split(" #")[0].rstrip()


def test_install_and_test_commands_stand_first() -> None:
    assert BLOCKS[0] == "pip install . && iq score ~/Pictures\n"
    assert BLOCKS[1] == "pip install '.[test]' && pytest\n"


def test_python_example(gallery: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(gallery.parent)
    exec(example, {})


def test_every_command_and_exit_code_is_named() -> None:
    from iqcli.errors import Exit

    for name in get_command(app).commands:  # type: ignore[attr-defined]
        assert re.search(rf"\biq {name}\b", README), name
    for code in Exit:
        assert f"| {code.value} |" in README


def test_the_sample_is_what_is_printed(iq: Iq, gallery: Path) -> None:
    """Scores may differ in the last digit between processors."""
    (command, sample) = re.search(r"```text\n\$ iq (.*?)\n(.*?)```", README, re.DOTALL).groups()
    ran = iq(*command.split(), COLUMNS="100")
    printed = ran.out.decode().splitlines()
    shown = sample.splitlines()
    assert [without_scores(line) for line in printed] == [without_scores(line) for line in shown]
    np.testing.assert_allclose(scores(printed), scores(shown), atol=0.11)


def scores(lines: list[str]) -> list[float]:
    return [float(number) for line in lines for number in re.findall(r"\d\.\d", line)]


def without_scores(line: str) -> str:
    return re.sub(r"\d\.\d", "#", line).rstrip()


def test_it_is_short() -> None:
    assert len(README.encode()) <= 12_000


def test_files_it_points_to_are_there() -> None:
    for path in re.findall(
        r"`((?:completions|tests)/[\w./]+)`|python (tests/[\w./]+)", README + GUIDE + MAP
    ):
        assert (SOURCE / "".join(path)).exists() or "NAME" in "".join(path), path


def test_the_map_is_of_this_house() -> None:
    """Every package is in it, and every file that it names is there."""
    house = SOURCE / "iqcli"
    for path in re.findall(r"`([\w/]+\.(?:py|toml))`", MAP):
        assert "NAME" in path or any((top / path).is_file() for top in (house, SOURCE)), path
    for package in house.glob("*/__init__.py"):
        assert f"| `{package.parent.name}/` |" in MAP


def test_links_lead_somewhere() -> None:
    """To a file, and in it to a heading."""
    for text, home in ((README, SOURCE), (GUIDE, SOURCE / "iqcli"), (MAP, SOURCE / "iqcli")):
        for name, heading in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
            assert not name or (home / name).is_file(), name
            there = (home / name).read_text("utf-8") if name else text
            headings = re.findall(r"^#+ (.+)", there, re.MULTILINE)
            assert not heading or heading in [anchor(each) for each in headings], heading


def anchor(heading: str) -> str:
    """The name of a heading in a link, as GitHub makes it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
