from __future__ import annotations

import re
import time
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
import simplejpeg
from PIL import Image
from support.drawn_scenes import texture
from support.images import LIMIT, dng, encoded, noise, read, scene

from iqcli.errors import PhotoError
from iqcli.photos import load
from iqcli.photos.decode import decode

if TYPE_CHECKING:
    from iqcli.records import Pixels

PICTURE = texture(1, 320, 480)


def jpeg(picture: Pixels = PICTURE, **options: object) -> bytes:
    return encoded(picture, "JPEG", quality=85, **options)


def damage(data: bytes) -> float:
    return read(data)[0].damage


def coded(data: bytes) -> int:
    """Where the coded data of the first scan begin."""
    at = data.index(b"\xff\xda")
    return at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def lost(whole: bytes, broken: bytes) -> float:
    """What of a picture is another one, by blocks of 16 pixels."""
    one, other = (
        decode(each, "jpeg", LIMIT, whole=True).pixels.astype(int) for each in (whole, broken)
    )
    height, width = one.shape[0] // 16, one.shape[1] // 16
    differs = np.abs(one - other)[: 16 * height, : 16 * width].reshape(height, 16, width, 16, 3)
    return float((differs.mean((1, 3, 4)) > 3).mean())


# --- JPEG ---


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"optimize": True}]
)
def test_the_pixels_are_those_of_pillow(mode: str, options: dict[str, object]) -> None:
    data = encoded(Image.fromarray(texture(1, 150, 3100)).convert(mode), "JPEG", **options)
    for size in (3100, 1550):
        one, other = (Image.open(BytesIO(data)) for _ in range(2))
        for each in (one, other):
            each.draft(None, (size, 1))
        other.load()
        image, pixels, share = load.load(one, data, "jpeg", pytest.fail)
        assert share == 0
        assert image.size == other.size and image.mode == mode
        assert (pixels is None) == (mode == "CMYK")
        assert np.array_equal(np.asarray(image) if pixels is None else pixels, np.asarray(other))


@pytest.mark.parametrize("ending", [b"", b"\xff\xd9"])
@pytest.mark.parametrize("options", [{}, {"restart_marker_rows": 1}, {"optimize": True}])
def test_what_is_cut_off_is_damaged_by_its_share(ending: bytes, options: dict[str, object]) -> None:
    whole = jpeg(**options)
    assert damage(whole) == 0
    for share in (0.1, 0.5, 0.9):
        broken = whole[: coded(whole) + int(share * (len(whole) - coded(whole)))] + ending
        assert damage(broken) == pytest.approx(lost(whole, broken), abs=0.03)
        assert read(broken)[1].detail.shape == PICTURE.shape


