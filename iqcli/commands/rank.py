"""`iq rank`: the photos best first."""

from __future__ import annotations

from iqcli.commands.options import Format, Limit, Nul, Reverse, Sort, over_photos
from iqcli.commands.results import arranged, checked_format, checked_sort, render
from iqcli.commands.run import Run
from iqcli.errors import Exit

COLUMNS = ("rank", "score", "uncertainty", "technical", "aesthetic", "issues", "path")


@over_photos
def rank(
    run: Run,
    format: Format = None,
    print0: Nul = False,
    sort: Sort = None,
    reverse: Reverse = False,
    limit: Limit = None,
) -> Exit:
    """Order photos, best first.

    The percentile is the share of the other photos that score lower.
    """
    from iqcli.judging import rank as in_order

    form = checked_format(format or run.settings.format, nul=print0)
    column = checked_sort(sort)
    judged = list(run.judged())
    results = [
        (each.judged, {"rank": each.rank, "percentile": each.percentile})
        for each in in_order(judged)
    ]
    results += [(each, {}) for each in judged if each.rating is None]
    render(arranged(results, column, reverse, limit), form, COLUMNS, nul=print0)
    return run.finish("ranked")
