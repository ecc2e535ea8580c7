"""`iq score --watch` beside programs that write as cameras, browsers and rsync do."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.images import encoded, noise, scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.cli_runner import Iq

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="ends by a signal"),
    pytest.mark.slow,
]

JPEG, OTHER = encoded(scene(320, 240), "JPEG"), encoded(noise(320, 240), "JPEG")
SETTLE = 0.25
# Long enough for a wrong row to appear.
LULL = 2.5 * SETTLE
# A model that needs no network: it is there in no time.
WORDS = ("--model", "brisque-refit", "--settle", str(SETTLE))


class Watching:
    """A running `iq score --watch photos`."""

    def __init__(self, iq: Iq, *words: str) -> None:
        self.process = iq.start(
            "score", "--watch", "photos", *WORDS, *words, stdin=subprocess.DEVNULL
        )
        assert self.process.stdout and self.process.stderr
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._out = self.process.stdout
        self.messages: list[str] = []
        self._threads = [
            threading.Thread(target=self._read_out),
            threading.Thread(target=self._read_err),
        ]
        for thread in self._threads:
            thread.start()
        self.until(lambda: any(line.startswith("watching ") for line in self.messages))

    def _read_out(self) -> None:
        for line in self._out:
            self._lines.put(line)

    def _read_err(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.messages.append(line.decode().rstrip("\n"))

    def until(self, is_so: Callable[[], bool]) -> None:
        for _ in range(400):
            if is_so():
                return
            time.sleep(0.05)
        raise AssertionError(f"it never came; iq wrote {self.messages}")

    def line(self) -> bytes:
        return self._lines.get(timeout=20)

    def row(self) -> dict[str, Any]:
        return json.loads(self.line())

    def names(self, number: int) -> set[str]:
        return {self.row()["path"].rpartition("/")[2] for _ in range(number)}

    def is_silent(self) -> bool:
        time.sleep(LULL)
        return self._lines.empty()

    def end(self, number: int = signal.SIGTERM) -> int:
        """The exit code after this signal."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(20)
        for thread in self._threads:
            thread.join()
        self._out.close()
        assert self.process.stderr
        self.process.stderr.close()
        return code


@pytest.fixture
def watching(iq: Iq) -> Iterator[Callable[..., Watching]]:
    """Starts `iq score --watch photos`, and ends it after the test."""
    begun: list[Watching] = []

    def start(*words: str) -> Watching:
        begun.append(Watching(iq, *(words or ("--format", "jsonl"))))
        return begun[-1]

    yield start
    for each in begun:
        each.end(signal.SIGKILL)


@pytest.fixture
def photos(iq: Iq) -> Path:
    return iq.cwd / "photos"


