"""How levels of issues agree with people's, as tables on stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iqcli.cli.commands.evaluate.report import cell
from iqcli.evaluation.issue_metrics import MEASURES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iqcli.evaluation.issue_metrics import Verdict, Verdicts

    Row = tuple[object, ...]

WORDS = ("none", "slight", "clear", "severe")
NOBODY = "always none"


def show_verdicts(found: Verdicts, model: str) -> None:
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


def _counts(verdict: Verdict) -> Row:
    true = verdict.confusion.sum(axis=1).tolist()
    return (verdict.label, sum(true), *true, *["–"] * (len(WORDS) - len(true)))


def _figures(found: Verdicts, model: str) -> Iterator[Row]:
    for each in found.labels:
        for name, figures in ((model, each.figures), (NOBODY, each.none)):
            yield (each.label, name, *(cell(figures[measure]) for measure in MEASURES))


def _confusions(found: Verdicts) -> Iterator[Row]:
    for each in found.labels:
        for word, row in zip(WORDS, each.confusion.tolist(), strict=False):
            yield (each.label, word, *row, *["–"] * (len(WORDS) - len(row)))
