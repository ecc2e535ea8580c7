"""`iq history`: what was changed, when, and whether it was undone."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from iqcli.cli.console import info
from iqcli.cli.options import Limit, format_option
from iqcli.cli.output import choose
from iqcli.errors import Exit
from iqcli.output import rows
from iqcli.output.stdout import write
from iqcli.settings import load
from iqcli.text import display_path, escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iqcli.output.fit import Column
    from iqcli.transactions.history import Row

FORMATS = ("table", *rows.WRITERS)
COLUMNS = ("run", "when", "kind", "photos", "files", "state", "of", "roots", "error")
TITLES = ("run", "when", "what", "photos", "files", "state", "of")
# Those of the table that are numbers.
NUMBERS = ("photos", "files")
TIME = "%Y-%m-%d %H:%M"


def history(
    limit: Limit = None,
    format_: Annotated[str, format_option(FORMATS)] = "table",
) -> Exit:
    """List all culls, XMP edits and undos, newest first."""
    from iqcli.transactions.history import history as read_history

    choose(format_, FORMATS)
    found = read_history(load({}, None).state_dir)[::-1]
    shown = found[:limit]
    if format_ != "table":
        write(rows.to_text(format_, map(_record, shown), COLUMNS))
    elif shown:
        from iqcli.output import table  # deferred: rich is not for `iq --help`

        table.show(_columns(shown))
    elif not found:
        info("nothing has been changed yet")
    broken = [each.error for each in found if each.error]
    for why in broken:
        info(f"iq: {why}")
    return Exit.SOME_FAILED if broken else Exit.DONE


def _record(row: Row) -> dict[str, Any]:
    """The row in the formats for programs; what does not apply, or is not known, is None."""
    known = row.error is None
    return {
        "run": escape(row.run),
        "when": row.when or None,
        "kind": escape(row.kind) or None,
        "photos": row.shots if known else None,
        "files": row.files if known else None,
        "state": row.state.value,
        "of": None if row.of is None else escape(row.of),
        "roots": [display_path(root) for root in row.roots] if known else [],
        "error": row.error,
    }


def _columns(shown: Sequence[Row]) -> list[Column]:
    """The columns of the table; the time, which a run has in its name, is the first to give way."""
    from rich.text import Text  # deferred: rich is not for `iq --help`

    from iqcli.output.fit import Column, Leeway

    kinds = {"when": Leeway.EXTRA, "of": Leeway.NAME}
    cells = zip(*map(_cells, shown), strict=True)
    return [
        Column(title, tuple(map(Text, texts)), kinds.get(title, Leeway.FIXED), title in NUMBERS)
        for title, texts in zip(TITLES, cells, strict=True)
    ]


def _cells(row: Row) -> tuple[str, ...]:
    counts = ("", "") if row.error else (str(row.shots), str(row.files))
    where = row.of or ", ".join(display_path(root) for root in row.roots)
    state, when = row.state.value, _local(row.when)
    return (escape(row.run), when, escape(row.kind), *counts, state, escape(where))


def _local(when: str) -> str:
    return f"{datetime.fromisoformat(when).astimezone():{TIME}}" if when else ""
