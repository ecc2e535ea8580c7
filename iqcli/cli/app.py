"""The Typer app, and the one place where an error becomes a sentence and an exit code."""

from __future__ import annotations

import os
import sys
import warnings
from copy import copy
from typing import TYPE_CHECKING, Annotated

import typer

from iqcli import __version__, interrupts
from iqcli.cli.commands import cache, compare, doctor, explain, export, history, rank, score, undo
from iqcli.cli.commands.cull.command import cull
from iqcli.cli.commands.evaluate.command import evaluate
from iqcli.cli.commands.models import command as models
from iqcli.cli.commands.train import command as train
from iqcli.cli.console import info
from iqcli.cli.options import show_help
from iqcli.errors import Exit, IqError
from iqcli.output.stdout import discard_stdout

if TYPE_CHECKING:
    from typer.models import CommandInfo

app = typer.Typer(
    name="iq",
    help="Score, rank and cull photos; everything can be undone.",
    invoke_without_command=True,
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
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version."),
    ] = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Show the traceback of an error.")
    ] = False,
) -> None:
    global _wants_traceback
    _wants_traceback = traceback
    show_help(context)


app.command()(score.score)
app.command()(rank.rank)
app.command()(cull)
app.command()(export.export)
app.command()(undo.undo)
app.command()(history.history)
app.command()(explain.explain)
app.command()(compare.compare)
app.command("eval")(evaluate)
app.command()(doctor.doctor)
app.add_typer(models.app, name="models")
app.add_typer(train.app, name="train")
app.add_typer(cache.app, name="cache")


def run() -> int:
    """Run the command line of this process; the exit code. Every error becomes one sentence."""
    _open_streams()
    try:
        code = int(_app_for(sys.argv[1:])(prog_name="iq", standalone_mode=False) or Exit.DONE)
    except typer.exceptions.TyperException as error:
        code = _report_error(error, error.format_message().strip().removesuffix("."), Exit.USAGE)
    except IqError as error:
        code = _report_error(error, str(error), error.exit_code)
    except OSError as error:
        code = _report_error(error, _describe_os_error(error), Exit.USAGE)
    except (KeyboardInterrupt, typer.Abort):
        code = _report_interrupt()
    except Exception as error:
        kind = type(error).__name__
        sentence = f"a fault of iq ({kind}); report what `iq --traceback` shows"
        code = _report_error(error, sentence, Exit.USAGE)
    else:
        if code == Exit.INTERRUPTED:  # Typer itself makes Ctrl-C a code
            code = _report_interrupt()
    return interrupts.exit_code() if interrupts.received() else code


def _app_for(arguments: list[str]) -> typer.Typer:
    """`app` with the command they name alone: to build the others takes a fifth of a start."""
    named = next((each for each in arguments if not each.startswith("-")), "")
    commands = [each for each in app.registered_commands if _name(each) == named]
    groups = [each for each in app.registered_groups if each.name == named]
    if not commands and not groups:
        return app
    lean = copy(app)
    lean.registered_commands, lean.registered_groups = commands, groups
    return lean


def _name(command: CommandInfo) -> str:
    return command.name or command.callback.__name__ if command.callback else ""


def _report_interrupt() -> int:
    info(f"iq: {interrupts.announce()}")
    return interrupts.exit_code()


def _describe_os_error(error: OSError) -> str:
    if error.filename:
        return f"cannot use {error.filename}: {error.strerror}; mend that and try again"
    discard_stdout()  # only a stream has no name; its buffer cannot be written either
    return f"cannot write the results: {error.strerror or error}; make room for them"


def _open_streams() -> None:
    # Streams that the shell has closed (`2>&-`): a file of ours would get their number.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115
    _own_stderr()


def _own_stderr() -> None:
    """Give what Python writes to stderr a descriptor of its own, and hide warnings of libraries.

    Decoders in C write to descriptor 2, which is redirected while they run (`photos.stderr`); a
    message of another thread at that moment must not go the same way.
    """
    if not sys.warnoptions:  # nor PYTHONWARNINGS
        warnings.simplefilter("ignore")
    before = sys.stderr
    try:
        if before.fileno() != 2:
            return
        own = os.dup(2)
    except (OSError, ValueError):  # a stream of a test or of a program around
        return
    before.flush()
    stream = open(  # noqa: PTH123, SIM115
        own, "w", buffering=1, encoding=before.encoding, errors=before.errors
    )
    for name in ("stderr", "__stderr__"):
        setattr(sys, name, stream)


def _report_error(error: Exception, sentence: str, code: Exit) -> int:
    if _wants_traceback:
        import traceback

        traceback.print_exception(error)
    for line in getattr(error, "details", ()):
        info(f"iq: {line}")
    info(f"iq: {sentence}")
    return code
