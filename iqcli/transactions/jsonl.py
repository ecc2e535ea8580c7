"""JSON lines as plans, journals and manifests write them, and paths that survive in them."""

from __future__ import annotations

import base64
import json
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from iqcli.errors import IqError
from iqcli.fs.read import open_quietly

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Record = dict[str, Any]
T = TypeVar("T")
SHA256 = re.compile(r"[0-9a-f]{64}")
# Of a file of plans or decisions: no line is longer, and the file is no larger.
LINE_BYTES, FILE_BYTES = 1 << 20, 512 << 20
_BLOCK = 1 << 20
_CODE = re.compile(r"[a-z0-9_]{1,40}")


def line(record: Mapping[str, Any]) -> bytes:
    """One record as one line of UTF-8, without the line end; a lone surrogate is escaped."""
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    return text.encode(errors="backslashreplace")  # \udc80 is how JSON escapes it, too


def record(data: bytes) -> Record | None:
    """The record of one line, or None where it is torn or no JSON object."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def first_record(path: Path) -> Record:
    """The record of the first line of a regular file, empty if there is none. Raises OSError."""
    with os.fdopen(open_quietly(path), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return {}
        return record(file.readline(LINE_BYTES)) or {}


def read_records(path: Path, most: int) -> Iterator[Record | None]:
    """The records of a file, None for a line that is none; lines without text are passed over.

    Raises OSError, and IqError before the first record for what is no regular file, is too large or
    has more than `most` lines; later for a line that is too long.
    """
    with os.fdopen(open_quietly(path), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise IqError("it is not a regular file")
        if status.st_size > FILE_BYTES:
            raise IqError(f"it is larger than {FILE_BYTES >> 20:,} MiB; cull folder by folder")
        lines = sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK), b""))
        if lines > most:
            raise IqError(
                f"it has {lines:,} lines, and one run takes {most:,}; cull folder by folder"
            )
        file.seek(0)
        for number, data in enumerate(iter(lambda: file.readline(LINE_BYTES + 1), b""), start=1):
            if len(data) > LINE_BYTES:
                raise IqError(f"line {number} is too long, over {LINE_BYTES >> 10:,} KiB")
            if data.strip():
                yield record(data)


def path_fields(key: str, path: Path) -> Record:
    """A path for people, and beside it its exact bytes in base64 if it is no valid UTF-8."""
    text = str(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        exact = os.fsencode(path)
        return {key: exact.decode(errors="replace"), f"{key}_b64": base64.b64encode(exact).decode()}
    return {key: text}


def path_of(found: Record, key: str) -> Path:
    """The path that `path_fields` wrote. Raises IqError if there is none that a disk can hold."""
    exact = found.get(f"{key}_b64")
    try:
        if exact is None:
            return Path(os.fsdecode(os.fsencode(want(found, key, str))))
        return Path(os.fsdecode(base64.b64decode(exact, validate=True)))
    except (TypeError, ValueError):
        raise IqError(f"{key} is no path") from None


def want(found: Record, key: str, kind: type[T]) -> T:
    """The value under a key if it is just of that type. Raises IqError."""
    value = found.get(key)
    if type(value) is not kind:
        raise IqError(f"{key} is missing or is not of type {kind.__name__}")
    return value


def texts(found: Record, key: str) -> tuple[str, ...]:
    """The list of strings under a key. Raises IqError."""
    return tuple(want({key: each}, key, str) for each in want(found, key, list))


def codes(found: Record) -> tuple[str, ...]:
    """The codes of a decision. Raises IqError."""
    values = texts(found, "codes")
    if not all(_CODE.fullmatch(each) for each in values):
        raise IqError("a code is none")
    return values
