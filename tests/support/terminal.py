"""`iq` on a terminal: a pseudo-terminal that is read and typed on."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from support.cli_runner import IQ

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.cli_runner import Iq


class Terminal:
    """The terminal's side of a process: all it wrote so far, and keys."""

    def __init__(self, fd: int, process: subprocess.Popen[bytes]) -> None:
        self._fd = fd
        self._process = process
        self.seen = ""

    def until(self, text: str, seconds: float = 60) -> None:
        """Read until `text` is written after the last keys."""
        start, end = len(self.seen), time.monotonic() + seconds
        while text not in self.seen[start:]:
            assert self._read(end - time.monotonic()), f"no {text!r} in {self.seen[-2000:]!r}"

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._fd, keys.encode())

    def end(self, seconds: float = 60) -> int:
        """Read to the end; the exit code."""
        end = time.monotonic() + seconds
        while self._read(end - time.monotonic()):
            pass
        return self._process.wait(timeout=10)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._fd], [], [], max(seconds, 0))[0]:
            return False
        try:
            data = os.read(self._fd, 1 << 16)
        except OSError:  # Linux says so when the other side is closed
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)


@contextmanager
def terminal(iq: Iq, *args: str, **environ: str) -> Iterator[Terminal]:
    """`iq ARGS` with stdin, stdout and stderr on a terminal of 100 x 30 letters in true colour."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    env = iq.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"} | environ
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    process = subprocess.Popen((*IQ, *args), cwd=iq.cwd, env=env, start_new_session=True, **streams)
    os.close(theirs)
    try:
        yield Terminal(ours, process)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
