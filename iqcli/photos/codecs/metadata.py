"""The metadata in a photo, found by its container: EXIF and XMP. Decodes no pixel.

Sources: CIPA DC-008 (JPEG, PNG, WebP), ISO/IEC 14496-12 and 23008-12 (HEIF), Canon's CR3 as
described by Laurent Clévy, exiftool's RAF.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Literal

from iqcli.photos import xmp
from iqcli.photos.codecs.boxes import MOST_BOXES, box, boxes
from iqcli.photos.formats import HEAD_BYTES, sniff
from iqcli.photos.tiff import directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

# Enough for the directories of a TIFF and for the segments before the picture of a JPEG.
FRONT = 2**18
# No index of a photo or of a short film, and no item with EXIF, comes near it.
MOST_INDEX = MOST_ITEM = 2**24
PREFIX = b"Exif\0\0"
# Tags of EXIF: the rating in stars, and in percent.
RATING, RATING_PERCENT = 0x4746, 0x4749
# Where programs put XMP: before the picture, or behind it.
XMP_FRONT, XMP_END = 2**20, 2**19
# A photo has one, and another for each photo that it was made of.
MOST_PACKETS = 100


def exif_blocks(file: BinaryIO, front: bytes) -> list[bytes]:
    """The EXIF of a photo, each a TIFF; CR3 has one for each directory.

    `front` are its first `FRONT` bytes. Raises struct.error and IndexError for what is broken.
    """
    kind = sniff(front[:HEAD_BYTES])
    if kind == "jpeg":
        return _segments(front)
    if kind == "raf":
        at, size = struct.unpack_from(">II", front, 84)
        file.seek(at)
        return _segments(file.read(min(size, FRONT)))
    if kind in ("heif", "avif"):
        return [_item(file)]
    if kind == "cr3":
        inside = box(find_box(file, b"moov"), b"uuid")[16:]
        return [content for name, content in boxes(inside) if name in (b"CMT1", b"CMT2")]
    if kind == "png":
        at = front.find(b"eXIf")
        return [front[at + 4 :]] if at > 0 else []
    if kind == "webp":
        at = front.find(b"EXIF", 12)
        if at < 0:
            file.seek(max(0, file.seek(0, os.SEEK_END) - FRONT))
            front = file.read()
            at = front.rfind(b"EXIF")
        return [front[at + 8 :].removeprefix(PREFIX)] if at >= 0 else []
    if kind == "jxl":
        return [box(front, b"Exif")[4:]]
    return [front]  # a TIFF, or a raw file like one


def _segments(data: bytes) -> list[bytes]:
    """The EXIF segments of a JPEG."""
    found, at = [], 2
    while data[at : at + 1] == b"\xff" and at + 4 <= len(data):
        marker, (length,) = data[at + 1], struct.unpack_from(">H", data, at + 2)
        if marker == 0xDA or length < 2:
            break
        segment = data[at + 4 : at + 2 + length]
        if marker == 0xE1 and segment.startswith(PREFIX):
            found.append(segment.removeprefix(PREFIX))
        at += 2 + length
    return found


def stars_in(block: bytes) -> int | None:
    """The rating in EXIF, 0..5, as stars or else in percent: Windows writes both."""
    order: Literal["big", "little"] = "big" if block[:2] == b"MM" else "little"
    start, wanted = int.from_bytes(block[4:8], order), (RATING, RATING_PERCENT)
    tags = directory(block, ">" if order == "big" else "<", start, wanted)
    rating, percent = (
        int.from_bytes(tags[each], order) if len(tags.get(each, b"")) in (1, 2, 4) else None
        for each in wanted
    )
    stars = rating if rating is not None and rating <= 5 else None
    return xmp.first_rating([stars, None if percent is None else xmp.stars_of_percent(percent)])


def find_box(file: BinaryIO, name: bytes) -> bytes:
    """The content of an outermost box of an ISO media file, wherever it lies; empty for none.

    Samsung writes the index of a HEIC behind its pictures, as most write that of a film.
    """
    end = file.seek(0, os.SEEK_END)
    at = 0
    for _ in range(MOST_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return b""
        size, skip = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, skip = int.from_bytes(head[8:16], "big"), 16
        size = size or end - at
        if size < skip:
            return b""
        if head[4:8] == name:
            file.seek(at + skip)
            return file.read(min(size - skip, MOST_INDEX))
        at += size
        if at >= end:
            break
    return b""


def _item(file: BinaryIO) -> bytes:
    """The EXIF item of a HEIF or AVIF: 23008-12 annex A.2.1."""
    meta = find_box(file, b"meta")[4:]
    infos = box(meta, b"iinf")
    wide = infos[:1] != b"\0"
    wanted = 0
    for name, content in boxes(infos[8 if wide else 6 :]):
        version = content[0]
        size = 4 if version == 3 else 2
        if name == b"infe" and version >= 2 and content[6 + size : 10 + size] == b"Exif":
            wanted = int.from_bytes(content[4 : 4 + size], "big")
            break
    at, size = _extent(box(meta, b"iloc"), wanted)
    if not size or size > MOST_ITEM or at >= file.seek(0, os.SEEK_END):
        return b""
    file.seek(at)
    item = file.read(size)
    return item[4 + int.from_bytes(item[:4], "big") :]


def _extent(iloc: bytes, wanted: int) -> tuple[int, int]:
    """Where the first extent of an item lies in the file, and its size; (0, 0) if unknown."""
    version = iloc[0]
    offset_size, length_size = iloc[4] >> 4, iloc[4] & 15
    base_size, index_size = iloc[5] >> 4, iloc[5] & 15 if version else 0
    id_size = 4 if version == 2 else 2
    count, at = int.from_bytes(iloc[6 : 6 + id_size], "big"), 6 + id_size
    for _ in range(min(count, MOST_BOXES)):
        item = int.from_bytes(iloc[at : at + id_size], "big")
        at += id_size
        method = iloc[at + 1] & 15 if version else 0
        at += 4 if version else 2
        base = int.from_bytes(iloc[at : at + base_size], "big")
        at += base_size
        extents = int.from_bytes(iloc[at : at + 2], "big")
        at += 2
        if item == wanted and extents and method == 0:
            at += index_size
            start = int.from_bytes(iloc[at : at + offset_size], "big")
            at += offset_size
            return base + start, int.from_bytes(iloc[at : at + length_size], "big")
        at += extents * (index_size + offset_size + length_size)
    return 0, 0


def xmp_packets(file: BinaryIO) -> Iterator[bytes]:
    """The XMP packets at the beginning and at the end of a photo, whatever its format."""
    file.seek(0)
    parts = [file.read(FRONT)]
    if not parts[0].startswith(b"\xff\xd8"):  # a JPEG has it before the picture
        parts[0] += file.read(XMP_FRONT - FRONT)
        end = file.seek(0, os.SEEK_END)
        file.seek(max(len(parts[0]), end - XMP_END))
        parts.append(file.read())
    for part in parts:
        at = 0
        for _ in range(MOST_PACKETS):
            start = part.find(b"<x:xmpmeta", at)
            close = part.find(b"</x:xmpmeta>", start) if start >= 0 else -1
            if close < 0:
                break
            at = close + len(b"</x:xmpmeta>")
            yield part[start:at]
