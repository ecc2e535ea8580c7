"""Faults put under the product from outside: kinds of disks, errors, and kills in mid-air."""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from support.forkserver import collapse_pages

from iqcli.errors import IqError
from iqcli.fs import syscalls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAMES = (
    "rename",
    "replace",
    "link",
    "symlink",
    "unlink",
    "mkdir",
    "rmdir",
    "open",
    "write",
    "fsync",
)
MARKS = ("utime", "chmod", "chown", "ftruncate", "setxattr")
# Set where nothing is left out: see `points`.
EVERY = "IQ_TEST_EVERY_FAULT"
DISKS = ("native", "links", "claims", "copies", "copies-links", "copies-claims")


def _fail(code: int) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return refuse


def whole(name: Any, folder: int | None) -> bytes:
    """The path that a call is about, as a name and the open folder that it counts from."""
    if folder is None:
        return os.fsencode(name)
    return os.fsencode(Path(f"/proc/self/fd/{folder}").readlink() / os.fsdecode(name))


def _crosses(old: Any, new: Any, folders: dict[str, int | None]) -> bool:
    one, two = whole(old, folders.get("src_dir_fd")), whole(new, folders.get("dst_dir_fd"))
    return (b"_Rejected" in one) != (b"_Rejected" in two)


def _walled(real: Callable[..., Any]) -> Callable[..., Any]:
    """As if the rejects lay on another file system."""

    def across(old: Any, new: Any, *args: Any, **more: Any) -> Any:
        if _crosses(old, new, more):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), old, None, new)
        return real(old, new, *args, **more)

    return across


@contextmanager
def disk(kind: str) -> Iterator[None]:
    """A disk whose rename refuses to be exclusive, that knows no links, or that is two disks."""
    with ExitStack() as stack:
        if "links" in kind or "claims" in kind:
            stack.enter_context(mock.patch.object(syscalls, "rename_new", _fail(errno.EINVAL)))
        if "claims" in kind:
            stack.enter_context(mock.patch.object(os, "link", _fail(errno.EPERM)))
        if "copies" in kind:
            for place, name in ((syscalls, "rename_new"), (os, "link"), (os, "rename")):
                walled = _walled(getattr(place, name))
                stack.enter_context(mock.patch.object(place, name, walled))
        yield


@dataclass
class Fault:
    """What happens at the n-th change of the disk: a kill before it, in it or after it, or errors.

    `code` is the error; with `lasting`, every later change meets it as well. Or something is done
    `meanwhile`, just before it. `calls` are the names of the changes so far.
    """

    at: int = 0
    kill: str = ""
    code: int = 0
    lasting: bool = False
    meanwhile: Callable[[], object] | None = None
    calls: list[str] = field(default_factory=list)

    def wrap(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        """The real call with the fault under it."""

        def call(*args: Any, **more: Any) -> Any:
            if name == "open" and not args[1] & (os.O_WRONLY | os.O_RDWR):
                return real(*args, **more)
            self.calls.append(name)
            hit = len(self.calls) == self.at
            if hit and self.meanwhile:
                self.meanwhile()
            if self.code and (hit or (self.lasting and len(self.calls) > self.at)):
                raise OSError(self.code, os.strerror(self.code), *args[:1])
            if hit and self.kill == "torn" and name == "write":
                real(args[0], bytes(args[1])[: len(args[1]) // 2])
            if hit and self.kill in ("before", "torn"):
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return real(*args, **more)
            finally:
                if hit and self.kill:
                    os.kill(os.getpid(), signal.SIGKILL)

        return call


@contextmanager
def under(fault: Fault) -> Iterator[Fault]:
    """Put the fault under every call that changes the disk."""
    with ExitStack() as stack:
        for name in NAMES + MARKS:
            stack.enter_context(mock.patch.object(os, name, fault.wrap(name, getattr(os, name))))
        wrapped = fault.wrap("rename_new", syscalls.rename_new)
        stack.enter_context(mock.patch.object(syscalls, "rename_new", wrapped))
        yield fault


@dataclass(frozen=True)
class Ended:
    """How a child ended: `code` as of `subprocess` (-9 is killed), and the sentence of an error."""

    code: int
    says: str = ""


def in_child(work: Callable[[], Any], kind: str = "native", fault: Fault | None = None) -> Ended:
    """Do the work in a process of its own on such a disk, with such a fault."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            code = _work(work, kind, fault or Fault(), writing)
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        says = pipe.read().decode()
    return Ended(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), says)


def _work(work: Callable[[], Any], kind: str, fault: Fault, writing: int) -> int:
    ended = here(work, kind, fault)
    os.write(writing, ended.says.encode(errors="backslashreplace"))
    return ended.code


def here(work: Callable[[], Any], kind: str = "native", fault: Fault | None = None) -> Ended:
    """Do the work in this process on such a disk, with such a fault, which is no kill."""
    try:
        with disk(kind), under(fault or Fault()):
            work()
    except IqError as error:
        return Ended(int(error.exit_code), str(error))
    return Ended(0)


def calls_of(work: Callable[[], Any], kind: str = "native") -> list[str]:
    """The changes of the disk that the work makes, in order, when nothing goes wrong."""
    fault = Fault()
    with disk(kind), under(fault):
        work()
    return fault.calls


def seeds(start: int, stop: int) -> range:
    """The seeds of made-up cases; where nothing is left out, many more."""
    return range(start, stop * 10) if EVERY in os.environ else range(start, stop)


def points(calls: list[str], nth: int, of: int = len(DISKS)) -> list[int]:
    """The changes to fail at: the first and the last of each name, and one in `of` of the others.

    `nth` shifts these, so that the kinds of disk have different ones. `tests/bench/faults.py` has
    them all.
    """
    if EVERY in os.environ:
        return list(range(1, len(calls) + 1))
    ends = {calls.index(name) for name in calls}
    ends |= {len(calls) - 1 - calls[::-1].index(name) for name in calls}
    return [at + 1 for at in range(len(calls)) if at in ends or at % of == nth % of]


def kills(calls: list[str], nth: int, of: int = len(DISKS)) -> Iterator[Fault]:
    """A kill before each of their `points`, half way through each write, and after the last one.

    After one change is before the next: nothing on the disk lies between.
    """
    collapse_pages()
    for at in points(calls, nth, of):
        yield Fault(at, "before")
        if calls[at - 1] == "write":
            yield Fault(at, "torn")
    yield Fault(len(calls), "after")
