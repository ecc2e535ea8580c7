"""What Pillow leaves out of JPEG 2000, Photoshop and Netpbm files: metadata, and what to refuse.

Sources: ISO/IEC 15444-1 annex I and 15444-2 annex M (boxes), XMP specification part 3 (UUID),
Adobe Photoshop File Formats Specification (image resources 1057 to 1060), Netpbm (ppm, pgm).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageFile

from iqcli.errors import PhotoError
from iqcli.photos.codecs.boxes import box, boxes

XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
EXIF_UUID = b"JpgTiffExif->JP2"
ENUMERATED, PROFILES = 1, (2, 3)
LAB = 14
HAS_PICTURE, EXIF, XMP = 1057, 1058, 1060
# By the number in the header of a Photoshop file.
DRAWN_MODES = {0, 1, 2, 3, 4, 8, 9}


def complete(image: ImageFile.ImageFile, data: bytes, kind: str) -> ImageFile.ImageFile:
    """The opened picture with its EXIF, XMP and ICC profile in `info`. Raises PhotoError."""
    if kind == "jp2":
        _complete_jp2(image, data)
    elif kind == "psd":
        _complete_psd(image)
    elif kind == "pnm" and image.tile[0][0] != "raw":
        raise PhotoError("a Netpbm file of neither 8 nor 16 bits; convert it to PNG")
    return image


def require_psd(data: bytes) -> None:
    """Refuse what Pillow has no mode for. Raises PhotoError."""
    depth, mode = int.from_bytes(data[22:24], "big"), int.from_bytes(data[24:26], "big")
    if depth not in (1, 8):
        raise PhotoError(f"a Photoshop file with {depth} bits a channel; save a copy with 8")
    if mode not in DRAWN_MODES:
        raise PhotoError("a Photoshop file of several channels without a colour mode")


def loaded(image: Image.Image, kind: str) -> Image.Image:
    """The decoded picture in a mode that says what its values mean."""
    if kind == "psd" and image.mode == "RGBA":
        return image.convert("RGB")  # flattened: it lies on white already
    if kind == "pnm" and image.mode == "I":
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image


def _complete_jp2(image: Image.Image, data: bytes) -> None:
    for name, content in boxes(data):
        if name == b"uuid" and content.startswith(XMP_UUID):
            image.info.setdefault("xmp", content[16:])
        elif name == b"uuid" and content.startswith(EXIF_UUID):
            image.info.setdefault("exif", content[16:])
        elif name == b"jp2h":
            colour = box(content, b"colr")
            if colour[:1] and colour[0] in PROFILES:
                image.info["icc_profile"] = colour[3:]
            elif colour[:1] and colour[0] == ENUMERATED and colour[3:7] == bytes((0, 0, 0, LAB)):
                raise PhotoError("a JPEG 2000 in CIELab; convert it to RGB")


def _complete_psd(image: Any) -> None:
    found = {number: content for number, _, content in reversed(image.resources)}
    if found.get(HAS_PICTURE, b"")[4:5] == b"\0":
        raise PhotoError(
            "a Photoshop file without its flattened picture; save it with maximum compatibility"
        )
    image.info |= {
        key: found[number] for number, key in ((EXIF, "exif"), (XMP, "xmp")) if number in found
    }
