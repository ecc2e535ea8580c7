"""What a file asks of its decoder, by its headers alone: pieces, pixels and bytes of memory.

A few bytes can ask for minutes and gigabytes: scans, strips or chunks without end, a canvas of one
colour. They are counted by a walk over the headers before a decoder sees them, and refused where
no camera or editor comes near. What a walk does not understand is left to the decoder.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from iqcli.errors import PhotoError, TooLarge
from iqcli.photos.codecs import jpeg2000, jxl, png
from iqcli.photos.formats import HEAD_BYTES, sniff, title
from iqcli.photos.reading import DETAIL_LONG, detail_long

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# What decoding may take for each pixel that `max_megapixels` allows, in bytes: Pillow keeps a
# colour in four; and what it may take beyond that, less than scoring a small picture takes.
PIXEL_BYTES = 4
SPARE_BYTES = 192 * 2**20
# A JPEG is decoded at the smallest of its own scales that leaves this much of `DETAIL_LONG`.
ENOUGH_LONG = 1440

# JPEG: programs write up to 12 scans. One empty pass over 250 megapixels takes 30 ms.
MAX_SCANS = 64
# A profile has up to 255 segments, a depth map in XMP some hundred. Pillow joins those of EXIF at
# a cost that grows with their square, and takes Photoshop's apart one by one.
MAX_SEGMENTS, MAX_EXIF, MAX_PHOTOSHOP = 4096, 64, 8 * 2**20
# Between segments, some cameras fill up to a block of their card.
MAX_FILL = 2**18
# PNG: libpng writes 8 kB of pixels a chunk.
MAX_CHUNKS = 200_000
# TIFF: a row a strip is usual, with the colours apart even three. A directory has some 60 tags.
MAX_STRIPS, MAX_TAGS = 120_000, 4096
# GIF: what is written before the first frame, in pieces of up to 255 bytes.
MAX_PIECES = 8192
# BMP: run-length coding is of the time of small screens, and its decoder takes a second for these.
MAX_RUN_LENGTH = 8_000_000

# Bytes that pixels take at most, where there are layers or pages, too, and what may lie behind
# them: a short video.
MOST_BYTES, MOST_LAYERED, MOST_BEHIND = 16, 1024, 2**27
LAYERED = {"tiff", "psd"}

# At most so many bytes come of one: by the codec itself for deflate, LZW and PackBits, and with
# subsampled colours for plain data. The others have no such limit.
DEFLATE = 1032
TIFF_RATIOS = {1: 2, 5: 2731, 8: DEFLATE, 32946: DEFLATE, 32773: 64}
# Bytes a pixel at the peak, beside what Pillow keeps: measured for pictures with transparency.
# WebP always decodes two canvases and copies one; AVIF and HEIF have planes of 16 bits, and copies.
CODEC_BYTES = {"webp": 12, "avif": 8, "heif": 8, "jxl": 12, "jp2": 22}
# What a strip takes on its way through the modes of Pillow.
STRIP_BYTES = 32 * 2**20
CHUNK = 2**20

# A picture of which a smaller share is left has no score: it is refused as one that ends early.
LEAST_LEFT = 0.02
# Of a picture of more decoded pixels no part is looked for: that takes their memory once more.
HEARD_PIXELS = 64_000_000


@dataclass(frozen=True, slots=True)
class Demand:
    """What a picture asks for: its size, memory in bytes, and the fewest bytes that can hold it."""

    width: int
    height: int
    memory: int
    least: int = 0


def check(data: bytes, kind: str, max_megapixels: float, *, whole: bool = False) -> None:
    """Refuse what asks for more than a photo, before it is decoded. Raises PhotoError.

    `whole` decodes every pixel of a JPEG, which is otherwise decoded at a smaller scale.
    """
    if kind == "jpeg":
        _count_scans(data)
    demand = demand_of(data, kind, whole=whole)
    if demand is None:
        return
    require_size(demand.width, demand.height, max_megapixels)
    each = MOST_LAYERED if kind in LAYERED else MOST_BYTES
    if len(data) > MOST_BEHIND + each * demand.width * demand.height:
        more = f"{len(data) // 10**6:,} MB for {demand.width:,} × {demand.height:,} pixels"
        raise PhotoError(f"it has {more}, far more than a photo")
    if len(data) < LEAST_LEFT * demand.least:
        raise PhotoError(f"{title(kind)} data ends early")
    require_memory(demand.memory, max_megapixels)


def memory_of(data: bytes, *, whole: bool = False) -> int:
    """The bytes of memory that decoding a file takes, as far as its header tells."""
    kind = sniff(data[:HEAD_BYTES])
    try:
        demand = demand_of(data, kind, whole=whole) if kind else None
    except PhotoError:
        return 0  # refused as it is
    # Of a raw file: its copy in LibRaw, the sensor in 16 bits, and a quarter of it in four colours.
    return demand.memory if demand else 4 * len(data)


def demand_of(data: bytes, kind: str, *, whole: bool = False) -> Demand | None:
    """What a picture asks for, None where its header cannot be read.

    Raises PhotoError for more pieces than a photo has.
    """
    try:
        if kind == "jpeg":
            return _jpeg(data, whole)
        return _WALKS[kind](data) if kind in _WALKS else None
    except (struct.error, IndexError, ValueError):
        return None


def require_size(width: int, height: int, max_megapixels: float) -> None:
    """Refuse a picture by the size in its header. Raises PhotoError."""
    megapixels = width * height / 1e6
    if not megapixels:
        raise PhotoError("a picture without pixels")
    if megapixels > max_megapixels:
        need = math.ceil(megapixels)
        limit = f"the limit is {max_megapixels:g} (raise max_megapixels)"
        raise TooLarge(f"needs {need} megapixels, {limit}")


def require_memory(needed: int, max_megapixels: float) -> None:
    """Refuse a picture by the memory that its codec takes. Raises PhotoError."""
    most = memory_limit(max_megapixels)
    if needed > most:
        limit = f"the limit is {most // 10**6:,} (raise max_megapixels)"
        raise TooLarge(f"needs {math.ceil(needed / 1e6):,} MB of memory, {limit}")


def memory_limit(max_megapixels: float) -> int:
    """How many bytes decoding one picture may take."""
    return SPARE_BYTES + round(PIXEL_BYTES * 1e6 * max_megapixels)


def file_limit(max_megapixels: float) -> int:
    """How many bytes a file may have: it stays in memory until its photo is measured."""
    return max(SPARE_BYTES, round(PIXEL_BYTES * 1e6 * max_megapixels))


def _require_count(count: int, most: int, things: str) -> None:
    if count > most:
        raise PhotoError(f"it has over {most:,} {things}, far more than a photo")


def jpeg_scale(width: int, height: int) -> int:
    """The divisor 1, 2, 4 or 8 by which a JPEG is decoded smaller."""
    enough = ENOUGH_LONG * detail_long(width, height) / DETAIL_LONG
    return next((s for s in (8, 4, 2) if max(width, height) / s >= enough), 1)


# --- JPEG: ITU-T T.81, annex B


@dataclass(frozen=True, slots=True)
class _Frame:
    marker: int
    width: int
    height: int
    sampling: tuple[tuple[int, int], ...]

    @property
    def is_progressive(self) -> bool:
        return self.marker in (0xC2, 0xC6, 0xCA, 0xCE)

    @property
    def is_arithmetic(self) -> bool:
        return self.marker > 0xC8

    @property
    def blocks(self) -> int:
        across = max(h for h, _ in self.sampling)
        down = max(v for _, v in self.sampling)
        return sum(
            -(-self.width * h // (8 * across)) * -(-self.height * v // (8 * down))
            for h, v in self.sampling
        )


def _jpeg(data: bytes, whole: bool) -> Demand | None:
    frame, at = _jpeg_head(data)
    if frame is None or not frame.sampling or min(min(each) for each in frame.sampling) < 1:
        return None
    scale = 1 if whole else jpeg_scale(frame.width, frame.height)
    width, height = -(-frame.width // scale), -(-frame.height // scale)
    bands = 1 if len(frame.sampling) == 1 else PIXEL_BYTES
    memory = len(data) + bands * width * height + _views_bytes(width, height)
    if width * height <= HEARD_PIXELS:
        memory += len(frame.sampling) * width * height
    if frame.is_progressive or (at and data[at] < len(frame.sampling)):
        memory += 128 * frame.blocks  # all coefficients are kept, in 16 bits
    # A code has one bit or more, and every block a code; arithmetic coding takes less.
    least = 0 if frame.is_arithmetic else frame.blocks // 8
    return Demand(frame.width, frame.height, memory, least)


def _jpeg_head(data: bytes) -> tuple[_Frame | None, int]:
    """The frame, and where the first scan's header has its number of components; 0 for no scan."""
    frame, at, fill, segments, exif, photoshop = None, 2, 0, 0, 0, 0
    while (start := data.find(b"\xff", at, at + MAX_FILL)) >= 0:
        behind = start + 1
        while data[behind] == 0xFF and behind - start <= MAX_FILL + 1:
            behind += 1
        fill += behind - at - 1
        _require_count(fill, MAX_FILL, "bytes of padding")
        marker, at = data[behind], behind + 1
        if marker == 0xD9:
            break
        if marker <= 1 or 0xD0 <= marker <= 0xD8:
            fill += 2
            continue
        (length,) = struct.unpack_from(">H", data, at)
        if marker == 0xDA:
            return frame, at + 2
        segments += 1
        _require_count(segments, MAX_SEGMENTS, "segments")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            frame = frame or _frame(data, marker, at)
        elif marker == 0xE1 and data.startswith(b"Exif", at + 2):
            exif += 1
            _require_count(exif, MAX_EXIF, "segments of EXIF")
        elif marker == 0xED:
            photoshop += length
            _require_count(photoshop, MAX_PHOTOSHOP, "bytes of Photoshop's data")
        at += max(2, length)
    _require_count(len(data) - at if start < 0 else 0, MAX_FILL, "bytes of padding")
    return frame, 0


