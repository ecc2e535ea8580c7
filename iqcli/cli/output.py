"""Photo shots on stdout in the format asked for: the one place where rows are rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iqcli.errors import IqError
from iqcli.output import rows
from iqcli.output.stdout import write
from iqcli.settings import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from iqcli.records import Photo

    # A judged shot and what a command adds to its record.
    Result = tuple[Photo, dict[str, Any]]

WRITERS: dict[str, Callable[[Iterable[rows.Row]], Iterator[str]]] = {
    "csv": rows.to_csv,
    "json": rows.to_json,
    "jsonl": rows.to_jsonl,
}


def checked_format(name: str, *, nul: bool) -> str:
    """The format, if it is one and goes with `--print0`."""
    if name not in FORMATS:
        raise IqError(f"--format is {name!r}; give one of {', '.join(FORMATS)}")
    if nul and name != "paths":
        raise IqError("--print0 ends paths; give --format paths with it")
    return name


SORTABLE = [name for name, kind in rows.COLUMNS.items() if kind not in ("issues", "strings")]


def checked_sort(name: str | None) -> str | None:
    """The column to sort by, if it is one that has an order."""
    if name is not None and name not in SORTABLE:
        raise IqError(f"--sort is {name!r}; give one of {', '.join(SORTABLE)}")
    return name


def arranged(
    results: Iterable[Result], sort: str | None, reverse: bool, limit: int | None
) -> Iterable[Result]:
    """The results ordered by a column and cut; those without a value come last."""
    if sort is not None:
        keyed = [(rows.row(*each)[sort], each) for each in results]
        known = sorted((k for k in keyed if k[0] is not None), key=lambda k: k[0], reverse=reverse)
        results = [each for _, each in known] + [each for key, each in keyed if key is None]
    elif reverse:
        results = list(results)[::-1]
    # Everything is drawn before it is cut: the counts are of all photos.
    return results if limit is None else list(results)[:limit]


def render(results: Iterable[Result], form: str, columns: Sequence[str], *, nul: bool) -> None:
    """Write the results to stdout. A table shows the scored shots; the other formats show all."""
    if form == "paths":
        write(rows.to_paths((judged for judged, _ in results), nul=nul))
    elif form in WRITERS:
        write(WRITERS[form](rows.row(*each) for each in results))
    else:
        from iqcli.output import table

        scored = [rows.row(*each) for each in results if each[0].rating]
        if scored:
            table.show(table.score_table(scored, columns))
