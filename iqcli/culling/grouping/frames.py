"""The photos of a run as columns, so that grouping can work on thousands at once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from iqcli.culling.grouping.similarity import descriptors_of
from iqcli.photos.filenames import burst_of_name
from iqcli.records import is_damaged

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from iqcli.culling.grouping.similarity import Descriptors
    from iqcli.records import Doubles, Flags, Integers, Photo


# Local, whatever the place.
EPOCH = datetime(1970, 1, 1)
DAY, MINUTE = 86_400, 60


@dataclass(frozen=True, slots=True)
class Frames:
    """n photos in the order of their paths' bytes; (n,) each.

    `folder` and `camera` are numbers, -1 where the camera is unknown. `seconds` is the local
    time, NaN where it is unknown; `ahead` how many seconds it is ahead of UTC, NaN where unknown;
    `split`: the time has sub-seconds; `fine`: the clock has seconds.
    `marks` identify the burst by the maker's tags or the name. `bias` and `exposure` are in EV, NaN
    where unknown.
    """

    folder: Integers
    camera: Integers
    seconds: Doubles
    ahead: Doubles
    split: Flags
    fine: Flags
    marks: Sequence[str | None]
    bias: Doubles
    exposure: Doubles
    descriptors: Descriptors

    def __len__(self) -> int:
        return len(self.seconds)

    def gaps(self, one: Integers, other: Integers) -> Doubles:
        """(k,) seconds between k pairs of frames.

        A clock that was set to another zone between two frames tells how long it was by UTC. Those
        of two cameras need not agree on the zone: there the local times count.
        """
        moved = self.ahead[other] - self.ahead[one]
        own = (self.camera[one] == self.camera[other]) & (self.camera[one] >= 0)
        local = self.seconds[other] - self.seconds[one]
        found: Doubles = np.abs(local - np.where(own, np.nan_to_num(moved), 0))
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


def frames_of(photos: Sequence[Photo]) -> Frames:
    """The columns of shots that are sorted by path."""
    names = [os.path.split(each.shot.path) for each in photos]
    facts = [each.facts for each in photos]
    times = [_moment(each.taken if each else None) for each in facts]
    seconds = np.array([time for time, _, _ in times], np.float64)
    split = np.array([exact for _, _, exact in times], np.bool_)
    camera = numbered(each.camera if each else None for each in facts)
    marks = [
        (each.burst if each else None) or burst_of_name(name)
        for each, (_, name) in zip(facts, names, strict=True)
    ]
    return Frames(
        folder=numbered(folder for folder, _ in names),
        camera=camera,
        seconds=seconds,
        ahead=np.array([ahead for _, ahead, _ in times], np.float64),
        split=split,
        fine=_fine(camera, seconds, split),
        marks=marks,
        bias=_ev(each.bias if each else None for each in facts),
        exposure=_ev(each.exposure if each else None for each in facts),
        descriptors=descriptors_of(
            [each.descriptor for each in photos], [is_damaged(each) for each in photos]
        ),
    )


def _moment(taken: str | None) -> tuple[float, float, bool]:
    """Seconds of local time since 1970, ahead of UTC, and whether they have sub-seconds."""
    try:
        when = datetime.fromisoformat(taken or "")
    except ValueError:
        return np.nan, np.nan, False
    offset = when.utcoffset()
    ahead = np.nan if offset is None else offset.total_seconds()
    local = (when.replace(tzinfo=None) - EPOCH).total_seconds()
    return local, ahead, "." in (taken or "")


def _fine(camera: Integers, seconds: Doubles, split: Flags) -> Flags:
    """Which clocks tell seconds, by camera and day.

    Scans and times that a person typed all stand on the minute: they lie together by that alone.
    """
    fine: Flags = np.zeros(len(seconds), np.bool_)
    timed = np.flatnonzero(~np.isnan(seconds))
    days = np.floor(seconds[timed] / DAY).astype(np.int64)
    _, clock = np.unique(np.stack([camera[timed], days]), axis=1, return_inverse=True)
    ticks = split[timed] | (seconds[timed] % MINUTE != 0)
    fine[timed] = (np.bincount(clock.ravel(), weights=ticks) > 0)[clock.ravel()]
    return fine


def numbered(values: Iterable[str | None]) -> Integers:
    """Equal values get equal numbers, None gets -1."""
    known: dict[str, int] = {}
    return np.array(
        [-1 if each is None else known.setdefault(each, len(known)) for each in values], np.int64
    )


def _ev(values: Iterable[float | None]) -> Doubles:
    return np.array([np.nan if each is None else each for each in values], np.float64)
