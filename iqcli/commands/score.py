"""`iq score`: a score for every photo, in path order."""

from __future__ import annotations

from iqcli.commands.options import Format, Limit, Nul, Reverse, Sort, over_photos
from iqcli.commands.results import arranged, checked_format, checked_sort, render
from iqcli.commands.run import Run
from iqcli.errors import Exit

COLUMNS = ("score", "uncertainty", "technical", "aesthetic", "issues", "path")


@over_photos
def score(
    run: Run,
    format: Format = None,
    print0: Nul = False,
    sort: Sort = None,
    reverse: Reverse = False,
    limit: Limit = None,
) -> Exit:
    """Score photos from 1 to 10 and name faults.

    1 is bad, 10 excellent, as people would say. Nine times in ten the mean opinion of people lies
    within 1.6 times the ± of the score.
    """
    form = checked_format(format or run.settings.format, nul=print0)
    column = checked_sort(sort)
    results = ((each, dict[str, object]()) for each in run.judged())
    render(arranged(results, column, reverse, limit), form, COLUMNS, nul=print0)
    return run.finish()
