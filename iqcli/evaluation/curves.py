"""The curves from scores to opinions after which a linear correlation is usually given.

Of four parameters (VQEG 2000): (b1 - b2) / (1 + exp(-(x - b3) / |b4|)) + b2.
Of five (Sheikh et al. 2006): b1 (1/2 - 1 / (1 + exp(b2 (x - b3)))) + b4 x + b5.

Where its middle and its steepness are given, the rest is a linear fit. So two numbers are searched
for, and what nearly is a line, on which a search for all of them does not end, is found as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import least_squares, minimize
from scipy.special import expit

from iqcli.evaluation.intervals import ROUNDING

if TYPE_CHECKING:
    from iqcli.records import Doubles


@dataclass(frozen=True, slots=True, eq=False)
class CurveFit:
    """(n,) scores `mapped` by a curve, or as they are where `failure` says why there is none.

    `rises`: whether the curve goes up wherever there are scores. One that falls turns a scorer
    round, so that the correlation after it is no merit.
    """

    mapped: Doubles
    failure: str | None = None
    rises: bool = True


# The number of parameters, and where the search begins: the steepness for scores of deviation 1, at
# their mean. It finds the curve next to that, which is the one that others report: with five
# parameters, one that jumps between two photos may come nearer.
CURVES = {"plcc_logistic_4": (4, 4.0), "plcc_logistic_5": (5, 1.0)}
# From nearly a line to a step.
BOUNDS = 0.01, 100.0
# A search ends where a step changes the error, or the two numbers, by less than this share; after
# so many tries it has failed.
CLOSE, MOST = 1e-6, 200


def fit_curve(name: str, scores: Doubles, opinions: Doubles) -> CurveFit:
    """The curve of `CURVES` that comes nearest to (n,) opinions, by least squares."""
    parameters, steepness = CURVES[name]
    least = 2 * parameters
    if len(scores) < least:
        return CurveFit(scores, f"it needs {least} photos")
    if np.ptp(scores) <= ROUNDING * np.abs(scores).max():
        return CurveFit(scores, "the scores are all alike")
    x = (scores - scores.mean()) / scores.std()
    mapped = _nearest(x, opinions, steepness, with_line=parameters == 5)
    if mapped is None:
        return CurveFit(scores, "the search for it did not end")
    if np.ptp(mapped) <= ROUNDING * np.abs(mapped).max():
        return CurveFit(scores, "the nearest one is level")
    steps = np.diff(mapped[np.argsort(scores)])
    return CurveFit(mapped, rises=bool((steps >= -ROUNDING).all()))


def _nearest(x: Doubles, opinions: Doubles, steepness: float, *, with_line: bool) -> Doubles | None:
    """The (n,) values of the nearest curve, for scores of mean 0 and deviation 1."""

    def values(at: Doubles) -> Doubles:
        columns = [expit(np.exp(at[0]) * (x - at[1])) - 0.5, np.ones(len(x))]
        table = np.stack([*columns, x] if with_line else columns, axis=1)
        found: Doubles = table @ np.linalg.lstsq(table, opinions, rcond=None)[0]
        return found

    def errors(at: Doubles) -> Doubles:
        return values(at) - opinions

    reach = np.abs(x).max() + 10
    bounds = [np.log(BOUNDS[0]), -reach], [np.log(BOUNDS[1]), reach]
    found = least_squares(
        errors, [np.log(steepness), 0.0], bounds=bounds, ftol=CLOSE, xtol=CLOSE, max_nfev=MOST
    )
    if not found.success:
        # It creeps along, as where opinions are of two kinds: downhill from there without slopes.
        found = minimize(
            lambda at: (errors(at) ** 2).mean(),
            found.x,
            method="Nelder-Mead",
            bounds=list(zip(*bounds, strict=True)),
            options={"maxfev": 2 * MOST},
        )
    return values(found.x) if found.success else None
