"""The records that all packages share, frozen. This module imports nothing of iq."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    # The arrays of the whole package. A `Vector` has one axis, the others any number.
    Vector = NDArray[np.float32]
    Array = NDArray[np.float32]
    Doubles = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Flags = NDArray[np.bool_]
    Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture as its owner sees it: scored once, listed once, moved all or none.

    `root` is the folder the command was given (the parent, if it was given the file); every file
    of the shot lies under it. `companions` are in byte order and never contain `path`.
    """

    root: Path
    path: Path
    companions: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The primary file, then its companions."""
        return (self.path, *self.companions)

    def led_by(self, path: Path) -> Shot:
        """The same shot with another of its files as the primary."""
        others = sorted({*self.files} - {path}, key=os.fsencode)
        return replace(self, path=path, companions=tuple(others))


class Marks(NamedTuple):
    """A person's rating (-1 rejected, 0 none, 1..5) and flag (-1, 0, 1); None where missing."""

    stars: int | None = None
    pick: int | None = None


UNMARKED = Marks()


@dataclass(frozen=True, slots=True)
class Facts:
    """The metadata of a file. Sizes are of the upright picture in pixels; None is unknown.

    `taken` is ISO 8601 local time, with the sub-second part and the offset where they are known, or
    a day alone; `taken_from` is its source, see `iqcli.photos.times`. `stars` is the embedded
    rating: -1 (rejected by a person), 0 (none), 1..5; `pick` the embedded flag: -1 (rejected), 0
    (none), 1 (picked, favourite). `burst` is the maker's own mark of a burst, such as
    "apple:UUID". `bias` is the exposure compensation and `exposure` the light let in,
    log2(seconds * ISO / 100 / aperture^2), both in EV. `panorama`: stitched in the camera.
    `damage` is the share (0..1) of the picture whose data are missing or corrupt.
    """

    width: int
    height: int
    format: str
    taken: str | None = None
    camera: str | None = None
    maker: str | None = None
    stars: int | None = None
    pick: int | None = None
    burst: str | None = None
    bias: float | None = None
    exposure: float | None = None
    panorama: bool = False
    damage: float = 0.0
    taken_from: str | None = None


# The short side, in pixels, at which people judged photos.
HEAD_SHORT = 512


@dataclass(frozen=True, slots=True)
class Views:
    """The result of one decode: upright 8-bit pictures, (height, width, 3), RGB order.

    `scoring` has a short side of 512 pixels (less where the long side would pass that of the larger
    view): the size at which people judged; it is sRGB. `detail` has a long side of at most 2048
    pixels, more of a panorama (see `iqcli.photos.reading.detail_long`), is never enlarged, and
    keeps the RGB of the file, that of the ICC `profile` (None for sRGB): read its luma, not its
    colours. They may be read-only and may be one array: never change them in place.
    """

    scoring: Pixels
    detail: Pixels
    profile: bytes | None = None


@dataclass(frozen=True, slots=True)
class Issue:
    """A visible fault: its name (`blurred`, …) and level 2 slight, 3 clear, 4 severe.

    `share` is how much of the picture (0..1) has it, where that is known.
    """

    name: str
    level: int
    share: float | None = None


# The issue of a picture whose data are missing or corrupt, and of one of too few pixels.
DAMAGED, TOO_SMALL = "damaged", "too_small"


