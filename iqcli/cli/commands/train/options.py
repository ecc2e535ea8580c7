"""Options and steps that the training commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iqcli.cli.console import info
from iqcli.fs.files import make_folders, require_output, write_atomic
from iqcli.text import display_path

if TYPE_CHECKING:
    from iqcli.cli.session import Session

Weights = Annotated[Path, typer.Option("--output", "-o", help="Where the weights go.")]
Ladders = Annotated[
    list[Path] | None,
    typer.Option("--ladders", help="Folder of pristine photos to distort; may be repeated."),
]
Name = Annotated[str | None, typer.Option("--name", help="Model id in results [the file's name].")]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="TOML file with other values than the standard ones."),
]


def require_weights(output: Path) -> None:
    """Check, before anything is measured, that weights may be written there. Raises IqError."""
    require_output(output, suffixes=(".safetensors",), may_replace=Path.is_file)


def own_model_file(session: Session, output: Path | None, name: str, form: str, kind: str) -> Path:
    """Where a person's own model goes, by default where `--model NAME` looks.

    `form` is the format of the file of a `kind`. Raises IqError where it cannot go there.
    """
    from iqcli.models.checkpoint import format_of

    if output is None:
        found = session.registry.entry(name).weights
        assert found
        return found
    require_output(
        output,
        suffixes=(".safetensors",),
        may_replace=lambda file: format_of(file) == form,
        kind=kind,
    )
    return output


def write_own_model(path: Path, data: bytes, output: Path | None) -> None:
    """Write a person's own model; without an `output` its folder is made, for them alone."""
    if output is None:
        make_folders(path.parent, 0o700)
    write_atomic(path, data)


def warn_without_scene(scene: str | None) -> None:
    """Explain what figures are worth where near duplicates are not named."""
    if scene is None:
        info("no --scene: photos of one scene may be trained on and held out, which flatters")


def report_written(*files: Path) -> None:
    """Name the files that were written."""
    info(f"wrote {', '.join(map(display_path, files))}")
