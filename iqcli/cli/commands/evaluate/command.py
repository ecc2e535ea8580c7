"""`iq eval`: how well scores agree with people's, and how well they follow distortions."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iqcli.cli.console import counted, info, progress
from iqcli.cli.options import format_option, over_photos
from iqcli.cli.output import choose
from iqcli.cli.session import Session
from iqcli.errors import Exit, IqError
from iqcli.settings import checked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iqcli.culling.rules import Rule
    from iqcli.evaluation.mos_csv import Opinions

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
    str | None,
    typer.Option(
        "--worst", help="Count good photos among the worst, N or a share.", metavar="N|P%"
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
    bool, typer.Option("--ladders", help="Distort photos step by step; needs no opinions.")
]
Distortions = Annotated[
    list[str] | None,
    typer.Option("--distortion", help="Only this ladder; may be repeated.", metavar="NAME"),
]
Predictions = Annotated[
    Path | None,
    typer.Option("--predictions", help="CSV file of levels to evaluate, not a model's."),
]
Labels = Annotated[
    str | None,
    typer.Option("--labels", help="With --predictions: graph of the labels [hex6]."),
]
Format = Annotated[str | None, format_option(("table", "json"))]
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
    format_: Format = None,
) -> Exit:
    """Compare scores with human opinions.

    iq eval FILE.csv, with the columns image and mos. Prints SRCC, KRCC, RMSE, MAE and PLCC (raw,
    and after logistics of four and five parameters) with 95 % intervals, for the model and for
    three baselines: a constant, sharpness alone, and the 36 BRISQUE features refitted. Then whether
    the model's ± is large where it errs, and how often its 90 % intervals hold. With --against,
    differences on the same photos; with --below or --worst, as in iq cull, how many rejects people
    call good.

    iq eval --ladders PHOTO... needs no opinions: 33 distortions are put on each photo at five
    levels, and it prints how well the scores follow; then whether a photo beats itself exposed up
    to three stops darker and brighter. With --full-size six faults are made as a camera makes them,
    and it prints from which level iq names them.

    Where the file has a column for each label instead, and the model is hex, it prints how well the
    levels agree, label by label, beside always predicting none; with --predictions those of another
    file.
    """
    scores_only: dict[str, object] = {"--mos-range": mos_range, "--by": by, "--groups": groups}
    scores_only |= {"--against": against, "--below": below, "--worst": worst, "--good": good}
    scores_only |= {"--plots": plots}
    csv_only = scores_only | {"--images": images, "--where": where, "--predictions": predictions}
    ladders_only = {"--distortion": distortion, "--full-size": full_size or None}
    form = _form(format_, session)
    if labels is not None and predictions is None:
        raise IqError("--labels goes with --predictions; a model brings its own labels")
    if ladders:
        _refuse("needs opinions, and --ladders has none; leave one of them out", csv_only)
        return _evaluate_ladders(session, distortion or [], form, full_size=full_size)
    _refuse("belongs to ladders; give --ladders and photos with it", ladders_only)

    from iqcli.cli.commands.evaluate import issues

    file = one_file(session)
    if predictions is not None:
        given = scores_only | {"--images": images}
        _refuse("has no place beside --predictions; leave it out", given)
        return issues.evaluate_predictions(file, predictions, labels, where, form)
    if head := issues.labeller_for(session, file):
        _refuse("is about scores, and the file holds levels; leave it out", scores_only)
        return issues.evaluate_model(session, head, file, images, where, form)

    from iqcli.evaluation import mos_csv

    opinions = mos_csv.read(file, images, mos_range, where)
    for column in filter(None, (by, groups)):
        opinions.column(column)
    rule = _rule(below, worst, good)
    return _evaluate_scores(session, opinions, by, groups, against or [], rule, good, plots, form)


def _evaluate_scores(
    session: Session,
    opinions: Opinions,
    by: str | None,
    groups: str | None,
    against: Sequence[str],
    rule: Rule | None,
    good: float | None,
    plots: Path | None,
    form: str,
) -> Exit:
    """Compare the model's scores, and those of the baselines and of others, with the opinions."""
    from iqcli.cli.commands.evaluate import report, sections
    from iqcli.evaluation.study import study

    if plots is not None:
        report.check_plots(plots)
    model = session.settings.model
    result = study(opinions, model, session.registry, session.measure, against)
    found = report.study_sections(result, by, groups, rule, good)
    sections.show(found, form)
    for note in report.study_notes(result, found):
        info(note)
    if plots is not None:
        report.draw(result, session.registry.entry(model).name, by, plots)
    low, high = opinions.scale
    info(f"opinions given on {low:g}..{high:g}; RMSE and MAE in points of 1..10")
    if opinions.blank:
        info(f"{counted(opinions.blank, 'row')} without an opinion passed over")
    return session.report("evaluated")


