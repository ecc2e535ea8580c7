"""Copies: photos that hold the same picture, whatever their times, names and folders.

Byte for byte, or by their looks (`likeness`) where nothing else tells two frames apart. Each copy
names the most original photo of that picture. Which one that is never depends on the score: that
of a smaller or smoother copy may well be higher.
"""

from __future__ import annotations

import math
import os
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from iqcli.culling.grouping.frames import frames_of, numbered
from iqcli.culling.grouping.group import frame_sets
from iqcli.culling.grouping.likeness import Pictures, pairs
from iqcli.culling.grouping.scenes import components
from iqcli.culling.rules import Protection
from iqcli.photos.formats import PHOTO, RAW, RAW_KINDS, VIDEO, extension
from iqcli.photos.times.capture_time import is_doubtful, is_moment, timeline
from iqcli.records import CopyKind, CopyOf, is_damaged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from iqcli.culling.grouping.frames import Frames
    from iqcli.culling.grouping.likeness import Differ
    from iqcli.records import Flags, Integers, Photo, Shot

    # Of each kind of files: how many, and their bytes.
    Held = dict[str, tuple[int, int]]

PROTECTED = Protection()
# Formats that cameras write, by how original they are, and those that lose nothing.
BY_CAMERA = {"heif": 0, "jpeg": 1}
LOSSLESS = ("png", "tiff", "bmp", "pnm", "psd")
# Photos with so many times fewer bytes for their pixels were recompressed.
RECOMPRESSED = 2.0
# Names that messengers give to what they recompress.
MESSENGER = re.compile(
    r"IMG-\d{8}-WA\d+.*|WhatsApp Image .*|signal-\d{4}-\d\d-\d\d.*|photo_\d{4}-\d\d-\d\d_.*"
    r"|photo_\d+@.*|received_\d{6,}.*|FB_IMG_\d+.*|viber_image_.*|telegram-cloud-photo.*"
    r"|mmexport\d+.*|Snapchat-\d+.*|KakaoTalk_.*|PHOTO-\d{4}(-\d\d){5}.*|(IMG_|line_)?1\d{12}"
    r"|wx_camera_\d+.*|LINE_ALBUM_.*|\d{15,}_\d+(_\d+)*(_[no])?",
    re.ASCII | re.IGNORECASE,
)
# Names that cameras and phones give, and nothing added.
CAMERA = re.compile(
    r"_?[A-Z]{2,5}[_-]\d{1,8}|_?[A-Z]{2,5}\d{3,8}|[A-Z]\d{6,7}|\d{3}_\d{4}|DJI_\d.*"
    r"|(?:[A-Z]{2,5}_?)?\d{8}[_-]?\d{6,9}(?:[._][A-Z\d].*)?",
    re.ASCII,
)
# Clocks that were set to another zone differ by a multiple of so many seconds.
ZONE = 1800.0
# Exposures that differ by more, in EV, are of two frames.
EXPOSURE = 0.15


def with_copies(photos: Sequence[Photo], protect: Protection = PROTECTED) -> list[Photo]:
    """The same shots in the same order, with `copy` where a more original one has the picture.

    Any order gives the same copies. Where some of them are kept whatever the rule is, as `protect`
    says, one of these is the original. Two that are like a third need not be like each other: each
    is compared with its original.
    """
    sets = frame_sets(photos)
    whole = sets if protect.sets else {}
    kept = [bool(protect.reasons(e)) or bool(whole and e.shot.path in whole) for e in photos]
    held = [_held(each.shot) for each in photos]
    rank = [_Originality.of(*each) for each in zip(photos, kept, _ages(photos), held, strict=True)]
    order = sorted(range(len(photos)), key=lambda k: rank[k].order())
    ordered = [photos[k] for k in order]
    first = _first_of_equal(ordered)
    originals = np.flatnonzero(first == np.arange(len(first)))
    found_pairs = list(_near([ordered[k] for k in originals], sets))
    like = _assigned([rank[order[k]] for k in originals.tolist()], found_pairs)
    found = list(photos)
    by_looks = np.searchsorted(originals, first).tolist()
    for place, original in enumerate(first.tolist()):
        near, kind = like.get(by_looks[place], (None, None))
        if near is not None and kind is not None:
            like_it = order[originals[near]]
        elif original != place:
            like_it, kind = order[original], CopyKind.EXACT
        else:
            continue
        own = order[place]
        has_more = any(held[own][each] > held[like_it].get(each, (0, 0)) for each in held[own])
        copy = CopyOf(photos[like_it].shot.path, kind, has_more)
        found[own] = replace(photos[own], copy=copy)
    return _with_links(found, order)


