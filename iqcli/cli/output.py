"""Photos on stdout in the format asked for, ordered and cut; checks of what options allow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from iqcli.errors import IqError
from iqcli.output import rows
from iqcli.output.stdout import write
from iqcli.text import meant

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from iqcli.records import Photo
    from iqcli.settings import Settings

    # A photo and what a command adds to its row.
    Result = tuple[Photo, dict[str, Any]]

T = TypeVar("T")
SORTABLE = [name for name, kind in rows.COLUMNS.items() if kind not in ("issues", "strings")]


def choose(value: str, allowed: Collection[str], option: str = "--format") -> str:
    """The value of an option, if it is one of those allowed. Raises IqError with their names."""
    if value not in allowed:
        near = meant(value, allowed)
        raise IqError(f"{option} is {value!r}{near}; give one of {', '.join(allowed)}")
    return value


def choose_format(given: str | None, settings: Settings, *, nul: bool) -> str:
    """The format given, or that of the settings. Raises IqError where `--print0` ends no paths."""
    form = choose(given or settings.format, rows.FORMATS)
    if nul and form != "paths":
        raise IqError("--print0 ends paths; give --format paths with it")
    return form


def choose_column(given: str | None) -> str | None:
    """The column to sort by, if it is one that has an order."""
    return None if given is None else choose(given, SORTABLE, "--sort")


def ordered(items: Iterable[T], key: Callable[[T], Any], *, reverse: bool) -> list[T]:
    """The items by their keys; those whose key is None come last, in the order they had."""
    keyed = [(key(each), each) for each in items]
    known = sorted((k for k in keyed if k[0] is not None), key=lambda k: k[0], reverse=reverse)
    return [each for _, each in known] + [each for value, each in keyed if value is None]


def arrange(
    results: Iterable[Result], sort: str | None, reverse: bool, limit: int | None
) -> Iterable[Result]:
    """The results ordered by a column and cut; those without a value come last."""
    if sort is not None:
        results = ordered(results, lambda each: rows.row(*each)[sort], reverse=reverse)
    elif reverse:
        results = list(results)[::-1]
    # Everything is drawn before it is cut: the counts are of all photos.
    return results if limit is None else list(results)[:limit]


def write_results(
    results: Iterable[Result], form: str, columns: Sequence[str], *, nul: bool
) -> None:
    """Write the results to stdout. A table shows the scored photos; the other formats show all."""
    if form == "paths":
        write(rows.to_paths((photo for photo, _ in results), nul=nul))
    elif form in rows.WRITERS:
        write(rows.to_text(form, (rows.row(*each) for each in results)))
    else:
        from iqcli.output import table

        scored = [rows.row(*each) for each in results if each[0].rating]
        if scored:
            table.show(table.score_table(scored, columns))
