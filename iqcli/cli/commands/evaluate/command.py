"""`iq eval`: how well scores agree with people's, with intervals and beside the baselines.

What `iq eval --ladders` measures and prints.
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iqcli.cli.console import counted, info, progress
from iqcli.cli.options import over_photos, parse_share
from iqcli.cli.session import Session
from iqcli.errors import Exit, IqError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from iqcli.cli.session import Session
    from iqcli.culling.rules import Rule
    from iqcli.errors import Exit
    from iqcli.evaluation.robustness import Ladder, Summary

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
HeldTogether = Annotated[
    str | None,
    typer.Option("--scene", help="Column that names near duplicates; held out together."),
]


By = Annotated[
    str | None,
    typer.Option("--by", help="Also for each value of this column, or of the name's prefix."),
]
Groups = Annotated[str | None, typer.Option("--groups", help="Column that names a photo's burst.")]
Against = Annotated[
    list[str] | None,
    typer.Option("--against", help="Compare with this model; may be repeated.", metavar="MODEL"),
]
Below = Annotated[
    float | None,
    typer.Option("--below", help="Count good photos that score less.", metavar="SCORE"),
]
Worst = Annotated[
    float | None,
    typer.Option(
        "--worst", help="Count good photos in this share.", parser=parse_share, metavar="P%"
    ),
]
Good = Annotated[
    float | None,
    typer.Option("--good", help="Opinion that makes a photo good [7.3].", metavar="POINTS"),
]
Plots = Annotated[
    Path | None,
    typer.Option("--plots", help="Draw figures into this folder, PNG and SVG.", metavar="DIR"),
]
Ladders = Annotated[
    bool, typer.Option("--ladders", help="Spoil photos step by step; needs no opinions.")
]
Distortions = Annotated[
    list[str] | None,
    typer.Option("--distortion", help="Only this ladder; may be repeated.", metavar="NAME"),
]
Predictions = Annotated[
    Path | None,
    typer.Option("--predictions", help="CSV file of levels to judge instead of a model's."),
]
Labels = Annotated[
    str | None,
    typer.Option("--labels", help="With --predictions: graph of the labels [hex6]."),
]
FullSize = Annotated[bool, typer.Option("--full-size", help="Ladders at the photos' full size.")]


@over_photos
def evaluate(
    session: Session,
    images: Images = None,
    mos_range: MosRange = None,
    where: Where = None,
    by: By = None,
    groups: Groups = None,
    against: Against = None,
    below: Below = None,
    worst: Worst = None,
    good: Good = None,
    plots: Plots = None,
    ladders: Ladders = False,
    distortion: Distortions = None,
    full_size: FullSize = False,
    predictions: Predictions = None,
    labels: Labels = None,
) -> Exit:
    """Compare scores with human opinions.

    iq eval FILE.csv, with the columns image and mos. Prints SRCC, PLCC, KRCC, RMSE and MAE with
    95 % intervals, for the model and for three baselines: a constant, sharpness alone, and the 36
    BRISQUE features refitted. Then how often the model's 90 % intervals hold. With --against,
    differences on the same photos; with --below or --worst, as in iq cull, how many rejects people
    call good.

    iq eval --ladders PHOTO... needs no opinions: 33 distortions are put on each photo at five
    levels, and it prints how well the scores follow. With --full-size six faults are made as a
    camera makes them, and it prints from which level iq names them.

    Where the file has a column a label instead, and the model is hex, it prints how well the levels
    agree, label by label beside always saying none; with --predictions those of another file.
    """
    of_opinions: dict[str, object] = {"--images": images, "--mos-range": mos_range}
    of_opinions |= {"--where": where, "--by": by, "--groups": groups, "--against": against}
    of_opinions |= {"--below": below, "--worst": worst, "--good": good, "--plots": plots}
    if labels is not None and predictions is None:
        raise IqError("--labels goes with --predictions; a model brings its own labels")
    if ladders:
        of_opinions |= {"--predictions": predictions}

        _refuse("needs opinions, and --ladders has none; leave one of them out", of_opinions)
        return climb_ladders(session, distortion or [], full_size=full_size)
    of_ladders = {"--distortion": distortion, "--full-size": full_size or None}
    _refuse("belongs to ladders; give --ladders and photos with it", of_ladders)

    from iqcli.cli.commands.evaluate import issues, report
    from iqcli.evaluation import mos_csv
    from iqcli.evaluation.study import study

    file = one_file(session)
    of_scores = {k: v for k, v in of_opinions.items() if k not in ("--where", "--images")}
    if predictions is not None:
        _refuse("has no place beside --predictions; leave it out", of_scores | {"--images": images})
        return issues.of_predictions(file, predictions, labels, where)
    if head := issues.labeller_for(session, file):
        _refuse("is about scores, and the file holds levels; leave it out", of_scores)
        return issues.of_model(session, head, file, images, where)
    told = mos_csv.read(file, images, mos_range, where)
    for column in filter(None, (by, groups)):
        told.column(column)
    rule = _rule(below, worst, good)
    if plots is not None:
        report.check_plots(plots)
    found = study(told, session.settings.model, session.registry, session.measure, against or [])
    report.show(found, by, groups, rule, good)
    if plots is not None:
        report.draw(found, session.registry.entry(session.settings.model).name, by, plots)
    info(f"opinions given on {told.scale[0]:g}..{told.scale[1]:g}; RMSE and MAE in points of 1..10")
    if told.blank:
        info(f"{counted(told.blank, 'row')} without an opinion passed over")
    return session.report("evaluated")


def _refuse(why: str, options: Mapping[str, object]) -> None:
    for name, value in options.items():
        if value is not None and value != []:
            raise IqError(f"{name} {why}")


def _rule(below: float | None, worst: float | None, good: float | None) -> Rule | None:
    """The rule of `iq cull` that is given, if one is."""
    from iqcli.culling.rules import Rule

    if good is not None and not 1 <= good <= 10:
        raise IqError(f"--good is {good:g}; give an opinion from 1 to 10")
    if below is not None or worst is not None:
        return Rule(below, worst)
    if good is not None:
        raise IqError("--good says which rejects count as good; give --below or --worst with it")
    return None


def one_file(session: Session) -> Path:
    """The one CSV file that was given."""
    if len(session.given) != 1:
        raise IqError(f"give one CSV file with the columns image and mos, not {len(session.given)}")
    return Path(session.given[0])


TITLES = (
    *("distortion", "photos", "SRCC with level", "in order", "beats its level 3"),
    *(f"lost at {level}" for level in range(1, 6)),
)
NAMED = "named from level"


def climb_ladders(session: Session, distortions: Sequence[str], *, full_size: bool) -> Exit:
    """Spoil the photos of the run step by step, print how the scores fall; the exit code."""
    from iqcli.evaluation import robustness
    from iqcli.output import table
    from iqcli.output.stdout import write

    names = robustness.chosen_distortions(distortions, full_size=full_size)
    model = session.model
    model.blocks  # noqa: B018 - a model that cannot be read is refused before the photos are
    shots = [each.shot for each in session.measure((), session.find()) if each.error is None]
    if not shots:
        return session.report("put on ladders")
    ladders = robustness.score_ladders(
        shots,
        names,
        model,
        partial(session.measure, tracked=False),  # one bar over all copies, not one a level
        full_size=full_size,
        watch=lambda copies: progress(
            copies, robustness.copies(len(shots), names), quiet=session.quiet
        ),
    )
    whole = robustness.summary(ladders)
    titles = (*TITLES, NAMED) if full_size else TITLES
    rows = (row[: len(titles)] for row in _rows(ladders, whole))
    table.show(table.plain_table(titles, rows))
    weak = ", ".join(whole.weak) or "none"
    write([f"distortions under {robustness.WEAK:g}: {weak}\n"])
    if lost := len(shots) * len(names) - whole.ladders:
        info(f"{counted(lost, 'ladder')} left out: a copy on each could not be measured")
    return session.report("put on ladders")


def _rows(ladders: Sequence[Ladder], whole: Summary) -> Iterator[tuple[object, ...]]:
    for each in ladders:
        order, wins = _figure(each.order), _figure(each.won)
        lost = [f"{points:+.2f}" for points in each.lost]
        named = "–" if each.named_from is None else str(each.named_from)
        yield (each.name, len(each.scores), order, _figure(each.whole), wins, *lost, named)
    filler = ["–"] * 6
    yield ("all", whole.ladders, _figure(whole.order), "–", _figure(whole.won), *filler)


def _figure(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"