def test_what_is_cut_off_is_grey_and_seen() -> None:
    whole = jpeg()
    facts, views = read(whole[: len(whole) // 2])
    assert (views.detail[-8:] == load.GREY).all()
    assert np.array_equal(views.detail[:64], read(whole)[1].detail[:64])
    assert (facts.width, facts.height) == (480, 320)


@pytest.mark.parametrize("filler", [b"\0", b"\xff", None])
def test_a_lost_sector_is_damage_from_there_on(filler: bytes | None) -> None:
    whole = jpeg(texture(1, 640, 960))
    random = np.random.default_rng(1)
    for share in (0.2, 0.6):
        at = coded(whole) + int(share * (len(whole) - coded(whole)))
        sector = filler * 512 if filler else random.bytes(512)
        broken = whole[:at] + sector + whole[at + 512 :]
        assert damage(broken) == pytest.approx(lost(whole, broken), abs=0.05)


def test_between_restart_markers_only_that_part_is_lost() -> None:
    whole = jpeg(restart_marker_rows=1)
    at = coded(whole) + (len(whole) - coded(whole)) // 2
    for sector in (bytes(64), b"\xff" * 8):
        broken = whole[:at] + sector + whole[at + len(sector) :]
        if sector[0]:  # whatever marker it makes ends the scan
            assert damage(broken) > 0.4
        else:
            assert 0 < damage(broken) <= 0.1


@pytest.mark.parametrize("options", [{}, {"restart_marker_rows": 4}, {"progressive": True}])
def test_lost_sectors_are_found_where_zeros_are_codes_of_an_even_ground(
    options: dict[str, object],
) -> None:
    picture = texture(1, 640, 960)
    picture[:, ::2] = picture[:, 1::2] = 127  # most codes are ends of blocks, of one or two zeros
    picture[::40, ::7] = 255
    whole = jpeg(picture, optimize=True, **options)
    assert damage(whole) == 0
    for share in (0.3, 0.6, 0.9):
        at = int(share * len(whole)) // 512 * 512
        assert damage(whole[:at] + bytes(512) + whole[at + 512 :]) > 0
        assert damage(whole[:at] + bytes(len(whole) - at)) > 0


def test_a_progressive_file_that_ends_in_another_one_is_damaged() -> None:
    whole, other = jpeg(progressive=True), jpeg(texture(2, 320, 480))
    for share in (0.1, 0.25, 0.4):
        at = int(share * len(whole))
        assert damage(whole[:at] + other[-2 * (len(whole) - at) :]) > 0


def test_missing_restart_markers_are_heard() -> None:
    whole = jpeg(restart_marker_rows=1)
    places = [each.start() for each in re.finditer(rb"\xff[\xd0-\xd7]", whole[coded(whole) :])]
    at = coded(whole) + places[5]
    rows = len(places) + 1
    assert damage(whole[:at] + whole[at + 2 :]) == pytest.approx(1 / rows, abs=0.03)
    gone = whole[:at] + whole[coded(whole) + places[6] :]
    assert damage(gone) == pytest.approx(1 / rows, abs=0.03)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-2],
        lambda data: data + b"\0" * 999,
        lambda data: data + noise(9, 9).tobytes(),
        lambda data: data[:-2] + b"\0\0\xff\xd9",
        lambda data: data[: data.index(b"\xff\xdb")] + b"junk" + data[data.index(b"\xff\xdb") :],
        lambda data: data.replace(b"\0\x3f\0", b"\0\x3e\0", 1),
        lambda data: data.replace(b"JFIF\0\1", b"JFIF\0\7", 1),
        lambda data: data[:2] + b"\xff\xee\0\x0eAdobe\0d\0\0\0\0\7" + data[2:],
    ],
)
def test_complaints_that_harm_nothing_are_no_damage(spoil: object) -> None:
    data = jpeg()
    other = spoil(data)  # type: ignore[operator]
    assert other != data
    assert damage(other) == 0
    assert np.array_equal(read(other)[1].detail, read(data)[1].detail)


