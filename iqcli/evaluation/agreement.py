"""How well scores agree with people: correlations and errors with intervals, bursts, rejects.

Protocol: SRCC and KRCC on raw scores; PLCC raw and after the monotone four-parameter logistic of
the video quality experts group (VQEG, 2000); RMSE and MAE in points of the common 1..10 scale, on
raw scores. Intervals are 95 % percentile bootstraps over photos; those of shares of counted photos
are exact (Clopper & Pearson, Biometrika 26, 1934).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import OptimizeWarning, curve_fit
from scipy.special import betaincinv, expit
from scipy.stats import kendalltau, pearsonr, rankdata, spearmanr

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from iqcli.records import Doubles, Flags


RESAMPLES = 1000
SEED = 20
# Points of 1..10 between two opinions, a tenth of the scale, below which thirty people do not agree
# which photo is the better one.
APART = 0.9
# A photo that people like, and one below the middle of the scale: MOS .7 and .5 on 0..1.
GOOD, BAD = 7.3, 5.5


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value and its 95 % interval; NaN where it is not defined (constant scores)."""

    value: float
    low: float
    high: float


UNDEFINED = Figure(float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True, slots=True)
class Agreement:
    """Scores against opinions over `photos` photos; `figures` are srcc, plcc, plcc_logistic, krcc,
    rmse and mae.

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


@dataclass(frozen=True, slots=True)
class Rejects:
    """What a rule rejects of `photos` photos, against what people thought of them.

    `regretted` is the number of the rejected photos that people rated good, `false` their share;
    `found` is the share of the `bad` photos that the rule rejects. NaN where none is counted.
    """

    photos: int
    rejected: int
    regretted: int
    false: Figure
    bad: int
    found: Figure


def agreement(scores: Doubles, opinions: Doubles) -> Agreement:
    """Compare (n,) scores with (n,) opinions on the same 1..10 scale."""
    mapped, fitted = logistic(scores, opinions)
    table = np.stack([scores, mapped, opinions], axis=1)
    names: dict[str, Callable[[Doubles], float]] = {
        "srcc": lambda rows: srcc(rows[:, 0], rows[:, 2]),
        "plcc": lambda rows: float(pearsonr(rows[:, 0], rows[:, 2])[0]),
        "plcc_logistic": lambda rows: float(pearsonr(rows[:, 1], rows[:, 2])[0]),
        "krcc": lambda rows: float(kendalltau(rows[:, 0], rows[:, 2])[0]),
        "rmse": lambda rows: float(np.sqrt(np.mean((rows[:, 0] - rows[:, 2]) ** 2))),
        "mae": lambda rows: float(np.mean(np.abs(rows[:, 0] - rows[:, 2]))),
    }
    correlated = can_correlate(scores, opinions)
    figures = {
        name: bootstrap(table, measure) if correlated or name in ("rmse", "mae") else UNDEFINED
        for name, measure in names.items()
    }
    return Agreement(len(scores), figures, fitted)


def can_correlate(one: Doubles, other: Doubles) -> bool:
    """Whether a correlation of (n,) values is defined: three photos or more, neither constant."""
    return len(one) > 2 and bool(np.ptp(one) > 0 and np.ptp(other) > 0)


def srcc(one: Doubles, other: Doubles) -> float:
    """Spearman's rank correlation of (n,) values."""
    return float(spearmanr(one, other)[0])


def bootstrap(rows: Doubles, measure: Callable[[Doubles], float]) -> Figure:
    """`measure` of all rows, with the 95 % percentile interval over resampled rows.

    A resample for which the measure is not defined (one photo many times) is left out.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        low, high = np.nanpercentile(resampled(rows, measure), (2.5, 97.5))
        return Figure(measure(rows), float(low), float(high))


def resampled(rows: Doubles, measure: Callable[[Doubles], float]) -> Doubles:
    """`measure` of each of `RESAMPLES` resamples (with replacement) of the rows.

    The resamples of as many rows are always the same.
    """
    random = np.random.default_rng(SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        draws = (random.integers(0, len(rows), len(rows)) for _ in range(RESAMPLES))
        return np.array([measure(rows[draw]) for draw in draws])


def share(hits: int, count: int) -> Figure:
    """`hits` of `count` with the exact 95 % interval; NaN of none."""
    if not count:
        return UNDEFINED
    low = float(betaincinv(hits, count - hits + 1, 0.025)) if hits else 0.0
    high = float(betaincinv(hits + 1, count - hits, 0.975)) if hits < count else 1.0
    return Figure(hits / count, low, high)


def rejects(rejected: Flags, opinions: Doubles, good: float = GOOD) -> Rejects:
    """Which of (n,) photos are rejected, against (n,) opinions of 1..10."""
    regretted, bad = int((rejected & (opinions >= good)).sum()), opinions < BAD
    return Rejects(
        photos=len(opinions),
        rejected=int(rejected.sum()),
        regretted=regretted,
        false=share(regretted, int(rejected.sum())),
        bad=int(bad.sum()),
        found=share(int((rejected & bad).sum()), int(bad.sum())),
    )


def logistic(scores: Doubles, opinions: Doubles) -> tuple[Doubles, bool]:
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


def _logistic(x: Doubles, b1: float, b2: float, b3: float, b4: float) -> Doubles:
    steps: Doubles = abs(b1 - b2) * expit((x - b3) / (abs(b4) + 1e-9)) + b2
    return steps


def bursts(scores: Doubles, opinions: Doubles, groups: Sequence[str]) -> Bursts:
    """Within each group of two or more: is the best frame found, are the pairs in order?

    A photo whose group is "" is in none. Pairs count whose opinions lie `APART` or more; equal
    scores count half.
    """
    table = burst_rows(scores, opinions, groups)
    return Bursts(
        groups=len(table),
        top1=bootstrap(table, top1),
        pairs=bootstrap(table, pair_accuracy),
        chance=float(table[:, 3].mean()),
    )


def burst_rows(scores: Doubles, opinions: Doubles, groups: Sequence[str]) -> Doubles:
    """Of each group of two or more: best frame found, pairs in order, pairs, chance; (g, 4)."""
    labels = np.asarray(groups)
    rows = []
    for name in np.unique(labels):
        inside = labels == name
        if name and inside.sum() > 1:
            rows.append(_one_burst(scores[inside], opinions[inside]))
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def top1(rows: Doubles) -> float:
    """The share of the groups of `burst_rows` whose best frame is found."""
    return float(rows[:, 0].mean())


def pair_accuracy(rows: Doubles) -> float:
    """The share of the pairs of `burst_rows` that are in order."""
    return float(rows[:, 1].sum() / rows[:, 2].sum())


def _one_burst(scores: Doubles, opinions: Doubles) -> tuple[float, float, float, float]:
    """(hit, pairs in order, pairs, chance of a hit)."""
    best = opinions == opinions.max()
    first, second = np.triu_indices(len(scores), 1)
    gap = opinions[first] - opinions[second]
    clear = np.abs(gap) >= APART - 1e-9
    predicted = np.sign(scores[first] - scores[second])
    right = np.where(predicted == 0, 0.5, predicted == np.sign(gap))[clear]
    top = rankdata(-scores, method="min") == 1
    return float((best & top).sum() / top.sum()), right.sum(), clear.sum(), best.mean()
