"""Photos drawn on a terminal, and the bars of `iq rank`."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from support.images import encoded, scene
from textual_image.renderable import HalfcellImage, SixelImage, TGPImage

from iqcli.output import table, terminal_images
from iqcli.output.rows import row
from iqcli.records import Photo, Rating, Shot

if TYPE_CHECKING:
    from support.cli_runner import Iq

if sys.platform != "win32":
    from support.terminal import terminal

posix = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")
HALF = "▀"


def test_a_bar_grows_with_the_score() -> None:
    bars = [table.bar(1 + 9 * step / 80) for step in range(81)]
    assert bars[0] == "" and bars[1] == "▏" and bars[8] == "█" and bars[80] == "█" * 10
    assert [bars.index(each) for each in bars] == list(range(81))  # an eighth is seen
    assert table.bar(99) == bars[80] and table.bar(-5) == ""


def test_the_table_has_a_bar_in_every_encoding(seen: Iq, roll: Path) -> None:
    utf = seen("rank", "photos", PYTHONIOENCODING="utf-8")
    latin = seen("rank", "photos", PYTHONIOENCODING="latin-1")
    assert "█" in utf.out.decode()
    lines = latin.out.decode("latin-1").splitlines()
    assert "#" in lines[1] and "\\u" not in lines[1]
    widths = {line.index("./photos") for line in lines[1:]}
    assert len(widths) == 1  # one column, however long the bars


@posix
def test_a_preview_draws_every_photo(seen: Iq, roll: Path) -> None:
    (roll / "[bold]x[red].jpg").write_bytes((roll / "IMG_2.jpg").read_bytes())
    (roll / "a\x1b]0;owned\x07.jpg").write_bytes((roll / "IMG_1.jpg").read_bytes())
    with terminal(seen, "rank", "photos", "--preview") as screen:
        assert screen.end() == 0
    assert screen.seen.count(HALF) > 8 * 20 * 10
    assert "[bold]x[red].jpg" in screen.seen
    assert "]0;owned\x07" not in screen.seen
    assert "8 photos: 8 ranked" in screen.seen
    assert re.search(r"38;2;(19|20)\d;[23]\d;[23]\d[;m]", screen.seen)  # red, as it was drawn


@posix
def test_a_preview_stops_at_the_limit(seen: Iq, roll: Path) -> None:
    with terminal(seen, "rank", "photos", "--preview", "--limit", "1") as screen:
        assert screen.end() == 0
    assert "1. " in screen.seen and "2. " not in screen.seen
    assert "are drawn" not in screen.seen


def test_a_preview_is_for_terminals(iq: Iq, roll: Path) -> None:
    ran = iq("rank", "photos", "--preview")
    assert (ran.code, ran.out) == (2, b"")
    assert ran.lines == ["iq: --preview needs a terminal as stdin and stdout; leave it out here"]
    ran = iq("rank", "photos", "--preview", "-f", "csv")
    assert ran.code == 2 and "no csv" in ran.err


@posix
def test_a_preview_needs_colours(iq: Iq, roll: Path) -> None:
    with terminal(iq, "rank", "photos", "--preview", NO_COLOR="1") as screen:
        assert screen.end() == 2
    assert "draws in colour" in screen.seen


@posix
@pytest.mark.parametrize("command", [("rank", "--preview"), ("cull", "--review")])
def test_a_missing_package_is_one_sentence(iq: Iq, roll: Path, command: tuple[str, ...]) -> None:
    broken = iq.home / "broken"
    broken.mkdir()
    for name in ("textual", "textual_image"):
        (broken / f"{name}.py").write_text("raise ModuleNotFoundError('no such package')")
    path = f"{broken}:{iq.environ['PYTHONPATH']}"
    with terminal(iq, command[0], "photos", command[1], PYTHONPATH=path) as screen:
        assert screen.end() == 2
    assert f"{command[1]} needs textual and textual-image" in screen.seen
    assert "pip install 'iqcli[review]'" in screen.seen
    assert "Traceback" not in screen.seen


def test_a_broken_thumbnail_is_none() -> None:
    good = encoded(scene(64, 48), "WEBP")
    picture = terminal_images.decode_thumbnail(good)
    assert picture is not None and picture.size == (64, 48)
    for broken in (
        None,
        b"",
        good[:40],
        encoded(scene(64, 48), "PNG"),
        encoded(scene(1100, 4), "WEBP"),
    ):
        assert terminal_images.decode_thumbnail(broken) is None


@pytest.mark.parametrize("drawn", [HalfcellImage, SixelImage, TGPImage])
def test_every_kind_of_terminal_is_drawn_for(
    drawn: terminal_images.Renderer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, color_system="truecolor", width=80)
    monkeypatch.setattr(terminal_images, "stdout_console", lambda: console)
    judged = Photo(Shot(Path("/r"), Path("/r/a.jpg")), rating=Rating(7.0, None, "m"))
    tall, wide = (encoded(scene(*size), "WEBP") for size in ((64, 96), (300, 20)))
    terminal_images.show([(row(judged, {"rank": 1}), each) for each in (tall, wide, None)], drawn)
    sign = {HalfcellImage: HALF, SixelImage: "\x1bP", TGPImage: "\U0010eeee"}[drawn]
    assert sign in screen.getvalue() and screen.getvalue().count("/r/a.jpg") == 3
