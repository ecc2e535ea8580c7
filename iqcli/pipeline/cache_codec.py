"""The codec of cache entries: pure functions from a value to sealed bytes and back.

Every value is sealed with a magic and a CRC-32; `unseal` and all that is built on it raise
ValueError for anything that is not exactly what was written, and for what no photo can have.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
import zlib
from dataclasses import asdict, astuple, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from iqcli.photos.formats import FORMATS
from iqcli.photos.names.evidence import Header
from iqcli.photos.times.capture_time import EXIF, SOURCES, Taken
from iqcli.records import Facts, Marks

if TYPE_CHECKING:
    import os

    from iqcli.records import Vector

STAT = b"iqS1"
VECTOR = b"iqV1"
FACTS = b"iqF2"
THUMBNAIL = b"iqP1"
HEADER = b"iqH1"
# No thumbnail comes near it.
LARGEST_THUMBNAIL = 1 << 19

_CRC = struct.Struct("<I")
_STAT = struct.Struct("<QqqQ")
_FLOAT = np.dtype("<f4")
# What each field of `Facts` may be, in their order; "?" marks one that may be missing.
_FACT_KINDS = (
    *("size", "size", "format", "time?", "text?", "text?", "stars?", "pick?"),
    *("burst?", "ev?", "ev?", "flag"),
)
# A row has one value more where the picture is damaged: by what share. And it has two more where
# EXIF has no time, so that others were asked: versions up to 0.3 asked EXIF alone.
_DAMAGED_KINDS = (*_FACT_KINDS, "share")
TIMED_KINDS = (*_FACT_KINDS, "damage", "source?")
# How `Facts.taken_from` says that EXIF has no time and nothing else was asked.
UNASKED = ""
_RANGES = {"size": (1, 2**31 - 1), "stars?": (-1, 5), "pick?": (-1, 1)}
# Times as `datetime` reads them, with a fraction of a second and an offset where they are known.
_TEXTS = {
    "time?": re.compile(
        r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,6})?([+-]\d\d:\d\d|Z)?)?", re.ASCII
    ),
    "source?": re.compile("|".join(SOURCES)),
    "text?": re.compile(r".{1,100}"),
    "burst?": re.compile(r"[a-z]+:[\w.:+/=-]{1,100}", re.ASCII),
}
# No photo comes near it, in stops.
_MOST_EV = 100.0
_LONGEST_REASON = 1000
_MISSING = 127
# The last value of a failure: versions up to 0.2 had none, and refused all that is cut off.
TRIED_IN_PARTS = True


@dataclass(frozen=True, slots=True)
class Failure:
    """A picture that could not be decoded, why, and the limit (megapixels) it was tried under.

    `max_seconds` is the limit that it took too long for, if that is why.
    """

    reason: str
    max_megapixels: float
    max_seconds: float | None = None


def seal(magic: bytes, body: bytes) -> bytes:
    """Put the four bytes of `magic` and a checksum before `body`."""
    return magic + _CRC.pack(zlib.crc32(body)) + body


def unseal(magic: bytes, data: object) -> bytes:
    """The body that was sealed. Raises ValueError where `data` is anything else."""
    if not isinstance(data, bytes) or data[:4] != magic or len(data) < 8:
        raise ValueError("not an entry of this kind")
    body = data[8:]
    if data[4:8] != _CRC.pack(zlib.crc32(body)):
        raise ValueError("wrong checksum")
    return body


def pack_stat(stat: os.stat_result, payload: bytes) -> bytes:
    """What is known of one file, valid while its stat stays as it is."""
    return seal(STAT, stat_bytes(stat) + payload)


def unpack_stat(data: object, stat: os.stat_result, size: int | None) -> bytes | None:
    """The payload of `size` bytes, or None if the file's stat is no longer the one stored.

    A `size` of None is any.
    """
    body = unseal(STAT, data)
    if len(body) != _STAT.size + (max(len(body) - _STAT.size, 0) if size is None else size):
        raise ValueError("wrong length")
    return body[_STAT.size :] if body.startswith(stat_bytes(stat)) else None


def marks_bytes(marks: Marks) -> bytes:
    """A person's rating and flag, a byte each, as a payload of `pack_stat`."""
    return bytes(_MISSING if value is None else value & 0xFF for value in marks)


