"""The boxes of ISO media files: HEIF, AVIF, JPEG 2000 and JPEG XL. Reads headers, never pixels.

Sources: ISO/IEC 14496-12 (boxes), 23008-12 (items and their properties), 15444-1 annex I (JP2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# No photo has more; a file of empty boxes would keep a worker busy.
MOST_BOXES = 10_000


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The name and the content of each box, in order; ends at what is broken or cut off."""
    at = 0
    for _ in range(MOST_BOXES):
        if at + 8 > len(data):
            return
        size, name, head = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        end = at + size if size else len(data)
        if end < at + head:
            return
        yield name, data[at + head : end]
        at = end


def box(data: bytes, name: bytes) -> bytes:
    """The content of the first box of that name; empty if there is none."""
    return next((content for each, content in boxes(data) if each == name), b"")


def primary_properties(data: bytes) -> list[tuple[bytes, bytes]]:
    """The properties (name, content) of the picture that a HEIF or AVIF shows; empty if unknown.

    Those of thumbnails, gain maps and depth maps are left out.
    """
    meta = box(data, b"meta")[4:]
    return _properties(meta, _shown(meta))


def coded_properties(data: bytes) -> list[tuple[bytes, bytes]]:
    """The same of the first item whose pixels are coded: the picture itself, or its first tile."""
    meta = box(data, b"meta")[4:]
    item = _shown(meta)
    tiles = _derived_from(box(meta, b"iref"), item)
    return _properties(meta, tiles[0] if tiles else item)


def _properties(meta: bytes, item: int) -> list[tuple[bytes, bytes]]:
    iprp = box(meta, b"iprp")
    known = list(boxes(box(iprp, b"ipco")))
    places = (
        place for name, each in boxes(iprp) if name == b"ipma" for place in _places(each, item)
    )
    return [known[place - 1] for place in places if 0 < place <= len(known)]


def _shown(meta: bytes) -> int:
    """The item that is the picture, not a thumbnail, a gain map or a depth map; 0 if unknown."""
    primary = box(meta, b"pitm")
    return int.from_bytes(primary[4 : 6 if primary[:1] == b"\0" else 8], "big")


def _places(ipma: bytes, wanted: int) -> list[int]:
    """The numbers, from 1, of the properties of an item."""
    wide_items, wide_places = ipma[:1] != b"\0", bool(ipma[3:4] and ipma[3] & 1)
    id_size, size = (4 if wide_items else 2), (2 if wide_places else 1)
    at = 8
    while at + id_size < len(ipma):
        item, count = int.from_bytes(ipma[at : at + id_size], "big"), ipma[at + id_size]
        at += id_size + 1
        if item == wanted:
            raw = (ipma[each : each + size] for each in range(at, at + count * size, size))
            # The highest bit says whether a reader must know the property.
            return [int.from_bytes(each, "big") & (0x7FFF if wide_places else 0x7F) for each in raw]
        at += count * size
    return []


def coded_items(data: bytes) -> list[list[tuple[int, int]]]:
    """Where the coded pixels of the picture that a HEIF or AVIF shows are, in the file.

    Of each item that is decoded by itself (the picture, or each of its tiles) the pieces, from each
    to behind; of a tile, first those of the layout. Thumbnails, gain maps and depth maps are left
    out; empty if unknown.
    """
    meta = box(data, b"meta")[4:]
    shown = _shown(meta)
    places = _extents(box(meta, b"iloc"))
    tiles = _derived_from(box(meta, b"iref"), shown)
    # Without what tells how they lie, tiles are of no use.
    layout = places.get(shown, [])
    return [layout + places[item] for item in tiles if item in places] if tiles else [layout]


def _derived_from(iref: bytes, item: int) -> list[int]:
    """The items that an item is put together from."""
    size = 2 if iref[:1] == b"\0" else 4
    for name, content in boxes(iref[4:]):
        if name == b"dimg" and int.from_bytes(content[:size], "big") == item:
            return [
                int.from_bytes(content[at : at + size], "big")
                for at in range(size + 2, len(content) - size + 1, size)
            ]
    return []


def _extents(iloc: bytes) -> dict[int, list[tuple[int, int]]]:
    """Of each item that lies in the file itself the pieces, from each to behind; none if broken."""
    if len(iloc) < 8:
        return {}
    version, sizes = iloc[0], (iloc[4] >> 4, iloc[4] & 15, iloc[5] >> 4, iloc[5] & 15)
    offset_size, length_size, base_size, index_size = sizes
    at, total, found = 6, 0, dict[int, list[tuple[int, int]]]()

    def number(size: int) -> int:
        nonlocal at
        at += size
        return int.from_bytes(iloc[at - size : at], "big")

    wide = 2 if version < 2 else 4
    for _ in range(min(number(wide), MOST_BOXES)):
        item, method = number(wide), number(2) & 15 if version else 0
        at += 2
        base, pieces = number(base_size), list[tuple[int, int]]()
        for _ in range(number(2)):
            total += 1
            if at > len(iloc) or total > MOST_BOXES:
                return {}
            at += index_size if version else 0
            start = base + number(offset_size)
            pieces.append((start, start + number(length_size)))
        if method == 0:
            found[item] = pieces
    return found
