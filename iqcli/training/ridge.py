"""Ridge regression of what a stock score leaves unsaid.

The points are first told by a line of the stock score alone, then the rest by all inputs, shrunk.
The greatest strength leaves the line as it is, which ranks as the stock model does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from iqcli.evaluation.agreement import Numbers

    Mask = NDArray[np.bool_]
    Labels = NDArray[np.int64]

# Penalty per photo. The strongest comes first: of equally good ones it is chosen.
STRENGTHS = (np.inf, *np.logspace(1, -4, 11))
# The line must rise, so that the strongest shrinkage ranks as the stock model does.
LEAST_SLOPE = 0.1


@dataclass(frozen=True)
class Known:
    """n photos: stock scores (n,), inputs (n, width), points (n,) and numbered days (n,)."""

    stock: Numbers
    inputs: Numbers
    points: Numbers
    days: Labels

    def only(self, rows: Mask) -> Known:
        """The photos for which `rows` is true."""
        return Known(self.stock[rows], self.inputs[rows], self.points[rows], self.days[rows])


@dataclass(frozen=True)
class Fit:
    """score = level + slope * stock + inputs @ weights, cut to 1..10."""

    level: float
    slope: float
    weights: Numbers

    def predict(self, known: Known) -> Numbers:
        """The (n,) scores."""
        raw = self.level + self.slope * known.stock + known.inputs @ self.weights
        return np.clip(raw, 1, 10)


def fits(known: Known, strengths: Sequence[float]) -> Iterator[Fit]:
    """A fit for each strength."""
    slope = _slope(known)
    level = known.points.mean() - slope * known.stock.mean()
    left = known.points - level - slope * known.stock
    # The stock score is also an input, else whoever likes what others dislike could not be told.
    spread = float(known.stock.std()) or 1.0
    columns = np.column_stack([known.stock / spread, known.inputs])
    middle = columns.mean(axis=0)
    for weights in _ridge(columns - middle, left, strengths):
        yield Fit(
            level=float(level - middle @ weights),
            slope=float(slope + weights[0] / spread),
            weights=weights[1:],
        )


def _slope(known: Known) -> float:
    centred = known.stock - known.stock.mean()
    square = float(centred @ centred)
    return max(float(centred @ known.points) / square, LEAST_SLOPE) if square else LEAST_SLOPE


def _ridge(x: Numbers, y: Numbers, strengths: Sequence[float]) -> Iterator[Numbers]:
    """(n, width) centred columns and (n,) values to the (width,) weights of each strength."""
    n, width = x.shape
    wide = width > n  # the smaller of the two products has the same weights
    values, vectors = np.linalg.eigh(x @ x.T if wide else x.T @ x)
    turned = vectors.T @ (y if wide else x.T @ y)
    for strength in strengths:
        solved = vectors @ (turned / (np.maximum(values, 0) + n * strength))
        yield x.T @ solved if wide else solved
