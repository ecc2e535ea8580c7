from __future__ import annotations

import math
import re
import struct
import time
from typing import Any

import numpy as np
import pytest
from PIL.TiffImagePlugin import IFDRational
from support.images import encoded, exif_block, read, scene

from iqcli.photos.exif import (
    MAX_TEXT,
    apple_burst,
    bias_of,
    exposure_of,
    facts_of,
    orientation_of,
    tags_of,
)

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
        ({}, {ORIGINAL: "2024:05:01 12:34:56.7Z", SUBSEC: "9"}, "2024-05-01T12:34:56.7Z"),
        ({}, {ORIGINAL: "2024:05:01 12:34"}, "2024-05-01T12:34:00"),
        ({}, {ORIGINAL: "2024:05:01 12:34:56", OFFSET: "+0200"}, "2024-05-01T12:34:56+02:00"),
        ({}, {ORIGINAL: "2024:05:01 12:34:56", OFFSET: "Z"}, "2024-05-01T12:34:56Z"),
        # As phones write it into DNG.
        ({306: "2024:06:01 00:00:00", ORIGINAL: "2024:05:01 12:34:56"}, {}, "2024-05-01T12:34:56"),
        ({}, {ORIGINAL: "1970:01:01 00:00:00", DIGITIZED: "2024:05:01"}, "2024-05-01"),
        ({306: "2020:01:01 00:00:00"}, {}, "2020-01-01T00:00:00"),
        (
            {306: "2020:01:01 00:00:00"},
            {ORIGINAL: "0000:00:00 00:00:00", DIGITIZED: "2019:02:03 04:05:06"},
            "2019-02-03T04:05:06",
        ),
        ({306: "2020:01:01 00:00:00"}, {ORIGINAL: "2023:02:30 10:00:00"}, "2020-01-01T00:00:00"),
        ({}, {ORIGINAL: "2024:05:01"}, "2024-05-01"),
        ({}, {ORIGINAL: "2024:05:01   :  :  ", SUBSEC: "12"}, "2024-05-01"),
        ({}, {ORIGINAL: "2024:05:01 24:61:00"}, "2024-05-01"),
        ({306: "2024:05:01 18:00:00"}, {ORIGINAL: "2024:05:01"}, "2024-05-01T18:00:00"),
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
    begin = time.process_time()
    assert tags_of(block) == {}
    assert time.process_time() - begin < 1


# --- exposure ---

TIME, APERTURE, ISO, BIAS, APEX, INDEX, SPEED = (
    *(0x829A, 0x829D, 0x8827, 0x9204, 0x9202, 0x8832, 0x8833),
)
HUNDREDTH = {TIME: (1, 100), APERTURE: (2, 1), ISO: 400}


def ratios(more: dict[int, Any]) -> dict[int, Any]:
    return {tag: IFDRational(*v) if isinstance(v, tuple) else v for tag, v in more.items()}


@pytest.mark.parametrize(
    ("more", "exposure"),
    [
        ({TIME: (1, 1), APERTURE: (1, 1), ISO: 100}, 0),
        (HUNDREDTH, math.log2(0.01)),
        # The same light, expressed otherwise.
        ({TIME: (1, 100), APEX: (2, 1), ISO: 400}, math.log2(0.01)),
        ({TIME: (1, 100), APERTURE: (0, 1), APEX: (2, 1), ISO: 400}, math.log2(0.01)),
        ({TIME: (1, 100), APERTURE: (2, 1), ISO: 65535, INDEX: 400}, math.log2(0.01)),
        ({TIME: (1, 100), APERTURE: (2, 1), SPEED: 400}, math.log2(0.01)),
        # Twice the light is one stop more, by whichever of the three.
        (HUNDREDTH | {TIME: (2, 100)}, math.log2(0.02)),
        (HUNDREDTH | {ISO: 800}, math.log2(0.02)),
        ({}, None),
        *[
            ({key: value for key, value in HUNDREDTH.items() if key != out}, None)
            for out in HUNDREDTH
        ],
        *[(HUNDREDTH | {TIME: value}, None) for value in ((0, 1), (1, 0), (0, 0))],
        *[(HUNDREDTH | {APERTURE: value}, None) for value in ((0, 1), (1, 0))],
        (HUNDREDTH | {ISO: 0}, None),
        (HUNDREDTH | {TIME: (2**32 - 1, 1), ISO: 65534, APERTURE: (1, 2**32 - 1)}, None),
    ],
)
def test_exposure(more: dict[int, Any], exposure: float | None) -> None:
    assert facts({}, ratios(more)).exposure == (exposure and pytest.approx(exposure))


