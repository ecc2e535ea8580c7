"""`iq undo`: put back what a cull moved."""

from __future__ import annotations

from typing import Annotated

import typer

from iqcli.commands.screen import counted, say
from iqcli.culling import apply as moving
from iqcli.errors import Exit
from iqcli.settings import load


def undo(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="Which run, as `iq history` names it [the latest]."),
    ] = None,
    partly: Annotated[
        bool, typer.Option("--partly", help="Leave what changed since; put the rest back.")
    ] = False,
) -> Exit:
    """Put back what a cull moved.

    Every photo of the run returns to where it was, also after a crash.
    """
    done = moving.undo(run, load({}, None).state_dir, partly)
    for why in done.left:
        say(f"iq: left in place: {why}")
    say(f"put back {counted(done.shots, 'photo')} ({counted(done.files, 'file')}) of run {done.of}")
    return Exit.SOME_FAILED if done.left else Exit.DONE
