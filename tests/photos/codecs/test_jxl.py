from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image
from support.images import corners, encoded, exif_block, noise, read, scene
from support.more_formats import jxl, jxl_container, jxl_of_jpeg

from iqcli.errors import PhotoError
from iqcli.photos.codecs.jxl import metadata, size_of
from iqcli.photos.read import read_whole

EXIF = exif_block({271: "Maker", 272: "One", 274: 6})
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    + (
        b'syntax-ns#"><rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"/>'
        b"</rdf:RDF></x:xmpmeta>"
    )
)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_a_bare_codestream_is_read(mode: str) -> None:
    image = Image.fromarray(scene()).convert(mode)
    facts, views = read(jxl(image))
    assert (facts.format, facts.width, facts.height) == ("jxl", 640, 480)
    assert corners(views.detail) == corners(np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("packed", [False, True])
def test_a_container_gives_its_metadata_and_the_codestream_alone_turns(packed: bool) -> None:
    """The turn is in the codestream; EXIF only repeats it (ISO/IEC 18181-2, 9.1)."""
    facts, views = read(jxl_container(jxl(scene()), EXIF, XMP, packed))
    assert (facts.width, facts.height) == (640, 480)
    assert (facts.camera, facts.stars) == ("Maker One", 4)
    assert corners(views.detail) == corners(scene())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turn_of_the_codestream_is_undone(orientation: int) -> None:
    turned = with_header(jxl(noise(17, 31)), orientation)
    upright = UPRIGHT[orientation](noise(17, 31))
    assert np.array_equal(read_whole(turned, max_megapixels=1), upright)


UPRIGHT = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: np.rot90(p, 1),
}


def bits(*fields: tuple[int, int]) -> bytes:
    """Fields (value, bits) from the lowest bit on, filled up with zeros to whole bytes."""
    number = length = 0
    for value, size in fields:
        number |= value << length
        length += size
    return number.to_bytes((length + 7) // 8, "little")


# What a codestream of 17 by 31 begins with: its size, then the metadata, all spelt out.
# Source: ISO/IEC 18181-1, annex D.
SIZE = ((0, 1), (0, 2), (30, 9), (0, 3), (0, 2), (16, 9))
# 8 bits; 16 bits suffice; no extra channels; no XYB.
SAMPLES = ((0, 1), (0, 2), (1, 1), (0, 2), (0, 1))
SRGB = ((1, 1),)
# RGB without a profile, white D65, primaries of BT.2100, no gamma but PQ, relative.
BT2100_PQ = ((0, 1), (0, 1), (0, 2), (1, 2), (2, 2), (7, 4), (0, 1), (2, 2), (14, 4), (1, 2))
# No extensions, and the usual transforms.
END = ((0, 2), (1, 1))


def with_header(
    data: bytes, orientation: int = 1, colours: tuple[tuple[int, int], ...] = SRGB
) -> bytes:
    """The codestream of a picture of 17 by 31, of 8 bits and lossless, with another header."""
    plain = b"\xff\x0a" + bits(*SIZE, (0, 1), (0, 1), *SAMPLES, *SRGB, *END)
    assert data.startswith(plain)
    # With extra fields (no intrinsic size, preview or animation) the tone mapping has its place.
    extra = ((1, 1), (orientation - 1, 3), (0, 1), (0, 1), (0, 1))
    head = bits(*SIZE, (0, 1), *extra, *SAMPLES, *colours, (1, 1), *END)
    return b"\xff\x0a" + head + data[len(plain) :]


def test_code_points_of_the_codestream_are_shown_as_srgb() -> None:
    """A grey of 100 cd/m2 in PQ: .508 of the signal, .49 of paper white, 186 in sRGB."""
    grey = jxl(with_corner(np.full((31, 17, 3), round(0.5081 * 255), np.uint8)))
    shown = read(with_header(grey, colours=BT2100_PQ))[1].detail[20, 10]
    assert np.abs(shown.astype(int) - 186).max() <= 4


def with_corner(pixels: np.ndarray) -> np.ndarray:
    """One pixel differs, so that the file is laid out as for any picture."""
    pixels[0, 0] += 1
    return pixels


def test_a_jpeg_packed_without_loss_is_read_as_that_jpeg() -> None:
    stored = np.ascontiguousarray(np.rot90(scene(), 1))
    jpeg = encoded(stored, "JPEG", exif=exif_block({271: "Maker", 272: "One", 274: 6}))
    facts, views = read(jxl_of_jpeg(jpeg, 480, 640))
    plain, same = read(jpeg)
    assert (facts.format, facts.camera, facts.width) == ("jxl", "Maker One", plain.width)
    assert np.array_equal(views.detail, same.detail)


@pytest.mark.parametrize(
    "size", [(1, 1), (256, 256), (8, 240), (1000, 667), (1200, 900), (5000, 3)]
)
def test_the_size_is_read_before_anything_is_decoded(size: tuple[int, int]) -> None:
    data = jxl(np.zeros((size[1], size[0], 3), np.uint8))
    assert size_of(data) == size_of(jxl_container(data, EXIF)) == size


def test_a_pixel_bomb_is_refused_by_its_header() -> None:
    huge = b"\xff\x0a" + bits((0, 1), (3, 2), (59_999, 30), (0, 3), (3, 2), (59_999, 30))
    with pytest.raises(PhotoError, match="needs 3600 megapixels"):
        read(huge)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.95])
def test_a_truncated_file_is_never_half_a_picture(share: float) -> None:
    for data in (jxl(noise(90, 60)), jxl_container(jxl(noise(90, 60)), EXIF)):
        with pytest.raises(PhotoError, match=r"^broken JPEG XL data$|empty file|not a picture"):
            read(data[: int(share * len(data))])


def test_metadata_that_is_broken_is_none() -> None:
    data = jxl_container(jxl(scene(64, 48)), EXIF, packed=True)
    at = data.index(b"brobExif") + 8
    broken = data[:at] + b"\xff" * 8 + data[at + 8 :]
    assert metadata(broken) == (b"", b"")


def test_without_the_extra_the_message_has_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    data = jxl(scene(64, 48))
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    with pytest.raises(PhotoError, match=r"JPEG XL .*pip install 'iqcli\[jxl\]'") as caught:
        read(data)
    assert isinstance(caught.value.__cause__, ImportError)  # and is not remembered
