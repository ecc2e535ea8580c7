"""The two fixed scales at which every extractor looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from iqcli.records import Views

if TYPE_CHECKING:
    from collections.abc import Callable

    from iqcli.records import Pixels

HEAD_SHORT = 512
DETAIL_LONG = 2048

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


def limited(pixels: Pixels) -> Pixels:
    """The picture with a long side of at most `DETAIL_LONG`; never enlarged."""
    return _scaled(pixels, min(1.0, DETAIL_LONG / max(pixels.shape[:2])))


def views_of(detail: Pixels) -> Views:
    """Both views of an upright sRGB picture (h, w, 3) whose long side is at most `DETAIL_LONG`.

    A picture with a short side of exactly `HEAD_SHORT` is its own head, untouched, and both views
    are then one array.
    """
    short, long = min(detail.shape[:2]), max(detail.shape[:2])
    own = np.require(detail, requirements=["C", "W"])
    return Views(head=_scaled(own, min(HEAD_SHORT / short, DETAIL_LONG / long)), detail=own)


def _scaled(pixels: Pixels, scale: float) -> Pixels:
    if scale == 1:
        return pixels
    height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=how), np.uint8)
