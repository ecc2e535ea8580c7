"""Two scorers on the same photos: the difference of their figures, and whether it is chance.

A paired bootstrap: both are measured on the same resamples of the photos (of the groups, for
bursts), so that what a photo adds to both alike does not widen the interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iqcli.evaluation.agreement import burst_rows, pair_accuracy, rmse, srcc, top1
from iqcli.evaluation.intervals import UNDEFINED, Figure, ends, measured, resampled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iqcli.evaluation.intervals import Measure
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
    rows = np.stack([np.stack([each, opinions], axis=1) for each in (one, other)], axis=1)
    return {"srcc": _paired(rows, srcc), "rmse": _paired(rows, rmse, lower_is_better=True)}


def burst_difference(
    one: Doubles, other: Doubles, opinions: Doubles, groups: Sequence[str]
) -> dict[str, Difference]:
    """`top1` and `pairs` within groups (see `agreement.bursts`), one minus other."""
    rows = np.stack([burst_rows(scores, opinions, groups) for scores in (one, other)], axis=1)
    return {"top1": _paired(rows, top1), "pairs": _paired(rows, pair_accuracy)}


def _paired(rows: Doubles, measure: Measure, *, lower_is_better: bool = False) -> Difference:
    """The difference of a measure over rows (n, 2, ...): of the first scorer minus the second."""

    def apart(drawn: Doubles, weights: Doubles) -> Doubles:
        return measure(drawn[:, 0], weights) - measure(drawn[:, 1], weights)

    value = measured(rows, apart)
    if not np.isfinite(value):
        return Difference(UNDEFINED, float("nan"))
    drawn = resampled(rows, apart)
    known = drawn[np.isfinite(drawn)]
    ahead = -known if lower_is_better else known
    better = float(np.mean(ahead > 0) + np.mean(ahead == 0) / 2)
    return Difference(Figure(value, *ends(drawn)), better)
