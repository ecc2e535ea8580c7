"""The pixels of JPEG 2000, by OpenCV. Pillow's plugin lets no other thread run while it decodes:
no signal would be heard, and no limit of time would hold.

Both have OpenJPEG, and the pixels are the same. OpenCV takes one, three or four channels of one
size, of 8 to 16 bits; the rest is left to Pillow, where it is small. OpenCV is given the bare
codestream, so what the boxes say of the colours is settled here.

Source: ISO/IEC 15444-1, annexes A (codestream) and I (boxes).
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iqcli.errors import PhotoError
from iqcli.photos.codecs.boxes import box

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

    from iqcli.records import Pixels

BOXED = b"\0\0\0\x0c"
# Between the name of its box and the first bytes of a codestream may stand a length of 64 bits.
_CODESTREAM = re.compile(rb"jp2c(?:.{8})?(?=\xff\x4f\xff\x51)", re.DOTALL)
# What is left to Pillow takes half a second at most.
MOST_PIXELS, MOST_BYTES, MOST_TILES = 2_000_000, 2 * 2**20, 1024
# Enumerated colour spaces; 0 stands for a profile, or for none.
CMYK, SRGB, GREY, SYCC = 12, 16, 17, 18
SPACES = {
    "L": (0, SRGB, GREY),
    "P": (0, SRGB),
    "I;16": (0, SRGB, GREY),
    "RGB": (0, SRGB, SYCC),
    "RGBA": (0, SRGB),
    "CMYK": (CMYK,),
}
# The least and most bits of a channel, where these are not 8 and 16.
DEPTHS = {"L": (8, 8), "P": (8, 8), "I;16": (9, 16)}
# Channels of a colour, in the box that says which channel is which.
COLOUR, NO_COLOUR = 0, 65535


@dataclass(frozen=True, slots=True)
class Size:
    """What a codestream says of its picture; `depths` and `steps` are those of the channels.

    A depth counts from 0, its highest bit says that values are signed; a step is that in x and y.
    """

    start: int
    width: int
    height: int
    has_offset: bool
    tiles: int
    depths: bytes
    steps: bytes


def size_of(data: bytes) -> Size:
    """The size of the picture, by its codestream. Raises ValueError where there is none."""
    start = 0
    if data.startswith(BOXED):
        found = _CODESTREAM.search(data)
        if not found:
            raise ValueError("no codestream")
        start = found.end()
    try:
        fields = struct.unpack_from(">8IH", data, start + 8)
    except struct.error as error:
        raise ValueError("truncated codestream") from error
    right, bottom, left, top, across, down, x, y, bands = fields
    channels = data[start + 42 : start + 42 + 3 * bands]
    return Size(
        start=start,
        width=max(0, right - left),
        height=max(0, bottom - top),
        has_offset=bool(left or top),
        tiles=math.ceil((right - x) / max(1, across)) * math.ceil((bottom - y) / max(1, down)),
        depths=channels[::3],
        steps=channels[1::3] + channels[2::3],
    )


def load(image: ImageFile, data: bytes) -> None:
    """Load the pixels of a picture that Pillow has opened.

    Raises PhotoError for what only Pillow decodes, if it is not small, and whatever it raises.
    """
    size = size_of(data)
    space = _space(image, data, size)
    if space is None:
        pixels = image.width * image.height
        if pixels > MOST_PIXELS or len(data) > MOST_BYTES or size.tiles > MOST_TILES:
            raise PhotoError(
                "a large JPEG 2000 of a rare kind (grey with transparency, channels of different "
                "sizes); convert it to TIFF"
            )
        image.load()
        return
    decoded = _decoded(data, size)
    if space == SYCC:
        from PIL import Image  # deferred, as is OpenCV: a size is asked where neither is loaded

        decoded = np.asarray(Image.fromarray(decoded, "YCbCr").convert("RGB"))
    image.tile = []
    image.load_prepare()
    image.frombytes(np.ascontiguousarray(decoded).data)


def _space(image: ImageFile, data: bytes, size: Size) -> int | None:
    """The colour space of a picture that OpenCV decodes to what Pillow would; None of any other."""
    header = box(data, b"jp2h") if data.startswith(BOXED) else b""
    colours = box(header, b"colr")
    # How it is described, precedence, approximation; then the space, if it is by its number.
    space = int.from_bytes(colours[3:7], "big") if colours[:1] == b"\1" else 0
    least, most = DEPTHS.get(image.mode, (8, 16))
    is_plain = (
        space in SPACES.get(image.mode, ())
        and image.size == (size.width, size.height)
        and not size.has_offset
        and set(size.steps) == {1}
        and len(size.depths) == len(image.getbands())
        and len(set(size.depths)) == 1
        and least <= size.depths[0] + 1 <= most
        and (image.mode == "P") == bool(box(header, b"pclr"))
        and not _are_swapped(box(header, b"cdef"))
    )
    return space if is_plain else None


def _are_swapped(definitions: bytes) -> bool:
    """Whether the channels of colours are in another order than that of their colours."""
    whole = max(0, len(definitions) - 2) // 6 * 6
    return any(
        kind == COLOUR and colour not in (0, number + 1, NO_COLOUR)
        for number, kind, colour in struct.iter_unpack(">3H", definitions[2 : 2 + whole])
    )


def _decoded(data: bytes, size: Size) -> Pixels:
    """The channels as they are, of 8 bits, or one of 16. Raises OSError."""
    import cv2

    try:
        coded = np.frombuffer(data, np.uint8, offset=size.start)
        found = cv2.imdecode(coded, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        found = None
    if found is None:
        raise OSError("broken data stream")
    depth = size.depths[0] + 1
    if found.ndim == 2:
        return found if depth == 8 else found << (16 - depth)
    order = cv2.COLOR_BGR2RGB if found.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
    pixels = cv2.cvtColor(found, order, dst=found)
    return pixels if depth == 8 else (pixels >> (depth - 8)).astype(np.uint8)
