"""How a trained model does on the scenes that were held out.

This sets its uncertainty, and goes into the weight file, one photo a scene, so that every photo of
it counts in full. Residuals of the photos that the networks were trained on are of no use for that:
they are half as large.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import spearmanr

from iqcli.models.checkpoint import HOLDOUT
from iqcli.models.fusion import (
    EXPECTED,
    FEATURES,
    LEAST,
    TRUNK,
    Doubt,
    FusionHead,
    expected_errors,
    features,
)
from iqcli.training.dataset import MEMBERS, fold_of_scene, holdout_mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from iqcli.models.gaussian_process import GaussianProcess
    from iqcli.records import Array, Doubles
    from iqcli.training.dataset import TrainingSet

# 90 % of normal draws lie within so many deviations.
NINE_IN_TEN = 1.645
# Of a search whose error falls at least tenfold a step.
STEPS = 5
# Of the doubt: the ridge in units of a mean square and of photos, and points that are added to an
# error before its logarithm is taken.
RIDGE, PRIOR, SMALL = 0.02, 20, 0.1
# Photos to a point of the curve, how many points it has, and no difference between two.
PER_POINT, FEWEST_POINTS, MOST_POINTS, FLAT = 200, 3, 8, 1e-4


@dataclass(frozen=True)
class HoldoutEvaluation:
    """Scores, deviations and opinions (k,) of the held-out photos.

    `sigmas` (k,) are the deviations as the model is shipped, set by all of them; `cross_sigmas`
    those set by the other folds of the scenes. The figures use these, since nine in ten of
    the photos that set deviations lie in their intervals by construction. `one_per_scene` (k,)
    marks one photo of each scene. `calibration` or `doubt` is what was set.
    """

    scores: Array
    sigmas: Array
    cross_sigmas: Array
    opinions: Array
    one_per_scene: NDArray[np.bool_]
    calibration: float | None = None
    doubt: Doubt | None = None

    @property
    def srcc(self) -> float:
        """Rank correlation with people."""
        return float(spearmanr(self.scores, self.opinions)[0])

    @property
    def rmse(self) -> float:
        """Points."""
        return float(np.sqrt(((self.scores - self.opinions) ** 2).mean()))

    @property
    def coverage(self) -> float:
        """Share of the opinions in the 90 % interval, by the other scenes."""
        return float(self._inside().mean())

    @property
    def coverages(self) -> tuple[float, ...]:
        """The same of each third of the photos, from the surest to the least sure."""
        order = np.argsort(self.cross_sigmas, kind="stable")
        return tuple(float(self._inside()[part].mean()) for part in np.array_split(order, 3))

    @property
    def error_srcc(self) -> float:
        """Rank correlation of the deviation, by the other scenes, with the absolute error."""
        return float(spearmanr(self.cross_sigmas, np.abs(self.scores - self.opinions))[0])

    def _inside(self) -> NDArray[np.bool_]:
        error = np.abs(self.scores - self.opinions)
        return np.asarray(error <= NINE_IN_TEN * self.cross_sigmas)

    @property
    def log_density(self) -> float:
        """Mean log density of the opinions, in nats: the higher, the better the uncertainty."""
        z = (self.opinions - self.scores) / self.cross_sigmas
        return float((-0.5 * z**2 - np.log(self.cross_sigmas) - 0.5 * np.log(2 * np.pi)).mean())

    def tensors(self) -> dict[str, Array]:
        """What goes into the weight file."""
        values = (self.scores, self.sigmas, self.opinions)
        held = {
            name: np.ascontiguousarray(each[self.one_per_scene])
            for name, each in zip(HOLDOUT, values, strict=True)
        }
        return held | (self.doubt.tensors() if self.doubt else {})

    def info(self) -> dict[str, object]:
        """What goes into its metadata."""
        return {} if self.calibration is None else {"calibration": self.calibration}


def evaluate_holdout(head: FusionHead | GaussianProcess, data: TrainingSet) -> HoldoutEvaluation:
    """Evaluate a head without a doubt, or whose calibration is still 1, on the held-out photos."""
    holdout = holdout_mask(data.scenes)
    blocks = {name: values[holdout] for name, values in data.blocks.items()}
    opinions = data.opinions[holdout]
    scenes = [scene for scene, out in zip(data.scenes, holdout, strict=True) if out]
    folds = fold_of_scene(scenes)
    by = (folds >= 0, *(folds != k for k in range(MEMBERS)))
    calibration: float | None = None
    doubt: Doubt | None = None
    if isinstance(head, FusionHead):
        scores, *variances = head.expect(blocks)
        seen, error = features(scores, *variances), np.abs(scores - opinions)
        doubts = [fit_doubt(seen[rows], error[rows]) for rows in by]
        sigmas, *others = (each.deviations(scores, *variances) for each in doubts)
        doubt = doubts[0]
    else:
        scores, raw = head.predict(blocks)
        abs_z = np.abs(scores - opinions) / raw
        factors = [_calibration(abs_z[rows]) for rows in by]
        sigmas, *others = (raw * each for each in factors)
        calibration = factors[0]
    return HoldoutEvaluation(
        scores.astype(np.float32),
        sigmas.astype(np.float32),
        np.choose(folds, others).astype(np.float32),
        opinions,
        _one_per_scene(scenes),
        calibration,
        doubt,
    )


def fit_doubt(seen: Array, error: Array) -> Doubt:
    """Fit the doubt on (n, FEATURES) `features` and the (n,) absolute errors of held-out photos.

    A ridge regression of the logarithm of the error, which for few photos is what the members
    expect. Then, as conformal prediction does, the residuals of parts of equal size by what it
    expects: nine in ten of each lie in their interval. Of few photos all together, normalised.
    """
    if not len(error):
        return Doubt(*(np.array(each, np.float32) for each in ([0] * FEATURES, [0], [1])))
    middle, wide = seen.mean(axis=0), seen.std(axis=0)
    scaled = np.where(wide > FLAT, (seen - middle) / np.maximum(wide, FLAT), 0.0)
    wanted = np.log(error + SMALL) - seen[:, EXPECTED]
    penalty = (RIDGE * len(error) + PRIOR) * np.eye(FEATURES)
    slopes = np.linalg.solve(scaled.T @ scaled + penalty, scaled.T @ (wanted - wanted.mean()))
    weights = slopes / np.maximum(wide, FLAT) * (wide > FLAT)
    weights[-1] += wanted.mean() - middle @ weights
    weights[EXPECTED] += 1
    weights = weights.astype(np.float32)
    expected = expected_errors(seen, weights)
    count = min(len(error) // PER_POINT, MOST_POINTS)
    if count >= FEWEST_POINTS:
        parts = np.array_split(np.argsort(expected, kind="stable"), count)
        errors = np.array([expected[part].mean() for part in parts])
        sigmas = _rising([_nine_in_ten(error[part]) for part in parts])
    else:
        errors = np.quantile(expected, np.linspace(0.02, 0.98, MOST_POINTS))
        sigmas = np.maximum(np.exp(errors) * _nine_in_ten(error / np.exp(expected)), LEAST)
    apart = np.r_[True, np.diff(errors) > FLAT]
    return Doubt(weights, errors[apart].astype(np.float32), sigmas[apart].astype(np.float32))


def _nine_in_ten(error: Array | Doubles) -> float:
    """The deviation by which nine in ten of (n,) errors, and a next one, lie in their interval."""
    share = min(1.0, 0.9 * (1 + 1 / len(error)))
    return max(float(np.quantile(error, share)) / NINE_IN_TEN, float(LEAST))


def _rising(values: Sequence[float]) -> Doubles:
    """The values that rise and lie nearest: what falls is pooled with what is before it."""
    pools: list[tuple[float, int]] = []
    for value in values:
        mean, count = value, 1
        while pools and pools[-1][0] > mean:
            before, more = pools.pop()
            mean, count = (before * more + mean * count) / (more + count), more + count
        pools.append((mean, count))
    return np.concatenate([np.full(count, mean) for mean, count in pools])


def recentre_bias(head: FusionHead, data: TrainingSet) -> None:
    """Move the last bias of every member until the held-out photos score as people rate on average.

    Ladders pull all scores down: a network that learns that a copy is worse learns to be strict.
    """
    holdout = holdout_mask(data.scenes)
    blocks = {name: values[holdout] for name, values in data.blocks.items()}
    for _ in range(STEPS):
        scores, *_ = head.expect(blocks)
        gap = float((data.opinions[holdout] - scores).mean())
        # A score is 1 + 9 sigmoid(z): its slope in z.
        slope = float(((scores - 1) * (10 - scores) / 9).mean())
        for k in range(head.info["members"]):
            head.tensors[f"{k}.{TRUNK[-1]}.bias"][0] += gap / slope


def _calibration(abs_z: Array) -> float:
    """The factor by which nine in ten lie within 1.645 deviations; 1 of nothing."""
    return float(np.quantile(abs_z, 0.9) / NINE_IN_TEN) if len(abs_z) else 1.0


def _one_per_scene(scenes: Sequence[str]) -> NDArray[np.bool_]:
    """(k,) True for one photo of each scene, chosen whatever its opinion."""
    order = sorted(range(len(scenes)), key=lambda k: zlib.crc32(f"{scenes[k]} {k}".encode()))
    first = np.zeros(len(scenes), bool)
    seen: set[str] = set()
    for k in order:
        first[k] = scenes[k] not in seen
        seen.add(scenes[k])
    return first
