"""How well levels of issues agree with people's, label by label, beside saying "none" always.

Faults are rare, so plain accuracy flatters who never sees one: it stands here only beside that of
"none". Measures as usual: balanced accuracy is the mean recall of the levels there are, macro-F1
the mean over the levels that occur, kappa has quadratic weights (Cohen 1968), AP and AUROC are of
the probability of level 2 and more. Intervals are 95 % percentile bootstraps over photos.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

from iqcli.evaluation.agreement import RESAMPLES, SEED, Figure, bootstrap
from iqcli.models.hex.graph import is_legal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from iqcli.models.hex.graph import Graph, Levels
    from iqcli.records import Doubles, Integers


OF_LEVELS = ("accuracy", "balanced accuracy", "macro-F1", "kappa")
MEASURES = (*OF_LEVELS, "AP", "AUROC")
UNKNOWN = Figure(float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True, slots=True, eq=False)
class LabelMetrics:
    """One label: `confusion` (levels, levels) counts photos, said over true.

    `figures` and those of always "none" by the names in `MEASURES`; NaN where one is not defined.
    """

    label: str
    confusion: Integers
    figures: dict[str, Figure]
    none: dict[str, Figure]


@dataclass(frozen=True, slots=True, eq=False)
class IssueMetrics:
    """All labels, over the `photos` of which one is known.

    `mean` is the mean accuracy of the labels, `exact` the share of photos with all known levels
    right, each followed by that of always "none". `illegal` counts contradictions.
    """

    photos: int
    labels: tuple[LabelMetrics, ...]
    mean: tuple[Figure, Figure]
    exact: tuple[Figure, Figure]
    illegal: int


def compare_levels(
    graph: Graph, true: Levels, said: Levels, chances: Doubles | None = None
) -> IssueMetrics:
    """Compare (n, labels) levels said with the true ones, where those are known (not 0).

    `chances` are the (n, nodes) marginals they come from, None if there are none.
    """
    first = [group[0] for group in graph.groups]
    seen = None if chances is None else chances[:, first]
    known = true > 0
    found = []
    for k, label in enumerate(graph.labels):
        rows = known[:, k]
        if rows.any():
            likely = None if seen is None else seen[rows, k]
            found.append(
                label_metrics(label.name, label.levels, true[rows, k], said[rows, k], likely)
            )
    told = known.any(axis=1)
    right = np.stack([_shares(true, each, known)[told] for each in (said, np.ones_like(true))])
    mean = [_bootstrap_labels(true, each, known) for each in (said, np.ones_like(true))]
    exact = [bootstrap(each[:, None], lambda rows: float(rows.mean())) for each in right]
    return IssueMetrics(
        photos=int(told.sum()),
        labels=tuple(found),
        mean=(mean[0], mean[1]),
        exact=(exact[0], exact[1]),
        illegal=int((~is_legal(graph, said)).sum()),
    )


def label_metrics(
    label: str, levels: int, true: Levels, said: Levels, chances: Doubles | None = None
) -> LabelMetrics:
    """Compare (n,) levels of one label; `chances` (n,) are the probabilities of level 2 or more."""
    nobody = np.zeros(len(true))
    return LabelMetrics(
        label=label,
        confusion=confusion(true, said, levels),
        figures=_figures(true, said, chances, levels),
        none=_figures(true, np.ones_like(true), None if chances is None else nobody, levels),
    )


def _figures(true: Levels, said: Levels, chances: Doubles | None, levels: int) -> dict[str, Figure]:
    found = dict.fromkeys(MEASURES, UNKNOWN) | _of_counts(confusion(true, said, levels))
    if chances is not None and len(np.unique(true > 1)) > 1:
        rows = np.stack([true, chances], axis=1)
        found["AP"] = bootstrap(rows, lambda rows: average_precision(rows[:, 0] > 1, rows[:, 1]))
        found["AUROC"] = bootstrap(rows, lambda rows: auroc(rows[:, 0] > 1, rows[:, 1]))
    return found


def _of_counts(table: Integers) -> dict[str, Figure]:
    """The measures `OF_LEVELS` with intervals: to draw photos is to draw cells of the table."""
    total = table.sum()
    random = np.random.default_rng(SEED)
    draws = random.multinomial(total, table.ravel() / total, RESAMPLES)
    values = [[*of_levels(each.reshape(table.shape)).values()] for each in draws]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a measure that is defined for no draw
        low, high = np.nanpercentile(values, (2.5, 97.5), axis=0)
    return {
        name: Figure(value, float(low[k]), float(high[k]))
        for k, (name, value) in enumerate(of_levels(table).items())
    }


def confusion(true: Levels, said: Levels, levels: int) -> Integers:
    """(n,) levels 1..`levels` to a table of counts: a row a true level, a column a said one."""
    cells = np.bincount((true - 1) * levels + said - 1, minlength=levels * levels)
    return cells.reshape(levels, levels)


def of_levels(table: Integers) -> dict[str, float]:
    """The measures `OF_LEVELS` of a confusion table.

    NaN, but for the accuracy, where all photos are truly at one level.
    """
    total, hits = table.sum(), np.diag(table).astype(float)
    true, said = table.sum(axis=1), table.sum(axis=0)
    there, either = true > 0, true + said > 0
    lost = np.subtract.outer(np.arange(len(table)), np.arange(len(table))) ** 2
    lonely = there.sum() < 2
    return {
        "accuracy": float(hits.sum() / total),
        "balanced accuracy": float("nan") if lonely else float((hits[there] / true[there]).mean()),
        "macro-F1": float("nan")
        if lonely
        else float((2 * hits[either] / (true + said)[either]).mean()),
        "kappa": float("nan")
        if lonely
        else float(1 - (lost * table).sum() * total / (lost * np.outer(true, said)).sum()),
    }


def average_precision(true: NDArray[np.bool_], chances: Doubles) -> float:
    """The mean precision at the ranks of the true ones, ties sharing one; NaN of none."""
    if not true.any():
        return float("nan")
    order = np.argsort(-chances, kind="stable")
    hits = np.cumsum(true[order])
    last = np.append(np.flatnonzero(np.diff(chances[order])), len(true) - 1)
    recalled = np.diff(hits[last], prepend=0) / true.sum()
    return float((recalled * hits[last] / (last + 1)).sum())


def auroc(true: NDArray[np.bool_], chances: Doubles) -> float:
    """How often a true one has a higher chance than another, ties half; NaN where none compare."""
    ones = int(true.sum())
    if ones in (0, len(true)):
        return float("nan")
    above = rankdata(chances)[true].sum() - ones * (ones + 1) / 2
    return float(above / (ones * (len(true) - ones)))


def _shares(true: Levels, said: Levels, known: NDArray[np.bool_]) -> Doubles:
    """(n,) 1 where all known levels are right."""
    shares: Doubles = ((true == said) | ~known).all(axis=1).astype(np.float64)
    return shares


def _bootstrap_labels(true: Levels, said: Levels, known: NDArray[np.bool_]) -> Figure:
    """The accuracy of each label that is known of some photo, averaged."""
    rows = np.where(known, true == said, np.nan)[:, known.any(axis=0)]
    return bootstrap(rows, lambda rows: float(np.nanmean(np.nanmean(rows, axis=0))))
