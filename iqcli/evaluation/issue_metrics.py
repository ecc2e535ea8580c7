"""How well predicted levels of issues agree with people's, label by label, beside always "none".

Faults are rare, so plain accuracy flatters a model that never sees one: it is given only beside
that of always "none". Measures as usual: balanced accuracy is the mean recall of the true levels,
macro-F1 the mean over the levels that occur, kappa has quadratic weights (Cohen 1968), AP and AUROC
are of the probability of level 2 and more. Intervals are 95 % percentile bootstraps over photos.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iqcli.evaluation import intervals
from iqcli.evaluation.agreement import weighted_ranks
from iqcli.evaluation.intervals import UNDEFINED, Figure, bootstrap, ends, mean, ratio
from iqcli.models.hex.graph import is_legal

if TYPE_CHECKING:
    from iqcli.models.hex.config import Graph
    from iqcli.models.hex.graph import Levels
    from iqcli.records import Doubles, Flags, Integers


OF_LEVELS = ("accuracy", "balanced accuracy", "macro-F1", "kappa")
MEASURES = (*OF_LEVELS, "AP", "AUROC")


@dataclass(frozen=True, slots=True, eq=False)
class LabelMetrics:
    """One label: `confusion` (levels, levels) counts photos, a row a true level.

    `figures` and `always_none`, those of always "none", by the names in `MEASURES`; NaN where one
    is not defined.
    """

    label: str
    confusion: Integers
    figures: dict[str, Figure]
    always_none: dict[str, Figure]


@dataclass(frozen=True, slots=True, eq=False)
class IssueMetrics:
    """All labels, over the `photos` with a known level of one.

    `mean` is the mean accuracy of the labels, `exact` the share of photos with all known levels
    right, each followed by that of always "none". `illegal` counts photos with contradictions.
    """

    photos: int
    labels: tuple[LabelMetrics, ...]
    mean: tuple[Figure, Figure]
    exact: tuple[Figure, Figure]
    illegal: int


def compare_levels(
    graph: Graph, true: Levels, predicted: Levels, chances: Doubles | None = None
) -> IssueMetrics:
    """Compare (n, labels) levels predicted with the true ones, where those are known (not 0).

    `chances` are the (n, nodes) marginals they come from, None if there are none.
    """
    likely = None if chances is None else chances[:, [group[0] for group in graph.groups]]
    known = true > 0
    labels = []
    for k, label in enumerate(graph.labels):
        rows = known[:, k]
        if rows.any():
            given = None if likely is None else likely[rows, k]
            levels = true[rows, k], predicted[rows, k]
            labels.append(label_metrics(label.name, label.levels, *levels, given))
    photos = known.any(axis=1)
    always_none = np.ones_like(true)
    return IssueMetrics(
        photos=int(photos.sum()),
        labels=tuple(labels),
        mean=(_mean_accuracy(true, predicted, known), _mean_accuracy(true, always_none, known)),
        exact=(
            _all_right(true[photos], predicted[photos], known[photos]),
            _all_right(true[photos], always_none[photos], known[photos]),
        ),
        illegal=int((~is_legal(graph, predicted)).sum()),
    )


def label_metrics(
    label: str, levels: int, true: Levels, predicted: Levels, chances: Doubles | None = None
) -> LabelMetrics:
    """Compare (n,) levels of one label; `chances` (n,) are the probabilities of level 2 or more."""
    never = None if chances is None else np.zeros(len(true))
    return LabelMetrics(
        label=label,
        confusion=confusion(true, predicted, levels),
        figures=_figures(true, predicted, chances, levels),
        always_none=_figures(true, np.ones_like(true), never, levels),
    )


def _figures(
    true: Levels, predicted: Levels, chances: Doubles | None, levels: int
) -> dict[str, Figure]:
    found = dict.fromkeys(MEASURES, UNDEFINED) | _of_counts(confusion(true, predicted, levels))
    if chances is not None and len(np.unique(true > 1)) > 1:
        rows = np.stack([true > 1, chances], axis=1)
        found["AP"] = bootstrap(rows, average_precision)
        found["AUROC"] = bootstrap(rows, auroc)
    return found


def _of_counts(table: Integers) -> dict[str, Figure]:
    """The measures `OF_LEVELS` with intervals: drawing photos is drawing cells of the table."""
    total = table.sum()
    random = np.random.default_rng(intervals.SEED)
    draws = random.multinomial(total, table.ravel() / total, intervals.RESAMPLES)
    values = np.array([[*of_levels(each.reshape(table.shape)).values()] for each in draws])
    return {
        name: Figure(value, *ends(values[:, k]))
        for k, (name, value) in enumerate(of_levels(table).items())
    }


def confusion(true: Levels, predicted: Levels, levels: int) -> Integers:
    """(n,) levels 1..`levels` to counts: a row a true level, a column a predicted one."""
    cells = np.bincount((true - 1) * levels + predicted - 1, minlength=levels * levels)
    return cells.reshape(levels, levels)


def of_levels(table: Integers) -> dict[str, float]:
    """The measures `OF_LEVELS` of a confusion table.

    NaN, but for the accuracy, where all photos are truly at one level.
    """
    total, hits = table.sum(), np.diag(table).astype(float)
    true, predicted = table.sum(axis=1), table.sum(axis=0)
    there, either = true > 0, true + predicted > 0
    found = dict.fromkeys(OF_LEVELS, float("nan"))
    found["accuracy"] = float(hits.sum() / total)
    single_class = there.sum() < 2
    if not single_class:
        weights = np.subtract.outer(np.arange(len(table)), np.arange(len(table))) ** 2
        expected = (weights * np.outer(true, predicted)).sum()
        found["balanced accuracy"] = float((hits[there] / true[there]).mean())
        found["macro-F1"] = float((2 * hits[either] / (true + predicted)[either]).mean())
        found["kappa"] = float(1 - (weights * table).sum() * total / expected)
    return found


def average_precision(rows: Doubles, weights: Doubles) -> Doubles:
    """Of true ones (0 or 1) and chances (n, 2) in draws, see `intervals`: the mean precision at the
    ranks of the true ones, ties sharing one; NaN without any."""
    order = np.argsort(-rows[:, 1], kind="stable")
    drawn = weights[:, order]
    last = np.append(np.flatnonzero(np.diff(rows[order, 1])), len(order) - 1)
    seen = np.cumsum(drawn, axis=1)[:, last]
    hits = np.cumsum(drawn * rows[order, 0], axis=1)[:, last]
    precision = hits / np.maximum(seen, 1)  # before the first that is drawn there is no hit either
    return ratio((np.diff(hits, axis=1, prepend=0) * precision).sum(axis=1), hits[:, -1])


def auroc(rows: Doubles, weights: Doubles) -> Doubles:
    """Of true ones (0 or 1) and chances (n, 2) in draws: how often a true one has a higher chance
    than another, ties half; NaN where none compare."""
    of_true = weights * rows[:, 0]
    ones = of_true.sum(axis=1)
    above = (weighted_ranks(rows[:, 1], weights) * of_true).sum(axis=1) - ones * (ones + 1) / 2
    return ratio(above, ones * (weights.sum(axis=1) - ones))


def _all_right(true: Levels, predicted: Levels, known: Flags) -> Figure:
    """The share of the photos whose known levels are all right."""
    return bootstrap(((true == predicted) | ~known).all(axis=1).astype(np.float64), mean)


def _mean_accuracy(true: Levels, predicted: Levels, known: Flags) -> Figure:
    """The accuracy of each label that is known of some photo, averaged."""
    labels = np.flatnonzero(known.any(axis=0))
    right = ((true == predicted) & known).astype(np.float64)
    rows = np.stack([right[:, labels], known[:, labels].astype(np.float64)], axis=2)
    return bootstrap(rows, _accuracy)


def _accuracy(rows: Doubles, weights: Doubles) -> Doubles:
    """Of right and known (n, labels, 2): the mean over the labels that are known of a draw."""
    each = ratio(weights @ rows[..., 0], weights @ rows[..., 1])
    known = np.isfinite(each)
    return ratio(np.where(known, each, 0).sum(axis=1), known.sum(axis=1))
