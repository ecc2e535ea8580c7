"""Two scorers on the same photos: the difference of their figures, and whether it is chance.

A paired bootstrap: both are measured on the same resamples of the photos (of the groups, for
bursts), so that what a photo adds to both alike does not widen the interval.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iqcli.evaluation.agreement import (
    UNDEFINED,
    Figure,
    burst_rows,
    pair_accuracy,
    resampled,
    srcc,
    top1,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from iqcli.records import Doubles


@dataclass(frozen=True, slots=True)
class Difference:
    """One scorer's figure minus the other's, with its 95 % interval.

    `better` is the share of resamples in which the first scorer is the better one, equal ones half;
    NaN where the figure is not defined.
    """

    difference: Figure
    better: float


def difference(one: Doubles, other: Doubles, opinions: Doubles) -> dict[str, Difference]:
    """(n,) scores of two scorers against (n,) opinions: `srcc` and `rmse`, one minus other."""
    rows = np.stack([one, other, opinions], axis=1)
    return {"srcc": _paired(rows, _srcc), "rmse": _paired(rows, _rmse, lower_is_better=True)}


def burst_difference(
    one: Doubles, other: Doubles, opinions: Doubles, groups: Sequence[str]
) -> dict[str, Difference]:
    """`top1` and `pairs` within groups (see `agreement.bursts`), one minus other."""
    rows = np.stack([burst_rows(scores, opinions, groups) for scores in (one, other)], axis=1)
    return {"top1": _paired(rows, _top1), "pairs": _paired(rows, _pairs)}


def _paired(
    rows: Doubles, measure: Callable[[Doubles, int], float], *, lower_is_better: bool = False
) -> Difference:
    def difference(drawn: Doubles) -> float:
        return measure(drawn, 0) - measure(drawn, 1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of what is constant
        value = difference(rows)
        drawn = resampled(rows, difference)
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or not len(drawn):
        return Difference(UNDEFINED, float("nan"))
    low, high = np.percentile(drawn, (2.5, 97.5))
    ahead = -drawn if lower_is_better else drawn
    better = float(np.mean(ahead > 0) + np.mean(ahead == 0) / 2)
    return Difference(Figure(value, float(low), float(high)), better)


def _srcc(rows: Doubles, which: int) -> float:
    return srcc(rows[:, which], rows[:, 2])


def _rmse(rows: Doubles, which: int) -> float:
    return float(np.sqrt(np.mean((rows[:, which] - rows[:, 2]) ** 2)))


def _top1(rows: Doubles, which: int) -> float:
    return top1(rows[:, which])


def _pairs(rows: Doubles, which: int) -> float:
    return pair_accuracy(rows[:, which])
