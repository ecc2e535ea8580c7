"""Whether files whose names belong together really do: by their time, camera and looks.

Pure: what the files hold is read elsewhere (`read_evidence`), only for names that are candidates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

from iqcli.photos.formats import RAW, extension
from iqcli.photos.names.edit_marks import Mark

if TYPE_CHECKING:
    from pathlib import Path

# Seconds: the same press of the button, as raw file and JPEG of it tell.
SAME = 2.0
# A clock may have been set for one of two files; a counter begins anew after months.
DAY = 86_400.0
# Clocks of two zones differ by whole quarters of an hour.
ZONE = 900.0
# Seconds of the longest film that is a part of a photo: Apple's take 3, Pixel's and Samsung's 5.
LONGEST_LIVE = 10.0


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a photo or a film tells; None is unknown.

    `taken` is ISO 8601 local time of the exposure, `fraction` its digits behind the second.
    `content_id` joins the parts of a live photo. `seconds` is the length of a film, infinite where
    it has one that cannot be read; `made` its creation in UTC, as Unix time.
    """

    taken: str | None = None
    fraction: str | None = None
    camera: str | None = None
    software: str | None = None
    content_id: str | None = None
    seconds: float | None = None
    made: float | None = None


UNKNOWN = Header()


class Look(IntEnum):
    """How an edit looks beside its original. UNREADABLE: one of the two cannot be decoded.

    CROPPED: alike, and of another size than a camera gives two frames. SMALLER: the same picture,
    only smaller or recompressed. EQUAL: byte for byte.
    """

    UNREADABLE = 0
    UNLIKE = 1
    ALIKE = 2
    CROPPED = 3
    SMALLER = 4
    EQUAL = 5


class Evidence(Protocol):
    """Reads what files hold, each of them once."""

    def header(self, path: Path) -> Header:
        """The header of a photo or film; `UNKNOWN` where it cannot be read."""
        ...

    def likeness(self, edit: Path, original: Path) -> Look:
        """How two pictures look beside each other."""
        ...


class NoEvidence:
    """Where nothing can be read: names alone."""

    def header(self, path: Path) -> Header:
        """Unknown."""
        return UNKNOWN

    def likeness(self, edit: Path, original: Path) -> Look:
        """Unreadable."""
        return Look.UNREADABLE


def is_edit(mark: Mark, edit: Path, original: Path, evidence: Evidence) -> bool:
    """Whether a file whose name has this mark is an edit of the other one.

    Another time or camera says no, whatever the name. An editor's own mark needs the same second
    and camera, or a picture that looks alike. What file managers write needs the same time, too,
    and has to be more than a copy; of a raw file any picture is. What cameras write needs another
    program than theirs besides, or another size.
    """
    one, other = evidence.header(edit), evidence.header(original)
    same_time = _same_moment(one, other)
    if same_time is False or _differ(one.camera, other.camera):
        return False
    agree = bool(same_time) and _agree(one.camera, other.camera)
    if mark in (Mark.APPLE, Mark.WORD) and agree and _has_seconds(one):
        return True
    if mark is Mark.COPY and not same_time:
        return False
    if mark in (Mark.NUMBER, Mark.OTHER) and not agree:
        return False
    look = evidence.likeness(edit, original)
    if mark is Mark.NUMBER and one.software in (None, other.software):
        return look is Look.CROPPED
    if mark is Mark.APPLE:
        return look is not Look.UNLIKE  # no other program writes this name
    if mark is Mark.WORD:
        return look >= Look.ALIKE
    developed = extension(original.name) in RAW and extension(edit.name) not in RAW
    return look in (Look.ALIKE, Look.CROPPED) or (look is Look.SMALLER and developed)


def are_of_one_shot(one: Path, other: Path, evidence: Evidence) -> bool:
    """Whether two files of one stem and different formats are of one shot.

    Two cameras in one folder count alike. Where time or camera do not agree, they have to be the
    same picture: a camera may have two names for itself, and a clock may have been set for one
    file. To look alike is enough where one of them does not tell, or the time is another zone's.
    Where nothing at all can be read, the name decides.
    """
    first, second = evidence.header(one), evidence.header(other)
    apart = _seconds_apart(first, second)
    if apart is not None and apart > DAY:
        return False
    agree = bool(_same_moment(first, second)) and _agree(first.camera, second.camera)
    if agree and _has_seconds(first):
        return True
    look = evidence.likeness(one, other)
    if look is Look.UNREADABLE:
        return agree or apart is None
    if not _is_of_zones(apart or 0.0, SAME) or _differ(first.camera, second.camera):
        return look >= Look.SMALLER
    return look >= Look.ALIKE


def are_of_one_moment(one: Path, other: Path, evidence: Evidence) -> bool:
    """Whether two files of one stem in different folders are surely of one shot."""
    first, second = evidence.header(one), evidence.header(other)
    apart = _seconds_apart(first, second)
    if not _agree(first.camera, second.camera) or apart is None or apart > SAME:
        return False
    return _has_seconds(first) or evidence.likeness(one, other) is not Look.UNLIKE


def is_live(film: Path, photo: Path, evidence: Evidence) -> bool | None:
    """Whether a film is part of a photo: True by its identifier, None if nothing speaks against."""
    moving = evidence.header(film)
    if moving.content_id is None and moving.made is None and moving.taken is None:
        return False if _is_long(moving) else None
    still = evidence.header(photo)
    if moving.content_id and still.content_id:
        return moving.content_id.lower() == still.content_id.lower()
    if _is_long(moving) or _differ(moving.camera, still.camera):
        return False
    apart = _seconds_apart(moving, still)
    if apart is not None and not _is_of_zones(apart, LONGEST_LIVE):
        return False
    taken = _moment(still)
    if moving.made is not None and taken is not None:
        # The film's time is UTC, the photo's that of some zone.
        local = (taken - datetime(1970, 1, 1)).total_seconds()
        if not math.isclose(moving.made, local, abs_tol=DAY):
            return False
    return None


def _is_long(film: Header) -> bool:
    return film.seconds is not None and film.seconds > LONGEST_LIVE


def _has_seconds(header: Header) -> bool:
    """Whether a time is not just a minute: a clock without seconds gives one to many photos."""
    return bool((header.fraction or "").strip("0")) or (header.taken or "")[17:19] not in ("", "00")


def _same_moment(one: Header, other: Header) -> bool | None:
    """None where the time of one of them is unknown."""
    if one.taken is None or other.taken is None:
        return None
    fractions = (one.fraction, other.fraction)
    digits = min(len(each or "") for each in fractions)
    same = len({(each or "")[:digits] for each in fractions}) == 1
    return one.taken == other.taken and same


def _seconds_apart(one: Header, other: Header) -> float | None:
    first, second = _moment(one), _moment(other)
    if first is None or second is None:
        return None
    return abs((first - second) / timedelta(seconds=1))


def _is_of_zones(apart: float, slack: float) -> bool:
    """Whether clocks of two zones, or of one, may be so many seconds apart."""
    return min(apart % ZONE, -apart % ZONE) <= slack


def _moment(header: Header) -> datetime | None:
    return datetime.fromisoformat(header.taken) if header.taken else None


def _agree(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one.lower() == other.lower()


def _differ(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one.lower() != other.lower()