def slowly(path: Path, data: bytes, pause: float) -> None:
    """Write a file in parts, as over a slow line."""
    with path.open("wb") as file:
        for start in range(0, len(data), 1 + len(data) // 4):
            file.write(data[start : start + 1 + len(data) // 4])
            file.flush()
            time.sleep(pause)


def test_a_file_that_is_being_written_waits(
    photos: Path, watching: Callable[..., Watching]
) -> None:
    (photos / "before.jpg").write_bytes(JPEG)
    watch = watching()
    slowly(photos / "slow.jpg", JPEG, SETTLE / 2)
    row = watch.row()
    assert (row["path"], row["error"]) == ("./photos/slow.jpg", None)
    assert 1 <= row["score"] <= 10
    # A connection that hangs for longer than the settling time.
    slowly(photos / "hanging.jpg", OTHER, 2 * SETTLE)
    row = watch.row()
    assert (row["path"], row["error"]) == ("./photos/hanging.jpg", None)
    assert watch.is_silent()
    assert watch.end() == 0
    assert watch.messages[-1] == "2 photos arrived: 2 scored"


def test_what_comes_by_another_name_and_in_new_folders(
    photos: Path, watching: Callable[..., Watching]
) -> None:
    watch = watching()
    for name in (".IMG_1.jpg.Xq81aZ", "IMG_2.jpg.part", ".iq-part-IMG_3.jpg"):
        (photos / name).write_bytes(JPEG)
    assert watch.is_silent()
    (photos / ".IMG_1.jpg.Xq81aZ").rename(photos / "IMG_1.jpg")
    (photos / "IMG_2.jpg.part").rename(photos / "IMG_2.jpg")
    assert watch.names(2) == {"IMG_1.jpg", "IMG_2.jpg"}
    deep = photos / "card" / "DCIM"
    deep.mkdir(parents=True)
    (deep / "IMG_4.jpg").write_bytes(OTHER)
    (deep / "IMG_4.dng").write_bytes(b"raw")
    row = watch.row()
    assert row["path"] == "./photos/card/DCIM/IMG_4.jpg"
    assert row["companions"] == ["./photos/card/DCIM/IMG_4.dng"]
    assert watch.is_silent()


def test_a_file_that_is_overwritten_is_scored_again(
    photos: Path, watching: Callable[..., Watching]
) -> None:
    watch = watching()
    (photos / "a.jpg").write_bytes(JPEG)
    first = watch.row()
    os.utime(photos / "a.jpg", ns=(1, 1))
    (photos / "a.dng").write_bytes(b"raw")
    assert watch.is_silent()
    (photos / "a.jpg").write_bytes(OTHER)
    again = watch.row()
    assert (again["path"], again["companions"]) == ("./photos/a.jpg", ["./photos/a.dng"])
    assert (again["sha256"], again["score"]) != (first["sha256"], first["score"])


def test_a_disk_that_goes_and_comes_back(photos: Path, watching: Callable[..., Watching]) -> None:
    watch = watching()
    (photos / "a.jpg").write_bytes(JPEG)
    assert watch.names(1) == {"a.jpg"}
    aside = photos.rename(photos.with_name("aside"))
    gone = "iq: ./photos: is not there any more; waiting for it"
    watch.until(lambda: gone in watch.messages)
    (aside / "b.jpg").write_bytes(OTHER)
    aside.rename(photos)
    assert watch.names(1) == {"b.jpg"}
    assert watch.is_silent()
    assert watch.messages.count(gone) == watch.messages.count("iq: ./photos: is back") == 1


def test_what_stays_broken_is_named(photos: Path, watching: Callable[..., Watching]) -> None:
    (photos / "there.jpg").write_bytes(OTHER)
    watch = watching("--existing", "--format", "csv", "--settle", "0.1")
    assert watch.line().startswith(b"schema,path,")
    assert b"./photos/there.jpg" in watch.line()
    (photos / "cut.jpg").write_bytes(JPEG[:600])
    assert b"JPEG data ends early" in watch.line()
    watch.until(lambda: "iq: ./photos/cut.jpg: JPEG data ends early" in watch.messages)
    assert watch.end() == 1
    assert watch.messages[-1] == "2 photos arrived: 1 scored, 1 without a score"
    again = watching("--existing", "--format", "csv", "--settle", "0.1", "--ignore-unreadable")
    again.until(lambda: "iq: ./photos/cut.jpg: JPEG data ends early" in again.messages)
    assert again.end() == 0


def test_what_stays_damaged_is_scored_and_counted(
    photos: Path, watching: Callable[..., Watching]
) -> None:
    watch = watching("--format", "jsonl", "--settle", "0.1")
    (photos / "cut.jpg").write_bytes(JPEG[: len(JPEG) // 2])
    assert b'"damaged"' in watch.line()
    assert watch.end() == 0
    assert watch.messages[-1] == "1 photo arrived: 1 scored (1 damaged)"


def test_ctrl_c_reports_the_counts(photos: Path, watching: Callable[..., Watching]) -> None:
    watch = watching("--format", "paths", "-0", "--existing")
    (photos / "new\nline.jpg").write_bytes(JPEG)
    assert watch.line() == b"./photos/new\n"
    assert watch.end(signal.SIGINT) == 130
    assert watch.messages[1:] == [
        "1 photo arrived: 1 scored",
        "iq: interrupted; what was done so far is kept",
    ]


def test_it_ends_silently_on_a_closed_pipe(iq: Iq, photos: Path, tmp_path: Path) -> None:
    """Although no photo comes that would make it write."""
    with (tmp_path / "err").open("wb") as err:
        process = iq.start("score", "--watch", "photos", *WORDS, "-q", "-f", "jsonl", stderr=err)
        assert process.stdout
        process.stdout.close()
        assert process.wait(20) == 0
    assert (tmp_path / "err").read_bytes() == b""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("photos", "--watch"), "--watch writes as photos come; give --format csv, jsonl or paths"),
        (("photos", "--watch", "-f", "json"), "give --format csv, jsonl or paths with it"),
        (("photos/a.jpg", "--watch", "-f", "csv"), "./photos/a.jpg is no folder; --watch watches"),
        (("-", "--watch", "-f", "csv"), "the list on stdin is no folder; --watch watches folders"),
        (("--watch", "-f", "csv"), "no path is given"),
        (("", "--watch", "-f", "csv"), "a path is empty"),
        (("photos", "--watch", "-f", "csv", "--limit", "3"), "--limit need all photos"),
        (("photos", "--watch", "-f", "csv", "--settle", "nan"), "--settle is nan; give 0.05 to"),
        (("photos", "--watch", "-f", "csv", "--settle", "0"), "--settle is 0.0; give 0.05 to"),
        (("photos", "--settle", "2"), "--existing and --settle are for --watch"),
    ],
)
def test_what_cannot_be_watched(iq: Iq, photos: Path, words: tuple[str, ...], message: str) -> None:
    (photos / "a.jpg").write_bytes(JPEG)
    ran = iq("score", *words)
    assert (ran.code, ran.out, len(ran.lines)) == (2, b"", 1)
    assert message in ran.lines[0]
