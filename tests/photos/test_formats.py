from __future__ import annotations

import subprocess
import sys

import pytest
from support.images import encoded, scene

from iqcli.photos import formats
from iqcli.photos.formats import describe, extension, sniff


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("JPEG", "jpeg"),
        ("PNG", "png"),
        ("WEBP", "webp"),
        ("TIFF", "tiff"),
        ("BMP", "bmp"),
        ("GIF", "gif"),
        ("AVIF", "avif"),
        ("HEIF", "heif"),
        ("JPEG2000", "jp2"),
        ("PPM", "pnm"),
    ],
)
def test_a_written_file_is_known_by_its_first_bytes(written: str, seen: str) -> None:
    assert sniff(encoded(scene(64, 48), written)[: formats.HEAD_BYTES]) == seen


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    body = b"ftyp" + major + b"\0\0\0\0" + b"".join(compatible)
    return (len(body) + 4).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    ("head", "seen"),
    [
        (ftyp(b"mif1", b"mif1", b"heic"), "heif"),
        (ftyp(b"mif1", b"mif1", b"avif"), "avif"),
        (ftyp(b"crx ", b"crx ", b"isom"), "cr3"),
        (ftyp(b"qt  ", b"qt  "), None),
        (ftyp(b"isom", b"isom", b"avif"), None),
        (b"II*\0\x10\0\0\0CR\x02\0" + b"\0" * 20, "cr2"),
        (b"FUJIFILMCCD-RAW 0201FF129502", "raf"),
        (b"IIRO\x08\0\0\0", "orf"),
        (b"IIU\0\x18\0\0\0", "rw2"),
        (b"\xff\x0a\xfa\x1f", "jxl"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
        (b"\xff\x4f\xff\x51\0\x2f", "jp2"),
        (b"8BPS\0\x01", "psd"),
        (b"8BPS\0\x02", "psb"),
        (b"P5\n8 8 255\n", "pnm"),
        (b"P500 is a car", None),
        (b"II\xbc\x01", "jxr"),
        (ftyp(b"avci", b"mif1"), "heif"),
        (b"BMW drivers keep their cars clean", None),
        (b"RIFF\x10\0\0\0WAVEfmt ", None),
        (b"", None),
    ],
)
def test_magic(head: bytes, seen: str | None) -> None:
    assert sniff(head) == seen


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<html>not a picture</html>", "text"),
        ("Grüße aus dem Urlaub".encode(), "text"),
        (b"\0" * 500, "nothing but zeros"),
        (b"%PDF-1.7\n", "a PDF"),
        (ftyp(b"qt  "), "a video"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "EPS"),
        (b"\0\0\1\0\1\0\x10\x10", "ICO"),
        (b"gimp xcf v011\0", "XCF"),
        (b"\0" * 128 + b"DICM", "DICOM"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", "SVG"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- drawn -->\n<svg\n width="9"/>', "SVG"),
        (b"<?xml version='1.0'?><note>no svg</note>", "text"),
        (bytes(range(1, 200)), None),
    ],
)
def test_describe_says_what_a_stranger_looks_like(data: bytes, words: str | None) -> None:
    assert describe(data) == words


@pytest.mark.parametrize(
    ("name", "ext"),
    [("a.JPG", "jpg"), ("a.b.HeIc", "heic"), (".jpg", ""), ("jpg", ""), ("a.", ""), ("", "")],
)
def test_extension(name: str, ext: str) -> None:
    assert extension(name) == ext


def test_the_fingerprint_follows_library_versions_and_the_rules_of_the_views(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fresh = formats.decoder_fingerprint.__wrapped__
    before = fresh()
    assert before == fresh() == formats.decoder_fingerprint()
    monkeypatch.setattr(formats, "VIEWS_VERSION", formats.VIEWS_VERSION + 1)
    rules = fresh()
    monkeypatch.setattr(formats, "version", lambda name: "99" if name == "rawpy" else "1")
    assert len({before, rules, fresh()}) == 3


def test_the_fingerprint_names_every_decoder() -> None:
    packages = ["numpy", "opencv-contrib-python", "pillow", "pillow-heif", "rawpy"]
    assert sorted(formats.LIBRARIES) == packages
    for name, each in formats.FORMATS.items():
        assert bool(each.plugin) == (each.package == "pillow"), name
        assert each.package in (*packages, "pillow-jxl-plugin", ""), name
        assert each.package or each.name, name


def test_an_extension_has_one_meaning() -> None:
    kinds = [formats.PHOTO, formats.VIDEO, formats.SIDECAR, frozenset(formats.OTHER_PICTURE)]
    assert len(frozenset().union(*kinds)) == sum(map(len, kinds))


def test_a_warm_run_loads_no_decoder() -> None:
    code = (
        "import sys, iqcli.photos.find, iqcli.photos.names.shots, iqcli.photos.xmp\n"
        "iqcli.photos.find.looks_like_photo\n"
        "from iqcli.photos.formats import decoder_fingerprint; decoder_fingerprint()\n"
        "heavy = {'PIL', 'cv2', 'rawpy', 'pillow_heif', 'exifread', 'numpy', 'torch'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
