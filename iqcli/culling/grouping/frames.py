"""The photos of a run as columns, so that grouping can work on thousands at once."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iqcli.culling.grouping.similarity import descriptors_of
from iqcli.photos.names.burst_names import burst_of_name
from iqcli.photos.times.capture_time import EXIF, IPTC, PNG, XMP, timeline
from iqcli.records import is_damaged

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from iqcli.culling.grouping.similarity import Descriptors
    from iqcli.records import Doubles, Facts, Flags, Integers, Photo


DAY, MINUTE = 86_400, 60
# Sources of a time that the file itself holds.
OWN = (EXIF, XMP, IPTC, PNG)


@dataclass(frozen=True, slots=True)
class Frames:
    """n photos in the order of their paths' bytes; (n,) each.

    `folder` and `camera` are numbers, -1 where the camera is unknown. `seconds` is the time, see
    `capture_time.timeline`, NaN where it is unknown or a day alone; `split`: it has sub-seconds;
    `fine`: its clock has seconds; `sent`: neither the file nor a camera tells it, so that it may be
    when the photo was sent.
    `marks` identify the burst by the maker's tags or the name, where several have the same. `bias`
    and `exposure` are in EV, NaN where unknown.
    """

    folder: Integers
    camera: Integers
    seconds: Doubles
    split: Flags
    fine: Flags
    sent: Flags
    marks: Sequence[str | None]
    bias: Doubles
    exposure: Doubles
    descriptors: Descriptors

    def __len__(self) -> int:
        return len(self.seconds)

    def gaps(self, one: Integers, other: Integers) -> Doubles:
        """(k,) seconds between k pairs of frames."""
        found: Doubles = np.abs(self.seconds[other] - self.seconds[one])
        return found

    def strips(self, which: Flags) -> tuple[Integers, Flags]:
        """Those frames camera by camera, folder by folder, in order of time.

        And of each but the last whether the next one is of the same camera and folder. Equal times
        are in the order of their paths. Frames without a time are left out.
        """
        places = np.flatnonzero(which & ~np.isnan(self.seconds))
        keys = (places, self.seconds[places], self.camera[places], self.folder[places])
        order = places[np.lexsort(keys)]
        one, other = order[:-1], order[1:]
        same: Flags = self.folder[one] == self.folder[other]
        return order, same & (self.camera[one] == self.camera[other])


def frames_of(photos: Sequence[Photo], *, described: bool = True) -> Frames:
    """The columns of shots that are sorted by path; descriptors are left out unless `described`."""
    names = [os.path.split(each.shot.path) for each in photos]
    facts = [each.facts for each in photos]
    taken = [each.taken if each else None for each in facts]
    seconds = np.array([np.nan if time is None else time for time in timeline(taken)], np.float64)
    clock = numbered(_clock(each, folder) for each, (folder, _) in zip(facts, names, strict=True))
    split = _split(clock, taken)
    camera = numbered(each.camera if each else None for each in facts)
    found = [
        (each.burst if each else None) or burst_of_name(name)
        for each, (_, name) in zip(facts, names, strict=True)
    ]
    shared = {mark for mark, count in Counter(found).items() if count > 1}
    marks = [mark if mark in shared else None for mark in found]
    return Frames(
        folder=numbered(folder for folder, _ in names),
        camera=camera,
        seconds=seconds,
        split=split,
        fine=_fine(clock, seconds, split),
        sent=(camera < 0) & np.array([_is_sent(each) for each in facts], np.bool_),
        marks=marks,
        bias=_ev(each.bias if each else None for each in facts),
        exposure=_ev(each.exposure if each else None for each in facts),
        descriptors=descriptors_of(
            [each.descriptor if described else None for each in photos],
            [is_damaged(each) for each in photos],
        ),
    )


def _clock(facts: Facts | None, folder: str) -> Hashable:
    """What tells the time: one camera, or what tells it of the unknown ones of a folder."""
    if facts is None:
        return None
    return (facts.camera, facts.taken_from) if facts.camera else (folder, facts.taken_from, None)


def _is_sent(facts: Facts | None) -> bool:
    return facts is not None and facts.taken_from not in (None, *OWN)


def _split(clock: Integers, taken: Sequence[str | None]) -> Flags:
    """Which times have parts of a second; some clocks write zeros for want of any."""
    parts = [each and re.search(r"\.(\d+)", each) for each in taken]
    ticking = {at for at, part in zip(clock.tolist(), parts, strict=True) if part and int(part[1])}
    known = [bool(part) and at in ticking for at, part in zip(clock.tolist(), parts, strict=True)]
    return np.array(known, np.bool_)


def _fine(clock: Integers, seconds: Doubles, split: Flags) -> Flags:
    """Which times have seconds. One on the minute has, where another of its clock within a day has.

    Scans and times that a person typed all stand on the minute: they lie together by that alone.
    """
    fine: Flags = np.zeros(len(seconds), np.bool_)
    timed = np.flatnonzero(~np.isnan(seconds))
    order = timed[np.lexsort((seconds[timed], clock[timed]))]
    ticks = split[order] | (seconds[order] % MINUTE != 0)
    fine[order] = ticks
    for way in (slice(None), slice(None, None, -1)):
        along, ticking = order[way], ticks[way]
        if len(along):
            # The place of the last one so far that ticks; before the first, that of any other.
            last = np.maximum.accumulate(np.where(ticking, np.arange(len(along)), 0))
            near = along[last]
            apart = np.abs(seconds[near] - seconds[along])
            fine[along] |= ticking[last] & (clock[near] == clock[along]) & (apart <= DAY)
    return fine


def numbered(values: Iterable[Hashable]) -> Integers:
    """Equal values get equal numbers, None gets -1."""
    known: dict[Hashable, int] = {}
    return np.array(
        [-1 if each is None else known.setdefault(each, len(known)) for each in values], np.int64
    )


def still(frames: Frames, light: float, content: float, *, in_folder: bool = False) -> Flags:
    """Which frames have a time at which their clock stood still: it tells nothing of them.

    Several photos of one camera have it, and half of them or more do not look like the one before
    (see `Descriptors.alike` for the limits). The frames of a fast burst do. With `in_folder` they
    lie in one folder: two people may have the same camera, and press at the same time.
    """
    clock = frames.camera
    if in_folder:
        clock = clock * (int(frames.folder.max(initial=0)) + 1) + frames.folder
    places = np.flatnonzero(~np.isnan(frames.seconds) & frames.descriptors.seen)
    order = places[np.lexsort((places, frames.seconds[places], clock[places]))]
    one, other = order[:-1], order[1:]
    equal = (clock[one] == clock[other]) & (frames.gaps(one, other) == 0)
    unlike = equal.copy()
    unlike[equal] = ~frames.descriptors.alike(one[equal], other[equal], light, content)
    moment = np.concatenate([[0], np.cumsum(~equal)])[: len(order)]
    pairs, different = (
        np.bincount(moment[1:], weights=each, minlength=len(order)) for each in (equal, unlike)
    )
    found: Flags = np.zeros(len(frames), np.bool_)
    found[order] = ((pairs > 0) & (2 * different >= pairs))[moment]
    return found


def _ev(values: Iterable[float | None]) -> Doubles:
    return np.array([np.nan if each is None else each for each in values], np.float64)
