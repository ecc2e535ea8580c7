"""Panoramas before they are stitched: frames side by side, by one turn of the camera.

They are known by equal exposures, short pauses, and maps of light that agree once one is moved over
the other, each time by about as much in the same direction. Where a burst is taken for one it is
kept whole without need; a panorama that is overlooked may lose a frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iqcli.culling.grouping.frames import Frames
    from iqcli.records import Array, Flags, Integers

LEAST = 3
# Seconds from one frame to the next.
GAP = 10.0
# How far exposures may differ, in EV, that are the same.
SAME = 0.05
# By how many tiles of a map one frame may lie beside the other: the rest of them overlaps.
SHIFTS = range(2, 10)
# By how many tiles one turn may be longer than the next.
UNEVEN = 2
# How the light of the overlap must correlate, how much more than that of the whole maps, and how
# many steps of luma it may differ by.
SIMILARITY, BETTER, APART = 0.85, 0.1, 24.0
# Light that correlates so without a move is that of a burst.
STILL = 0.85
# Pairs looked at together: a few MB.
CHUNK = 4096


def panoramas(frames: Frames, free: Flags) -> list[Integers]:
    """The members of each series, in order of time, among the frames that are `free`."""
    unmarked = np.array([mark is None for mark in frames.marks], np.bool_)
    known = ~np.isnan(frames.exposure)
    order, same = frames.strips(free & unmarked & known & frames.fine & frames.descriptors.seen)
    one, other = order[:-1], order[1:]
    linked = same & _by_one_turn(frames, one, other)
    turns = np.zeros((len(one), 2), np.int64)
    turns[linked] = _turns(frames, one[linked], other[linked])
    found: list[Integers] = []
    done = 0
    for begin, end in _runs(turns):
        first = max(begin, done)  # the last of a series, where the camera turns back
        if end - first >= LEAST:
            found.append(order[first:end])
            done = end
    return found


def _by_one_turn(frames: Frames, one: Integers, other: Integers) -> Flags:
    """Which pairs a short pause parts, and nothing else that the camera tells."""
    soon = frames.gaps(one, other) <= GAP
    bias, exposure = np.nan_to_num(frames.bias), frames.exposure
    changed = np.abs(bias[other] - bias[one]) + np.abs(exposure[other] - exposure[one])
    return np.asarray(soon & (changed <= SAME), np.bool_)


def _runs(turns: Integers) -> Iterator[tuple[int, int]]:
    """The first frame of each run of pairs that are turned alike, and the one after its last."""
    turned = np.abs(turns).sum(axis=1) > 0
    alike = np.abs(np.diff(turns, axis=0)).sum(axis=1) <= UNEVEN
    first = None
    for pair in np.flatnonzero(turned).tolist():
        if first is None:
            first = pair
        if pair + 1 == len(turns) or not turned[pair + 1] or not alike[pair]:
            yield first, pair + 2
            first = None


def _turns(frames: Frames, one: Integers, other: Integers) -> Integers:
    """(k, 2) tiles that each pair is turned by, down and across; zeros for no turn."""
    found = np.zeros((len(one), 2), np.int64)
    for start in range(0, len(one), CHUNK):
        part = slice(start, start + CHUNK)
        found[part] = _some_turns(frames, one[part], other[part])
    return found


def _some_turns(frames: Frames, one: Integers, other: Integers) -> Integers:
    size = round(frames.descriptors.light.shape[1] ** 0.5)
    before, after = (_maps(frames, places, size) for places in (one, other))
    whole = frames.descriptors.light_similarity(one, other)
    best = np.maximum(whole + BETTER, SIMILARITY)
    found = np.zeros((len(one), 2), np.int64)
    for axis in (0, 1):
        for tiles in SHIFTS:
            for sign, (left, right) in ((1, (before, after)), (-1, (after, before))):
                here = _agreement(_cut(left, axis, tiles), _cut(right, axis, -tiles))
                better = here > best
                best[better] = here[better]
                found[better] = 0
                found[better, axis] = sign * tiles
    found[whole >= STILL] = 0
    return found


def _maps(frames: Frames, places: Integers, size: int) -> Array:
    """(k, size, size) mean luma."""
    light = (
        frames.descriptors.light[places] * np.float32(size) + frames.descriptors.mean[places, None]
    )
    return light.reshape(len(places), size, size)


def _cut(maps: Array, axis: int, tiles: int) -> Array:
    """What of (k, size, size) lies after so many tiles, or before the last so many (negative)."""
    part = slice(tiles, None) if tiles > 0 else slice(None, tiles)
    return maps[:, part] if axis == 0 else maps[:, :, part]


def _agreement(one: Array, other: Array) -> Array:
    """(k,) correlations of two (k, rows, columns), -1 where they differ too much."""
    axes = (1, 2)
    apart = np.abs(one - other).mean(axis=axes)
    one = one - one.mean(axis=axes, keepdims=True)
    other = other - other.mean(axis=axes, keepdims=True)
    common = (one * other).mean(axis=axes)
    strength = np.sqrt(((one**2).mean(axis=axes) + 16) * ((other**2).mean(axis=axes) + 16))
    found: Array = np.where(apart <= APART, common / strength, -1)
    return found
