"""What stands in one cache entry: pure functions from a fact to sealed bytes and back.

Every value is sealed with a magic and a CRC-32; `unseal` and all that is built on it raise
ValueError for anything that is not exactly what was written.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

import numpy as np

from iqcli.records import Facts

if TYPE_CHECKING:
    import os

    from iqcli.records import Vector

STAT = b"iqS1"
VECTOR = b"iqV1"
FACTS = b"iqF1"

_CRC = struct.Struct("<I")
_STAT = struct.Struct("<QqqQ")
_FLOAT = np.dtype("<f4")
_FACT_TYPES = (int, int, str, str | None, str | None, str | None, int | None)


@dataclass(frozen=True, slots=True)
class Failure:
    """A picture that could not be decoded, why, and the limit (megapixels) it was tried under."""

    reason: str
    max_megapixels: float


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
    return seal(STAT, _stat_bytes(stat) + payload)


def unpack_stat(data: object, stat: os.stat_result, size: int) -> bytes | None:
    """The payload of `size` bytes, or None if the file's stat is no longer the one stored."""
    body = unseal(STAT, data)
    if len(body) != _STAT.size + size:
        raise ValueError("wrong length")
    return body[_STAT.size :] if body.startswith(_stat_bytes(stat)) else None


def _stat_bytes(stat: os.stat_result) -> bytes:
    # No device number: a removable disk gets another one each time it is plugged in. ReFS has
    # 128-bit file ids; their lower half tells as much here.
    inode = stat.st_ino & 0xFFFF_FFFF_FFFF_FFFF
    return _STAT.pack(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, inode)


def pack_vector(vector: Vector) -> bytes:
    """One block, float32 little-endian; NaN is kept."""
    return seal(VECTOR, vector.astype(_FLOAT, copy=False).tobytes())


def unpack_vector(data: object, size: int) -> Vector:
    """The block of `size` numbers, read-only."""
    body = unseal(VECTOR, data)
    if len(body) != size * _FLOAT.itemsize:
        raise ValueError("wrong length")
    return np.frombuffer(body, _FLOAT).astype(np.float32, copy=False)


def pack_facts(facts: Facts | Failure) -> bytes:
    """One line of JSON: a list in the order of the record's fields, two long for a failure."""
    return seal(FACTS, json.dumps(astuple(facts)).encode())


def unpack_facts(data: object) -> Facts | Failure:
    """The facts, or the failure, that were packed."""
    values = json.loads(unseal(FACTS, data))
    if not isinstance(values, list):
        raise ValueError("not a list")
    if len(values) == 2 and isinstance(values[0], str) and isinstance(values[1], float):
        return Failure(*values)
    pairs = zip(values, _FACT_TYPES, strict=True)  # ValueError for another length
    if not all(isinstance(value, kind) for value, kind in pairs):
        raise ValueError("not the facts of a picture")
    return Facts(*values)
