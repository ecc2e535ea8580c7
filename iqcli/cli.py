"""The Typer app, and the one place where an error becomes a sentence and an exit code."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from iqcli import __version__
from iqcli.commands import (
    cache,
    cull,
    doctor,
    evaluate,
    export,
    history,
    models,
    rank,
    score,
    train,
    undo,
)
from iqcli.commands.screen import say
from iqcli.errors import Exit, IqError

app = typer.Typer(
    name="iq",
    help="Judge, rank and cull photos, and take it all back.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_wants_traceback = False


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"iq {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Say which.")
    ] = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Show where an error came from.")
    ] = False,
) -> None:
    global _wants_traceback
    _wants_traceback = traceback


app.command()(score.score)
app.command()(rank.rank)
app.command()(cull.cull)
app.command()(export.export)
app.command()(undo.undo)
app.command()(history.history)
app.command("eval")(evaluate.evaluate)
app.command()(doctor.doctor)
app.add_typer(models.app, name="models")
app.add_typer(train.app, name="train")
app.add_typer(cache.app, name="cache")


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run())


def run() -> int:
    """The exit code of this process's command line; every error is told in one sentence."""
    try:
        return int(app(prog_name="iq", standalone_mode=False) or Exit.DONE)
    except typer.exceptions.TyperException as error:
        return _told(error, error.format_message(), Exit.USAGE)
    except IqError as error:
        return _told(error, str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        say("iq: interrupted; what was measured so far is kept")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader has had enough; Python must not complain about the pipe when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE


def _told(error: Exception, sentence: str, code: Exit) -> int:
    if _wants_traceback:
        import traceback

        traceback.print_exception(error)
    say(f"iq: {sentence.strip().removesuffix('.')}")
    return code
