"""Whether a model's uncertainty is right: how often its intervals hold, and where it errs.

A score with the uncertainty s (one standard deviation, in points of 1..10) promises that the
opinion of people lies within score +- 1.645 s for nine photos of ten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri, stdtrit
from scipy.stats import rankdata

from iqcli.evaluation.agreement import can_correlate, rmse, srcc
from iqcli.evaluation.intervals import UNDEFINED, Figure, bootstrap, share

if TYPE_CHECKING:
    from iqcli.records import Doubles

PROMISED = 0.9
# Nominal coverages at which the real one is drawn, and the number of groups of equal size.
NOMINAL = tuple(np.round(np.linspace(0.05, 0.95, 19), 2).tolist())
GROUPS = 10
THIRDS = ("lowest", "middle", "highest")


@dataclass(frozen=True, slots=True)
class UncertaintyPart:
    """Photos of about the same uncertainty: the mean of it, the error and the coverage of the 90 %
    interval; in points. An honest `sigma` is about as large as the `rmse`."""

    name: str
    photos: int
    sigma: float
    rmse: Figure
    coverage: Figure


@dataclass(frozen=True, slots=True)
class UncertaintyMetrics:
    """Whether it knows where it errs: `srcc` is its rank correlation with the absolute error.

    `whole` are all photos, `thirds` those of the `THIRDS` by uncertainty.
    """

    srcc: Figure
    whole: UncertaintyPart
    thirds: tuple[UncertaintyPart, ...]


@dataclass(frozen=True, slots=True)
class ScoreGroup:
    """Photos of about the same score: their mean score, and mean opinion with its 95 % interval."""

    score: float
    opinion: Figure


def uncertainty_metrics(scores: Doubles, sigmas: Doubles, opinions: Doubles) -> UncertaintyMetrics:
    """(n,) scores and uncertainties against (n,) opinions, all in points of 1..10.

    Equal uncertainties are in one third; where all are equal there are no thirds.
    """
    errors = np.abs(opinions - scores)
    ranked = can_correlate(sigmas, errors)
    # The middle of its ranks puts equal ones together.
    third = np.ceil(3 * (rankdata(sigmas) - 0.5) / len(sigmas)).astype(int) - 1
    parts = [(name, third == k) for k, name in enumerate(THIRDS)] if np.ptp(sigmas) > 0 else []
    return UncertaintyMetrics(
        srcc=bootstrap(np.stack([sigmas, errors], axis=1), srcc) if ranked else UNDEFINED,
        whole=_part("all", scores, sigmas, opinions),
        thirds=tuple(
            _part(name, scores[inside], sigmas[inside], opinions[inside])
            for name, inside in parts
            if inside.any()
        ),
    )


def _part(name: str, scores: Doubles, sigmas: Doubles, opinions: Doubles) -> UncertaintyPart:
    return UncertaintyPart(
        name=name,
        photos=len(scores),
        sigma=float(sigmas.mean()),
        rmse=bootstrap(np.stack([scores, opinions], axis=1), rmse),
        coverage=covered(scores, sigmas, opinions, PROMISED),
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
