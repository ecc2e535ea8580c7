"""Whether a model's uncertainty is right: how often its intervals hold, and where it errs.

A score with the uncertainty s (one standard deviation, in points of 1..10) promises that the
opinion of people lies within score +- 1.645 s for nine photos of ten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri, stdtrit

from iqcli.evaluation.agreement import UNDEFINED, Figure, bootstrap, can_correlate, share, srcc

if TYPE_CHECKING:
    from iqcli.records import Doubles

PROMISED = 0.9
# Nominal coverages at which the real one is drawn, and the number of groups of equal size.
NOMINAL = tuple(np.round(np.linspace(0.05, 0.95, 19), 2).tolist())
GROUPS = 10


@dataclass(frozen=True, slots=True)
class UncertaintyMetrics:
    """`coverage`: share of opinions within the 90 % interval; `sigma`: mean uncertainty, points.

    `srcc` is the rank correlation of uncertainty with absolute error: does it know where it errs?
    """

    photos: int
    coverage: Figure
    sigma: float
    srcc: Figure


@dataclass(frozen=True, slots=True)
class ScoreGroup:
    """Photos of about the same score: their mean score, and mean opinion with its 95 % interval."""

    score: float
    opinion: Figure


def uncertainty_metrics(scores: Doubles, sigmas: Doubles, opinions: Doubles) -> UncertaintyMetrics:
    """(n,) scores and uncertainties against (n,) opinions, all in points of 1..10."""
    errors = np.abs(opinions - scores)
    rows = np.stack([sigmas, errors], axis=1)
    return UncertaintyMetrics(
        photos=len(rows),
        coverage=covered(scores, sigmas, opinions, PROMISED),
        sigma=float(sigmas.mean()),
        srcc=bootstrap(rows, lambda each: srcc(each[:, 0], each[:, 1]))
        if can_correlate(sigmas, errors)
        else UNDEFINED,
    )


def covered(scores: Doubles, sigmas: Doubles, opinions: Doubles, nominal: float) -> Figure:
    """The share of opinions within the central interval that should hold `nominal` (0..1)."""
    width = float(ndtri(0.5 + nominal / 2))
    return share(int((np.abs(opinions - scores) <= width * sigmas).sum()), len(scores))


def grouped(scores: Doubles, opinions: Doubles) -> list[ScoreGroup]:
    """The photos by score in up to `GROUPS` groups of equally many, three photos or more each."""
    order = np.argsort(scores, kind="stable")
    parts = np.array_split(order, max(1, min(GROUPS, len(order) // 3)))
    return [ScoreGroup(float(scores[part].mean()), _mean(opinions[part])) for part in parts]


def _mean(values: Doubles) -> Figure:
    """The mean with Student's 95 % interval; that of a single value is the value."""
    mean = float(values.mean())
    if len(values) < 2:
        return Figure(mean, mean, mean)
    reach = float(stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / len(values) ** 0.5)
    return Figure(mean, mean - reach, mean + reach)
