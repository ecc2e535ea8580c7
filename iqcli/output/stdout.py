"""Writing to stdout: a reader that closes the pipe ends the program silently."""

from __future__ import annotations

import os
import select
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def write(chunks: Iterable[str | bytes]) -> None:
    """Write data as it comes: text in UTF-8 whatever the locale, bytes as they are."""
    if sys.stdout.isatty():
        # On a screen the rows would run into the progress bar, which ends with the last of them.
        chunks = list(chunks)
    try:
        for chunk in chunks:
            sys.stdout.buffer.write(chunk if isinstance(chunk, bytes) else encoded(chunk))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        discard_stdout()
        raise SystemExit(0) from None


def exit_on_closed_pipe() -> None:
    """End the program silently if the reader has gone, where the system shows it before a write."""
    if not hasattr(select, "poll"):  # Windows: the next write fails
        return
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)  # errors are reported even so
    if any(event & select.POLLERR for _, event in poll.poll(0)):
        discard_stdout()
        raise SystemExit(0)


def encoded(text: str, encoding: str = "utf-8") -> bytes:
    """The text in an encoding; what it lacks, a lone surrogate for instance, is escaped."""
    return text.encode(encoding, "backslashreplace")


def discard_stdout() -> None:
    """Discard what is still buffered: Python must not complain about it when it exits."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)
