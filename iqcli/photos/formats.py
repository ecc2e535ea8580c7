"""What a file is, by its name and by its first bytes. Loads no decoder."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


JPEG = _words("jpg jpeg jpe jfif mpo")
HEIF = _words("heic heif hif")
RAW = _words(
    "3fr arw cr2 cr3 crw dcr dng erf fff gpr iiq kdc mef mos mrw nef nrw orf ori pef raf rw2 rwl "
    "sr2 srf srw x3f"
)
PICTURE = _words("apng avif bmp dib gif png tif tiff webp")
PHOTO = JPEG | HEIF | RAW | PICTURE
VIDEO = _words("3gp avi insv lrv m2ts m4v mkv mov mp mp4 mpeg mpg mts webm wmv")
SIDECAR = _words("aae dop json on1 pp3 thm wav xmp")

# The formats of `sniff` and `tiff.raw_kind` that LibRaw reads.
RAW_KINDS = _words("arw cr2 cr3 crw dng mrw nef orf pef raf raw rw2 srw x3f")

HEAD_BYTES = 32
# Raised whenever the same file could give other views although no library changed.
VIEWS_VERSION = 1
DECODERS = ("numpy", "opencv-contrib-python", "pillow", "pillow-heif", "rawpy")

MAGIC = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"IIRO", "orf"),
    (b"IIRS", "orf"),
    (b"MMOR", "orf"),
    (b"IIU\0", "rw2"),
    (b"FUJIFILMCCD-RAW", "raf"),
    (b"II\x1a\0\0\0HEAPCCDR", "crw"),
    (b"\0MRM", "mrw"),
    (b"FOVb", "x3f"),
)
BRANDS = {b"crx ": "cr3", b"avif": "avif", b"avis": "avif"} | dict.fromkeys(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "heif"
)
# "BM" alone would take any text that begins so; the length of the second header settles it.
BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
STRANGERS = (
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"8BPS", "a Photoshop file"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\x1aE\xdf\xa3", "a video"),
)


def extension(name: str) -> str:
    """The part after the last dot, in lower case; empty if there is none."""
    return name.rpartition(".")[2].lower() if "." in name[1:] else ""


def sniff(head: bytes) -> str | None:
    """The format by the first `HEAD_BYTES` bytes, None if iq reads no such thing.

    A raw file in a TIFF coat (NEF, ARW, DNG, …) is "tiff" here; `tiff.raw_kind` tells it apart.
    """
    for magic, name in MAGIC:
        if head.startswith(magic):
            return "cr2" if name == "tiff" and head[8:11] == b"CR\x02" else name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in BMP_HEADERS:
        return "bmp"
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
    """What a file that is no picture seems to be, in words; None if nothing comes to mind."""
    for magic, name in STRANGERS:
        if data.startswith(magic):
            return name
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
    parts = [f"views={VIEWS_VERSION}", *(f"{name}={version(name)}" for name in DECODERS)]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]
