"""Options that several commands share, and what every run over photos is given."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from iqcli.cli.output import SORTABLE
from iqcli.cli.session import Session
from iqcli.errors import Exit, IqError
from iqcli.output.rows import FORMATS
from iqcli.settings import DEVICES, load, share


def format_option(formats: Sequence[str]) -> Any:
    """The option `--format` of a command that writes these formats."""
    *first, last = formats
    return typer.Option(
        "--format",
        "-f",
        help=f"{', '.join(first)} or {last}.",
        metavar="FORMAT",
        autocompletion=lambda: list(formats),
    )


Format = Annotated[str | None, format_option(FORMATS)]
Nul = Annotated[bool, typer.Option("--print0", "-0", help="With paths: end names with NUL.")]
Sort = Annotated[
    str | None,
    typer.Option(
        "--sort",
        help="Order by this column.",
        metavar="COLUMN",
        autocompletion=lambda: SORTABLE,
    ),
]
Reverse = Annotated[bool, typer.Option("--reverse", help="Turn the order round.")]
Limit = Annotated[
    int | None, typer.Option("--limit", help="Show only so many.", min=0, metavar="N")
]
CacheDir = Annotated[
    str | None,
    typer.Option("--cache-dir", help="Where the cache lies.", metavar="FOLDER"),
]
# What `--magnitude` says to maclip, and the model that does so.
MAGNITUDES = {"published": "maclip", "norm": "maclip-norm"}


def show_help(context: typer.Context) -> None:
    """The callback of a command that only holds others: alone, it says which."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(Exit.USAGE)


def a_share(text: str) -> float:
    """A share given as `20%` or 0.2, for `typer.Option(parser=...)`."""
    try:
        return share(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no share; give 0% to 100%, as in 20%") from None


def _model_names() -> list[str]:
    from iqcli.models.registry import ENTRIES, OWN

    return [*ENTRIES, *OWN]


def make_session(
    paths: Annotated[
        list[str] | None,
        typer.Argument(help="Folders and photos; - reads a list from stdin.", metavar="PATH"),
    ] = None,
    from0: Annotated[
        bool,
        typer.Option("--from0", help="The list on stdin ends names with NUL."),
    ] = False,
    follow_links: Annotated[
        bool,
        typer.Option("--follow-links", "-L", help="Follow symbolic links."),
    ] = False,
    default_excludes: Annotated[
        bool,
        typer.Option(help="Pass over hidden and system folders.", show_default=False),
    ] = True,
    max_megapixels: Annotated[
        float | None,
        typer.Option(help="Refuse larger pictures [250].", metavar="N"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Model name or file.",
            metavar="MODEL",
            autocompletion=_model_names,
        ),
    ] = None,
    magnitude: Annotated[
        str | None,
        typer.Option(
            help="With maclip: published, or norm, where the embedding's length counts.",
            metavar="KIND",
            autocompletion=lambda: list(MAGNITUDES),
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="auto, cpu, cuda or mps.",
            metavar="DEVICE",
            autocompletion=lambda: list(DEVICES),
        ),
    ] = None,
    batch_size: Annotated[
        str | None, typer.Option(help="Photos a batch, or auto.", metavar="N")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", help="Decode workers.", metavar="N")
    ] = None,
    cache_dir: CacheDir = None,
    no_cache: Annotated[
        bool,
        typer.Option("--no-cache", help="Neither read nor write it."),
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="Only results and errors."),
    ] = False,
) -> Session:
    """Join the shared options into a `Session`; its signature is the parser of them all."""
    given = paths or []
    flags = {
        "max_megapixels": max_megapixels,
        "model": model,
        "device": device,
        "batch_size": batch_size,
        "jobs": jobs,
        "cache_dir": cache_dir,
    }
    settings = load(flags, start_folder(given))
    if magnitude is not None:
        settings = replace(settings, model=_with(magnitude, settings.model))
    if settings.device not in ("auto", "cpu"):
        from iqcli.pipeline.devices import choose_device

        choose_device(settings.device)  # refused here, even where nothing would run on it
    return Session(
        settings=settings,
        given=tuple(given),
        from0=from0,
        follow_links=follow_links,
        default_excludes=default_excludes,
        use_cache=not no_cache,
        quiet=quiet,
    )


def _with(magnitude: str, model: str) -> str:
    """The model that weighs the magnitude in that way."""
    if model not in MAGNITUDES.values():
        raise IqError(f"--magnitude is for maclip, not for {model}; give --model maclip with it")
    if magnitude not in MAGNITUDES:
        raise IqError(f"--magnitude is {magnitude!r}; give one of {', '.join(MAGNITUDES)}")
    return MAGNITUDES[magnitude]


def start_folder(given: list[str]) -> Path:
    """Where to look for `.iq.toml`: beside the first photo, or here."""
    first = Path(given[0]) if given and given[0] != "-" else Path()
    return first if first.is_dir() else first.parent


def over_photos(command: Callable[..., Exit]) -> Callable[..., Exit]:
    """Give `command` the options of `make_session`; it receives what they make as `session`."""
    shared = inspect.signature(make_session, eval_str=True).parameters
    own = inspect.signature(command, eval_str=True).parameters
    # The paths come first, then the command's own options, then the shared ones.
    merged = {"paths": shared["paths"], **own, **{k: v for k, v in shared.items() if k != "paths"}}
    del merged["session"]

    @wraps(command)
    def wrapped(**given: Any) -> Exit:
        with closing(make_session(**{name: given.pop(name) for name in shared})) as session:
            return command(session=session, **given)

    keyword = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in merged.values()]
    wrapped.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {name: each.annotation for name, each in merged.items()}
    del wrapped.__wrapped__
    return wrapped
