from __future__ import annotations

import pytest
from support.images import encoded, noise, scene
from support.more_formats import jxl, psd

from iqcli.errors import PhotoError
from iqcli.photos import reading
from iqcli.photos.reading import Reading, detail_long, kind_of, reading_mark, reading_of, size_mark

PQ = {"color_primaries": 9, "transfer_characteristics": 16, "matrix_coefficients": 9}
SMALL = scene(64, 48)


@pytest.mark.parametrize(
    ("data", "how"),
    [
        (encoded(SMALL, "JPEG"), Reading.PLAIN),
        (encoded(SMALL, "WEBP"), Reading.PLAIN),
        (encoded(SMALL, "TIFF"), Reading.CHECKED),
        (b"", Reading.PLAIN),
        (encoded(SMALL, "PNG"), Reading.CHECKED),
        (encoded(SMALL, "AVIF"), Reading.CHECKED),
        (encoded(SMALL, "HEIF"), Reading.CHECKED),
        (encoded(SMALL, "HEIF", full_range_flag=1, **PQ), Reading.NEW),
        (encoded(SMALL, "JPEG2000"), Reading.NEW),
        (encoded(SMALL, "PPM"), Reading.NEW),
        (psd(SMALL), Reading.NEW),
        (b"only words", Reading.NEW),
        (jxl(noise(8, 8)), Reading.JXL),
    ],
)
def test_only_what_changed_is_read_in_a_new_way(data: bytes, how: Reading) -> None:
    assert reading_of(data) is how


def test_what_is_read_as_ever_has_the_fingerprint_of_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reading_mark(Reading.PLAIN) == ""
    marks = {reading_mark(each) for each in Reading}
    assert len(marks) == len(Reading)
    monkeypatch.setattr(reading, "version", lambda name: "99" if "jxl" in name else "1")
    assert reading_mark.__wrapped__(Reading.JXL) not in marks
    monkeypatch.setattr(reading, "NEW_VERSION", reading.NEW_VERSION + 1)
    assert reading_mark.__wrapped__(Reading.NEW) not in marks


@pytest.mark.parametrize("size", [(12000, 2000), (2000, 12000), (12000, 5990), (6144, 1024)])
def test_a_panorama_has_a_view_of_as_many_pixels_as_a_picture_of_two_to_one(
    size: tuple[int, int],
) -> None:
    long, shape = detail_long(*size), max(size) / min(size)
    assert long * long / shape == pytest.approx(2048 * 1024, rel=0.001)
    assert size_mark(*size)


@pytest.mark.parametrize("size", [(4000, 3000), (12000, 6000), (1, 2), (1, 1)])
def test_any_other_picture_has_the_views_and_the_fingerprint_of_ever(
    size: tuple[int, int],
) -> None:
    assert detail_long(*size) == 2048 and size_mark(*size) == ""


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"II\xbc\x01\x20\0\0\0", "JPEG XR"),
        (b"v/1\x01\x02\0\0\0", "OpenEXR"),
        (b"8BPS\0\x02", "Photoshop PSB"),
        (b"#?RADIANCE\n", "Radiance HDR"),
        (b"FLIF41", "FLIF"),
        (b"BPG\xfb", "BPG"),
    ],
)
def test_a_photo_of_a_format_iq_does_not_read_is_named(head: bytes, name: str) -> None:
    with pytest.raises(PhotoError) as caught:
        kind_of(head)
    assert str(caught.value) == f"{name}, which iq does not read; convert it"
