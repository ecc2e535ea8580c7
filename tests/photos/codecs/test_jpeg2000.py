"""OpenCV gives the pixels that Pillow would, and what is left to Pillow is small."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from PIL import Image
from support.images import encoded, noise
from support.more_formats import box, jp2_with

from iqcli.errors import PhotoError
from iqcli.photos import decode
from iqcli.photos.codecs import jpeg2000
from iqcli.photos.stderr import quiet_stderr

NOISE = noise(90, 70)
COLOUR = Image.fromarray(NOISE)
GREY16 = NOISE[..., 0].astype(np.uint16) * 257
RGB = encoded(NOISE, "JPEG2000")
SRGB = b"colr\1\0\0\0\0\0\x10"


def with_header(data: bytes, extra: bytes) -> bytes:
    """A JP2 with another box in its header."""
    at = data.index(b"jp2h") - 4
    length = int.from_bytes(data[at : at + 4], "big")
    head = struct.pack(">I", length + len(extra))
    return data[:at] + head + data[at + 4 : at + length] + extra + data[at + length :]


def channels(*definitions: tuple[int, int, int]) -> bytes:
    """The box that says which channel is which."""
    rows = b"".join(struct.pack(">3H", *each) for each in definitions)
    return box(b"cdef", struct.pack(">H", len(definitions)) + rows)


def with_palette() -> bytes:
    """A picture of one channel that is an index into 256 colours."""
    colours = noise(256, 1).tobytes()
    table = box(b"pclr", struct.pack(">HB", 256, 3) + b"\7\7\7" + colours)
    columns = b"".join(struct.pack(">HBB", 0, 1, number) for number in range(3))
    data = encoded(NOISE[..., 0], "JPEG2000").replace(b"colr\1\0\0\0\0\0\x11", SRGB)
    return with_header(data, table + box(b"cmap", columns))


def with_long_box() -> bytes:
    """The length of the codestream's box in 64 bits."""
    at = RGB.index(b"jp2c") - 4
    length = struct.pack(">Q", len(RGB) - at + 8)
    return RGB[:at] + b"\0\0\0\1jp2c" + length + RGB[at + 8 :]


BY_OPENCV = {
    "RGB": RGB,
    "a bare codestream": encoded(NOISE, "JPEG2000", no_jp2=True),
    "with loss": encoded(
        NOISE, "JPEG2000", irreversible=True, mct=1, quality_mode="rates", quality_layers=[20, 5]
    ),
    "tiles": encoded(NOISE, "JPEG2000", tile_size=(64, 64)),
    "a profile": jp2_with(RGB, icc=b"no profile"),
    "RGBA": encoded(np.dstack([NOISE, NOISE[..., 0]]), "JPEG2000"),
    "CMYK": encoded(COLOUR.convert("CMYK"), "JPEG2000"),
    "sYCC": encoded(COLOUR.convert("YCbCr"), "JPEG2000"),
    "grey": encoded(NOISE[..., 0], "JPEG2000"),
    "grey of 16 bits": encoded(GREY16, "JPEG2000"),
    "a palette": with_palette(),
    "colours in order": with_header(RGB, channels((0, 0, 1), (1, 0, 2), (2, 0, 3))),
    "a long box": with_long_box(),
}
BY_PILLOW = {
    "grey with transparency": encoded(COLOUR.convert("LA"), "JPEG2000"),
    "colours in another order": with_header(RGB, channels((0, 0, 3), (1, 0, 2), (2, 0, 1))),
    "signed": encoded(NOISE[..., 0], "JPEG2000", signed=True),
    "an offset": encoded(NOISE, "JPEG2000", offset=(8, 8), tile_size=(64, 64), tile_offset=(0, 0)),
}


def opened(data: bytes) -> Image.Image:
    return decode._opened(data, "jp2")


@pytest.mark.parametrize(
    "data", [*BY_OPENCV.values(), *BY_PILLOW.values()], ids=[*BY_OPENCV, *BY_PILLOW]
)
def test_pixels_are_those_of_pillow(data: bytes) -> None:
    image, wanted = opened(data), opened(data)
    with quiet_stderr():
        jpeg2000.load(image, data)
    assert image.mode == wanted.mode
    assert np.array_equal(image.convert("RGBA"), wanted.convert("RGBA"))


@pytest.mark.parametrize("data", BY_OPENCV.values(), ids=[*BY_OPENCV])
def test_pillow_decodes_no_usual_picture(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    image = opened(data)
    monkeypatch.setattr(image, "load", lambda: pytest.fail("Pillow decodes"))
    with quiet_stderr():
        jpeg2000.load(image, data)


def test_16_bits_a_colour_keep_their_high_byte() -> None:
    """Pillow rounds, and white becomes black."""
    wide = np.full((70, 90, 3), 65535, np.uint16)
    wide[:35] = NOISE[:35].astype(np.uint16) * 256
    data = cv2.imencode(".jp2", wide[..., ::-1], [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])[1]
    assert np.array_equal(decode.decode(data.tobytes(), "jp2", 1).pixels, wide >> 8)


@pytest.mark.parametrize("data", [RGB, BY_OPENCV["tiles"], BY_OPENCV["a bare codestream"]])
@pytest.mark.parametrize("cut", [1, 100, 5000])
def test_a_cut_codestream_is_refused(
    data: bytes, cut: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(OSError, match="broken data stream"):
        decode.decode(data[:-cut], "jp2", 1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "data",
    [
        encoded(Image.new("LA", (2001, 1000)), "JPEG2000"),
        encoded(Image.new("LA", (1000, 1000)), "JPEG2000", tile_size=(16, 16)),
        BY_PILLOW["grey with transparency"] + bytes(2**21),
    ],
    ids=["pixels", "tiles", "bytes"],
)
def test_what_only_pillow_decodes_is_refused_if_it_is_large(data: bytes) -> None:
    with pytest.raises(PhotoError, match=r"a large JPEG 2000 .* convert it to TIFF"):
        decode.decode(data, "jp2", 250)


def test_a_file_without_codestream_is_refused() -> None:
    with pytest.raises(ValueError, match="no codestream"):
        jpeg2000.size_of(RGB[: RGB.index(b"jp2c")])
    with pytest.raises(ValueError, match="truncated codestream"):
        jpeg2000.size_of(RGB[: RGB.index(b"jp2c") + 20])
