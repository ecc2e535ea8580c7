"""Rules by place: what a photo is among those of its burst, moment, day or folder, or among all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from iqcli.culling.finding import Finding, score_of
from iqcli.culling.grouping.group import key_of, order_within
from iqcli.culling.rules import exact, percent
from iqcli.records import Verdict, best_first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iqcli.culling.rules import Rule
    from iqcli.records import Judged

    # By the identity of each judged shot.
    FindingsByIndex = dict[int, Finding]

NAMES = {"burst": "burst", "scene": "moment", "day": "day", "folder": "folder"}


def worst(scored: Sequence[Judged], rule: Rule) -> FindingsByIndex:
    """The share of each group that is worst is rejected, rounded down."""
    assert rule.worst is not None
    found: FindingsByIndex = {}
    for members in groups(scored, rule.unit):
        first = len(members) - math.floor(exact(rule.worst) * len(members))
        for rank, each in enumerate(members, start=1):
            found[id(each)] = _by_rank(rank, len(members), rank > first, rule)
    return _with_alone(found, scored, "not_worst", rule)


def _by_rank(rank: int, count: int, rejected: bool, rule: Rule) -> Finding:
    assert rule.worst is not None
    of = "" if rule.unit == "all" else f" of its {NAMES[rule.unit]}"
    words = f"among the worst {percent(rule.worst)}{of} (rank {rank} of {count})"
    if rejected:
        return Finding(Verdict.REJECT, "worst", words, relative=True)
    return Finding(Verdict.KEEP, "not_worst", f"not {words}")


def kept(scored: Sequence[Judged], rule: Rule) -> FindingsByIndex:
    """The best of each group are kept; what comes near the last of them is for review."""
    assert rule.keep is not None
    found: FindingsByIndex = {}
    for members in groups(scored, rule.unit):
        stay = rule.keep.of(len(members))
        near = min(score_of(each) for each in members[:stay]) - rule.margin
        for rank, each in enumerate(members, start=1):
            ties = rule.margin > 0 and rank > stay and score_of(each) >= near
            found[id(each)] = _by_place(rank, len(members), stay, ties, rule)
    return _with_alone(found, scored, f"kept_of_{rule.unit}", rule)


def _by_place(rank: int, count: int, stay: int, ties: bool, rule: Rule) -> Finding:
    of = " of all" if rule.unit == "all" else f" in its {NAMES[rule.unit]}"
    words = f"rank {rank} of {count}{of}, {stay} {'is' if stay == 1 else 'are'} kept"
    if rank <= stay:
        return Finding(Verdict.KEEP, f"kept_of_{rule.unit}", words)
    if ties:
        points = f"{rule.margin:g} point{'s' * (rule.margin != 1)}"
        near = f"{words}, but within {points} of the last"
        return Finding(Verdict.REVIEW, "near_tie", near, relative=True)
    return Finding(Verdict.REJECT, f"not_kept_of_{rule.unit}", words, relative=True)


def groups(scored: Sequence[Judged], unit: str) -> list[list[Judged]]:
    """The groups, each best first; a photo that is in none is in no list.

    Frames of a burst are put in order as bursts are; sharpness tells nothing between other photos.
    """
    if unit == "all":
        return [sorted(scored, key=best_first)] if scored else []
    found: dict[str, list[Judged]] = {}
    for each in scored:
        if (key := key_of(each, unit)) is not None:
            found.setdefault(key, []).append(each)
    if unit == "burst":
        return [order_within(members) for members in found.values()]
    return [sorted(members, key=best_first) for members in found.values()]


def _with_alone(
    found: FindingsByIndex, scored: Sequence[Judged], code: str, rule: Rule
) -> FindingsByIndex:
    """The same with the photos that no group holds: nothing stands beside them, they stay."""
    if rule.unit == "all":
        return found
    alone = Finding(Verdict.KEEP, code, f"in no {NAMES[rule.unit]} that is known")
    return {id(each): found.get(id(each), alone) for each in scored}
