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
# or a burst could be as fast. In the first all pauses are equal, but for one where frames are
# missing; in the others they add up, though a clock without fractions shows two sorts of them. Of
# people who press a button as often, the pauses of which vary by a third, one in fifty does so.
EQUAL = ((8, 1.5, 900.0), (12, 0.9, 1.5))
WITHOUT_GAP = ((10, 0.9, 1.5),)
ADDING_UP = (
    *((8, 9.5, 900.0), (10, 4.5, 9.5), (16, 2.5, 4.5), (20, 1.7, 2.5)),
    *((24, 0.9, 1.7), (60, 0.45, 0.9)),
)
LEAST = EQUAL[0][0]
# Up to this pace a person may go on as fast before and after, and no pause of a clock without
# fractions tells that a frame is missing.
BY_HAND = 3.0
# How far a pause may be from the pace, as a share of it, and in seconds.
SHARE, MOST = 0.1, 1.0
# How many frames may be missing between two of a series, once.
MISSING = 2
# The share of frames that must be alike the one before, as in a burst.
ALIKE = 0.8


def timelapses(frames: Frames, free: Flags) -> list[Integers]:
    """The members of each time-lapse, in order of time, among the frames that are `free`.

    A frame with a mark of a burst is in none. A clock need not show seconds, as a pace of minutes
    may begin on the minute.
    """
    unmarked = np.array([mark is None for mark in frames.marks], np.bool_)
    order, same = frames.strips(free & unmarked & frames.descriptors.seen)
    if len(order) < LEAST:
        return []
    one, other = order[:-1], order[1:]
    alike = frames.descriptors.alike(one, other, bursts.LIGHT, bursts.CONTENT)
    pauses = np.where(same, frames.gaps(one, other), np.nan)
    return [
        order[first : last + 2]
        for first, last in _runs(_extended(_even(pauses), pauses))
        if alike[first : last + 1].mean() >= ALIKE and not _by_chance(pauses, first, last)
    ]


def _even(pauses: Doubles) -> Flags:
    """Which of n pauses are in an even series; NaN is in none."""
    found: Flags = np.zeros(len(pauses), np.bool_)
    for rules, check in ((EQUAL, _are_equal), (WITHOUT_GAP, _are_all_equal), (ADDING_UP, _add_up)):
        for least, fastest, slowest in rules:
            if len(pauses) < least - 1:
                continue
            windows = sliding_window_view(pauses, least - 1)
            middle = np.median(windows, axis=1)
            pace = windows.mean(axis=1) if check is _add_up else middle
            firsts = np.flatnonzero((pace >= fastest) & (pace <= slowest))
            even = check(windows[firsts], middle[firsts, None])
            for first in firsts[even].tolist():
                found[first : first + least - 1] = True
    return found


def _extended(even: Flags, pauses: Doubles) -> Flags:
    """The same with what goes on at either end at about the pace, if no person is as even."""
    found = even.copy()
    for first, last in _runs(even):
        pace = pauses[first : last + 1].mean()
        if last - first + 2 >= 1.5 * _long(pace):
            goes_on = pauses <= 2 * pace
        elif pace >= BY_HAND:
            goes_on = np.abs(pauses - pace) <= 1 + _slack(pace)
        else:
            continue
        while first > 0 and goes_on[first - 1]:
            first -= 1
        while last + 1 < len(pauses) and goes_on[last + 1]:
            last += 1
        found[first : last + 1] = True
    return found


def _long(pace: float) -> int:
    """How many frames at this pace are no chance."""
    return next((least for least, fastest, _ in ADDING_UP if pace >= fastest), ADDING_UP[-1][0])


def _are_equal(windows: Doubles, pace: Doubles) -> Flags:
    """Which of (n, k) pauses are equal, row by row, but for one where frames are missing."""
    times = _times(windows, pace)
    equal = np.abs(windows - times * pace) <= _slack(pace)
    return np.asarray(equal.all(axis=1) & ((times > 1).sum(axis=1) <= 1))


def _are_all_equal(windows: Doubles, pace: Doubles) -> Flags:
    return np.asarray((np.abs(windows - pace) <= _slack(pace)).all(axis=1))


def _add_up(windows: Doubles, pace: Doubles) -> Flags:
    """Which of (n, k) pauses add up to an even pace, row by row, by clocks of whole seconds."""
    times = np.where(pace >= BY_HAND, _times(windows, pace), 1)
    fitted = windows.sum(axis=1, keepdims=True) / times.sum(axis=1, keepdims=True)
    behind = np.cumsum(windows - times * fitted, axis=1)
    even = np.ptp(behind, axis=1) <= 1 + _slack(fitted)[:, 0]
    return np.asarray(even & ((times > 1).sum(axis=1) <= 1))


def _times(windows: Doubles, pace: Doubles) -> Doubles:
    """(n, k) how many times the pace each pause is, more than once where frames are missing."""
    return np.clip(np.rint(windows / np.maximum(pace, 0.1)), 1, 1 + MISSING)


def _slack(pace: Doubles) -> Doubles:
    return np.minimum(SHARE * pace, MOST)


def _by_chance(pauses: Doubles, first: int, last: int) -> bool:
    """Whether a short series is a part of one that a person's finger set, and that is uneven."""
    pace = pauses[first : last + 1].mean()
    beside = [pauses[k] for k in (first - 1, last + 1) if 0 <= k < len(pauses)]
    is_short = last - first + 2 < _long(pace) and pace < BY_HAND
    return is_short and any(pause <= 2 * pace for pause in beside)


def _runs(even: Flags) -> Iterator[tuple[int, int]]:
    """The first and the last of the pauses of each series."""
    edges = np.diff(np.concatenate([[False], even, [False]]).astype(np.int8))
    firsts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    yield from zip(firsts.tolist(), (ends - 1).tolist(), strict=True)
