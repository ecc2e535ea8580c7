from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageCms
from support.images import P3, corners, encoded, exif_block, noise, profile, read, scene
from support.more_formats import box, jp2_with, psd

from iqcli.errors import PhotoError

EXIF = exif_block({271: "Maker", 272: "One", 274: 6})
TURNED = np.ascontiguousarray(np.rot90(scene(), 1))
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    b'syntax-ns#"><rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"/>'
    b"</rdf:RDF></x:xmpmeta>"
)
GREY16 = scene()[..., 0].astype(np.uint16) * 257


def reason(data: bytes) -> str:
    with pytest.raises(PhotoError) as caught:
        read(data)
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("jp2", jp2_with(encoded(TURNED, "JPEG2000"), EXIF, XMP)),
        ("psd", psd(TURNED, {1058: EXIF, 1060: XMP})),
    ],
)
def test_metadata_is_read_and_exif_turns(kind: str, data: bytes) -> None:
    facts, views = read(data)
    assert (facts.format, facts.width, facts.height) == (kind, 640, 480)
    assert (facts.camera, facts.stars) == ("Maker One", 4)
    assert corners(views.detail) == corners(scene())


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK", "LAB"])
def test_modes_of_photoshop(mode: str) -> None:
    image = Image.fromarray(scene())
    if mode == "LAB":
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        data = psd(ImageCms.buildTransform(srgb, lab, "RGB", "LAB").apply(image))
    else:
        data = psd(image.convert(mode))
    wanted = corners(np.asarray(image.convert("L" if mode == "L" else "RGB").convert("RGB")))
    assert np.abs(np.subtract(corners(read(data)[1].detail), wanted)).max() <= 14


def test_a_selection_saved_as_a_channel_is_no_transparency() -> None:
    image = Image.fromarray(scene()).convert("RGBA")
    image.putalpha(0)
    assert corners(read(psd(image))[1].detail) == corners(scene())


@pytest.mark.parametrize("kind", ["jp2", "psd"])
def test_the_profile_is_applied(kind: str) -> None:
    flat = np.full((48, 64, 3), (200, 60, 60), np.uint8)
    icc = profile(P3)
    data = psd(flat, {1039: icc}) if kind == "psd" else jp2_with(encoded(flat, "JPEG2000"), icc=icc)
    wanted = read(encoded(flat, "PNG", icc_profile=icc))[1].scoring[9, 9]
    assert wanted.tolist() != [200, 60, 60]
    assert read(data)[1].scoring[9, 9].tolist() == wanted.tolist()


@pytest.mark.parametrize("kind", ["JPEG2000", "PPM"])
@pytest.mark.parametrize("picture", [scene(), scene()[..., 0], GREY16], ids=["RGB", "L", "16"])
def test_colour_grey_and_16_bits(kind: str, picture: np.ndarray) -> None:
    facts, views = read(encoded(Image.fromarray(picture), kind))
    plain = picture if picture.ndim == 3 else (scene()[..., :1].repeat(3, 2))
    assert facts.format == {"JPEG2000": "jp2", "PPM": "pnm"}[kind]
    assert corners(views.detail) == corners(plain)


def test_a_bare_jpeg_2000_codestream_is_read() -> None:
    assert corners(read(encoded(scene(), "JPEG2000", no_jp2=True))[1].detail) == corners(scene())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (psd(scene(), depth=16), "a Photoshop file with 16 bits a channel; save a copy with 8"),
        (psd(scene(), mode=7), "a Photoshop file of several channels without a colour mode"),
        (
            psd(scene(), {1057: b"\0\0\0\1\0"}),
            "a Photoshop file without its flattened picture; save it with maximum compatibility",
        ),
        (psd(scene(), version=2), "Photoshop PSB, which iq does not read; convert it"),
        (b"P6 1 1 9 abc", "a Netpbm file of neither 8 nor 16 bits; convert it to PNG"),
        (
            encoded(scene(), "JPEG2000").replace(b"colr\1\0\0\0\0\0\x10", b"colr\1\0\0\0\0\0\x0e"),
            "a JPEG 2000 in CIELab; convert it to RGB",
        ),
    ],
)
def test_what_would_be_read_wrongly_is_refused(data: bytes, message: str) -> None:
    assert reason(data) == message


def test_a_picture_that_photoshop_flattened_is_read() -> None:
    assert corners(read(psd(scene(), {1057: b"\0\0\0\1\1"}))[1].detail) == corners(scene())


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.95])
@pytest.mark.parametrize(
    "data",
    [encoded(noise(90, 60), "JPEG2000"), encoded(noise(90, 60), "JPEG2000", no_jp2=True)],
    ids=["boxed", "bare"],
)
def test_a_truncated_jpeg_2000_is_never_half_a_picture(data: bytes, share: float) -> None:
    message = reason(data[: int(share * len(data))])
    assert message.startswith(("JPEG 2000 data ends early", "broken JPEG 2000 data"))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("kind", ["Photoshop", "Netpbm"])
def test_a_truncated_file_is_damaged_or_refused(kind: str, share: float) -> None:
    data = psd(noise(90, 60)) if kind == "Photoshop" else encoded(noise(90, 60), "PPM")
    part = data[: int(share * len(data))]
    # Photoshop keeps the colours one behind the other.
    if kind == "Photoshop" and share < 0.7:
        assert reason(part).startswith(("Photoshop data ends early", "broken Photoshop data"))
    else:
        most = 3 * (1 - share) if kind == "Photoshop" else 1 - share
        assert read(part)[0].damage == pytest.approx(most, abs=0.05)


def test_a_pixel_bomb_is_refused_by_its_header() -> None:
    side = (60_000).to_bytes(4, "big")
    image = psd(scene(64, 48))
    assert "needs 3600 megapixels" in reason(image[:14] + side * 2 + image[22:])
    jp2 = encoded(scene(64, 48), "JPEG2000")
    at = jp2.index(b"ihdr") + 4
    assert "needs 3600 megapixels" in reason(jp2[:at] + side * 2 + jp2[at + 8 :])
    assert "needs 3600 megapixels" in reason(b"P6 60000 60000 255\n")


def test_a_file_of_empty_boxes_ends(recwarn: pytest.WarningsRecorder) -> None:
    data = encoded(scene(64, 48), "JPEG2000")
    at = data.index(b"jp2c") - 4
    assert read(data[:at] + box(b"free", b"") * 20_000 + data[at:])[0].format == "jp2"
