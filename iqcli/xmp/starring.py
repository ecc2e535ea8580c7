"""Scores as stars 1..5: by their place among the photos of a run, or by thresholds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iqcli.errors import IqError

if TYPE_CHECKING:
    from collections.abc import Sequence

QUANTILES = "quantiles"
# The best tenth has five stars, the next fifth four, two fifths three, a fifth two, the rest one.
SHARES = (0.1, 0.3, 0.7, 0.9)

# The lowest scores of 2, 3, 4 and 5 stars; None: by place.
Thresholds = tuple[float, ...] | None


def parse(text: str) -> Thresholds:
    """`quantiles`, or four rising scores as `4,5,6,7`. Raises IqError for anything else."""
    if text == QUANTILES:
        return None
    try:
        found = tuple(float(each) for each in text.split(","))
    except ValueError:
        found = ()
    if len(found) != 4 or not 0 < found[0] < found[1] < found[2] < found[3]:
        raise IqError(
            f"--stars is {text!r}; give {QUANTILES}, or four rising scores for 2 to 5 stars, "
            "as in 4,5,6,7"
        )
    return found


def stars(scores: Sequence[float], thresholds: Thresholds) -> list[int]:
    """Stars for each score, 1..5. Equal scores have equal stars, by the place of the best."""
    if thresholds is not None:
        return [1 + sum(score >= least for least in thresholds) for score in scores]
    places = {score: place for place, score in reversed(list(enumerate(sorted(scores)[::-1])))}
    return [5 - sum(places[score] >= share * len(scores) for share in SHARES) for score in scores]