def unpack_marks(data: object, stat: os.stat_result) -> Marks | None:
    """The marks of a sidecar, or None if its stat is no longer the one stored."""
    payload = unpack_stat(data, stat, 2)
    if payload is None:
        return None
    signed = (int.from_bytes((byte,), signed=True) for byte in payload)
    stars, pick = (None if value == _MISSING else value for value in signed)
    if not (is_fact(stars, "stars?") and is_fact(pick, "pick?")):
        raise ValueError("not the marks of a sidecar")
    return Marks(stars, pick)


def pack_header(stat: os.stat_result, header: Header) -> bytes:
    """What the header of one file tells, valid while its stat stays as it is."""
    known = {name: each for name, each in asdict(header).items() if each is not None}
    return seal(HEADER, stat_bytes(stat) + json.dumps(known).encode())


def unpack_header(data: object, stat: os.stat_result) -> Header | None:
    """The header of a file, or None if its stat is no longer the one stored."""
    body = unseal(HEADER, data)
    if not body.startswith(stat_bytes(stat)):
        return None
    known = json.loads(body[_STAT.size :])
    if not isinstance(known, dict) or not set(known) <= set(_HEADER_KINDS):
        raise ValueError("not a header")
    if not all(_HEADER_KINDS[name](each) for name, each in known.items()):
        raise ValueError("not a header of a photo")
    return Header(**known)


def stat_digest(stat: os.stat_result) -> bytes:
    """16 bytes that change with the stat of a file."""
    return hashlib.sha256(stat_bytes(stat)).digest()[:16]


def _is_short_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= 100


def _is_moment(value: object) -> bool:
    return isinstance(value, str) and _TEXTS["time?"].fullmatch(value) is not None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not math.isnan(value)


_HEADER_KINDS = {
    "taken": _is_moment,
    "fraction": _is_short_text,
    "camera": _is_short_text,
    "software": _is_short_text,
    "content_id": _is_short_text,
    "seconds": _is_number,
    "made": _is_number,
}


def time_bytes(taken: Taken | None) -> bytes:
    """A time and its source, as a payload of `pack_stat`; empty where there is none."""
    return f"{taken.source} {taken.when}".encode() if taken else b""


def unpack_time(data: object, stat: os.stat_result) -> tuple[Taken | None] | None:
    """The time in a file beside a photo, None in a tuple for no time.

    None if the file's stat is no longer the one stored.
    """
    payload = unpack_stat(data, stat, None)
    if not payload:
        return None if payload is None else (None,)
    source, _, when = payload.decode("ascii").partition(" ")
    if not (is_fact(source, "source?") and is_fact(when, "time?")):
        raise ValueError("not a time")
    return (Taken(when, source),)


def stat_bytes(stat: os.stat_result) -> bytes:
    """32 bytes that change whenever the content of a file does, its clock allowing."""
    # No device number: a removable disk gets another one each time it is plugged in. ReFS has
    # 128-bit file ids; their lower half is enough here.
    inode = stat.st_ino & 0xFFFF_FFFF_FFFF_FFFF
    return _STAT.pack(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, inode)


def pack_vector(vector: Vector) -> bytes:
    """One block, float32 little-endian; NaN is kept."""
    return seal(VECTOR, vector.astype(_FLOAT, copy=False).tobytes())


def unpack_vector(
    data: object, size: int, *, within: tuple[float, float], may_be_nan: bool
) -> Vector:
    """The block of `size` numbers, read-only: in this range, or NaN all of them if it may be."""
    body = unseal(VECTOR, data)
    if len(body) != size * _FLOAT.itemsize:
        raise ValueError("wrong length")
    vector: Vector = np.frombuffer(body, _FLOAT).astype(np.float32, copy=False)
    low, high = within
    # NaN is within no range.
    known = bool(((vector >= low) & (vector <= high)).all())
    if not (known or (may_be_nan and np.isnan(vector).all())):
        raise ValueError("not the numbers of a block")
    return vector


