"""A small model hub on this machine: it points to files as the real one does, and makes trouble."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

REVISION = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """Serves `/OWNER/MODEL/resolve/REVISION/FILE` by way of `/cdn/…` on another host name.

    Any other path of `files` is served at once. `told` overrides headers of the redirect, `sent`
    those of the file (None leaves one out). `cuts` ends the next answers after so many bytes,
    `codes` answers the next requests with these statuses.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    told: dict[str, str | None] = field(default_factory=dict)
    sent: dict[str, str | None] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    ranges: bool = True
    # The most bytes of a range that are sent at once.
    piece: int | None = None
    needs_token: str | None = None
    points_to: str | None = None
    # Bytes after which the next answer waits for `go`.
    pause_at: int | None = None
    go: threading.Event = field(default_factory=threading.Event)
    paused: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def __enter__(self) -> Hub:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                try:
                    hub.answer(self)
                except ConnectionError:
                    self.close_connection = True

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.go.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def put(self, model: str, file: str, data: bytes, revision: str = REVISION) -> None:
        """Put a file on the hub, or another in its place."""
        self.files[f"/{model}/resolve/{revision}/{file}"] = data
        self.files[f"/{model}/resolve/main/{file}"] = data

    def got(self, start: str) -> list[dict[str, str]]:
        """The headers of the requests whose path begins like this."""
        return [headers for path, headers in self.asked if path.startswith(start)]

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path
        self.asked.append((path, {k.lower(): v for k, v in request.headers.items()}))
        if self.codes:
            return _end(request, self.codes.pop(0))
        if "/resolve/" in path and not path.startswith("/cdn/"):
            return self._point(request, path)
        data = self.files.get(path.removeprefix("/cdn"))
        return self._send(request, data) if data is not None else _end(request, 404)

    def _point(self, request: BaseHTTPRequestHandler, path: str) -> None:
        if self.needs_token and request.headers["Authorization"] != f"Bearer {self.needs_token}":
            return _end(request, 401)
        if path not in self.files:
            return _end(request, 404)
        headers = {
            "X-Linked-Etag": f'"{hashlib.sha256(self.files[path]).hexdigest()}"',
            "X-Repo-Commit": REVISION,
            "Location": self.points_to or f"http://localhost:{self.port}/cdn{path}",
        }
        return _end(request, 302, headers | self.told)

    def _send(self, request: BaseHTTPRequestHandler, data: bytes) -> None:
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        asked, start = request.headers["Range"], 0
        same = request.headers["If-Range"] in (None, etag)
        if asked and self.ranges and same:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(data):
                return _end(request, 416, {"Content-Range": f"bytes */{len(data)}"})
        end = min(start + self.piece, len(data)) if start and self.piece else len(data)
        body = data[start:end]
        headers: dict[str, str | None] = {"ETag": etag, "Content-Length": str(len(body))}
        headers["Accept-Ranges"] = "bytes"
        if start:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
        _head(request, 206 if start else 200, headers | self.sent)
        return self._body(request, body)

    def _body(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        request.close_connection = True
        if self.pause_at is not None:
            pause, self.pause_at = self.pause_at, None
            request.wfile.write(body[:pause])
            request.wfile.flush()
            self.paused.set()
            self.go.wait(60)
            body = body[pause:]
        request.wfile.write(body[: self.cuts.pop(0)] if self.cuts else body)


def _head(request: BaseHTTPRequestHandler, code: int, headers: Mapping[str, str | None]) -> None:
    request.send_response(code)
    for name, value in headers.items():
        if value is not None:
            request.send_header(name, value)
    request.end_headers()


def _end(
    request: BaseHTTPRequestHandler, code: int, headers: Mapping[str, str | None] | None = None
) -> None:
    _head(request, code, {"Content-Length": "0", **(headers or {})})
