"""The time in the header of a film, wherever the header lies, and whatever else the file holds."""

from __future__ import annotations

import struct
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from iqcli.photos.times.capture_time import QUICKTIME, Taken
from iqcli.photos.times.films import taken_of

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = int((datetime(2020, 1, 2, 3, 4, 5) - datetime(1904, 1, 1)).total_seconds())
KEYS = (b"com.apple.quicktime.make", b"com.apple.quicktime.creationdate")


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


def mvhd(seconds: int = SECONDS, wide: bool = False) -> bytes:
    head = struct.pack(">BxxxQQ", 1, seconds, 0) if wide else struct.pack(">BxxxII", 0, seconds, 0)
    return box(b"mvhd", head + bytes(80))


def meta(text: bytes, version: bytes = b"") -> bytes:
    keys = bytes(4) + struct.pack(">I", len(KEYS)) + b"".join(box(b"mdta", key) for key in KEYS)
    values = [box(b"data", bytes(8) + value) for value in (b"Apple", text)]
    ilst = b"".join(box(struct.pack(">I", k), each) for k, each in enumerate(values, 1))
    return box(b"meta", version + box(b"hdlr", bytes(24)) + box(b"keys", keys) + box(b"ilst", ilst))


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_the_time_of_the_header_is_by_utc(tmp_path: Path, wide: bool, last: bool) -> None:
    film, header = box(b"mdat", bytes(1000)), box(b"moov", mvhd(wide=wide))
    parts = [film, header] if last else [header, film]
    (tmp_path / "a.mov").write_bytes(box(b"ftyp", b"qt  ") + b"".join(parts))
    assert taken_of(tmp_path / "a.mov") == Taken("2020-01-02T03:04:05Z", QUICKTIME)


@pytest.mark.parametrize("version", [b"", bytes(4)])
def test_what_a_phone_writes_beside_has_its_offset(tmp_path: Path, version: bytes) -> None:
    header = box(b"moov", mvhd() + meta(b"2020-01-02T04:04:05+0100", version))
    long = struct.pack(">I4sQ", 1, b"mdat", 16 + 64) + bytes(64)
    (tmp_path / "a.mov").write_bytes(box(b"ftyp", b"qt  ") + long + header)
    assert taken_of(tmp_path / "a.mov") == Taken("2020-01-02T04:04:05+01:00", QUICKTIME)


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"film", bytes(64), box(b"moov", b""), box(b"moov", mvhd(0))),
        *(box(b"moov", mvhd(2**32 - 1)), box(b"mdat", b"x"), box(b"moov", mvhd())[:20]),
        *(struct.pack(">I4s", 3, b"mdat"), struct.pack(">I4sQ", 1, b"mdat", 2**63)),
        box(b"moov", meta(b"yesterday")),
        box(b"free", b"") * 20_000 + box(b"moov", mvhd()),
    ],
)
def test_a_film_without_a_time(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.mov").write_bytes(data)
    assert taken_of(tmp_path / "a.mov") is None
