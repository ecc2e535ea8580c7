"""Processes of `iq` that are forked from a parent which has imported torch, the like and iqcli.

Each is a process of its own, with arguments, folder, environment and streams of its own. That
saves two seconds of processor time a run. It cannot show these: that the order of a set matters
(all children hash alike), that a module is used without being imported, what an import does or
costs, how Python ends, and pipes (its streams are files). Tests of those start a new Python:
`Iq.start`, `Iq.spied`, a terminal, a shell (every command of the README).
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
import weakref
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Nothing that reads the environment when it is imported.
PRELOADED = ("torch", "torchvision", "cv2", "scipy.stats", "PIL.Image", "safetensors.torch")
PRELOADED += ("typer", "rich.console", "diskcache", "platformdirs", "exifread", "tomllib")
PRELOADED += ("xml.etree.ElementTree", "zoneinfo")
# These read it, and the modules of ours that import them at once are left to the children.
READERS = {"huggingface_hub", "matplotlib", "textual", "timm"}
LEFT = {"iqcli.__main__", "iqcli.hub", "iqcli.evaluation.figures", "iqcli.output.plots"}
LEFT |= {"iqcli.output.review_app"}
# What patches a process when it starts.
PATCHED = {"IQ_TEST_MANIFEST", "IQ_TEST_PATCH"}
# What a process takes from its environment before any line of ours runs.
EARLY = ("PYTHON", "LC_", "LANG", "LD_", "OMP_", "MKL_", "MALLOC_", "TZ", "TMPDIR")
EARLY += ("CUDA_", "TORCH", "OPENCV_", "TYPER_")
MESSAGE = 2**17
LARGE, MADV_COLLAPSE = 2**21, 25


class ForkServer:
    """The parent, started when the first child is needed; it ends with the tests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parent: subprocess.Popen[bytes] | None = None
        self._early: dict[str, str] = {}
        self._line: socket.socket | None = None

    def run(
        self, args: Sequence[str], cwd: Path, env: Mapping[str, str], stdin: bytes, timeout: float
    ) -> subprocess.CompletedProcess[bytes] | None:
        """What `python -m iqcli` does with these; None where it needs a new Python."""
        if not sys.platform.startswith("linux") or not self._lock.acquire(blocking=False):
            return None
        try:
            early = {key: value for key, value in env.items() if key.startswith(EARLY)}
            if self._line is None:
                self._start(env, early)
            if early != self._early:
                return None
            request = json.dumps({"args": [*args], "cwd": str(cwd), "env": dict(env)}).encode()
            return self._fork(request, stdin, timeout) if len(request) < MESSAGE else None
        finally:
            self._lock.release()

    def _start(self, env: Mapping[str, str], early: dict[str, str]) -> None:
        self._early = early
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = (sys.executable, __file__, str(theirs.fileno()))
        # What patches one process must not patch the parent of all.
        whole = {key: value for key, value in env.items() if key not in PATCHED}
        self._parent = subprocess.Popen(command, env=whole, pass_fds=(theirs.fileno(),))
        theirs.close()
        atexit.register(self._end)
        self._receive()  # it is ready

    def _receive(self) -> int:
        """The next message of the parent. Raises RuntimeError if it has died."""
        assert self._line
        try:
            return int(self._line.recv(64))
        except (OSError, ValueError):
            self._end()
            raise RuntimeError("the fork server has died; its messages are on stderr") from None

    def _end(self) -> None:
        atexit.unregister(self._end)
        assert self._line and self._parent
        self._line.close()
        self._line = None
        self._parent.kill()
        self._parent.wait()

    def _fork(
        self, request: bytes, stdin: bytes, timeout: float
    ) -> subprocess.CompletedProcess[bytes]:
        assert self._line
        with (
            tempfile.TemporaryFile() as input_file,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
        ):
            input_file.write(stdin)
            input_file.seek(0)
            streams: tuple[IO[bytes], ...] = (input_file, out, err)
            with suppress(OSError):  # it has died: it will not answer either
                socket.send_fds(self._line, [request], [each.fileno() for each in streams])
            pid = self._receive()
            if not select.select([self._line], [], [], timeout)[0]:
                os.kill(pid, signal.SIGKILL)
                self._receive()
                raise subprocess.TimeoutExpired(request.decode(), timeout)
            code = self._receive()
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(request.decode(), code, out.read(), err.read())


FORK_SERVER = ForkServer()


def serve(line: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """In the parent: fork a child for each request, to the last; in a child: its request."""
    line.send(b"0")
    while True:
        request, streams, _, _ = socket.recv_fds(line, MESSAGE, 3)
        if not request:
            return None
        pid = os.fork()
        if not pid:
            line.close()
            return json.loads(request), streams
        for stream in streams:
            os.close(stream)
        line.send(str(pid).encode())
        line.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())


def run_iq(request: dict[str, Any], streams: list[int]) -> NoReturn:
    """Run `python -m iqcli`."""
    encoding, errors = sys.stdout.encoding, sys.stdout.errors
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = os.fdopen(0, "r", -1, encoding, errors, closefd=False)
    sys.stdout = os.fdopen(1, "w", -1, encoding, errors, closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding, "backslashreplace", closefd=False)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.path[0] = request["cwd"]
    sys.argv = ["iq", *request["args"]]
    sys.modules["numpy"].random.seed()  # not that of its siblings
    code: Any = 1
    try:
        if PATCHED & {*os.environ}:  # as Python at a real start
            from sitecustomize import add_rows, run_patch

            add_rows()
            run_patch()
        runpy.run_module("iqcli", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
    end(code)


def end(code: Any) -> NoReturn:
    """End as Python does, without the half second that unloading torch takes."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


def warm_up() -> None:
    """Do once what is the same in every process.

    Typer imports half of itself when the first command runs, and versions lie in long files.
    """
    import typer

    from iqcli.extractors.base import PhotoBlock
    from iqcli.extractors.registry import BLOCKS
    from iqcli.photos.formats import decoder_fingerprint

    def nothing(number: int = 0) -> None: ...

    app = typer.Typer()
    app.command()(nothing)
    app([], standalone_mode=False)
    decoder_fingerprint()
    for block in BLOCKS.values():
        if isinstance(block, PhotoBlock):
            assert block.fingerprint


def collapse_pages() -> None:
    """Gather what Python holds in large pages: a fork copies the table of its pages."""
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, access, _, _, _, *name = line.split(maxsplit=5)
        if access == "rw-p" and name in ([], ["[heap]"]):
            start, stop = (int(each, 16) for each in addresses.split("-"))
            start = -(-start // LARGE) * LARGE
            if stop - start >= LARGE:  # where Linux cannot, the pages stay as they are
                madvise(start, (stop - start) // LARGE * LARGE, MADV_COLLAPSE)


def main() -> NoReturn:
    import iqcli

    ours = [each.name for each in pkgutil.walk_packages(iqcli.__path__, "iqcli.")]
    for name in (*PRELOADED, *ours):
        if name not in LEFT:
            __import__(name)
    warm_up()
    assert not READERS & {*sys.modules}, "one more for LEFT"
    weakref.finalize._registry.clear()  # each child would take the libraries of torch apart
    gc.freeze()  # garbage collection in a child then copies none of this
    collapse_pages()
    if found := serve(socket.socket(fileno=int(sys.argv[1]))):
        run_iq(*found)
    os._exit(0)


if __name__ == "__main__":
    main()
