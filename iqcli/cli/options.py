"""Options that several commands share, and the decorator that gives them to a command."""

from __future__ import annotations

import gc
import inspect
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from iqcli.cli.output import SORTABLE
from iqcli.cli.session import Session
from iqcli.errors import Exit
from iqcli.output.rows import FORMATS
from iqcli.settings import DEVICES, load_with_origins

# Photos are records without circles: to look for these so often takes a tenth of a warm run.
RARELY = (50_000, 20, 20)


def choice_option(*names: str, help: str, choices: Sequence[str], metavar: str) -> Any:
    """An option that the shell completes with `choices`; the command checks its value."""
    return typer.Option(*names, help=help, metavar=metavar, autocompletion=lambda: list(choices))


def format_option(formats: Sequence[str]) -> Any:
    """The option `--format` of a command that writes these formats."""
    *first, last = formats
    text = f"{', '.join(first)} or {last}."
    return choice_option("--format", "-f", help=text, choices=formats, metavar="FORMAT")


Format = Annotated[str | None, format_option(FORMATS)]
Nul = Annotated[
    bool, typer.Option("--print0", "-0", help="With --format paths: end each path with NUL.")
]
Sort = Annotated[
    str | None,
    choice_option("--sort", help="Sort by this column.", choices=SORTABLE, metavar="COLUMN"),
]
Reverse = Annotated[bool, typer.Option("--reverse", help="Reverse the order.")]
Limit = Annotated[int | None, typer.Option("--limit", help="Show at most N.", min=0, metavar="N")]
CacheDir = Annotated[
    str | None, typer.Option("--cache-dir", help="Folder of the cache.", metavar="FOLDER")
]
MaxMegapixels = Annotated[
    float | None, typer.Option(help="Refuse photos with more megapixels [250].", metavar="N")
]
IgnoreUnreadable = Annotated[
    bool,
    typer.Option(
        "--ignore-unreadable", help="Exit 0 even if photos could not be read; they are named."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only results and errors.")]


def show_help(context: typer.Context) -> None:
    """The callback of a command that only has subcommands: alone, it shows them."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(Exit.USAGE)


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
        typer.Option("--from0", help="Names on stdin end with NUL."),
    ] = False,
    follow_links: Annotated[
        bool,
        typer.Option("--follow-links", "-L", help="Follow symbolic links."),
    ] = False,
    default_excludes: Annotated[
        bool,
        typer.Option(help="Skip hidden folders and those of other programs.", show_default=False),
    ] = True,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude",
            help="Skip what fits, as in .gitignore; may be repeated.",
            metavar="PATTERN",
        ),
    ] = None,
    max_megapixels: MaxMegapixels = None,
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
    device: Annotated[
        str | None,
        choice_option(
            "--device", help="auto, cpu, cuda or mps.", choices=DEVICES, metavar="DEVICE"
        ),
    ] = None,
    batch_size: Annotated[
        str | None, typer.Option(help="Photos per batch, or auto.", metavar="N")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", help="Number of decode workers.", metavar="N")
    ] = None,
    cache_dir: CacheDir = None,
    no_cache: Annotated[
        bool,
        typer.Option("--no-cache", help="Do not use the cache."),
    ] = False,
    quiet: Quiet = False,
) -> Session:
    """A session from the shared options; the signature declares them all."""
    given = paths or []
    flags = {
        "exclude": exclude or None,
        "max_megapixels": max_megapixels,
        "model": model,
        "device": device,
        "batch_size": batch_size,
        "jobs": jobs,
        "cache_dir": cache_dir,
    }
    settings, origins = load_with_origins(flags, start_folder(given))
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
        origins=origins,
    )


def start_folder(given: list[str]) -> Path:
    """Where to look for `.iq.toml`: beside the first photo, or here."""
    first = Path(given[0]) if given and given[0] != "-" else Path()
    return first if first.is_dir() else first.parent


def over_photos(command: Callable[..., Exit]) -> Callable[..., Exit]:
    """Add the options of `make_session` to `command`, which receives the session they make."""
    # The "shared options decorator": Typer reads the options of a command from its signature, so
    # the signature of the wrapper is composed from those of `make_session` and of the command.
    shared = inspect.signature(make_session, eval_str=True).parameters
    own = inspect.signature(command, eval_str=True).parameters
    # The paths come first, then the command's own options, then the shared ones.
    merged = {"paths": shared["paths"], **own, **{k: v for k, v in shared.items() if k != "paths"}}
    del merged["session"]

    @wraps(command)
    def wrapped(**given: Any) -> Exit:
        gc.set_threshold(*RARELY)
        with closing(make_session(**{name: given.pop(name) for name in shared})) as session:
            return command(session=session, **given)

    keyword = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in merged.values()]
    wrapped.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {name: each.annotation for name, each in merged.items()}
    del wrapped.__wrapped__
    return wrapped
