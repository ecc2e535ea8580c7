"""What headers tell, whatever the container; and what is broken tells nothing."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

import pytest
from support.images import exif_block
from support.phone_files import box, jpeg

from iqcli.photos.names.evidence import UNKNOWN, Header
from iqcli.photos.names.headers import read_header

if TYPE_CHECKING:
    from pathlib import Path

FULL = Header("2024-05-04T10:11:12", "12", "Pixel 7", "HDR+ 1.0", "11111111-AAAA")


def photo(kind: str) -> bytes:
    return jpeg(fraction="12", software="HDR+ 1.0", content_id="11111111-AAAA", kind=kind)


def late_heic() -> bytes:
    """A HEIC whose index lies behind its pictures, as Samsung's does."""
    block = exif_block({272: "SM-G991B"}, {36867: "2024:05:04 10:11:12"})
    item = struct.pack(">I", 6) + block
    front = box(b"ftyp", b"heic\0\0\0\0mif1heic")
    start = len(front) + 8 + 300_000
    info = box(b"infe", b"\2\0\0\0" + struct.pack(">HH", 7, 0) + b"Exif\0")
    place = struct.pack(">BBHBBH", 0, 0, 0, 0x44, 0, 1) + struct.pack(
        ">HHHII", 7, 0, 1, start, len(item)
    )
    meta = box(b"iinf", bytes(4) + struct.pack(">H", 1) + info) + box(b"iloc", place)
    return front + box(b"mdat", bytes(300_000) + item) + box(b"meta", bytes(4) + meta)


def canon() -> bytes:
    """A CR3: its directories are TIFFs of their own."""
    plain = [
        exif_block(*each).removeprefix(b"Exif\0\0")
        for each in (({272: "Canon EOS R6"}, None), ({36867: "2024:05:04 10:11:12"}, None))
    ]
    inside = bytes(16) + box(b"CMT1", plain[0]) + box(b"CMT2", plain[1])
    return box(b"ftyp", b"crx \0\0\0\1crx isom") + box(b"moov", box(b"uuid", inside))


@pytest.mark.parametrize("kind", ["JPEG", "HEIF", "AVIF", "PNG", "WEBP"])
def test_every_container(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.jpg").write_bytes(photo(kind))
    assert read_header(tmp_path / "a.jpg") == FULL


def test_a_tiff_and_what_is_like_it(tmp_path: Path) -> None:
    for name in ("a.tif", "a.nef", "a.orf"):
        data = bytearray(exif_block({272: "D90"}, {36867: "2024:05:04 10:11:12"}, "<")[6:])
        if name == "a.orf":
            data[:4] = b"IIRO"
        (tmp_path / name).write_bytes(data)
        assert read_header(tmp_path / name) == Header("2024-05-04T10:11:12", camera="D90")


@pytest.mark.parametrize(("data", "camera"), [(late_heic(), "SM-G991B"), (canon(), "Canon EOS R6")])
def test_other_layouts(tmp_path: Path, data: bytes, camera: str) -> None:
    (tmp_path / "a").write_bytes(data)
    assert read_header(tmp_path / "a") == Header("2024-05-04T10:11:12", camera=camera)


@pytest.mark.parametrize("taken", ["0000:00:00 00:00:00", "2024:13:04 10:11:12", "", "x" * 30])
def test_no_time_that_does_not_exist(tmp_path: Path, taken: str) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(taken=taken))
    assert read_header(tmp_path / "a.jpg").taken is None


def test_the_last_change_is_no_time(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(exif_block({306: "2024:05:04 10:11:12"})[6:])
    assert read_header(tmp_path / "a.tif") == UNKNOWN


def test_no_file_tells_nothing(tmp_path: Path) -> None:
    assert read_header(tmp_path / "none.jpg") == UNKNOWN


def test_a_box_that_ends_beyond_all_files_ends_the_search(tmp_path: Path) -> None:
    (tmp_path / "a.mov").write_bytes(struct.pack(">I4sQ", 1, b"mdat", 2**63))
    assert read_header(tmp_path / "a.mov").seconds == math.inf