def pack_facts(facts: Facts | Failure) -> bytes:
    """One line of JSON: a list in the order of the record's fields.

    Facts of a whole picture with a time by EXIF leave out both; a failure is four long.
    """
    values = astuple(facts)
    if isinstance(facts, Failure):
        values = (*values, TRIED_IN_PARTS)
    elif facts.taken_from in (EXIF, UNASKED):
        values = values[: len(_DAMAGED_KINDS if facts.damage else _FACT_KINDS)]
    return seal(FACTS, json.dumps(values).encode())


def unpack_facts(data: object) -> Facts | Failure | None:
    """The facts, or the failure, that were packed.

    None for a failure of a version that did not try to decode a part of the picture.
    """
    values = json.loads(unseal(FACTS, data))
    if not isinstance(values, list):
        raise ValueError("not a list")
    if len(values) == 2:
        _failure(*values)
        return None
    if len(values) == 4 and values[3] is TRIED_IN_PARTS:
        return _failure(*(values[:2] if values[2] is None else values[:3]))
    rows = {len(each): each for each in (_FACT_KINDS, _DAMAGED_KINDS, TIMED_KINDS)}
    kinds = rows.get(len(values), _FACT_KINDS)
    pairs = zip(values, kinds, strict=True)  # ValueError for another length
    if not all(is_fact(value, kind) for value, kind in pairs):
        raise ValueError("not the facts of a picture")
    facts = Facts(*values)
    if kinds is TIMED_KINDS:
        return facts
    return replace(facts, taken_from=UNASKED if facts.taken is None else EXIF)


def _failure(reason: object, *limits: object) -> Failure:
    if type(reason) is not str or not 0 < len(reason) <= _LONGEST_REASON:
        raise ValueError("not a failure")
    if not all(type(limit) is float and 0 < limit < math.inf for limit in limits):
        raise ValueError("not a failure")
    return Failure(reason, *limits)  # type: ignore[arg-type]


def is_fact(value: object, kind: str) -> bool:
    """Whether a field of `Facts` of this kind may have the value."""
    # By the very type: a bool is an int to `isinstance`.
    if value is None:
        return kind.endswith("?")
    if type(value) is int:
        low, high = _RANGES.get(kind, (0, -1))
        return low <= value <= high
    if type(value) is float:
        if kind == "damage":
            return 0 <= value <= 1
        return abs(value) <= _MOST_EV if kind == "ev?" else kind == "share" and 0 < value <= 1
    if type(value) is str:
        return value in FORMATS if kind == "format" else _is_text(value, kind)
    return type(value) is bool and kind == "flag"


def _is_text(value: str, kind: str) -> bool:
    if kind not in _TEXTS or not _TEXTS[kind].fullmatch(value) or not value.isprintable():
        return False
    try:
        return kind != "time?" or bool(datetime.fromisoformat(value))
    except ValueError:
        return False


def pack_thumbnail(picture: bytes) -> bytes:
    """A thumbnail (WebP); empty means that this photo has none."""
    return seal(THUMBNAIL, picture)


def unpack_thumbnail(data: object) -> bytes:
    """The thumbnail, or the empty one, that was packed."""
    body = unseal(THUMBNAIL, data)
    if body and not is_thumbnail(body):
        raise ValueError("not a small picture")
    return body


def is_thumbnail(picture: bytes) -> bool:
    """Whether the bytes are a WebP file, by its frame, of a size that a thumbnail may have."""
    length = int.from_bytes(picture[4:8], "little") + 8
    framed = picture[:4] == b"RIFF" and picture[8:12] == b"WEBP" and length == len(picture)
    return framed and length <= LARGEST_THUMBNAIL
