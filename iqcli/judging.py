"""Paths to judged shots: find, measure, rate. What every command over photos begins with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from iqcli.records import Judged, Unrated, best_first

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from iqcli.models.registry import Model
    from iqcli.records import Measured, Rating

# Photos rated at once: enough to make the arithmetic cheap, few enough that rows keep flowing.
CHUNK = 128


def judge(measured: Iterable[Measured], model: Model) -> Iterator[Judged]:
    """Rate each measured shot, in order; one without blocks, or without a score, has an error."""
    source = iter(measured)
    while chunk := list(islice(source, CHUNK)):
        whole = [each.blocks for each in chunk if each.blocks is not None]
        ratings = iter(model.rate(whole))
        for each in chunk:
            judged = Judged(each.shot, each.sha256, each.facts, each.stars, error=each.error)
            yield judged if each.blocks is None else _with(judged, next(ratings))


def _with(judged: Judged, rating: Rating | Unrated) -> Judged:
    if isinstance(rating, Unrated):
        return replace(judged, error=rating.reason)
    return replace(judged, rating=rating)


@dataclass(frozen=True, slots=True)
class Ranked:
    """A judged shot's place: `rank` 1 is best; `percentile` is the share (%) of others it beats."""

    judged: Judged
    rank: int
    percentile: float


def rank(judged: Iterable[Judged]) -> list[Ranked]:
    """The scored shots, best first; ties in the order of their paths' bytes."""
    scored = sorted((each for each in judged if each.rating), key=best_first)
    others = max(len(scored) - 1, 1)
    return [
        Ranked(each, place, round(100 * (len(scored) - place) / others, 1))
        for place, each in enumerate(scored, 1)
    ]