def _frame(data: bytes, marker: int, at: int) -> _Frame:
    height, width, count = struct.unpack_from(">HHB", data, at + 3)
    rows = (data[at + 9 + 3 * n] for n in range(count))
    return _Frame(marker, width, height, tuple((each >> 4, each & 15) for each in rows))


def _count_scans(data: bytes) -> None:
    """Count the scans of a JPEG that has several, without their own content. Raises PhotoError."""
    try:
        frame, at = _jpeg_head(data)
        if not frame or not at or not (frame.is_progressive or data[at] < len(frame.sampling)):
            return
        scans, segments, behind = 1, 0, at - 2 + int.from_bytes(data[at - 2 : at], "big")
        for place, marker in _markers(data, behind):
            if place < behind:  # inside a segment
                continue
            if marker == 0xD9:
                return
            scans += marker == 0xDA
            segments += 1
            _require_count(scans, MAX_SCANS, "scans")
            _require_count(segments, MAX_SEGMENTS, "segments between scans")
            behind = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    except (struct.error, IndexError):
        return


def _markers(data: bytes, start: int) -> Iterator[tuple[int, int]]:
    """Where the markers are, and which; stuffed bytes and restarts are none."""
    for at in range(start, len(data) - 1, CHUNK):
        part = np.frombuffer(data, np.uint8, min(CHUNK + 1, len(data) - at), at)
        found = np.flatnonzero(part[:-1] == 0xFF)
        codes = part[found + 1]
        marks = (codes > 1) & (codes != 0xFF) & (codes & 0xF8 != 0xD0)
        yield from zip((found[marks] + at).tolist(), codes[marks].tolist(), strict=True)


