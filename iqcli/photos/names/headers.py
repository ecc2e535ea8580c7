"""What the headers of photos and films tell: time, camera, identifiers. Decodes no pixel.

Sources: CIPA DC-008 (Exif 2.32), ISO/IEC 14496-12 and 23008-12 (boxes, items), Apple's QuickTime
File Format (movie header, metadata keys), exiftool's lib/Image/ExifTool/Apple.pm.
"""

from __future__ import annotations

import math
import os
import re
import struct
from datetime import datetime
from typing import TYPE_CHECKING, BinaryIO

from iqcli.fs.read import open_quietly
from iqcli.photos.codecs.boxes import box, boxes
from iqcli.photos.exif import APPLE, MAKER_NOTE, PREFIX
from iqcli.photos.formats import HEAD_BYTES, VIDEO, extension, sniff
from iqcli.photos.names.evidence import UNKNOWN, Header
from iqcli.photos.tiff import EXIF_IFD, directory

if TYPE_CHECKING:
    from pathlib import Path

# Enough for the directories of a TIFF and for the segments before the picture of a JPEG.
FRONT = 2**18
# The index of a film; that of a live part has some kilobytes.
MOST_INDEX = 2**24
MAKE, MODEL, SOFTWARE = 271, 272, 305
ORIGINAL, DIGITIZED, FRACTION, DIGITIZED_FRACTION = 36867, 36868, 37521, 37522
CONTENT_ID = 0x11
IDENTIFIER = re.compile(r"[0-9A-Za-z-]{8,64}")
MOMENT = re.compile(r"(\d{4})[:\-/](\d\d)[:\-/](\d\d)[ T](\d\d):(\d\d):(\d\d)")
CONTENT_KEY = b"com.apple.quicktime.content.identifier"
# QuickTime counts seconds from 1904.
EPOCH_1904 = 2_082_844_800
# A film without an index is longer than any part of a photo if it has so many bytes.
LONG_BYTES = 100 * 2**20


def read_header(path: Path) -> Header:
    """The header of a photo or a film by its extension; `UNKNOWN` where there is none to read."""
    try:
        with os.fdopen(open_quietly(path), "rb") as file:
            is_film = extension(path.name) in VIDEO
            return _film(file) if is_film else _photo(file)
    except (OSError, struct.error, IndexError, ValueError, RecursionError):
        return UNKNOWN


def _photo(file: BinaryIO) -> Header:
    front = file.read(FRONT)
    blocks = [each.removeprefix(PREFIX) for each in _exif_blocks(file, front)]
    known: dict[str, str] = {}
    for block in blocks:
        for name, value in _tags(block).items():
            known.setdefault(name, value)
    return Header(**known)  # type: ignore[arg-type]


def _exif_blocks(file: BinaryIO, front: bytes) -> list[bytes]:
    """The EXIF of a photo, as TIFF; CR3 has one for each directory."""
    kind = sniff(front[:HEAD_BYTES])
    if kind == "jpeg":
        return _segments(front)
    if kind == "raf":
        at, size = struct.unpack_from(">II", front, 84)
        file.seek(at)
        return _segments(file.read(min(size, FRONT)))
    if kind in ("heif", "avif"):
        return [_item(file, front)]
    if kind == "cr3":
        inside = box(box(front, b"moov"), b"uuid")[16:]
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
        return [front[at + 8 :]] if at >= 0 else []
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
            found.append(segment)
        at += 2 + length
    return found


def _item(file: BinaryIO, front: bytes) -> bytes:
    """The EXIF item of a HEIF or AVIF: 23008-12 annex A.2.1."""
    meta = box(front, b"meta")[4:]
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
    if not size or size > MOST_INDEX:
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
    for _ in range(min(count, len(iloc))):
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


