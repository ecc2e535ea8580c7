"""ExifTool, which writes XMP packets into photos, if it is installed.

It never gets a person's file name: it works in a folder of ours, where each photo is called
`old.jpg`, so that nothing in a name can be an option, a pattern or another encoding.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from threading import Timer
from typing import TYPE_CHECKING

from iqcli.errors import IqError, PhotoError
from iqcli.fs import durable, files, syscalls
from iqcli.text import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PROGRAM = "exiftool"
INSTALL = "`apt install libimage-exiftool-perl`, `brew install exiftool`, or https://exiftool.org"
# Formats that it writes into without touching the picture, and the extension it knows them by.
EXTENSIONS = {
    "jpeg": "jpg",
    "heif": "heic",
    "avif": "avif",
    "png": "png",
    "tiff": "tif",
    "gif": "gif",
    "dng": "dng",
}
# A photo takes a tenth of a second; what takes this long will never end.
SECONDS = 60.0
REASON = 120
WRAPPER = re.compile(rb"<\?xpacket[^>]*\?>")


def find() -> str:
    """The path of the program. Raises IqError where it is not installed."""
    found = shutil.which(PROGRAM)
    if found is None:
        raise IqError(f"--embed needs ExifTool, which is not installed; get it by {INSTALL}")
    return found


@contextmanager
def running(folder: Path) -> Iterator[ExifTool]:
    """One ExifTool process for many photos, in a folder of ours. Raises IqError without it."""
    tool = ExifTool(find(), folder)
    try:
        yield tool
    finally:
        tool.close()


class ExifTool:
    """The running program, one command at a time. It leaves nothing in `folder` between them."""

    def __init__(self, program: str, folder: Path) -> None:
        self._folder = folder
        self._program = program
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        # Without a config: a user's own would be run as Perl, and could change what is written.
        command = [self._program, "-config", "", "-stay_open", "True", "-@", "-"]
        pipe = subprocess.PIPE
        return subprocess.Popen(  # noqa: S603 (a list, and no word of it is a name)
            command,
            cwd=self._folder,
            stdin=pipe,
            stdout=pipe,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # Otherwise it would wait for ever once this process is gone.
            preexec_fn=syscalls.ends_with_parent(),
        )

    def close(self) -> None:
        """End the program and its child processes."""
        self._kill()
        self._process.communicate()

    def _kill(self) -> None:
        if sys.platform == "win32":
            self._process.kill()
        else:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def change_packet(
        self, photo: bytes, kind: str, change: Callable[[bytes | None], bytes]
    ) -> bytes:
        """The photo with its XMP packet changed; `change` gets the old packet, None if it has none.

        Raises PhotoError where ExifTool refuses, and what `change` raises.
        """
        if kind not in EXTENSIONS:
            raise PhotoError(f"nothing is written into {kind.upper()} files")
        old, new, packet = f"old.{EXTENSIONS[kind]}", f"new.{EXTENSIONS[kind]}", "packet.xmp"
        paths = [self._folder / name for name in (old, new, packet)]
        try:
            durable.create(paths[0], photo)
            found = self._ask("-q", "-q", "-b", "-XMP", old) or None
            wanted = change(found)
            if wanted == found:
                return photo
            durable.create(paths[2], wanted)
            answer = self._ask(f"-XMP<={packet}", "-o", new, old)
            if not files.lstat_or_none(paths[1]):
                raise PhotoError(f"ExifTool refuses: {_reason(answer)}")
            if _unwrapped(self._ask("-q", "-q", "-b", "-XMP", new)) != _unwrapped(wanted):
                raise PhotoError("ExifTool wrote another packet than it was given")
            return paths[1].read_bytes()
        finally:
            for path in paths:
                files.remove(path)

    def _ask(self, *words: str) -> bytes:
        """The answer to one command. If the program ends, starts it anew and raises PhotoError."""
        # Not predictable: the content of a photo must not be able to end an answer.
        number = secrets.randbelow(10**18)
        end = f"{{ready{number}}}".encode()
        process = self._process
        assert process.stdin
        assert process.stdout
        timer = Timer(SECONDS, self._kill)
        timer.start()
        try:
            lines = (*words, f"-execute{number}", "")
            process.stdin.write("\n".join(lines).encode())
            process.stdin.flush()
            answer = bytearray()
            while not answer[-2 * len(end) :].rstrip(b"\r\n").endswith(end):
                if not (block := os.read(process.stdout.fileno(), 1 << 16)):
                    raise BrokenPipeError
                answer += block
        except BrokenPipeError:
            self.close()
            self._process = self._start()
            raise PhotoError("ExifTool gave up on it") from None
        finally:
            timer.cancel()
        return bytes(answer).rstrip(b"\r\n").removesuffix(end)


def _unwrapped(packet: bytes) -> bytes:
    """The packet without the wrapper, which ExifTool writes in its own way."""
    return WRAPPER.sub(b"", packet).strip()


def _reason(answer: bytes) -> str:
    lines = answer.decode("utf-8", "replace").strip().splitlines()
    return escape(lines[0].removeprefix("Error: ") if lines else "no reason known")[:REASON]
