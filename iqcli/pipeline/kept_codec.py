"""The codec of a page: what is kept of some shots of one folder, as columns in one sealed value.

Each column of plain values is a table of what it holds, each once, checked once, and a number into
it for each shot; the rest are arrays.
"""

from __future__ import annotations

import json
import struct
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from iqcli.extractors.schema import EMBEDDING, GREY, GRID
from iqcli.pipeline.cache_codec import TIMED_KINDS, is_fact, seal, unseal
from iqcli.records import UNMARKED, Facts, FrameDescriptor, Issue, Likeness, Marks, Photo, Rating

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from iqcli.records import FileStamp, Shot

MAGIC = b"iqK1"
_LENGTHS = struct.Struct("<II")
_CODE = np.dtype("<u2")
# The most shots of a page: a code numbers the values of a column.
MOST = 1024
LIGHT, COLOURS = GRID * GRID, 5
# What each shot has beside its columns, in this order, and how much of it.
_ARRAYS = (
    ("sha256", np.dtype("u1"), 32),
    ("light", np.dtype("u1"), LIGHT),
    ("grey", np.dtype("u1"), GREY * GREY),
    ("colour", np.dtype("<f4"), COLOURS),
    ("embedding", np.dtype("<f2"), EMBEDDING),
)
# Points of 1..10, and deviations of them, lie far within.
_MOST_POINTS = 1e4
_LONGEST = 1000


class KeptShot(NamedTuple):
    """What is kept of a shot: the name of its first file, what its files were, and the result."""

    name: str
    seen: bytes
    photo: Photo


def _is_points(value: object) -> bool:
    return type(value) is float and abs(value) <= _MOST_POINTS


def _is_text(value: object) -> bool:
    return type(value) is str and len(value) <= _LONGEST


def _is_issue(value: object) -> bool:
    match value:
        case [str(name), int(level), share] if type(level) is int and 1 <= level <= 4:
            known = share is None or (type(share) is float and 0 <= share <= 1)
            return known and _is_text(name)
    return False