# --- PNG: ISO 15948


def _png(data: bytes) -> Demand | None:
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    samples = png.CHANNELS.get(colour)
    if data[12:16] != b"IHDR" or samples is None:
        return None
    if len(data) > 12 * MAX_CHUNKS:
        count = sum(1 for _ in islice(png.chunks(data), MAX_CHUNKS + 1))
        _require_count(count, MAX_CHUNKS, "chunks")
    pixels = width * height
    kept = PIXEL_BYTES if samples > 1 else 2 if depth == 16 else 1
    unpacked = pixels * samples * depth // 8
    # Row by row, unpacking takes no memory, but as much time as if it did.
    memory = max(unpacked, len(data) + kept * pixels + _views_bytes(width, height))
    return Demand(width, height, memory, unpacked // DEFLATE)


# --- TIFF 6.0, and BigTIFF

_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_TIFF_SIZES |= {16: 8, 17: 8, 18: 8}
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PLACES, _SAMPLES, _ROWS = 256, 257, 258, 259, 273, 277, 278
_PLANES, _TILE_WIDTH, _TILE_HEIGHT, _TILE_PLACES = 284, 322, 323, 324
_NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}


def _tiff(data: bytes) -> Demand | None:
    tags, counts = _tiff_tags(data)
    _require_count(counts.get(_PLACES, 0), MAX_STRIPS, "strips")
    _require_count(counts.get(_TILE_PLACES, 0), MAX_STRIPS, "tiles")
    width, height = tags.get(_WIDTH, 0), tags.get(_HEIGHT, 0)
    if not width or not height:
        return None
    bits, samples = tags.get(_BITS, 1), tags.get(_SAMPLES, 1)
    samples = min(samples, 8)
    compression, pixels = tags.get(_COMPRESSION, 1), width * height
    least = pixels * samples * bits // 8 // TIFF_RATIOS.get(compression, pixels * 100)
    kept = PIXEL_BYTES if samples > 1 or bits > 16 else 2 if bits == 16 else 1
    memory = len(data) + kept * pixels + _views_bytes(width, height)
    if compression != 1:  # libtiff unpacks a strip or tile at a time
        across = tags.get(_TILE_WIDTH, width)
        down = min(tags.get(_TILE_HEIGHT, tags.get(_ROWS, height)), height)
        together = 1 if tags.get(_PLANES, 1) == 2 else samples
        memory += across * down * together * bits // 8
    return Demand(width, height, memory, least)


