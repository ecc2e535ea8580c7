"""Means over equal parts of a picture: what OpenCV's `INTER_AREA` gives, in a third of its time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from iqcli.records import Pixels

    Plane = NDArray[np.float32]


def area(picture: Pixels, width: int, height: int) -> Plane:
    """A (rows, columns) picture of 8 bits at this size, not rounded.

    OpenCV goes pixel by pixel where a part is no whole number of them. Often it is one down or
    across: then whole rows are added up first, and fewer are left to weigh.
    """
    rows, columns = picture.shape[:2]
    smaller = rows >= height and columns >= width  # else OpenCV interpolates
    if not smaller or (rows % height == 0) == (columns % width == 0):
        return resized(picture.astype(np.float32), width, height)
    if rows % height:
        return np.asarray(cv2.transpose(area(cv2.transpose(picture), height, width)))
    times = rows // height
    added = picture[::times].astype(np.float32)
    for k in range(1, times):
        cv2.accumulate(picture[k::times], added)
    return resized(added, width, height) * np.float32(1 / times)


def resized(picture: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    """A picture of any type made smaller by OpenCV itself, in its type."""
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))


def halved(picture: NDArray[Any]) -> NDArray[Any]:
    """A picture at half of its size, in its type; a row or column left over is dropped."""
    height, width = picture.shape[:2]
    even = picture[: height // 2 * 2 or 1, : width // 2 * 2 or 1]
    return resized(even, max(width // 2, 1), max(height // 2, 1))