def _either(check: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or check(value)


def _all(check: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: type(value) is list and all(map(check, value))


def _fact(kind: str) -> Callable[[object], bool]:
    return lambda value: is_fact(value, kind)


_ISSUES, _TEXTS = _all(_is_issue), _all(_is_text)
# Of each column what its values may be.
_FACTS = tuple(_fact(kind) for kind in TIMED_KINDS)
_MARKS = (_fact("stars?"), _fact("pick?"))
_RATING = (
    *(_is_points, _either(_is_points), _is_text, _either(_is_points), _either(_is_points)),
    *(_ISSUES, _TEXTS),
)
# Whether there are a likeness and a descriptor, and whether the latter has light.
_IS = (lambda value: type(value) is bool,) * 3
_DESCRIPTOR = (_either(_is_points), _TEXTS)
_COLUMNS = (*_FACTS, *_MARKS, *_RATING, *_IS, *_DESCRIPTOR)
_ENDS = np.cumsum([len(each) for each in (_FACTS, _MARKS, _RATING, _IS)]).tolist()


def _values(photo: Photo) -> list[Any]:
    """The values of the columns of a photo."""
    facts, rating, seen = photo.facts, photo.rating, photo.descriptor
    assert facts and rating
    issues = [[each.name, each.level, each.share] for each in rating.issues]
    parts = [rating.score, rating.uncertainty, rating.model, rating.technical, rating.aesthetic]
    found = [getattr(facts, name) for name in Facts.__slots__] + [*photo.marks, *parts, issues]
    found += [list(rating.reasons), photo.likeness is not None, seen is not None]
    found += [bool(seen and seen.light.any()), seen and seen.sharpness]
    return [*found, list(seen.classes) if seen else []]


def pack(fingerprint: str, entries: Sequence[KeptShot]) -> bytes:
    """A page of at most `MOST` shots; one with values that no photo has is left out."""
    several = [(each, _values(each.photo)) for each in entries if _is_finite(each.photo)]
    several = [each for each in several if _are_sound(each[1])]
    tables: list[list[Any]] = []
    codes = np.zeros((len(_COLUMNS), len(several)), _CODE)
    rows = [values for _, values in several]
    for column, values in enumerate(zip(*rows, strict=True) if rows else [()] * len(_COLUMNS)):
        known: dict[str, int] = {}
        codes[column] = [known.setdefault(repr(each), len(known)) for each in values]
        first = dict(zip(codes[column].tolist()[::-1], values[::-1], strict=True))
        tables.append([first[code] for code in range(len(known))])
    kept = [each for each, _ in several]
    head = [[each.name for each in kept], [len(each.seen) for each in kept], tables]
    arrays = [
        np.array([_array(name, each.photo, size) for each in kept], dtype).tobytes()
        for name, dtype, size in _ARRAYS
    ]
    packed, own = json.dumps(head).encode(), fingerprint.encode()
    seen = b"".join(each.seen for each in kept)
    lengths = _LENGTHS.pack(len(own), len(packed))
    return seal(MAGIC, b"".join((lengths, own, packed, codes.tobytes(), seen, *arrays)))


def _are_sound(values: Sequence[Any]) -> bool:
    return all(check(each) for check, each in zip(_COLUMNS, values, strict=True))


def _is_finite(photo: Photo) -> bool:
    colour = photo.likeness.colour if photo.likeness else None
    embedding = photo.descriptor.embedding if photo.descriptor else None
    return all(each is None or bool(np.isfinite(each).all()) for each in (colour, embedding))


def _array(name: str, photo: Photo, size: int) -> NDArray[Any]:
    if name == "sha256":
        return np.frombuffer(bytes.fromhex(photo.sha256 or ""), np.uint8)
    seen = photo.descriptor if name == "embedding" else photo.likeness
    found = getattr(seen, name) if seen else None
    return np.zeros(size) if found is None else found


class Page:
    """What was kept of some shots; a `Photo` is made of it when it is asked for."""

    def __init__(self, names: list[str], seen: list[bytes], columns: Any, arrays: Any) -> None:
        self._places = {name: place for place, name in enumerate(names)}
        self._names, self._seen = names, seen
        self._facts, self._marks, self._rating, self._is, self._descriptor = columns
        self._sha256, self._light, self._grey, self._colour, self._embedding = arrays

    def __len__(self) -> int:
        return len(self._names)

    def place(self, name: str, seen: bytes) -> int | None:
        """The place of the shot that this file leads, if all its files are as they were."""
        place = self._places.get(name)
        return None if place is None or self._seen[place] != seen else place

    def has_descriptor(self, place: int) -> bool:
        """Whether the descriptor of a shot is kept."""
        return bool(self._is[place][1])

    def photo(self, place: int, shot: Shot, file: FileStamp | None, *, grouped: bool) -> Photo:
        """The result for a shot, with its descriptor if `grouped`."""
        likeness = descriptor = None
        has_likeness, has_descriptor, has_light = self._is[place]
        if has_likeness:
            likeness = Likeness(self._light[place], self._grey[place], self._colour[place])
        if grouped and has_descriptor:
            light = self._light[place] if has_light else np.zeros(LIGHT, np.uint8)
            descriptor = FrameDescriptor(self._embedding[place], light, *self._descriptor[place])
        marks = self._marks[place]
        return Photo(
            shot=shot,
            sha256=self._sha256[place].hex(),
            facts=Facts(*self._facts[place]),
            marks=UNMARKED if marks == UNMARKED else Marks(*marks),
            rating=Rating(*self._rating[place]),
            file=file,
            likeness=likeness,
            descriptor=descriptor,
        )

    def entry(self, place: int, shot: Shot) -> KeptShot:
        """What is kept of a shot, to be packed again."""
        photo = self.photo(place, shot, None, grouped=True)
        return KeptShot(self._names[place], self._seen[place], photo)


def unpack(fingerprint: str, data: object) -> Page | None:
    """A page, None for one of another fingerprint. Raises ValueError for anything else."""
    body = unseal(MAGIC, data)
    if len(body) < _LENGTHS.size:
        raise ValueError("not a page")
    own, packed = _LENGTHS.unpack_from(body)
    start = _LENGTHS.size + own
    if body[_LENGTHS.size : start] != fingerprint.encode():
        return None
    names, lengths, tables = _head(body[start : start + packed])
    count, at = len(names), start + packed
    if len(body) != at + 2 * len(_COLUMNS) * count + sum(lengths) + _size(count):
        raise ValueError("wrong length")
    codes = np.frombuffer(body, _CODE, len(_COLUMNS) * count, at).reshape(len(_COLUMNS), count)
    columns = _columns(tables, codes)
    at += codes.nbytes
    seen = []
    for length in lengths:
        seen.append(body[at : at + length])
        at += length
    return Page(names, seen, columns, list(_arrays(body, at, count)))


def _head(data: bytes) -> tuple[list[str], list[int], list[list[Any]]]:
    match json.loads(data):
        case [list(names), list(lengths), list(tables)]:
            sound = all(type(each) is str for each in names) and len(set(names)) == len(names)
            sound &= all(type(each) is int and each >= 0 for each in lengths)
            if sound and len(names) == len(lengths) <= MOST and len(tables) == len(_COLUMNS):
                return names, lengths, tables
    raise ValueError("not the head of a page")


def _size(count: int) -> int:
    return count * sum(dtype.itemsize * size for _, dtype, size in _ARRAYS)


def _columns(tables: list[list[Any]], codes: NDArray[np.uint16]) -> list[list[tuple[Any, ...]]]:
    """The rows of facts, marks, ratings, what is there, and descriptors."""
    found: list[list[Any]] = []
    for check, table, column in zip(_COLUMNS, tables, codes, strict=True):
        if not isinstance(table, list) or not all(map(check, table)):
            raise ValueError("not values of photos")
        if column.max(initial=0) >= max(len(table), 1) or (len(column) and not table):
            raise ValueError("not values of a column")
        if check is _ISSUES:
            table = [tuple(Issue(*each) for each in issues) for issues in table]
        elif check is _TEXTS:
            table = [tuple(texts) for texts in table]
        found.append([table[code] for code in column.tolist()])
    starts = [0, *_ENDS, len(found)]
    parts = [found[one:other] for one, other in pairwise(starts)]
    return [list(zip(*part, strict=True)) for part in parts]


def _arrays(body: bytes, at: int, count: int) -> Iterator[Any]:
    """The arrays, one row a shot; the hashes as bytes."""
    for name, dtype, size in _ARRAYS:
        found = np.frombuffer(body, dtype, count * size, at).reshape(count, size)
        at += found.nbytes
        if name == "sha256":
            yield [each.tobytes() for each in found]
        elif dtype.kind == "f":
            if not np.isfinite(found).all():
                raise ValueError("not numbers of a picture")
            yield list(found.astype(dtype.newbyteorder("="), copy=False))
        else:
            yield list(found)
