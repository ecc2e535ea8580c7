"""A limit on the time that one file may take to decode.

Nothing stops a thread inside a decoder written in C. So each file is decoded in a thread of ours
while its caller waits, and a thread that takes too long is given up: the caller gets an error, and
the next file another thread.

What counts is time of the processor: a busy machine, or a slow disk, is no fault of the file.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager, suppress
from functools import wraps
from queue import SimpleQueue
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from iqcli import interrupts
from iqcli.errors import IqError, TooSlow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

P = ParamSpec("P")
T = TypeVar("T")

# Seconds for any file, and more for each megapixel. A noisy photo of 12 megapixels takes, on one
# core of a server: JPEG .1 s (progressive .2), TIFF .1, GIF .1, AVIF .3, PNG .4, WebP .4, HEIC and
# JPEG 2000 1.0. So it has 8 to 30 times that, and one of 250 megapixels at least three times.
SECONDS = 3.0
PER_MEGAPIXEL = {"jpeg": 0.04, "png": 0.15, "webp": 0.15, "gif": 0.06, "tiff": 0.1, "avif": 0.15}
# HEIC, JPEG 2000, raw files and whatever is new.
OTHERS = 0.4
# Decoders with threads of their own: that of their caller only waits.
OWN_THREADS = {"heif", "avif", "jxl"}
# So many threads may be given up at once; each keeps its memory, and a core busy.
MOST = 8
# Seconds between two looks at a thread that is decoding.
PAUSE = 0.1


class _Job:
    """A decode in progress. `allowed` are its seconds, of which it has used `spent`."""

    def __init__(self, work: Callable[[], object], base: float) -> None:
        self._work = work
        self._base = base
        self._shared = _thread_clock is None
        self._began, self._clock = 0.0, 0
        self._result: object = None
        self._error: BaseException | None = None
        self.allowed = base
        self.spent = 0.0
        self.done = threading.Event()
        self._looked = time.monotonic(), time.process_time()

    def run(self) -> None:
        """Decode; in a thread of ours."""
        self._clock = _thread_clock(threading.get_ident()) if _thread_clock else 0
        self._began = time.thread_time()
        try:
            self._result = self._work()
        except BaseException as error:
            self._error = error
        self.done.set()

    def allow(self, kind: str, megapixels: float) -> None:
        """Allow as much time as a picture of this size and format may need."""
        more = megapixels * PER_MEGAPIXEL.get(kind, OTHERS)
        self.allowed = max(self.allowed, self._base * (1 + more / SECONDS))
        self._shared = self._shared or kind in OWN_THREADS

    def look(self, cores: float) -> None:
        """Measure the time that was spent; `cores` are those for this job."""
        wall, used = time.monotonic(), time.process_time()
        passed = min(wall - self._looked[0], used - self._looked[1], 2 * PAUSE)
        self._looked = wall, used
        if self._shared:
            # Of the whole process, for want of better: no more than the clock on the wall says,
            # nor than a suspended or crowded process was given.
            self.spent += passed * min(1.0, cores)
        elif self._clock:
            self.spent = time.clock_gettime(self._clock) - self._began

    def result(self) -> object:
        """What the decoder gave, or raised."""
        error, self._error = self._error, None  # else a circle would keep the file in memory
        if error is not None:
            raise error
        return self._result


class _Decoder:
    """A thread that does one job after another, until it is given up."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self.thread = threading.Thread(target=self._run, name="decoder", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        with suppress(SystemExit):  # given up
            while job := self.jobs.get():
                _here.job = job
                job.run()
                _here.job = job = None  # its picture is large

    def give_up(self) -> None:
        """Let the thread end as soon as it is out of the decoder."""
        import ctypes

        self.jobs.put(None)
        ident, error = ctypes.c_ulong(self.thread.ident or 0), ctypes.py_object(SystemExit)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, error)
        _given_up.append(self.thread)
        interrupts.leave_threads()


_thread_clock: Callable[[int], int] | None = getattr(time, "pthread_getcpuclockid", None)
_here = threading.local()
_base = SECONDS
_idle: list[_Decoder] = []
_busy: set[_Decoder] = set()
_given_up: list[threading.Thread] = []


def _forget() -> None:
    """In a forked process: threads are not forked."""
    _idle.clear()
    _busy.clear()
    _given_up.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """While this holds, decoding may take `seconds` instead of `SECONDS`, in proportion."""
    global _base
    before, _base = _base, seconds
    try:
        yield
    finally:
        _base = before


def allow(kind: str, megapixels: float) -> None:
    """Called by decoders once they know what they have: a large picture may take longer."""
    if job := getattr(_here, "job", None):
        job.allow(kind, megapixels)


def bounded(decode: Callable[P, T]) -> Callable[P, T]:
    """Limit the time that a function which decodes a file may take.

    It then also raises TooSlow, and IqError where `MOST` files before have not ended yet.
    """

    @wraps(decode)
    def limited(*args: P.args, **given: P.kwargs) -> T:
        if getattr(_here, "job", None):  # part of another decode
            return decode(*args, **given)
        job = _Job(lambda: decode(*args, **given), _base)
        _carry_out(job)
        return job.result()  # type: ignore[return-value]

    return limited


def _carry_out(job: _Job) -> None:
    """Do a job in an idle thread, or a new one. Raises TooSlow, and IqError as `bounded` does."""
    if len(_given_up) >= MOST:
        _given_up[:] = [each for each in _given_up if each.is_alive()]
    if len(_given_up) >= MOST:
        raise IqError(
            f"{MOST} photos take too long to decode, and their decoders do not end; run again to "
            "go on without them"
        )
    try:
        decoder = _idle.pop()
    except IndexError:
        decoder = _Decoder()
    _busy.add(decoder)
    try:
        decoder.jobs.put(job)
        while not job.done.wait(PAUSE):
            job.look(_CORES / len(_busy))
            if job.spent > job.allowed:
                raise TooSlow(
                    f"decoding takes more than {job.allowed:.1f} s: skipped (raise max_seconds)"
                )
    except BaseException:  # an interrupt, too
        decoder.give_up()
        raise
    finally:
        _busy.discard(decoder)
    _idle.append(decoder)


_usable = getattr(os, "sched_getaffinity", None)
_CORES = len(_usable(0)) if _usable else os.cpu_count() or 1
