"""Time-lapses: many frames of one thing at an even pace, of which a film is made.

No person presses a button so evenly, and a burst is faster. Most clocks cut off the fraction of a
second: of a pace of 2.5 s they show 2 and 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from iqcli.culling.grouping import bursts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iqcli.culling.grouping.frames import Frames
    from iqcli.records import Doubles, Flags, Integers

# So many frames show an even pace, if it lies between so many seconds: the fewer, the less a person
# or a burst could be as fast. In the first all pauses are equal; in the others they add up, though
# a clock without fractions shows two sorts of them.
EQUAL = ((8, 1.5, 900.0), (10, 0.9, 1.5))
ADDING_UP = ((24, 0.9, 900.0), (60, 0.45, 0.9))
LEAST, FAST, LONG = EQUAL[0][0], EQUAL[0][1], ADDING_UP[0][0]
# Up to this pace a person may go on as fast before and after.
BY_HAND = 3.0
# How far a pause may be from the pace, as a share of it, and in seconds.
SHARE, MOST = 0.1, 1.0
# How many frames may be missing between two of a series, once.
MISSING = 2
# The share of frames that must be alike the one before, as in a burst.
ALIKE = 0.8


def timelapses(frames: Frames, free: Flags) -> list[Integers]:
    """The members of each time-lapse, in order of time, among the frames that are `free`.

    A frame with a mark of a burst is in none.
    """
    unmarked = np.array([mark is None for mark in frames.marks], np.bool_)
    order, same = frames.strips(free & unmarked & frames.fine & frames.descriptors.seen)
    if len(order) < LEAST:
        return []
    one, other = order[:-1], order[1:]
    alike = frames.descriptors.alike(one, other, bursts.LIGHT, bursts.CONTENT)
    pauses = np.where(same, frames.gaps(one, other), np.nan)
    return [
        order[first : last + 2]
        for first, last in _runs(_even(pauses))
        if alike[first : last + 1].mean() >= ALIKE and not _by_chance(pauses, first, last)
    ]


def _even(pauses: Doubles) -> Flags:
    """Which of n pauses are in an even series; NaN is in none."""
    found: Flags = np.zeros(len(pauses), np.bool_)
    for rules, adds_up in ((EQUAL, False), (ADDING_UP, True)):
        for least, fastest, slowest in rules:
            if len(pauses) < least - 1:
                continue
            windows = sliding_window_view(pauses, least - 1)
            pace = windows.mean(axis=1) if adds_up else np.median(windows, axis=1)
            firsts = np.flatnonzero((pace >= fastest) & (pace <= slowest))
            check = _add_up if adds_up else _are_equal
            even = check(windows[firsts], pace[firsts, None])
            for first in firsts[even].tolist():
                found[first : first + least - 1] = True
    return found


def _are_equal(windows: Doubles, pace: Doubles) -> Flags:
    """Which of (n, k) pauses are equal, row by row, but for one where frames are missing."""
    times = np.clip(np.rint(windows / pace), 1, np.where(pace >= FAST, 1 + MISSING, 1))
    equal = np.abs(windows - times * pace) <= _slack(pace)
    return np.asarray(equal.all(axis=1) & ((times > 1).sum(axis=1) <= 1))


def _add_up(windows: Doubles, pace: Doubles) -> Flags:
    """Which of (n, k) pauses add up to an even pace, row by row, by clocks of whole seconds."""
    behind = np.cumsum(windows - pace, axis=1)
    return np.asarray(np.ptp(behind, axis=1) <= 1 + _slack(pace)[:, 0])


def _slack(pace: Doubles) -> Doubles:
    return np.minimum(SHARE * pace, MOST)


def _by_chance(pauses: Doubles, first: int, last: int) -> bool:
    """Whether a short series is a part of one that a person's finger set, and that is uneven."""
    pace = pauses[first : last + 1].mean()
    beside = [pauses[k] for k in (first - 1, last + 1) if 0 <= k < len(pauses)]
    is_short = last - first + 2 < LONG and pace < BY_HAND
    return is_short and any(pause <= 2 * pace for pause in beside)


def _runs(even: Flags) -> Iterator[tuple[int, int]]:
    """The first and the last of the pauses of each series."""
    edges = np.diff(np.concatenate([[False], even, [False]]).astype(np.int8))
    firsts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    yield from zip(firsts.tolist(), (ends - 1).tolist(), strict=True)
