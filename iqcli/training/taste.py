"""Fit one person's taste on their stars, and test it on days that were held out.

The points are first predicted by a line of the stock score alone, then the residual by a ridge
regression on all inputs. The greatest strength leaves the line as it is, which ranks as the stock
model does. The strength is chosen by cross-validation over days. The figures come from an outer
cross-validation, in up to five folds of whole days: neither the fit nor the choice of its strength
saw a photo of the days it predicts. A taste is adopted where on those days

    its SRCC is above the stock model's,
    its share of pairs in order is above the stock model's and above 1/2,
    its SRCC is above the stock model's in at least 80 % of 1000 resamples of the days, and
    its SRCC is above 0 in at least 95 % of them: else stars that mean nothing would pass wherever
    the stock model happens to be worse than chance.

A pair is two photos of one day with different stars; equal scores count as half in order.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save
from scipy.stats import rankdata

from iqcli.models.taste import FORMAT, identity, inputs_of
from iqcli.training.dataset import stack_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from iqcli.models.fusion import TrainedHead
    from iqcli.records import Doubles, Flags
    from iqcli.training.taste_data import RatedPhotos

    Labels = NDArray[np.int64]

# Penalty per photo. The strongest comes first: of equally good ones it is chosen.
STRENGTHS = (np.inf, *np.logspace(1, -4, 11))
# The line must rise, so that the strongest shrinkage ranks as the stock model does.
LEAST_SLOPE = 0.1
FOLDS = 5
RESAMPLES = 1000
SEED = 20
# Shares of resamples that adoption asks for: above the stock model, and above 0.
ABOVE_STOCK, ABOVE_ZERO = 0.8, 0.95


@dataclass(frozen=True)
class TasteSamples:
    """n photos: stock scores (n,), inputs (n, width), points (n,) and numbered days (n,)."""

    stock: Doubles
    inputs: Doubles
    points: Doubles
    days: Labels

    def of(self, rows: Flags) -> TasteSamples:
        """The photos for which `rows` is true."""
        return TasteSamples(self.stock[rows], self.inputs[rows], self.points[rows], self.days[rows])


@dataclass(frozen=True)
class TasteFit:
    """score = level + slope * stock + inputs @ weights, cut to 1..10."""

    level: float
    slope: float
    weights: Doubles

    def predict(self, samples: TasteSamples) -> Doubles:
        """The (n,) scores."""
        raw = self.level + self.slope * samples.stock + samples.inputs @ self.weights
        return np.clip(raw, 1, 10)


@dataclass(frozen=True, slots=True)
class TasteFigures:
    """Rank correlation, and share of the pairs within a day in order; NaN where undefined."""

    srcc: float
    pairs: float


@dataclass(frozen=True, slots=True)
class TasteComparison:
    """The stock model and the taste on held-out days.

    `higher` and `positive` are the shares of resamples in which the SRCC of the taste is above the
    stock model's and above 0; `rmse` is its error in points.
    """

    photos: int
    days: int
    stock: TasteFigures
    taste: TasteFigures
    higher: float
    positive: float
    rmse: float

    @property
    def adopted(self) -> bool:
        """Whether the rule above holds; an undefined figure is never better."""
        return (
            self.taste.srcc > self.stock.srcc
            and self.taste.pairs > max(self.stock.pairs, 0.5)
            and self.higher >= ABOVE_STOCK
            and self.positive >= ABOVE_ZERO
        )


def taste_samples(rated: RatedPhotos, stock: TrainedHead) -> TasteSamples:
    """The rated photos as the stock head predicts them."""
    stacked = stack_blocks(rated.photos, stock.sizes)
    return TasteSamples(
        stock=stock.predict(stacked)[0].astype(np.float64),
        inputs=inputs_of(stock, stacked).astype(np.float64),
        points=rated.points,
        days=np.unique(rated.days, return_inverse=True)[1],
    )


def compare_with_stock(samples: TasteSamples) -> TasteComparison:
    """Both models on held-out days."""
    scores = holdout_scores(samples)
    higher, positive = resampled_shares(scores, samples)
    return TasteComparison(
        photos=len(scores),
        days=len(np.unique(samples.days)),
        stock=figures(samples.stock, samples),
        taste=figures(scores, samples),
        higher=higher,
        positive=positive,
        rmse=float(np.sqrt(((scores - samples.points) ** 2).mean())),
    )


def holdout_scores(samples: TasteSamples) -> Doubles:
    """The (n,) scores of each photo by a fit that saw no photo of its day."""
    scores = np.zeros(len(samples.points))
    for holdout in folds(samples.days):
        scores[holdout] = fit(samples.of(~holdout)).predict(samples.of(holdout))
    return scores


def folds(days: Labels) -> Iterator[Flags]:
    """Up to `FOLDS` masks (n,) of whole days, of about as many photos each; the same each time."""
    labels, counts = np.unique(days, return_counts=True)
    count = min(FOLDS, len(labels))
    filled, fold_of = [0] * count, {}
    for place in np.argsort(-counts, kind="stable"):
        lightest = filled.index(min(filled))
        fold_of[labels[place]] = lightest
        filled[lightest] += counts[place]
    owner = np.array([fold_of[day] for day in days])
    yield from (owner == k for k in range(count))


def figures(scores: Doubles, samples: TasteSamples) -> TasteFigures:
    """How well (n,) scores order the photos."""
    right = pairs = 0.0
    for day in np.unique(samples.days):
        here = samples.days == day
        score, point = scores[here], samples.points[here]
        order = np.sign(score[:, None] - score)[point[:, None] > point]
        right, pairs = right + float(((order + 1) / 2).sum()), pairs + order.size
    return TasteFigures(_srcc(scores, samples.points), right / pairs if pairs else float("nan"))


def _srcc(a: Doubles, b: Doubles) -> float:
    one, two = (rankdata(each) - (len(each) + 1) / 2 for each in (a, b))
    size = float(np.sqrt((one @ one) * (two @ two)))
    return float(one @ two) / size if size else float("nan")


def resampled_shares(scores: Doubles, samples: TasteSamples) -> tuple[float, float]:
    """Shares of the resamples of whole days in which the SRCC of `scores` (n,) is above the stock
    model's, and above 0.
    """
    random = np.random.default_rng(SEED)
    rows = [np.flatnonzero(samples.days == day) for day in np.unique(samples.days)]
    higher = positive = 0
    for _ in range(RESAMPLES):
        drawn = np.concatenate([rows[k] for k in random.integers(0, len(rows), len(rows))])
        points = samples.points[drawn]
        srcc = _srcc(scores[drawn], points)
        higher += srcc > _srcc(samples.stock[drawn], points)
        positive += srcc > 0
    return higher / RESAMPLES, positive / RESAMPLES


def fit(samples: TasteSamples) -> TasteFit:
    """The fit of the strength that errs least on days left out; at least two days are needed."""
    errors = np.zeros(len(STRENGTHS))
    for holdout in folds(samples.days):
        train, test = samples.of(~holdout), samples.of(holdout)
        for place, each in enumerate(fits(train, STRENGTHS)):
            errors[place] += ((each.predict(test) - test.points) ** 2).sum()
    (best,) = fits(samples, [STRENGTHS[int(errors.argmin())]])
    return best


def fits(samples: TasteSamples, strengths: Sequence[float]) -> Iterator[TasteFit]:
    """A fit for each strength."""
    slope = _slope(samples)
    level = samples.points.mean() - slope * samples.stock.mean()
    residual = samples.points - level - slope * samples.stock
    # The stock score is also an input, for who likes what others dislike.
    spread = float(samples.stock.std()) or 1.0
    columns = np.column_stack([samples.stock / spread, samples.inputs])
    middle = columns.mean(axis=0)
    for weights in _ridge(columns - middle, residual, strengths):
        yield TasteFit(
            level=float(level - middle @ weights),
            slope=float(slope + weights[0] / spread),
            weights=weights[1:],
        )


def _slope(samples: TasteSamples) -> float:
    centred = samples.stock - samples.stock.mean()
    square = float(centred @ centred)
    return max(float(centred @ samples.points) / square, LEAST_SLOPE) if square else LEAST_SLOPE


def _ridge(x: Doubles, y: Doubles, strengths: Sequence[float]) -> Iterator[Doubles]:
    """(n, width) centred columns and (n,) values to the (width,) weights of each strength."""
    n, width = x.shape
    wide = width > n  # the smaller of the two products has the same weights
    values, vectors = np.linalg.eigh(x @ x.T if wide else x.T @ x)
    turned = vectors.T @ (y if wide else x.T @ y)
    for strength in strengths:
        solved = vectors @ (turned / (np.maximum(values, 0) + n * strength))
        yield x.T @ solved if wide else solved


def weight_file(
    best: TasteFit, verdict: TasteComparison, stock: str, sizes: Mapping[str, int]
) -> tuple[str, bytes]:
    """The model id and the bytes of the taste file; equal fits give equal bytes."""
    ends = np.cumsum([size + 1 for size in sizes.values()])[:-1]
    parts = np.split(best.weights.astype(np.float32), ends)
    tensors = {"line": np.array([best.level, best.slope], np.float32)}
    tensors |= {f"weights.{name}": part for name, part in zip(sizes, parts, strict=True)}
    info: dict[str, object] = {
        "format": FORMAT,
        "stock": identity(stock),
        "blocks": dict(sizes),
        "rmse": verdict.rmse,
        "figures": {
            "photos": float(verdict.photos),
            "days": float(verdict.days),
            "srcc": verdict.taste.srcc,
            "pairs": verdict.taste.pairs,
            "stock_srcc": verdict.stock.srcc,
            "stock_pairs": verdict.stock.pairs,
        },
    }
    fingerprint = json.dumps(info, sort_keys=True).encode() + b"".join(
        tensor.tobytes() for tensor in tensors.values()
    )
    info["model"] = f"taste/{hashlib.sha256(fingerprint).hexdigest()[:12]}"
    return str(info["model"]), save(tensors, metadata={"iq": json.dumps(info)})
