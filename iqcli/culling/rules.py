"""Rules: which photos to reject, and which are protected from any rule.

A person joins the parts of a rule on the command line. Protected are photos that a person marked,
and sets of frames that are only worth something as a whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from iqcli.errors import IqError
from iqcli.records import FrameSet, Verdict
from iqcli.settings import A_QUOTA, UNITS, count_or_share
from iqcli.text import meant, percent

if TYPE_CHECKING:
    from iqcli.records import Photo

# The codes of protected photos, by what protects them.
BY_MARK = ("rated", "flagged")
BY_SET = ("set_bracket", "set_panorama", "set_timelapse")
BY_MOMENT = ("only_of_moment", "best_of_moment")
CODES = (*BY_MARK, *BY_SET, *BY_MOMENT)
# The code of a photo that no share or number counts.
UNCOUNTED = "rejected_by_person"
_SETS = {
    FrameSet.BRACKET: "one of a bracket, which is kept whole",
    FrameSet.PANORAMA: "one of a panorama, which is kept whole",
    FrameSet.TIMELAPSE: "one of a time-lapse, which is kept whole",
}


@dataclass(frozen=True, slots=True)
class Quota:
    """How much of a group is meant: a number of photos, or a share (0..1) of them."""

    number: int | None = None
    share: float | None = None

    @classmethod
    def parse(cls, text: str) -> Quota:
        """'3' or '20%'. Raises IqError for anything else."""
        try:
            return cls(*count_or_share(text))
        except ValueError as error:
            raise IqError(f"{text!r} is no number of photos; {error}") from None

    def rounded_up(self, size: int) -> int:
        """So many of a group of `size` photos, of a share 1 or more."""
        if self.number is not None:
            return min(self.number, size)
        return min(size, max(1, math.ceil(exact(self.share or 0) * size)))

    def rounded_down(self, size: int) -> int:
        """So many of a group of `size` photos."""
        if self.number is not None:
            return min(self.number, size)
        return math.floor(exact(self.share or 0) * size)

    def is_from(self, least: int) -> bool:
        """Whether it means `least` (0 or 1) photos or more, and no more than there are."""
        if self.number is not None:
            return self.number >= least
        share = self.share or 0
        return 0 <= share <= 1 and (share > 0 or least == 0)

    def __str__(self) -> str:
        return f"{self.number}" if self.number is not None else percent(self.share or 0)


@dataclass(frozen=True, slots=True)
class Rule:
    """Which shots to reject; nothing given means the bands.

    `below`: scores under it, 1..10. `worst`: so many of each group, a share rounded down. `keep`:
    all but the best of each group, a share rounded up. What any of these three rejects is rejected.
    `duplicates`: copies of other photos, see `iqcli.culling.grouping.copies`.
    `per` says what the groups are, one of `values.UNITS`, None for all photos together. `margin`:
    of what `keep` would reject, frames within so many points (0..9) of the last that it keeps are
    for review.

    `promise`: at most that share (0..1, both excluded) of the rejects is good; `limit` is the score
    it comes to, see `iqcli.culling.risk_control`. Alone it rejects all that scores under its limit;
    beside the others it caps them: nothing that scores the limit or more is rejected.

    Raises IqError for values out of range, and for a `per` or `margin` of nothing.
    """

    below: float | None = None
    worst: Quota | None = None
    promise: float | None = None
    keep: Quota | None = None
    per: str | None = None
    margin: float = 0.0
    limit: float | None = None
    duplicates: bool = False

    def __post_init__(self) -> None:
        self._check_numbers()
        if self.per is not None and self.per not in UNITS:
            near = meant(self.per, UNITS)
            raise IqError(f"--per is {self.per!r}{near}; give one of {', '.join(UNITS)}")
        if self.per is not None and self.worst is None and self.keep is None:
            raise IqError("--per says of what --keep or --worst is meant; give one of them with it")
        if self.margin and self.keep is None:
            raise IqError("--margin is for what --keep just leaves out; give --keep with it")

    def _check_numbers(self) -> None:
        if self.below is not None and not 1 <= self.below <= 10:
            raise IqError(f"--below is {self.below:g}; give a score from 1 to 10")
        for name, quota, least in (("worst", self.worst, 0), ("keep", self.keep, 1)):
            if quota is not None and not quota.is_from(least):
                raise IqError(f"--{name} is {quota}; {A_QUOTA}")
        if self.promise is not None and not 0 < self.promise < 1:
            raise IqError(
                f"--promise is {percent(self.promise)}; give a share above 0% and under 100%, as 1%"
            )
        if not 0 <= self.margin <= 9:
            raise IqError(f"--margin is {self.margin:g}; give points from 0 to 9")

    def __str__(self) -> str:
        per = "" if self.unit == "all" else f" per {self.unit}"
        parts = [] if self.below is None else [f"below {self.below}"]
        parts += [] if self.worst is None else [f"worst {self.worst}{per}"]
        parts += [] if self.keep is None else [f"keep {self.keep}{per}{self._margin()}"]
        parts += ["duplicates"] if self.duplicates else []
        chosen = " or ".join(parts)
        if self.promise is None:
            return chosen or "bands"
        return f"{chosen}, within {self._promise()}" if chosen else self._promise()

    def _margin(self) -> str:
        return f" with margin {self.margin:g}" if self.margin else ""

    def _promise(self) -> str:
        assert self.promise is not None
        under = "" if self.limit is None else f" (scores under {self.limit:.9g})"
        return f"promise {percent(self.promise)}{under}"

    @property
    def unit(self) -> str:
        """What the groups are, one of `values.UNITS`."""
        return self.per or "all"

    @property
    def chooses(self) -> bool:
        """Whether it rejects by a limit, rank or place of its own, not by bands or promise."""
        quotas = self.worst is not None or self.keep is not None
        return self.below is not None or quotas or self.duplicates

    @property
    def needs_holdout(self) -> bool:
        """Whether it needs a model that has results on held-out photos."""
        return self.promise is not None or not self.chooses


def exact(share: float) -> Fraction:
    """A share as it was meant: 0.29 of 100 are 29, but 28.999999999999996 in floating point."""
    return Fraction(share).limit_denominator(1_000_000)


@dataclass(frozen=True, slots=True)
class RuleResult:
    """The verdict of one part of a rule on one photo, its code for programs and words for people.

    `relative`: with other photos beside it, the verdict could be another.
    """

    verdict: Verdict
    code: str
    words: str
    relative: bool = False

    @property
    def rejects(self) -> bool:
        return self.verdict is Verdict.REJECT


def is_scored(photo: Photo) -> bool:
    """Whether a shot has a score, without which no rule decides on it."""
    return photo.rating is not None and math.isfinite(photo.rating.score)


def score_of(photo: Photo) -> float:
    """The score of a scored shot."""
    assert photo.rating
    return photo.rating.score


def is_rejected_by_person(photo: Photo) -> bool:
    """Whether a person marked a shot as a reject, and gave it neither stars nor a pick flag."""
    marks = (photo.marks.stars or 0, photo.marks.pick or 0)
    return min(marks) < 0 and max(marks) < 1


@dataclass(frozen=True, slots=True)
class Protection:
    """Whether marks protect a photo (stars, or a person's flag), and whether sets are kept whole.

    Members of sets that are not kept whole are treated as any other photos. `moments`: of a moment
    that would be lost to `worst` and `keep`, the best photo stays.
    """

    marked: bool = True
    sets: bool = True
    moments: bool = False

    def reasons(self, photo: Photo) -> tuple[RuleResult, ...]:
        """What protects a shot, nothing for most."""
        found = []
        stars = photo.marks.stars or 0
        if self.marked and stars >= 1:
            found.append(_kept("rated", f"rated {stars} star{'s' * (stars > 1)}"))
        if self.marked and (photo.marks.pick or 0) >= 1:
            found.append(_kept("flagged", "flagged by a person"))
        if self.sets and photo.frame_set is not None:
            found.append(_kept(f"set_{photo.frame_set.value}", _SETS[photo.frame_set]))
        return tuple(found)


def _kept(code: str, words: str) -> RuleResult:
    return RuleResult(Verdict.KEEP, code, words)
