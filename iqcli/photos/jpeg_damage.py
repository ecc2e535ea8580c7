"""How much of a JPEG is lost: where in it the codes stop making sense.

A decoder goes on after a fault, often without a word. Here only the lengths of the Huffman codes
are followed, block by block (ITU T.81, annexes F and G), until the data ends, a code is none, a
block gets more than 64 coefficients, its mean lies beyond black or white, or a sector was lost.
What comes behind that in the same restart interval is grey, or shifted and in other colours: it is
lost. Refining scans of a progressive file are not followed: what they lose is hardly seen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from iqcli.photos.sectors import lost_spans

if TYPE_CHECKING:
    from collections.abc import Iterator

SOF0, SOF1, SOF2, DHT, DAC, RST0 = 0xC0, 0xC1, 0xC2, 0xC4, 0xCC, 0xD0
EOI, SOS, DQT, DNL, DRI, APP0, APP14 = 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xE0, 0xEE
FRAMES = frozenset(range(0xC0, 0xD0)) - {DHT, DAC, 0xC8}
# What the pixels depend on.
NEEDED = frozenset({*FRAMES, DHT, SOS, DQT, DNL, DRI, APP0, APP14, DAC})
KNOWN = NEEDED | frozenset(range(0xE0, 0xF0)) | {0xFE}
RESTART = re.compile(rb"\xff+([\xd0-\xd7])")
# A sector that a card lost; a picture with such a run of its own is not complained of.
ZEROS = re.compile(rb"\0{64}")
END_OF_SCAN = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")

# So many bytes and blocks are followed, which takes up to two seconds.
MOST_BYTES, MOST_BLOCKS = 8 << 20, 600_000
# Bytes whose codes are looked up at once.
PIECE = 1 << 15
# No block takes more bits.
LONGEST = 64 * 32
# A looked-up code: how many bits it takes with what belongs to it, and above them by how many
# coefficients it goes on. `END` (and what is added to it) ends the block, or several.
BITS, ADVANCE = 0x3F, 6
END, WRONG = 128, 512
# No mean has more bits.
MOST_BITS = 16
# Before a restart, encoders leave no bytes over.
MOST_LEFT = 2
# Coefficients of the mean of a block, in its steps, lie within.
DARKEST = 1024
# By how many levels the mean of a unit may leave the range of colours; whole photos reach 52.
OUTSIDE = 64

Table = tuple[int, int]
Lookup = NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan: its components by index, the tables of each, its band, and its data.

    `gaps` are where in the data lost sectors begin.
    """

    components: tuple[int, ...]
    tables: tuple[tuple[Table, Table], ...]
    band: tuple[int, int]
    refines: bool
    shift: int
    interval: int
    lengths: dict[Table, bytes]
    data: bytes
    gaps: tuple[int, ...] = ()


@dataclass(slots=True)
class Jpeg:
    """What the pixels of a JPEG depend on; `clean` is a file of nothing else.

    Of each component `ids`, `factors` (across, down) and `steps`, that of the mean of a block.
    """

    sequential: bool = False
    in_colour: bool = True
    progressive: bool = False
    width: int = 0
    height: int = 0
    ids: list[int] = field(default_factory=list)
    factors: list[tuple[int, int]] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    scans: list[Scan] = field(default_factory=list)
    has_end: bool = False
    clean: bytes = b""

    @property
    def is_whole(self) -> bool:
        """Whether no scan can be missing behind the last one."""
        return self.has_end or self.is_refined

    @property
    def is_refined(self) -> bool:
        """Whether all coefficients are there to their last bit, as far as scans begin at all."""
        done = [0] * len(self.ids)
        for scan in self.scans:
            for each in scan.components if scan.shift == 0 else ():
                done[each] += scan.band[1] - scan.band[0] + 1
        return min(done, default=0) >= 64


