"""Signals that end a run: Ctrl-C, SIGTERM and SIGHUP, and how the process leaves.

A signal is a KeyboardInterrupt in the main thread, so that everything is closed on the way out.
Python raises it between two of its own instructions only, and a decoder or a network may take
minutes over one. Hence a second thread hears the signal too. It ends the process if the main
thread has not done so after `GRACE` seconds, or at the second signal. While a `promise` holds,
only the second signal ends the process so, and the promise says what is to be done then.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Seconds that the main thread has to end by itself.
GRACE = 1.4
# Seconds for what is to be saved in the end, where the main thread cannot.
SAVING = 0.3
NAMES = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
SHOW_CURSOR = "\x1b[?25h"

_received = 0
_interrupted = _threads_left = _announced = _dismissed = _waiting = False
_holding = 0
_kept = "what was done so far is kept"
_promises: list[str] = []
_savers: list[Callable[[], None]] = []
_leaving = threading.Lock()


def listen() -> None:
    """Take the signals that end a run; a signal that the parent ignores stays ignored."""
    ours = [getattr(signal, name) for name in NAMES]
    for number in ours:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    if sys.platform == "win32":  # there, pipes cannot be waited for
        return
    reading, writing = _pipe()
    os.set_blocking(writing, False)
    threading.Thread(target=_watch, args=(reading, ours), name="signals", daemon=True).start()
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)


def _pipe() -> tuple[int, int]:
    """A pipe that takes no number of a standard stream that the shell has closed."""
    low: list[int] = []
    while True:
        ends = os.pipe()
        if min(ends) > 2:
            break
        low += ends
    for each in low:
        os.close(each)
    return ends


@contextmanager
def lent() -> Iterator[None]:
    """While this holds, the signals belong to another part of the program."""
    before = {name: signal.getsignal(getattr(signal, name)) for name in NAMES}
    fd = signal.set_wakeup_fd(-1)
    try:
        yield
    finally:
        signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def received() -> int:
    """The number of the first signal; 0 if there was none, or if it was dismissed."""
    return 0 if _dismissed else _received


def dismiss() -> None:
    """Take the signal for the proper end of the work, whose exit code then is that of the run."""
    global _dismissed
    _dismissed = True


def note(number: int) -> None:
    """Count a signal that another part of the program takes."""
    global _received
    _received = _received or number


def exit_code() -> int:
    """The exit code of a run that a signal ended, by the custom of shells."""
    return 128 + (_received or signal.SIGINT)


def describe() -> str:
    """Why the run ends, as the beginning of a sentence."""
    if _received in (0, signal.SIGINT):
        return "interrupted"
    return f"ended by {signal.Signals(_received).name}"


def announce() -> str:
    """The sentence that a run ends with, which is then shown by the caller, and by nobody else."""
    global _announced
    _announced = True
    return f"{describe()}; {_kept}"


def keep_nothing() -> None:
    """From now on the sentence that a run ends with says that what it measured is not kept."""
    global _kept
    _kept = "what was measured is not kept, by --no-cache"


@contextmanager
def promise(way_out: str) -> Iterator[None]:
    """While this holds, the first signal never cuts off the work; `way_out` is for the second."""
    _promises.append(way_out)
    try:
        yield
    finally:
        _promises.remove(way_out)


@contextmanager
def held() -> Iterator[None]:
    """While this holds, a signal waits: for moments that must not end between two instructions.

    In the main thread, which is the only one that a signal ends.
    """
    global _holding, _waiting
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _holding += 1
    try:
        yield
    finally:
        _holding -= 1
        if _waiting and not _holding:
            _waiting = False
            raise KeyboardInterrupt


@contextmanager
def saving(save: Callable[[], None]) -> Iterator[None]:
    """While this holds, `save` is called, in another thread, before the process is cut off."""
    _savers.append(save)
    try:
        yield
    finally:
        _savers.remove(save)


def leave_threads() -> None:
    """Let the process end without waiting for threads: some cannot be stopped."""
    global _threads_left
    _threads_left = True


def run(work: Callable[[], int]) -> NoReturn:
    """Do the work of this process, and end it with the exit code that the work gives."""
    listen()
    try:
        code = work()
    except SystemExit as ended:  # nobody reads the output any more
        code = int(ended.code or 0)
    except KeyboardInterrupt:  # at the very beginning or end of it
        code = exit_code()
        _say()
    leave(code)


def leave(code: int) -> NoReturn:
    """End the process with this code."""
    for name in NAMES:  # a second Ctrl-C while Python ends must not look like a crash
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    if not (_received or _threads_left):
        sys.exit(code)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    # A thread that comes back from C code while Python ends would crash the process.
    os._exit(code)


def _interrupt(number: int, _: object) -> None:
    global _interrupted, _waiting
    if _interrupted:  # `_received` says less: the other thread may have noted this very signal
        _cut_off()
    _interrupted = True
    note(number)
    # What an interrupt meets in a destructor, or in a thread, is not for people.
    sys.unraisablehook = lambda _: None
    threading.excepthook = lambda _: None
    if _holding:
        _waiting = True
    else:
        raise KeyboardInterrupt


def _watch(reading: int, ours: list[int]) -> None:
    """Wait for the first signal, then for the second or for the end of `GRACE`."""
    note(_next(reading, ours, None))
    while not _next(reading, ours, GRACE) and _promises:
        pass
    _cut_off()


def _next(reading: int, ours: list[int], seconds: float | None) -> int:
    """The next of our signals, 0 if there is none for so long."""
    while select.select([reading], [], [], seconds)[0]:
        if (number := os.read(reading, 1)[0]) in ours:
            return number
    return 0


def _cut_off() -> NoReturn:
    """End the process now, whatever the main thread is at."""
    with _leaving:
        for work in (_save, _say):  # either may wait for ever, for a disk or a terminal
            thread = threading.Thread(target=work, daemon=True)
            thread.start()
            thread.join(SAVING)
        os._exit(exit_code())


def _save() -> None:
    for save in list(_savers):
        with suppress(Exception):
            save()


def _say() -> None:
    if not _announced:
        why = f"{describe()}; {_promises[-1]}" if _promises else announce()
        shown = f"{SHOW_CURSOR if sys.stderr.isatty() else ''}iq: {why}\n"
        os.write(sys.stderr.fileno(), shown.encode(errors="backslashreplace"))
