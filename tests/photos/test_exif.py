from __future__ import annotations

import struct
import time
from typing import Any

import pytest

from iqcli.photos.exif import MAX_TEXT, facts_of, orientation_of, tags_of

from .make import encoded, exif_block, read, scene

ORIGINAL, DIGITIZED, SUBSEC, OFFSET = 0x9003, 0x9004, 0x9291, 0x9011
PACKET = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    b'syntax-ns#"><rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="-1"/>'
    b"</rdf:RDF></x:xmpmeta>"
)


def facts(tags: dict[int, Any], more: dict[int, Any] | None = None, xmp: bytes = b"") -> Any:
    return facts_of(tags_of(exif_block(tags, more)), xmp, "jpeg", 4, 3)


@pytest.mark.parametrize(
    ("tags", "more", "taken"),
    [
        ({}, {ORIGINAL: "2024:05:01 12:34:56"}, "2024-05-01T12:34:56"),
        ({}, {ORIGINAL: "2024:05:01 12:34:56", SUBSEC: "078"}, "2024-05-01T12:34:56.078"),
        ({}, {ORIGINAL: "2024-05-01T12:34:56", OFFSET: "-07:30"}, "2024-05-01T12:34:56-07:30"),
        (
            {},
            {ORIGINAL: "2024:05:01 12:34:56", SUBSEC: "9", OFFSET: "+02:00"},
            "2024-05-01T12:34:56.9+02:00",
        ),
        (
            {},
            {ORIGINAL: "2024:05:01 12:34:56", SUBSEC: "x", OFFSET: "+99:00"},
            "2024-05-01T12:34:56",
        ),
        ({306: "2020:01:01 00:00:00"}, {}, "2020-01-01T00:00:00"),
        (
            {306: "2020:01:01 00:00:00"},
            {ORIGINAL: "0000:00:00 00:00:00", DIGITIZED: "2019:02:03 04:05:06"},
            "2019-02-03T04:05:06",
        ),
        ({306: "2020:01:01 00:00:00"}, {ORIGINAL: "2023:02:30 10:00:00"}, "2020-01-01T00:00:00"),
        ({306: "0000:00:00 00:00:00"}, {}, None),
        ({306: "    :  :     :  :  "}, {}, None),
        ({}, {}, None),
    ],
)
def test_taken(tags: dict[int, str], more: dict[int, str], taken: str | None) -> None:
    assert facts(tags, more).taken == taken


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Apple", "iPhone 12 Pro", "Apple iPhone 12 Pro"),
        ("Canon", "Canon EOS 6D", "Canon EOS 6D"),
        ("NIKON CORPORATION", "NIKON D90", "NIKON D90"),
        ("samsung\0\0", "  SM-S906U ", "samsung SM-S906U"),
        (None, "X100", "X100"),
        ("Leica", None, "Leica"),
        ("\0\0", "", None),
        ("A\x1b[31mB\n", "[red]\u202egnp.exe", "A [31mB [red] gnp.exe"),
    ],
)
def test_camera(make: str | None, model: str | None, camera: str | None) -> None:
    tags = {tag: text for tag, text in ((271, make), (272, model)) if text is not None}
    block = {name: text for name, text in (("Image Make", make), ("Image Model", model)) if text}
    assert facts_of(block, b"", "jpeg", 4, 3).camera == camera
    if all(text.isascii() and text.isprintable() for text in tags.values()):
        assert facts(tags).camera == camera


def test_text_of_tags_is_capped() -> None:
    seen = facts({271: "m" * 5000, 272: "x" * 5000})
    assert len(seen.camera) == len(seen.maker) == MAX_TEXT


def test_maker_stands_alone_too() -> None:
    assert facts({271: "Apple", 272: "iPhone 12"}).maker == "Apple"


@pytest.mark.parametrize(
    ("rating", "xmp", "stars"),
    [(3, b"", 3), (0, b"", 0), (6, b"", None), (None, b"", None), (3, PACKET, -1), (4, b"<", 4)],
)
def test_stars(rating: int | None, xmp: bytes, stars: int | None) -> None:
    assert facts({} if rating is None else {0x4746: rating}, xmp=xmp).stars == stars


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF"])
def test_every_format_gives_its_facts(kind: str) -> None:
    block = exif_block({271: "Apple", 272: "iPhone 12"}, {ORIGINAL: "2024:05:01 12:34:56"})
    options = {"xmp": PACKET}
    if kind == "PNG":
        from PIL import PngImagePlugin

        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", PACKET.decode())
        options = {"pnginfo": info}  # type: ignore[dict-item]
    if kind == "TIFF":
        options = {"tiffinfo": {700: PACKET}}  # type: ignore[dict-item]
    seen, _ = read(encoded(scene(64, 48), kind, exif=block, **options))
    if kind != "TIFF":  # Pillow writes `tiffinfo` or `exif`
        assert (seen.camera, seen.taken) == ("Apple iPhone 12", "2024-05-01T12:34:56")
    assert seen.stars == -1
    assert (seen.width, seen.height) == (64, 48)


@pytest.mark.parametrize("value", [0, 9, -1, 65535, "6", None, (6, 6)])
def test_garbage_orientation_is_upright(value: Any) -> None:
    tags = {"Image Orientation": list(value) if isinstance(value, tuple) else [value]}
    assert orientation_of(tags) == (6 if value == (6, 6) else 1)
    assert orientation_of({"Image Orientation": value}) == 1


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"garbage",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"MM\0*\0\0\0\x08\xff\xff",
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\x08\0\0\0",
        exif_block({271: "Apple"})[:-9],
    ],
)
def test_broken_exif_is_no_exif_and_never_an_error(block: bytes) -> None:
    assert facts_of(tags_of(block), b"", "jpeg", 4, 3).taken is None


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF"])
@pytest.mark.parametrize(
    "block", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0"]
)
def test_broken_exif_never_fails_a_photo(kind: str, block: bytes) -> None:
    seen, views = read(encoded(scene(64, 48), kind, exif=block))
    assert seen.camera is None
    assert views.detail.shape == (48, 64, 3)


def test_a_directory_that_claims_the_world_costs_little() -> None:
    entry = struct.pack("<HHII", 0x0111, 4, 999, 8)
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", 65535) + entry * 65535
    begin = time.perf_counter()
    assert tags_of(block) == {}
    assert time.perf_counter() - begin < 1