def parse(data: bytes) -> Jpeg:
    """The parts of a JPEG as far as they are there, without what only a decoder stumbles over."""
    found = Jpeg()
    parts, tables, steps, interval = [b"\xff\xd8"], dict[Table, bytes](), dict[int, int](), 0
    quantiser: list[int] = []
    for marker, body, span in _segments(data):
        rest = data[span.start : span.stop].rstrip(b"\xff")
        if marker == EOI:
            found.has_end = True
            break
        if marker == DQT:
            steps |= _steps(body)
        elif marker == DHT:
            tables |= _lengths(body)
        elif marker == DRI and len(body) >= 2:
            interval = int.from_bytes(body[:2], "big")
        elif marker in FRAMES and len(body) >= 6 + 3 * body[5]:
            found.sequential, found.progressive = marker in (SOF0, SOF1), marker == SOF2
            found.height, found.width = (int.from_bytes(body[k : k + 2], "big") for k in (1, 3))
            rows = [body[6 + 3 * k : 9 + 3 * k] for k in range(body[5])]
            found.ids = [row[0] for row in rows]
            found.factors = [(row[1] >> 4, row[1] & 15) for row in rows]
            quantiser = [row[2] for row in rows]
            found.in_colour &= found.ids != list(b"RGB")
        elif marker == SOS:
            body = _plain_band(body) if found.sequential else body
            gaps = [at - span.start for at, _ in lost_spans(data, span.start, span.stop)]
            if scan := _scan(found, body, tables, interval, rest, tuple(gaps)):
                found.steps = found.steps or [steps.get(each, 1) for each in quantiser]
                found.scans.append(scan)
        elif marker == APP0:
            body = body[:5] + b"\1" + body[6:] if body[:5] == b"JFIF\0" else body
        elif marker == APP14 and body[:5] == b"Adobe" and len(body) >= 12:
            found.in_colour &= body[11] > 0
            body = body[:11] + bytes((min(body[11], 1),)) + body[12:] if body[11] > 2 else body
        parts.append(bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body + rest)
    found.clean = b"".join(parts) + b"\xff\xd9"
    return found


def _segments(data: bytes) -> Iterator[tuple[int, bytes, slice]]:
    """Marker, body and, of a scan, where its coded data are, up to the end of the picture."""
    at, seen, wanted = 2, set[int](), set[int]()
    while 0 <= (at := data.find(b"\xff", at)) < len(data) - 1:
        marker = data[at + 1]
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == EOI:
            yield marker, b"", slice(0, 0)
            return
        if marker not in KNOWN or size < 2:
            at += 1
            continue
        body, at = data[at + 4 : at + 2 + size], at + 2 + size
        if len(body) < size - 2:
            return
        rest = slice(0, 0)
        if marker == SOS:
            stop = END_OF_SCAN.search(data, at)
            end = stop.start() if stop else len(data)
            rest = slice(at, end)
            seen.update(body[1 : 1 + 2 * body[0] : 2] if body else b"")
            at = end
        elif marker in FRAMES and len(body) > 5:
            # A sequential file is at its end once each component had its scan; what comes then
            # may be no picture any more.
            wanted = set(body[6::3][: body[5]]) if marker in (SOF0, SOF1) else {-1}
        if marker in NEEDED:
            yield marker, body, rest
        if marker == SOS and wanted <= seen:
            return


def _steps(body: bytes) -> dict[int, int]:
    """The first step of each table of quantisers: that of the mean."""
    found, at = {}, 0
    while at < len(body):
        wide = body[at] >> 4
        found[body[at] & 15] = int.from_bytes(body[at + 1 : at + 2 + wide], "big")
        at += 1 + (128 if wide else 64)
    return found


def _lengths(body: bytes) -> dict[Table, bytes]:
    """The tables of codes, as they stand in the file: how many there are by length, the symbols."""
    found, at = {}, 0
    while at + 17 <= len(body):
        size = 17 + sum(body[at + 1 : at + 17])
        found[body[at] >> 4, body[at] & 15] = body[at + 1 : at + size]
        at += size
    return found


def _plain_band(body: bytes) -> bytes:
    """All coefficients at once: a sequential scan means nothing else, whatever it says."""
    return body[:-3] + b"\0\x3f\0"


def _scan(
    found: Jpeg,
    body: bytes,
    tables: dict[Table, bytes],
    interval: int,
    data: bytes,
    gaps: tuple[int, ...],
) -> Scan | None:
    count = body[0] if body else 0
    if len(body) < 2 * count + 4 or not set(body[1 : 2 * count + 1 : 2]) <= set(found.ids):
        return None
    choices = body[2 : 2 * count + 2 : 2]
    first, last, bits = body[-3:]
    return Scan(
        tuple(found.ids.index(each) for each in body[1 : 2 * count + 1 : 2]),
        tuple(((0, each >> 4), (1, each & 15)) for each in choices),
        (first, min(last, 63)),
        bits >> 4 > 0,
        bits & 15,
        interval,
        dict(tables),
        data,
        gaps,
    )


def lost(found: Jpeg) -> float | None:
    """The share (0..1) of the picture that is lost, None where the codes are of another kind.

    Where there is light but no colour, or in a progressive file no detail, half is lost, and an
    eighth where detail is coarse.
    """
    if not (found.sequential or found.progressive) or not found.width * found.height:
        return None
    try:
        return None if _is_long(found) else _lost(found)
    except (KeyError, IndexError, ZeroDivisionError):  # no such table, no such component
        return None


def _is_long(found: Jpeg) -> bool:
    scans = [scan for scan in found.scans if not scan.refines]
    layouts = [_layout(found, scan) for scan in scans]
    blocks = sum(len(layout) * total for layout, total in layouts)
    return blocks > MOST_BLOCKS or sum(len(scan.data) for scan in scans) > MOST_BYTES


