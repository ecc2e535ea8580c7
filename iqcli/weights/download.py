"""Fetching one file from the web, into a part that a later try goes on with.

A connection that drops is taken up again where it ended, in this run or in a later one, as long as
the server still has the same file; else the part starts anew. Nothing is believed of what comes:
`iqcli.weights.install` checks the part before it gets its name.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import time
from contextlib import closing
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError

from iqcli.errors import IqError
from iqcli.fs.durable import BINARY, write_all
from iqcli.fs.files import remove, shown, write_atomic
from iqcli.weights.manifest import megabytes
from iqcli.weights.web import OWN_FILE, Told, address, ask, host, refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from iqcli.weights.manifest import Weight

    # Told how many bytes are there, whenever some have come.
    Tell = Callable[[int], None]

BLOCK = 1 << 18
# At its end, and never through a link to a file of somebody's own.
GROW = os.O_WRONLY | os.O_CREAT | os.O_APPEND | BINARY | getattr(os, "O_NOFOLLOW", 0)
# Tries without a byte in between before a server is given up, and the first pause, in seconds.
TRIES = 5
PAUSE = 0.125
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
BUSY = (408, 425, 429, 500, 502, 503, 504)
COUNT = re.compile("[0-9]{1,15}")
RANGE = re.compile(r"bytes ([0-9]{1,15})-[0-9]{1,15}/([0-9]{1,15})")


class _Dropped(Exception):
    """The server ended too early or had no time; another try may go on."""


def fetch(weight: Weight, part: Path, tell: Tell) -> Told:
    """Fill `part` with the file of a row, from where an earlier try ended.

    Returns what the hub told of it. Raises IqError where it cannot be had; what has come is then
    kept for the next try, unless it was not the file that the table knows.
    """
    url, tries, size = address(weight), 0, length(part)
    if weight.sha256 and size == weight.size:  # whole already: its sum will tell
        return Told()
    while True:
        try:
            return _go_on(weight, url, part, tell)
        except _Dropped as error:
            grown = length(part)
            tries, size = (1 if grown > size else tries + 1), max(grown, size)
            if tries == TRIES:
                kept = f"{megabytes(grown)} are kept, so " if grown else ""
                raise IqError(
                    f"{host(url)} does not send {'the rest of ' if grown else ''}{weight.file}: "
                    f"{error}; {kept}pull again later, {OWN_FILE}"
                ) from error
            time.sleep(PAUSE * 2**tries)


def length(part: Path) -> int:
    """How many bytes of a part have come; a link is no part, whatever it leads to."""
    try:
        found = part.lstat()
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def note_of(part: Path) -> Path:
    """What is kept beside a part: where its bytes came from, and the server's name for them."""
    return part.with_name(f"{part.name}.json")


def forget(part: Path) -> None:
    """Remove a part and what is kept beside it."""
    remove(part)
    remove(note_of(part))


def _go_on(weight: Weight, url: str, part: Path, tell: Tell) -> Told:
    start, etag = _begun(part, url, known=weight.sha256 is not None)
    try:
        answer, told = ask(weight, url, start, etag)
    except HTTPError as error:
        if error.code == 416:  # the part is no beginning of that file
            forget(part)
        elif error.code not in BUSY:
            raise refusal(weight, url, error) from error
        error.close()
        raise _Dropped(f"it answers {error.code}") from error
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        why = getattr(reason, "strerror", None) or reason
        if isinstance(error, URLError) and not start:
            raise IqError(f"cannot reach {host(url)}: {why}; go online, {OWN_FILE}") from error
        raise _Dropped(f"it cannot be reached, {why}") from error
    with closing(answer):
        if weight.sha256 and told.sha256 not in (None, weight.sha256):
            raise _other(weight, answer.url, f"its sum is {told.sha256}")
        start, end = _agreed(answer, weight, part, start, etag)
        _receive(answer, weight, part, start, end, tell)
    return told


def _begun(part: Path, url: str, *, known: bool) -> tuple[int, str]:
    """How many bytes of this address there are to go on with, and the etag they came under.

    Without an etag only a file with a known sum is gone on with: the sum tells if it changed.
    """
    try:
        told = json.loads(note_of(part).read_bytes())
        same, etag = told["url"] == url, str(told["etag"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return 0, ""
    return (length(part), etag) if same and (etag or known) else (0, "")


def _etag(answer: Any) -> str:
    """The server's name for exactly these bytes; empty where it has none, or a weak one."""
    etag = str(answer.headers.get("ETag", ""))
    return etag if etag.startswith('"') and etag.isascii() and etag.isprintable() else ""


def _agreed(
    answer: Any, weight: Weight, part: Path, start: int, etag: str
) -> tuple[int, int | None]:
    """Where the bytes of an answer belong: at `start`, or at 0 where the server starts anew.

    And where the file ends, None where the server does not say. Raises IqError where that is not
    as the table says.
    """
    total = str(answer.headers.get("Content-Length", "")).strip()
    if answer.status == 206:
        told = RANGE.fullmatch(str(answer.headers.get("Content-Range", "")).strip())
        if not told or int(told[1]) != start or (etag and _etag(answer) != etag):
            forget(part)
            raise _Dropped("it sends another piece than was asked for")
        total = told[2]
    elif answer.status != 200:
        raise _Dropped(f"it answers {answer.status}")
    least, most = weight.sizes
    end = int(total) if COUNT.fullmatch(total) else None
    if end is not None and not least <= end <= most:
        raise _other(weight, answer.url, f"it has {end:,} bytes, not {weight.size:,}")
    return (start if answer.status == 206 else 0), end


def _other(weight: Weight, url: str, how: str) -> IqError:
    return IqError(
        f"what {host(url)} has is not the {weight.file} that this iq knows: {how}; "
        f"nothing was placed: try a later iq, {OWN_FILE}"
    )


def _receive(
    answer: Any, weight: Weight, part: Path, start: int, end: int | None, tell: Tell
) -> None:
    """Write what comes at its place in the part. Raises _Dropped where it ends too early."""
    (_, most), at = weight.sizes, start
    try:
        if not start:
            forget(part)
            note = {"url": address(weight), "etag": _etag(answer)}
            write_atomic(note_of(part), json.dumps(note).encode())
        fd = os.open(part, GROW, 0o666)
    except OSError as error:
        raise _unwritten(part, error) from error
    try:
        tell(at)  # at once: what an earlier try brought is no speed of this one
        while at <= most and (block := _read(answer)):
            at += len(block)
            _write(fd, block, part)
            tell(at)
        _write(fd, b"", part)
    finally:
        os.close(fd)
    if at > most:
        forget(part)
        raise _other(weight, answer.url, f"it has more than {most:,} bytes")
    if end is not None and at < end:
        raise _Dropped("the connection ended too early")


def _read(answer: Any) -> bytes:
    try:
        return bytes(answer.read(BLOCK))
    except (OSError, HTTPException, ValueError) as error:
        raise _Dropped(f"the connection ended, {error}") from error


def _write(fd: int, block: bytes, part: Path) -> None:
    """Write a block; an empty one is the end, and then all is seen on the disk."""
    try:
        write_all(fd, block)
        if not block:
            os.fsync(fd)
    except OSError as error:
        raise _unwritten(part, error) from error


def _unwritten(part: Path, error: OSError) -> IqError:
    way = "make room there" if error.errno in FULL else "mend that"
    return IqError(f"cannot write {shown(part)}: {error.strerror}; {way} and pull again")
