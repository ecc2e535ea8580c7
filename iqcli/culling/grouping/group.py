"""Which photos belong together: bursts, sets that are worth nothing in parts, and scenes.

    set     frames that one picture or film is made of: see `brackets`, `panoramas`, `timelapse`
    burst   frames of one thing within moments, of which one is wanted: see `bursts`
    scene   a moment of the roll: see `scenes`

Sets come first, bursts are made of what they leave, and each lies in one scene. `sections` puts the
scored photos of a run in groups, to be compared side by side.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from iqcli.culling.grouping.brackets import brackets
from iqcli.culling.grouping.bursts import CONTENT, LIGHT, bursts
from iqcli.culling.grouping.frames import frames_of, still
from iqcli.culling.grouping.panoramas import panoramas
from iqcli.culling.grouping.scenes import scenes
from iqcli.culling.grouping.timelapse import timelapses
from iqcli.culling.rules import is_scored
from iqcli.photos.times.capture_time import local_days
from iqcli.records import FrameSet, best_first, is_damaged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from iqcli.culling.grouping.frames import Frames
    from iqcli.records import Flags, Integers, Photo

    Parts = list[Integers]

# Scores nearer to that of the best frame are a tie, in points: see `order_within`. The narrowest
# width that orders 50 training scenes of BIQ2021 best (.90 of the best frames found, .86 without);
# widths up to 0.4 hardly differ.
TIE = 0.1


def group(photos: Sequence[Photo]) -> list[Photo]:
    """The same shots in the same order, with `group`, `scene` and `frame_set`.

    Any order gives the same groups. They are numbered by the time of their first photo, those
    without any time last, by its path: b0001 and on are bursts and sets, s0001 and on scenes. A
    photo alone has neither, though it has a `frame_set` where the camera stitched it. A copy is no
    frame beside its original: it is only of a group of copies of other photos in another folder,
    and of the scene of its original.
    """
    originals = _Grouped.of(photos, [k for k, each in enumerate(photos) if each.copy is None])
    copies = _Grouped.of(photos, _copied_elsewhere(photos))
    changes: list[dict[str, object]] = [{} for _ in photos]
    for each in (originals, copies):
        for place in each.stitched:
            changes[place]["frame_set"] = FrameSet.PANORAMA
    for name, part in _numbered("b", [*originals.groups, *copies.groups]):
        for place in part.places:
            changes[place] |= {"group": name} | ({"frame_set": part.kind} if part.kind else {})
    for name, part in _numbered("s", originals.scenes):
        for place in part.places:
            changes[place]["scene"] = name
    of = {each.shot.path: place for place, each in enumerate(photos) if each.copy is None}
    found = with_days(photos)
    for place, own in enumerate(changes):
        if copy := photos[place].copy:
            own["scene"] = changes[of[copy.of]].get("scene")
        if own:
            found[place] = replace(found[place], **own)  # type: ignore[arg-type]
    return found


def _copied_elsewhere(photos: Sequence[Photo]) -> list[int]:
    """The places of copies in other folders than their originals, one of each in a folder."""
    found: dict[tuple[Path, Path], int] = {}
    by_path = sorted(range(len(photos)), key=lambda k: os.fsencode(photos[k].shot.path))
    for place in by_path:
        copy, folder = photos[place].copy, photos[place].shot.path.parent
        if copy and copy.of.parent != folder:
            found.setdefault((folder, copy.of), place)
    return list(found.values())


def with_days(photos: Sequence[Photo]) -> list[Photo]:
    """The same shots in the same order, with the `day` on which each was taken, as it was there."""
    days = local_days([each.facts.taken if each.facts else None for each in photos])
    return [
        each if day is None else replace(each, day=day)
        for each, day in zip(photos, days, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Part:
    """Photos that belong together, by their places, and what they are numbered by."""

    places: list[int]
    key: tuple[float, bytes]
    kind: FrameSet | None = None


@dataclass(frozen=True, slots=True)
class _Grouped:
    """The groups and scenes of some photos, and those that the camera stitched, by their places."""

    groups: list[_Part]
    scenes: list[_Part]
    stitched: list[int]

    @classmethod
    def of(cls, photos: Sequence[Photo], places: Sequence[int]) -> _Grouped:
        order = sorted(places, key=lambda place: os.fsencode(photos[place].shot.path))
        frames = frames_of([photos[place] for place in order])
        trusted = _trusted(frames, in_folder=True)
        stitched = np.array([_is_stitched(photos[place]) for place in order], np.bool_)
        kinds, groups = _groups(frames, trusted, ~stitched)

        def part(members: Integers, kind: FrameSet | None = None) -> _Part:
            times = frames.seconds[members]
            first = float(np.nanmin(times)) if (times == times).any() else np.inf
            path = os.fsencode(photos[order[int(members.min())]].shot.path)
            return _Part([order[k] for k in members.tolist()], (first, path), kind)

        return cls(
            [part(members, kinds.get(int(members[0]))) for members in groups],
            [part(members) for members in scenes(_trusted(frames), groups)],
            [order[k] for k in np.flatnonzero(stitched)],
        )


def _is_stitched(photo: Photo) -> bool:
    return photo.facts is not None and photo.facts.panorama


def _trusted(frames: Frames, *, in_folder: bool = False) -> Frames:
    """The same without times at which a clock stood still: they join nothing.

    Bursts and sets lie `in_folder`, scenes need not.
    """
    stopped = still(frames, LIGHT, CONTENT, in_folder=in_folder)
    return replace(frames, seconds=np.where(stopped, np.nan, frames.seconds))


def _groups(frames: Frames, trusted: Frames, free: Flags) -> tuple[dict[int, FrameSet], Parts]:
    """What kind of set each frame is of, and the members of all sets and bursts.

    What is not `free` is in none of them. The frames of a bracket or panorama may have one time and
    not look alike; what they are is seen by more than that.
    """
    kinds: dict[int, FrameSet] = {}
    groups: Parts = []
    for kind, part in _sets(frames, trusted, free := free.copy()):
        kinds |= dict.fromkeys(part.tolist(), kind)
        groups.append(part)
    return kinds, groups + bursts(trusted, free)


def _sets(frames: Frames, trusted: Frames, free: Flags) -> Iterator[tuple[FrameSet, Integers]]:
    """The sets among the frames that are `free`, which they then are no longer."""
    for kind, find, given in (
        (FrameSet.BRACKET, brackets, frames),
        (FrameSet.PANORAMA, panoramas, frames),
        (FrameSet.TIMELAPSE, timelapses, trusted),
    ):
        for part in find(given, free.copy()):
            free[part] = False
            yield kind, part


def frame_sets(photos: Sequence[Photo]) -> dict[Path, int]:
    """A number for each set among these photos, by the paths of its frames."""
    ordered = sorted(photos, key=lambda each: os.fsencode(each.shot.path))
    paths = [each.shot.path for each in ordered]
    free: Flags = np.array([not _is_stitched(each) for each in ordered], np.bool_)
    parts = [[place] for place in np.flatnonzero(~free).tolist()]
    frames = frames_of(ordered)
    parts += [part.tolist() for _, part in _sets(frames, _trusted(frames, in_folder=True), free)]
    return {paths[place]: number for number, part in enumerate(parts) for place in part}


def _numbered(letter: str, parts: Sequence[_Part]) -> list[tuple[str, _Part]]:
    ordered = sorted(parts, key=lambda part: part.key)
    return [(f"{letter}{n:04}", part) for n, part in enumerate(ordered, 1)]


def key_of(photo: Photo, per: str) -> str | None:
    """The key of the photos that one is compared with; None: it is compared with none.

    `per` is copies, burst, scene, day, folder or all. A photo in no burst or scene has None, and so
    has one without a date where the day counts: it is unknown what to compare it with. A burst
    without a time is a scene of its own.
    """
    if per == "burst":
        return photo.group
    if per == "copies":
        return os.fspath(photo.copy.of if photo.copy else photo.shot.path)
    if per == "scene":
        return photo.scene or photo.group
    if per == "day":
        return photo.day
    return str(photo.shot.path.parent) if per == "folder" else "all"


def order_within(members: Sequence[Photo]) -> list[Photo]:
    """The frames of one burst, best first; those without a score last, by their paths.

    Frames whose scores are within `TIE` of the best are ordered by sharpness, and so on with the
    best of the rest: which are near depends on one frame alone, so that no three can be in a
    circle. A sharpness that is not known counts as the median of the others. Damaged frames come
    behind all that are whole.
    """
    whole = [each for each in members if not is_damaged(each)]
    damaged = [each for each in members if is_damaged(each)]
    if whole and damaged:
        return [*order_within(whole), *order_within(damaged)]
    scored = sorted((each for each in members if is_scored(each)), key=best_first)
    rest = [each for each in members if not is_scored(each)]
    found: list[Photo] = []
    while scored:
        best = scored[0].rating
        assert best
        near = [each for each in scored if each.rating and best.score - each.rating.score <= TIE]
        found += _sharpest_first(near)
        scored = scored[len(near) :]
    return [*found, *sorted(rest, key=lambda each: os.fsencode(each.shot.path))]


def _sharpest_first(near: Sequence[Photo]) -> list[Photo]:
    known = [
        each.descriptor.sharpness
        for each in near
        if each.descriptor and each.descriptor.sharpness is not None
    ]
    middle = float(np.median(known)) if known else 0.0

    def key(each: Photo) -> tuple[float, tuple[float, bytes]]:
        sharpness = each.descriptor.sharpness if each.descriptor else None
        return -(middle if sharpness is None else sharpness), best_first(each)

    return sorted(near, key=key)


def order_scored(photos: Iterable[Photo]) -> list[Photo]:
    """The scored photos, best first, but a damaged one right behind the whole frames of its burst.

    See `order_within` for the frames of one burst among themselves.
    """
    order = sorted(photos, key=best_first)
    last = {each.group or "": place for place, each in enumerate(order) if not is_damaged(each)}

    def key(place: int) -> tuple[int, bool, int]:
        group = order[place].group
        behind = last.get(group, -1) if group and is_damaged(order[place]) else -1
        return max(place, behind), behind > place, place

    return [order[place] for place in sorted(range(len(order)), key=key)]


def sections(photos: Iterable[Photo], per: str) -> list[list[Photo]]:
    """The scored shots by `per` (see `iqcli.culling.grouping.group.key_of`), the best section
    first.

    Within a section the best is first, and the section with the best photo of all comes first.
    Photos that nobody can compare are each for themselves, but those without a date are one
    section of the days.
    """
    found: dict[object, list[Photo]] = {}
    for each in photos:
        if each.rating:
            key = key_of(each, per)
            own = key if key is not None or per == "day" else each.shot.path
            found.setdefault(own, []).append(each)
    parts = sorted(found.values(), key=lambda members: min(map(best_first, members)))
    if per == "burst":
        return [order_within(members) for members in parts]
    if per == "copies":
        # The original comes first, whatever the scores are.
        return [sorted(order_scored(part), key=lambda each: bool(each.copy)) for part in parts]
    return [order_scored(members) for members in parts]