@pytest.mark.parametrize(
    ("value", "bias"),
    [((0, 1), 0), ((-2, 3), -2 / 3), ((4, 1), 4), ((1, 0), None), ((2**31 - 1, 1), None)],
)
def test_bias(value: tuple[int, int], bias: float | None) -> None:
    found = facts({}, {BIAS: IFDRational(*value)}).bias
    assert found == (bias and pytest.approx(bias)) and (bias is None or type(found) is float)


@pytest.mark.parametrize("values", [None, [], "text", b"", [None], ["1"], [float("nan")], [b"1"]])
def test_odd_values_say_nothing(values: Any) -> None:
    tags = dict.fromkeys(("EXIF ExposureBiasValue", "EXIF ExposureTime", "EXIF FNumber"), values)
    assert (bias_of(tags), exposure_of(tags | {"EXIF ISOSpeedRatings": [100]})) == (None, None)


# --- bursts and panoramas ---

UUID = "0C3B5A3E-7E31-4A4B-9F11-6D3F4E0A9C77"
NOTE, RENDERED = 0x927C, 0xA401


def apple_note(entries: list[tuple[int, int, bytes]], order: str = ">", count: int | None = None):
    """A maker note of an iPhone: (tag, type, value) of each entry; offsets from its beginning."""
    head = b"Apple iOS\0\0\1" + (b"MM" if order == ">" else b"II")
    directory = struct.pack(order + "H", len(entries) if count is None else count)
    data, at = b"", len(head) + 2 + 12 * len(entries) + 4
    for tag, kind, value in entries:
        place = (
            value.ljust(4, b"\0") if len(value) <= 4 else struct.pack(order + "I", at + len(data))
        )
        data += value if len(value) > 4 else b""
        directory += struct.pack(order + "HHI", tag, kind, len(value)) + place
    return head + directory + b"\0" * 4 + data


RUNTIME = (0x0003, 7, b"bplist00" + b"x" * 40)


@pytest.mark.parametrize("outer", "<>")
@pytest.mark.parametrize("order", "<>")
def test_the_burst_of_an_iphone(outer: str, order: str) -> None:
    note = apple_note([RUNTIME, (0x000B, 2, f"{UUID}\0".encode())], order)
    block = exif_block({271: "Apple"}, {NOTE: note}, order=outer)
    assert block[6:8] == (b"II" if outer == "<" else b"MM")
    assert facts_of(tags_of(block), b"", "jpeg", 4, 3).burst == f"apple:{UUID}"


@pytest.mark.parametrize("kind", ["JPEG", "HEIF", "PNG", "WEBP"])
def test_every_format_gives_its_burst(kind: str) -> None:
    note = apple_note([(0x000B, 2, UUID.encode())])
    seen, _ = read(
        encoded(scene(64, 48), kind, exif=exif_block({}, ratios({NOTE: note, **HUNDREDTH})))
    )
    assert seen.burst == f"apple:{UUID}" and seen.exposure is not None


@pytest.mark.parametrize(
    "note",
    [
        b"Apple iOS",
        b"Apple iOS\0\0\1MM",
        b"Apple iOS\0\0\1MM\xff\xff",
        apple_note([]),
        apple_note([RUNTIME]),
        apple_note([(0x000B, 2, b"")]),
        apple_note([(0x000B, 2, b"\0" * 36)]),
        apple_note([(0x000B, 2, b"../../../../etc")]),
        apple_note([(0x000B, 2, b"A" * 70_000)]),
        apple_note([(0x000B, 2, UUID.encode())])[:-9],
        apple_note([(0x000B, 2, UUID.encode())]).replace(b"Apple", b"Apfel"),
        apple_note([(0x000B, 9, UUID.encode())]),
        apple_note([(0x000B, 2, UUID.encode())], count=0),
    ],
)
def test_a_note_without_a_burst(note: bytes) -> None:
    assert facts({}, {NOTE: note}).burst is None


