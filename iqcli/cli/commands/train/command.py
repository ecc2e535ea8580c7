"""`iq train`: fit a model on opinions, on one person's stars, or on good photos alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iqcli.cli.commands.evaluate.command import HeldTogether, Images, MosRange, Where, one_file
from iqcli.cli.commands.train.issues import hex_, issues
from iqcli.cli.commands.train.networks import backbone, qualiclip
from iqcli.cli.commands.train.options import (
    Ladders,
    Name,
    Weights,
    own_model_file,
    report_written,
    require_weights,
    warn_without_scene,
    write_own_model,
)
from iqcli.cli.console import counted, info
from iqcli.cli.options import over_photos, show_help
from iqcli.cli.session import Session
from iqcli.errors import Exit, IqError
from iqcli.fs.files import make_folders, require_output, write_atomic, writing
from iqcli.text import display_path

if TYPE_CHECKING:
    from iqcli.models.base import RatedModel
    from iqcli.models.fusion import TrainedHead
    from iqcli.training.calibration import CalibrationFit
    from iqcli.training.recipes import FitReport
    from iqcli.training.taste import TasteComparison
    from iqcli.training.taste_data import RatedPhotos

Scene = Annotated[
    str | None,
    typer.Option("--scene", help="Column that names near duplicates; they share a fold."),
]


@over_photos
def fusion(
    session: Session,
    output: Weights,
    images: Images = None,
    mos_range: MosRange = None,
    where: Where = None,
    blocks: Annotated[str, typer.Option("--blocks", help="Blocks to fuse, with commas.")] = "mini",
    scene: Scene = None,
    ladders: Ladders = None,
    name: Name = None,
) -> Exit:
    """Fit the fusion network on opinions: iq train fusion FILE.csv -o my.safetensors.

    Blocks are cached, so a second fit takes minutes. One scene in six is held out; the figures
    printed are those of it. Use the result with --model my.safetensors.
    """
    from iqcli.evaluation import mos_csv
    from iqcli.training.recipes import FitRequest, fit_fusion

    opinions = mos_csv.read(one_file(session), images, mos_range, where)
    require_weights(output)
    warn_without_scene(scene)
    read = session.registry.blocks_of(blocks)
    settings = session.settings
    request = FitRequest(opinions, read, scene, output, name or output.stem, settings.exclude)
    device = settings.device
    return _report_fit(
        fit_fusion(request, ladders or [], session.measure, device, info), output, session
    )


@over_photos
def dkl(
    session: Session,
    output: Weights,
    images: Images = None,
    mos_range: MosRange = None,
    where: Where = None,
    blocks: Annotated[
        str, typer.Option("--blocks", help="Blocks to fit on, with commas.")
    ] = "mini",
    scene: Scene = None,
    name: Name = None,
) -> Exit:
    """Fit a Gaussian process on opinions: iq train dkl FILE.csv -o my.safetensors.

    Deep kernel learning: the process is fitted on the vectors of a network that stays as it is. A
    score is the less certain the further a photo is from all photos of the fit.
    """
    from iqcli.evaluation import mos_csv
    from iqcli.training.recipes import FitRequest, fit_dkl

    opinions = mos_csv.read(one_file(session), images, mos_range, where)
    require_weights(output)
    read = session.registry.blocks_of(blocks)
    request = FitRequest(opinions, read, scene, output, name or output.stem)
    return _report_fit(fit_dkl(request, session.measure, info), output, session)


def _report_fit(report: FitReport, output: Path, session: Session) -> Exit:
    holdout = report.holdout
    info(f"learnt from {counted(report.photos, 'photo')} and {counted(report.ladders, 'ladder')}")
    thirds = " / ".join(f"{each:.1%}" for each in holdout.coverages)
    info(
        f"{counted(len(holdout.scores), 'photo')} held out: SRCC {holdout.srcc:.3f}, RMSE "
        f"{holdout.rmse:.3f} points, {holdout.coverage:.1%} of the opinions in the 90 % interval "
        f"({thirds} of the surest to the least sure third), SRCC of the uncertainty with the error "
        f"{holdout.error_srcc:.3f}, log density {holdout.log_density:.3f} nats"
    )
    report_written(output)
    return session.report("used")


@over_photos
def scale(
    session: Session,
    images: Images = None,
    mos_range: MosRange = None,
    where: Where = None,
    scene: HeldTogether = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="JSON file [where --model MODEL finds it]."),
    ] = None,
) -> Exit:
    """Calibrate a method's own quality to points: iq train scale MODEL FILE.csv.

    Its scores then are opinions to expect of people, with an uncertainty; the order of photos
    stays as it is. One scene in six is held out; the figures printed are those of it.
    """
    from iqcli.evaluation import mos_csv
    from iqcli.models.calibration import own_file
    from iqcli.training.calibration import fit_calibration

    if len(session.given) != 2:
        raise IqError("give the name of a model and one CSV file with the columns image and mos")
    if output is not None:
        require_output(output, suffixes=(".json",), may_replace=Path.is_file)
    model, file = session.given
    opinions = mos_csv.read(Path(file), images, mos_range, where)
    warn_without_scene(scene)
    fitted = fit_calibration(opinions, model, session.registry, scene, session.measure)
    target = output or own_file(fitted.model, session.settings.data_dir)
    with writing(target, "give another --output"):
        make_folders(target.parent)
        write_atomic(target, fitted.file())
    _report_calibration(fitted)
    report_written(target)
    return session.report("used")


def _report_calibration(fitted: CalibrationFit) -> None:
    if fitted.left_out:
        info(f"{counted(fitted.left_out, 'photo')} left out: {fitted.model} has no score for them")
    info(f"learnt from {counted(fitted.train, 'photo')}; the {fitted.curve} has the smallest error")
    info(
        f"{counted(fitted.holdout, 'photo')} held out: SRCC {fitted.srcc:.3f}, RMSE "
        f"{fitted.rmse:.3f} points, {fitted.coverage:.1%} of the opinions in the 90 % interval "
        f"(deviation {fitted.scale.sigma:.2f})"
    )


@over_photos
def niqe(session: Session, output: Weights) -> Exit:
    """Fit NIQE on folders of good photos: iq train niqe PHOTOS -o my.safetensors.

    No opinions are needed: a photo's quality is how near its statistics are to those of the good
    photos. Use the result with --model my.safetensors; `iq train scale` calibrates it.
    """
    from iqcli.training.niqe import fit_folders

    require_weights(output)
    fitted = fit_folders(
        session.paths, session.settings.max_megapixels, info, session.settings.exclude
    )
    write_atomic(output, fitted.file())
    photos, blocks = counted(fitted.photos, "photo"), counted(fitted.blocks, "sharp block")
    info(f"learnt from {blocks} of {photos}; wrote {display_path(output)}")
    return Exit.DONE


@over_photos
def taste(
    session: Session,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where the taste goes [where --model taste looks]."),
    ] = None,
    images: Images = None,
    mos_range: MosRange = None,
    where: Where = None,
) -> Exit:
    """Learn your own taste from stars you gave: iq train taste FOLDER, or FILE.csv.

    Stars are read from XMP sidecars or the photos, or from a CSV file with the columns image and
    stars (-1 is rejected, 0 or nothing is unrated), and day if the photos have no dates. Days are
    held out in turn; the taste is adopted only where it beats the stock model on them. Use it with
    --model taste.
    """
    from iqcli.models import registry
    from iqcli.models.taste import FORMAT, keep_stock
    from iqcli.training.taste import compare_with_stock, fit, taste_samples, weight_file

    file = own_model_file(session, output, registry.TASTE, FORMAT, "taste")
    name, stock, head = _stock_model(session)
    try:
        rated = _rated_photos(session, stock, images, mos_range, where)
    except IqError:
        if not session.counts.is_complete:  # they may be why there is too little
            session.report("read")
        raise
    samples = taste_samples(rated, head)
    comparison = compare_with_stock(samples)
    _report_taste(comparison, name)
    if not comparison.adopted:
        info(
            "not adopted: a taste must beat the stock model in both figures and in 80% of the "
            "resamples, and chance in 95%"
        )
        _report_earlier_taste(file)
        return session.report("read")
    model, data = weight_file(fit(samples), comparison, name, head.sizes)
    keep_stock(name, session.settings.data_dir)
    write_own_model(file, data, output)
    info(f"adopted {model}: wrote {display_path(file)}")
    info(f"use it with --model {registry.TASTE if output is None else display_path(file)}")
    return session.report("read")


def _stock_model(session: Session) -> tuple[str, RatedModel, TrainedHead]:
    """The model that the taste is fitted on: the one chosen, or the default under a taste."""
    from iqcli.models import registry
    from iqcli.models.fusion import TrainedHead

    chosen = session.settings.model
    name = registry.STOCK if chosen == registry.TASTE else chosen
    model = session.registry.load(name)
    if not isinstance(model.predictor, TrainedHead):
        raise IqError(
            f"a taste cannot be fitted on {chosen!r}; give --model {registry.STOCK}, or a file of "
            "`iq train fusion`"
        )
    return name, model, model.predictor


def _rated_photos(
    session: Session,
    stock: RatedModel,
    images: Path | None,
    mos_range: str | None,
    where: str | None,
) -> RatedPhotos:
    from iqcli.evaluation import mos_csv
    from iqcli.training.taste_data import STARS, by_opinions, by_stars

    if len(session.given) == 1 and session.given[0].lower().endswith(".csv"):
        opinions = mos_csv.read(Path(session.given[0]), images, mos_range, where, usual=STARS)
        photos = session.measure(stock.blocks, [row.shot for row in opinions.rows])
        return by_opinions(opinions, photos, stars=mos_range is None)
    for option, value in (("--images", images), ("--mos-range", mos_range), ("--where", where)):
        if value is not None:
            raise IqError(f"{option} goes with one CSV file; leave it out")
    return by_stars(session.measure(stock.blocks, session.find()))


def _report_taste(comparison: TasteComparison, name: str) -> None:
    stock, own = comparison.stock, comparison.taste
    days = counted(comparison.days, "day")
    info(f"{counted(comparison.photos, 'photo')} with stars of {days}; each day was held out once")
    info(f"stock model ({name}) on held-out days: SRCC {stock.srcc:.3f}, pairs {stock.pairs:.3f}")
    info(f"your taste on held-out days: SRCC {own.srcc:.3f}, pairs {own.pairs:.3f}")
    info(
        f"in {comparison.higher:.0%} of resamples of the days its SRCC is the higher one, in "
        f"{comparison.positive:.0%} it is above 0"
    )


def _report_earlier_taste(file: Path) -> None:
    from iqcli.models.taste import load

    if not file.exists():
        return
    try:
        info(f"{load(file).info['model']}, adopted earlier, stays in {display_path(file)}")
    except IqError as error:
        info(f"the earlier file stays: {error}")


app = typer.Typer(
    help="Fit a model on opinions, or on good photos alone.",
    callback=show_help,
    invoke_without_command=True,
)
app.command()(taste)
app.command("hex")(hex_)
for command in (scale, qualiclip, fusion, dkl, issues, niqe, backbone):
    app.command()(command)
