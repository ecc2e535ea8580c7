"""Bursts: frames that one camera took of one thing within moments.

The maker's own mark in the file, or the name that it gave, decides, unless the times say otherwise.
A name that others give as well is too little: such frames have to look alike. Frames without a mark
are a burst where they follow each other at once and look alike. A burst lies in one folder: a copy
elsewhere is another photo of its owner, not another frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from iqcli.photos.names.burst_names import is_named, is_weak

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iqcli.culling.grouping.frames import Frames
    from iqcli.records import Flags, Integers

# Between two frames, in seconds: where both times have sub-seconds, and where the clock
# cuts off up to a second of each.
GAP, CUT_GAP = 1.0, 2.0
# The same between frames of one name, which may not be in the order of their times.
NAMED_GAP = 30.0
# The least similarity, of the light or of the embeddings. Of pairs of unrelated photos 1.5 % reach
# it; of frames of one scene that are not also lit otherwise 0.2 % do not, nor 1.2 % of pictures
# moved by a twentieth of their width.
LIGHT, CONTENT = 0.70, 0.95
# The least similarity of the light and of its pattern where the time may be that of a message:
# photos that have nothing to do with each other are sent within a second. Of a million pairs of
# unrelated photos 24 look so alike, of the frames of bursts (BIQ2021) 81 of 100.
SENT_LIGHT, SENT_PATTERN = 0.85, 0.6


def bursts(frames: Frames, free: Flags) -> list[Integers]:
    """The members of each burst, two at least, among the frames that are `free`."""
    marked = list(_marked(frames, free))
    left = free.copy()
    for members in marked:
        left[members] = False
    return [*marked, *_close(frames, left)]


def _marked(frames: Frames, free: Flags) -> Iterator[Integers]:
    """By the maker's marks, which mean one burst only inside one folder and of one camera."""
    by_mark: dict[tuple[int, str], list[int]] = {}
    for place in np.flatnonzero(free).tolist():
        if (own := frames.marks[place]) is not None:
            by_mark.setdefault((int(frames.folder[place]), own), []).append(place)
    for (_, mark), found in by_mark.items():
        members = np.array(found)
        cameras = frames.camera[members]
        known = np.unique(cameras[cameras >= 0])
        # A frame that cannot be read tells no camera: the name alone puts it to the others.
        parts = [members] if len(known) < 2 else [members[cameras == each] for each in known]
        if is_named(mark):
            parts = [near for part in parts for near in _cut(frames, part, is_weak(mark))]
        yield from (part for part in parts if len(part) > 1)


def _cut(frames: Frames, members: Integers, weak: bool) -> list[Integers]:
    """The members of one name cut wherever one is far off the one before.

    By a `weak` name also where it does not look like it. One that could not be read goes with those
    before it.
    """
    seen = frames.descriptors.seen[members]
    there = members[seen]
    one, other = there[:-1], there[1:]
    timed = (frames.camera[there] >= 0) & ~frames.sent[there] & ~np.isnan(frames.seconds[there])
    sure = timed[:-1] & timed[1:]
    near = closely_alike(frames, one, other)
    near[sure] = frames.descriptors.alike(one[sure], other[sure], LIGHT, CONTENT)
    near |= not weak
    near &= ~(frames.gaps(one, other) > NAMED_GAP)
    part = np.concatenate([[0], np.cumsum(~near)])
    of = part[np.maximum(np.cumsum(seen) - 1, 0)] if len(there) else np.zeros(len(members), int)
    return np.split(members, np.flatnonzero(np.diff(of)) + 1)


def closely_alike(frames: Frames, one: Integers, other: Integers) -> Flags:
    """Which of k pairs look so alike that their times need not tell much."""
    seen = frames.descriptors
    found: Flags = seen.seen[one] & seen.seen[other]
    found &= seen.light_similarity(one, other) >= SENT_LIGHT
    return found & (seen.pattern_similarity(one, other) >= SENT_PATTERN)


def _close(frames: Frames, free: Flags) -> list[Integers]:
    """By time and similarity, each frame with the one before it."""
    order, same = frames.strips(free & frames.fine & frames.descriptors.seen)
    one, other = order[:-1], order[1:]
    gaps = frames.gaps(one, other)
    exact = frames.split[one] & frames.split[other]
    near = same & (gaps <= np.where(exact, GAP, CUT_GAP))
    near[near] = frames.descriptors.alike(one[near], other[near], LIGHT, CONTENT)
    sent = near & (frames.sent[one] | frames.sent[other])
    near[sent] = closely_alike(frames, one[sent], other[sent])
    parts = np.split(order, np.flatnonzero(~near) + 1)
    return [part for part in parts if len(part) > 1]
