"""The colours that the coded picture of a HEIF or AVIF names itself, where its container does not.

They are three numbers of H.273: primaries, transfer function and matrix. Only headers are read.

Sources: ITU-T H.265, 7.3.2.2 and E.2.1 (sequence parameter set, VUI), ISO/IEC 14496-15, 8.3.2
(hvcC), AV1 Bitstream & Decoding Process Specification, 5.5 (sequence header).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SPS, SEQUENCE_HEADER = 33, 1
# No header has more; and no number in one has more bits.
MOST_BYTES, MOST_BITS = 4096, 32
# Sets of reference pictures, of which a still picture needs none.
MOST_SETS = 64


class _Header:
    """Its bits from the first on. Raises IndexError behind the last."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data[:MOST_BYTES], 0

    def __call__(self, count: int) -> int:
        begin, self._at = self._at, self._at + count
        if self._at > 8 * len(self._data):
            raise IndexError("no bits are left")
        part = self._data[begin >> 3 : (self._at + 7) >> 3]
        return int.from_bytes(part, "big") >> (-self._at % 8) & ((1 << count) - 1)

    def golomb(self) -> int:
        """An unsigned number of an Exp-Golomb code; a signed one is as long."""
        zeros = 0
        while not self(1):
            zeros += 1
            if zeros > MOST_BITS:
                raise IndexError("no such number")
        return (1 << zeros) - 1 + self(zeros)

    def golombs(self, count: int) -> None:
        for _ in range(count):
            self.golomb()


def of_hevc(configuration: bytes) -> bytes:
    """The three numbers in an `hvcC`; empty if there are none."""
    for unit in _units(configuration):
        try:
            if unit[0] >> 1 & 63 == SPS:
                return _of_sps(_Header(unit[2:].replace(b"\0\0\3", b"\0\0")))
        except IndexError:
            return b""
    return b""


def _units(configuration: bytes) -> Iterator[bytes]:
    """The parameter sets of an `hvcC`."""
    at = 23
    for _ in range(configuration[22] if len(configuration) > 22 else 0):
        count = int.from_bytes(configuration[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            size = int.from_bytes(configuration[at : at + 2], "big")
            if not size or at >= len(configuration):
                return
            yield configuration[at + 2 : at + 2 + size]
            at += 2 + size


def _of_sps(bits: _Header) -> bytes:
    bits(4)
    layers = bits(3)
    bits(1)
    _skip_profile(bits, layers)
    bits.golomb()
    if bits.golomb() == 3:  # 4:4:4
        bits(1)
    bits.golombs(2)
    if bits(1):  # a part is shown
        bits.golombs(4)
    bits.golombs(2)
    order_bits = bits.golomb() + 4
    bits.golombs(3 * (layers + 1 if bits(1) else 1))
    bits.golombs(6)
    if bits(1) and bits(1):
        _skip_scaling_lists(bits)
    bits(2)
    if bits(1):  # some blocks are not coded
        bits(8)
        bits.golombs(2)
        bits(1)
    _skip_reference_sets(bits)
    if bits(1):  # pictures from long ago
        for _ in range(min(bits.golomb(), MOST_SETS)):
            bits(order_bits + 1)
    bits(2)
    return _of_vui(bits) if bits(1) else b""


def _skip_profile(bits: _Header, layers: int) -> None:
    bits(88 + 8)
    present = [(bits(1), bits(1)) for _ in range(layers)]
    if layers:
        bits(2 * (8 - layers))
    for profile, level in present:
        bits(88 * profile + 8 * level)


def _skip_scaling_lists(bits: _Header) -> None:
    for size in range(4):
        for _ in range(2 if size == 3 else 6):
            count = min(64, 16 << 2 * size) + (size > 1) if bits(1) else 1
            bits.golombs(count)


def _skip_reference_sets(bits: _Header) -> None:
    count = bits.golomb()
    for place in range(min(count, MOST_SETS)):
        if place and bits(1):
            raise IndexError("a set is made of another one")
        pictures = bits.golomb() + bits.golomb()
        for _ in range(min(pictures, MOST_SETS)):
            bits.golomb()
            bits(1)


def _of_vui(bits: _Header) -> bytes:
    if bits(1) and bits(8) == 255:  # pixels that are not square
        bits(32)
    if bits(1):  # overscan
        bits(1)
    if bits(1):
        bits(4)
        if bits(1):
            return bytes((bits(8), bits(8), bits(8)))
    return b""


def of_av1(coded: bytes) -> bytes:
    """The three numbers in the first units of coded AV1; empty if there are none."""
    at = 0
    while at < min(len(coded), MOST_BYTES):
        head, at = coded[at], at + 1 + (coded[at] >> 2 & 1)
        size, shift = 0, 0
        while head & 2 and at < len(coded) and shift < MOST_BITS:
            size |= (coded[at] & 127) << shift
            at, shift = at + 1, shift + 7
            if coded[at - 1] < 128:
                break
        if head >> 3 & 15 == SEQUENCE_HEADER:
            try:
                return _of_sequence(_Header(coded[at:]))
            except IndexError:
                return b""
        if not head & 2:
            return b""
        at += size
    return b""


def _of_sequence(bits: _Header) -> bytes:
    profile, _, is_reduced = bits(3), bits(1), bits(1)
    if is_reduced:
        bits(5)
    else:
        _skip_operating_points(bits)
    width, height = bits(4), bits(4)
    bits(width + height + 2)
    if not is_reduced and bits(1):  # frames have numbers
        bits(7)
    bits(3)
    if not is_reduced:
        _skip_tools(bits)
    bits(3)
    if bits(1) and profile == 2:  # more than 8 bits
        bits(1)
    if profile != 1:  # grey
        bits(1)
    return bytes((bits(8), bits(8), bits(8))) if bits(1) else b""


def _skip_operating_points(bits: _Header) -> None:
    delay_bits = 0
    if bits(1):  # timing
        bits(64)
        if bits(1):
            bits.golomb()
        if bits(1):
            delay_bits = bits(5) + 1
            bits(42)
    has_delay = bits(1)
    for _ in range(bits(5) + 1):
        bits(12)
        if bits(5) > 7:
            bits(1)
        if delay_bits and bits(1):
            bits(2 * delay_bits + 1)
        if has_delay and bits(1):
            bits(4)


def _skip_tools(bits: _Header) -> None:
    bits(4)
    has_order = bits(1)
    if has_order:
        bits(2)
    if (bits(1) or bits(1)) and not bits(1):  # tools for screens are chosen, or forced
        bits(1)
    if has_order:
        bits(3)
