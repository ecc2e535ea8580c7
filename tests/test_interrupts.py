"""Signals end a run, also inside code in C, and what was measured is kept."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from support.cli_runner import Iq
from support.images import encoded, scene

from iqcli import interrupts
from iqcli.pipeline.cache import Cache

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Process = subprocess.Popen[bytes]

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="no such signals there"),
    pytest.mark.slow,
]

# Code in C that lets other threads run, and takes minutes; a line on stderr says that it is there.
IN_C = (
    "threading.Timer(0.2, print, ('inside',), {'file': sys.stderr, 'flush': True}).start(); "
    "hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"
)
# `iq` whose decoder is this for a photo that holds SLOW.
SLOW = b"SLOW"
WITH_SLOW_DECODER = f"""
import hashlib, os, sys, threading
from iqcli.photos import decode
opened = decode._opened
def slow(data, kind):
    if data.endswith({SLOW!r}):
        {IN_C}
    return opened(data, kind)
decode._opened = slow
from iqcli.__main__ import main
main()
"""
# A run whose main thread is inside C code.
STUCK = f"""
import hashlib, os, sys, threading
from contextlib import nullcontext
from iqcli import interrupts
def work():
    with interrupts.saving(lambda: os.write(1, b"saved")), PROMISE:
        {IN_C}
interrupts.run(work)
"""
# A model without a network, and a worker for each photo.
QUICK = ("-m", "brisque-refit", "-j", "4")
# Seconds after which a process is taken to go on for ever; it needs less than two.
FOR_EVER = 60


@pytest.fixture
def begun(iq: Iq) -> Iterator[list[Process]]:
    """The processes of a test, which are killed in the end."""
    processes: list[Process] = []

    def kill() -> None:
        for each in processes:
            each.kill()

    timer = threading.Timer(FOR_EVER, kill)  # else a test would wait for ever for what it reads
    timer.start()
    yield processes
    timer.cancel()
    kill()
    for each in processes:
        each.wait()
        for stream in (each.stdout, each.stderr):
            assert stream
            stream.close()


def start(
    iq: Iq, begun: list[Process], code: str, *words: str, max_seconds: str = "80000"
) -> Process:
    """A process that runs this code, as soon as it says that it is inside."""
    command = (sys.executable, "-c", code, *words)
    pipe = subprocess.PIPE
    env = iq.environ | {"IQ_MAX_SECONDS": max_seconds}
    begun.append(subprocess.Popen(command, cwd=iq.cwd, env=env, stdout=pipe, stderr=pipe))
    assert begun[-1].stderr
    assert begun[-1].stderr.readline() == b"inside\n"
    return begun[-1]


def ended(process: Process) -> tuple[int, bytes, bytes]:
    """The exit code, and what is still written."""
    out, err = process.communicate(timeout=FOR_EVER)
    return process.returncode, out, err


def photos(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        folder.mkdir(exist_ok=True)
        ending = SLOW if name.startswith("slow") else b""
        picture = encoded(scene(160, 120), "JPEG") + b"%d" % number
        (folder / f"{name}.jpg").write_bytes(picture + ending)


@pytest.mark.parametrize(
    ("number", "code", "why"),
    [
        (signal.SIGINT, 130, b"interrupted"),
        (signal.SIGTERM, 143, b"ended by SIGTERM"),
        (signal.SIGHUP, 129, b"ended by SIGHUP"),
    ],
)
def test_a_signal_ends_a_run_inside_a_decoder(
    iq: Iq, begun: list[Process], number: int, code: int, why: bytes
) -> None:
    """And the rows before are there already, and what was measured is kept."""
    photos(iq.cwd / "day", "a", "slow")
    process = start(iq, begun, WITH_SLOW_DECODER, "score", "day", "-f", "jsonl", *QUICK)
    assert process.stdout
    assert b'"./day/a.jpg"' in process.stdout.readline()
    process.send_signal(number)
    assert ended(process) == (code, b"", b"iq: %s; what was done so far is kept\n" % why)
    cache = Cache(iq.cache, pytest.fail)
    photo = iq.cwd / "day" / "a.jpg"
    assert cache.content(photo, photo.stat())
    cache.close()


def test_also_where_the_first_photo_holds_all_others(iq: Iq, begun: list[Process]) -> None:
    photos(iq.cwd / "day", *(f"slow{number}" for number in range(3)), "z")
    words = ("cull", "day", "--worst", "1", *QUICK)
    process = start(iq, begun, WITH_SLOW_DECODER, *words)
    for _ in range(2):
        assert process.stderr
        assert process.stderr.readline() == b"inside\n"
    process.send_signal(signal.SIGINT)
    assert ended(process) == (130, b"", b"iq: interrupted; what was done so far is kept\n")


def test_without_a_cache_nothing_is_kept(iq: Iq, begun: list[Process]) -> None:
    photos(iq.cwd / "day", "slow")
    process = start(iq, begun, WITH_SLOW_DECODER, "score", "day", "--no-cache", *QUICK)
    process.send_signal(signal.SIGINT)
    why = b"iq: interrupted; what was measured is not kept, by --no-cache\n"
    assert ended(process) == (130, b"", why)


def test_a_command_that_decodes_without_workers(iq: Iq, begun: list[Process]) -> None:
    photos(iq.cwd, "slow")
    process = start(iq, begun, WITH_SLOW_DECODER, "compare", "slow.jpg", "slow.jpg")
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 143


def test_a_reader_that_leaves_waits_for_no_more_than_one_photo(
    iq: Iq, begun: list[Process]
) -> None:
    """The next write ends the run: at the latest when the photo that holds it is given up."""
    photos(iq.cwd / "day", "a", "slow", "slow2", "slow3")
    words = ("score", "day", "-f", "csv", *QUICK[:-1], "1")
    process = start(iq, begun, WITH_SLOW_DECODER, *words, max_seconds="0.5")
    assert process.stdout
    assert process.stdout.readline().startswith(b"schema,path,")
    process.stdout.close()
    assert process.stderr
    assert b"slow3" not in process.stderr.read()
    assert process.wait(FOR_EVER) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_main_thread_in_c_is_cut_off(iq: Iq, begun: list[Process], number: int) -> None:
    process = start(iq, begun, STUCK.replace("PROMISE", "nullcontext()"))
    process.send_signal(number)
    code, out, err = ended(process)
    assert (code, out) == (128 + number, b"saved")
    assert err.endswith(b"; what was done so far is kept\n") and err.count(b"\n") == 1


def test_a_promise_is_cut_off_by_the_second_signal_alone(iq: Iq, begun: list[Process]) -> None:
    process = start(iq, begun, STUCK.replace("PROMISE", "interrupts.promise('do iq undo')"))
    process.send_signal(signal.SIGINT)
    time.sleep(interrupts.GRACE + 0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert ended(process) == (130, b"saved", b"iq: interrupted; do iq undo\n")


def test_what_the_parent_ignores_stays_ignored(iq: Iq) -> None:
    """As under nohup."""
    code = """
