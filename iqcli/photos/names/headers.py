"""What the headers of photos and films tell: time, camera, identifiers. Decodes no pixel.

Sources: CIPA DC-008 (Exif 2.32), exiftool's lib/Image/ExifTool/Apple.pm; of the containers, see
`codecs.metadata` and `codecs.quicktime`.
"""

from __future__ import annotations

import math
import os
import re
import struct
from typing import TYPE_CHECKING, BinaryIO

from iqcli.fs.read import open_quietly
from iqcli.photos.codecs.metadata import FRONT, exif_blocks
from iqcli.photos.codecs.quicktime import index_of
from iqcli.photos.exif import MAKER_NOTE, MOMENT, apple_text
from iqcli.photos.formats import VIDEO, extension
from iqcli.photos.names.evidence import UNKNOWN, Header
from iqcli.photos.tiff import EXIF_IFD, directory
from iqcli.photos.times.capture_time import EPOCH, QUICKTIME_EPOCH, parse

if TYPE_CHECKING:
    from pathlib import Path

MAKE, MODEL, SOFTWARE = 271, 272, 305
ORIGINAL, DIGITIZED, FRACTION, DIGITIZED_FRACTION = 36867, 36868, 37521, 37522
CONTENT_ID = 0x11
IDENTIFIER = re.compile(r"[0-9A-Za-z-]{8,64}")
# QuickTime counts seconds from 1904.
UNIX_EPOCH = int((EPOCH - QUICKTIME_EPOCH).total_seconds())
# A film without an index is longer than any part of a photo if it has so many bytes.
LONG_BYTES = 100 * 2**20
# No name of a camera and no time is longer; a tag may have millions of bytes.
LONG_TEXT = 2**10


def read_header(path: Path) -> Header:
    """The header of a photo or a film by its extension; `UNKNOWN` where there is none to read."""
    try:
        with os.fdopen(open_quietly(path), "rb") as file:
            is_film = extension(path.name) in VIDEO
            return _film(file) if is_film else photo_header(file)
    except (OSError, struct.error, IndexError, ValueError, RecursionError):
        return UNKNOWN


def photo_header(file: BinaryIO) -> Header:
    """The header of a photo. Raises struct.error, IndexError and ValueError for a broken one."""
    front = file.read(FRONT)
    known: dict[str, str] = {}
    for block in exif_blocks(file, front):
        for name, value in _tags(block).items():
            known.setdefault(name, value)
    return Header(**known)  # type: ignore[arg-type]


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
    text = _text(apple_text(note, CONTENT_ID))
    return text if IDENTIFIER.fullmatch(text) else ""


def _moment(text: str) -> str:
    """The local time, to the second; a day or a minute alone is none, as it joins nothing."""
    found = MOMENT.match(text)
    return (found and parse(found[0])) or ""


def _text(data: bytes) -> str:
    text = data[:LONG_TEXT].split(b"\0")[0].decode("latin-1")
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:100]


def _film(file: BinaryIO) -> Header:
    """Length, creation, camera, identifier of a film: QuickTime and its relatives, or AVI."""
    head = file.read(64)
    size = file.seek(0, os.SEEK_END)
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        step, frames = struct.unpack_from("<I", head, 32)[0], struct.unpack_from("<I", head, 48)[0]
        return Header(seconds=step * frames / 1e6)
    if head[4:8] not in (b"ftyp", b"moov", b"mdat", b"wide", b"skip", b"free"):
        return Header(seconds=math.inf) if size > LONG_BYTES else UNKNOWN
    index = index_of(file)
    if index.seconds is None:
        # A header alone is no film. What has more, and no index, cannot be played.
        alone = int.from_bytes(head[:4], "big") >= size
        return UNKNOWN if alone else Header(seconds=math.inf)
    identifier = _text(index.content_id)
    return Header(
        taken=_moment(_text(index.created)) or None,
        camera=_text(index.model) or None,
        content_id=identifier if IDENTIFIER.fullmatch(identifier) else None,
        seconds=index.seconds,
        made=float(index.made - UNIX_EPOCH) if index.made > UNIX_EPOCH else None,
    )
