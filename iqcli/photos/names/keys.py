"""How names of files are compared, and the key that the files of one picture share.

Paths on disk stay as they are; names are compared without case and in one form of Unicode: macOS
writes "é" as two characters (NFD), most other systems as one (NFC).

    IMG_1234.HEIC .JPG .DNG .MOV .AAE .xmp     the key of all is img_1234
    IMG_E1234.JPG, IMG_O1234.AAE               so is that of the edit, and of what it was made by
    IMG_1234_HEVC.MOV                          and of the live part
    PXL_20230101_120000123.RAW-01.COVER.jpg    pxl_20230101_120000123, as of .RAW-02.ORIGINAL.dng
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from iqcli.photos.formats import PHOTO, VIDEO, extension

# Each step of grouping asks again for the names of a folder.
MOST = 2**16
APPLE = re.compile(r"img_([eo])(?=\d{4})")
PIXEL = re.compile(r"(pxl_\d{8}_\d{9})((?:\.[a-z_]+(?:-\d\d)?)+)(.*)", re.DOTALL)


def normal(name: str) -> str:
    """A name as it is compared: in lower case, composed (NFC)."""
    lower = name.lower()
    return lower if lower.isascii() else unicodedata.normalize("NFC", lower)


@lru_cache(MOST)
def stem_of(name: str) -> str:
    """A name without its last extension, as it is compared."""
    return normal(name.rpartition(".")[0] if extension(name) else name)


@lru_cache(MOST)
def key_of(name: str) -> tuple[str, str]:
    """The key of a file name, and the mark taken off it: "e", "o", "original" or nothing."""
    stem = stem_of(name)
    if apple := APPLE.match(stem):
        return "img_" + stem[apple.end() :], apple[1]
    if pixel := PIXEL.fullmatch(stem):
        return pixel[1] + pixel[3], "original" if pixel[2].endswith(".original") else ""
    if extension(name) in VIDEO:
        stem = stem.removesuffix("_hevc")
    return without_inner(stem), ""


def without_inner(stem: str) -> str:
    """`img_9.heic` of IMG_9.HEIC.jpg, a converted photo, is `img_9` as that of IMG_9.MOV."""
    outer, _, inner = stem.rpartition(".")
    return outer if outer and inner in PHOTO else stem
