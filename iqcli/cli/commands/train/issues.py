"""`iq train issues` and `iq train hex`: fit issues at ordinal levels that cannot contradict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iqcli.cli.commands.evaluate.command import HeldTogether, Images, Where, one_file
from iqcli.cli.commands.train.options import (
    Name,
    Weights,
    own_model_file,
    report_written,
    require_weights,
    warn_without_scene,
    write_own_model,
)
from iqcli.cli.console import counted, info
from iqcli.cli.options import over_photos
from iqcli.cli.session import Session
from iqcli.errors import Exit, IqError
from iqcli.fs.files import write_atomic
from iqcli.text import display_path, escape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iqcli.extractors.base import AnyBlock
    from iqcli.training.hex import HexRecipe


@over_photos
def issues(session: Session, output: Weights) -> Exit:
    """Fit the issues shown with every score: iq train issues PHOTOS -o hex-mini.safetensors.

    PHOTOS are good photos. Each is distorted at random by faults of known strength, one or several
    at once, and the model learns which level of which issue shows. One photo in six is held out
    with all its copies; the table printed is of those.
    """
    from iqcli.output import table
    from iqcli.training.issues import fit_folders

    require_weights(output)
    report = fit_folders(
        session.paths, session.settings.max_megapixels, info, session.settings.exclude
    )
    write_atomic(output, report.file)
    titles = ("issue", "false alarms", "found slight", "found clear", "found severe")
    rows = [
        (
            each.name,
            *(_or_dash(f"{share:.1%}") for share in (each.false_alarms, *each.found)),
            *(_or_dash(f"{figure:.3f}") for figure in (each.balanced, each.kappa)),
        )
        for each in report.issues
    ]
    table.show(table.plain_table((*titles, "balanced accuracy", "kappa"), rows))
    info(
        f"{counted(report.photos, 'good photo')} held out, {report.any_false_alarm:.1%} of them "
        f"with any issue; wrote {display_path(output)}"
    )
    return Exit.DONE


def _or_dash(figure: str) -> str:
    return "–" if figure.startswith("nan") else figure


@over_photos
def hex_(
    session: Session,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where the weights go [where --model hex looks]."),
    ] = None,
    labels: Annotated[
        str, typer.Option("--labels", help="hex6, hex12, or a TOML file of labels and their rules.")
    ] = "hex6",
    images: Images = None,
    where: Where = None,
    blocks: Annotated[
        str, typer.Option("--blocks", help="Blocks to fit on, with commas.")
    ] = "photometry,mini",
    hidden: Annotated[
        str | None, typer.Option("--hidden", help="Sizes of hidden layers, with commas [none].")
    ] = None,
    prompts: Annotated[
        str | None,
        typer.Option(
            "--prompts",
            help="Learn the words for this CLIP instead: clip-vit-b-32.",
            metavar="WEIGHTS",
        ),
    ] = None,
    contexts: Annotated[
        int, typer.Option("--contexts", help="With --prompts: learnt words a text.", min=1, max=32)
    ] = 4,
    loss: Annotated[str, typer.Option("--loss", help="nll, bce, focal or fidelity.")] = "nll",
    gamma: Annotated[
        float | None, typer.Option("--gamma", help="Focus of focal and fidelity [2].")
    ] = None,
    alpha: Annotated[
        float | None, typer.Option("--alpha", help="Their weight of what is there [0.5, 0.8].")
    ] = None,
    scene: HeldTogether = None,
    name: Name = None,
) -> Exit:
    """Fit levels of issues on labelled photos: iq train hex FILE.csv.

    The file has a column image and one for each label, by its name or an alias, with the levels 1
    (none) to 4; an empty cell is unknown. Labels that exclude each other are never predicted
    together. One scene in six is held out; the figures printed are of those. Use the result with
    --model hex.
    """
    from iqcli.cli.commands.evaluate.report import issue_sections
    from iqcli.cli.commands.evaluate.sections import show
    from iqcli.evaluation import labels_csv
    from iqcli.models import registry
    from iqcli.models.hex.config import LEVELS, named
    from iqcli.models.hex.head import FORMAT
    from iqcli.training.hex import fit_hex, write_curve

    file = own_model_file(session, output, registry.HEX, FORMAT, "hex model")
    table = session.registry.blocks
    recipe = _recipe(table, blocks, hidden, prompts, contexts, (loss, gamma, alpha))
    photos = labels_csv.read(one_file(session), named(labels), images, where)
    if photos.shifted:
        info(f"{display_path(photos.file)} counts levels from 0: 0, 1, 2, 3 are {LEVELS}")
    warn_without_scene(scene)
    model, device = escape(name or file.stem), session.settings.device
    report, data = fit_hex(photos, recipe, scene, model, session.measure, device, info)
    show(issue_sections(report.holdout, model), "table")
    info(
        f"learnt from {counted(report.photos, 'photo')} in "
        f"{counted(len(report.fit.train_losses), 'epoch')}; "
        f"{counted(report.holdout.photos, 'photo')} held out"
    )
    write_own_model(file, data, output)
    report_written(file, *write_curve(report.fit, model, file))
    info(f"use it with --model {registry.HEX if output is None else display_path(file)}")
    return session.report("used")


def _recipe(
    table: Mapping[str, AnyBlock],
    blocks: str,
    hidden: str | None,
    prompts: str | None,
    contexts: int,
    loss: tuple[str, float | None, float | None],
) -> HexRecipe:
    from iqcli.extractors.registry import blocks_of
    from iqcli.training.hex import HexRecipe, block_of_tower
    from iqcli.training.hex_fit import HexLoss

    try:
        sizes = tuple(int(each) for each in hidden.split(",")) if hidden else ()
    except ValueError:
        sizes = (0,)
    if not all(0 < size <= 1024 for size in sizes) or len(sizes) > 4:
        raise IqError(f"--hidden is {hidden!r}; give up to four sizes from 1 to 1024, as in 64,32")
    if prompts is not None and sizes:
        raise IqError("--hidden has no place beside --prompts; leave one of them out")
    tower = None if prompts is None else block_of_tower(prompts, table)
    read = (tower,) if tower else blocks_of(blocks, table)
    return HexRecipe(read, sizes, HexLoss.of(*loss), tower, contexts)
