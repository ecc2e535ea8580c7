"""How well scores agree with people: correlations and errors with intervals, and bursts.

Protocol: SRCC and KRCC on raw scores; PLCC raw and after the monotone four-parameter logistic of
the video quality experts group (VQEG, 2000); RMSE and MAE in points of the common 1..10 scale, on
raw scores. Intervals are 95 % percentile bootstraps over photos.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import OptimizeWarning, curve_fit
from scipy.special import expit
from scipy.stats import kendalltau, pearsonr, rankdata, spearmanr

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

RESAMPLES = 1000
SEED = 20
# Points of 1..10 between two opinions, a tenth of the scale, below which thirty people do not agree
# which photo is the better one.
APART = 0.9
MEASURES = ("srcc", "plcc", "plcc_logistic", "krcc", "rmse", "mae")


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value and its 95 % interval; NaN where it is not defined (constant scores)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """Scores against opinions over `photos` photos; `figures` by the names in `MEASURES`.

    `logistic_fitted` is False where the logistic did not converge and `plcc_logistic` repeats the
    raw one.
    """

    photos: int
    figures: dict[str, Figure]
    logistic_fitted: bool


@dataclass(frozen=True, slots=True)
class Bursts:
    """`top1`: share of groups whose best frame is found; `pairs`: share of pairs in order."""

    groups: int
    top1: Figure
    pairs: Figure
    chance: float


def agreement(scores: Numbers, opinions: Numbers) -> Agreement:
    """Compare (n,) scores with (n,) opinions on the same 1..10 scale."""
    mapped, fitted = logistic(scores, opinions)
    table = np.stack([scores, mapped, opinions], axis=1)
    names: dict[str, Callable[[Numbers], float]] = {
        "srcc": lambda rows: float(spearmanr(rows[:, 0], rows[:, 2])[0]),
        "plcc": lambda rows: float(pearsonr(rows[:, 0], rows[:, 2])[0]),
        "plcc_logistic": lambda rows: float(pearsonr(rows[:, 1], rows[:, 2])[0]),
        "krcc": lambda rows: float(kendalltau(rows[:, 0], rows[:, 2])[0]),
        "rmse": lambda rows: float(np.sqrt(np.mean((rows[:, 0] - rows[:, 2]) ** 2))),
        "mae": lambda rows: float(np.mean(np.abs(rows[:, 0] - rows[:, 2]))),
    }
    constant = len(scores) < 3 or np.ptp(scores) == 0 or np.ptp(opinions) == 0
    figures = {
        name: Figure(*[float("nan")] * 3)
        if constant and name not in ("rmse", "mae")
        else bootstrap(table, measure)
        for name, measure in names.items()
    }
    return Agreement(len(scores), figures, fitted)


def bootstrap(rows: Numbers, measure: Callable[[Numbers], float]) -> Figure:
    """`measure` of all rows, with the 95 % percentile interval over resampled rows.

    A resample for which the measure is not defined (one photo many times) is left out.
    """
    random = np.random.default_rng(SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        draws = [measure(rows[random.integers(0, len(rows), len(rows))]) for _ in range(RESAMPLES)]
        low, high = np.nanpercentile(draws, (2.5, 97.5))
        return Figure(measure(rows), float(low), float(high))


def logistic(scores: Numbers, opinions: Numbers) -> tuple[Numbers, bool]:
    """Scores mapped to opinions by |b1 - b2| / (1 + exp(-(x - b3) / |b4|)) + b2, and success."""
    spread = scores.std()
    if len(scores) < 8 or spread == 0:
        return scores, False
    x = (scores - scores.mean()) / spread
    start = (opinions.max(), opinions.min(), 0.0, 0.25)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizeWarning)  # of the covariance, not used here
            best, _ = curve_fit(_logistic, x, opinions, p0=start, maxfev=5000)
    except RuntimeError:
        return scores, False
    mapped = _logistic(x, *best)
    return (mapped, True) if np.ptp(mapped) > 0 else (scores, False)


def _logistic(x: Numbers, b1: float, b2: float, b3: float, b4: float) -> Numbers:
    steps: Numbers = abs(b1 - b2) * expit((x - b3) / (abs(b4) + 1e-9)) + b2
    return steps


def bursts(scores: Numbers, opinions: Numbers, groups: Sequence[str]) -> Bursts:
    """Within each group of two or more: is the best frame found, are the pairs in order?

    A photo whose group is "" is in none. Pairs count whose opinions lie `APART` or more; equal
    scores count half.
    """
    labels = np.asarray(groups)
    rows = []
    for name in np.unique(labels):
        inside = labels == name
        if name and inside.sum() > 1:
            rows.append(_one_burst(scores[inside], opinions[inside]))
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    return Bursts(
        groups=len(table),
        top1=bootstrap(table, lambda each: float(each[:, 0].mean())),
        pairs=bootstrap(table, lambda each: float(each[:, 1].sum() / each[:, 2].sum())),
        chance=float(table[:, 3].mean()),
    )


def _one_burst(scores: Numbers, opinions: Numbers) -> tuple[float, float, float, float]:
    """(hit, pairs in order, pairs, chance of a hit)."""
    best = opinions == opinions.max()
    first, second = np.triu_indices(len(scores), 1)
    gap = opinions[first] - opinions[second]
    clear = np.abs(gap) >= APART - 1e-9
    said = np.sign(scores[first] - scores[second])
    right = np.where(said == 0, 0.5, said == np.sign(gap))[clear]
    top = rankdata(-scores, method="min") == 1
    return float((best & top).sum() / top.sum()), right.sum(), clear.sum(), best.mean()