def _lost(found: Jpeg) -> float:
    shares: dict[tuple[int, int], float] = {}
    unrefined = 0.0 if found.is_refined else 1.0
    for scan in found.scans:
        if scan.refines:
            unrefined = max(unrefined, *(1 - gap / len(scan.data) for gap in scan.gaps[:1]), 0.0)
        else:
            share = _share(found, scan)
            for component in scan.components:
                key = component, int(scan.band[0] > 0)
                shares[key] = max(share, shares.get(key, 0.0))
    light = shares.get((0, 0), 1.0)
    rest = [shares.get((each, 0), 1.0) for each in range(len(found.ids))]
    if found.progressive:
        rest += shares.get((0, 1), 1.0), unrefined / 4
    return (light + max(rest)) / 2


def _share(found: Jpeg, scan: Scan) -> float:
    """The share of the units of a scan that are lost."""
    layout, total = _layout(found, scan)
    pieces = RESTART.split(scan.data)
    plain = [each.replace(b"\xff\0", b"\xff") for each in pieces[::2]]
    steps = [found.steps[each] for each in scan.components]
    codes = _Codes(b"".join(plain), scan, layout, steps, found.in_colour)
    starts = [0, *(each.end() for each in RESTART.finditer(scan.data))]
    ends = [
        min(
            _before_gap(scan, begin, pieces[2 * k]),
            len(plain[k]) if codes.hold_zeros else _before_zeros(plain[k]),
        )
        for k, begin in enumerate(starts)
    ]
    at = unit = start = 0
    good = 0.0
    for place, piece in enumerate(plain):
        if place and scan.interval:
            # One or two restarts that are missing took their interval with them.
            gap = (pieces[2 * place - 1][0] - RST0 - at) % 8
            gap = gap if gap < 3 else 0
            at, unit = at + 1 + gap, unit + gap * scan.interval
        count = min(scan.interval or total, max(total - unit, 0))
        end = 8 * (start + ends[place])
        done = codes.follow(8 * start, end, count)
        # What is left over before a restart was part of it.
        is_inside = place < len(plain) - 1
        good += done / 2 if is_inside and codes.left(end) > MOST_LEFT else done
        unit, start = unit + count, start + len(piece)
    return 1 - good / total


def _before_zeros(plain: bytes) -> int:
    """How many bytes stand before zeros that no code makes; one zero may still be of a code."""
    return min(len(plain), len(ZEROS.split(plain, 1)[0]) + 1)


def _before_gap(scan: Scan, begin: int, piece: bytes) -> int:
    """How many bytes of a piece of a scan stand before its first lost sector, without stuffing."""
    gap = next((each - begin for each in scan.gaps if 0 <= each - begin < len(piece)), len(piece))
    return len(piece[:gap].replace(b"\xff\0", b"\xff"))


