"""Asking a server for a file: addresses, redirects, the hub's token, and its refusals in words.

A token goes to the hub itself and never along where it points; nothing but http and https is asked,
and https is never left for less.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any
from urllib import request
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit

from iqcli import settings
from iqcli.errors import IqError
from iqcli.text import readable
from iqcli.weights.manifest import is_web

if TYPE_CHECKING:
    from email.message import Message

    from iqcli.weights.manifest import Weight

HUB = "https://huggingface.co"
TIMEOUT = 30.0
PORTS = {"https": 443, "http": 80}
UNSAFE = "points to an address that is not safe to follow"
OWN_FILE = "or give a file that you have with `--from FILE`"


@dataclass(frozen=True)
class Told:
    """What a hub said of a file: its commit and its sha256, None where it said nothing."""

    revision: str | None = None
    sha256: str | None = None


def address(weight: Weight) -> str:
    """Where a row is fetched from, as the environment has it. Raises IqError if nowhere."""
    if weight.hub:
        if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
            why = f"HF_HUB_OFFLINE keeps {weight.name} from being pulled"
            raise IqError(f"{why}; unset it, {OWN_FILE}")
        return f"{_hub()}/{weight.hub}/resolve/{weight.revision or 'main'}/{quote(weight.file)}"
    if not weight.url:
        raise IqError(f"the table names no address of {weight.name}; give it with `--from FILE`")
    mirror = settings.load({}, None).weights_mirror
    return f"{mirror}/{weight.url.split('://', 1)[1]}" if mirror else weight.url


def host(url: str) -> str:
    """The server of an address, for people: no password that stands in it, nothing behind it."""
    return readable(urlsplit(url).netloc.rpartition("@")[2])


def ask(weight: Weight, url: str, start: int, etag: str) -> tuple[Any, Told]:
    """The answer to a request of the bytes from `start` on, and what the hub told on the way.

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
    told = [*redirects.hops, *own]
    return answer, Told(_hex(told, "X-Repo-Commit", 40), _hex(told, "X-Linked-Etag", 64))


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
    at = readable(urlsplit(url).path)
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
                f"{readable(newurl.split('?')[0][:100])}; try again later, {OWN_FILE}"
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
