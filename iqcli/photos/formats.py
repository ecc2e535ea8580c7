"""The formats of photos: extensions, first bytes and decoders. Loads no decoder.

To add a format, add it to `FORMATS`; `decode.py` needs it only where Pillow has no plugin for it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iqcli.records import Shot


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


@dataclass(frozen=True, slots=True)
class Format:
    """One format: by which names and first bytes it is known, and what decodes it.

    `brands` are those of an ISO media file (HEIF and its relatives). `package` is the installed
    package that decodes it, empty where iq does not read it; `plugin` is the class of Pillow
    without `ImageFile`, where it is Pillow's. `name` is for people.
    """

    extensions: str
    package: str = "pillow"
    plugin: str = ""
    magic: tuple[bytes, ...] = ()
    brands: str = ""
    name: str = ""


def _raw(extensions: str, *magic: bytes, brands: str = "") -> Format:
    return Format(extensions, "rawpy", magic=magic, brands=brands)


def _unread(extensions: str, name: str, *magic: bytes) -> Format:
    return Format(extensions, "", magic=magic, name=name)


# `sniff` recognises "bmp", "webp", "pnm" and "cr2", `tiff.raw_kind` the raw files in a TIFF
# container; "raw" is any of these whose maker is unknown. Those without a package are photos that
# are named and counted as unreadable.
FORMATS = {
    "jpeg": Format("jpg jpeg jpe jfif mpo", plugin="Jpeg", magic=(b"\xff\xd8\xff",)),
    "heif": Format(
        "heic heif hif heics heifs",
        "pillow-heif",
        brands="heic heix heim heis hevc hevx hevm hevs avci avcs",
    ),
    "avif": Format("avif avifs", plugin="Avif", brands="avif avis"),
    "png": Format("png apng", plugin="Png", magic=(b"\x89PNG\r\n\x1a\n",)),
    "webp": Format("webp", plugin="WebP", name="WebP"),
    "gif": Format("gif", plugin="Gif", magic=(b"GIF87a", b"GIF89a")),
    "bmp": Format("bmp dib", plugin="Bmp"),
    "tiff": Format("tif tiff", plugin="Tiff", magic=(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    "jxl": Format(
        "jxl",
        "pillow-jxl-plugin",
        magic=(b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"),
        name="JPEG XL",
    ),
    "jp2": Format(
        "jp2 j2k j2c jpc jpf jpx",
        plugin="Jpeg2K",
        magic=(b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
        name="JPEG 2000",
    ),
    "psd": Format("psd", plugin="Psd", magic=(b"8BPS\0\x01",), name="Photoshop"),
    "pnm": Format("pgm ppm pnm", plugin="Ppm", name="Netpbm"),
    "jxr": _unread("jxr wdp hdp", "JPEG XR", b"II\xbc\x01"),
    "psb": _unread("psb", "Photoshop PSB", b"8BPS\0\x02"),
    "exr": _unread("exr", "OpenEXR", b"v/1\x01"),
    "hdr": _unread("", "Radiance HDR", b"#?RADIANCE", b"#?RGBE"),
    "bpg": _unread("bpg", "BPG", b"BPG\xfb"),
    "flif": _unread("flif", "FLIF", b"FLIF"),
    "livp": _unread("livp", "a live photo as an archive"),
    "eip": _unread("eip", "Capture One EIP"),
    "arw": _raw("arw sr2 srf"),
    "cr2": _raw("cr2"),
    "cr3": _raw("cr3", brands="crx"),
    "crw": _raw("crw", b"II\x1a\0\0\0HEAPCCDR"),
    "dng": _raw("dng"),
    "mrw": _raw("mrw", b"\0MRM"),
    "nef": _raw("nef nrw"),
    "orf": _raw("orf ori", b"IIRO", b"IIRS", b"MMOR"),
    "pef": _raw("pef"),
    "raf": _raw("raf", b"FUJIFILMCCD-RAW"),
    "rw2": _raw("rw2 rwl", b"IIU\0"),
    "srw": _raw("srw"),
    "x3f": _raw("x3f", b"FOVb"),
    "raw": _raw("3fr dcr erf fff gpr iiq kdc mef mos"),
}
RAW_KINDS = frozenset(name for name, each in FORMATS.items() if each.package == "rawpy")

# Extensions, by kind.
JPEG, HEIF = _words(FORMATS["jpeg"].extensions), _words(FORMATS["heif"].extensions)
RAW = _words(" ".join(FORMATS[name].extensions for name in RAW_KINDS))
PHOTO = _words(" ".join(each.extensions for each in FORMATS.values()))
PICTURE = PHOTO - JPEG - HEIF - RAW
MARKED_FILM = re.compile(r"mp(?:~\d+)?(?:\(\d+\))?")
VIDEO = _words("3gp avi insv lrv m2ts m4v mkv mov mp mp4 mpeg mpg mts webm wmv")
# Of files that are named after the stem of a photo: settings of editors, tags, voices, tracks.
SIDECAR = _words(
    "aac aae acr amr arp comask cos dop dr3 dr4 exif exv gpx gqv icc info iptc lrf m4a meta mie "
    "mp3 nks nksc ogg on1 onphoto pp3 ptx pto rrexif spd srt thm txt ufraw vrd wav xmp yaml yml"
)

# Of pictures that only their own program shows, those that a person made of a photo.
PROJECT = _words("afphoto kra ora pdn pspimage xcf")

HEAD_BYTES = 32
MAGIC = tuple((magic, name) for name, each in FORMATS.items() for magic in each.magic)
BRANDS = {
    brand.ljust(4).encode(): name for name, each in FORMATS.items() for brand in each.brands.split()
}
# "BM" alone would take any text that begins so; the length of the second header settles it.
BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
# Pictures that nobody took with a camera, or that only their own program shows: a walk counts them
# in a line, by their extensions. `MARKS` recognises some by their first bytes.
OTHER_PICTURES = {
    "AI": "ai",
    "Affinity Photo": "afphoto",
    "CDR": "cdr",
    "DDS": "dds",
    "DICOM": "dcm dicom",
    "DjVu": "djvu djv",
    "EMF": "emf",
    "EPS": "eps epsf",
    "FITS": "fits fts",
    "ICNS": "icns",
    "ICO": "ico cur",
    "ILBM": "iff ilbm lbm",
    "KRA": "kra",
    "ORA": "ora",
    "PCX": "pcx",
    "PDN": "pdn",
    "PICT": "pct pict",
    "PSP": "psp pspimage",
    "QOI": "qoi",
    "SVG": "svg svgz",
    "TGA": "tga",
    "WMF": "wmf",
    "XBM": "xbm",
    "XCF": "xcf",
    "XPM": "xpm",
}
OTHER_PICTURE = {
    each: name for name, extensions in OTHER_PICTURES.items() for each in extensions.split()
}
MARKS = (
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"8BPS", "a Photoshop file"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"%!PS-Adobe", "EPS"),
    (b"\xc5\xd0\xd3\xc6", "EPS"),
    (b"\0\0\1\0", "ICO"),
    (b"\0\0\2\0", "ICO"),
    (b"gimp xcf", "XCF"),
    (b"DDS ", "DDS"),
    (b"AT&TFORM", "DjVu"),
    (b"SIMPLE  =", "FITS"),
    (b"icns", "ICNS"),
    (b"qoif", "QOI"),
    (b"\xd7\xcd\xc6\x9a", "WMF"),
    (b"/* XPM */", "XPM"),
)
# Raised whenever the same file could give other views although no library changed.
VIEWS_VERSION = 1
# Everything whose version may change the views.
LIBRARIES = {"numpy", "opencv-contrib-python", "pillow", "pillow-heif", "rawpy"}


def extension(name: str) -> str:
    """The part after the last dot, in lower case; empty if there is none.

    Pixel puts marks behind it: the film of IMG_1.MP~2.jpg is IMG_1.MP~2.
    """
    ext = name.rpartition(".")[2].lower() if "." in name[1:] else ""
    return "mp" if ext.startswith(("mp~", "mp(")) and MARKED_FILM.fullmatch(ext) else ext


def count_pictures(shot: Shot) -> int:
    """How many files of a shot are pictures by their names, such as a RAW and its JPEG."""
    return sum(extension(each.name) in PHOTO for each in shot.files)


def title(kind: str) -> str:
    """The name of a format in messages."""
    return FORMATS[kind].name or kind.upper()


def sniff(head: bytes) -> str | None:
    """The format by the first `HEAD_BYTES` bytes, None if it is none of `FORMATS`.

    Raw files in a TIFF container (NEF, ARW, DNG, …) are "tiff" here; see `tiff.raw_kind`.
    """
    for magic, name in MAGIC:
        if head.startswith(magic):
            return "cr2" if name == "tiff" and head[8:11] == b"CR\x02" else name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in BMP_HEADERS:
        return "bmp"
    if head[:2] in (b"P5", b"P6") and head[2:3].isspace():
        return "pnm"
    return _by_brand(head) if head[4:8] == b"ftyp" else None


def _by_brand(head: bytes) -> str | None:
    major = head[8:12]
    if major in BRANDS:
        return BRANDS[major]
    if major not in (b"mif1", b"msf1", b"miaf"):
        return None
    # The structural brands hold either codec; a compatible brand names it.
    end = min(int.from_bytes(head[:4], "big"), len(head))
    compatible = (head[at : at + 4] for at in range(16, end, 4))
    return next((BRANDS[brand] for brand in compatible if brand in BRANDS), "heif")


def describe(data: bytes) -> str | None:
    """What a file that is no picture seems to be, for a message; None if unknown."""
    for magic, name in MARKS:
        if data.startswith(magic):
            return name
    if data[128:132] == b"DICM":
        return "DICOM"
    if data[:256].removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<" and b"<svg" in data[:4096]:
        return "SVG"
    if data[4:8] == b"ftyp":
        return "a video"
    if not any(data[:4096]):
        return "nothing but zeros"
    text = data[:256].decode("utf-8", "ignore")
    return "text" if len(text) > 0.9 * len(data[:256]) and _is_plain(text) else None


def _is_plain(text: str) -> bool:
    return all(char.isprintable() or char in "\r\n\t\ufeff" for char in text)


@cache
def decoder_fingerprint() -> str:
    """Changes whenever the same file could give other views; loads no decoder."""
    parts = [f"views={VIEWS_VERSION}", *(f"{name}={version(name)}" for name in sorted(LIBRARIES))]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]
