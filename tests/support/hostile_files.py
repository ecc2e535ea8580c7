"""Files that claim more than a photo has: scans, segments, strips, frames, pixels."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from support.images import encoded, noise

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Entry = tuple[int, int, int, bytes]

EOI = b"\xff\xd9"
SHORT, LONG, LONG8 = 3, 4, 16


def segment(marker: int, body: bytes) -> bytes:
    """One segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def jpeg_with(segments: bytes, picture: bytes | None = None) -> bytes:
    """A small JPEG with these segments in front."""
    picture = picture or encoded(noise(64, 48), "JPEG")
    return picture[:2] + segments + picture[2:]


def progressive(
    scans: int, width: int, height: int, components: int = 1, between: bytes = b""
) -> bytes:
    """A grey or colour JPEG of one level whose last scan is there `scans` times.

    A scan takes two bits per 32,767 blocks, so that a few bytes cost a decoder whole passes.
    """
    blocks = -(-width // 8) * -(-height // 8)
    parts = b"".join(bytes([n + 1, 0x11, 0]) for n in range(components))
    frame = struct.pack(">BHHB", 8, height, width, components) + parts
    # One code of one bit each: no difference (DC), and the longest run of empty blocks (AC).
    tables = b"\0" + b"\1" + b"\0" * 15 + b"\0" + b"\x10" + b"\1" + b"\0" * 15 + b"\xe0"
    heads = b"".join(bytes([n + 1, 0]) for n in range(components))
    first = b"\0" * -(-blocks * components // 8)
    runs = "".join("0" + "1" * 14 for _ in range(blocks // 32767))
    runs += "0" + "0" * 14  # a run of 16,384 blocks, which is cut at the end
    runs += "1" * (-len(runs) % 8)
    packed = int(runs, 2).to_bytes(len(runs) // 8, "big").replace(b"\xff", b"\xff\0")
    again = segment(0xDA, b"\1\1\0" + b"\1\x3f\0") + packed + between
    head = b"\xff\xd8" + segment(0xDB, b"\0" + b"\1" * 64) + segment(0xC2, frame)
    start = segment(0xC4, tables) + segment(0xDA, bytes([components]) + heads + b"\0\0\0") + first
    return head + start + again * (scans - 1) + EOI


def chunk(name: bytes, body: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_with(chunks: bytes, picture: bytes | None = None) -> bytes:
    """A small PNG with these chunks behind its header."""
    picture = picture or encoded(noise(64, 48), "PNG")
    return picture[:33] + chunks + picture[33:]


def flat_png(width: int, height: int, depth: int = 8, colour: int = 2, interlace: int = 0) -> bytes:
    """A PNG of zeros, as short as deflate allows."""
    bands = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = 1 + -(-width * bands * depth // 8)
    packer = zlib.compressobj(9)
    many = max(1, 2**20 // row)
    body = b"".join(packer.compress(b"\0" * (row * many)) for _ in range(height // many))
    body += packer.compress(b"\0" * (row * (height % many))) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    chunks = chunk(b"IHDR", header)
    if colour == 3:
        chunks += chunk(b"PLTE", b"\0" * 3)
    return b"\x89PNG\r\n\x1a\n" + chunks + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def entry(tag: int, kind: int, *values: int) -> Entry:
    """One tag of a TIFF."""
    code = {1: "B", SHORT: "H", LONG: "I", LONG8: "Q"}[kind]
    return tag, kind, len(values), struct.pack(f"<{len(values)}{code}", *values)


def tiff(entries: Iterable[Entry], data: bytes = b"", big: bool = False) -> bytes:
    """A TIFF of one directory; `data` begins at byte 16."""
    body = (b"II+\0\x08\0\0\0" if big else b"II*\0") + b"\0" * (8 if big else 12) + data
    body += b"\0" * (-len(body) % 8)
    rows, room, tail = [], 8 if big else 4, bytearray()
    ordered = sorted(entries)
    width = 20 if big else 12
    after = len(body) + (8 if big else 2) + width * len(ordered) + room
    for tag, kind, count, packed in ordered:
        value = packed
        if len(packed) > room:
            value = struct.pack("<Q" if big else "<I", after + len(tail))
            tail += packed + b"\0" * (len(packed) % 2)
        head = struct.pack("<HHQ" if big else "<HHI", tag, kind, count)
        rows.append(head + value.ljust(room, b"\0"))
    where = struct.pack("<Q" if big else "<I", len(body))
    body = body[:8] + where + body[16:] if big else body[:4] + where + body[8:]
    count = struct.pack("<Q" if big else "<H", len(ordered))
    return body + count + b"".join(rows) + b"\0" * room + tail


def tiff_shape(
    width: int,
    height: int,
    bits: Sequence[int] = (8, 8, 8),
    compression: int = 1,
    photometric: int = 2,
) -> list[Entry]:
    """The tags of a picture's shape."""
    return [
        entry(256, LONG, width),
        entry(257, LONG, height),
        entry(258, SHORT, *bits),
        entry(259, SHORT, compression),
        entry(262, SHORT, photometric),
        entry(277, SHORT, len(bits)),
    ]


def striped_tiff(strips: int, compression: int = 1, width: int = 1, rows: int = 1) -> bytes:
    """A grey TIFF of so many strips that all lie at the same place."""
    data = b"\0" * max(16, width * rows)
    if compression != 1:
        data = zlib.compress(data)
    shape = tiff_shape(width, strips * rows, (8,), compression, 1)
    many = np.full(strips, 16, "<u4").tobytes(), np.full(strips, len(data), "<u4").tobytes()
    places = [(273, LONG, strips, many[0]), (279, LONG, strips, many[1])]
    return tiff([*shape, entry(278, LONG, rows), *places], data)


def one_strip_header(width: int, height: int, bits: Sequence[int]) -> bytes:
    """A TIFF whose one strip, by ZSTD, may be of any length."""
    places = [entry(273, LONG, 16), entry(278, LONG, height), entry(279, LONG, 16)]
    return tiff([*tiff_shape(width, height, bits, 50000), *places], b"\0" * 16)


def one_strip_tiff(
    width: int, height: int, bits: Sequence[int], photometric: int = 2, fmt: int = 1
) -> bytes:
    """A deflated TIFF of zeros in one strip."""
    size = width * height * sum(bits) // 8
    packer = zlib.compressobj(9)
    step = 2**24
    data = b"".join(packer.compress(b"\0" * min(step, size - at)) for at in range(0, size, step))
    data += packer.flush()
    shape = tiff_shape(width, height, bits, 8, photometric)
    places = [entry(273, LONG, 16), entry(278, LONG, height), entry(279, LONG, len(data))]
    formats = [entry(339, SHORT, *([fmt] * len(bits)))]
    return tiff([*shape, *places, *formats], data)


def chained_tiff(directories: int) -> bytes:
    """A TIFF of one small picture whose directory is followed by so many others."""
    start = tiff([*tiff_shape(4, 4), entry(273, LONG, 16), entry(279, LONG, 48)], b"\0" * 48)
    body = bytearray(start)
    end = int.from_bytes(body[4:8], "little") + 2 + 12 * 8
    first = len(body) + len(body) % 2
    body += b"\0" * (first - len(body))
    body[end : end + 4] = struct.pack("<I", first)
    step = 2 + 12 + 4
    for n in range(directories):
        following = first + step * (n + 1) if n + 1 < directories else 0
        body += struct.pack("<HHHI4sI", 1, 254, LONG, 1, b"\1\0\0\0", following)
    return bytes(body)


def solid_webp(width: int, height: int) -> bytes:
    """A lossless WebP of one colour: its pixels take no bits at all."""
    bits: list[tuple[int, int]] = [(0x2F, 8), (width - 1, 14), (height - 1, 14), (0, 1), (0, 3)]
    bits += [(0, 1), (0, 1), (0, 1)]  # no transform, no colour cache, one group of codes
    bits += [(1, 1), (0, 1), (0, 1), (0, 1)] * 5  # each code is simple and has the symbol 0
    value, at = 0, 0
    for number, size in bits:
        value |= number << at
        at += size
    body = value.to_bytes(-(-at // 8), "little")
    body += b"\0" * (len(body) % 2)
    inside = b"WEBPVP8L" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(inside)) + inside


def animated(kind: str, frames: int, size: tuple[int, int] = (8, 8)) -> bytes:
    """A GIF, WebP, AVIF or APNG of so many frames."""
    pictures = [Image.new("RGB", size, (n % 256, n // 256 % 256, 0)) for n in range(frames)]
    out = BytesIO()
    pictures[0].save(out, kind, save_all=True, append_images=pictures[1:])
    return out.getvalue()


def gif_of(width: int, height: int, frames: int = 1) -> bytes:
    """A GIF whose canvas is large and whose frames are one pixel."""
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return head + frame * frames + b";"


def box(name: bytes, body: bytes) -> bytes:
    """One box of an ISO media file."""
    return struct.pack(">I", len(body) + 8) + name + body


def flat_bmp(width: int, height: int) -> bytes:
    """The header of a BMP of three bytes a pixel, and some of them."""
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 154, 0, 0, 54) + header + b"\0" * 100


def rle_bmp(width: int, height: int, lines: int) -> bytes:
    """A BMP whose rows are run-length coded, each of one pixel and an end of line."""
    data = b"\1\0\0\0" * lines + b"\0\1"
    offset = 14 + 40 + 1024
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 0, 0, 256, 0)
    head = b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset)
    return head + header + b"\0" * 1024 + data
