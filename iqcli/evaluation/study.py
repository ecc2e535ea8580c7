"""A study: photos that people judged, scored by a model and by the baselines, side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from iqcli.culling.decide import decide
from iqcli.errors import IqError
from iqcli.evaluation import agreement, comparison
from iqcli.evaluation.uncertainty import uncertainty_metrics
from iqcli.extractors.registry import BLOCKS
from iqcli.extractors.schema import PHOTOMETRY
from iqcli.records import NoRating, Photo, Rating, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from iqcli.culling.rules import Rule
    from iqcli.distortions.ladders import Measure
    from iqcli.evaluation.agreement import Agreement, Bursts, Rejects
    from iqcli.evaluation.comparison import Difference
    from iqcli.evaluation.mos_csv import Opinions
    from iqcli.evaluation.uncertainty import UncertaintyMetrics
    from iqcli.models.registry import Registry
    from iqcli.records import Doubles, Flags, Photo

BASELINE = "brisque-refit"
CONSTANT, SHARPNESS = "constant (mean opinion)", "sharpness (Laplacian)"


@dataclass(frozen=True)
class Study:
    """Opinions (n,) and scores (n,) by scorer for the photos that could be measured.

    `kept` are their places among `table.rows`; `models` are the scorers under study, the first of
    them compared with the others, and `sigmas` (n,) their uncertainties, all in points of 1..10;
    NaN for a model without. `left_out` could be read, but not all of the scorers have a score
    for them.
    """

    table: Opinions
    kept: list[int]
    opinions: Doubles
    scores: dict[str, Doubles]
    sigmas: dict[str, Doubles]
    models: tuple[str, ...]
    name: str = "all"
    left_out: int = 0

    def in_points(self, scorer: str) -> bool:
        """Whether a scorer gives points of 1..10, so that errors mean something.

        A method that was not calibrated does not, though it is put on the same scale.
        """
        return scorer != SHARPNESS and (scorer not in self.sigmas or self.has_uncertainty(scorer))

    def has_uncertainty(self, model: str) -> bool:
        """Whether a model gives an uncertainty for every photo."""
        return bool(np.isfinite(self.sigmas[model]).all())

    def parts(self, by: str | None) -> Iterator[Study]:
        """The whole, then the part of each value of a column."""
        yield self
        labels = np.array(self.labels(by)) if by is not None else np.array([])
        for label in np.unique(labels):
            inside = labels == label
            yield replace(
                self,
                kept=[k for k, keep in zip(self.kept, inside, strict=True) if keep],
                opinions=self.opinions[inside],
                scores={name: values[inside] for name, values in self.scores.items()},
                sigmas={name: values[inside] for name, values in self.sigmas.items()},
                name=str(label),
            )

    def agreements(self) -> Iterator[tuple[str, Agreement]]:
        """Each scorer's agreement with people."""
        for name, scores in self.scores.items():
            yield name, agreement.agreement(scores, self.opinions)

    def bursts(self, column: str) -> Iterator[tuple[str, Bursts]]:
        """Each scorer's success within the groups that a column names."""
        groups = self._groups(column)
        for name, scores in self.scores.items():
            yield name, agreement.bursts(scores, self.opinions, groups)

    def differences(self) -> Iterator[tuple[str, dict[str, Difference]]]:
        """The first model's `srcc` and `rmse` minus those of each of the others."""
        model, *others = self.models
        for name in others:
            yield name, comparison.difference(self.scores[model], self.scores[name], self.opinions)

    def burst_differences(self, column: str) -> Iterator[tuple[str, dict[str, Difference]]]:
        """The first model's `top1` and `pairs` minus those of each of the others."""
        model, *others = self.models
        groups = self._groups(column)
        for name in others:
            one, other = self.scores[model], self.scores[name]
            yield name, comparison.burst_difference(one, other, self.opinions, groups)

    def uncertainties(self) -> Iterator[tuple[str, UncertaintyMetrics]]:
        """How well the uncertainty of each model holds that gives one."""
        for name in filter(self.has_uncertainty, self.models):
            yield name, uncertainty_metrics(self.scores[name], self.sigmas[name], self.opinions)

    def rejects(self, rule: Rule, good: float) -> Iterator[tuple[str, Rejects]]:
        """What the rule would reject of these photos by each model, as `iq cull` does."""
        for name in self.models:
            yield name, agreement.rejects(self._rejected(name, rule), self.opinions, good)

    def _rejected(self, model: str, rule: Rule) -> Flags:
        photos = [
            Photo(self.table.rows[k].shot, rating=Rating(float(score), float(sigma), model))
            for k, score, sigma in zip(
                self.kept, self.scores[model], self.sigmas[model], strict=True
            )
        ]
        return np.array([each.verdict is Verdict.REJECT for each in decide(photos, rule)])

    def labels(self, column: str) -> list[str]:
        """The value of a column for each photo. Raises IqError for a column that is not there."""
        labels = self.table.column(column)
        return [labels[k] for k in self.kept]

    def _groups(self, column: str) -> list[str]:
        labels = self.labels(column)
        named = [label for label in labels if label]
        if len(set(named)) == len(named):
            raise IqError(f"the column {column!r} holds no group of two or more photos")
        return labels


def study(
    table: Opinions,
    model: str,
    registry: Registry,
    measure: Measure,
    against: Sequence[str] = (),
) -> Study:
    """Measure the photos of `table` once, then score them by the models and by the baselines.

    Raises IqError where no photo can be read, and for a model compared with itself.
    """
    models = (model, *against)
    if twice := [name for k, name in enumerate(models) if name in models[:k]]:
        raise IqError(f"--against {twice[0]} names a model twice; give another one")
    loaded = {name: registry.load(name) for name in dict.fromkeys([*models, BASELINE])}
    blocks = {block.name: block for each in loaded.values() for block in each.blocks}
    blocks["photometry"] = BLOCKS["photometry"]
    measured = list(measure(list(blocks.values()), [each.shot for each in table.rows]))
    read = [k for k, photo in enumerate(measured) if photo.blocks is not None]
    photos = [photo.blocks for photo in measured if photo.blocks is not None]
    if not photos:
        raise IqError("none of the photos could be read; give their folder with --images")
    ratings = {name: _points(each.rate(photos)) for name, each in loaded.items()}
    # A photo that one model has no score for would flatter it: all are compared without it.
    scored = np.isfinite(np.stack([points[:, 0] for points in ratings.values()])).all(axis=0)
    if not scored.any():
        raise IqError("none of the photos has a score of every model; compare other models")
    kept = [read[k] for k in np.flatnonzero(scored)]
    opinions = np.array([table.rows[k].value for k in kept])
    scores = {name: points[scored, 0] for name, points in ratings.items()}
    sigmas = {name: ratings[name][scored, 1] for name in models}
    sharpness = PHOTOMETRY.index("laplacian_std_1")
    scores[SHARPNESS] = np.array(
        [float(photos[k]["photometry"][sharpness]) for k in np.flatnonzero(scored)]
    )
    scores[CONSTANT] = np.full(len(kept), opinions.mean())
    return Study(table, kept, opinions, scores, sigmas, models, left_out=int((~scored).sum()))


def _points(ratings: Sequence[Rating | NoRating]) -> Doubles:
    """(n, 2) scores and uncertainties, NaN for what a model does not give."""
    return np.array(
        [
            (np.nan, np.nan)
            if isinstance(each, NoRating)
            else (each.score, np.nan if each.uncertainty is None else each.uncertainty)
            for each in ratings
        ]
    )
