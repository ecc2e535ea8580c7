"""The figures of a study: what is drawn, computed from the study and handed to `outputs.plots`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import spearmanr

from iqcli.evaluation.uncertainty import NOMINAL, covered, grouped
from iqcli.output import plots
from iqcli.output.plots import Curve, Points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iqcli.evaluation.agreement import Figure
    from iqcli.evaluation.study import Study
    from iqcli.records import Doubles


def drawn(found: Study, name: str, by: str | None) -> dict[str, bytes]:
    """Scatter and reliability of the first model, called `name`: file name to content, PNG and SVG.

    No reliability of a model that says no uncertainty.
    """
    model = found.models[0]
    scores, sigmas, opinions = found.scores[model], found.sigmas[model], found.opinions
    title = f"{name} against people: {len(scores):,} photos, {_srcc(scores, opinions)}"
    labels = found.labels(by) if by is not None else None
    figures = plots.scatter(title, Points(scores, opinions, labels))
    if not found.doubts(model):
        return figures
    groups = grouped(scores, opinions)
    means = _curve([each.score for each in groups], [each.opinion for each in groups])
    held = [covered(scores, sigmas, opinions, nominal) for nominal in NOMINAL]
    return figures | plots.reliability(title, means, _curve(NOMINAL, held))


def _curve(x: Sequence[float], figures: list[Figure]) -> Curve:
    return Curve(
        list(x),
        [each.value for each in figures],
        [each.low for each in figures],
        [each.high for each in figures],
    )


def _srcc(scores: Doubles, opinions: Doubles) -> str:
    if len(scores) < 3 or np.ptp(scores) == 0 or np.ptp(opinions) == 0:
        return "no SRCC"
    return f"SRCC {spearmanr(scores, opinions)[0]:.3f}"
