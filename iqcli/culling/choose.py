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

    from iqcli.records import Judged


@dataclass(frozen=True, slots=True)
class Rule:
    """Which shots to reject; exactly one of the two is given.

    `below`: scores under it, 1..10. `worst`: that share (0..1) of the judged shots, rounded down.
    Raises IqError for no rule, for two, and for values out of range.
    """

    below: float | None = None
    worst: float | None = None

    def __post_init__(self) -> None:
        if self.below is None and self.worst is None:
            raise IqError(
                "no rule: this model has no reject band yet; give --below SCORE or --worst SHARE"
            )
        if self.below is not None and self.worst is not None:
            raise IqError("two rules; give either --below or --worst")
        if self.below is not None and not 1 <= self.below <= 10:
            raise IqError(f"--below is {self.below:g}; give a score from 1 to 10")
        if self.worst is not None and not 0 <= self.worst <= 1:
            raise IqError(f"--worst is {self.worst:.0%}; give a share from 0% to 100%")

    def __str__(self) -> str:
        return f"worst {_percent(self.worst)}" if self.worst is not None else f"below {self.below}"


def decide(judged: Sequence[Judged], rule: Rule, include_rated: bool = False) -> list[Decision]:
    """One decision a shot, in the order given.

    Shots without a score are left for review. Shots that a person gave a star are kept, unless
    `include_rated`. Equal scores are ordered by the bytes of their paths, so that a run repeats.
    """
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
    if rule.below is not None:
        rejected, why = _by_score(judged.rating.score, rule.below)
    else:
        rejected, why = _by_rank(rank, count, rule.worst or 0.0)
    return Decision(judged, Verdict.REJECT if rejected else Verdict.KEEP, (why,))


def _by_score(score: float, limit: float) -> tuple[bool, str]:
    rejected = score < limit
    digits = 1
    while rejected and f"{score:.{digits}f}" == f"{limit:.{digits}f}" and digits < 17:
        digits += 1  # "4.0 is below 4.0" would not convince anybody
    relation = "below" if rejected else "not below"
    return rejected, f"score {score:.{digits}f} is {relation} {limit:.{digits}f}"


def _by_rank(rank: int, count: int, share: float) -> tuple[bool, str]:
    # As a fraction: 0.29 of 100 are 29 shots, but 28.999999999999996 in floating point.
    rejects = math.floor(Fraction(share).limit_denominator(1_000_000) * count)
    rejected = rank > count - rejects
    relation = "among" if rejected else "not among"
    return rejected, f"{relation} the worst {_percent(share)} (rank {rank} of {count})"


def _percent(share: float | None) -> str:
    return f"{100 * (share or 0):.6g}%"


def check_share(decisions: Sequence[Decision], max_reject: float) -> None:
    """Raise IqError if more than that share (0..1) of the judged shots would be rejected."""
    judged = sum(_scored(each.judged) for each in decisions)
    rejects = sum(each.verdict is Verdict.REJECT for each in decisions)
    if rejects and rejects > Fraction(max_reject).limit_denominator(1_000_000) * judged:
        raise IqError(
            f"{rejects} of {judged} judged photos would be rejected, more than "
            f"{_percent(max_reject)}; if that is meant, give "
            f"--max-reject {math.ceil(100 * rejects / judged)}%"
        )
