"""What `iq eval` prints: tables on stdout, notes on stderr, and figures in a folder."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from iqcli.cli.console import counted, info
from iqcli.errors import IqError
from iqcli.evaluation.issue_metrics import MEASURES
from iqcli.fs.other_programs import refuse_to_write
from iqcli.text import display_path, escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from iqcli.culling.rules import Rule
    from iqcli.evaluation.agreement import Figure
    from iqcli.evaluation.comparison import Difference
    from iqcli.evaluation.issue_metrics import IssueMetrics, LabelMetrics
    from iqcli.evaluation.robustness import Ladder
    from iqcli.evaluation.study import Study

    Row = tuple[object, ...]
    Rows = Iterator[Row]

AGREEMENT = ("photos", "of", "scored by", "SRCC", "PLCC", "PLCC logistic", "KRCC", "RMSE", "MAE")
DIFFERENCES = ("photos", "of", "model", "minus", "SRCC", "better in", "RMSE", "better in")
BURSTS = ("bursts", "scored by", "best frame found", "by chance", "clear pairs in order")
BURST_DIFFERENCES = ("model", "minus", "best frame found", "better in", "clear pairs", "better in")
UNCERTAINTY = ("photos", "of", "scored by", "90 % interval holds", "mean ±", "SRCC of ± with error")
REJECTS = (
    *("photos", "of", "scored by", "rejected", "good rejected", "share good"),
    *("bad photos", "share rejected"),
)
LEVELS = ("none", "slight", "clear", "severe")
ALWAYS_NONE = "always none"
LADDERS = (
    *("distortion", "photos", "SRCC with level", "in order", "beats its level 3"),
    *(f"lost at {level}" for level in range(1, 6)),
)
NAMED = "named from level"
NONE = "–"


class TextTable(NamedTuple):
    """A table to be printed: every row has a cell a title."""

    titles: Sequence[str]
    rows: Sequence[Row]


def show(tables: Sequence[TextTable]) -> None:
    """Print tables, an empty line between them."""
    from iqcli.output import table
    from iqcli.output.stdout import write

    for number, (titles, rows) in enumerate(tables):
        if number:
            write(["\n"])
        table.show(table.plain_table(titles, rows))


# --- scores against opinions ---


def study_tables(
    study: Study, by: str | None, groups: str | None, rule: Rule | None, good: float | None
) -> list[TextTable]:
    """Every table of a study that was asked for."""
    from iqcli.evaluation.agreement import GOOD

    parts = list(study.parts(by))
    several = len(study.models) > 1
    tables = [TextTable(AGREEMENT, list(_agreements(parts)))]
    if several:
        tables.append(TextTable(DIFFERENCES, list(_differences(parts))))
    if groups is not None:
        tables.append(TextTable(BURSTS, list(_bursts(study, groups))))
        if several:
            tables.append(TextTable(BURST_DIFFERENCES, list(_burst_differences(study, groups))))
    if rows := list(_uncertainties(parts)):
        tables.append(TextTable(UNCERTAINTY, rows))
    if rule is not None:
        good = GOOD if good is None else good
        tables.append(TextTable(REJECTS, list(_rejects(parts, rule, good))))
    return tables


def study_notes(study: Study) -> Iterator[str]:
    """What the tables leave out, and why."""
    if study.left_out:
        yield f"{counted(study.left_out, 'photo')} left out: not every model has a score for them"
    for name in study.models:
        if not study.has_uncertainty(name):
            yield (
                f"{escape(name)} gives no uncertainty: none is checked, and errors in points mean "
                "nothing; `iq train scale` calibrates a method with a scale of its own"
            )


def _agreements(parts: Sequence[Study]) -> Rows:
    for part in parts:
        for name, result in part.agreements():
            figures = result.figures
            points = [figures[key] for key in ("rmse", "mae")] if part.in_points(name) else []
            correlations = [figures[key] for key in ("srcc", "plcc", "plcc_logistic", "krcc")]
            cells = [_figure(figure) for figure in (*correlations, *points)]
            yield (result.photos, part.name, name, *cells, *[NONE] * (6 - len(cells)))


def _differences(parts: Sequence[Study]) -> Rows:
    for part in parts:
        for other, results in part.differences():
            model = part.models[0]
            both = part.in_points(model) and part.in_points(other)
            errors = _difference(results["rmse"]) if both else (NONE, NONE)
            cells = (*_difference(results["srcc"]), *errors)
            yield (len(part.kept), part.name, model, other, *cells)


def _bursts(study: Study, groups: str) -> Rows:
    for name, result in study.bursts(groups):
        chance = f"{result.chance:.3f}"
        yield (result.groups, name, _figure(result.top1), chance, _figure(result.pairs))


def _burst_differences(study: Study, groups: str) -> Rows:
    for other, results in study.burst_differences(groups):
        yield (
            *(study.models[0], other),
            *_difference(results["top1"]),
            *_difference(results["pairs"]),
        )


def _uncertainties(parts: Sequence[Study]) -> Rows:
    for part in parts:
        for name, result in part.uncertainties():
            cells = _figure(result.coverage), f"{result.sigma:.2f}", _figure(result.srcc)
            yield (result.photos, part.name, name, *cells)


def _rejects(parts: Sequence[Study], rule: Rule, good: float) -> Rows:
    for part in parts:
        for name, result in part.rejects(rule, good):
            counts = (result.rejected, result.regretted, _figure(result.false), result.bad)
            yield (result.photos, part.name, name, *counts, _figure(result.found))


# --- figures ---


def check_plots(folder: Path) -> None:
    """Raise IqError before anything is measured for what could not be drawn."""
    import importlib.util

    if importlib.util.find_spec("matplotlib") is None:
        raise IqError("--plots needs matplotlib; run `pip install 'iqcli[plots]'`")
    if folder.exists() and not folder.is_dir():
        raise IqError(f"--plots is {display_path(folder)}, which is a file; give a folder")
    refuse_to_write([folder.resolve()])


def draw(study: Study, name: str, by: str | None, folder: Path) -> None:
    """Write the figures into the folder, made if need be; old ones of these names are replaced."""
    from iqcli.evaluation.figures import draw_study
    from iqcli.fs.files import make_folders, write_atomic, writing

    figures = draw_study(study, name, by)
    with writing(folder, "give another folder"):
        make_folders(folder)
        for file, data in figures.items():
            write_atomic(folder / file, data)
    info(f"drawn: {', '.join(display_path(folder / file) for file in figures)}")


# --- levels of issues ---


def issue_tables(metrics: IssueMetrics, model: str) -> list[TextTable]:
    """How many photos have each level, how well it is predicted, and how often all is right."""
    means, exacts = (tuple(map(_figure, pair)) for pair in (metrics.mean, metrics.exact))
    return [
        TextTable(("label", "photos", *LEVELS), [_counts(each) for each in metrics.labels]),
        TextTable(("label", "predicted by", *MEASURES), list(_label_rows(metrics, model))),
        TextTable(
            ("label", "truly", *(f"predicted {level}" for level in LEVELS)),
            list(_confusions(metrics)),
        ),
        TextTable(
            ("photos", "predicted by", "mean accuracy", "all labels right", "contradictions"),
            [
                (metrics.photos, model, means[0], exacts[0], metrics.illegal),
                (metrics.photos, ALWAYS_NONE, means[1], exacts[1], 0),
            ],
        ),
    ]


def _counts(label: LabelMetrics) -> Row:
    true = label.confusion.sum(axis=1).tolist()
    return (label.label, sum(true), *_padded(true))


def _label_rows(metrics: IssueMetrics, model: str) -> Rows:
    for each in metrics.labels:
        for name, figures in ((model, each.figures), (ALWAYS_NONE, each.always_none)):
            yield (each.label, name, *(_figure(figures[measure]) for measure in MEASURES))


def _confusions(metrics: IssueMetrics) -> Rows:
    for each in metrics.labels:
        for level, row in zip(LEVELS, each.confusion.tolist(), strict=False):
            yield (each.label, level, *_padded(row))


def _padded(counts: Sequence[int]) -> Row:
    """A cell a level; a label may have fewer levels than four."""
    return (*counts, *[NONE] * (len(LEVELS) - len(counts)))


# --- ladders ---


def ladder_table(ladders: Sequence[Ladder], *, full_size: bool) -> TextTable:
    """How well the scores follow each distortion, and all of them together."""
    from iqcli.evaluation.robustness import summarise

    rows: list[Row] = []
    for each in ladders:
        values = _value(each.order), _value(each.whole), _value(each.won)
        lost = [f"{points:+.2f}" for points in each.lost]
        named = NONE if each.named_from is None else str(each.named_from)
        rows.append((each.name, len(each.scores), *values, *lost, named))
    whole = summarise(ladders)
    values = _value(whole.order), NONE, _value(whole.won)
    rows.append(("all", whole.ladders, *values, *[NONE] * 6))
    titles = (*LADDERS, NAMED) if full_size else LADDERS
    return TextTable(titles, [row[: len(titles)] for row in rows])


# --- cells ---


def _value(value: float) -> str:
    return NONE if math.isnan(value) else f"{value:.3f}"


def _figure(figure: Figure) -> str:
    """A figure with its interval, a dash where it is not defined."""
    if math.isnan(figure.value):
        return NONE
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


def _difference(result: Difference) -> tuple[str, str]:
    """A difference with its sign, and the share of the resamples in which the model is better."""
    if math.isnan(result.better):
        return NONE, NONE
    figure = result.difference
    return f"{figure.value:+.3f} [{figure.low:+.3f}, {figure.high:+.3f}]", f"{result.better:.1%}"
