"""What `iq eval` found out about a model, as tables on stdout and as figures in a folder.

How levels of issues agree with people's, as tables on stdout.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from iqcli.cli.console import counted, info
from iqcli.errors import IqError
from iqcli.evaluation.issue_metrics import MEASURES
from iqcli.text import display_path, escape

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from iqcli.culling.rules import Rule
    from iqcli.evaluation.agreement import Figure
    from iqcli.evaluation.comparison import Difference
    from iqcli.evaluation.study import Study

    Row = tuple[object, ...]
    Table = tuple[tuple[str, ...], list[Row]]
    from iqcli.evaluation.issue_metrics import IssueMetrics, LabelMetrics

AGREEMENT = ("photos", "of", "scored by", "SRCC", "PLCC", "PLCC logistic", "KRCC", "RMSE", "MAE")
LEADS = ("photos", "of", "model", "minus", "SRCC", "better in", "RMSE", "better in")
BURSTS = ("bursts", "scored by", "best frame found", "by chance", "clear pairs in order")
BURST_LEADS = ("model", "minus", "best frame found", "better in", "clear pairs", "better in")
DOUBT = ("photos", "of", "scored by", "90 % interval holds", "mean ±", "SRCC of ± with error")
REJECTS = ("photos", "of", "scored by", "rejected", "good ones", "share good", "bad", "found")


def show(
    found: Study, by: str | None, groups: str | None, rule: Rule | None, good: float | None
) -> None:
    """Print every table that was asked for, an empty line between them."""
    from iqcli.evaluation.agreement import GOOD
    from iqcli.output import table
    from iqcli.output.stdout import write

    parts = list(found.parts(by))
    tables: list[Table] = [(AGREEMENT, list(_agreements(parts)))]
    if len(found.models) > 1:
        tables.append((LEADS, list(_leads(parts))))
    if groups is not None:
        tables.append((BURSTS, list(_bursts(found, groups))))
        if len(found.models) > 1:
            tables.append((BURST_LEADS, list(_burst_leads(found, groups))))
    if doubts := list(_doubts(parts)):
        tables.append((DOUBT, doubts))
    if rule is not None:
        tables.append((REJECTS, list(_rejects(parts, rule, GOOD if good is None else good))))
    for number, (titles, rows) in enumerate(tables):
        if number:
            write(["\n"])
        table.show(table.plain_table(titles, rows))
    _tell(found)


def _tell(found: Study) -> None:
    """What the tables leave out, and why."""
    if found.left_out:
        info(f"{counted(found.left_out, 'photo')} left out: not every model has a score for them")
    for name in found.models:
        if not found.doubts(name):
            info(
                f"{escape(name)} says no uncertainty: none is checked, and errors in points mean "
                "nothing; `iq train scale` calibrates a method with a scale of its own"
            )


def check_plots(folder: Path) -> None:
    """Refuse before anything is measured what could not be drawn."""
    import importlib.util

    if importlib.util.find_spec("matplotlib") is None:
        raise IqError("--plots needs matplotlib; run `pip install 'iqcli[plots]'`")
    if folder.exists() and not folder.is_dir():
        raise IqError(f"--plots is {display_path(folder)}, which is a file; give a folder")


def draw(found: Study, name: str, by: str | None, folder: Path) -> None:
    """Write the figures into the folder, made if need be; old ones of these names are replaced."""
    from iqcli.evaluation.figures import drawn
    from iqcli.fs.files import make_folders, write_atomic

    figures = drawn(found, name, by)
    try:
        make_folders(folder)
        for file, data in figures.items():
            write_atomic(folder / file, data)
    except OSError as error:
        why = error.strerror or error
        raise IqError(
            f"cannot write to {display_path(folder)}: {why}; give another folder"
        ) from error
    info(f"drawn: {', '.join(display_path(folder / name) for name in figures)}")


def _agreements(parts: list[Study]) -> Iterator[Row]:
    for part in parts:
        for name, result in part.agreements():
            figures = result.figures
            points = [figures[key] for key in ("rmse", "mae")] if part.in_points(name) else []
            correlations = [figures[key] for key in ("srcc", "plcc", "plcc_logistic", "krcc")]
            cells = [cell(figure) for figure in (*correlations, *points)]
            yield (result.photos, part.name, name, *cells, *["–"] * (6 - len(cells)))


def _leads(parts: list[Study]) -> Iterator[Row]:
    for part in parts:
        for other, leads in part.leads():
            model = part.models[0]
            both = part.in_points(model) and part.in_points(other)
            errors = _lead(leads["rmse"]) if both else ("–", "–")
            yield (len(part.kept), part.name, model, other, *_lead(leads["srcc"]), *errors)


def _bursts(found: Study, groups: str) -> Iterator[Row]:
    for name, result in found.bursts(groups):
        chance = f"{result.chance:.3f}"
        yield (result.groups, name, cell(result.top1), chance, cell(result.pairs))


def _burst_leads(found: Study, groups: str) -> Iterator[Row]:
    for other, leads in found.burst_leads(groups):
        cells = [cell for name in ("top1", "pairs") for cell in _lead(leads[name])]
        yield (found.models[0], other, *cells)


def _doubts(parts: list[Study]) -> Iterator[Row]:
    for part in parts:
        for name, result in part.calibrations():
            doubt = f"{result.doubt:.2f}"
            yield (result.photos, part.name, name, cell(result.holds), doubt, cell(result.srcc))


def _rejects(parts: list[Study], rule: Rule, good: float) -> Iterator[Row]:
    for part in parts:
        for name, result in part.rejects(rule, good):
            counts = (result.rejected, result.regretted, cell(result.false), result.bad)
            yield (result.photos, part.name, name, *counts, cell(result.found))


def cell(figure: Figure) -> str:
    """A figure with its interval, a dash where it is not defined."""
    if math.isnan(figure.value):
        return "–"
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


def _lead(lead: Difference) -> tuple[str, str]:
    """A difference with its sign, and in how many of a hundred resamples the model is better."""
    if math.isnan(lead.better):
        return "–", "–"
    figure = lead.difference
    return f"{figure.value:+.3f} [{figure.low:+.3f}, {figure.high:+.3f}]", f"{lead.better:.1%}"


WORDS = ("none", "slight", "clear", "severe")
NOBODY = "always none"


def show_verdicts(found: IssueMetrics, model: str) -> None:
    """Print every table, an empty line between them."""
    from iqcli.output import table
    from iqcli.output.stdout import write

    whole = (found.photos, model, cell(found.mean[0]), cell(found.exact[0]), found.illegal)
    nobody = (found.photos, NOBODY, cell(found.mean[1]), cell(found.exact[1]), 0)
    tables: tuple[tuple[tuple[str, ...], list[Row]], ...] = (
        (("label", "photos", *WORDS), [_counts(each) for each in found.labels]),
        (("label", "said by", *MEASURES), list(_figures(found, model))),
        (("label", "truly", *(f"said {word}" for word in WORDS)), list(_confusions(found))),
        (
            ("photos", "said by", "mean accuracy", "all labels right", "contradictions"),
            [whole, nobody],
        ),
    )
    for number, (titles, rows) in enumerate(tables):
        if number:
            write(["\n"])
        table.show(table.plain_table(titles, rows))


def _counts(verdict: LabelMetrics) -> Row:
    true = verdict.confusion.sum(axis=1).tolist()
    return (verdict.label, sum(true), *true, *["–"] * (len(WORDS) - len(true)))


def _figures(found: IssueMetrics, model: str) -> Iterator[Row]:
    for each in found.labels:
        for name, figures in ((model, each.figures), (NOBODY, each.none)):
            yield (each.label, name, *(cell(figures[measure]) for measure in MEASURES))


def _confusions(found: IssueMetrics) -> Iterator[Row]:
    for each in found.labels:
        for word, row in zip(WORDS, each.confusion.tolist(), strict=False):
            yield (each.label, word, *row, *["–"] * (len(WORDS) - len(row)))
