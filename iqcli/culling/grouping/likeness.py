"""Which pictures are one picture: a perceptual hash finds pairs, small grey pictures confirm them.

The hash is the signs of the lowest frequencies (DCT) of the map of light. A pair is confirmed

    the same      where the grey pictures agree, details included
    recoloured    where they agree but for contrast and brightness, or the colours differ
    cropped       where one agrees with a part of the other, with no more pixels than that has

Frames of a burst differ from each other in details, and by more at their borders than a crop.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from iqcli.culling.grouping.similarity import GREYED
from iqcli.extractors.schema import GREY, GRID
from iqcli.records import CopyKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from iqcli.records import Flags, Integers, Likeness

    Array = NDArray[Any]

    # Which of k pairs cannot be one picture, by what else is known of them.
    Differ = Callable[[Integers, Integers], Flags]

# The lowest frequencies of each axis that make the hash; the bits of the 63 that may differ in it,
# and the least correlation of the frequencies. Re-encoded photos differ in 6 bits and lighter ones
# in 8 (98 of 100).
LOW, BITS, ALIKE = 8, 10, 0.95
# The same for the middle of a picture, without so much at each side, and a part of it, which may
# lie elsewhere: 90 of 100 that leave out 6 % at two sides. Of 100,000 pairs of unrelated photos 2.
MIDDLE, PART_BITS, PART_ALIKE = 0.04, 18, 0.78
# The least deviation of luma: a plain picture is like every other.
LEAST = 3.0
# The least part of a damaged picture that must be there.
LEAST_LEFT = 0.2
# Noise in steps of luma, of pictures and of their details.
NOISE, FINE_NOISE = 2.0, 0.35
# The same: correlation of the pictures and of their details, contrast, and difference in steps.
# The last is the mean; the most is that of any part, for equal sizes and for others.
# Of 150 photos, re-encoded at quality 25 or made smaller to a third, all are within; of the pairs
# of frames of bursts (BIQ2021) none but those of one picture.
SAME, SAME_FINE, CONTRAST, STEPS = 0.993, 0.93, 0.05, 4.0
MOST, LIGHTER = (5.0, 9.0), 2.0
# How many times the difference of any part may be that of all but one part in so many, and the
# least there is of that, in steps: one number of a form may differ. Of 1,300 photos and documents,
# re-encoded or made smaller, one is beyond it; of 190 pairs of equal forms with other numbers 184.
ALONE, ONE_IN, ALONE_NOISE = 12.0, 64, 0.15
# Without the grey pictures, by the map of light alone.
COARSE, COARSE_FINE = 0.997, 0.985
COARSE_MOST = (3.0, 12.0)
# Recoloured: the same with any contrast and brightness, or with other colours, in points of Lab by
# `perceptual_hash.COLOURS`: smaller ones differ by 1.1, 1.1, 2.2, 2.2 and 1.8 at most.
TONED, TONED_FINE = 0.985, 0.965
# What no part may exceed then, in steps after contrast and brightness: clipped whites are the most.
MOST_COLOURED, MOST_TONED = 20.0, 50.0
COLOUR = (1.5, 1.5, 2.5, 2.5, 2.0)
# Cropped: correlation with the part and of its details, contrast, and by how much the part may
# reach beyond the picture (a share of its side), must leave, and may leave out at most.
PART, PART_FINE, PART_CONTRAST = 0.985, 0.94, 0.1
BEYOND, LEFT_OUT, MOST_LEFT_OUT = 0.008, 0.02, 0.22
# How much the shape may differ from that of the part, and the pixels exceed its (shares).
SHAPE, ENLARGED = 0.02, 1.01
# So many hashes are compared with so many at once, which stay in the cache of a core, and so many
# pairs looked at.
ROWS, COLUMNS, CHUNK = 16, 8192, 512
# Up to so many sizes it is asked first which may be parts of which.
SIZES = 512
# How far a sum of products may be off.
ROUNDING = 1e-3
# How far out and in the ends of a part may be looked for.
LOWEST = np.array([-0.25, 0.7] * 2, np.float32)
HIGHEST = np.array([0.3, 1.25] * 2, np.float32)
# Where grids are looked up: from so far outside the picture, in so many places.
AROUND, PLACES = 0.3, 3200
# Sides of the grids that a part is looked for in, and the steps taken on each.
SEARCH = ((8, 6), (16, 5), (32, 4))
# How alike a part must be on the coarse grids to be looked for on the fine ones.
HOPEFUL = 0.96

KINDS = (None, CopyKind.SAME, CopyKind.RECOLOURED, CopyKind.CROPPED)
NONE, SAME_KIND, RECOLOURED_KIND, CROPPED_KIND = range(4)


@dataclass(frozen=True, slots=True)
class Pictures:
    """n pictures as columns: `light` (n, 12, 12) and `grey` (n, 32, 32) uint8, `size` (n, 2).

    `has_grey` and `has_colour` (n,) say where they are known; `size` is width and height. Of those
    that are `damaged` parts may be missing.
    """

    light: Array
    grey: Array
    has_grey: Flags
    colour: Array
    has_colour: Flags
    size: Array
    damaged: Flags

    @classmethod
    def of(
        cls,
        found: Sequence[Likeness],
        sizes: Sequence[tuple[int, int]],
        damaged: Sequence[bool] = (),
    ) -> Pictures:
        """The columns of these pictures of these sizes (width, height), by default all whole."""
        no_grey = np.zeros(GREY * GREY, np.uint8)
        no_colour = np.zeros(5, np.float32)
        return cls(
            light=_joined_rows([e.light for e in found]).reshape(-1, GRID, GRID),
            grey=_joined_rows([no_grey if e.grey is None else e.grey for e in found]).reshape(
                -1, GREY, GREY
            ),
            has_grey=np.array([e.grey is not None for e in found], np.bool_),
            colour=np.array([no_colour if e.colour is None else e.colour for e in found]),
            has_colour=np.array([e.colour is not None for e in found], np.bool_),
            size=np.array(sizes, np.float32).reshape(-1, 2),
            damaged=np.array(damaged or [False] * len(found), np.bool_),
        )


def _joined_rows(rows: Sequence[Array]) -> Array:
    return np.concatenate(rows) if rows else np.zeros(0, np.uint8)


def pairs(pictures: Pictures, differ: Differ) -> Iterator[tuple[int, int, CopyKind]]:
    """Each pair of pictures that are one, once, and how they differ; of a crop the whole is first.

    Pairs that `differ` are none, however alike they look.
    """
    known: set[tuple[int, int]] = set()
    for one, other, kind in _pairs(pictures, differ):
        if (one, other) not in known:
            known |= {(one, other), (other, one)}
            yield one, other, kind


def _pairs(pictures: Pictures, differ: Differ) -> Iterator[tuple[int, int, CopyKind]]:
    hashes = _Hashes.of(pictures.light)
    for confirm, candidates in (
        (_whole_kinds, hashes.whole()),
        (_part_kinds, hashes.parts(pictures)),
    ):
        for one, other in _gathered(candidates):
            possible = ~differ(one, other)
            one, other = one[possible], other[possible]
            for start in range(0, len(one), CHUNK):
                first, second = one[start : start + CHUNK], other[start : start + CHUNK]
                found = confirm(pictures, first, second)
                for k in np.flatnonzero(found).tolist():
                    kind = KINDS[found[k]]
                    assert kind
                    yield int(first[k]), int(second[k]), kind
    for whole, damaged in _of_damaged(pictures, differ):
        yield whole, damaged, CopyKind.SAME


def _gathered(found: Iterable[tuple[Integers, Integers]]) -> Iterator[tuple[Integers, Integers]]:
    """The same pairs, so many at once or more: to look at a few costs as much as at many."""
    waiting: list[tuple[Integers, Integers]] = []
    count = 0
    for pair in found:
        waiting.append(pair)
        count += len(pair[0])
        if count >= CHUNK:
            yield _joined(waiting)
            waiting, count = [], 0
    if waiting:
        yield _joined(waiting)


def _joined(parts: list[tuple[Integers, Integers]]) -> tuple[Integers, Integers]:
    first, second = zip(*parts, strict=True)
    return np.concatenate(first), np.concatenate(second)


@dataclass(frozen=True, slots=True)
class _Hashes:
    """The hashes of the m pictures `there` that are not plain, and of their middles.

    `words` hold a bit for each frequency; `low` (m, 63) are these themselves, of length 1.
    """

    there: Integers
    words: Array
    low: Array
    middle_words: Array
    middle_low: Array

    @classmethod
    def of(cls, light: Array) -> _Hashes:
        there = np.flatnonzero(_deviates(light.reshape(len(light), GRID * GRID)))
        found = light[there].astype(np.float32)
        middle = np.array([[MIDDLE, 1 - MIDDLE] * 2], np.float32)
        return cls(there, *_hashes(found), *_hashes(_seen(found, middle, GRID)))

    def whole(self) -> Iterator[tuple[Integers, Integers]]:
        """Pairs that may be alike as wholes, the first before the second."""
        if not len(self.there):
            return
        axis = int(self.low.var(axis=0).argmax())
        order = np.argsort(self.low[:, axis], kind="stable")
        both = self.words[order], self.low[order]
        # Vectors of length 1 that are so alike lie as near on every axis.
        near = both[1][:, axis] + np.float32((2 - 2 * ALIKE) ** 0.5 + ROUNDING)
        ends = np.searchsorted(both[1][:, axis], near, "right")
        for one, other in _near(both, both, BITS, ALIKE, ends):
            later = other > one
            pair = self.there[order[one[later]]], self.there[order[other[later]]]
            yield np.minimum(*pair), np.maximum(*pair)

    def parts(self, pictures: Pictures) -> Iterator[tuple[Integers, Integers]]:
        """Pairs of which the second may be a part of the first."""
        places = np.flatnonzero(pictures.has_grey[self.there])
        for larger, smaller in _by_size(pictures.size[self.there[places]]):
            first, second = places[larger], places[smaller]
            whole = self.middle_words[first], self.middle_low[first]
            part = self.words[second], self.low[second]
            for one, other in _near(whole, part, PART_BITS, PART_ALIKE):
                pair = self.there[first[one]], self.there[second[other]]
                possible = _may_be_part(*(pictures.size[each] for each in pair))
                yield pair[0][possible], pair[1][possible]


def _by_size(size: Array) -> Iterator[tuple[Integers, Integers]]:
    """The places of pictures of one size and of all that may be parts of these; (n, 2) sizes."""
    every: Integers = np.arange(len(size))
    kinds, kind = np.unique(size, axis=0, return_inverse=True)
    if len(kinds) > SIZES:
        yield every, every
        return
    for number, own in enumerate(kinds):
        possible = _may_be_part(np.broadcast_to(own, kinds.shape), kinds)[kind.reshape(-1)]
        if possible.any():
            yield every[kind.reshape(-1) == number], every[possible]


def _near(
    first: tuple[Array, Array],
    second: tuple[Array, Array],
    bits: int,
    alike: float,
    ends: Integers | None = None,
) -> Iterator[tuple[Integers, Integers]]:
    """Pairs of words, and of vectors, that differ in so few bits and are so alike.

    With rising `ends` each of the first is one of the second, and is compared with those from
    itself on to its end.
    """
    for start in range(0, len(first[0]), ROWS):
        rows = first[0][start : start + ROWS]
        stop = len(second[0]) if ends is None else int(ends[start + len(rows) - 1])
        for left in range(0 if ends is None else start, stop, COLUMNS):
            columns = second[0][left : min(left + COLUMNS, stop)]
            near = np.bitwise_count(rows[:, None] ^ columns) <= bits
            one, other = np.divmod(np.flatnonzero(near), len(columns))
            one, other = one + start, other + left
            good = np.einsum("ij,ij->i", first[1][one], second[1][other]) >= alike
            yield one[good], other[good]


def _deviates(light: Array) -> Flags:
    """Which of n maps of light (n, tiles) deviate by `LEAST` or more."""
    levels, tiles = light.astype(np.int32), light.shape[1]
    squares = np.einsum("ij,ij->i", levels, levels)
    found: Flags = tiles * squares - levels.sum(axis=1) ** 2 >= (LEAST * tiles) ** 2
    return found


def _hashes(light: Array) -> tuple[Array, Array]:
    """(m, 12, 12) to a word each, which frequencies are above their median, and to these."""
    low = _frequencies(light)
    # 63 bits of a word; the last one is 0.
    above = np.pad(low > np.median(low, axis=1, keepdims=True), ((0, 0), (0, 1)))
    words = np.packbits(above, axis=1).view(np.uint64).ravel()
    length = np.sqrt((low**2).sum(axis=1, keepdims=True))
    return words, low / np.maximum(length, np.float32(1e-6))


def _frequencies(light: Array) -> Array:
    """(n, side, side) to (n, LOW * LOW - 1): the lowest frequencies, without the mean."""
    side = light.shape[1]
    places = (np.arange(side) + 0.5) * np.pi / side
    waves = np.cos(np.arange(LOW)[:, None] * places).astype(np.float32)
    waves[0] /= np.float32(2**0.5)
    found: Array = (waves @ light @ waves.T).reshape(len(light), LOW * LOW)[:, 1:]
    return found


def _of_damaged(pictures: Pictures, differ: Differ) -> Iterator[tuple[int, int]]:
    """Pairs of a picture and one that is damaged, the same where that one has data."""
    light, mean = pictures.light, np.array(GREYED, np.float32)
    for place in np.flatnonzero(pictures.damaged & pictures.has_grey).tolist():
        tiles, cells = (
            _inner(np.abs(each[place].astype(np.float32) - mean) > 1)
            for each in (light, pictures.grey)
        )
        if cells.mean() < LEAST_LEFT or not tiles.any():
            continue
        apart = light[:, tiles].astype(np.float32) - light[place, tiles]
        others = np.flatnonzero((np.abs(apart).mean(axis=1) <= STEPS) & pictures.has_grey)
        others = others[others != place]
        others = others[~differ(others, np.full(len(others), place))]
        there = pictures.grey[others].astype(np.float32)
        seen = np.broadcast_to(pictures.grey[place].astype(np.float32), there.shape)
        # As rows of one: what is not there has no place on a grid.
        alike, contrast = _correlation(there[:, None, cells], seen[:, None, cells])
        fine = _correlation_of(_details(there)[:, None, cells], _details(seen)[:, None, cells])
        steps = np.sqrt(((there - seen)[:, cells] ** 2).mean(axis=1))
        good = (alike >= SAME) & (fine >= SAME_FINE) & (steps <= STEPS)
        good &= (there[:, cells].std(axis=1) >= LEAST) & (np.abs(contrast - 1) <= CONTRAST)
        for other in others[good].tolist():
            yield other, place


def _inner(there: Flags) -> Flags:
    """(side, side) where all of the 3 x 3 around is there."""
    side = len(there)
    framed = np.pad(there, 1, "edge")
    rows = framed[:side] & framed[1 : side + 1] & framed[2:]
    found: Flags = rows[:, :side] & rows[:, 1 : side + 1] & rows[:, 2:]
    return found


def _whole_kinds(pictures: Pictures, one: Integers, other: Integers) -> Integers:
    """(k,) for each pair of whole pictures its place in `KINDS`."""
    found: Integers = np.zeros(len(one), np.int64)
    fine = pictures.has_grey[one] & pictures.has_grey[other]
    coloured = _other_colours(pictures, one, other)
    for which, grids, same, same_fine, most in (
        (fine, pictures.grey, SAME, SAME_FINE, MOST),
        (~fine, pictures.light, COARSE, COARSE_FINE, COARSE_MOST),
    ):
        equal_size = (pictures.size[one[which]] == pictures.size[other[which]]).all(axis=1)
        limits = same, same_fine, np.where(equal_size, *most)
        pair = grids[one[which]], grids[other[which]]
        found[which] = _whole(*pair, coloured[which], limits)
    return found


def _whole(a: Array, b: Array, coloured: Flags, limits: tuple[float, float, Array]) -> Integers:
    """(k,) places in `KINDS` of pairs of whole pictures (k, side, side).

    `coloured` ones have colours of their own, or may have. `limits` are the least correlations, and
    the (k,) steps that no part may exceed.
    """
    (same, same_fine, most), a, b = limits, a.astype(np.float32), b.astype(np.float32)
    (alike, contrast), details = _correlation(a, b), _fine_correlation(a, b)
    apart = b - a
    lighter = apart.mean(axis=(1, 2))
    fitted = b - b.mean(axis=(1, 2), keepdims=True)
    fitted -= contrast[:, None, None] * (a - a.mean(axis=(1, 2), keepdims=True))
    rest = np.abs(fitted).max(axis=(1, 2))
    untoned = (np.abs(contrast - 1) <= CONTRAST) & (np.abs(lighter) <= LIGHTER)
    equal = untoned & (alike >= same) & (details >= same_fine)
    equal &= (np.sqrt((apart**2).mean(axis=(1, 2))) <= STEPS) & (
        np.abs(apart).max(axis=(1, 2)) <= most
    )
    equal[equal] = ~_stands_out(apart[equal])
    # In the same tones and colours a part that differs shows another frame, or another text.
    toned = (coloured & (rest <= MOST_COLOURED)) | (~untoned & (rest <= MOST_TONED))
    toned &= (alike >= max(TONED, same - 0.01)) & (details >= max(TONED_FINE, same_fine))
    toned &= contrast > 0
    found: Integers = np.zeros(len(a), np.int64)
    found[toned | (equal & coloured)] = RECOLOURED_KIND
    found[equal & ~coloured] = SAME_KIND
    return found


def _stands_out(apart: Array) -> Flags:
    """Which of k differences (k, side, side) are large in few parts alone."""
    steps = np.sort(np.abs(apart).reshape(len(apart), apart.shape[1] ** 2), axis=1)
    rest = steps[:, : -(steps.shape[1] // ONE_IN)]
    noise = np.sqrt((rest**2).mean(axis=1))
    found: Flags = steps[:, -1] > ALONE * np.maximum(noise, ALONE_NOISE)
    return found


def _other_colours(pictures: Pictures, one: Integers, other: Integers) -> Flags:
    """Which pairs have colours of their own, or may have them."""
    known = pictures.has_colour[one] & pictures.has_colour[other]
    distance = np.abs(pictures.colour[one] - pictures.colour[other])
    found: Flags = ~known | (distance > np.array(COLOUR, np.float32)).any(axis=1)
    return found


def _correlation(a: Array, b: Array) -> tuple[Array, Array]:
    """Of k pairs: -1..1, and the contrast of `b` to that of `a`. Those equal within noise are 1."""
    a = a - a.mean(axis=(1, 2), keepdims=True)
    b = b - b.mean(axis=(1, 2), keepdims=True)
    common, own, its = _products(a, b), _products(a, a), _products(b, b)
    level = np.float32(NOISE**2)
    alike = (common + level) / np.sqrt((own + level) * (its + level))
    return alike, common / (own + np.float32(1e-3))


def _products(a: Array, b: Array) -> Array:
    """(k,) mean products of (k, side, side) grids."""
    found: Array = np.einsum("kij,kij->k", a, b) / (a.shape[1] * a.shape[2])
    return found


def _fine_correlation(a: Array, b: Array) -> Array:
    """(k,) -1..1 of the details of k pairs."""
    return _correlation_of(_details(a), _details(b))


def _correlation_of(a: Array, b: Array) -> Array:
    """(k,) -1..1 of details of k pairs; what does not rise out of the noise is not alike."""
    level = np.float32(FINE_NOISE**2)
    found: Array = _products(a, b) / np.sqrt((_products(a, a) + level) * (_products(b, b) + level))
    return found


def _details(grids: Array) -> Array:
    """(k, side, side) less the mean of 3 x 3."""
    side = grids.shape[1]
    framed = np.pad(grids, ((0, 0), (1, 1), (1, 1)), "edge")
    rows = framed[:, :side] + framed[:, 1 : side + 1] + framed[:, 2:]
    around = rows[:, :, :side] + rows[:, :, 1 : side + 1] + rows[:, :, 2:]
    found: Array = grids - around / np.float32(9)
    return found


def _may_be_part(whole: Array, part: Array) -> Flags:
    """Which of k sizes (width, height) a part of pictures of those other sizes can have."""
    share = part / whole
    shape = np.abs(np.log(share[:, 0] / share[:, 1])) <= SHAPE - np.log(1 - MOST_LEFT_OUT)
    fits = share.max(axis=1) <= ENLARGED
    found: Flags = shape & fits & (share.min(axis=1) <= (1 - LEFT_OUT) * ENLARGED)
    return found


def _part_kinds(pictures: Pictures, one: Integers, other: Integers) -> Integers:
    """(k,) for each pair of a picture and what may be a part of it its place in `KINDS`."""
    found: Integers = np.zeros(len(one), np.int64)
    if not len(one):
        return found
    a, b = (pictures.grey[each].astype(np.float32) for each in (one, other))
    middle = np.tile(np.array([MIDDLE, 1 - MIDDLE] * 2, np.float32), (len(a), 1))
    box = _search(_pooled(a, GREY // 2), b, middle, SEARCH[:1])
    alike, _ = _correlation(_seen(a, box, 8), _pooled(b, 8))
    hopeful = np.flatnonzero(alike >= HOPEFUL)
    if not len(hopeful):
        return found
    a, b = a[hopeful], b[hopeful]
    box = _search(a, b, box[hopeful], SEARCH[1:])
    seen, there = _seen(a, box, GREY // 2), _pooled(b, GREY // 2)
    (alike, contrast), details = _correlation(seen, there), _fine_correlation(seen, there)
    good = (alike >= PART) & (details >= PART_FINE) & (np.abs(contrast - 1) <= PART_CONTRAST)
    good &= _is_part(box, pictures.size[one[hopeful]], pictures.size[other[hopeful]])
    found[hopeful[good]] = CROPPED_KIND
    return found


def _is_part(box: Array, whole: Array, part: Array) -> Flags:
    """Whether a box lies in the picture, is a part of it, and has the shape and the pixels."""
    low, high = box[:, ::2], box[:, 1::2]
    share = high - low
    inside = (low >= -BEYOND).all(axis=1) & (high <= 1 + BEYOND).all(axis=1)
    some = (share.min(axis=1) <= 1 - LEFT_OUT) & (share.min(axis=1) >= 1 - MOST_LEFT_OUT)
    times = part / (share * whole)
    shaped = np.abs(np.log(times[:, 0] / times[:, 1])) <= SHAPE
    found: Flags = inside & some & shaped & (times.max(axis=1) <= ENLARGED)
    return found


def _search(a: Array, b: Array, box: Array, levels: Sequence[tuple[int, int]]) -> Array:
    """The (k, 4) boxes (left, right, top, bottom; shares) of `a` that look most like `b`.

    Efficient second-order minimization (Benhimane and Malis, 2004) on grids that get finer;
    brightness and contrast are fitted along.
    """
    for side, times in levels:
        there = _pooled(b, side)
        there = there - there.mean(axis=(1, 2), keepdims=True)
        for _ in range(times):
            seen = _seen(a, box, side)
            seen = seen - seen.mean(axis=(1, 2), keepdims=True)
            contrast = _products(there, seen) / (_products(seen, seen) + np.float32(1e-3))
            seen = np.clip(contrast, 0.2, 5)[:, None, None] * seen
            slopes, rest = _slopes((seen + there) / 2), (seen - there).reshape(len(a), -1)
            # A thing that moved must not pull the whole.
            weighted = slopes / (1 + (rest / 15) ** 2)[:, None]
            square = weighted @ slopes.transpose(0, 2, 1)
            square += np.eye(4, dtype=np.float32) * np.float32(0.3 * side**2)
            moves = np.linalg.solve(square, weighted @ rest[:, :, None])[:, :, 0]
            moves = np.clip(moves, -0.05, 0.05).astype(np.float32)
            lengths = (box[:, 1::2] - box[:, ::2]).repeat(2, axis=1)
            box = np.clip(box - lengths * moves, LOWEST, HIGHEST)
    return box


def _slopes(grids: Array) -> Array:
    """(k, side, side) to (k, 4, side * side): how they change where each of their ends is moved."""
    side = grids.shape[1]
    places = ((np.arange(side) + 0.5) / side).astype(np.float32)
    down, across = np.gradient(grids, np.float32(1 / side), axis=(1, 2))
    ends = [across * (1 - places), across * places]
    ends += [down * (1 - places)[:, None], down * places[:, None]]
    found = np.stack(ends, axis=1).reshape(len(grids), 4, -1)
    centred: Array = found - found.mean(axis=2, keepdims=True)
    return centred


def _pooled(grids: Array, side: int) -> Array:
    """(k, n, n) to means of (k, side, side)."""
    size = grids.shape[1] // side
    found: Array = grids.reshape(len(grids), side, size, side, size).mean(axis=(2, 4))
    return found


def _seen(grids: Array, box: Array, side: int) -> Array:
    """(k, side, side) means over equal parts of the boxes in these pictures."""
    ends, cells = np.linspace(0, 1, side + 1, dtype=np.float32), grids.shape[1]
    across, down = (
        _weights(box[:, low, None] + (box[:, low + 1] - box[:, low])[:, None] * ends, cells)
        for low in (0, 2)
    )
    found: Array = down @ grids @ across.transpose(0, 2, 1)
    return found


def _weights(ends: Array, cells: int) -> Array:
    """(k, n + 1) ends of parts to (k, n, cells): how much of each cell is in their means."""
    table = _sums(cells)
    place = (ends + AROUND) * (PLACES / (1 + 2 * AROUND))
    low = np.clip(place.astype(np.int64), 0, PLACES - 1)
    share = (place - low)[:, :, None].astype(np.float32)
    sums = table[low] * (1 - share) + table[low + 1] * share
    found: Array = np.diff(sums, axis=1) / np.diff(ends, axis=1)[:, :, None]
    return found


@cache
def _sums(cells: int) -> Array:
    """(PLACES + 1, cells): how much of each cell lies left of a place, smooth (cubic Hermite)."""
    ends = np.arange(cells + 1) / cells
    values = np.tri(cells + 1, cells, -1) / cells
    slopes = np.gradient(values, ends, axis=0)
    places = np.linspace(-AROUND, 1 + AROUND, PLACES + 1)
    inside = np.clip(places, 0, 1)
    cell = np.minimum((inside * cells).astype(np.int64), cells - 1)
    t = (inside * cells - cell)[:, None]
    found = (
        (1 + 2 * t) * (1 - t) ** 2 * values[cell]
        + t * (1 - t) ** 2 * slopes[cell] / cells
        + t**2 * (3 - 2 * t) * values[cell + 1]
        + t**2 * (t - 1) * slopes[cell + 1] / cells
    )
    # Beyond its border a picture goes on as it ends.
    found[:, 0] += np.minimum(places, 0)
    found[:, -1] += np.maximum(places - 1, 0)
    sums: Array = found.astype(np.float32)
    return sums