@dataclass(frozen=True, slots=True)
class Rating:
    """The score of a model: 1 (bad) .. 10 (excellent), on the scale of human opinion.

    `uncertainty` is one standard deviation in points, None where the model was never compared with
    opinions. `technical` and `aesthetic` are parts on the same scale, None where the model has no
    such part. `reasons` name the parts that the model could not use.
    """

    score: float
    uncertainty: float | None
    model: str
    technical: float | None = None
    aesthetic: float | None = None
    issues: tuple[Issue, ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NoRating:
    """A measured photo that a model has no score for, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class FrameDescriptor:
    """What frames of one moment are recognised by, a few hundred bytes a photo.

    `embedding` (d,) float16 and `light` (t,) uint8, the mean luma by tile, show how similar two
    photos are. `sharpness` is that of the sharpest tiles, comparable only in a burst; None where
    it is not defined. `classes` are kinds of photo by content: "low key", "plain ground", …
    """

    embedding: NDArray[np.float16]
    light: Pixels
    sharpness: float | None = None
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Likeness:
    """What a picture is known again by, in another file: its light and its colours.

    `light` (144,) uint8 is the mean luma by tile; `grey` (1024,) uint8 the picture in grey, 32 x
    32, None where an earlier version measured the photo; `colour` (5,) means and spreads of the
    colours in Lab, None where they were not measured.
    """

    light: Pixels
    grey: Pixels | None = None
    colour: Vector | None = None


class FileStamp(NamedTuple):
    """What the file system tells of a photo's file: bytes, time (ns), and which file it is."""

    size: int
    time_ns: int
    device: int
    inode: int


class BrokenFile(NamedTuple):
    """A file that would lead its shot if it were whole, and what is wrong with it, in words.

    `is_readable`: a part of its picture is there.
    """

    path: Path
    why: str
    is_readable: bool

    @property
    def reason(self) -> str:
        """Why another file is judged; the name in it is not escaped."""
        return f"in place of {self.path.name}: {self.why}"


class CopyKind(StrEnum):
    """How a copy differs from the picture that it is a copy of."""

    LINK = "link"
    EXACT = "exact"
    SAME = "same"
    CROPPED = "cropped"
    RECOLOURED = "recoloured"


@dataclass(frozen=True, slots=True)
class CopyOf:
    """The photo that another one is a copy of, the most original there is, and how it differs.

    `has_more`: the shot of the copy has more beside it, such as a RAW, an original or a film.
    `link` is the first name of the file where this is another one; that may be a copy itself.
    """

    of: Path
    kind: CopyKind
    has_more: bool = False
    link: Path | None = None


class FrameSet(StrEnum):
    """Sets of frames that are only useful together."""

    BRACKET = "bracket"
    PANORAMA = "panorama"
    TIMELAPSE = "timelapse"


@dataclass(frozen=True, slots=True)
class Photo:
    """A shot and all that is known of it so far: measured, then rated, then grouped.

    The pipeline sets `blocks`, or `error`, the reason why there are none; rating removes the blocks
    and sets `rating`, or `error`. `marks` are a person's: the highest of the sidecars' and of the
    picture's own; what iq itself wrote does not count. `group` is the burst or set of the shot,
    `scene` the moment; both are None before grouping, and where the shot is alone or they are
    unknown (`scene` needs a time); `day` is the date where it was taken, set with them. `frame_set`
    is set where the group is a set to be kept whole. `copy` is set where a more original photo of
    the run holds the same picture. `descriptor` is there where groups were requested, and
    `thumbnails` (WebP, by name) where those were. `file` and `likeness` are what copies are known
    by. `broken` are files in whose place `shot.path` leads, those before it in order. `seen` is
    the state of all files of the shot, where the photo follows from them alone.
    """

    shot: Shot
    sha256: str | None = None
    facts: Facts | None = None
    marks: Marks = UNMARKED
    rating: Rating | None = None
    error: str | None = None
    group: str | None = None
    scene: str | None = None
    day: str | None = None
    frame_set: FrameSet | None = None
    copy: CopyOf | None = None
    broken: tuple[BrokenFile, ...] = ()
    file: FileStamp | None = field(default=None, compare=False, repr=False)
    likeness: Likeness | None = field(default=None, compare=False, repr=False)
    descriptor: FrameDescriptor | None = field(default=None, compare=False, repr=False)
    blocks: Mapping[str, Vector] | None = field(default=None, compare=False, repr=False)
    thumbnails: Mapping[str, bytes] | None = field(default=None, compare=False, repr=False)
    seen: bytes | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class HoldoutSample:
    """Predictions of a model for photos in scenes that it was not trained on, and the opinions.

    (n,) each, n >= 1: `scores` 1..10, `sigmas` (the uncertainty) in points, `opinions` the mean of
    people's, 1..10. `source` names the photos, "" where that is unknown.
    """

    scores: Vector
    sigmas: Vector
    opinions: Vector
    source: str = ""


def best_first(photo: Photo) -> tuple[float, bytes]:
    """The sort key of rated photos: the higher score first, equal ones by the bytes of the path."""
    assert photo.rating
    return -photo.rating.score, os.fsencode(photo.shot.path)


def is_damaged(photo: Photo) -> bool:
    """Whether data of the picture are missing or corrupt."""
    return photo.facts is not None and photo.facts.damage > 0


class Verdict(StrEnum):
    """The three classes of a decision."""

    KEEP = "keep"
    REVIEW = "review"
    REJECT = "reject"


# The code of a decision by a person, not by a rule.
BY_HAND = "by_hand"


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision on a photo, and why. Never cached.

    `codes` are for programs, `reasons` the same in words, one each.
    """

    photo: Photo
    verdict: Verdict
    reasons: tuple[str, ...]
    codes: tuple[str, ...] = ()
