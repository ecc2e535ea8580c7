from __future__ import annotations

import struct

import numpy as np
import pytest
from support.images import corners, cut_dng, dng, encoded, exif_block, lossy_dng, noise, read, scene

from iqcli.errors import PhotoError
from iqcli.photos.formats import sniff
from iqcli.photos.reading import kind_of
from iqcli.photos.tiff import first_directory, raw_kind

SENSOR = scene(2000, 1500)
PREVIEW = encoded(scene(1600, 1200), "JPEG")
SHOWN = corners(scene())


def near(seen: list[list[int]], wanted: list[list[int]], by: int = 6) -> bool:
    return bool(np.abs(np.subtract(seen, wanted)).max() <= by)


def test_the_preview_is_read_not_the_thumbnail_in_the_first_directory() -> None:
    data = dng(SENSOR, PREVIEW, (1600, 1200))
    assert sniff(data) == "tiff"
    facts, views = read(data)
    assert (facts.format, facts.width, facts.height) == ("dng", 2000, 1500)
    assert (facts.camera, facts.maker) == ("Maker Raw One", "Maker")
    assert views.detail.shape == (1200, 1600, 3)
    assert near(corners(views.detail), SHOWN)


@pytest.mark.parametrize("preview", [None, encoded(np.zeros((120, 160, 3), np.uint8), "JPEG")])
def test_without_a_useful_preview_the_sensor_is_developed(preview: bytes | None) -> None:
    _, views = read(dng(SENSOR, preview, (160, 120)))
    assert views.detail.shape == (750, 1000, 3)
    red, green, blue, grey = corners(views.detail)
    assert red[0] > 200 > red[1] and green[1] > 200 > green[0] and blue[2] > 200 > blue[0]
    assert np.ptp(grey) <= 2


def test_a_preview_as_large_as_developing_gives_is_good_enough() -> None:
    _, views = read(dng(scene(1200, 900), encoded(scene(640, 480), "JPEG"), (640, 480)))
    assert views.detail.shape == (480, 640, 3)
    assert near(corners(views.detail), SHOWN)


def test_a_preview_may_be_a_bitmap() -> None:
    _, views = read(dng(scene(100, 80), None))
    assert views.detail.shape == (48, 64, 3)
    assert set(map(tuple, views.detail.reshape(-1, 3))) == {(255, 0, 255)}


def test_a_broken_preview_is_passed_over() -> None:
    _, views = read(dng(SENSOR, PREVIEW[: len(PREVIEW) // 2], (1600, 1200)))
    assert views.detail.shape == (750, 1000, 3)


TURNED = {1: (0, 1, 2, 3), 3: (3, 2, 1, 0), 6: (2, 0, 3, 1), 8: (1, 3, 0, 2)}


@pytest.mark.parametrize("turn", [1, 3, 6, 8])
@pytest.mark.parametrize("own", [False, True])
def test_preview_and_development_are_turned_once(turn: int, own: bool) -> None:
    exif = {"exif": exif_block({274: turn})} if own else {}
    preview = encoded(scene(1600, 1200), "JPEG", **exif)
    wanted = [SHOWN[n] for n in TURNED[turn]]
    facts, views = read(dng(SENSOR, preview, (1600, 1200), turn))
    assert (facts.width, facts.height) == ((1500, 2000) if turn >= 6 else (2000, 1500))
    assert near(corners(views.detail), wanted)
    facts, views = read(dng(SENSOR, None, turn=turn))
    assert (facts.width, facts.height) == ((1500, 2000) if turn >= 6 else (2000, 1500))
    developed = np.argmax(corners(views.detail), axis=1)
    strongest = np.argmax(wanted, axis=1)
    coloured = [n for n in range(4) if TURNED[turn][n] != 3]
    assert [developed[n] for n in coloured] == [strongest[n] for n in coloured]


def test_a_preview_that_was_stored_upright_is_not_turned_again() -> None:
    preview = encoded(scene(1200, 1600), "JPEG")
    facts, views = read(dng(SENSOR, preview, (1200, 1600), turn=6))
    assert (facts.width, facts.height) == (1500, 2000)
    assert views.detail.shape == (1600, 1200, 3)
    assert near(corners(views.detail), SHOWN)


def test_a_raw_file_beyond_the_limit_is_refused_before_it_is_developed() -> None:
    with pytest.raises(PhotoError, match="needs 3 megapixels, the limit is 2"):
        read(dng(SENSOR, None), max_megapixels=2)


def test_a_truncated_raw_file_is_a_reason_not_a_crash(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PhotoError, match="DNG data ends early"):
        read(cut_dng(SENSOR))
    assert capfd.readouterr().err == ""


def test_a_true_tiff_is_no_raw_file() -> None:
    data = encoded(scene(), "TIFF")
    assert raw_kind(data) is None
    assert kind_of(data) == "tiff"
    assert near(corners(read(data)[1].detail), SHOWN, by=0)


def directory(order: str, tags: dict[int, tuple[int, int, int]]) -> bytes:
    entries = b"".join(struct.pack(f"{order}HHII", tag, *tags[tag]) for tag in sorted(tags))
    head = b"II*\0" if order == "<" else b"MM\0*"
    return head + struct.pack(f"{order}IH", 8, len(tags)) + entries + b"NIKON CORPORATION\0" * 9


def make_at(order: str, count: int) -> tuple[int, int, int]:
    return (2, 18, 10 + 12 * count)


@pytest.mark.parametrize(
    ("tags", "kind"),
    [
        ({254: (4, 1, 1), 271: make_at("<", 3), 330: (4, 1, 8)}, "nef"),
        ({254: (4, 1, 0), 271: make_at("<", 3), 330: (4, 1, 8)}, None),
        ({254: (4, 1, 1), 271: make_at("<", 2)}, None),
        ({50706: (1, 4, 0x0401)}, "dng"),
        ({259: (3, 1, 34713)}, "raw"),
        ({262: (3, 1, 32803)}, "raw"),
        ({259: (3, 1, 5), 262: (3, 1, 2)}, None),
        ({}, None),
    ],
)
def test_raw_files_in_a_tiff_coat_are_known_by_their_tags(
    tags: dict[int, tuple[int, int, int]], kind: str | None
) -> None:
    assert raw_kind(directory("<", tags)) == kind


@pytest.mark.parametrize(
    "data", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"]
)
def test_a_broken_directory_is_empty(data: bytes) -> None:
    assert first_directory(data) == {}


def test_a_directory_reads_both_byte_orders() -> None:
    assert first_directory(directory(">", {271: make_at(">", 1)}))[271] == b"NIKON CORPORATION\0"


def test_developing_is_bounded_by_its_memory() -> None:
    data = lossy_dng(20_000, 12_000, encoded(noise(64, 48), "JPEG"))
    with pytest.raises(PhotoError, match=r"needs 4,801 MB of memory, the limit is 1,201"):
        read(data)
    assert read(lossy_dng(64, 48, encoded(noise(64, 48), "JPEG")))[1].detail.size
