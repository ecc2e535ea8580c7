"""Sectors that a disk or a card lost: zeros where the coded pixels of a picture should be.

A decoder of WebP, HEIF, AVIF or JPEG 2000 takes such zeros for pixels without a word, and that of a
HEIF leaves tiles black that are not there. Coded data hold no such runs of their own; where they
could, as in plain black rows, a run counts only if it begins and ends where sectors do.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from iqcli.photos.codecs.boxes import coded_items

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.ImageFile import ImageFile

    Parts = tuple[bool, list[list["Span"]]]

SECTOR = 512
# So many zeros before and behind a lost sector may be of the picture itself.
STRAY = 2
# Parts of no photo hold the same bytes so often.
MOST_TIMES = 8

Span = tuple[int, int]


def lost_spans(data: bytes, begin: int = 0, end: int | None = None) -> list[Span]:
    """The lost sectors within a part of a file, from each to behind; in their order."""
    end = len(data) if end is None else min(end, len(data))
    first = -(-begin // SECTOR)
    count = end // SECTOR - first
    if count <= 0:
        return []
    # The first bytes of all sectors, before the rest of some.
    heads = np.frombuffer(data, np.uint8)[first * SECTOR : (first + count) * SECTOR : SECTOR]
    spans: list[Span] = []
    behind = -1
    for at in ((np.flatnonzero(heads == 0) + first) * SECTOR).tolist():
        if at < behind or data[at : at + SECTOR].strip(b"\0"):
            continue
        start, behind = _run(data, at, begin, end)
        is_cut = (behind % SECTOR) <= STRAY or behind == end
        if -start % SECTOR <= STRAY and is_cut:
            spans.append((at, behind))
    return spans


def _run(data: bytes, at: int, begin: int, end: int) -> Span:
    """The run of zeros around a place."""
    start = at
    while start > begin and at - start <= STRAY and not data[start - 1]:
        start -= 1
    behind = at + SECTOR
    while behind < end and not data[behind]:
        step = data[behind : min(behind + 65536, end)]
        left = len(step.lstrip(b"\0"))
        behind += len(step) - left
        if left:
            break
    return start, behind


def lost_share(image: ImageFile, data: bytes, kind: str) -> float:
    """The share (0..1) of the coded pixels behind lost sectors; 0 for JPEG and PNG, read elsewhere.

    Of a HEIF also of those behind its end: a decoder may leave out tiles that are missing. `image`
    is opened and not decoded yet.
    """
    if kind not in _PARTS or not (kind in ("heif", "avif") or lost_spans(data)):
        return 0.0
    is_plain, parts = _PARTS[kind](image, data)
    total = sum(end - begin for part in parts for begin, end in part)
    looked_at = sum(max(0, min(end, len(data)) - begin) for part in parts for begin, end in part)
    if not total or looked_at > MOST_TIMES * len(data):
        return 0.0
    if is_plain:
        return _lost_of_rows(data, parts, max(1, total // image.height)) / total
    return sum(_lost_of(data, part) for part in parts) / total


def _lost_of(data: bytes, part: list[Span]) -> int:
    """How many bytes of a part, which may lie in pieces, stand behind its first lost sector."""
    total, before = sum(end - begin for begin, end in part), 0
    for begin, end in part:
        spans = lost_spans(data, begin, end)
        gap = spans[0][0] if spans else max(begin, len(data))
        if gap < end:
            return total - before - (gap - begin)
        before += end - begin
    return 0


def _lost_of_rows(data: bytes, parts: list[list[Span]], row: int) -> int:
    """How many bytes of plain rows are lost: where zeros begin within a row, and not below each
    other, as in a black part of the picture.
    """
    begin, end = parts[0][0][0], min(parts[-1][-1][1], len(data))
    if any(above[-1][1] != below[0][0] for above, below in pairwise(parts)):
        return 0
    lost = 0
    for start, behind in lost_spans(data, begin, end):
        is_edge = not data[start - 1] or (start - begin) % row == 0
        beside = (data[at : at + SECTOR] for at in (start - row, start + row) if begin <= at)
        is_black = behind - start < row and not all(each.strip(b"\0") for each in beside)
        lost += 0 if is_edge or is_black else behind - start
    return lost


# --- Where the coded pixels are: whether they are plain rows, and the parts that are decoded by
# themselves, in their pieces.


def _webp(image: ImageFile, data: bytes) -> Parts:
    at, parts = 12, list[list[Span]]()
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] in (b"VP8 ", b"VP8L"):
            parts.append([(at + 8, min(at + 8 + size, len(data)))])
        at += 8 + size + size % 2
    return False, parts


def _heif(image: ImageFile, data: bytes) -> Parts:
    return False, coded_items(data)


def _jp2(image: ImageFile, data: bytes) -> Parts:
    start, end = data.find(b"\xff\x4f\xff\x51"), data.rfind(b"\xff\xd9")
    return False, [[(start, end if end > start else len(data))]] if start >= 0 else []


def _tiff(image: Any, data: bytes) -> Parts:
    tags = image.tag_v2
    places = tags.get(_STRIPS) or tags.get(_TILES) or ()
    sizes = tags.get(_STRIP_SIZES) or tags.get(_TILE_SIZES) or ()
    parts = [[(at, at + size)] for at, size in zip(places, sizes, strict=False)]
    return tags.get(_COMPRESSION, 1) == 1 and _STRIPS in tags, parts


def _rows(image: ImageFile, data: bytes) -> Parts:
    if len(image.tile) != 1 or image.tile[0][0] != "raw":
        return True, []
    return True, [[(image.tile[0][2], len(data))]]


_COMPRESSION, _STRIPS, _STRIP_SIZES, _TILES, _TILE_SIZES = 259, 273, 279, 324, 325
_PARTS: dict[str, Callable[[Any, bytes], Parts]] = {
    "webp": _webp,
    "heif": _heif,
    "avif": _heif,
    "jp2": _jp2,
    "tiff": _tiff,
    "bmp": _rows,
    "pnm": _rows,
}
