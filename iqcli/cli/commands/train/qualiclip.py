"""`iq train qualiclip`: a CLIP learns the order of spoilt copies of good photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iqcli.cli.commands.train.taste import place_of
from iqcli.cli.console import info
from iqcli.cli.options import over_photos
from iqcli.cli.session import Session
from iqcli.errors import Exit, IqError, NothingFound
from iqcli.text import display_path

if TYPE_CHECKING:
    from iqcli.training.qualiclip.train import TrainedClip


@over_photos
def qualiclip(
    session: Session,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the weights go.")],
    start: Annotated[
        str,
        typer.Option(
            "--start",
            help="clip-rn50 or other weights of a ResNet CLIP, a file of this command, or tiny: "
            "a small tower drawn at random, for machines without weights.",
        ),
    ] = "clip-rn50",
    leave_out: Annotated[
        str | None,
        typer.Option(
            "--leave-out",
            help="Group of distortions that teaches nothing, to see how it is judged then.",
            metavar="GROUP",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="TOML file with other values than the standard ones."),
    ] = None,
) -> Exit:
    """Train a QualiCLIP: iq train qualiclip PHOTOS -o mine.safetensors.

    Give good photos; no opinion is needed. Crops are spoilt at five rising levels, and the image
    tower learns their order (rate 9e-8; 2e-3 from tiny). One photo in six is held out: the table
    shows how its spoilt copies are ordered. The run may be stopped at any time, and the same
    command goes on; settings, curve and state lie in the folder beside the output that ends in
    .run. Use the result with --model mine.safetensors.
    """
    from iqcli.extractors.qualiclip import FORMAT
    from iqcli.fs.files import write_atomic
    from iqcli.pipeline.devices import choose_device
    from iqcli.training import config as qualiclip_config
    from iqcli.training.config import read_config
    from iqcli.training.qualiclip import train as training
    from iqcli.training.qualiclip.data import GROUPS
    from iqcli.training.qualiclip.init import TINY, initial_clip
    from iqcli.training.run_state import RunFolder

    place_of(session, output, "qualiclip", FORMAT, "QualiCLIP")
    if leave_out is not None and leave_out not in GROUPS:
        raise IqError(f"there is no group {leave_out!r} to leave out; give {', '.join(GROUPS)}")
    standard = (
        qualiclip_config.QUALICLIP_TINY if start == TINY else qualiclip_config.QualiclipConfig()
    )
    values = read_config(config, standard, qualiclip_config.QUALICLIP_LEAST)
    photos = _photos(session)
    trained = training.train_qualiclip(
        begun := initial_clip(start, values.seed, session.registry.weights),
        photos,
        leave_out,
        values,
        RunFolder(output.with_suffix(".run")),
        choose_device(session.settings.device),
        info,
    )
    told = {"model": output.stem, "steps": values.steps, "left_out": leave_out}
    write_atomic(output, training.weight_file(begun, trained, told))
    _show(trained, leave_out)
    info(f"wrote {display_path(output)}")
    return Exit.DONE


def _photos(session: Session) -> list[Path]:
    """All of them, each of which can be read: told now, not after hours. Raises IqError."""
    from iqcli.training.backbone.data import head_of

    photos = [shot.path for shot in session.find()]
    if not photos:
        raise NothingFound(f"no photo in {', '.join(map(display_path, session.paths))}")
    for path in photos:
        head_of(path)
    return photos


def _show(trained: TrainedClip, left_out: str | None) -> None:
    from iqcli.output import table

    titles = ("distortions", "SRCC a ladder", "pooled", "untrained a ladder", "untrained pooled")
    rows = []
    for group, after in trained.after.items():
        figures = (*after, *trained.before[group])
        name = f"{group} (left out)" if group == left_out else group
        rows.append((name, *(f"{figure:.3f}" for figure in figures)))
    table.show(table.plain_table(titles, rows))