import os, signal
from iqcli import interrupts
def work():
    os.kill(os.getpid(), signal.SIGHUP)
    return 5
signal.signal(signal.SIGHUP, signal.SIG_IGN)
interrupts.run(work)
"""
    command = (sys.executable, "-c", code)
    assert subprocess.run(command, env=iq.environ, timeout=FOR_EVER).returncode == 5


def test_signals_are_heard_again_after_they_were_lent(iq: Iq) -> None:
    code = """
import asyncio, os, signal
from iqcli import interrupts
async def other():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, os.write, 1, b"lent")
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0.1)
def work():
    with interrupts.lent():
        asyncio.run(other())
    os.kill(os.getpid(), signal.SIGTERM)
interrupts.run(work)
"""
    command = (sys.executable, "-c", code)
    done = subprocess.run(command, env=iq.environ, capture_output=True, timeout=FOR_EVER)
    assert (done.returncode, done.stdout) == (143, b"lent")


# The second thread may hear a signal before the main thread does.
NOTED_FIRST = """
import signal
from iqcli import interrupts
def work():
    interrupts.note(signal.SIGTERM)
    try:
        interrupts._interrupt(signal.SIGTERM, None)
    except KeyboardInterrupt:
        interrupts.dismiss()
        return 7
interrupts.run(work)
"""


def test_a_signal_that_the_second_thread_heard_first_is_one_signal() -> None:
    done = subprocess.run(
        [sys.executable, "-c", NOTED_FIRST], capture_output=True, timeout=FOR_EVER
    )
    assert (done.returncode, done.stderr) == (7, b"")


# A signal right behind the BEGIN of a commit, which diskcache would leave open.
BEHIND_BEGIN = """
import os, signal, sys
from pathlib import Path
import diskcache
from iqcli import interrupts
from iqcli.pipeline.cache_store import Store
def interrupting(execute):
    def run(statement, *values):
        found = execute(statement, *values)
        if statement.startswith("BEGIN"):
            os.kill(os.getpid(), signal.SIGINT)
        return found
    return run
def work():
    store = Store(Path(sys.argv[1]), print)
    store.put(b"key", b"value")
    plain = diskcache.Cache._sql
    diskcache.Cache._sql = property(lambda db: interrupting(plain.fget(db)))
    try:
        store.flush()
    except KeyboardInterrupt:
        diskcache.Cache._sql = plain
        store.put(b"other", b"value")
        store.close()
        print(Store(Path(sys.argv[1]), print).count())
    return 7
interrupts.run(work)
"""


def test_a_signal_waits_for_the_end_of_a_commit(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEHIND_BEGIN, tmp_path], capture_output=True, timeout=FOR_EVER
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, b"2\n", b"")
    assert not [*tmp_path.glob("*damaged*")]
