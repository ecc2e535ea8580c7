"""How well scores agree with people: correlations and errors with intervals, bursts, rejects.

Protocol: SRCC and KRCC on raw scores; PLCC raw and after the two logistics that are usual, of four
parameters (video quality experts group, VQEG 2000) and of five (Sheikh, Sabir & Bovik, IEEE Trans.
Image Processing 15, 2006); RMSE and MAE in points of the common 1..10 scale, on raw scores. A curve
is fitted once, to all photos, and not to every resample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import kendalltau, rankdata

from iqcli.evaluation.curves import CURVES, fit_curve
from iqcli.evaluation.intervals import (
    ROUNDING,
    UNDEFINED,
    Figure,
    bootstrap,
    mean,
    mean_share,
    measured,
    ratio,
    share,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from iqcli.evaluation.curves import CurveFit
    from iqcli.evaluation.intervals import Measure
    from iqcli.records import Doubles, Flags

    Places = NDArray[np.intp]


# Points of 1..10 between two opinions, a tenth of the scale, below which thirty people do not agree
# which photo is the better one.
APART = 0.9
# A photo that people like, and one below the middle of the scale: MOS .7 and .5 on 0..1.
GOOD, BAD = 7.3, 5.5
# Up to so many photos every pair is compared once for all resamples; n log n each is less beyond.
FEW_PAIRS = 4096


@dataclass(frozen=True, slots=True)
class Agreement:
    """Scores against opinions over `photos` photos; `figures` are srcc, krcc, plcc, rmse, mae, and
    for each of `CURVES` the PLCC after it.

    `fits` are the curves by the same names; where one could not be fitted, its figure is the raw
    PLCC.
    """

    photos: int
    figures: dict[str, Figure]
    fits: dict[str, CurveFit]


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
    fits = {name: fit_curve(name, scores, opinions) for name in CURVES}
    rows = np.stack([scores, opinions], axis=1)
    correlations: dict[str, tuple[Doubles, Measure]] = {
        "srcc": (rows, srcc),
        "krcc": (rows, krcc),
        "plcc": (rows, plcc),
    }
    for name, fit in fits.items():
        correlations[name] = np.stack([fit.mapped, opinions], axis=1), plcc
    correlated = can_correlate(scores, opinions)
    figures = {
        name: bootstrap(table, measure) if correlated else UNDEFINED
        for name, (table, measure) in correlations.items()
    }
    figures |= {"rmse": bootstrap(rows, rmse), "mae": bootstrap(rows, mae)}
    return Agreement(len(scores), figures, fits)


def can_correlate(one: Doubles, other: Doubles) -> bool:
    """Whether a correlation of (n,) values is defined: three photos or more, neither constant."""
    return len(one) > 2 and all(bool(_vary(each, np.ones((1, len(each))))) for each in (one, other))


def rank_correlation(one: Doubles, other: Doubles) -> float:
    """Spearman's rank correlation of (n,) values."""
    return measured(np.stack([one, other], axis=1), srcc)


# --- measures: of rows (n, 2) and weights (draws, n), see `intervals` ---


def plcc(rows: Doubles, weights: Doubles) -> Doubles:
    """Pearson's correlation; NaN in draws of which a column is constant."""
    one, other = rows[:, 0], rows[:, 1]
    found = _pearson(one[None], other[None], weights)
    return np.where(_vary(one, weights) & _vary(other, weights), found, np.nan)


def srcc(rows: Doubles, weights: Doubles) -> Doubles:
    """Spearman's correlation: Pearson's of the ranks within the draw, ties sharing theirs."""
    one, other = rows[:, 0], rows[:, 1]
    found = _pearson(weighted_ranks(one, weights), weighted_ranks(other, weights), weights)
    return np.where(_vary(one, weights) & _vary(other, weights), found, np.nan)


def krcc(rows: Doubles, weights: Doubles) -> Doubles:
    """Kendall's tau-b: pairs in order less the others, of the pairs that are not tied."""
    one, other = rows[:, 0], rows[:, 1]
    pairs = _pairs_of(weights.sum(axis=1))
    free = [pairs - _tied(each, weights) for each in (one, other)]
    found = ratio(_net_pairs(one, other, weights), np.sqrt(free[0]) * np.sqrt(free[1]))
    return np.where(_vary(one, weights) & _vary(other, weights), found, np.nan)


