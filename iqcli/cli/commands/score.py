"""`iq score`: a score for every photo, in path order, or for those that arrive."""

from __future__ import annotations

from typing import Annotated

import typer

from iqcli.cli.options import (
    Format,
    IgnoreUnreadable,
    Limit,
    Nul,
    Reverse,
    Sort,
    over_photos,
)
from iqcli.cli.output import arrange, choose_column, choose_format, write_results
from iqcli.cli.session import Session
from iqcli.errors import Exit, IqError

COLUMNS = ("score", "uncertainty", "technical", "aesthetic", "issues", "path")
# Seconds without a change after which a file is complete: the default, and the limits.
SETTLE, LEAST_SETTLE, MOST_SETTLE = 2.0, 0.05, 3600.0


@over_photos
def score(
    session: Session,
    watch: Annotated[
        bool, typer.Option("--watch", help="Watch folders, and score each photo as it arrives.")
    ] = False,
    existing: Annotated[
        bool, typer.Option("--existing", help="With --watch: also score what is already there.")
    ] = False,
    settle: Annotated[
        float | None,
        typer.Option(
            "--settle",
            help="With --watch: a file is complete after so long without a change [2].",
            metavar="SECONDS",
        ),
    ] = None,
    format: Format = None,
    print0: Nul = False,
    sort: Sort = None,
    reverse: Reverse = False,
    limit: Limit = None,
    ignore_unreadable: IgnoreUnreadable = False,
) -> Exit:
    """Score photos from 1 to 10 and name their issues.

    1 is bad, 10 excellent, on the scale of human opinion. Nine times in ten the mean opinion of
    people lies within 1.6 times the ± of the score.

    With --watch it runs until it is stopped. Photos are scored once they are fully written, and
    again when they are overwritten. Those that are there at the start are skipped.
    """
    session.counts.ignores_unreadable = ignore_unreadable
    form = choose_format(format, session.settings, nul=print0)
    column = choose_column(sort)
    if watch:
        from iqcli.cli.commands.watch import watch as watch_folders

        if column or reverse or limit is not None:
            raise IqError("--sort, --reverse and --limit need all photos; leave out --watch")
        quiet = SETTLE if settle is None else settle
        if not LEAST_SETTLE <= quiet <= MOST_SETTLE:
            limits = f"{LEAST_SETTLE} to {MOST_SETTLE:.0f}"
            raise IqError(f"--settle is {quiet}; give {limits} seconds")
        return watch_folders(session, form, settle=quiet, existing=existing, nul=print0)
    if existing or settle is not None:
        raise IqError("--existing and --settle are for --watch; give it with them")
    results = ((photo, dict[str, object]()) for photo in session.photos())
    write_results(arrange(results, column, reverse, limit), form, COLUMNS, nul=print0)
    return session.report("scored")
