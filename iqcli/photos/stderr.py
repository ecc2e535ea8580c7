"""Keep C libraries from writing to the terminal."""

from __future__ import annotations

import contextlib
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

STDERR = 2
_lock = threading.Lock()
_inside = 0
_kept: int | None = None


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Redirect descriptor 2 to nowhere while at least one thread is inside.

    Decoders report broken data there, bypassing Python. The redirection holds for the whole
    process; what `iq` itself writes goes to a descriptor of its own (`cli/app.py`).
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _inside, _kept
    with _lock:
        _inside += 1
        if _inside == 1:
            with contextlib.suppress(OSError):  # there may be no stderr at all
                _kept = os.dup(STDERR)
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, STDERR)
                os.close(nowhere)


def _leave() -> None:
    global _inside, _kept
    with _lock:
        _inside -= 1
        if not _inside and _kept is not None:
            os.dup2(_kept, STDERR)
            os.close(_kept)
            _kept = None
