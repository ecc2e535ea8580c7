"""Ways in which a file gets broken: bytes flipped, cut, zeroed, doubled, moved, made huge."""

from __future__ import annotations

import random
from collections.abc import Callable

Broken = Callable[[bytearray, random.Random, bytes], bytes]


def flipped(data: bytearray, chance: random.Random, _: bytes) -> bytes:
    """Some bytes anywhere, one bit each."""
    for _i in range(chance.choice((1, 2, 8, 64))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def header_bytes(data: bytearray, chance: random.Random, _: bytes) -> bytes:
    """Bytes of the first kilobyte, where sizes and counts stand."""
    for _i in range(chance.choice((1, 3, 10))):
        data[chance.randrange(min(len(data), 1024))] = chance.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))
    return bytes(data)


def huge_number(data: bytearray, chance: random.Random, _: bytes) -> bytes:
    """Two or four bytes of the header are the largest number, or nearly."""
    at, size = chance.randrange(min(len(data), 600)), chance.choice((2, 4))
    value = chance.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x00"))
    data[at : at + size] = value[:size]
    return bytes(data)


def cut(data: bytearray, chance: random.Random, _: bytes) -> bytes:
    return bytes(data[: chance.randrange(len(data))])


def zeroed(data: bytearray, chance: random.Random, _: bytes) -> bytes:
    """A stretch of zeros or of FF, as a bad sector leaves it."""
    at, size = chance.randrange(len(data)), chance.choice((4, 64, 512, 4096))
    end = min(at + size, len(data))
    data[at:end] = chance.choice((b"\0", b"\xff")) * (end - at)
    return bytes(data)


def doubled(data: bytearray, chance: random.Random, _: bytes) -> bytes:
    """A stretch stands twice."""
    at, size = chance.randrange(len(data)), chance.choice((1, 2, 30, 700))
    return bytes(data[:at] + data[at : at + size] * chance.choice((2, 3, 50)) + data[at:])


def removed(data: bytearray, chance: random.Random, _: bytes) -> bytes:
    at, size = chance.randrange(len(data)), chance.choice((1, 2, 30, 700))
    return bytes(data[:at] + data[at + size :])


def spliced(data: bytearray, chance: random.Random, other: bytes) -> bytes:
    """The head of one file and the tail of another."""
    return bytes(data[: chance.randrange(len(data))]) + other[chance.randrange(len(other)) :]


def nested(data: bytearray, chance: random.Random, other: bytes) -> bytes:
    """Another file in the middle of this one."""
    at = chance.randrange(len(data))
    return bytes(data[:at]) + other + bytes(data[at:])


WAYS: tuple[Broken, ...] = (
    flipped, header_bytes, header_bytes, huge_number, cut, zeroed, doubled, removed, spliced, nested
)  # fmt: skip


def mutated(data: bytes, chance: random.Random, other: bytes) -> bytes:
    """The bytes after one to four of these, `other` being a second file."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        if data:
            data = chance.choice(WAYS)(bytearray(data), chance, other)
    return data