def is_half_known(photo: Photo) -> bool:
    """Whether an earlier version measured a photo, so that no part of it is found elsewhere."""
    return photo.likeness is not None and photo.likeness.grey is None


def _held(shot: Shot) -> Held:
    """How many raw files, pictures and films a shot has beside its leading file, and their bytes.

    One that was cut off, or is empty, has fewer bytes. Sidecars do not count.
    """
    found: Held = {}
    for path in shot.companions:
        ext = extension(path.name)
        kind = "raw" if ext in RAW else "picture" if ext in PHOTO else "film"
        if kind != "film" or ext in VIDEO:
            try:
                size = path.stat().st_size
            except OSError:  # it has gone; applying a plan looks again
                size = 0
            count, total = found.get(kind, (0, 0))
            found[kind] = count + 1, total + size
    return found


def _with_links(photos: list[Photo], order: Sequence[int]) -> list[Photo]:
    """The same where second names of one file are no copies of it: they take no space."""
    first: dict[tuple[int, int], Path] = {}
    for place in order:
        each = photos[place]
        if each.file and each.file.inode:
            name = first.setdefault((each.file.device, each.file.inode), each.shot.path)
            if each.copy and name != each.shot.path:
                copy = replace(each.copy, kind=CopyKind.LINK, link=name)
                photos[place] = replace(each, copy=copy)
    return photos


def _first_of_equal(ordered: Sequence[Photo]) -> Integers:
    """(n,) for each photo the place of the first one with the same bytes.

    What is no picture, such as an empty file, is the first of none.
    """
    seen: dict[str, int] = {}
    return np.array(
        [
            seen.setdefault(each.sha256, place) if each.sha256 and each.facts else place
            for place, each in enumerate(ordered)
        ],
        np.int64,
    )


def _near(photos: Sequence[Photo], sets: Mapping[Path, int]) -> Iterator[tuple[int, int, CopyKind]]:
    """Pairs of photos that look like one picture, by their places, and how they differ."""
    known = [k for k, each in enumerate(photos) if each.likeness and each.facts and each.sha256]
    likes = [photos[k].likeness for k in known]
    sizes = [(f.width, f.height) for k in known if (f := photos[k].facts)]
    damaged = [is_damaged(photos[k]) for k in known]
    pictures = Pictures.of([each for each in likes if each], sizes, damaged)
    evidence = _Evidence.of([photos[k] for k in known], sets)
    for one, other, kind in pairs(pictures, evidence.differ):
        yield known[one], known[other], kind


def _assigned(
    rank: Sequence[_Originality], found: Sequence[tuple[int, int, CopyKind]]
) -> dict[int, tuple[int, CopyKind]]:
    """For each copy the most original photo that is none itself and looks like it."""
    like: dict[int, dict[int, CopyKind]] = defaultdict(dict)
    for one, other, kind in found:
        like[one][other] = like[other][one] = kind
    edges = np.array([pair[:2] for pair in found], np.int64).reshape(-1, 2).T
    parts: dict[int, list[int]] = defaultdict(list)
    for place, part in enumerate(components(len(rank), edges).tolist()):
        if place in like:
            parts[part].append(place)
    copies: dict[int, tuple[int, CopyKind]] = {}
    for part in parts.values():
        for place in _ordered(part, rank):
            if place not in copies:
                for other, kind in like[place].items():
                    copies.setdefault(other, (place, kind))
    return copies


def _ordered(part: Sequence[int], rank: Sequence[_Originality]) -> list[int]:
    """These places, the most original first, each held against those of its size and format."""
    densest: dict[tuple[int, ...], float] = defaultdict(float)
    for place in part:
        densest[rank[place].first] = max(densest[rank[place].first], rank[place].density)
    return sorted(part, key=lambda place: rank[place].order(densest[rank[place].first]))