def _form(given: str | None, session: Session) -> str:
    """The format given, else that of the settings if it is one of this command."""
    from iqcli.cli.commands.evaluate.sections import FORMATS

    if given is not None:
        return choose(given, FORMATS)
    return session.settings.format if session.settings.format in FORMATS else FORMATS[0]


def _refuse(why: str, options: Mapping[str, object]) -> None:
    """Raise IqError for the first of these options that is given."""
    for name, value in options.items():
        if value is not None and value != []:
            raise IqError(f"{name} {why}")


def _rule(below: float | None, worst: str | None, good: float | None) -> Rule | None:
    """The rule of `iq cull` that is given, if one is."""
    from iqcli.culling.rules import Quota, Rule

    if good is not None and not 1 <= good <= 10:
        raise IqError(f"--good is {good:g}; give an opinion from 1 to 10")
    if below is not None or worst is not None:
        quota = None if worst is None else Quota.parse(checked("worst", worst, "--worst"))
        return Rule(below, quota)
    if good is not None:
        raise IqError("--good says which rejects count as good; give --below or --worst with it")
    return None


def one_file(session: Session) -> Path:
    """The one CSV file that was given."""
    if len(session.given) != 1:
        raise IqError(f"give one CSV file with the columns image and mos, not {len(session.given)}")
    return Path(session.given[0])


def _evaluate_ladders(
    session: Session, distortions: Sequence[str], form: str, *, full_size: bool
) -> Exit:
    """Put distortions on the photos, step by step, and show how the scores fall."""
    from iqcli.cli.commands.evaluate import report, sections
    from iqcli.evaluation import exposure_series, robustness
    from iqcli.output.stdout import write

    names = robustness.chosen_distortions(distortions, full_size=full_size)
    exposed = robustness.EXPOSURE in names
    names = [name for name in names if name != robustness.EXPOSURE]
    blocks = session.model.blocks
    shots = [each.shot for each in session.measure((), session.find()) if each.error is None]
    if not shots:
        return session.report("put on ladders")
    # One bar over all copies, not one a level.
    measure = partial(session.measure, tracked=False)
    found, more, count = [], {}, len(shots)
    if names:
        copies = robustness.measure_copies(shots, names, blocks, measure, full_size=full_size)
        total = robustness.count_copies(count, names)
        copies = progress(copies, total, quiet=session.quiet, things="copies")
        ladders = robustness.score_ladders(copies, count, names, session.model)
        found += report.ladder_sections(ladders, full_size=full_size)
        more["weak"] = robustness.weak(ladders)
        if lost := count * len(names) - sum(len(each.scores) for each in ladders):
            info(f"{counted(lost, 'ladder')} left out: a copy on each could not be measured")
    if exposed:
        copies = exposure_series.measure_series(shots, blocks, measure)
        total = count * len(exposure_series.SERIES)
        copies = progress(copies, total, quiet=session.quiet, things="exposures")
        scores = exposure_series.score_series(copies, count, session.model)
        found.append(report.exposure_section(exposure_series.contests(scores)))
        if lost := count - len(scores):
            info(
                f"{counted(lost, 'photo')} without exposures: dark, bright or clipped already, or "
                "a copy could not be measured"
            )
    sections.show(found, form, **more)
    if names and form != "json":
        write([f"\ndistortions under {robustness.WEAK:g}: {', '.join(more['weak']) or 'none'}\n"])
    for note in report.interval_note(found):
        info(note)
    return session.report("put on ladders")
