"""What takes too long to decode is given up, by the time of the processor."""

from __future__ import annotations

import hashlib
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from support.images import dng, encoded, noise, scene
from support.more_formats import jxl, psd

from iqcli import interrupts
from iqcli.errors import IqError, PhotoError, TooSlow
from iqcli.photos import decode, read, time_limit
from iqcli.photos.time_limit import allow, at_most, bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

JPEG = encoded(noise(64, 48), "JPEG")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test gives up is of no account for the next, nor for the end of this process."""
    monkeypatch.setattr(interrupts, "_threads_left", False)
    monkeypatch.setattr(time_limit, "_idle", [])
    monkeypatch.setattr(time_limit, "_given_up", left := [])
    yield
    for thread in left:
        thread.join(60)


def seconds_in_c(seconds: float) -> bytes:
    """Code in C that takes so much time of the processor, and lets other threads run."""
    began = time.thread_time()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 20_000)
    each = (time.thread_time() - began) / 20_000
    return hashlib.pbkdf2_hmac("sha256", b"", b"", int(seconds / each))


def test_a_result_and_an_error_come_back() -> None:
    assert bounded(lambda a, *, b: (a, b, threading.current_thread().name))(1, b=2) == (
        *(1, 2),
        "decoder",
    )
    with pytest.raises(ZeroDivisionError):
        bounded(lambda: 1 // 0)()


def test_decoders_within_decoders_share_a_thread_and_a_limit() -> None:
    inner = bounded(threading.get_ident)
    assert len(set(bounded(lambda: (threading.get_ident(), inner()))())) == 1


def test_threads_are_used_again() -> None:
    assert len({bounded(threading.get_ident)() for _ in range(5)}) == 1


@pytest.mark.slow
def test_what_is_stuck_in_c_is_given_up() -> None:
    stuck = bounded(lambda: seconds_in_c(0.6))
    with at_most(0.1), pytest.raises(TooSlow, match=r"takes more than 0.1 s: skipped \(raise max_"):
        stuck()
    assert bounded(lambda: 1)() == 1  # in another thread
    assert interrupts._threads_left  # the process will not wait for it
    assert stuck()  # with the usual limit there is time enough


def test_what_is_stuck_in_python_ends() -> None:
    def forever() -> None:
        while True:
            pass

    with at_most(0.1), pytest.raises(TooSlow):
        bounded(forever)()
    (thread,) = time_limit._given_up
    thread.join(30)
    assert not thread.is_alive()


def test_waiting_costs_nothing() -> None:
    """A busy machine or a slow disk is no fault of the file."""

    def waiting() -> bool:
        time.sleep(0.5)
        return True

    with at_most(0.1):
        assert bounded(waiting)()


def test_a_large_picture_may_take_longer() -> None:
    def large() -> bytes:
        allow("png", 100)
        return seconds_in_c(0.5)

    with at_most(0.1):
        assert bounded(large)()


@pytest.mark.parametrize("kind", ["heif", "avif"])
def test_decoders_with_threads_of_their_own(kind: str) -> None:
    def elsewhere() -> None:
        allow(kind, 0.001)
        thread = threading.Thread(target=seconds_in_c, args=(1.0,))
        thread.start()
        thread.join()

    with at_most(0.2), pytest.raises(TooSlow):
        bounded(elsewhere)()


def test_where_the_system_keeps_no_time_of_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limit, "_thread_clock", None)
    with at_most(0.2), pytest.raises(TooSlow):
        bounded(lambda: seconds_in_c(1.0))()


def test_few_threads_are_given_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limit, "MOST", 2)
    end = threading.Event()
    for _ in range(2):
        time_limit._given_up.append(threading.Thread(target=end.wait))
        time_limit._given_up[-1].start()
    with pytest.raises(IqError, match="2 photos take too long to decode") as refused:
        bounded(lambda: 1)()
    assert not isinstance(refused.value, PhotoError)
    end.set()
    for thread in list(time_limit._given_up):
        thread.join(60)
    assert bounded(lambda: 1)() == 1


def test_an_interrupt_lets_go_of_the_thread() -> None:
    def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    bounded(lambda: 1)()  # one is idle
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(threading.Event, "wait", interrupted)
        job = time_limit._Job(lambda: 1, 3.0)
        with suppress(KeyboardInterrupt):
            time_limit._carry_out(job)
    (thread,) = time_limit._given_up
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize("way", [read.read_photo, read.read_whole])
def test_every_way_to_read_a_photo_is_limited(way, monkeypatch: pytest.MonkeyPatch) -> None:
    real = decode._opened

    def slow(data: bytes, kind: str) -> object:
        seconds_in_c(0.6)
        return real(data, kind)

    monkeypatch.setattr(decode, "_opened", slow)
    with at_most(0.1), pytest.raises(TooSlow):
        way(JPEG, max_megapixels=1)


def test_size_and_format_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(time_limit, "allow", lambda *of: asked.append(of))
    read.read_photo(encoded(scene(400, 250), "PNG"), max_megapixels=1)
    assert asked == [("png", 0.1)]


def longest_silence(work: Callable[[], object]) -> float:
    """The longest time that `work` lets no other thread run, as a share (0..1) of its own time."""
    ticks, end = [time.monotonic()], threading.Event()

    def tick() -> None:
        while not end.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        work()
    finally:
        end.set()
        thread.join()
    ticks.append(time.monotonic())
    return float(np.diff(ticks).max() / (ticks[-1] - ticks[0]))


def lets_others_run(work: Callable[[], object]) -> bool:
    """Of several tries, for on a busy machine a thread may have to wait."""
    return any(longest_silence(work) < 0.5 for _ in range(6))


def test_a_decoder_that_stops_all_threads_is_noticed() -> None:
    assert not lets_others_run(lambda: sum(range(1_000_000)))
    assert lets_others_run(lambda: seconds_in_c(0.1))


@pytest.mark.parametrize(
    ("kind", "width", "height"),
    [
        ("JPEG2000", 600, 400),
        ("JPEG", 1600, 1200),
        ("PNG", 1200, 900),
        ("WEBP", 800, 600),
        ("GIF", 1600, 1200),
        ("BMP", 3000, 2000),
        ("TIFF", 1600, 1200),
        ("HEIF", 500, 400),
        ("AVIF", 600, 400),
        ("JPEG XL", 400, 300),
        ("PSD", 3000, 2000),
        ("PPM", 3000, 2000),
        ("DNG", 1600, 1200),
    ],
)
def test_other_threads_run_while_a_photo_is_decoded(kind: str, width: int, height: int) -> None:
    """Else no signal is heard meanwhile, and nothing can be given up."""
    made = {"JPEG XL": jxl, "PSD": psd, "DNG": lambda pixels: dng(pixels, None)}
    options = {
        "TIFF": {"compression": "tiff_lzw"},
        "AVIF": {"speed": 10},
        "PNG": {"compress_level": 1},
    }
    pixels = noise(width, height)
    if kind in made:
        data = made[kind](pixels)
    elif kind == "GIF":
        data = encoded(Image.fromarray(pixels[..., 0]), "GIF")
    else:
        data = encoded(pixels, kind, **options.get(kind, {}))
    assert lets_others_run(lambda: read.read_photo(data, max_megapixels=10))
