"""A rule turns judged shots into decisions: pure, and the same for every model."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from iqcli.culling import moments, placing
from iqcli.culling.bands import SAID, band, in_words
from iqcli.culling.finding import Finding, is_scored, score_of
from iqcli.culling.protect import Protect
from iqcli.culling.rules import exact, percent
from iqcli.errors import IqError
from iqcli.records import BY_HAND, Decision, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iqcli.culling.rules import Rule
    from iqcli.records import Judged

    Findings = tuple[Finding, ...]

_PROTECTED = Protect()


def decide(judged: Sequence[Judged], rule: Rule, protect: Protect = _PROTECTED) -> list[Decision]:
    """One decision a shot, in the order given, which changes nothing.

    Shots without a score are left for review. Then comes what `protect` keeps; it has its rank
    among the others, and nothing is rejected in its place. A rule that looks at other photos never
    rejects the whole of a moment: its best stays. Equal scores are ordered by the bytes of their
    paths, so that a run repeats. A promise must have its limit.
    """
    assert rule.promise is None or rule.limit is not None
    scored = [each for each in judged if is_scored(each)]
    parts = _parts(scored, rule)
    found = {id(each): _joined(each, [part[id(each)] for part in parts], rule) for each in scored}
    found |= {id(each): why for each in scored if (why := protect.why(each))}
    found |= moments.spared(judged, found)
    return [_decision(each, found.get(id(each))) for each in judged]


def _parts(scored: Sequence[Judged], rule: Rule) -> list[dict[int, Finding]]:
    parts = []
    if rule.below is not None:
        parts.append({id(each): _below(each, rule.below) for each in scored})
    if rule.worst is not None:
        parts.append(placing.worst(scored, rule))
    if rule.keep is not None:
        parts.append(placing.kept(scored, rule))
    if not parts and rule.limit is not None:
        parts.append({id(each): _promised(each, rule.limit) for each in scored})
    return parts or [{id(each): _by_band(each) for each in scored}]


def _below(judged: Judged, limit: float) -> Finding:
    words = in_words(score_of(judged), limit)
    if score_of(judged) < limit:
        return Finding(Verdict.REJECT, "below", words)
    return Finding(Verdict.KEEP, "not_below", words)


def _promised(judged: Judged, limit: float) -> Finding:
    words = in_words(score_of(judged), limit)
    if score_of(judged) < limit:
        return Finding(Verdict.REJECT, "under_promise_limit", words)
    return Finding(Verdict.KEEP, "over_promise_limit", words)


def _by_band(judged: Judged) -> Finding:
    rating = judged.rating
    # A model with experience, which the bands need, has a doubt.
    assert rating and rating.uncertainty is not None
    verdict = band(rating.score, rating.uncertainty)
    code = {Verdict.KEEP: "band_high", Verdict.REJECT: "band_low", Verdict.REVIEW: "band_unsure"}
    words = f"score {rating.score:.1f} +- {rating.uncertainty:.1f}{SAID[verdict]}"
    return Finding(verdict, code[verdict], words)


def _joined(judged: Judged, parts: Sequence[Finding], rule: Rule) -> Findings:
    """What decides, the verdict of the first: any part that rejects, capped by the promise."""
    rejecting = tuple(each for each in parts if each.rejects)
    if rejecting and rule.chooses and rule.limit is not None:
        if score_of(judged) < rule.limit:
            # It lets go what the others reject; a moment is not lost by that.
            return (*rejecting, replace(_promised(judged, rule.limit), relative=True))
        why = f"{in_words(score_of(judged), rule.limit)}, which the promise does not cover"
        return (Finding(Verdict.REVIEW, "over_promise_limit", why), *rejecting)
    doubting = tuple(each for each in parts if each.verdict is Verdict.REVIEW)
    return rejecting or doubting or tuple(parts)


def _decision(judged: Judged, found: Findings | None) -> Decision:
    if found is None:
        why = f"not judged: {judged.error or 'it has no score'}"
        found = (Finding(Verdict.REVIEW, "not_judged", why),)
    words, codes = tuple(each.words for each in found), tuple(each.code for each in found)
    return Decision(judged, found[0].verdict, words, codes)


def check_share(decisions: Sequence[Decision], max_reject: float) -> None:
    """Raise IqError if a rule would reject more than that share (0..1) of the judged shots.

    The guard is against rules: what a person rejected by hand is meant.
    """
    ruled = [each for each in decisions if BY_HAND not in each.codes]
    rejects = sum(each.verdict is Verdict.REJECT for each in ruled)
    check_counts(rejects, sum(is_scored(each.judged) for each in decisions), max_reject)


def check_counts(rejects: int, judged: int, max_reject: float) -> None:
    """Raise IqError if so many rejects are more than that share (0..1) of the judged shots."""
    if rejects and rejects > exact(max_reject) * judged:
        raise IqError(
            f"{rejects} of {judged} judged photos would be rejected, more than "
            f"{percent(max_reject)}; if that is meant, give "
            f"--max-reject {math.ceil(100 * rejects / judged)}%"
        )
