"""A moment is never lost by comparison: what other photos are like says nothing of its worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iqcli.culling.finding import Finding, is_scored
from iqcli.culling.grouping.group import key_of, order_within
from iqcli.records import Verdict, best_first

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from iqcli.records import Judged

    Findings = tuple[Finding, ...]

ONLY = Finding(Verdict.KEEP, "only_of_moment", "the only photo of its moment")
BEST = Finding(Verdict.KEEP, "best_of_moment", "the best of its moment, which would all be lost")


def spared(judged: Sequence[Judged], found: Mapping[int, Findings]) -> dict[int, Findings]:
    """New findings for the photos that stay so that their moment does.

    `found` holds those of every scored shot by its identity. Where they reject all of a moment, the
    best of those stays that nothing but a comparison rejects. A photo alone whose time nobody knows
    is of no moment, and none is spared for that.
    """
    saved = {}
    for members in _moments(judged):
        scored = [each for each in members if is_scored(each)]
        if any(not found[id(each)][0].rejects for each in scored):
            continue
        if losing := [each for each in scored if _compared(found[id(each)])]:
            best = _best(losing)
            saved[id(best)] = (BEST if len(members) > 1 else ONLY, *found[id(best)])
    return saved


def _moments(judged: Sequence[Judged]) -> Iterator[list[Judged]]:
    """The shots of each moment; of one alone in its moment, only the time tells."""
    found: dict[str, list[Judged]] = {}
    for each in judged:
        if (key := key_of(each, "scene")) is not None:
            found.setdefault(key, []).append(each)
        elif each.facts is not None and each.facts.taken is not None:
            yield [each]
    yield from found.values()


def _best(members: Sequence[Judged]) -> Judged:
    bursts = {each.group for each in members}
    if len(bursts) == 1 and None not in bursts:
        return order_within(members)[0]
    return min(members, key=best_first)


def _compared(found: Findings) -> bool:
    """Whether whatever rejects is relative."""
    return all(each.relative for each in found if each.rejects)
