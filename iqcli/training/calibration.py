"""Fit a calibration: from a method's own quality to the points that people give.

Two rising curves are tried, a line through a few knots (least squares, as isotonic regression is)
and a logistic of four parameters; the one with the smaller error on photos of other scenes is kept.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from iqcli.errors import IqError
from iqcli.models.calibration import Calibration
from iqcli.training.dataset import (
    FEWEST,
    MEMBERS,
    fold_of_scene,
    measured_rows,
    scenes_of,
    split_scenes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from iqcli.distortions.ladders import Measure
    from iqcli.evaluation.mos_csv import Opinions
    from iqcli.extractors.base import AnyBlock
    from iqcli.models.base import Predictor
    from iqcli.models.registry import Registry
    from iqcli.records import Doubles

    Curve = Callable[[Doubles], Doubles]

# Knots where photos are; one more is at either end of the range of qualities.
INSIDE = 10
# A rise from knot to knot that keeps the order of photos, in points.
STEP = 1e-3
DIGITS = 6
ENDS = (1.0, 10.0)


@dataclass(frozen=True, slots=True)
class CalibrationFit:
    """A calibration, the curve that won, and how it does on the held-out scenes.

    `model` is the method's own name. `left_out` photos have no quality by it.
    """

    model: str
    scale: Calibration
    curve: str
    train: int
    holdout: int
    left_out: int
    srcc: float
    rmse: float
    coverage: float

    def file(self) -> bytes:
        """What `iqcli.models.calibration` reads."""
        return json.dumps({self.model: asdict(self.scale)}, indent=1).encode() + b"\n"


def fit_calibration(
    opinions: Opinions, model: str, registry: Registry, scene: str | None, measure: Measure
) -> CalibrationFit:
    """Measure the photos of `opinions`; fit on five in six of the scenes, evaluate on the rest.

    Raises IqError for a model without a quality of its own, and for too few photos.
    """
    from scipy.stats import spearmanr

    method = registry.predictor(model)
    if method.in_points:
        raise IqError(
            f"{model} already scores in points of people's opinions; give a method with a scale "
            "of its own, see `iq models`"
        )
    blocks = method.own_blocks(registry.blocks)
    quality, values, scenes, left_out = _measured(opinions, method, blocks, scene, measure)
    holdout = split_scenes(scenes, scene)
    train = [label for label, out in zip(scenes, holdout, strict=True) if not out]
    if len(train) < FEWEST:
        raise IqError(f"{len(scenes)} photos with a quality are too few; give {2 * FEWEST}")
    if _is_flat(quality[~holdout]):
        raise IqError(f"{model} finds all of these photos equally good; give others too")
    scale, curve = fit(quality[~holdout], values[~holdout], train, opinions.source)
    points = scale.apply(quality[holdout].astype(np.float32))
    error = points - values[holdout]
    return CalibrationFit(
        method.name or registry.entry(model).called,
        scale,
        curve,
        len(train),
        int(holdout.sum()),
        left_out,
        float(spearmanr(points, values[holdout])[0]),
        float(np.sqrt((error**2).mean())),
        float((np.abs(error) <= 1.645 * scale.sigma).mean()),
    )


def _measured(
    opinions: Opinions,
    method: Predictor,
    blocks: Sequence[AnyBlock],
    scene: str | None,
    measure: Measure,
) -> tuple[Doubles, Doubles, list[str], int]:
    """Qualities, opinions and scenes (n,) of the photos that have them; how many have none."""
    shots = [row.shot for row in opinions.rows]
    labels = scenes_of(opinions, shots, scene)
    kept, stacked = measured_rows(measure(blocks, shots), method.reads)
    if not kept:
        raise IqError("none of the photos could be read; give their folder with --images")
    quality = np.clip(method.predict(stacked)[0].astype(np.float64), 0, 1)
    defined = np.isfinite(quality)
    kept = [k for k, there in zip(kept, defined, strict=True) if there]
    values = np.array([opinions.rows[k].value for k in kept])
    return quality[defined], values, [labels[k] for k in kept], int((~defined).sum())


def fit(
    quality: Doubles, values: Doubles, scenes: Sequence[str], source: str
) -> tuple[Calibration, str]:
    """The calibration of (n,) qualities 0..1 by (n,) opinions 1..10, and what curve it is.

    `sigma` is the error on scenes that a fit has not seen, by five folds.
    """
    folds = fold_of_scene(scenes)
    errors = {}
    for name, curve in CURVES.items():
        parts = [
            (
                np.interp(quality[folds == k], *curve(quality[folds != k], values[folds != k]))
                - values[folds == k]
            )
            ** 2
            for k in range(MEMBERS)
            if (folds == k).any() and not _is_flat(quality[folds != k])
        ]
        errors[name] = float(np.sqrt(np.concatenate(parts).mean()))
    best = min(errors, key=errors.__getitem__)
    knots, points = CURVES[best](quality, values)
    sigma = max(round(errors[best], 4), STEP)
    rounded = tuple(round(float(each), 4) for each in points)
    return Calibration(tuple(map(float, knots)), rounded, sigma, source), best


def _line(quality: Doubles, values: Doubles) -> tuple[Doubles, Doubles]:
    """Knots and points of the rising line through a few knots that errs least."""
    from scipy.optimize import lsq_linear

    knots = _knots(quality)
    # Each column is a ramp from one knot to the next; its factor is the rise.
    ramps = np.clip((quality[:, None] - knots[:-1]) / np.diff(knots), 0, 1)
    system = np.column_stack([np.ones(len(quality)), ramps])
    least = np.r_[ENDS[0], np.full(len(knots) - 1, STEP)]
    rises = lsq_linear(system, values, (least, np.full(len(least), ENDS[1]))).x
    return _with_ends(knots, np.cumsum(rises))


def _logistic(quality: Doubles, values: Doubles) -> tuple[Doubles, Doubles]:
    """Knots and points of the logistic of four parameters that errs least."""
    from scipy.optimize import least_squares

    middle, wide = quality.mean(), max(quality.std(), STEP)
    x = (quality - middle) / wide

    def at(given: Doubles, low: float, rise: float, centre: float, slope: float) -> Doubles:
        return low + rise / (1 + np.exp(-np.clip(slope * (given - centre), -50, 50)))

    start = [values.min(), max(np.ptp(values), STEP), 0.0, 1.0]
    bounds = ([1 - 9.0, STEP, -10, STEP], [10, 27, 10, 50])
    start = list(np.clip(start, *bounds))
    found = least_squares(lambda p: at(x, *p) - values, start, bounds=bounds).x
    knots = _knots(quality)
    return _with_ends(knots, at((knots - middle) / wide, *found))


CURVES = {"line": _line, "logistic": _logistic}


def _knots(quality: Doubles) -> Doubles:
    """Where equally many photos lie apart, strictly rising."""
    quantiles = np.quantile(quality, np.linspace(0, 1, INSIDE))
    return np.asarray(np.unique(np.round(quantiles, DIGITS)))


def _is_flat(quality: Doubles) -> bool:
    return bool(np.ptp(np.round(quality, DIGITS)) == 0)


def _with_ends(knots: Doubles, points: Doubles) -> tuple[Doubles, Doubles]:
    """The line carried on to the ends of all qualities, as it began and as it ended, in 1..10."""
    slopes = np.diff(points) / np.diff(knots)
    if knots[0] > 0:
        first = points[0] - slopes[0] * knots[0]
        knots, points = np.r_[0.0, knots], np.r_[first, points]
    if knots[-1] < 1:
        last = points[-1] + slopes[-1] * (1 - knots[-1])
        knots, points = np.r_[knots, 1.0], np.r_[points, last]
    return knots, np.clip(points, *ENDS)
