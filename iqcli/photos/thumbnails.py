"""Thumbnails and crops for people, made from the views of one decode: WebP, sRGB, without tags."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from iqcli.photos.colour import to_srgb
from iqcli.photos.formats import RAW_KINDS
from iqcli.photos.read import read_whole

if TYPE_CHECKING:
    from iqcli.photos.views import Part
    from iqcli.records import Facts, Pixels, Views

# The long side of a thumbnail and both sides of a crop, in pixels; smaller pictures stay small.
THUMB_LONG = 320
CROP_SIDE = 360
# Of WebP, 0..100; a crop shows grain and edges.
THUMB_QUALITY, CROP_QUALITY = 75, 85
# Of 0 (fast) .. 6 (small): half the time of the usual 4, for 3 % more bytes.
EFFORT = 2


def thumb(views: Views, facts: Facts, data: bytes, max_megapixels: float) -> bytes:
    """The whole picture, its long side `THUMB_LONG`; never larger than the picture itself."""
    height, width = views.scoring.shape[:2]
    scale = min(THUMB_LONG, max(views.detail.shape[:2])) / max(height, width)  # was never enlarged
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return _webp(cv2.resize(views.scoring, size, interpolation=cv2.INTER_AREA), THUMB_QUALITY)


def crop(views: Views, facts: Facts, data: bytes, max_megapixels: float) -> bytes:
    """The sharpest `CROP_SIDE` square of the picture at full size.

    It is cut from the larger view where that has the full size; otherwise the file is decoded
    whole. For a raw file its view is the full size. Raises PhotoError like `read_whole`.
    """
    view = views.detail
    full = view.shape[:2] if facts.format in RAW_KINDS else (facts.height, facts.width)
    part = _sharpest(view, full)
    if full == view.shape[:2]:
        pixels = to_srgb(np.ascontiguousarray(view[part]), views.profile)
    else:
        pixels = read_whole(data, max_megapixels=max_megapixels, part=part)
    return _webp(pixels, CROP_QUALITY)


def _sharpest(view: Pixels, full: tuple[int, int]) -> Part:
    """Where the crop lies in the picture of the size `full`, (height, width).

    The place whose mean absolute Laplacian of luma is the highest in the view.
    """
    edges = cv2.Laplacian(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY), cv2.CV_8U)
    sums = cv2.integral(edges)
    # How many pixels of the view the crop takes, downwards and across.
    size = [
        max(1, round(min(CROP_SIDE, whole) * seen / whole))
        for whole, seen in zip(full, edges.shape, strict=True)
    ]
    inside = sums[size[0] :, size[1] :] + sums[: -size[0], : -size[1]]
    inside -= sums[size[0] :, : -size[1]] + sums[: -size[0], size[1] :]
    top, left = np.unravel_index(int(inside.argmax()), inside.shape)
    rows = _span(int(top), edges.shape[0], full[0])
    columns = _span(int(left), edges.shape[1], full[1])
    return rows, columns


def _span(first: int, seen: int, whole: int) -> slice:
    """The crop along one side, from its first pixel in the view."""
    start = min(round(first * whole / seen), max(0, whole - CROP_SIDE))
    return slice(start, start + CROP_SIDE)


def _webp(pixels: Pixels, quality: int) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=quality, method=EFFORT)
    return buffer.getvalue()