def _tags(block: bytes) -> dict[str, str]:
    if block[:2] not in (b"II", b"MM"):
        return {}
    order = ">" if block[:2] == b"MM" else "<"
    (start,) = struct.unpack_from(order + "I", block, 4)
    wanted = {MAKE, MODEL, SOFTWARE, EXIF_IFD, ORIGINAL, DIGITIZED, FRACTION, DIGITIZED_FRACTION}
    tags = directory(block, order, start, {*wanted, MAKER_NOTE})
    if len(pointer := tags.get(EXIF_IFD, b"")) == 4:
        (inner,) = struct.unpack(order + "I", pointer)
        tags |= directory(block, order, inner, {*wanted, MAKER_NOTE})
    found = {
        "camera": _text(tags.get(MODEL, b"")) or _text(tags.get(MAKE, b"")),
        "software": _text(tags.get(SOFTWARE, b"")),
        "content_id": _content_id(tags.get(MAKER_NOTE, b"")),
    }
    for moment, fraction in ((ORIGINAL, FRACTION), (DIGITIZED, DIGITIZED_FRACTION)):
        if taken := _moment(_text(tags.get(moment, b""))):
            digits = _text(tags.get(fraction, b""))
            found |= {"taken": taken, "fraction": digits if digits.isdecimal() else ""}
            break
    return {name: value for name, value in found.items() if value}


def _content_id(note: bytes) -> str:
    head = APPLE.match(note)
    if head is None:
        return ""
    order = ">" if head[1] == b"MM" else "<"
    text = _text(directory(note, order, head.end(), {CONTENT_ID}).get(CONTENT_ID, b""))
    return text if IDENTIFIER.fullmatch(text) else ""


def _moment(text: str) -> str:
    found = MOMENT.match(text)
    try:
        return datetime(*map(int, found.groups())).isoformat() if found else ""  # type: ignore[arg-type]
    except ValueError:
        return ""


def _text(data: bytes) -> str:
    text = data.split(b"\0")[0].decode("latin-1")
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:100]


def _film(file: BinaryIO) -> Header:
    """Length, creation and identifier of a film: QuickTime and its relatives, or AVI."""
    head = file.read(64)
    size = file.seek(0, os.SEEK_END)
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        step, frames = struct.unpack_from("<I", head, 32)[0], struct.unpack_from("<I", head, 48)[0]
        return Header(seconds=step * frames / 1e6)
    if head[4:8] not in (b"ftyp", b"moov", b"mdat", b"wide", b"skip", b"free"):
        return Header(seconds=math.inf) if size > LONG_BYTES else UNKNOWN
    moov = _index(file, size)
    header = box(moov, b"mvhd")
    if not header:
        # A header alone is no film. What has more, and no index, cannot be played.
        alone = int.from_bytes(head[:4], "big") >= size
        return UNKNOWN if alone else Header(seconds=math.inf)
    form = ">QQIQ" if header[0] == 1 else ">IIII"
    made, _, scale, length = struct.unpack_from(form, header, 4)
    return Header(
        content_id=_identifier(moov),
        seconds=length / scale if scale else math.inf,
        made=float(made - EPOCH_1904) if made > EPOCH_1904 else None,
    )


def _index(file: BinaryIO, size: int) -> bytes:
    """The content of the film's `moov`, wherever it lies; empty if there is none."""
    at = 0
    for _ in range(1000):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return b""
        length, name, skip = int.from_bytes(head[:4], "big"), head[4:8], 8
        if length == 1:
            length, skip = int.from_bytes(head[8:16], "big"), 16
        length = length or size - at
        if length < skip:
            return b""
        if name == b"moov":
            file.seek(at + skip)
            return file.read(min(length - skip, MOST_INDEX))
        at += length
    return b""


def _identifier(moov: bytes) -> str | None:
    """Apple's content identifier among the metadata of a film: keys, and items by their numbers."""
    meta = box(moov, b"meta")
    keys = box(meta, b"keys") or box(meta[4:], b"keys")
    items = box(meta, b"ilst") or box(meta[4:], b"ilst")
    names = [content for _, content in boxes(keys[8:])]
    for number, item in boxes(items):
        place = int.from_bytes(number, "big")
        if 0 < place <= len(names) and names[place - 1] == CONTENT_KEY:
            text = _text(box(item, b"data")[8:])
            return text if IDENTIFIER.fullmatch(text) else None
    return None
