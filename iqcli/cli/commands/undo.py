"""`iq undo`: put back what a run moved, copied, linked or wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from iqcli.cli.console import counted, info
from iqcli.errors import Exit
from iqcli.settings import load

if TYPE_CHECKING:
    from iqcli.transactions.plan import Outcome


def undo(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN...", help="Runs, as `iq history` lists them [the latest]."),
    ] = None,
    partly: Annotated[
        bool, typer.Option("--partly", help="Leave what changed since; undo the rest.")
    ] = False,
) -> Exit:
    """Undo a cull or an XMP export.

    Every photo returns to where it was, also after a crash. Copies and links are removed, and
    sidecars and photos that were written get their old content. Several runs are undone latest
    first.
    """
    from iqcli.fs.scratch import sweep
    from iqcli.transactions.history import unreadable
    from iqcli.transactions.undo import undo_each

    state_dir = load({}, None).state_dir
    sweep(state_dir)
    code = Exit.DONE
    for done in undo_each(runs or (), state_dir, partly):
        for why in done.left:
            info(f"iq: left in place: {why}")
        info(_describe(done))
        if done.left:
            code = Exit.SOME_FAILED
    for why in unreadable(state_dir):
        info(f"iq: {why}")
    return code


def _describe(done: Outcome) -> str:
    photos, count = counted(done.shots, "photo"), counted(done.files, "file")
    what = {
        "move": f"put back {photos} ({count}) of",
        "trash": f"put back {photos} ({count}) of",
        "copy": f"removed the copies of {photos} ({count}) of",
        "link": f"removed the links to {photos} ({count}) of",
    }
    if done.what not in what:
        return f"{_restored(done.files)} run {done.of}"
    edited = f"; {_restored(done.edited)} it" if done.edited else ""
    return f"{what[done.what]} run {done.of}{edited}"


def _restored(files: int) -> str:
    verb = "is as it was" if files == 1 else "are as they were"
    return f"{counted(files, 'file')} {verb} before"
