from __future__ import annotations

import struct
import time

import numpy as np
import pytest
from PIL import Image
from support.drawn_scenes import texture
from support.images import encoded, read
from support.more_formats import box, heif_grid

from iqcli.photos.codecs.boxes import coded_items
from iqcli.photos.sectors import SECTOR, lost_share, lost_spans

PICTURE = Image.fromarray(texture(1, 300, 413))


def damage(data: bytes) -> float:
    return read(data)[0].damage


def without(data: bytes, share: float, sectors: int = 1) -> bytes:
    """A file with zeros in place of whole sectors, from a share of it on."""
    at = int(share * len(data)) // SECTOR * SECTOR
    return data[:at] + bytes(sectors * SECTOR) + data[at + sectors * SECTOR :]


def test_lost_sectors_are_found_where_sectors_are() -> None:
    data = bytearray(b"\1" * 5000)
    data[1024:2048] = bytes(1024)
    data[2600:3400] = bytes(800)  # no sector of its own
    assert lost_spans(bytes(data)) == [(1024, 2048)]
    data[1022:1024] = data[2048:2050] = bytes(2)  # of the codes themselves
    assert lost_spans(bytes(data)) == [(1024, 2050)]
    data[4608:] = bytes(392)
    assert lost_spans(bytes(data) + bytes(120)) == [(1024, 2050), (4608, 5120)]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("HEIF", {}),
        ("AVIF", {}),
        ("JPEG2000", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("PNG", {}),
    ],
)
def test_a_lost_sector_of_coded_pixels_is_damage(kind: str, options: dict[str, object]) -> None:
    # What fills metadata, or lies behind the picture, belongs to it.
    exif = Image.Exif()
    exif[37510] = bytes(4096)
    data = encoded(PICTURE, kind, exif=exif, **options)
    assert damage(data) == 0
    assert damage(data + bytes(8192)) == 0
    assert damage(without(data, 0.5)) > 0.01


@pytest.mark.parametrize("kind", ["BMP", "PPM", "TIFF"])
def test_of_plain_pixels_the_sectors_are_damage_and_black_parts_are_not(kind: str) -> None:
    data = encoded(PICTURE, kind)
    assert damage(without(data, 0.5, 40)) == pytest.approx(40 * SECTOR / len(data), abs=0.002)
    half = int(0.6 * len(data)) // SECTOR * SECTOR
    assert damage(data[:half] + bytes(len(data) - half)) == pytest.approx(0.4, abs=0.01)
    for width in (413, 1024):
        black = np.full((200, width, 3), 90, np.uint8)
        black[:50] = black[150:] = 0
        black[:, width // 4 : -width // 4] = 0
        assert damage(encoded(Image.fromarray(black), kind)) == 0


def test_a_heif_of_tiles_that_ends_early_is_damaged_by_its_share() -> None:
    data = heif_grid(texture(3, 512, 512))
    assert damage(data) == 0
    tiles = coded_items(data)
    assert len(tiles) == 4
    begin, end = tiles[0][-1][0], tiles[-1][-1][1]
    for share in (0.4, 0.8, 0.97):
        cut = data[: begin + round(share * (end - begin))]
        assert damage(cut) == pytest.approx(1 - share, abs=0.02)
    _, views = read(data[: tiles[2][-1][0]])
    assert np.abs(views.detail[:250].astype(int) - read(data)[1].detail[:250]).max() <= 2


def test_places_without_end_cost_little() -> None:
    pieces = struct.pack(">II", 0, 2**31) * 60_000
    iloc = struct.pack(">IBBHHHH", 0, 0x44, 0, 1, 1, 0, 60_000) + pieces
    meta = box(b"meta", bytes(4) + box(b"pitm", struct.pack(">IH", 0, 1)) + box(b"iloc", iloc))
    for count in (60_000, 9_000):
        data = meta.replace(iloc[:14], iloc[:12] + struct.pack(">H", count)) + bytes(2**22)
        start = time.process_time()
        assert lost_share(Image.new("RGB", (8, 8)), data, "heif") == 0  # type: ignore[arg-type]
        assert time.process_time() - start < 1
