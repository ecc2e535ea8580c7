"""Fetching one file from the web, into a part that a later try goes on with.

A connection that drops is resumed where it ended, in this run or in a later one, as long as the
server still has the same file; else the part starts anew. What comes is untrusted:
`iqcli.weights.install` checks the part before it gets its name. A token goes to the hub itself and
never to where it redirects; only http and https are asked, and https is never left for http.

The client of the hub (huggingface_hub) is not used: it removes what has come when a run ends early,
it resumes without a check that the file is still the same, and it sets no bound to what is sent.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import time
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import IO, TYPE_CHECKING, Any
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit

from iqcli.errors import IqError
from iqcli.fs.durable import write_all
from iqcli.fs.files import remove, write_atomic
from iqcli.fs.read import BINARY
from iqcli.text import display_path, escape
from iqcli.weights.manifest import is_web, megabytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import Message
    from pathlib import Path

    from iqcli.weights.manifest import Weight

    Progress = Callable[[int], None]

HUB = "https://huggingface.co"
TIMEOUT = 30.0
PORTS = {"https": 443, "http": 80}
UNSAFE = "points to an address that is not safe to follow"
OWN_FILE = "or give a file that you have with `--from FILE`"
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


@dataclass(frozen=True)
class HubMetadata:
    """The commit and the sha256 that a hub has for a file, None where it gives none."""

    revision: str | None = None
    sha256: str | None = None


def address(weight: Weight, mirror: str | None) -> str:
    """Where a row is fetched from, as the environment has it. Raises IqError if nowhere."""
    if weight.hub:
        if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
            why = f"HF_HUB_OFFLINE keeps {weight.name} from being pulled"
            raise IqError(f"{why}; unset it, {OWN_FILE}")
        return f"{_hub()}/{weight.hub}/resolve/{weight.revision or 'main'}/{quote(weight.file)}"
    if not weight.url:
        raise IqError(f"the table names no address of {weight.name}; give it with `--from FILE`")
    return f"{mirror}/{weight.url.split('://', 1)[1]}" if mirror else weight.url


def host(url: str) -> str:
    """The server of an address, for people: no password that stands in it, nothing behind it."""
    return escape(urlsplit(url).netloc.rpartition("@")[2])


class _Dropped(Exception):
    """The server ended too early or had no time; another try may go on."""


def fetch(weight: Weight, url: str, part: Path, on_progress: Progress) -> HubMetadata:
    """Fill `part` with the file of a row, from where an earlier try ended.

    Returns the hub's metadata of it. Raises IqError where it cannot be had; what has come is then
    kept for the next try, unless it was not the file that the table knows.
    """
    tries, size = 0, length(part)
    if weight.sha256 and size == weight.size:  # whole already: its sum will tell
        return HubMetadata()
    while True:
        try:
            return _go_on(weight, url, part, on_progress)
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


def resume_info(part: Path) -> Path:
    """What is kept beside a part: where its bytes came from, and the server's name for them."""
    return part.with_name(f"{part.name}.json")


def discard(part: Path) -> None:
    """Remove a part and what is kept beside it."""
    remove(part)
    remove(resume_info(part))


def _go_on(weight: Weight, url: str, part: Path, on_progress: Progress) -> HubMetadata:
    start, etag = _begun(part, url, known=weight.sha256 is not None)
    try:
        answer, metadata = ask(weight, url, start, etag)
    except HTTPError as error:
        if error.code == 416:  # the part is no beginning of that file
            discard(part)
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
        if weight.sha256 and metadata.sha256 not in (None, weight.sha256):
            raise _other(weight, answer.url, f"its sum is {metadata.sha256}")
        start, end = _agreed(answer, weight, part, start, etag)
        _receive(answer, weight, url, part, (start, end), on_progress)
    return metadata


def _begun(part: Path, url: str, *, known: bool) -> tuple[int, str]:
    """How many bytes of this address there are to go on with, and the etag they came under.

    Without an etag only a file with a known sum is gone on with: the sum tells if it changed.
    """
    try:
        info = json.loads(resume_info(part).read_bytes())
        same, etag = info["url"] == url, str(info["etag"])
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
        span = RANGE.fullmatch(str(answer.headers.get("Content-Range", "")).strip())
        if not span or int(span[1]) != start or (etag and _etag(answer) != etag):
            discard(part)
            raise _Dropped("it sends another piece than was asked for")
        total = span[2]
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
    answer: Any,
    weight: Weight,
    url: str,
    part: Path,
    ends: tuple[int, int | None],
    on_progress: Progress,
) -> None:
    """Write what comes at its place in the part. Raises _Dropped where it ends too early."""
    (start, end), (_, most) = ends, weight.sizes
    at = start
    try:
        if not start:
            discard(part)
            note = {"url": url, "etag": _etag(answer)}
            write_atomic(resume_info(part), json.dumps(note).encode())
        fd = os.open(part, GROW, 0o666)
    except OSError as error:
        raise _unwritten(part, error) from error
    try:
        on_progress(at)  # at once: what an earlier try brought is no speed of this one
        while at <= most and (block := _read(answer)):
            at += len(block)
            _write(fd, block, part)
            on_progress(at)
        _write(fd, b"", part)
    finally:
        os.close(fd)
    if at > most:
        discard(part)
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
    return IqError(f"cannot write {display_path(part)}: {error.strerror}; {way} and pull again")


