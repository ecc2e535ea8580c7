"""Risk control: the score limit of a promise and the reject band, from held-out photos.

A promise of 1 % is a score limit under which, with 95 % confidence, at most one reject in a hundred
is a photo that people rate good. It is found on held-out photos by fixed-sequence testing
(Angelopoulos, Bates, Candès, Jordan & Lei, "Learn then Test", arXiv 2110.01052, 2021): go up in the
order of the scores, one photo (equal scores: all of them) at a time, and stop at the first number
of rejects whose upper bound (Clopper & Pearson, Biometrika 26, 1934) passes the promise. A limit
picked as the best of many bounds would be too good: each of them errs in one case of twenty. Here
the order is fixed before any opinion is looked at, and a wrong limit comes out only if the first
wrong one of that order passes its own test, which it does in one case of twenty at most. The start
is fixed too: the fewest rejects whose bound keeps the promise when none of them is good.

This takes for granted that good photos get no rarer as the score rises, that the held-out photos
are drawn one by one (several of one scene carry less information than they count, so the files of
models hold one of each), and that the photos to cull are drawn from where those came from, which
nobody has measured. What was measured on one photo a scene holds for shares in which the frames of
a scene count as one photo together, whatever their number; by files it is broken where scenes near
the limit, and so the good ones, have more frames than those farther down.

Without a promise or another rule, bands decide: a score and its uncertainty alone say whether a
photo surely lies above or below the middle of the scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from iqcli.errors import IqError
from iqcli.records import Verdict
from iqcli.text import percent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from iqcli.culling.rules import Rule
    from iqcli.records import HoldoutSample, Integers

# A mean opinion of 0.7 on a scale 0..1: such a photo should not be rejected.
GOOD = 7.3
RISK = 0.05
UNMEASURED = "this was NOT measured on these photos, which may be of another kind"
ONCE = f"near copies count as one photo; {UNMEASURED}"
# What is offered where a promise cannot be kept: tenths of a percent, under 100 %.
TENTHS = range(1, 1000)
# The middle of the scale 1..10.
MIDDLE = 5.5
# A score so many deviations from it is sure of its side in nine cases of ten, if they are normal.
_APART = 1.2815515655446004
IN_WORDS = {
    Verdict.KEEP: f": nine in ten like it are rated {MIDDLE} or more",
    Verdict.REJECT: f": nine in ten like it are rated under {MIDDLE}",
    Verdict.REVIEW: f" may lie on either side of {MIDDLE}",
}


def band(score: float, sigma: float) -> Verdict:
    """The band of a score 1..10 with that standard deviation (points), for normal opinions."""
    if score - MIDDLE >= _APART * sigma:
        return Verdict.KEEP
    return Verdict.REJECT if MIDDLE - score >= _APART * sigma else Verdict.REVIEW


def describe_score(score: float, limit: float) -> str:
    """How a score compares with a limit, with the digits it takes to tell them apart."""
    rejected = score < limit
    digits = max(1, len(f"{limit:.9g}".partition(".")[2]))
    while rejected and f"{score:.{digits}f}" == f"{limit:.{digits}f}" and digits < 17:
        digits += 1  # "4.0 is below 4.0" would not convince anybody
    relation = "below" if rejected else "not below"
    return f"score {score:.{digits}f} is {relation} {limit:.{digits}f}"


@dataclass(frozen=True, slots=True)
class RiskLimit:
    """A limit that keeps a promise: what scores strictly under it is rejected.

    It would have rejected `rejected` of the held-out photos, `good` of them good; with 95 %
    confidence that share is at most `bound` (0..1).
    """

    limit: float
    rejected: int
    good: int
    bound: float


def with_risk_limit(rule: Rule, holdout: HoldoutSample | None) -> tuple[Rule, tuple[str, ...]]:
    """The rule with the limit of its promise, and lines about its results on held-out photos.

    Raises IqError where the model has no held-out photos, or too few for the promise.
    """
    if holdout is None:
        wants, lacks = (
            ("rule", "reject band") if rule.promise is None else ("promise", "held-out photos")
        )
        way_out = "leave it out" if rule.chooses else "give --below SCORE or --worst SHARE"
        raise IqError(f"no {wants}: this model has no {lacks} yet; {way_out}")
    count = len(holdout.scores)
    held = f"{count:,} held-out photo{'s' * (count > 1)}"
    held += f" of {holdout.source}" if holdout.source else ""
    if rule.promise is None:
        inside, right = in_reject_band(holdout)
        summary = (
            f"of {held}, {inside:,} lie in the reject band, {right:,} of them rated under {MIDDLE}"
        )
        return rule, (summary, UNMEASURED)
    kept = keep(holdout, rule.promise)
    limit = f"{kept.limit:.9g}"
    summary = (
        f"promise {percent(rule.promise)}: {_meant(rule, limit)}; on {held} it rejected "
        f"{kept.rejected:,}, {kept.good:,} of them rated good (bound {100 * kept.bound:.3g}%)"
    )
    return replace(rule, limit=kept.limit), (summary, ONCE)


def _meant(rule: Rule, limit: str) -> str:
    if not rule.chooses:
        return f"rejected is what scores under {limit}"
    return (
        f"nothing that scores {limit} or more is rejected, it is left for review; the promise is "
        "of all that scores less, not of what the rest of the rule takes from it"
    )


def keep(holdout: HoldoutSample, promise: float) -> RiskLimit:
    """The highest limit that keeps the promise (0..1, both excluded).

    Raises IqError where the held-out photos support none, with the smallest promise that they do.
    """
    order = np.argsort(holdout.scores, kind="stable")
    scores = holdout.scores[order]
    good = np.cumsum(holdout.opinions[order] >= GOOD, dtype=np.int64)
    # So many photos lie below the next higher score; all of them never do.
    cuts = np.flatnonzero(np.diff(scores) > 0) + 1
    bounds, lowest = _bound(cuts, good[cuts - 1]), _bound(cuts, np.zeros_like(cuts))
    if not (number := _passed(bounds, lowest, promise)):
        tenths = (each / 10 for each in TENTHS)
        least = next((each for each in tenths if _passed(bounds, lowest, each / 100)), None)
        raise IqError(_refusal(len(scores), promise, least))
    rejected = int(cuts[number - 1])
    limit = _short(*scores[rejected - 1 : rejected + 1].tolist())
    return RiskLimit(limit, rejected, int(good[rejected - 1]), float(bounds[number - 1]))


def _bound(count: Integers, good: Integers) -> NDArray[np.float64]:
    """The upper bounds of the shares of which `good` of `count` are samples; all (n,)."""
    from scipy.special import betaincinv  # a plain cull does not load it

    upper = betaincinv(good + 1, np.maximum(count - good, 1), 1 - RISK)
    return np.where(good < count, upper, 1.0)


def _passed(bounds: NDArray[np.float64], lowest: NDArray[np.float64], promise: float) -> int:
    """How many numbers of rejects lie before the first that fails, 0 if the start does.

    The start is the first whose `lowest` bound, if none is good, keeps the promise.
    """
    start = int((lowest > promise).sum())
    held = int(np.cumprod(bounds[start:] <= promise).sum())
    return start + held if held else 0


def _short(low: float, high: float) -> float:
    """The greatest number of two decimals in (low, high], of more where there is none."""
    cut = (math.floor(high * 10**digits) / 10**digits for digits in range(2, 10))
    return next((each for each in cut if low < each <= high), high)


def _refusal(photos: int, promise: float, least: float | None) -> str:
    held = "photo of this model does" if photos == 1 else "photos of this model do"
    fact = f"the {photos:,} held-out {held} not support a promise of"
    if least is None:
        return f"{fact} {percent(promise)}, nor of any other; give --below SCORE or --worst SHARE"
    return (
        f"{fact} {percent(promise)}; the smallest that can be kept is {least:g}%, "
        f"give --promise {least:g}%"
    )


def in_reject_band(holdout: HoldoutSample) -> tuple[int, int]:
    """How many held-out photos lie in the reject band, and how many of them people put there."""
    pairs = zip(holdout.scores.tolist(), holdout.sigmas.tolist(), strict=True)
    inside = np.array([band(score, sigma) is Verdict.REJECT for score, sigma in pairs], bool)
    return int(inside.sum()), int((holdout.opinions[inside] < MIDDLE).sum())
