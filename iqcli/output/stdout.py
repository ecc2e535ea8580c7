"""Writing to stdout: a reader that closes the pipe ends the program silently."""

from __future__ import annotations

import codecs
import os
import select
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, TextIO

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
            sys.stdout.buffer.flush()  # a reader waits for no more than one photo
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


# The name of the error handler, and what stands for signs of ours that an encoding lacks.
SPELLED = "iq-spelled"
SIGNS = {"±": "+-", "…": "...", "–": "-"}


def _spell(error: UnicodeError) -> tuple[str | bytes, int]:
    if isinstance(error, UnicodeEncodeError) and error.object[error.start] in SIGNS:
        return SIGNS[error.object[error.start]], error.start + 1
    return codecs.backslashreplace_errors(error)


codecs.register_error(SPELLED, _spell)


def encoded(text: str, encoding: str = "utf-8") -> bytes:
    """The text in an encoding; what it lacks, a lone surrogate for instance, is escaped."""
    return text.encode(encoding, SPELLED)


def spell_out(stream: TextIO) -> None:
    """Have a stream write what its encoding lacks as `encoded` does, instead of an error."""
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors=SPELLED)


def discard_stdout() -> None:
    """Discard what is still buffered: Python must not complain about it when it exits."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)