def test_hostile_notes_do_no_harm() -> None:
    """Whatever stands in a note, and whatever bytes of the block are wrong: a burst or none."""
    random = np.random.default_rng(5)
    good = exif_block({271: "Apple"}, {NOTE: apple_note([RUNTIME, (0x000B, 2, UUID.encode())])})
    blocks = [good[:length] for length in range(len(good))]
    for _ in range(1500):
        block = bytearray(good)
        for at in random.integers(6, len(good), random.integers(1, 6)):
            block[at] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.integers(256)))
        blocks.append(bytes(block))
    blocks += [b"MM\0*" + random.bytes(200) for _ in range(300)]
    for block in blocks:
        burst = apple_burst(block.removeprefix(b"Exif\0\0"))
        assert burst is None or re.fullmatch(r"[0-9A-Za-z-]{8,64}", burst)


def test_a_note_that_claims_the_world_costs_little() -> None:
    """Each of 65,535 entries names the whole of a large file."""
    entry = struct.pack(">HHII", NOTE, 7, 2**25, 0)
    inside = struct.pack(">HHII", 0x8769, 4, 1, 26)
    block = b"MM\0*\0\0\0\x08" + b"\0\1" + inside + b"\0" * 4 + b"\xff\xff" + entry * 65535
    begin = time.process_time()
    assert apple_burst(block.ljust(2**25, b"\0")) is None
    assert time.process_time() - begin < 1


def xmp_of(text: str) -> bytes:
    spaces = 'xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" '
    spaces += 'xmlns:GPano="http://ns.google.com/photos/1.0/panorama/"'
    return PACKET.replace(b'xmp:Rating="-1"', f"{spaces} {text}".encode())


@pytest.mark.parametrize(
    ("more", "text", "burst"),
    [
        ({}, 'GCamera:BurstID="8bafacec-2d9c-415a"', "google:8bafacec-2d9c-415a"),
        ({}, 'GCamera:BurstID=""', None),
        ({}, 'GCamera:BurstID="a b"', None),
        ({}, f'GCamera:BurstID="{"a" * 101}"', None),
        ({NOTE: apple_note([(11, 2, UUID.encode())])}, 'GCamera:BurstID="b"', f"apple:{UUID}"),
    ],
)
def test_bursts_by_maker(more: dict[int, Any], text: str, burst: str | None) -> None:
    assert facts({}, more, xmp_of(text)).burst == burst


@pytest.mark.parametrize(
    ("more", "text", "stitched"),
    [
        ({}, "", False),
        ({RENDERED: 6}, "", True),
        *[({RENDERED: value}, "", False) for value in (0, 1, 2, 8)],
        ({}, 'GPano:UsePanoramaViewer="True"', True),
        ({}, 'GPano:ProjectionType="equirectangular"', True),
        ({}, 'GPano:UsePanoramaViewer="False"', False),
    ],
)
def test_panoramas(more: dict[int, Any], text: str, stitched: bool) -> None:
    assert facts({}, more, xmp_of(text)).panorama is stitched


def test_a_wide_picture_is_no_panorama_by_its_shape() -> None:
    assert not facts_of({}, b"", "jpeg", 8000, 1000).panorama


def test_flags_and_ratings_of_iq_in_the_picture_itself() -> None:
    ours = b'xmlns:iq="http://ns.iqcli.org/1.0/" iq:wroteRating="-1" xmp:Rating="-1"'
    assert facts({}, xmp=PACKET.replace(b'xmp:Rating="-1"', ours)).stars is None
    # What stood in EXIF before iq wrote XMP is the person's.
    assert facts({0x4746: 3}, xmp=PACKET.replace(b'xmp:Rating="-1"', ours)).stars == 3
    flag = b'xmlns:dm="http://ns.adobe.com/xmp/1.0/DynamicMedia/" dm:pick="1"'
    assert facts({}, xmp=PACKET.replace(b'xmp:Rating="-1"', flag)).pick == 1
