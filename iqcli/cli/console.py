"""Messages and progress bars for people: plain text on stderr."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from iqcli.text import display_path, escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from rich.console import Console

T = TypeVar("T")
# Seconds before a bar is shown: one that flashes by is of no use.
BAR_AFTER = 0.5


@cache
def _console() -> Console:
    from rich.console import Console

    return Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)


def info(sentence: str) -> None:
    """Print one line on stderr, escaped, above a progress bar if there is one."""
    if sys.stderr.isatty():
        _console().print(escape(sentence))
    else:
        print(escape(sentence), file=sys.stderr, flush=True)


def problem(path: Path, reason: str) -> None:
    """Print what is wrong with a file or folder, on one line."""
    info(f"iq: {display_path(path)}: {reason}")


def warn(sentence: str) -> None:
    """Print a warning on stderr."""
    info(f"iq: warning: {sentence}")


def confirmed(question: str) -> bool:
    """Ask on a terminal; no where nobody is there to answer."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    print(f"{escape(question)} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def progress(items: Iterable[T], total: int, *, quiet: bool, things: str = "photos") -> Iterator[T]:
    """Pass `items` on; on a terminal, after half a second, show a bar with rate and time left."""
    if quiet or not sys.stderr.isatty():
        yield from items
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Left

    speed = TextColumn(f"{{task.fields[speed]}} {things}/s,")
    columns = BarColumn(), MofNCompleteColumn(), speed, Left(), TextColumn("left")
    bar = Progress(*columns, console=_console(), transient=True)
    task = bar.add_task("", total=total, speed="0")
    began = time.monotonic()
    try:
        for done, item in enumerate(items, 1):
            yield item
            passed = time.monotonic() - began
            if passed > BAR_AFTER:
                bar.start()
                rate = done / passed
                bar.update(task, completed=done, speed=f"{rate:.{1 if rate < 10 else 0}f}")
    finally:
        bar.stop()


@contextmanager
def transfer(name: str, total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar of a download, on a terminal; the function it gives takes the bytes so far."""
    if quiet or not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
    from rich.progress import TimeRemainingColumn as Left

    columns = TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn()
    with Progress(
        *columns, TransferSpeedColumn(), Left(), console=_console(), transient=True
    ) as bar:
        task = bar.add_task(name, total=total)
        yield lambda done: bar.update(task, completed=done)


def counted(number: int, thing: str, things: str | None = None) -> str:
    """`1 photo`, `2 photos`."""
    return f"{number:,} {thing if number == 1 else things or f'{thing}s'}"
