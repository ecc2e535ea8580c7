"""Figures with their 95 % intervals: percentile bootstraps over photos, and those of shares.

A bootstrap draws as many rows as there are, with replacement. What counts of a draw is how often
each row is in it: measures take these numbers as weights, of many draws at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaincinv, ndtri

if TYPE_CHECKING:
    from iqcli.records import Doubles

    # From rows (n, ...) and weights (draws, n) to one value a draw, NaN where it is not defined.
    Measure = Callable[[Doubles, Doubles], Doubles]

RESAMPLES = 1000
SEED = 20
# What an interval leaves out at each end.
TAIL = 0.025
# Values closer than this, for their size, differ by the rounding of the arithmetic alone.
ROUNDING = 1e-6
# Weights that are held at once: 32 MB.
CELLS = 4_000_000


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value and its 95 % interval.

    NaN where the value is not defined (constant scores), and for the ends of an interval that
    cannot be known.
    """

    value: float
    low: float
    high: float

    @property
    def has_interval(self) -> bool:
        """Whether its interval is known."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))


UNDEFINED = Figure(float("nan"), float("nan"), float("nan"))


def bootstrap(rows: Doubles, measure: Measure) -> Figure:
    """`measure` of all rows, with the 95 % percentile interval over resampled rows."""
    value = measured(rows, measure)
    return Figure(value, *ends(resampled(rows, measure))) if np.isfinite(value) else UNDEFINED


def measured(rows: Doubles, measure: Measure) -> float:
    """`measure` of all rows, each counted once."""
    return float(measure(rows, np.ones((1, len(rows))))[0])


def resampled(rows: Doubles, measure: Measure) -> Doubles:
    """`measure` of each of `RESAMPLES` resamples of the rows.

    The resamples of as many rows are always the same.
    """
    random, count = np.random.default_rng(SEED), len(rows)
    step = max(1, CELLS // count)
    parts = []
    for start in range(0, RESAMPLES, step):
        draws = random.integers(0, count, (min(step, RESAMPLES - start), count))
        places = draws + count * np.arange(len(draws))[:, None]
        weights = np.bincount(places.ravel(), minlength=draws.size).reshape(draws.shape)
        parts.append(measure(rows, weights.astype(np.float64)))
    return np.concatenate(parts)


def ends(values: Doubles) -> tuple[float, float]:
    """The 95 % percentile interval of what resamples gave; NaN where they say nothing of it.

    So where they are all alike (a perfect order of a few photos), and where too many have no value,
    which could all lie beyond one end: those without the two photos that alone differ.
    """
    known = values[np.isfinite(values)]
    if len(known) < (1 - TAIL) * len(values) or np.ptp(known) < ROUNDING**2:
        return float("nan"), float("nan")
    low, high = np.percentile(known, (100 * TAIL, 100 * (1 - TAIL)))
    return float(low), float(high)


def mean(values: Doubles, weights: Doubles) -> Doubles:
    """The mean of (n,) values in each draw; NaN of none."""
    return ratio(weights @ values, weights.sum(axis=1))


def ratio(parts: Doubles, wholes: Doubles) -> Doubles:
    """Parts of wholes, NaN of none."""
    found: Doubles = np.divide(parts, wholes, out=np.full(parts.shape, np.nan), where=wholes > 0)
    return found


def share(hits: int, count: int) -> Figure:
    """`hits` of `count` with the exact interval (Clopper & Pearson, Biometrika 26, 1934)."""
    if not count:
        return UNDEFINED
    low = float(betaincinv(hits, count - hits + 1, TAIL)) if hits else 0.0
    high = float(betaincinv(hits + 1, count - hits, 1 - TAIL)) if hits < count else 1.0
    return Figure(hits / count, low, high)


def wins(ahead: Doubles) -> Doubles:
    """1 where the one is ahead of the other, 0.5 where they are equal, else 0."""
    return np.where(ahead == 0, 0.5, ahead > 0)


def mean_share(hits: Doubles) -> Figure:
    """The mean of (n,) hits of 0..1, halves for ties, with the score interval of n trials.

    Wilson, J. Am. Stat. Assoc. 22, 1927: unlike the exact one it is defined for parts of a hit, for
    which it is too wide rather than too narrow.
    """
    count = len(hits)
    return wilson(float(hits.mean()), count) if count else UNDEFINED


def wilson(value: float, count: int) -> Figure:
    """A share of `count` trials with Wilson's interval."""
    squared = float(ndtri(1 - TAIL)) ** 2
    middle = value + squared / (2 * count)
    reach = (squared * (value * (1 - value) / count + squared / (4 * count**2))) ** 0.5
    whole = 1 + squared / count
    # At either end the sum is that end but for its last digit.
    return Figure(value, max(0.0, (middle - reach) / whole), min(1.0, (middle + reach) / whole))