def rmse(rows: Doubles, weights: Doubles) -> Doubles:
    """The root of the mean squared difference."""
    return np.sqrt(mean((rows[:, 0] - rows[:, 1]) ** 2, weights))


def mae(rows: Doubles, weights: Doubles) -> Doubles:
    """The mean absolute difference."""
    return mean(np.abs(rows[:, 0] - rows[:, 1]), weights)


def weighted_ranks(values: Doubles, weights: Doubles) -> Doubles:
    """The ranks (draws, n) of (n,) values, from 1, each counted as often as it is drawn."""
    place, starts, order = _groups(values)
    counts = np.add.reduceat(weights[:, order], starts, axis=1)
    ranks: Doubles = (np.cumsum(counts, axis=1) - (counts - 1) / 2)[:, place]
    return ranks


def _groups(values: Doubles) -> tuple[Places, Places, Places]:
    """Equal values: the group of each, where groups start in the values' order, and that order."""
    order = np.argsort(values, kind="stable")
    first = np.diff(values[order], prepend=np.nan) != 0
    place = np.empty(len(values), np.intp)
    place[order] = np.cumsum(first) - 1
    return place, np.flatnonzero(first), order


def _pearson(one: Doubles, other: Doubles, weights: Doubles) -> Doubles:
    """Of (draws or 1, n) values."""
    total = weights.sum(axis=1, keepdims=True)
    x = one - (weights * one).sum(axis=1, keepdims=True) / total
    y = other - (weights * other).sum(axis=1, keepdims=True) / total
    weighted = weights * x
    spread = np.sqrt((weighted * x).sum(axis=1)) * np.sqrt((weights * y * y).sum(axis=1))
    return np.clip(ratio((weighted * y).sum(axis=1), spread), -1, 1)


def _vary(values: Doubles, weights: Doubles) -> Flags:
    """In which draws (n,) values differ by more than rounding."""
    order = np.argsort(values, kind="stable")
    drawn = weights[:, order] > 0
    first, last = drawn.argmax(axis=1), len(order) - 1 - drawn[:, ::-1].argmax(axis=1)
    apart: Flags = values[order[last]] - values[order[first]] > ROUNDING * np.abs(values).max()
    return apart


def _pairs_of(counts: Doubles) -> Doubles:
    return counts * (counts - 1) / 2


def _tied(values: Doubles, weights: Doubles) -> Doubles:
    """The pairs of a draw whose values are equal."""
    _, starts, order = _groups(values)
    counts = np.add.reduceat(weights[:, order], starts, axis=1)
    tied: Doubles = _pairs_of(counts).sum(axis=1)
    return tied


def _net_pairs(one: Doubles, other: Doubles, weights: Doubles) -> Doubles:
    """The pairs of a draw that both values order alike, less those that they order otherwise."""
    if len(one) > FEW_PAIRS:
        return np.array([_net_of_one(one, other, each.astype(np.intp)) for each in weights])
    alike = np.sign(one[:, None] - one).astype(np.float32)
    alike *= np.sign(other[:, None] - other)
    # Whole numbers below 2^24: exact.
    ahead = weights.astype(np.float32) @ alike
    net: Doubles = (ahead * weights).sum(axis=1) / 2
    return net


def _net_of_one(one: Doubles, other: Doubles, counts: Places) -> float:
    x, y = np.repeat(one, counts), np.repeat(other, counts)
    whole = np.ones((1, len(x)))
    free = [float((_pairs_of(whole.sum(axis=1)) - _tied(each, whole))[0]) for each in (x, y)]
    return float(kendalltau(x, y)[0]) * float(np.sqrt(free[0] * free[1]))


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


def bursts(scores: Doubles, opinions: Doubles, groups: Sequence[str]) -> Bursts:
    """Within each group of two or more: is the best frame found, are the pairs in order?

    A photo whose group is "" is in none. Pairs count whose opinions lie `APART` or more; equal
    scores count half.
    """
    table = burst_rows(scores, opinions, groups)
    return Bursts(
        groups=len(table),
        top1=mean_share(table[:, 0]),
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


def top1(rows: Doubles, weights: Doubles) -> Doubles:
    """The share of the groups of `burst_rows` whose best frame is found."""
    return mean(rows[:, 0], weights)


def pair_accuracy(rows: Doubles, weights: Doubles) -> Doubles:
    """The share of the pairs of `burst_rows` that are in order."""
    return ratio(weights @ rows[:, 1], weights @ rows[:, 2])


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
