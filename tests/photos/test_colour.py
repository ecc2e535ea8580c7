from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from support.images import P3, encoded, profile, read, scene

from iqcli.photos import colour
from iqcli.photos.colour import flatten, to_srgb

ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))


def detail(data: bytes) -> Any:
    return read(data)[1].detail


def head(data: bytes) -> Any:
    return read(data)[1].scoring


def png(image: Image.Image, **options: Any) -> bytes:
    return encoded(image, "PNG", **options)


def ramp16() -> Any:
    return (np.arange(256, dtype=np.uint16) * 257)[None].repeat(4, 0)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_its_high_byte(kind: str) -> None:
    image = Image.fromarray(ramp16())
    assert image.mode == "I;16"
    assert detail(encoded(image, kind))[0, :, 0].tolist() == list(range(256))


def test_16_bit_rgb_tiff_is_reduced_to_8_without_wrap() -> None:
    values = ramp16()[..., None].repeat(3, 2)
    header = Image.fromarray((values >> 8).astype(np.uint8))
    data = bytearray(encoded(header, "TIFF"))
    # Pillow writes no 16-bit colour: enlarge the strip and the three tags that speak of it.
    bits = data.find(struct.pack("<HHH", 8, 8, 8))
    data[bits : bits + 6] = struct.pack("<HHH", 16, 16, 16)
    strip = struct.pack("<HHI", 273, 4, 1)
    at = data.find(strip) if strip in data else data.find(struct.pack("<HHI", 273, 3, 1))
    count = data.find(struct.pack("<HHI", 279, 4, 1))
    data[at : at + 12] = struct.pack("<HHII", 273, 4, 1, len(data))
    data[count + 8 : count + 12] = struct.pack("<I", values.nbytes)
    data += values.astype("<u2").tobytes()
    assert np.array_equal(detail(bytes(data)), (values >> 8).astype(np.uint8))


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (np.float32([[0, 0.5, 1]]), [0, 128, 255]),
        (np.float32([[-10, 0, 10]]), [0, 128, 255]),
        (np.float32([[np.nan, 0, 100]]), [0, 0, 255]),
        (np.int32([[0, 70000, 140000]]), [0, 128, 255]),
        (np.int32([[-5, -5, -5]]), [0, 0, 0]),
    ],
)
def test_modes_without_a_range_are_stretched(values: Any, wanted: list[int]) -> None:
    assert detail(encoded(Image.fromarray(values), "TIFF"))[0, :, 1].tolist() == wanted


def test_one_bit_grey_and_palette() -> None:
    bits = Image.fromarray(np.uint8([[0, 255], [255, 0]])).convert("1")
    assert detail(png(bits))[..., 0].tolist() == [[0, 255], [255, 0]]
    palette = Image.fromarray(scene()).quantize(8)
    assert palette.mode == "P"
    assert np.abs(detail(png(palette)).astype(int) - scene()).max() <= 4
    grey = detail(png(Image.new("L", (40, 30), 77)))
    assert grey.shape == (30, 40, 3) and set(np.unique(grey)) == {77}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB", "L"])
def test_transparency_lies_on_white(mode: str) -> None:
    shown, hidden = (0, 0, 0, 255), (0, 0, 0, 0)
    image = Image.new("RGBA", (40, 30), shown)
    image.paste(hidden, (0, 0, 20, 30))
    options: dict[str, Any] = {}
    if mode == "P":
        image, options = Image.new("P", (40, 30), 1), {"transparency": 0}
        image.putpalette([9, 9, 9, 0, 0, 0])
        image.paste(0, (0, 0, 20, 30))
    elif mode in ("RGB", "L"):
        image = Image.new(mode, (40, 30))
        image.paste((9, 9, 9) if mode == "RGB" else 9, (0, 0, 20, 30))
        options = {"transparency": (9, 9, 9) if mode == "RGB" else 9}
    else:
        image = image.convert(mode)
    pixels = detail(png(image, **options))
    assert set(np.unique(pixels[:, :20])) == {255}
    assert set(np.unique(pixels[:, 20:])) == {0}


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF", "HEIF", "GIF"])
def test_a_wholly_transparent_picture_is_white_paper(kind: str) -> None:
    assert detail(encoded(Image.new("RGBA", (64, 64), (0, 0, 0, 0)), kind)).min() >= 250


