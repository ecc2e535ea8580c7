"""JPEG XL, by libjxl (the extra `jxl`). The size is read from the header, before decoding.

Source: ISO/IEC 18181-1 (codestream), 18181-2 (container).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iqcli.errors import PhotoError
from iqcli.photos.codecs.boxes import boxes

if TYPE_CHECKING:
    from PIL import Image

WAY_OUT = "JPEG XL is read by an extra: pip install 'iqcli[jxl]'"
CODESTREAM = b"\xff\x0a"
BROKEN = "broken JPEG XL data"
# Width to height, by the number in the header; 0 means that the width follows.
RATIOS = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
SIZES = (9, 13, 18, 30)
# The size stands in the first bytes of the codestream.
HEADER = 16
MOST_METADATA = 4 * 2**20


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height as stored. Raises PhotoError."""
    bits = _Bits(_codestream(data)[2:])
    small = bits.take(1)
    height = 8 * (1 + bits.take(5)) if small else 1 + bits.take(SIZES[bits.take(2)])
    across, down = RATIOS[bits.take(3)]
    if across:
        return height * across // down, height
    return (8 * (1 + bits.take(5)) if small else 1 + bits.take(SIZES[bits.take(2)])), height


def metadata(data: bytes) -> tuple[bytes, bytes]:
    """EXIF block and XMP packet of a container, empty where there is none. Raises PhotoError."""
    found: dict[bytes, bytes] = {}
    for name, content in _boxes(data):
        if name == b"brob" and content[:4] in (b"Exif", b"xml "):
            name, content = content[:4], _inflated(content[4:])
        found.setdefault(name, content)
    exif = found.get(b"Exif", b"")
    if exif[:4] not in (b"II*\0", b"MM\0*"):  # the offset of the block comes first
        exif = exif[4 + int.from_bytes(exif[:4], "big") :]
    return exif, found.get(b"xml ", b"")


def decode(data: bytes) -> Image.Image | bytes:
    """The first frame, upright, its colours described by the ICC profile in `info`.

    Or the JPEG that was recompressed without loss; its EXIF turns it. Raises PhotoError, also where
    the extra is not installed.
    """
    try:
        from pillow_jxl import Decoder
    except ImportError as error:
        raise PhotoError(WAY_OUT) from error
    try:
        is_jpeg, info, pixels, icc, _ = Decoder(num_threads=0)(data)
    except Exception as error:  # it says to build libjxl in debug mode, whatever the reason
        raise PhotoError(BROKEN) from error
    if is_jpeg:
        return bytes(pixels)
    from PIL import Image  # deferred: the size is asked where no decoder is loaded

    image = Image.frombytes(info.mode, (info.width, info.height), bytes(pixels))
    exif, xmp = metadata(data)
    image.info |= {"exif": exif, "xmp": xmp, "icc_profile": bytes(icc or b"")}
    return image


class _Bits:
    """Reads numbers from the lowest bit of the first byte on; beyond the end are zeros."""

    def __init__(self, data: bytes) -> None:
        self._left = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        value = self._left & ((1 << count) - 1)
        self._left >>= count
        return value


def _boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    return [] if data.startswith(CODESTREAM) else list(boxes(data))


def _codestream(data: bytes) -> bytes:
    """The beginning of the codestream. Raises PhotoError."""
    start = data[:HEADER] if data.startswith(CODESTREAM) else b""
    for name, content in _boxes(data):
        if name in (b"jxlc", b"jxlp"):
            start += content[4:24] if name == b"jxlp" else content[:20]  # parts are numbered
        if len(start) >= HEADER:
            break
    if not start.startswith(CODESTREAM):
        raise PhotoError(BROKEN)
    return start


def _inflated(data: bytes) -> bytes:
    """A box that was compressed, up to `MOST_METADATA` bytes; empty if it is broken."""
    try:
        import brotli
    except ImportError as error:
        raise PhotoError(WAY_OUT) from error
    try:
        return brotli.Decompressor().process(data, output_buffer_limit=MOST_METADATA)
    except brotli.error:
        return b""
