"""`iq train scale`: what points people give photos that a method thinks so well of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iqcli.cli.commands.evaluate.command import HeldTogether, Images, MosRange, Where
from iqcli.cli.console import counted, say
from iqcli.cli.options import over_photos
from iqcli.cli.session import Run
from iqcli.errors import Exit, IqError
from iqcli.text import shown

if TYPE_CHECKING:
    from iqcli.training.calibration import Fitted


@over_photos
def scale(
    run: Run,
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
    from iqcli.fs.files import make_folders, write_atomic
    from iqcli.models.calibration import own_file
    from iqcli.training.calibration import fit_scale

    if len(run.given) != 2:
        raise IqError("give the name of a model and one CSV file with the columns image and mos")
    if output is not None and output.suffix != ".json":
        raise IqError(f"--output is {shown(output)}; give a name that ends in .json")
    if output is not None and not output.parent.is_dir():
        raise IqError(f"--output is {shown(output)}, but there is no folder {shown(output.parent)}")
    model, file = run.given
    told = mos_csv.read(Path(file), images, mos_range, where)
    if scene is None:
        say("no --scene: photos of one scene may be on both sides and flatter the figures")
    fitted = fit_scale(told, model, scene, run.measured)
    target = output or own_file(fitted.model)
    try:
        make_folders(target.parent)
        write_atomic(target, fitted.file())
    except OSError as error:
        why = error.strerror or error
        raise IqError(f"cannot write {shown(target)}: {why}; give another --output") from error
    _tell(fitted, target)
    return run.finish("used")


def _tell(fitted: Fitted, target: Path) -> None:
    if fitted.left_out:
        say(f"{counted(fitted.left_out, 'photo')} left out: {fitted.model} has no score for them")
    say(f"learnt from {counted(fitted.learnt, 'photo')}; the {fitted.curve} erred less than others")
    say(
        f"{counted(fitted.held, 'photo')} held out: SRCC {fitted.srcc:.3f}, RMSE {fitted.rmse:.3f} "
        f"points, {fitted.covered:.1%} of the opinions in the 90 % interval "
        f"(deviation {fitted.scale.sigma:.2f})"
    )
    say(f"wrote {shown(target)}")
