"""The way to stdout: a reader that has had enough ends the program silently."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def write(chunks: Iterable[str | bytes]) -> None:
    """Data, as it comes: text in UTF-8 wherever it goes, bytes as they are."""
    if sys.stdout.isatty():
        # On a screen the rows would run into the progress bar, which ends with the last of them.
        chunks = list(chunks)
    try:
        for chunk in chunks:
            sys.stdout.buffer.write(chunk if isinstance(chunk, bytes) else encoded(chunk))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        let_go()
        raise SystemExit(0) from None


def encoded(text: str, encoding: str = "utf-8") -> bytes:
    """The text in an encoding; what that does not know, a lone surrogate say, is spelled out."""
    return text.encode(encoding, "backslashreplace")


def let_go() -> None:
    """Send to nowhere what is still buffered: Python must not complain about it when it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