def _ages(photos: Sequence[Photo]) -> list[float]:
    """When each was taken, in seconds since 1970; infinite where that is unknown or doubtful.

    A day alone counts by its end: a moment of that day says more.
    """
    known = [each.facts.taken if each.facts else None for each in photos]
    times = [None if taken is None or is_doubtful(taken) else taken for taken in known]
    ends = [taken if taken is None or is_moment(taken) else f"{taken}T23:59:59" for taken in times]
    return [math.inf if each is None else each for each in timeline(ends)]


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What tells that two photos are two frames, however alike they look; (n,) each."""

    frames: Frames
    stem: Integers
    named: Flags
    burst: Integers
    frame_set: Integers
    pixels: Integers

    @classmethod
    def of(cls, photos: Sequence[Photo], sets: Mapping[Path, int]) -> _Evidence:
        frames = frames_of(photos, described=False)
        stems = [each.shot.path.stem for each in photos]
        return cls(
            frames,
            numbered(stems),
            np.array([CAMERA.fullmatch(each) is not None for each in stems], np.bool_),
            numbered(frames.marks),
            numbered(sets.get(each.shot.path) for each in photos),
            np.array([f.width * f.height if (f := e.facts) else 0 for e in photos], np.int64),
        )

    @property
    def differ(self) -> Differ:
        """Whether pairs of photos are frames of one set or burst, or of other time or light.

        The latter are of one camera. Where its clock shows no parts of a second, names of its own
        count for pictures of one size. A time that is shifted by whole zones is no time of its own.
        """
        frames = self.frames

        def check(one: Integers, other: Integers) -> Flags:
            camera = (frames.camera[one] == frames.camera[other]) & (frames.camera[one] >= 0)
            apart = np.abs(frames.seconds[one] - frames.seconds[other])
            split = frames.split[one] & frames.split[other]
            shifted = apart % ZONE < 1e-3
            later = np.where(split, apart > 1e-3, apart >= 1) & ~(shifted & (apart > 0))
            renamed = self.stem[one] != self.stem[other]
            names = renamed & self.named[one] & self.named[other]
            names &= self.pixels[one] == self.pixels[other]
            lit = np.abs(frames.exposure[one] - frames.exposure[other]) > EXPOSURE
            lit |= np.abs(frames.bias[one] - frames.bias[other]) > EXPOSURE
            burst = (self.burst[one] == self.burst[other]) & (self.burst[one] >= 0) & renamed
            burst |= (self.frame_set[one] == self.frame_set[other]) & (self.frame_set[one] >= 0)
            found: Flags = burst | (camera & (later | ((apart < 1) & ~split & names) | lit))
            return found

        return check


@dataclass(frozen=True, slots=True)
class _Originality:
    """How original a photo is: what counts first, its bytes a pixel, and what counts last."""

    first: tuple[int, ...]
    density: float
    last: tuple[object, ...]

    @classmethod
    def of(cls, photo: Photo, is_kept: bool, age: float, held: Held) -> _Originality:
        facts, file, path = photo.facts, photo.file, photo.shot.path
        stem, name, companions = path.stem, os.fsencode(path), photo.shot.companions
        pixels = facts.width * facts.height if facts else 0
        camera = bool(facts and facts.camera)
        form = facts.format if facts else ""
        raw = form in RAW_KINDS or extension(path.name) in RAW
        raw = raw or any(extension(each.name) in RAW for each in companions)
        rank = BY_CAMERA.get(form, 2) if camera else int(form not in LOSSLESS)
        broken = is_damaged(photo) or bool(photo.broken)
        return cls(
            (not is_kept, broken, not raw, not camera, -pixels, rank),
            file.size / max(pixels, 1) if file else 0.0,
            (
                MESSENGER.fullmatch(stem) is not None,
                age,
                # Of equal photos the one that brings its film, whole, and its sidecars; Takeout's
                # JSON files lie beside the copies in albums, too.
                -sum(size for _, size in held.values()),
                -sum(extension(each.name) != "json" for each in companions),
                CAMERA.fullmatch(stem) is None,
                file.time_ns if file else 0,
                len(name),
                name,
            ),
        )

    def order(self, densest: float = 0.0) -> tuple[object, ...]:
        """The sort key, the most original first; `densest` is the most bytes a pixel beside it.

        Far fewer bytes tell that it was recompressed; a little more or less tells nothing, as a
        photo that is saved again at a higher quality grows and gains nothing.
        """
        return self.first, self.density * RECOMPRESSED <= densest, self.last
