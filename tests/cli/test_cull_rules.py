"""A run that cannot be: one clear line on stderr, exit 2, and nothing touched."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support.images import encoded, scene
from support.photo_trees import tree

from iqcli.cli import app
from iqcli.pipeline.cache import Cache

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli_runner import Iq

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="other signals and screens"),
    pytest.mark.slow,
]

SHARE = "give a share from 0% to 100%"
QUOTA = "give how many, as 3, or a share, as 20%"
SCORE = "give a number from 1 to 10"
WRONG = [
    (["cull", "photos", "--worst", "120%"], "--worst is '120%'", QUOTA),
    (["cull", "photos", "--worst", "-1%"], "--worst is '-1%'", QUOTA),
    (["cull", "photos", "--worst", "nan"], "--worst is 'nan'", QUOTA),
    (["cull", "photos", "--worst", "0.2"], "--worst is '0.2'", 'give "20%"'),
    (["cull", "photos", "--worst", "5%", "--max-reject", "7"], "'7'; a share needs", 'give "7%"'),
    (["cull", "photos", "--worst", "5%", "--max-reject", "700%"], "--max-reject is '700%'", SHARE),
    (["cull", "photos", "--below", "cat"], "--below", "valid number"),
    (["cull", "photos", "--below", "11"], "--below is 11", SCORE),
    (["cull", "photos", "--below", "nan"], "--below is nan", SCORE),
    (["cull", "photos", "--per", "burst"], "--per says of what", "--keep or --worst"),
    (["cull", "photos", "--below", "4", "--per", "day"], "--per says of what", "one of them"),
    (["cull", "photos", "--worst", "5%", "--margin", "1"], "--margin is for", "give --keep"),
    (["cull", "photos", "--keep-moments"], "--keep-moments is for", "give one of them"),
    (["cull", "photos", "--below", "4", "--keep-moments"], "--keep-moments is for", "--worst"),
    (["cull", "photos", "--dry-run", "--apply"], "--dry-run changes nothing", "leave one"),
    (["cull", "photos", "--keep", "2", "--margin", "nan"], "--margin is nan", "from 0 to 9"),
    (["cull", "photos", "--keep", "0"], "--keep is '0'", "from 1 to"),
    (["cull", "photos", "--keep", "0%"], "--keep is '0%'", QUOTA),
    (["cull", "photos", "--keep", "half"], "--keep is 'half'", QUOTA),
    (["cull", "photos", "--keep", "0.3"], "--keep is '0.3'", 'give "30%"'),
    (["cull", "photos", "--keep", "2", "--per", "week"], "--per is 'week'", "burst, scene, day"),
    (["cull", "photos", "--worst", "5%", "--action", "burn"], "--action is 'burn'", "move, copy"),
    (["cull", "photos", "--worst", "5%", "--embed"], "--embed says how", "give --xmp with it"),
    (["cull", "photos", "--action", "list", "-f", "csv"], "prints paths", "leave --format out"),
    (["cull", "photos", "--action", "list", "--xmp"], "touches nothing", "leave --xmp out"),
    (["cull", "photos", "--html", "lost/s.html"], "no folder ./lost", "make it first"),
    (["cull", "photos", "--plan", "lost/a.plan"], "no folder ./lost", "make it first"),
    (["cull", "photos", "--plan", "photos/IMG_1.jpg"], "no plan of iq", "another name"),
    (
        ["export", "photos", "--html", "s.html", "--xmp"],
        "the sheet would lack",
        "--html in a second run",
    ),
    (["export", "photos", "--html", "s.html", "--limit", "2"], "are for rows", "--format or"),
    (["export", "photos", "--xmp", "--sort", "score"], "are for rows", "give --format or"),
    (["export", "photos", "--xmp", "--reverse"], "are for rows", "give --format or"),
    (["export", "photos", "--xmp", "--stars", ""], "--stars is ''", "in 4,5,6,7"),
    (["cull", "photos", "--review"], "--review needs a terminal", "leave it out"),
    (["cull", "--from-plan", "p", "--html", "s.html"], "own photos", "--from-plan alone"),
    (["cull", "--from-plan", "p", "--keep", "1"], "own photos", "--from-plan alone"),
    (["cull", "--from-plan", "p", "--keep-moments"], "own photos", "--from-plan alone"),
    (["cull", "--from-plan", "p", "--include-sets"], "own photos", "--from-plan alone"),
    (["cull", "photos", "--promise", "0%"], "--promise is 0%", "above 0% and under 100%"),
    (["cull", "photos", "--promise", "0.01"], "--promise is '0.01'", 'give "1%"'),
    (["cull", "photos", "--promise", "few"], "--promise is 'few'", SHARE),
    (["cull", "--from-plan", "p", "--promise", "1%"], "own photos", "--from-plan alone"),
    (["cull", "photos", "--from-plan", "p", "--below", "3"], "own photos", "--from-plan alone"),
    (["cull", "--from-plan", "no.plan"], "cannot read ./no.plan", "No such file"),
    (["cull", "--from-plan", "photos/IMG_1.jpg"], "photos/IMG_1.jpg", "is no plan"),
    (["score", "photos", "--colour"], "No such option", "--colour"),
    (["scroe", "photos"], "No such command 'scroe'", "Did you mean"),
    (["score"], "no path is given", "name a folder or photos"),
    (["score", ""], "a path is empty", ". for this folder"),
    (["score", "photos", "lost"], "no file or folder ./lost", "check the name"),
    (["score", "photos", "lo\nst\x1b[0m"], r"lo\nst\x1b[0m", "check the name"),
    (["score", "photos", "-f", "xml"], "--format is 'xml'", "table, csv, json, jsonl, paths"),
    (["rank", "photos", "--sort", "nonsense"], "--sort is 'nonsense'", "give one of schema, path"),
    (["score", "photos", "--sort", "issues"], "--sort is 'issues'", "give one of"),
    (["score", "photos", "--limit", "-1"], "--limit", "greater than or equal to 0"),
    (["score", "photos", "--print0"], "--print0 ends paths", "give --format paths"),
    (["score", "photos", "--device", "gpu"], "--device is 'gpu'", "auto, cpu, cuda, mps"),
    (["score", "photos", "--jobs", "-1"], "--jobs is -1", "from 0 to 256"),
    (["score", "photos", "--batch-size", "lots"], "--batch-size is 'lots'", "a whole number"),
    (["score", "photos", "--max-megapixels", "nan"], "--max-megapixels is nan", "a number from"),
    (["score", "photos", "--cache-dir", ""], "--cache-dir is ''", "give a folder"),
    (["score", "photos", "--model", "nope"], "no model 'nope'", "give one of fusion-mini"),
    (
        ["score", "photos", "--model", "no.safetensors"],
        "there is no file ./no.saf",
        "check the name",
    ),
    (["models", "info", "nope"], "no model 'nope'", "give one of"),
    (["export", "photos", "-o", "scores.xls"], "--output is 'xls'", "give one of csv, json"),
    (["export", "photos", "-f", "parquet"], "Parquet goes to a file", "--output"),
    (["export", "photos", "-o", "lost/s.csv"], "no folder ./lost for s.csv", "make it first"),
    (["export", "photos", "-f", "csv", "-o", "photos/IMG_1.jpg"], "IMG_1.jpg", "another name"),
    (["undo"], "no run is left to undo", "iq history"),
    (["undo", "nope"], "no run 'nope' can be undone", "iq history"),
    (["eval", "photos"], "./photos", "give a CSV file"),
    (["eval"], "give one CSV file", "not 0"),
    (["train", "fusion", "x.csv"], "Missing option", "--output"),
    (["train", "issues", "photos", "-o", "photos/IMG_1.jpg"], "IMG_1.jpg", "ends in .safetensors"),
]


@pytest.mark.parametrize(("given", "fact", "way_out"), WRONG, ids=lambda value: str(value)[:40])
def test_one_line_and_nothing_touched(
    iq: Iq,
    roll: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given: list[str],
    fact: str,
    way_out: str,
) -> None:
    before = tree(iq.cwd)
    for name, value in iq.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(iq.cwd)
    monkeypatch.setattr(sys, "argv", ["iq", *given])
    assert app.run() == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("iq: ")
    assert told.err.count("\n") == 1
    assert told.err.isascii() and told.err[:-1].isprintable()
    assert fact in told.err and way_out in told.err
    assert tree(iq.cwd) == before
    assert list(iq.home.iterdir()) == []


def test_a_device_that_is_not_there(iq: Iq, roll: Path) -> None:
    import torch

    missing = "mps" if torch.cuda.is_available() else "cuda"
    ran = iq("score", "photos", "--device", missing)
    assert ran.code == 2
    assert ran.lines == [
        f"iq: torch finds no {missing} device here; give --device auto or --device cpu"
    ]
    assert not iq.cache.exists()


BESIDE = {
    "nope = 1": "'nope' is no setting of iq; remove that line",
    'cache_dir = "/tmp"': "'cache_dir' may only stand in your own config; remove that line",
    'model = "x.safetensors"': "'model' may only stand in your own config; remove that line",
    "format = 3": "format is 3; give one of table, csv, json, jsonl, paths",
    "max_reject = true": "max_reject is True; give a share from 0% to 100%",
    "= what": "cannot read the settings in",
    "\0": "cannot read the settings in",
}


@pytest.mark.parametrize("text", BESIDE)
def test_a_broken_file_beside_the_photos(iq: Iq, roll: Path, text: str) -> None:
    (roll / ".iq.toml").write_text(text)
    ran = iq("score", "photos")
    assert ran.code == 2
    assert len(ran.lines) == 1
    assert BESIDE[text] in ran.err and ".iq.toml" in ran.err
    assert not iq.cache.exists()


def test_a_broken_environment(iq: Iq, roll: Path) -> None:
    for name, value in {"IQ_JOBS": "many", "IQ_MAX_REJECT": "300%", "IQ_DEVICE": "gpu"}.items():
        ran = iq("score", "photos", **{name: value})
        assert ran.code == 2
        assert len(ran.lines) == 1
        assert ran.err.startswith(f"iq: {name} is {value!r}; give ")
    ran = iq("score", "photos", IQ_CONFIG="lost.toml")
    assert (ran.code, ran.lines) == (
        2,
        ["iq: IQ_CONFIG names lost.toml, which is no file; mend or unset it"],
    )


def test_what_lies_beside_the_photos_may_choose_the_format(iq: Iq, roll: Path) -> None:
    (roll / ".iq.toml").write_text('format = "paths"\n')
    assert iq("score", "photos/IMG_1.jpg").out == b"./photos/IMG_1.jpg\n"


def test_no_photo_is_exit_3(iq: Iq) -> None:
    (iq.cwd / "photos" / "notes.txt").write_text("none")
    ran = iq("score", "photos")
    assert (ran.code, ran.out, ran.lines) == (3, b"", ["iq: no photo in ./photos"])
    assert iq("score", "-").lines == ["iq: no photo in the list on stdin"]


def test_a_command_alone_says_what_there_is(iq: Iq) -> None:
    for words in ([], ["train"], ["cache"]):
        ran = iq(*words)
        assert (ran.code, ran.out) == (2, b"")
        assert ran.err.startswith(" ".join(["Usage: iq", *words]))
        assert "Commands:\n" in ran.err
    assert "fusion-mini" in iq("models").out.decode()


def test_a_key_press_ends_it_and_the_cache_is_kept(iq: Iq) -> None:
    photo = encoded(scene(600, 400), "JPEG")
    for number in range(80):
        (iq.cwd / "photos" / f"{number}.jpg").write_bytes(photo + b"%d" % number)
    process = iq.start("score", "photos", "--jobs", "1")
    deadline = time.monotonic() + 60
    while not kept(iq) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pause in (0.1, 0):  # people press it twice
        process.send_signal(signal.SIGINT)
        time.sleep(pause)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (out, err) == (b"", b"iq: interrupted; what was done so far is kept\n")
    assert kept(iq) > 0


def kept(iq: Iq) -> int:
    """How many entries the cache has on the disk."""
    if not any(iq.cache.rglob("cache.db")):
        return 0
    info = Cache(iq.cache, pytest.fail).info()
    return info.entries if info else 0


@pytest.mark.parametrize("form", ["table", "csv", "jsonl", "paths"])
def test_a_reader_that_goes_away_ends_it_silently(iq: Iq, roll: Path, form: str) -> None:
    process = iq.start("score", "photos", "-f", form, "--model", "brisque-refit")
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(30) == 0


def test_a_full_disk_is_one_line(iq: Iq, roll: Path) -> None:
    for form in ("table", "csv"):
        with open("/dev/full", "wb") as full:  # noqa: PTH123
            words = ("score", "photos", "-f", form, "--model", "brisque-refit")
            process = iq.start(*words, stdout=full)
            _, err = process.communicate(timeout=30)
        assert process.returncode == 2
        assert err.decode().startswith("iq: cannot write the results: No space left on device")
        assert err.count(b"\n") == 1


def test_streams_that_the_shell_closed(iq: Iq, roll: Path) -> None:
    def close() -> None:
        os.close(1)
        os.close(2)

    words = ("score", "photos", "-f", "csv", "--model", "brisque-refit")
    process = iq.start(*words, stdout=None, stderr=None, preexec_fn=close)
    assert process.wait(60) == 0


def on_a_screen(iq: Iq, *args: str, **environ: str) -> bytes:
    """Stdout of a run that has a terminal, 200 columns wide, there and on stderr."""
    import pty
    import tty

    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    iq.changes |= {"TERM": "xterm-256color", "COLUMNS": "200"} | environ
    process = iq.start(*args, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # how Linux says that the other end is closed
        while part := os.read(ours, 65536):
            seen += part
    os.close(ours)
    assert process.wait(30) == 0
    return seen


def test_only_colour_depends_on_the_terminal(iq: Iq, roll: Path) -> None:
    plain = iq("score", "photos")
    assert b"\x1b" not in plain.out
    assert b"\x1b[" in on_a_screen(iq, "score", "photos", "-q")
    seen = on_a_screen(iq, "score", "photos", "-q", NO_COLOR="1")
    assert b"\x1b" not in seen
    assert [line.split() for line in seen.splitlines()] == [
        line.split() for line in plain.out.splitlines()
    ]
    assert (
        on_a_screen(iq, "score", "photos", "-q", "-f", "csv")
        == iq("score", "photos", "-f", "csv").out
    )


def test_rows_on_a_screen_do_not_run_into_the_bar(iq: Iq) -> None:
    photo = encoded(scene(600, 400), "JPEG")
    for number in range(30):
        (iq.cwd / "photos" / f"{number}.jpg").write_bytes(photo + b"%d" % number)
    seen = on_a_screen(iq, "score", "photos", "-f", "paths")
    bar, _, rows = seen.partition(b"./photos/")
    assert b"photos/s" in bar
    assert b"\x1b" not in rows
    assert rows.count(b"./photos/") == 29
    assert rows.endswith(b"30 photos: 30 scored\n")