def _tiff_tags(data: bytes) -> tuple[dict[int, int], dict[int, int]]:
    """The first value of each whole-number tag of the first directory, and how many it has."""
    order = ">" if data[:2] == b"MM" else "<"
    big = data[2:4] in (b"+\0", b"\0+")
    word, room, step, behind = ("Q", 8, 20, 8) if big else ("I", 4, 12, 2)
    (start,) = struct.unpack_from(order + word, data, 8 if big else 4)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, start)
    _require_count(count, MAX_TAGS, "tags")
    tags: dict[int, int] = {}
    counts: dict[int, int] = {}
    total = 0
    for at in range(start + behind, min(start + behind + step * count, len(data) - step + 1), step):
        tag, kind, many = struct.unpack_from(f"{order}HH{word}", data, at)
        size = _TIFF_SIZES.get(kind, 1) * many
        total += size if size > room else 0
        counts.setdefault(tag, many)
        place = at + step - room
        if size > room:
            (place,) = struct.unpack_from(order + word, data, place)
        if kind in _NUMBERS and many and place + size <= len(data):
            tags.setdefault(tag, *struct.unpack_from(order + _NUMBERS[kind], data, place))
    if total > len(data) + MAX_FILL:  # the same bytes many times
        raise PhotoError("its tags are larger than the file")
    return tags, counts


# --- WebP: RFC 9649


def _webp(data: bytes) -> Demand | None:
    name, head = data[12:16], data[20:30]
    if name == b"VP8X":
        width = int.from_bytes(head[4:7], "little") + 1
        height = int.from_bytes(head[7:10], "little") + 1
    elif name == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif name == b"VP8 ":
        width, height = (each & 0x3FFF for each in struct.unpack("<HH", head[6:10]))
    else:
        return None
    return _with_codec("webp", data, width, height)


# --- HEIF and AVIF: ISO 23008-12, the property of a picture's size

_EXTENT = re.compile(rb"ispe\0{4}(.{8})", re.DOTALL)


def _heif(data: bytes) -> Demand | None:
    sizes = [struct.unpack(">II", each[1]) for each in _EXTENT.finditer(data, 0, 2**20)]
    # Of the largest: tiles and thumbnails are smaller.
    largest = max(sizes, key=lambda each: int(each[0]) * int(each[1]), default=None)
    return _with_codec("heif", data, *largest) if largest else None


