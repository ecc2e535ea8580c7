"""`iq undo`: put back what a run moved, copied, linked or wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from iqcli.cli.console import counted, info
from iqcli.errors import Exit, IqError
from iqcli.settings import load
from iqcli.text import listed

if TYPE_CHECKING:
    from iqcli.transactions.plan import Outcome


def undo(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN...", help="Runs, as `iq history` lists them [the latest]."),
    ] = None,
    partly: Annotated[
        bool,
        typer.Option("--partly", help="Leave what changed since, undo the rest, close the run."),
    ] = False,
) -> Exit:
    """Undo a cull or an XMP export.

    Every photo returns to where it was, also after a crash. Copies and links are removed, and
    sidecars and photos that were written get their old content. Several runs are undone latest
    first.

    If a photo was lost or changed since, nothing is undone until you restore it or say --partly.
    That closes the run: the next `iq undo` takes the run before it.
    """
    from iqcli.fs.scratch import sweep
    from iqcli.transactions import journal
    from iqcli.transactions.undo import undo_each

    state_dir = load({}, None).state_dir
    sweep(state_dir)
    code = Exit.DONE
    unreadable = journal.read(state_dir)[1]
    try:
        for done in undo_each(runs or (), state_dir, partly):
            _show(done)
            # A later run that cannot be read may be the one that was meant.
            passed = not runs and any(each.run > (done.of or "") for each in unreadable)
            if done.left or passed:
                code = Exit.SOME_FAILED
    except IqError as error:
        unreadable = [each for each in unreadable if each.message not in str(error)]
        raise
    finally:
        for each in unreadable:
            info(f"iq: {each.message}")
    return code


def _show(done: Outcome) -> None:
    for why in listed(done.left):
        info(f"iq: left in place: {why}")
    info(_describe(done))
    if done.closed:
        info(
            f"run {done.of} is closed, and the next `iq undo` takes the run before it; "
            f"`iq undo {done.of}` puts back what is left, once you have restored it"
        )


def _describe(done: Outcome) -> str:
    if not (done.files or done.edited):
        return f"nothing of run {done.of} was put back"
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
