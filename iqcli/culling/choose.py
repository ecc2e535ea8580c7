"""A rule turns judged shots into decisions: pure, and the same for every model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from iqcli.errors import IqError
from iqcli.records import Decision, Verdict, best_first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iqcli.records import Judged, Rating

# The middle of the scale 1..10.
MIDDLE = 5.5
# A score so many deviations from it is sure of its side in nine cases of ten, if they are normal.
_APART = 1.2815515655446004


@dataclass(frozen=True, slots=True)
class Rule:
    """Which shots to reject: one of the first three, or none for the bands.

    `below`: scores under it, 1..10. `worst`: that share (0..1) of the judged shots, rounded down.
    `promise`: as many as can be while at most that share (0..1, both excluded) of them is good;
    `limit` is the score it comes to, see `iqcli.culling.promise`. The bands reject where nine
    in ten opinions lie under `MIDDLE`, keep where nine in ten do not; the rest is for review.
    Raises IqError for two rules, and for values out of range.
    """

    below: float | None = None
    worst: float | None = None
    promise: float | None = None
    limit: float | None = None

    def __post_init__(self) -> None:
        if sum(each is not None for each in (self.below, self.worst, self.promise)) > 1:
            raise IqError("two rules; give only one of --below, --worst and --promise")
        if self.below is not None and not 1 <= self.below <= 10:
            raise IqError(f"--below is {self.below:g}; give a score from 1 to 10")
        if self.worst is not None and not 0 <= self.worst <= 1:
            raise IqError(f"--worst is {self.worst:.0%}; give a share from 0% to 100%")
        if self.promise is not None and not 0 < self.promise < 1:
            raise IqError(
                f"--promise is {percent(self.promise)}; give a share above 0% and under 100%, as 1%"
            )

    def __str__(self) -> str:
        if self.promise is not None:
            return f"promise {percent(self.promise)}"
        if self.worst is not None:
            return f"worst {percent(self.worst)}"
        return "bands" if self.below is None else f"below {self.below}"

    @property
    def rests_on_experience(self) -> bool:
        """Only a model that tells how it did on held-out photos can follow it."""
        return self.below is None and self.worst is None


def decide(judged: Sequence[Judged], rule: Rule, include_rated: bool = False) -> list[Decision]:
    """One decision a shot, in the order given.

    Shots without a score are left for review. Shots that a person gave a star are kept, unless
    `include_rated`. Equal scores are ordered by the bytes of their paths, so that a run repeats.
    A promise must have its limit.
    """
    assert rule.promise is None or rule.limit is not None
    order = sorted((each for each in judged if _scored(each)), key=best_first)
    ranks = {id(each): rank for rank, each in enumerate(order, start=1)}
    return [_decide(each, rule, ranks.get(id(each)), len(order), include_rated) for each in judged]


def _scored(judged: Judged) -> bool:
    return judged.rating is not None and math.isfinite(judged.rating.score)


def _decide(
    judged: Judged, rule: Rule, rank: int | None, count: int, include_rated: bool
) -> Decision:
    if rank is None or judged.rating is None:
        why = f"not judged: {judged.error or 'it has no score'}"
        return Decision(judged, Verdict.REVIEW, (why,))
    if (stars := judged.stars or 0) >= 1 and not include_rated:
        return Decision(judged, Verdict.KEEP, (f"rated {stars} star{'s' * (stars > 1)}",))
    limit = rule.below if rule.promise is None else rule.limit
    if limit is not None:
        rejected, why = _by_score(judged.rating.score, limit)
    elif rule.worst is not None:
        rejected, why = _by_rank(rank, count, rule.worst)
    else:
        return Decision(judged, *_by_band(judged.rating))
    return Decision(judged, Verdict.REJECT if rejected else Verdict.KEEP, (why,))


def band(score: float, sigma: float) -> Verdict:
    """Where a score 1..10 with that deviation (points) lies if opinions are normal about it."""
    if score - MIDDLE >= _APART * sigma:
        return Verdict.KEEP
    return Verdict.REJECT if MIDDLE - score >= _APART * sigma else Verdict.REVIEW


def _by_band(rating: Rating) -> tuple[Verdict, tuple[str, ...]]:
    assert rating.uncertainty is not None  # a model with experience, which the bands need, has it
    verdict = band(rating.score, rating.uncertainty)
    said = {
        Verdict.KEEP: f": nine in ten like it are rated {MIDDLE} or more",
        Verdict.REJECT: f": nine in ten like it are rated under {MIDDLE}",
        Verdict.REVIEW: f" may lie on either side of {MIDDLE}",
    }
    return verdict, (f"score {rating.score:.1f} +- {rating.uncertainty:.1f}{said[verdict]}",)


def _by_score(score: float, limit: float) -> tuple[bool, str]:
    rejected = score < limit
    digits = max(1, len(f"{limit:.9g}".partition(".")[2]))
    while rejected and f"{score:.{digits}f}" == f"{limit:.{digits}f}" and digits < 17:
        digits += 1  # "4.0 is below 4.0" would not convince anybody
    relation = "below" if rejected else "not below"
    return rejected, f"score {score:.{digits}f} is {relation} {limit:.{digits}f}"


def _by_rank(rank: int, count: int, share: float) -> tuple[bool, str]:
    # As a fraction: 0.29 of 100 are 29 shots, but 28.999999999999996 in floating point.
    rejects = math.floor(Fraction(share).limit_denominator(1_000_000) * count)
    rejected = rank > count - rejects
    relation = "among" if rejected else "not among"
    return rejected, f"{relation} the worst {percent(share)} (rank {rank} of {count})"


def percent(share: float) -> str:
    """0.015 as 1.5%."""
    return f"{100 * share:.6g}%"


def check_share(decisions: Sequence[Decision], max_reject: float) -> None:
    """Raise IqError if more than that share (0..1) of the judged shots would be rejected."""
    judged = sum(_scored(each.judged) for each in decisions)
    rejects = sum(each.verdict is Verdict.REJECT for each in decisions)
    if rejects and rejects > Fraction(max_reject).limit_denominator(1_000_000) * judged:
        raise IqError(
            f"{rejects} of {judged} judged photos would be rejected, more than "
            f"{percent(max_reject)}; if that is meant, give "
            f"--max-reject {math.ceil(100 * rejects / judged)}%"
        )
