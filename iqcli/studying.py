"""A study: photos that people judged, scored by a model and by the baselines, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iqcli import evaluation
from iqcli.errors import IqError
from iqcli.features.names import PHOTOMETRY
from iqcli.models.registry import BLOCKS, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from iqcli.evaluation import Agreement, Bursts, Numbers
    from iqcli.features.extractor import PhotoBlock
    from iqcli.opinions import Opinions
    from iqcli.records import Measured, Shot

    Measure = Callable[[Sequence[PhotoBlock], Sequence[Shot]], Iterable[Measured]]

YARDSTICK = "brisque-refit"
CONSTANT, SHARPNESS = "constant (mean opinion)", "sharpness (Laplacian)"


@dataclass(frozen=True)
class Study:
    """Opinions (n,) and scores (n,) by scorer for the photos that could be measured.

    `kept` are their places among `told.rows`.
    """

    told: Opinions
    kept: list[int]
    opinions: Numbers
    scores: dict[str, Numbers]
    name: str = "all"

    def in_points(self, scorer: str) -> bool:
        """Whether a scorer speaks in points of 1..10, so that errors mean something."""
        return scorer != SHARPNESS

    def parts(self, by: str | None) -> Iterator[Study]:
        """The whole, then the part of each value of a column."""
        yield self
        labels = np.array(self._labels(by)) if by is not None else np.array([])
        for label in np.unique(labels):
            inside = labels == label
            yield Study(
                self.told,
                [k for k, keep in zip(self.kept, inside, strict=True) if keep],
                self.opinions[inside],
                {name: values[inside] for name, values in self.scores.items()},
                str(label),
            )

    def agreements(self) -> Iterator[tuple[str, Agreement]]:
        """Each scorer's agreement with people."""
        for name, scores in self.scores.items():
            yield name, evaluation.agreement(scores, self.opinions)

    def bursts(self, column: str) -> Iterator[tuple[str, Bursts]]:
        """Each scorer's success within the groups that a column names."""
        labels = self._labels(column)
        if len(set(labels)) == len(labels):
            raise IqError(f"the column {column!r} holds no group of two or more photos")
        for name, scores in self.scores.items():
            yield name, evaluation.bursts(scores, self.opinions, labels)

    def _labels(self, column: str) -> list[str]:
        labels = self.told.column(column)
        return [labels[k] for k in self.kept]


def study(told: Opinions, model: str, measure: Measure) -> Study:
    """Measure the photos of `told` once, then score them by `model` and by the baselines."""
    raters = {name: load(name) for name in dict.fromkeys([model, YARDSTICK])}
    names = dict.fromkeys(block.name for rater in raters.values() for block in rater.blocks)
    blocks = [BLOCKS[name] for name in dict.fromkeys([*names, "photometry"])]
    found = list(measure(blocks, [each.shot for each in told.rows]))
    kept = [k for k, each in enumerate(found) if each.blocks is not None]
    photos = [each.blocks for each in found if each.blocks is not None]
    if not photos:
        raise IqError("none of the photos could be read; give their folder with --images")
    opinions = np.array([told.rows[k].value for k in kept])
    sharpness = PHOTOMETRY.index("laplacian_std_1")
    scores = {
        name: np.array([rating.score for rating in rater.rate(photos)])
        for name, rater in raters.items()
    }
    scores[SHARPNESS] = np.array([float(each["photometry"][sharpness]) for each in photos])
    scores[CONSTANT] = np.full(len(kept), opinions.mean())
    return Study(told, kept, opinions, scores)
