"""The two fixed scales at which every extractor looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from iqcli.photos.colour import to_srgb
from iqcli.photos.reading import detail_long
from iqcli.records import HEAD_SHORT, Views

if TYPE_CHECKING:
    from collections.abc import Callable

    from iqcli.records import Pixels

    # Rows and columns, each from its first to behind its last.
    Part = tuple[slice, slice]

# Pictures are decoded in a pool of threads already, one a core.
cv2.setNumThreads(1)

TURNS: dict[int, Callable[[Any], Any]] = {
    2: lambda pixels: cv2.flip(pixels, 1),
    3: lambda pixels: cv2.rotate(pixels, cv2.ROTATE_180),
    4: lambda pixels: cv2.flip(pixels, 0),
    5: cv2.transpose,
    6: lambda pixels: cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE),
    7: lambda pixels: cv2.rotate(cv2.transpose(pixels), cv2.ROTATE_180),
    8: lambda pixels: cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE),
}


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Undo an EXIF orientation 1..8."""
    turn = TURNS.get(orientation)
    return np.asarray(turn(pixels), np.uint8) if turn else pixels


def stored(part: Part, orientation: int, height: int, width: int) -> Part:
    """Where rows and columns of the upright picture lie in the (height, width) that is stored."""
    rows, columns = part if orientation < 5 else part[::-1]
    if orientation in (3, 4, 6, 7):
        rows = slice(max(0, height - rows.stop), height - rows.start)
    if orientation in (2, 3, 7, 8):
        columns = slice(max(0, width - columns.stop), width - columns.start)
    return rows, columns


def strip_halvings(width: int, height: int) -> int:
    """How often `limited` halves a picture, if strips of it can be halved alike, else 0.

    They cannot where a row is left over: it is spread over all others.
    """
    scale = min(1.0, detail_long(width, height) / max(width, height))
    least = [max(1, round(side * scale)) for side in (width, height)]
    times = 0
    while width >> times >= 2 * least[0] and height >> times >= 2 * least[1]:
        times += 1
    return 0 if height % (1 << times) else times


def halved(pixels: Any, times: int) -> Any:
    """A picture whose sides were halved so many times, rounded down."""
    for _ in range(times):
        height, width = pixels.shape[:2]
        pixels = _resized(pixels, width // 2, height // 2, cv2.INTER_AREA)
    return pixels


def limited(pixels: Any) -> Any:
    """The picture, of 8 or 16 bits, with at most the long side of the larger view; not enlarged."""
    height, width = pixels.shape[:2]
    return _scaled(pixels, min(1.0, detail_long(width, height) / max(width, height)))


def views_of(detail: Pixels, profile: bytes | None = None) -> Views:
    """Both views of an upright RGB picture (h, w, 3) as `limited` gives it.

    `profile` is the picture's ICC profile, None for sRGB; only the head is converted, for only its
    colours are read, and converting the larger view would double the cost of a phone photo. An
    sRGB picture with a short side of exactly `HEAD_SHORT` is its own head, untouched, and both
    views are then one array.
    """
    short, long = min(detail.shape[:2]), max(detail.shape[:2])
    own = np.ascontiguousarray(detail)
    head = _scaled(own, min(HEAD_SHORT / short, detail_long(long, short) / long))
    return Views(scoring=to_srgb(head, profile), detail=own, profile=profile)


def _scaled(pixels: Any, scale: float) -> Any:
    if scale == 1:
        return pixels
    height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
    if scale > 1:
        return _resized(pixels, width, height, cv2.INTER_CUBIC)
    while pixels.shape[0] >= 2 * height and pixels.shape[1] >= 2 * width:
        pixels = _resized(pixels, pixels.shape[1] // 2, pixels.shape[0] // 2, cv2.INTER_AREA)
    # Less than a half is left. Averaging at such a ratio takes four milliseconds more, which is
    # a tenth of what the whole photo costs.
    return _resized(pixels, width, height, cv2.INTER_LINEAR)


def _resized(pixels: Any, width: int, height: int, how: int) -> Any:
    size = (max(1, width), max(1, height))
    return np.asarray(cv2.resize(pixels, size, interpolation=how))
