"""Real pictures, small and made on the spot."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pillow_heif
from PIL import Image

from iqcli.photos.read import read_photo

if TYPE_CHECKING:
    from iqcli.records import Facts, Pixels, Views

LIMIT = 250.0


def scene(width: int = 640, height: int = 480) -> Pixels:
    """A picture whose four quarters differ, so that every turn shows: red, green / blue, grey."""
    pixels = np.full((height, width, 3), 128, np.uint8)
    pixels[: height // 2, : width // 2] = (200, 30, 30)
    pixels[: height // 2, width // 2 :] = (30, 200, 30)
    pixels[height // 2 :, : width // 2] = (30, 30, 200)
    return pixels


def noise(width: int, height: int) -> Pixels:
    """Reproducible noise: no pixel is like its neighbour."""
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8)


def encoded(picture: Pixels | Image.Image, kind: str, **options: Any) -> bytes:
    """The picture as a file of Pillow's format `kind`, or HEIF."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    out = BytesIO()
    if kind == "HEIF":
        pillow_heif.from_pillow(image).save(out, **options)
    else:
        image.save(out, kind, **options)
    return out.getvalue()


def exif_block(tags: dict[int, Any], more: dict[int, Any] | None = None, order: str = ">") -> bytes:
    """An EXIF block of IFD0 `tags` and Exif IFD `more`, its bytes in the order "<" or ">"."""
    exif = Image.Exif()
    exif.endian = order
    exif.update(tags)
    exif.get_ifd(0x8769).update(more or {})
    return exif.tobytes()


def read(data: bytes, max_megapixels: float = LIMIT) -> tuple[Facts, Views]:
    return read_photo(data, max_megapixels=max_megapixels)


