"""`iq score`: a score for every photo, in path order, or for those that arrive."""

from __future__ import annotations

from typing import Annotated

import typer

from iqcli.cli.options import Format, Limit, Nul, Reverse, Sort, over_photos
from iqcli.cli.output import arrange, choose_column, choose_format, write_results
from iqcli.cli.session import Session
from iqcli.errors import Exit, IqError

COLUMNS = ("score", "uncertainty", "technical", "aesthetic", "issues", "path")
# Seconds; an hour is as good as never.
LEAST, MOST = 0.05, 3600.0


@over_photos
def score(
    session: Session,
    watch: Annotated[
        bool, typer.Option("--watch", help="Wait for photos, and score each as it arrives.")
    ] = False,
    existing: Annotated[
        bool, typer.Option("--existing", help="With --watch: also those already there.")
    ] = False,
    settle: Annotated[
        float | None,
        typer.Option(
            "--settle", help="With --watch: quiet that ends a file [2].", metavar="SECONDS"
        ),
    ] = None,
    interval: Annotated[
        float | None,
        typer.Option("--interval", help="With --watch: time between looks [1].", metavar="SECONDS"),
    ] = None,
    format: Format = None,
    print0: Nul = False,
    sort: Sort = None,
    reverse: Reverse = False,
    limit: Limit = None,
) -> Exit:
    """Score photos from 1 to 10 and name faults.

    1 is bad, 10 excellent, as people would say. Nine times in ten the mean opinion of people lies
    within 1.6 times the ± of the score.

    With --watch it never ends by itself. Photos are told once they are whole: a file that is still
    being written waits. One that is written anew is told again; what is there at the start is not.
    """
    form = choose_format(format, session.settings, nul=print0)
    column = choose_column(sort)
    if watch:
        from iqcli.cli.commands.watch import Pace
        from iqcli.cli.commands.watch import watch as keep_watching

        if column or reverse or limit is not None:
            raise IqError("--sort, --reverse and --limit need all photos; leave out --watch")
        pace = Pace(_seconds("interval", interval, 1.0), _seconds("settle", settle, 2.0), existing)
        return keep_watching(session, pace, form, nul=print0)
    if existing or settle is not None or interval is not None:
        raise IqError("--existing, --settle and --interval are for --watch; give it with them")
    results = ((each, dict[str, object]()) for each in session.photos())
    write_results(arrange(results, column, reverse, limit), form, COLUMNS, nul=print0)
    return session.report()


def _seconds(option: str, given: float | None, default: float) -> float:
    if given is not None and not LEAST <= given <= MOST:
        raise IqError(f"--{option} is {given}; give {LEAST} to {MOST:.0f} seconds")
    return default if given is None else given
