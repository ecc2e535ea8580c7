"""`iq eval`: how well scores agree with people's, with intervals and beside the baselines."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iqcli.commands.options import over_photos
from iqcli.commands.run import Run
from iqcli.commands.screen import counted, say
from iqcli.errors import Exit, IqError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iqcli.evaluation import Figure
    from iqcli.studying import Study

TITLES = ("photos", "of", "scored by", "SRCC", "PLCC", "PLCC logistic", "KRCC", "RMSE", "MAE")
BURSTS = ("bursts", "scored by", "best frame found", "by chance", "clear pairs in order")

Images = Annotated[
    Path | None, typer.Option("--images", help="Folder of the photos [beside the CSV].")
]
MosRange = Annotated[
    str | None,
    typer.Option(help="Ends of the opinion scale, worst first, as 0:1.", metavar="LOW:HIGH"),
]
Where = Annotated[
    str | None, typer.Option("--where", help="Only these rows.", metavar="COLUMN=VALUE")
]


@over_photos
def evaluate(
    run: Run,
    images: Images = None,
    mos_range: MosRange = None,
    where: Where = None,
    by: Annotated[
        str | None,
        typer.Option("--by", help="Also for each value of this column, or of the name's prefix."),
    ] = None,
    groups: Annotated[
        str | None, typer.Option("--groups", help="Column that names a photo's burst.")
    ] = None,
) -> Exit:
    """Compare scores with human opinions.

    iq eval FILE.csv, with the columns image and mos. Prints SRCC, PLCC, KRCC, RMSE and MAE with
    95 % intervals, for the model and for three baselines: a constant, sharpness alone, and the 36
    BRISQUE features refitted.
    """
    from iqcli import opinions
    from iqcli.outputs import table
    from iqcli.studying import study

    told = opinions.read(one_file(run), images, mos_range, where)
    found = study(told, run.settings.model, run.measured)
    table.show(table.plain_table(TITLES, _agreements(found, by)))
    if groups is not None:
        table.show(table.plain_table(BURSTS, _bursts(found, groups)))
    say(f"opinions given on {told.scale[0]:g}..{told.scale[1]:g}; RMSE and MAE in points of 1..10")
    if told.blank:
        say(f"{counted(told.blank, 'row')} without an opinion passed over")
    return run.finish("evaluated")


def one_file(run: Run) -> Path:
    """The one CSV file that was given."""
    if len(run.given) != 1:
        raise IqError(f"give one CSV file with the columns image and mos, not {len(run.given)}")
    return Path(run.given[0])


def _agreements(found: Study, by: str | None) -> Iterator[tuple[object, ...]]:
    for part in found.parts(by):
        for name, result in part.agreements():
            figures = result.figures
            points = [figures[key] for key in ("rmse", "mae")] if found.in_points(name) else []
            correlations = [figures[key] for key in ("srcc", "plcc", "plcc_logistic", "krcc")]
            cells = [_cell(figure) for figure in (*correlations, *points)]
            yield (result.photos, part.name, name, *cells, *["–"] * (6 - len(cells)))


def _bursts(found: Study, groups: str) -> Iterator[tuple[object, ...]]:
    for name, result in found.bursts(groups):
        chance = f"{result.chance:.3f}"
        yield (result.groups, name, _cell(result.top1), chance, _cell(result.pairs))


def _cell(figure: Figure) -> str:
    if math.isnan(figure.value):
        return "–"
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"
