"""Scenes: the moments of a roll, chains of photos by time and similarity, across cameras.

The longer the pause, the more alike must two photos be. A scene that is cut in two costs a photo
too many; two that are joined could cost the only photo of one: in doubt they are apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from iqcli.culling.grouping import bursts
from iqcli.culling.grouping.frames import MINUTE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from iqcli.culling.grouping.frames import Frames
    from iqcli.records import Integers

# Seconds between two photos of one camera that are of one moment whatever they show; of any
# that look alike as frames of a burst do; and of any that look hardly different.
AT_ONCE, SOON, LATER = 5.0, 60.0, 600.0
# Of pairs of unrelated photos 0.2 % look so alike.
LIGHT, CONTENT = 0.85, 0.98
# Each photo is held against so many before it: what was taken between two tells nothing of them.
BACK = 4


def scenes(frames: Frames, groups: Iterable[Integers]) -> list[Integers]:
    """The members of each scene, two at least; every group lies in one of them, or in none.

    Photos without a time are of no scene, unless they are in a group with one that has a time.
    """
    order = np.flatnonzero(~np.isnan(frames.seconds))
    order = order[np.argsort(frames.seconds[order], kind="stable")]
    edges = [_edges(frames, order[:-back], order[back:]) for back in range(1, BACK + 1)]
    edges += [np.stack([members[:-1], members[1:]]) for members in groups]
    labels = components(len(frames), np.concatenate([*edges, np.zeros((2, 0), np.int64)], axis=1))
    by_scene = np.argsort(labels, kind="stable")
    parts = np.split(by_scene, np.flatnonzero(np.diff(labels[by_scene])) + 1)
    timed = ~np.isnan(frames.seconds)
    return [part for part in parts if len(part) > 1 and timed[part].any()]


def _edges(frames: Frames, one: Integers, other: Integers) -> Integers:
    """(2, k) of the pairs that are of one scene."""
    gaps = frames.gaps(one, other)
    # A clock without seconds says that little less.
    gaps += MINUTE * ~(frames.fine[one] & frames.fine[other])
    near = gaps <= LATER
    one, other, gaps = one[near], other[near], gaps[near]
    camera = frames.camera[one]
    at_once = (gaps <= AT_ONCE) & (camera >= 0) & (camera == frames.camera[other])
    # Photos that were sent one after the other need not be of one moment.
    sent = frames.sent[one] | frames.sent[other]
    soon = (gaps <= SOON) & ~sent
    soon &= frames.descriptors.alike(one, other, bursts.LIGHT, bursts.CONTENT)
    alike = frames.descriptors.alike(one, other, LIGHT, CONTENT)
    alike[sent] = bursts.closely_alike(frames, one[sent], other[sent])
    joined = at_once | soon | alike
    return np.stack([one[joined], other[joined]])


def components(count: int, edges: Integers) -> Integers:
    """(count,) the smallest number that each is joined to by (2, k) edges, at most its own.

    Not by `scipy.sparse.csgraph`: its import costs every cull more time than this does.
    """
    parent: Integers = np.arange(count)
    while True:
        roots = parent[edges]
        low, high = roots.min(axis=0), roots.max(axis=0)
        if (low == high).all():
            return parent
        np.minimum.at(parent, high, low)
        while (parent[parent] != parent).any():
            parent = parent[parent]