def test_halves_of_two_pictures_are_told_apart() -> None:
    """The codes of the second make sense again at once, in other places and colours."""
    one, other = (jpeg(texture(seed, 640, 480)) for seed in (1, 2))
    middle = coded(one) + (len(one) - coded(one)) // 2
    joined = one[:middle] + other[coded(other) + (len(other) - coded(other)) // 3 :]
    assert damage(joined) == pytest.approx(lost(one, joined), abs=0.05)


def test_of_a_progressive_file_the_detail_counts_half() -> None:
    whole = jpeg(progressive=True)
    starts = [each.start() for each in re.finditer(rb"\xff\xda", whole)]
    assert damage(whole) == damage(whole[:-2]) == 0
    in_means = whole[: (starts[0] + starts[1]) // 2]
    assert 0.6 < damage(in_means) < 0.95
    between = whole[: starts[1] - 30]  # all of the means, nothing of the rest
    assert damage(between) == pytest.approx(0.5, abs=0.02)
    assert damage(whole[: len(whole) - 30]) == load.LEAST


def test_of_next_to_nothing_there_is_no_score() -> None:
    data = jpeg()
    with pytest.raises(PhotoError, match="JPEG data ends early"):
        read(data[: coded(data) + 20])
    with pytest.raises(PhotoError, match="JPEG data ends early"):
        read(data[: coded(data) - 20])


def test_a_file_of_which_nothing_can_be_decoded_stays_an_error() -> None:
    data = jpeg()
    with pytest.raises(PhotoError, match="JPEG"):
        read(data[: coded(data)] + bytes(len(data)))


def test_data_too_long_to_be_followed_are_measured_by_what_is_grey(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from iqcli.photos import jpeg_damage

    monkeypatch.setattr(jpeg_damage, "MOST_BYTES", 10)
    whole = jpeg()
    broken = whole[: len(whole) // 2]
    assert damage(broken) == pytest.approx(lost(whole, broken), abs=0.06)


def test_a_file_that_only_pillow_decodes_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise ValueError("not one of mine")

    data = jpeg()
    expected = read(data)[1].detail
    monkeypatch.setattr(simplejpeg, "decode_jpeg", refuse)
    facts, views = read(data)
    assert facts.damage == 0 and np.array_equal(views.detail, expected)


def test_a_raw_file_with_a_damaged_preview_is_developed() -> None:
    preview = jpeg(texture(1, 1200, 1600))
    whole = dng(scene(3200, 2400), preview, (1600, 1200))
    broken = dng(scene(3200, 2400), preview[: len(preview) // 2] + b"\xff\xd9", (1600, 1200))
    assert read(whole)[1].detail.shape == (1200, 1600, 3)
    facts, views = read(broken)
    assert facts.damage == 0 and abs(int(views.detail[-9, 9, 2]) - 200) < 60


@pytest.mark.slow
def test_a_damaged_photo_of_twelve_megapixels_takes_two_seconds() -> None:
    data = jpeg(texture(1, 3000, 4000))
    begin = time.process_time()
    assert damage(data[: len(data) * 3 // 4]) == pytest.approx(0.25, abs=0.1)
    assert time.process_time() - begin < 3


# --- others ---


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF", "PPM"])
def test_of_other_formats_the_part_that_can_be_decoded_is_seen(kind: str) -> None:
    picture = Image.fromarray(PICTURE)
    options = {"interlace": 0} if kind == "GIF" else {}
    data = encoded(picture.quantize(64) if kind == "GIF" else picture, kind, **options)
    whole = read(data)
    assert whole[0].damage == 0
    facts, views = read(data[: int(0.6 * len(data))])
    assert facts.damage == pytest.approx(0.4, abs=0.06)
    rows = slice(160, 310) if kind == "BMP" else slice(0, 160)  # from below
    assert np.array_equal(views.detail[rows], whole[1].detail[rows])
    if kind != "GIF":
        gone = views.detail[:8] if kind == "BMP" else views.detail[-8:]
        assert (gone == load.GREY).all()


@pytest.mark.parametrize("kind", ["WEBP", "HEIF", "AVIF"])
def test_what_has_no_part_that_can_be_decoded_stays_an_error(kind: str) -> None:
    data = encoded(PICTURE, kind)
    with pytest.raises(PhotoError):
        read(data[: int(0.6 * len(data))])


def test_a_tiff_with_a_short_strip_is_turned_all_the_same() -> None:
    exif = Image.Exif()
    exif[274] = 6
    data = encoded(PICTURE, "TIFF", exif=exif)
    facts, views = read(data[: int(0.7 * len(data))])
    assert facts.damage == pytest.approx(0.3, abs=0.02)
    assert views.detail.shape == (480, 320, 3)
    assert (views.detail[:, :8] == load.GREY).all()


def chunks(data: bytes) -> list[tuple[int, int]]:
    """Where the data of each IDAT chunk begin and end."""
    at, found = 8, []
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"IDAT":
            found.append((at + 8, at + 8 + size))
        at += size + 12
    return found


def test_a_wrong_checksum_of_a_png_is_heard() -> None:
    data = encoded(texture(1, 400, 600), "PNG", compress_level=1)
    places = chunks(data)
    start, end = places[len(places) // 2]
    broken = bytearray(data)
    broken[(start + end) // 2] ^= 0x10
    share = 1 - (start + end) / 2 / len(data)
    assert damage(bytes(broken)) == pytest.approx(share, abs=0.1)
    assert damage(data[:end] + b"oops" + data[end + 4 :]) == 0  # the pixels are whole


def test_stored_pixels_that_changed_are_heard() -> None:
    data = encoded(PICTURE, "PNG", compress_level=0)
    places = chunks(data)
    start, end = places[len(places) // 3]
    broken = bytearray(data)
    broken[(start + end) // 2] ^= 1
    share = 1 - (start + end) / 2 / len(data)
    assert damage(bytes(broken)) == pytest.approx(share, abs=0.05)


def test_of_a_png_with_all_its_pixels_nothing_is_missing() -> None:
    data = encoded(PICTURE, "PNG")
    assert damage(data[:-12]) == damage(data[:-5]) == 0


def test_a_picture_of_two_colours_misses_its_part() -> None:
    data = encoded(Image.fromarray(PICTURE).convert("1"), "BMP")
    assert damage(data[: len(data) // 2]) == pytest.approx(0.5, abs=0.03)