def ask(weight: Weight, url: str, start: int, etag: str) -> tuple[Any, HubMetadata]:
    """The answer to a request of the bytes from `start` on, and the hub's metadata of the file.

    Raises HTTPError for an answer that is no file, OSError where there is none, IqError for a
    redirect that is not followed.
    """
    hub = _hub() if weight.hub else None
    redirects = _Redirects(_token() if hub else None, hub)
    asked = request.Request(url, headers={"User-Agent": "iq"})  # noqa: S310  by `is_web`
    if start:
        asked.add_header("Range", f"bytes={start}-")
    if start and etag:
        asked.add_header("If-Range", etag)
    redirects.sign(asked)
    answer = _opener(redirects).open(asked, timeout=TIMEOUT)
    own = [answer.headers] if redirects.is_hub(answer.url) else []
    headers = [*redirects.hops, *own]
    commit, sha256 = _hex(headers, "X-Repo-Commit", 40), _hex(headers, "X-Linked-Etag", 64)
    return answer, HubMetadata(commit, sha256)


def refusal(weight: Weight, url: str, error: HTTPError) -> IqError:
    """The sentence for an answer that is no file and will be none later."""
    with closing(error):
        code, server = error.code, host(url)
    if code in (401, 403) and weight.hub:
        page = f"{_hub()}/{weight.hub}"
        who = "refuses your HF_TOKEN" if _token() else "asks who you are"
        return IqError(
            f"{server} {who} for {weight.name} ({code}); accept its terms at {page} and "
            f"set HF_TOKEN, {OWN_FILE}"
        )
    what = "has no such file" if code in (404, 410) else f"refuses {weight.file}"
    what = UNSAFE if 300 <= code < 400 else what  # also where it points in a circle
    at = escape(urlsplit(url).path)
    return IqError(f"{server} {what} ({code}): {at}; try a later iq, {OWN_FILE}")


@dataclass
class _Redirects(request.HTTPRedirectHandler):
    """Follows where a server points, and keeps the headers of the hub on the way."""

    token: str | None
    hub: str | None
    hops: list[Message] = field(default_factory=list)

    def is_hub(self, url: str) -> bool:
        return self.hub is not None and _origin(url) == _origin(self.hub)

    def sign(self, asked: request.Request) -> None:
        """Show the token, to the hub alone: such a header does not go along."""
        if self.token and self.is_hub(asked.full_url):
            asked.add_unredirected_header("Authorization", f"Bearer {self.token}")

    def redirect_request(
        self, req: request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> request.Request | None:
        if self.is_hub(req.full_url):
            self.hops.append(headers)
        schemes = _origin(req.full_url)[0], urlsplit(newurl).scheme
        if not is_web(newurl) or schemes == ("https", "http"):
            raise IqError(
                f"{host(req.full_url)} {UNSAFE}, "
                f"{escape(newurl.split('?')[0][:100])}; try again later, {OWN_FILE}"
            )
        found = super().redirect_request(req, fp, code, msg, headers, newurl)
        if found:
            self.sign(found)
            fp.close()  # else all that stands beside the redirect would be read, without end
        return found


def _opener(redirects: _Redirects) -> request.OpenerDirector:
    # By hand: the usual opener also reads files and asks FTP servers.
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(),
        request.HTTPHandler(),
        request.HTTPSHandler(),
        request.HTTPDefaultErrorHandler(),
        request.HTTPErrorProcessor(),
        redirects,
    ):
        opener.add_handler(handler)
    return opener


def _hub() -> str:
    named = os.environ.get("HF_ENDPOINT") or HUB
    if not is_web(named):
        raise IqError(f"HF_ENDPOINT is {named!r}; give an address, as {HUB}")
    return named.rstrip("/")


def _token() -> str | None:
    token = os.environ.get("HF_TOKEN", "").strip()
    if not (token.isascii() and token.isprintable()):
        raise IqError("HF_TOKEN holds characters that no token has; set it anew")
    return token or None


def _origin(url: str) -> tuple[str, str | None, int | None]:
    split = urlsplit(url)
    return split.scheme, split.hostname, split.port or PORTS.get(split.scheme)


def _hex(headers: list[Message], name: str, digits: int) -> str | None:
    for each in headers:
        value = str(each.get(name, "")).strip('"').lower()
        if len(value) == digits and set(value) <= set("0123456789abcdef"):
            return value
    return None
