"""HEIC and HEIF, which carry their turn in two places."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import ImageFile


def open_heif(data: bytes) -> ImageFile.ImageFile:
    """The primary picture, not decoded yet; loading turns it as the container says."""
    from pillow_heif import HeifImageFile  # deferred: most runs meet no HEIC

    image: ImageFile.ImageFile = HeifImageFile(BytesIO(data))
    return image


def open_turn(data: bytes, image: ImageFile.ImageFile) -> int:
    """The EXIF orientation that is still to be applied after loading.

    The container's own turn rules, and EXIF repeats it for information (ISO 23008-12, 6.5.10).
    Some camera programs write EXIF alone: then nobody has turned the picture yet.
    """
    meta = _meta_box(data)
    if b"irot" in meta or b"imir" in meta:
        return 1
    return int(image.info.get("original_orientation") or 1)


def _meta_box(data: bytes) -> bytes:
    """The content of the top-level box that describes the pictures; empty if there is none."""
    at = 0
    while at + 8 <= len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if name == b"meta":
            return data[at + 8 : at + size]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size < 8:
            break
        at += size
    return b""
