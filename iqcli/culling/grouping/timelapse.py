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

# Frames that show an even pace: each pause is the same; a pause may be as short as a person's; and
# the pauses add up, though a clock without fractions shows two sorts of them.
LEAST, LEAST_FAST, LEAST_ROUNDED = 8, 10, 24
# Seconds: the fastest pace, where it is one that a person may have, and the slowest.
FASTEST, FAST, SLOWEST = 0.9, 1.5, 900.0
# Up to this pace a person may go on as fast before and after.
BY_HAND = 3.0
# How far a pause may be from the pace, as a share of it, and in seconds.
SHARE, MOST = 0.1, 1.0
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
    for least in (LEAST, LEAST_FAST, LEAST_ROUNDED):
        if len(pauses) < least - 1:
            break
        windows = sliding_window_view(pauses, least - 1)
        pace = windows.mean(axis=1, keepdims=True)
        slack = np.minimum(SHARE * pace, MOST)
        if least == LEAST_ROUNDED:
            behind = np.cumsum(windows - pace, axis=1)
            even = behind.max(axis=1) - behind.min(axis=1) <= 1 + slack[:, 0]
        else:
            even = (np.abs(windows - pace) <= slack).all(axis=1)
        fastest = FAST if least == LEAST else FASTEST
        even &= (pace[:, 0] >= fastest) & (pace[:, 0] <= SLOWEST)
        for first in np.flatnonzero(even).tolist():
            found[first : first + least - 1] = True
    return found


def _by_chance(pauses: Doubles, first: int, last: int) -> bool:
    """Whether a short series is a part of one that a person's finger set, and that is uneven."""
    pace = pauses[first : last + 1].mean()
    beside = [pauses[k] for k in (first - 1, last + 1) if 0 <= k < len(pauses)]
    is_short = last - first + 2 < LEAST_ROUNDED and pace < BY_HAND
    return is_short and any(pause <= 2 * pace for pause in beside)


def _runs(even: Flags) -> Iterator[tuple[int, int]]:
    """The first and the last of the pauses of each series."""
    edges = np.diff(np.concatenate([[False], even, [False]]).astype(np.int8))
    firsts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    yield from zip(firsts.tolist(), (ends - 1).tolist(), strict=True)
