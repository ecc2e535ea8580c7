"""What asks for more than a photo is refused before a decoder sees it, and no photo is."""

from __future__ import annotations

import struct
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import hostile_files as hostile
from support.hostile_files import chunk, entry, jpeg_with, png_with, segment, tiff, tiff_shape
from support.images import LIMIT, encoded, noise

from iqcli.errors import PhotoError
from iqcli.photos import decode, limits, read
from iqcli.photos.colour import flatten
from iqcli.photos.limits import memory_limit, memory_of
from iqcli.photos.views import limited, strip_halvings

EXIF = segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0" + b"\0" * 60)
TABLE = segment(0xC4, b"\0\1" + b"\0" * 15 + b"\0")
IRB = segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\0" * 5000)


def refusal(data: bytes, limit: float = LIMIT) -> str:
    """The reason for which a file is refused before it is opened."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(PhotoError) as caught:
        patch.setattr(decode, "_opened", lambda *_: pytest.fail("it was opened"))
        read.read_photo(data, max_megapixels=limit)
    return str(caught.value)


def shared(count: int, size: int) -> bytes:
    """A TIFF whose tags have the same bytes."""
    tags = [(40_000 + n, 7, size, b"") for n in range(count)]
    body = tiff([*tiff_shape(4, 4), entry(273, 4, 16), entry(279, 4, 48), *tags], b"\0" * 48)
    return body + b"\0" * size


MANY = {
    "scans": (lambda: hostile.progressive(65, 64, 48), "64 scans"),
    "scans after an end in a comment": (
        lambda: hostile.progressive(65, 64, 48, between=segment(0xFE, hostile.EOI)),
        "64 scans",
    ),
    "segments between scans": (
        lambda: hostile.progressive(2, 64, 48, between=TABLE * 5000),
        "4,096 segments between scans",
    ),
    "exif": (lambda: jpeg_with(EXIF * 65), "64 segments of EXIF"),
    "photoshop": (lambda: jpeg_with(IRB * 140), "8,388,608 bytes of Photoshop's data"),
    "tables": (lambda: jpeg_with(TABLE * 4097), "4,096 segments"),
    "comments": (lambda: jpeg_with(segment(0xFE, b"") * 4097), "4,096 segments"),
    "padding": (lambda: jpeg_with(b"\xff" * 300_000), "262,144 bytes of padding"),
    "zeros": (lambda: jpeg_with(EXIF + b"\0" * 300_000), "262,144 bytes of padding"),
    "restarts": (lambda: jpeg_with(b"\xff\xd0" * 200_000), "262,144 bytes of padding"),
    "chunks": (lambda: png_with(chunk(b"tEXt", b"a\0b") * 200_001), "200,000 chunks"),
    "strips": (lambda: hostile.striped_tiff(120_001), "120,000 strips"),
    "tags": (
        lambda: tiff([*tiff_shape(4, 4), *(entry(5000 + n, 3, n) for n in range(5000))]),
        "4,096 tags",
    ),
    "tags of a BigTIFF": (
        lambda: tiff([*tiff_shape(4, 4), *(entry(5000 + n, 3, n) for n in range(5000))], b"", True),
        "4,096 tags",
    ),
    "pieces": (
        lambda: b"GIF89a\1\0\1\0\0\0\0" + b"!\xfe\1x\0" * 8193,
        "8,192 pieces before its first frame",
    ),
}


@pytest.mark.parametrize("name", MANY)
def test_more_pieces_than_a_photo_has_are_refused(name: str) -> None:
    make, count = MANY[name]
    message = refusal(make())
    assert message == f"it has over {count}, far more than a photo"


def test_tags_that_share_their_bytes_are_refused() -> None:
    body = bytearray(shared(100, 300_000))
    start = int.from_bytes(body[4:8], "little")
    for at in range(start + 2, start + 2 + 12 * 108, 12):
        if body[at] + 256 * body[at + 1] >= 40_000:
            body[at + 8 : at + 12] = struct.pack("<I", 16)
    assert refusal(bytes(body)) == "its tags are larger than the file"


def header_of_png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"\0" * 64)


def bare_tiff(compression: int) -> bytes:
    places = [entry(273, 4, 8), entry(279, 4, 8)]
    return tiff([*tiff_shape(16000, 15000, compression=compression), *places])


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (
            hostile.progressive(2, 64, 48)[:160].replace(b"\0\x30\0\x40", b"\x3a\x98\x3e\x80"),
            "JPEG",
        ),
        (header_of_png(16000, 15000), "PNG"),
        *[(bare_tiff(compression), "TIFF") for compression in (1, 5, 8, 32773)],
        (hostile.flat_bmp(16000, 15000)[:200], "BMP"),
    ],
)
def test_a_few_bytes_cannot_hold_hundreds_of_megapixels(data: bytes, name: str) -> None:
    assert len(data) < 400
    assert refusal(data) == f"{name} data ends early"


@pytest.mark.parametrize(
    ("data", "needed"),
    [
        (hostile.solid_webp(16000, 15600), 3994),
        (hostile.solid_webp(10000, 8000), 1281),
        (hostile.progressive(2, 16000, 15000, 3), 1511),
        (hostile.one_strip_header(15000, 15000, (16, 16, 16)), 2346),
        (hostile.one_strip_header(12000, 12000, (32, 32, 32)), 2437),
        (hostile.one_strip_header(15800, 15800, (8, 8, 8, 8)), 2138),
    ],
    ids=["webp", "smaller webp", "jpeg", "16 bits", "float", "cmyk"],
)
def test_the_memory_of_a_codec_is_bounded(data: bytes, needed: int) -> None:
    message = refusal(data)
    words = message.split()
    assert words[:1] == ["needs"] and message.endswith(
        "MB of memory, the limit is 1,201 (raise max_megapixels)"
    )
    assert int(words[1].replace(",", "")) == pytest.approx(needed, rel=0.03)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_a_file_far_larger_than_its_pixels_is_refused(kind: str) -> None:
    data = encoded(noise(64, 48), kind)[:-2]
    message = refusal(data + bytes(140_000_000))
    assert message == "it has 140 MB for 64 × 48 pixels, far more than a photo"


def test_a_run_length_coded_bmp_is_of_the_time_of_small_screens() -> None:
    message = refusal(hostile.rle_bmp(4000, 4000, 2))
    assert message == "it has over 8,000,000 pixels coded by run length, far more than a photo"


def test_the_canvas_counts_where_it_is_larger_than_the_frame() -> None:
    assert refusal(hostile.gif_of(20000, 20000)) == (
        "needs 400 megapixels, the limit is 250 (raise max_megapixels)"
    )


KINDS = ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "HEIF"]
PEAK = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
from support.images import encoded, noise
from iqcli.photos.limits import memory_of
from iqcli.photos.read import read_photo
status = Path("/proc/self/status")
def field(name):
    line = next(each for each in status.read_text().splitlines() if each.startswith(name))
    return int(line.split()[1]) * 1024
for name in sys.argv[3:]:
    read_photo(encoded(noise(64, 48), name.split(".")[1]), max_megapixels=250)
    data = Path(name).read_bytes()
    Path("/proc/self/clear_refs").write_text("5")
    before = field("VmRSS")
    read_photo(data, max_megapixels=250)
    print(name, field("VmHWM") - before, memory_of(data))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is known on Linux")
def test_the_estimate_of_memory_is_no_less_than_what_decoding_takes(tmp_path: Path) -> None:
    small = Image.fromarray(noise(16, 16)).resize((2000, 1500))
    pictures = {
        "JPEG": encoded(small, "JPEG", progressive=True, subsampling=0),
        "PNG": encoded(small.convert("RGBA"), "PNG", compress_level=1),
        "GIF": encoded(small.convert("P"), "GIF"),
        "BMP": encoded(small, "BMP"),
        "TIFF": hostile.one_strip_tiff(2000, 1500, (16, 16, 16)),
        "WEBP": encoded(small.convert("RGBA"), "WEBP", quality=50, method=0),
        "AVIF": encoded(small.convert("RGBA"), "AVIF", speed=10, subsampling="4:4:4"),
        "HEIF": encoded(small.convert("RGBA"), "HEIF", chroma=444),
    }
    for kind, data in pictures.items():
        (tmp_path / f"a.{kind}").write_bytes(data)
    names = [str(tmp_path / f"a.{kind}") for kind in pictures]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(root), str(root / "tests"), *names],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line.rsplit(" ", 2) for line in done.stdout.splitlines()]
    assert len(rows) == len(pictures)
    # Beside the picture there are what a codec sets up once, and its threads.
    beyond = [(name[-4:], int(peak), int(said)) for name, peak, said in rows]
    assert not [each for each in beyond if each[1] > each[2] + 30e6]


@pytest.mark.parametrize("kind", KINDS)
def test_a_photo_keeps_far_from_every_limit(kind: str) -> None:
    data = encoded(noise(400, 300), kind)
    demand = limits.demand_of(data, read.kind_of(data))
    assert demand and (demand.width, demand.height) == (400, 300)
    assert demand.least < len(data) and demand.memory < memory_limit(1)
    read.read_photo(data, max_megapixels=0.12)


def test_rare_but_real_files_are_read() -> None:
    profile = b"".join(
        segment(0xE2, b"ICC_PROFILE\0" + bytes([n + 1, 255]) + b"x" * 1000) for n in range(255)
    )
    depth = segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"x" * 60_000) * 400
    plain = encoded(noise(64, 48), "JPEG")
    whole = [
        jpeg_with(profile),
        jpeg_with(depth),
        jpeg_with(b"\xff" * 4096),
        encoded(noise(64, 48), "JPEG", progressive=True),
        plain + plain,  # a second picture behind the first
        encoded(noise(64, 48), "JPEG", progressive=True) + b"\xff\xda\0\2" * 1000,  # a video
        hostile.striped_tiff(30_000, 8, 3),
        encoded(Image.new("L", (3000, 2000)), "PNG"),
        encoded(Image.new("1", (3000, 2000)), "TIFF", compression="group4"),
        encoded(Image.new("RGB", (3000, 2000)), "TIFF", compression="tiff_deflate"),
        encoded(Image.new("RGB", (3000, 2000)), "TIFF", compression="tiff_lzw"),
        encoded(Image.new("L", (3000, 2000), 255), "JPEG", optimize=True),
        encoded(Image.new("RGB", (3000, 2000)), "JPEG", optimize=True, progressive=True),
        encoded(Image.new("L", (3000, 2000)), "GIF"),
    ]
    for data in whole:
        assert read.read_photo(data, max_megapixels=LIMIT)[1].detail.size


def test_whole_pixels_of_a_jpeg_count_where_they_are_asked_for() -> None:
    data = encoded(Image.new("RGB", (3000, 1500)), "JPEG")
    assert memory_of(data, whole=True) > memory_of(data) + 3 * 3000 * 1500


@pytest.mark.parametrize("rows", [1056, 1057])
@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16", "F", "1"])
def test_a_large_picture_is_converted_in_strips_alike(
    mode: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ramp = np.add.outer(np.arange(rows), np.arange(4999)).astype(np.float32)
    if mode in ("F", "I;16"):
        image = Image.fromarray(ramp if mode == "F" else (ramp * 10).astype(np.uint16))
    else:
        image = Image.fromarray((ramp / 24).astype(np.uint8)).convert("RGB").convert(mode)
    whole = limited(np.asarray(flatten(image)))
    monkeypatch.setattr(decode, "STRIPS_FROM", 0)
    monkeypatch.setattr(decode, "STRIP_PIXELS", 5000 * 100)
    monkeypatch.setattr(decode, "flatten", lambda part, span: flatten(checked(part), span))
    assert np.array_equal(limited(decode._less(image)), whole)


@pytest.mark.parametrize(
    ("width", "height", "times"),
    [
        *[(2048, 99, 0), (11585, 4, 0), (11586, 4, 1), (11586, 5, 0), (2048, 4096, 1)],
        *[(2047, 4096, 0), (23172, 4, 2), (16000, 15600, 2), (10**6, 1, 0)],
    ],
)
def test_strips_are_halved_as_often_as_the_whole_would_be(
    width: int, height: int, times: int
) -> None:
    assert strip_halvings(width, height) == times


def checked(part: Image.Image) -> Image.Image:
    assert part.height <= 100
    return part


def test_every_prefix_of_a_file_is_a_reason_and_no_crash() -> None:
    files = [encoded(noise(32, 24), kind) for kind in KINDS]
    files += [hostile.progressive(3, 64, 48), hostile.striped_tiff(3), hostile.solid_webp(9, 9)]
    for data in files:
        kind = read.kind_of(data)
        for end in (*range(32, min(len(data), 400)), len(data) - 1):
            try:
                limits.check(data[:end], kind, LIMIT)
            except PhotoError as error:
                assert str(error).isprintable()


def test_random_headers_never_crash() -> None:
    random = np.random.default_rng(5)
    for kind in KINDS:
        whole = np.frombuffer(encoded(noise(32, 24), kind), np.uint8)
        for _ in range(200):
            data = whole.copy()
            at = random.integers(8, min(len(data), 300), 4)
            data[at] = random.integers(0, 256, 4)
            try:
                limits.check(data.tobytes(), kind.lower(), LIMIT)
            except PhotoError as error:
                assert str(error).isprintable()


def test_an_empty_stream_of_scans_ends() -> None:
    data = BytesIO(hostile.progressive(2, 64, 48)).getvalue()
    limits.check(data, "jpeg", LIMIT)