def test_half_transparent_is_half_white() -> None:
    assert abs(int(detail(png(Image.new("RGBA", (4, 4), (0, 0, 0, 128))))[0, 0, 0]) - 127) <= 1


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_not_inverted(kind: str) -> None:
    image = Image.new("CMYK", (64, 64), (0, 255, 255, 0))  # no cyan: red
    red = detail(encoded(image, kind))[32, 32].astype(int)
    assert red[0] > 200 and red[1:].max() < 60


def test_ycck_is_read_as_adobe_writes_it() -> None:
    data = encoded(Image.new("CMYK", (64, 64), (0, 0, 0, 0)), "JPEG")
    assert b"Adobe" in data
    assert detail(data).min() >= 250


def test_lab() -> None:
    image = Image.new("LAB", (8, 8), (255, 128, 128))
    assert detail(encoded(image, "TIFF")).min() >= 250
    dark = Image.new("LAB", (8, 8), (0, 128, 128))
    assert detail(encoded(dark, "TIFF")).max() <= 5


@pytest.mark.parametrize(("primaries", "before"), [(P3, (234, 51, 35)), (ADOBE, (219, 0, 0))])
def test_wide_colours_become_srgb(primaries: Any, before: tuple[int, int, int]) -> None:
    icc = profile(primaries)
    pixels = head(png(Image.new("RGB", (64, 64), before), icc_profile=icc))
    reference = ImageCms.profileToProfile(
        Image.new("RGB", (1, 1), before),
        ImageCms.ImageCmsProfile(BytesIO(icc)),
        ImageCms.createProfile("sRGB"),
    )
    assert pixels[0, 0].tolist() == list(reference.getpixel((0, 0)))  # type: ignore[union-attr]
    assert pixels[0, 0, 0] > before[0] + 10


def test_grey_stays_grey_whatever_the_primaries() -> None:
    image = Image.new("RGB", (64, 64), (128, 128, 128))
    spread = np.ptp(detail(png(image, icc_profile=profile(P3)))[0, 0].astype(int))
    assert spread <= 2


def test_a_profile_is_applied_after_the_picture_is_reduced(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    real = ImageCms.ImageCmsTransform.apply

    def spy(self: Any, image: Image.Image, *args: Any) -> Image.Image:
        sizes.append(image.size)
        return real(self, image, *args)

    monkeypatch.setattr(ImageCms.ImageCmsTransform, "apply", spy)
    colour._transform.cache_clear()
    read(png(Image.new("RGB", (4000, 1000)), icc_profile=profile(P3, 2.3)))
    assert max(sizes, key=lambda size: size[0] * size[1]) == (2048, 512)


def test_srgb_by_any_name_costs_nothing() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert colour._transform(srgb, "RGB") is None
    assert colour._transform(profile(P3), "RGB") is not None


@pytest.mark.parametrize("icc", [b"garbage", profile(P3)[:200], b"\0" * 128])
def test_a_broken_profile_is_ignored(icc: bytes) -> None:
    image = Image.new("RGB", (8, 8), (234, 51, 35))
    assert detail(png(image, icc_profile=icc))[0, 0].tolist() == [234, 51, 35]


def test_a_profile_of_another_mode_is_ignored() -> None:
    pixels = detail(png(Image.new("L", (8, 8), 99), icc_profile=profile(P3)))
    assert set(np.unique(pixels)) == {99}


def test_plain_pictures_are_not_copied() -> None:
    image = Image.fromarray(scene())
    assert flatten(image) is image
    assert to_srgb(scene(), None).shape == (480, 640, 3)