def _layout(found: Jpeg, scan: Scan) -> tuple[list[int], int]:
    """Which component each block of a unit is of, as a place in the scan; and how many units."""
    across = max(each[0] for each in found.factors)
    down = max(each[1] for each in found.factors)
    if len(scan.components) > 1:
        sizes = [found.factors[each] for each in scan.components]
        layout = [place for place, (h, v) in enumerate(sizes) for _ in range(h * v)]
        return layout, -(-found.width // (8 * across)) * -(-found.height // (8 * down))
    h, v = found.factors[scan.components[0]]
    width, height = -(-found.width * h // across), -(-found.height * v // down)
    return [0], -(-width // 8) * -(-height // 8)


class _Codes:
    """The codes of one scan, its stuffed bytes and restarts taken out."""

    def __init__(
        self, data: bytes, scan: Scan, layout: list[int], steps: list[int], colour: bool
    ) -> None:
        """`layout` is the component of each block of a unit, `steps` those of their means."""
        first, last = scan.band
        self._data = data + bytes(2 * LONGEST)
        self._layout = layout
        self._first, self._last = max(first, 1), last
        means = [each for each, _ in scan.tables if first == 0]
        others = [each for _, each in scan.tables if last > 0]
        self._means = [_lookup(scan.lengths[each], False, False).data for each in means]
        self._others = [_lookup(scan.lengths[each], True, first > 0) for each in others]
        self._limits = [((DARKEST + step) // step >> scan.shift) + 1 for step in steps]
        self._to_light: list[float] = []
        if colour and len(steps) == 3 and self._means:
            pairs = enumerate(steps)
            self._to_light = [(step << scan.shift) / 8 / layout.count(k) for k, step in pairs]
        self._base = self._at = 0
        self._ahead: list[memoryview] = []

    @property
    def hold_zeros(self) -> bool:
        """Whether a run of zero bytes is an even ground: they are the ends of blocks."""
        return all(each[0] >> ADVANCE >= END for each in self._others)

    def left(self, end: int) -> int:
        """How many bytes before the bit `end` were not followed."""
        return (end - self._at) // 8

    def follow(self, start: int, end: int, count: int) -> int:
        """How many of `count` units make sense, from the bit `start` on and before `end`."""
        means, data, limits = self._means, self._data, self._limits
        at, done, levels = start, 0, [0] * len(limits)
        self._at = end
        while done < count:
            run, sums = 0, [0] * len(levels)
            for place in self._layout:
                if means:
                    # Of code and value together, 39 bits at most with those before them.
                    five = int.from_bytes(data[at >> 3 : (at >> 3) + 5], "big")
                    left = 40 - (at & 7)
                    code = means[place][five >> (left - 16) & 0xFFFF]
                    size, length = code >> ADVANCE, code & BITS
                    if size > MOST_BITS:
                        return done
                    value = five >> (left - length - size) & ((1 << size) - 1)
                    levels[place] += _signed(value, size) if size else 0
                    at += length + size
                    sums[place] += levels[place]
                    if abs(levels[place]) > limits[place]:
                        return done
                if self._others:
                    at, run = self._block(place, at)
                    if run < 0:
                        return done
            if at > end or (self._to_light and not self._is_colour(sums)):
                return done
            done += 1 + run
        self._at = at
        return count

    def _is_colour(self, sums: list[int]) -> bool:
        """Whether the mean of a unit (Y, Cb, Cr) is a colour at all, nearly."""
        y, cb, cr = (each * share for each, share in zip(sums, self._to_light, strict=True))
        parts = (y + 1.402 * cr, y - 0.344 * cb - 0.714 * cr, y + 1.772 * cb)
        return max(parts) < 128 + OUTSIDE and min(parts) > -128 - OUTSIDE

    def _block(self, place: int, at: int) -> tuple[int, int]:
        """Where a block ends, and how many empty ones follow; -1 if it makes no sense."""
        if not self._ahead or not 0 <= at - self._base < 8 * PIECE:
            self._look_ahead(at)
        codes, k, last = self._ahead[place], self._first, self._last
        code, at = 0, at - self._base
        while k <= last:
            code = codes[at]
            at += code & BITS
            k += code >> ADVANCE
        at += self._base
        if k <= last + 1:
            return at, 0
        step = code >> ADVANCE
        if not END <= step < WRONG:
            return at, -1
        size = step - END
        return at, (1 << size) - 1 + _bits(self._data, at - size, size)

    def _look_ahead(self, at: int) -> None:
        """Look up the codes at every bit of the next piece, whether one begins there or not."""
        first = at >> 3
        piece = np.frombuffer(self._data[first : first + PIECE + LONGEST // 8 + 3], np.uint8)
        own = piece.astype(np.uint32)
        wide = own[:-2] << 16 | own[1:-1] << 8 | own[2:]
        shifts = np.arange(8, 0, -1, dtype=np.uint32)
        windows = (wide[:, None] >> shifts).astype(np.uint16).ravel()
        known = {id(each): each[windows].data for each in self._others}
        self._base = 8 * first
        self._ahead = [known[id(each)] for each in self._others]


def _bits(data: bytes, at: int, size: int) -> int:
    """So many bits, 16 at most, from the bit `at` on."""
    four = int.from_bytes(data[at >> 3 : (at >> 3) + 4], "big")
    return four >> (32 - (at & 7) - size) & ((1 << size) - 1)


def _signed(value: int, size: int) -> int:
    """A number of so many bits as the standard means it: those that begin with 0 are negative."""
    return value if value >> (size - 1) else value + 1 - (1 << size)


@lru_cache(maxsize=16)
def _lookup(table: bytes, others: bool, runs: bool) -> Lookup:
    """What each 16 bits begin with: (65536,), see `BITS` and `ADVANCE`.

    `table` is one of means or of the `others`; `runs`: a code may end several blocks at once.
    """
    found = np.full(1 << 16, 1 | WRONG << ADVANCE, np.uint16)
    at, symbols = 0, iter(table[16:])
    for length, count in enumerate(table[:16], 1):
        for symbol in islice(symbols, count):
            span = 1 << 16 - length
            mean = length | symbol << ADVANCE
            found[at : at + span] = _entry(symbol, length, runs) if others else mean
            at += span
    return found


def _entry(symbol: int, length: int, runs: bool) -> int:
    """A code of a coefficient behind so many zeros, of sixteen zeros, or of an end."""
    zeros, size = symbol >> 4, symbol & 15
    if size or zeros == 15:
        return (length + size) | zeros + 1 << ADVANCE
    if zeros and not runs:
        return length | WRONG << ADVANCE
    return (length + zeros) | END + zeros << ADVANCE
