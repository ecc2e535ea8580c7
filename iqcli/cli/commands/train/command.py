"""`iq train`: fit a model on opinions, or on good photos alone.

`iq train scale`: what points people give photos that a method thinks so well of.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iqcli.cli.commands.evaluate.command import HeldTogether, Images, MosRange, Where, one_file
from iqcli.cli.commands.train.hex import train_hex
from iqcli.cli.commands.train.qualiclip import qualiclip
from iqcli.cli.commands.train.taste import taste
from iqcli.cli.console import counted, info
from iqcli.cli.options import over_photos, show_help
from iqcli.cli.session import Session
from iqcli.errors import Exit, IqError
from iqcli.fs.files import make_folders, require_output, write_atomic, writing
from iqcli.text import display_path

if TYPE_CHECKING:
    from iqcli.training.calibration import CalibrationFit
    from iqcli.training.recipes import FitReport


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
    told = mos_csv.read(Path(file), images, mos_range, where)
    if scene is None:
        info("no --scene: photos of one scene may be on both sides and flatter the figures")
    fitted = fit_calibration(told, model, session.registry, scene, session.measure)
    target = output or own_file(fitted.model, session.settings.data_dir)
    with writing(target, "give another --output"):
        make_folders(target.parent)
        write_atomic(target, fitted.file())
    _tell(fitted, target)
    return session.report("used")


def _tell(fitted: CalibrationFit, target: Path) -> None:
    if fitted.left_out:
        info(f"{counted(fitted.left_out, 'photo')} left out: {fitted.model} has no score for them")
    info(f"learnt from {counted(fitted.train, 'photo')}; the {fitted.curve} erred less than others")
    info(
        f"{counted(fitted.holdout, 'photo')} held out: SRCC {fitted.srcc:.3f}, RMSE "
        f"{fitted.rmse:.3f} points, {fitted.coverage:.1%} of the opinions in the 90 % interval "
        f"(deviation {fitted.scale.sigma:.2f})"
    )
    info(f"wrote {display_path(target)}")


Ladders = Annotated[
    list[Path] | None,
    typer.Option("--ladders", help="Folder of pristine photos to spoil; may be repeated."),
]

Weights = Annotated[Path, typer.Option("--output", "-o", help="Where the weights go.")]
Scene = Annotated[
    str | None,
    typer.Option("--scene", help="Column that names near duplicates; they share a fold."),
]
Name = Annotated[str | None, typer.Option("--name", help="Model id in results [the file's name].")]

app = typer.Typer(
    help="Fit a model on opinions, or on good photos alone.",
    callback=show_help,
    invoke_without_command=True,
)
app.command()(taste)
app.command("hex")(train_hex)
app.command()(scale)
app.command()(qualiclip)


@app.command()
@over_photos
def fusion(
    session: Session,
    output: Weights,
    images: Images = None,
    mos_range: MosRange = None,
    where: Where = None,
    blocks: Annotated[
        str, typer.Option("--blocks", help="Blocks to fuse, with commas.")
    ] = "brisque,photometry,mini",
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
    _check_weights(output)
    if scene is None:
        info("no --scene: photos of one scene may fall into several folds and flatter the figures")
    read = session.registry.blocks_of(blocks)
    request = FitRequest(opinions, read, scene, output, name or output.stem)
    device = session.settings.device
    report = fit_fusion(request, ladders or [], session.measure, device, info)
    return _report(report, output, session)


@app.command()
@over_photos
def dkl(
    session: Session,
    output: Weights,
    images: Images = None,
    mos_range: MosRange = None,
    where: Where = None,
    blocks: Annotated[
        str, typer.Option("--blocks", help="Blocks to stand on, with commas.")
    ] = "mini,photometry",
    scene: Scene = None,
    name: Name = None,
) -> Exit:
    """Fit a Gaussian process on opinions: iq train dkl FILE.csv -o my.safetensors.

    Deep kernel learning: the process stands on the vectors of a network that stays as it is. It
    tells how unsure a score is by how far a photo lies from all it has seen.
    """
    from iqcli.evaluation import mos_csv
    from iqcli.training.recipes import FitRequest, fit_dkl

    opinions = mos_csv.read(one_file(session), images, mos_range, where)
    _check_weights(output)
    read = session.registry.blocks_of(blocks)
    request = FitRequest(opinions, read, scene, output, name or output.stem)
    return _report(fit_dkl(request, session.measure, info), output, session)


def _report(report: FitReport, output: Path, session: Session) -> Exit:
    holdout = report.holdout
    info(f"learnt from {counted(report.photos, 'photo')} and {counted(report.ladders, 'ladder')}")
    info(
        f"{counted(len(holdout.scores), 'photo')} held out: SRCC {holdout.srcc:.3f}, RMSE "
        f"{holdout.rmse:.3f} points, {holdout.coverage:.1%} of the opinions in the 90 % interval "
        f"(deviations times {holdout.calibration:.2f}), log density {holdout.log_density:.3f} nats"
    )
    info(f"wrote {display_path(output)}")
    return session.report("used")


@app.command()
@over_photos
def issues(session: Session, output: Weights) -> Exit:
    """Fit the issues shown with every score: iq train issues PHOTOS -o hex-mini.safetensors.

    PHOTOS are good photos. Each is spoilt at random by faults of known strength, one or several at
    once, and the model learns which level of which issue shows. One photo in six is held out with
    all its copies; the table printed is of those.
    """
    from iqcli.output import table
    from iqcli.training.issues import fit_folders

    _check_weights(output)
    report = fit_folders(session.paths, session.settings.max_megapixels, info)
    write_atomic(output, report.file)
    titles = ("issue", "false alarms", "found slight", "found clear", "found severe")
    rows = [
        (
            each.name,
            *(_or_dash(f"{share:.1%}") for share in (each.alarms, *each.found)),
            *(_or_dash(f"{figure:.3f}") for figure in (each.balanced, each.kappa)),
        )
        for each in report.issues
    ]
    table.show(table.plain_table((*titles, "balanced accuracy", "kappa"), rows))
    info(
        f"{counted(report.photos, 'good photo')} held out, {report.any_alarm:.1%} of them with any "
        f"issue; wrote {display_path(output)}"
    )
    return Exit.DONE


@app.command()
@over_photos
def niqe(session: Session, output: Weights) -> Exit:
    """Fit NIQE on folders of good photos: iq train niqe PHOTOS -o my.safetensors.

    It asks for no opinions: what counts is how near a photo's statistics are to those of these.
    Use the result with --model my.safetensors; `iq train scale` calibrates it.
    """
    from iqcli.training.niqe import fit_folders

    _check_weights(output)
    fitted = fit_folders(session.paths, session.settings.max_megapixels, info)
    write_atomic(output, fitted.file())
    photos, blocks = counted(fitted.photos, "photo"), counted(fitted.blocks, "sharp block")
    info(f"learnt from {blocks} of {photos}; wrote {display_path(output)}")
    return Exit.DONE


@app.command()
@over_photos
def backbone(
    session: Session,
    output: Weights,
    start: Annotated[
        str,
        typer.Option(
            "--start", help="ImageNet network to begin with: FILE.safetensors or timm:MODEL."
        ),
    ],
    images: Images = None,
    mos_range: MosRange = None,
    where: Where = None,
    scene: HeldTogether = None,
    ladders: Ladders = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="TOML file with other values than the standard ones."),
    ] = None,
) -> Exit:
    """Train the network of block mini: iq train backbone FILE.csv --start NET -o my.safetensors.

    All layers learn from the opinions and from ladders of spoilt copies. Hours on a CPU: it may be
    stopped at any time, and the same command goes on. Settings, curve and state lie in the folder
    beside the output that ends in .run.
    """
    from iqcli.evaluation import mos_csv
    from iqcli.pipeline.devices import choose_device
    from iqcli.training.config import BACKBONE_LEAST, BackboneConfig, read_config
    from iqcli.training.recipes import train_backbone

    told = mos_csv.read(one_file(session), images, mos_range, where)
    _check_weights(output)
    device = choose_device(session.settings.device)
    train_backbone(
        told,
        scene,
        start,
        ladders or [],
        output,
        read_config(config, BackboneConfig(), BACKBONE_LEAST),
        device,
        info,
    )
    info(f"wrote {display_path(output)}")
    return Exit.DONE


def _or_dash(figure: str) -> str:
    return "–" if figure.startswith("nan") else figure


def _check_weights(output: Path) -> None:
    require_output(output, suffixes=(".safetensors",), may_replace=Path.is_file)