def _with_codec(kind: str, data: bytes, width: int, height: int) -> Demand:
    pixels = width * height
    beside = max(CODEC_BYTES[kind] * pixels, _views_bytes(width, height))
    return Demand(width, height, 2 * len(data) + PIXEL_BYTES * pixels + beside)


# --- GIF: GIF89a


def _gif(data: bytes) -> Demand | None:
    width, height, packed = struct.unpack_from("<HHB", data, 6)
    at = 13 + (3 << (packed & 7) + 1 if packed & 0x80 else 0)
    pieces = 0
    while data[at] == 0x21:
        at += 2
        while size := data[at]:
            pieces += 1
            at += size + 1
            _require_count(pieces, MAX_PIECES, "pieces before its first frame")
        at += 1
    if data[at] == 0x2C:  # a frame may reach beyond the canvas, and widens it
        left, top, across, down = struct.unpack_from("<HHHH", data, at + 1)
        width, height = max(width, left + across), max(height, top + down)
    pixels = width * height
    return Demand(width, height, len(data) + 2 * pixels + _views_bytes(width, height))


# --- BMP


def _bmp(data: bytes) -> Demand | None:
    (size,) = struct.unpack_from("<I", data, 14)
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        packing = 0
    else:
        width, height, _, bits, packing = struct.unpack_from("<iiHHI", data, 18)
    width, height = abs(width), abs(height)
    pixels = width * height
    if packing in (1, 2):
        _require_count(pixels, MAX_RUN_LENGTH, "pixels coded by run length")
    kept = 1 if bits <= 8 else PIXEL_BYTES
    least = 0 if packing in (1, 2) else pixels * bits // 8
    return Demand(width, height, len(data) + kept * pixels + _views_bytes(width, height), least)


# --- JPEG XL: ISO/IEC 18181-1; JPEG 2000: ISO/IEC 15444-1, annexes A and I


def _jxl(data: bytes) -> Demand | None:
    return _with_codec("jxl", data, *jxl.size_of(data))


def _jp2(data: bytes) -> Demand | None:
    size = jpeg2000.size_of(data)
    return _with_codec("jp2", data, size.width, size.height)


# --- Photoshop, and Netpbm


def _psd(data: bytes) -> Demand | None:
    bands, height, width, depth = struct.unpack_from(">HIIH", data, 12)
    pixels = width * height
    # A packed row has at least 2 bytes for each 128.
    least = pixels * min(bands, 4) * depth // 8 // 64
    memory = len(data) + PIXEL_BYTES * pixels + _views_bytes(width, height)
    return Demand(width, height, memory, least)


def _pnm(data: bytes) -> Demand | None:
    match = _PNM.match(data)
    if not match:
        return None
    kind, width, height = match[1], int(match[2]), int(match[3])
    pixels = width * height
    kept, least = (1, pixels) if kind == b"5" else (PIXEL_BYTES, 3 * pixels)
    return Demand(width, height, len(data) + kept * pixels + _views_bytes(width, height), least)


_BLANK = rb"(?:\s|#[^\n\r]{0,1000}[\n\r]){1,100}+"
_PNM = re.compile(rb"P([56])" + _BLANK + rb"(\d{1,9})" + _BLANK + rb"(\d{1,9})\s")


def _views_bytes(width: int, height: int) -> int:
    """What the way from a decoded picture to its views takes: see `decode`, for its strips."""
    from iqcli.photos.views import strip_halvings  # deferred: OpenCV is not for a warm run

    pixels = width * height
    if pixels <= 2**23:
        return 12 * pixels
    times = strip_halvings(width, height)
    return STRIP_BYTES + (7 * (pixels >> 2 * times) if times else 4 * pixels)


_WALKS: dict[str, Callable[[bytes], Demand | None]] = {
    "png": _png,
    "tiff": _tiff,
    "webp": _webp,
    "heif": _heif,
    "avif": _heif,
    "gif": _gif,
    "bmp": _bmp,
    "jxl": _jxl,
    "jp2": _jp2,
    "psd": _psd,
    "pnm": _pnm,
}
