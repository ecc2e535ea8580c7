"""The figures of `iq eval --plots`: the same bytes each time, true to the numbers."""

from __future__ import annotations

import io
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image
from support.cli_runner import FEW_RESAMPLES, SOURCE, Iq
from support.drawn_scenes import texture

from iqcli.cli.commands.evaluate.report import check_plots
from iqcli.errors import IqError
from iqcli.output import plots
from iqcli.output.plots import COLOURS, Curve, Points

NAMES = {"scatter.png", "scatter.svg", "reliability.png", "reliability.svg"}
BLIND = """
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == "matplotlib" else real(name, *a)
"""


def cloud(count: int = 200) -> Points:
    random = np.random.default_rng(0)
    opinions = random.uniform(1, 10, count)
    return Points(np.clip(opinions + random.normal(0, 1, count), 1, 10), opinions)


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[k : k + 2], 16) for k in (1, 3, 5))


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def near(picture: np.ndarray, colour: str) -> np.ndarray:
    """Where a dot of that colour lies, seen through by two fifths."""
    seen = 0.6 * np.array(rgb(colour)) + 0.4 * 255
    return np.abs(picture - seen).max(axis=2) < 6


def marks(svg: bytes) -> int:
    """How many dots the first collection of a scatter holds."""
    root = ET.fromstring(svg)
    space = "{http://www.w3.org/2000/svg}"
    group = next(each for each in root.iter(f"{space}g") if each.get("id") == "PathCollection_1")
    return sum(1 for _ in group.iter(f"{space}use"))


def test_a_scatter_has_a_dot_for_each_photo() -> None:
    found = plots.scatter("model", cloud(123))
    assert set(found) == {"scatter.png", "scatter.svg"}
    assert marks(found["scatter.svg"]) == 123
    picture = Image.open(io.BytesIO(found["scatter.png"]))
    assert min(picture.size) >= 1000
    assert near(pixels(found["scatter.png"]), COLOURS[0]).sum() > 2000


def test_a_dot_lies_where_its_numbers_are() -> None:
    """Score to the right, opinion upwards: one photo at (9, 2) is in the lower right corner."""
    png = plots.scatter("model", Points(np.array([9.0]), np.array([2.0])))["scatter.png"]
    y, x = np.nonzero(near(pixels(png), COLOURS[0]))
    height, width = pixels(png).shape[:2]
    assert len(y) and y.mean() > 0.7 * height and x.mean() > 0.75 * width


@pytest.mark.slow
def test_the_same_numbers_give_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    curve = Curve([0.1, 0.9], [0.2, 0.8], [0.1, 0.7], [0.3, 0.9])
    first = plots.scatter("m", cloud()) | plots.reliability("m", curve, curve)
    monkeypatch.setitem(mpl.rcParams, "axes.facecolor", "red")
    monkeypatch.setitem(mpl.rcParams, "font.size", 30)
    again = plots.scatter("m", cloud()) | plots.reliability("m", curve, curve)
    assert first == again and set(first) == NAMES
    assert mpl.rcParams["font.size"] == 30
    assert "matplotlib.pyplot" not in sys.modules


def test_parts_have_colours_of_their_own_and_the_smallest_share_one() -> None:
    points = cloud(90)
    labels = [f"part{min(k // 6, 9)}" for k in range(90)]
    svg = plots.scatter("m", Points(points.scores, points.opinions, labels))["scatter.svg"]
    for colour in (*COLOURS, plots.REST):
        assert f"fill: {colour.lower()}".encode() in svg, colour
    three = [f"part{k % 3}" for k in range(90)]
    svg = plots.scatter("m", Points(points.scores, points.opinions, three))["scatter.svg"]
    assert [f"fill: {colour.lower()}".encode() in svg for colour in COLOURS] == [
        *[True] * 3,
        *[False] * 4,
    ]
    assert marks(svg) == 30


@pytest.mark.parametrize("name", ["a $x^2$ b", "_hidden", "$", "照片", "\x1b[31mred", ""])
def test_any_name_can_be_drawn(name: str) -> None:
    points = cloud(6)
    found = plots.scatter(name, Points(points.scores, points.opinions, [name, "b"] * 3))
    assert marks(found["scatter.svg"]) == 3
    assert b"\x1b" not in found["scatter.svg"]


@pytest.mark.slow
def test_an_interval_is_drawn_as_wide_as_it_is() -> None:
    def blue(reach: float) -> int:
        low, high = [5 - reach], [5 + reach]
        found = plots.reliability("m", Curve([5], [5], low, high), Curve([], [], [], []))
        picture = pixels(found["reliability.png"])
        return int(np.ptp(np.nonzero(np.abs(picture - rgb(COLOURS[0])).max(axis=2) < 6)[0]))

    assert blue(3) == pytest.approx(2 * blue(1.5), rel=0.05)


# --- through the command line ---


@pytest.fixture
def opinions(iq: Iq) -> Path:
    """Eighteen photos with opinions."""
    lines = ["image,mos"]
    for k in range(18):
        picture = texture(k, 96, 128) // (1 + k % 3)
        Image.fromarray(picture).save(iq.cwd / "photos" / f"{k}.png")
        lines.append(f"photos/{k}.png,{1 - 0.3 * (k % 3) - k / 100}")
    file = iq.cwd / "opinions.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.mark.slow
def test_plots_are_written_named_and_replaced(iq: Iq, opinions: Path) -> None:
    iq.changes["IQ_TEST_PATCH"] = FEW_RESAMPLES
    ran = iq("eval", opinions, "--plots", "new/figures")
    folder = iq.cwd / "new" / "figures"
    assert ran.code == 0
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(first) == NAMES
    assert all(f"./new/figures/{name}" in ran.err for name in NAMES)
    for name, data in first.items():
        assert data[:4] == (b"\x89PNG" if name.endswith("png") else b"<?xm")
    (folder / "scatter.png").write_bytes(b"old")
    (folder / "mine.txt").write_text("stays")
    assert iq("eval", opinions, "--plots", folder).code == 0
    again = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert again.pop("mine.txt") == b"stays" and again == first


@pytest.mark.slow
def test_without_matplotlib_nothing_is_measured(iq: Iq, opinions: Path, tmp_path: Path) -> None:
    (tmp_path / "blind").mkdir()
    (tmp_path / "blind" / "sitecustomize.py").write_text(BLIND)
    ran = iq("eval", opinions, "--plots", "figures", PYTHONPATH=f"{tmp_path / 'blind'}:{SOURCE}")
    assert (ran.code, ran.out) == (2, b"")
    assert ran.lines == ["iq: --plots needs matplotlib; run `pip install 'iqcli[plots]'`"]
    assert not iq.cache.exists() and not (iq.cwd / "figures").exists()


@pytest.mark.parametrize("name", ["", "figures", "new/figures"])
def test_nothing_is_drawn_in_the_library_of_another_program(tmp_path: Path, name: str) -> None:
    library = tmp_path / "Photos Library.photoslibrary"
    library.mkdir()
    with pytest.raises(IqError, match="export the originals from Photos first"):
        check_plots(library / name)


def test_a_file_is_no_folder_for_plots(iq: Iq, opinions: Path) -> None:
    ran = iq("eval", opinions, "--plots", opinions)
    assert ran.code == 2 and "give a folder" in ran.err and not ran.out
    assert opinions.read_text().startswith("image,mos")