def corners(pixels: Pixels) -> list[list[int]]:
    """Mean colours of the inside of the quarters: top left, top right, bottom left and right."""
    height, width = pixels.shape[:2]
    rows = (slice(height // 8, 3 * height // 8), slice(5 * height // 8, 7 * height // 8))
    columns = (slice(width // 8, 3 * width // 8), slice(5 * width // 8, 7 * width // 8))
    return [pixels[r, c].mean((0, 1)).round().astype(int).tolist() for r in rows for c in columns]


def dng(
    sensor: Pixels, preview: bytes | None, preview_size: tuple[int, int] = (0, 0), turn: int = 1
) -> bytes:
    """A DNG as cameras lay it out: a magenta thumbnail first, then sensor and preview in SubIFDs.

    `sensor` (height, width, 3) is sampled through an RGGB filter; `preview` is a JPEG of
    `preview_size` (width, height).
    """
    parts = [_sensor(sensor)]
    if preview:
        parts.append(_directory(*preview_size, 1, 7, 6, (8, 8, 8), preview))
    return _tiff(_thumbnail(turn), parts)


def cut_dng(sensor: Pixels) -> bytes:
    """A DNG whose sensor data lie beyond the end of the file."""
    return _tiff(_thumbnail(1), [_sensor(sensor) | {273: ("I", (2**30,))}])


def broken_dng(preview: bytes, preview_size: tuple[int, int]) -> bytes:
    """A DNG with a good preview, whose sensor data cannot be decompressed."""
    tags = _sensor(np.zeros((64, 64, 3), np.uint8))
    tags |= _directory(64, 64, 0, 8, 32803, (16,), bytes(5000))
    return _tiff(_thumbnail(1), [_directory(*preview_size, 1, 7, 6, (8, 8, 8), preview), tags])


def lossy_dng(width: int, height: int, jpeg: bytes) -> bytes:
    """A DNG whose picture is a linear JPEG, which LibRaw decodes through libjpeg."""
    return _tiff(_thumbnail(1), [_directory(width, height, 0, 34892, 34892, (8, 8, 8), jpeg)])


Directory = dict[int, tuple[str, Any]]


def _sensor(pixels: Pixels) -> Directory:
    height, width = pixels.shape[:2]
    mosaic = pixels[..., 1].astype("<u2")
    mosaic[::2, ::2], mosaic[1::2, 1::2] = pixels[::2, ::2, 0], pixels[1::2, 1::2, 2]
    tags = _directory(width, height, 0, 1, 32803, (16,), (mosaic * 256).tobytes())
    return tags | {33421: ("H", (2, 2)), 33422: ("B", (0, 1, 1, 2)), 50717: ("I", (65535,))}


def _thumbnail(turn: int) -> Directory:
    magenta = np.full((48, 64, 3), (255, 0, 255), np.uint8).tobytes()
    tags = _directory(64, 48, 1, 1, 2, (8, 8, 8), magenta)
    tags |= {271: ("s", b"Maker\0"), 272: ("s", b"Raw One\0"), 274: ("H", (turn,))}
    tags |= {50706: ("B", (1, 4, 0, 0)), 50708: ("s", b"Maker Raw One\0")}
    return tags | {50721: ("r", (1, 0, 0, 0, 1, 0, 0, 0, 1)), 50728: ("R", (1, 1, 1))}


def _directory(
    width: int, height: int, sub: int, compression: int, colour: int, bits: Any, data: bytes
) -> Directory:
    tags: Directory = {254: ("I", (sub,)), 256: ("I", (width,)), 257: ("I", (height,))}
    tags |= {258: ("H", bits), 259: ("H", (compression,)), 262: ("H", (colour,))}
    tags |= {273: ("data", data), 277: ("H", (len(bits),)), 278: ("I", (height,))}
    return tags | {279: ("I", (len(data),))}


def _tiff(first: Directory, subs: list[Directory]) -> bytes:
    body = bytearray(b"II*\0\0\0\0\0")
    offsets = tuple(_append(body, sub) for sub in subs)
    start = _append(body, first | {330: ("I", offsets)})
    body[4:8] = struct.pack("<I", start)
    return bytes(body)


def _append(body: bytearray, tags: Directory) -> int:
    """Write the values, then the directory; return where the directory begins."""
    entries = b""
    for tag, (kind, value) in sorted(tags.items()):
        code, count, packed = _packed(body, kind, value)
        if len(packed) > 4:
            packed = struct.pack("<I", _put(body, packed))
        entries += struct.pack("<HHI", tag, code, count) + packed.ljust(4, b"\0")
    return _put(body, struct.pack("<H", len(tags)) + entries + b"\0\0\0\0")


def _packed(body: bytearray, kind: str, value: Any) -> tuple[int, int, bytes]:
    if kind == "data":
        return 4, 1, struct.pack("<I", _put(body, value))
    if kind == "s":
        return 2, len(value), value
    if kind in "rR":
        pairs = [number for each in value for number in (each, 1)]
        return (10 if kind == "r" else 5), len(value), struct.pack(f"<{len(pairs)}i", *pairs)
    return {"B": 1, "H": 3, "I": 4}[kind], len(value), struct.pack(f"<{len(value)}{kind}", *value)


def _put(body: bytearray, data: bytes) -> int:
    body += b"\0" * (len(body) % 2)
    start = len(body)
    body += data
    return start


# Display P3 and Adobe RGB (1998): primaries adapted to D50, as in their published profiles.
P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))


def fixed(number: float) -> bytes:
    return struct.pack(">i", round(number * 65536))


def profile(primaries: tuple[tuple[float, ...], ...], gamma: float = 2.2) -> bytes:
    """A display profile of three primaries and one gamma (ICC.1:2001, 6.1 and 6.5)."""
    xyz = [b"XYZ \0\0\0\0" + b"".join(map(fixed, each)) for each in primaries]
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    white = b"XYZ \0\0\0\0" + b"".join(map(fixed, (0.9642, 1.0, 0.8249)))
    names = (b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC", b"wtpt")
    blocks = [*xyz, curve, curve, curve, white]
    table, body, at = b"", b"", 132 + 12 * len(names)
    for name, block in zip(names, blocks, strict=True):
        table += name + struct.pack(">II", at + len(body), len(block))
        body += block
    size = at + len(body)
    head = struct.pack(">I4sI", size, b"lcms", 0x02100000) + b"mntrRGB XYZ " + b"\0" * 12
    head += b"acsp" + b"\0" * 28 + b"".join(map(fixed, (0.9642, 1.0, 0.8249)))
    return head.ljust(128, b"\0") + struct.pack(">I", len(names)) + table + body
