"""The figures of a study: what is drawn, computed from the study and handed to `output.plots`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iqcli.evaluation.agreement import can_correlate, rank_correlation
from iqcli.evaluation.uncertainty import NOMINAL, covered, grouped
from iqcli.output import plots
from iqcli.output.plots import Curve, Points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iqcli.evaluation.intervals import Figure
    from iqcli.evaluation.study import Study


def draw_study(study: Study, name: str, by: str | None) -> dict[str, bytes]:
    """Scatter and reliability of the first model, called `name`: file name to content, PNG and SVG.

    No reliability for a model without uncertainty.
    """
    model = study.models[0]
    scores, sigmas, opinions = study.scores[model], study.sigmas[model], study.opinions
    rank = (
        f"SRCC {rank_correlation(scores, opinions):.3f}"
        if can_correlate(scores, opinions)
        else "no SRCC"
    )
    title = f"{name} against people: {len(scores):,} photos, {rank}"
    labels = study.labels(by) if by is not None else None
    figures = plots.scatter(title, Points(scores, opinions, labels))
    if not study.has_uncertainty(model):
        return figures
    groups = grouped(scores, opinions)
    means = _curve([each.score for each in groups], [each.opinion for each in groups])
    coverages = [covered(scores, sigmas, opinions, nominal) for nominal in NOMINAL]
    return figures | plots.reliability(title, means, _curve(NOMINAL, coverages))


def _curve(x: Sequence[float], figures: list[Figure]) -> Curve:
    return Curve(
        list(x),
        [each.value for each in figures],
        [each.low for each in figures],
        [each.high for each in figures],
    )
