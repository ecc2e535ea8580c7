"""Exposure brackets: frames of one thing that were let more and less light in on purpose.

A bracket is known by evenly spaced exposures (or exposure compensations), and by pictures that grow
lighter with them. How alike the frames are tells little: one at +2 EV hardly is like one at -2.
Frames that the camera takes in one go lie close in time; who turns the dial needs longer and takes
more of them. Repeated brackets in a row are several.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iqcli.culling.grouping.frames import Frames
    from iqcli.records import Doubles, Flags, Integers

# Frames of a bracket, and those of one that was set by hand.
LEAST, BY_HAND, MOST = 3, 5, 15
# Seconds between two frames: taken in one go, or by hand.
GAP, HAND_GAP = 4.0, 30.0
# The smallest step in EV (cameras offer thirds), and how far steps may differ, in EV or as a share:
# what stands in a file are rounded names of shutter speeds.
STEP, SLACK, SHARE = 0.25, 0.12, 0.2
# By what share of a step the outermost one may be longer.
OUTER = 0.3
# Beyond this span in EV pictures are black or white at one end.
SPAN = 4.0
# How much lighter, in powers of two of the mean luma an EV, pictures must become at least; real
# brackets reach 0.25 and more.
LIGHTER = 0.1
# The light of two frames that follow each other in exposure; real ones correlate at 0.85 and more.
SIMILARITY = 0.6
# Frames nearly black or nearly white have no light to compare.
DARK, BRIGHT = 8.0, 247.0


def brackets(frames: Frames, free: Flags) -> list[Integers]:
    """The members of each bracket, in order of time, among the frames that are `free`."""
    compensated = list(_by(frames.bias, frames, free))
    free = free.copy()
    for members in compensated:
        free[members] = False
    # Where the compensation stays the same, as with a camera that is set by hand.
    kept = np.nan_to_num(frames.bias)
    return [*compensated, *_by(frames.exposure, frames, free, kept)]


def _by(
    values: Doubles, frames: Frames, free: Flags, kept: Doubles | None = None
) -> Iterator[Integers]:
    """The brackets by one kind of EV, in which the other, `kept`, stays the same."""
    order, same = frames.strips(free & frames.fine & ~np.isnan(values))
    linked = same & (frames.gaps(order[:-1], order[1:]) <= HAND_GAP)
    if kept is not None:
        linked &= np.abs(np.diff(kept[order])) < STEP
    for first, count in _places(frames, values[order], order, linked):
        yield order[first : first + count]


def _places(
    frames: Frames, ev: Doubles, order: Integers, linked: Flags
) -> Iterator[tuple[int, int]]:
    """Where in `order` each bracket begins, and how many frames it has."""
    pairs = linked & (np.abs(np.diff(ev)) >= STEP)
    done = 0
    for first in np.flatnonzero(pairs[:-1] & pairs[1:]).tolist():
        if first < done:
            continue
        most = _most(ev, linked, first)
        sizes = range(most, LEAST - 1, -1)
        parts = ((n, slice(first, first + n)) for n in sizes)
        size = next((n for n, part in parts if _is_one(frames, ev[part], order[part])), 0)
        if size:
            yield first, size
            done = first + size


def _most(ev: Doubles, linked: Flags, first: int) -> int:
    """How many frames there are until an exposure comes again, or a pause."""
    count = 1
    while count < MOST and first + count < len(ev) and linked[first + count - 1]:
        if (np.abs(ev[first : first + count] - ev[first + count]) < STEP).any():
            break
        count += 1
    return count


def _is_one(frames: Frames, values: Doubles, members: Integers) -> bool:
    gap = frames.gaps(members[:-1], members[1:]).max()
    if gap > (HAND_GAP if len(members) >= BY_HAND else GAP):
        return False
    by_light = np.argsort(values, kind="stable")
    return _even(values[by_light]) and _follows(frames, members[by_light], values[by_light])


def _even(values: Doubles) -> bool:
    """Whether sorted exposures have equal steps.

    Of many frames the outermost may be where the shutter can do no more.
    """
    steps = np.diff(values)
    inner = steps[1:-1] if len(values) >= BY_HAND else steps
    step = float(np.median(inner))
    apart = float(np.abs(inner - step).max())
    slack = max(SLACK, SHARE * step)
    return step >= STEP and apart <= slack and float(steps.max()) <= step * (1 + OUTER) + SLACK


def _follows(frames: Frames, members: Integers, values: Doubles) -> bool:
    """Whether pictures of one thing grow lighter with the exposure, where they are seen."""
    seen = frames.descriptors.seen[members]
    members, values = members[seen], values[seen]
    if len(members) < 2:
        return True
    mean = frames.descriptors.mean[members]
    span = min(values[-1] - values[0], SPAN)
    lighter = np.log2(max(float(mean[-1]), 1)) - np.log2(max(float(mean[0]), 1))
    clear = (mean > DARK) & (mean < BRIGHT)
    pairs = clear[:-1] & clear[1:]
    similarity = frames.descriptors.light_similarity(members[:-1], members[1:])
    grows = bool((np.diff(mean) >= -1).all()) and lighter >= LIGHTER * span
    return grows and bool((similarity[pairs] >= SIMILARITY).all())
