"""`iq history`: what was changed, when, and whether it was undone."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from iqcli.cli.console import info
from iqcli.cli.options import Limit, format_option
from iqcli.cli.output import choose
from iqcli.errors import Exit
from iqcli.output import rows
from iqcli.output.stdout import encoded, write
from iqcli.settings import load
from iqcli.text import display_path, escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iqcli.transactions.history import Row

FORMATS = ("table", *rows.WRITERS)
COLUMNS = ("run", "when", "kind", "photos", "files", "state", "of", "roots", "error")
TITLES = ("run", "when", "what", "photos", "files", "state", "of")
# Those of the table that are numbers.
NUMBERS = ("photos", "files")
TIME, YEARLESS = "%Y-%m-%d %H:%M", "%m-%d %H:%M"


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
        write(encoded(f"{line}\n", sys.stdout.encoding) for line in _table(shown))
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


def _table(shown: Sequence[Row]) -> list[str]:
    """The lines of the table: one a run, or two where the terminal is too narrow for one."""
    from rich.cells import cell_len  # deferred: rich is not for `iq --help`

    from iqcli.output.fit import shortened

    width = _width()
    lines = _aligned([TITLES, *map(_cells, shown)])
    if max(cell_len(f"{line} {last}") for line, last in lines) <= width:
        return [f"{line} {last}".rstrip() for line, last in lines]
    if max(cell_len(line) for line, _ in lines) > width:  # the name of a run has its year
        lines = _aligned([TITLES, *(_cells(row, YEARLESS) for row in shown)])
    (header, _), *body = lines
    below = (
        part
        for line, last in body
        for part in (line.rstrip(), last and f"  {shortened(last, width - 2)}")
    )
    return [header.rstrip(), *(part for part in below if part)]


def _aligned(cells: Sequence[tuple[str, ...]]) -> list[tuple[str, str]]:
    """Each line of cells as a text with aligned columns, and its last cell."""
    widths = [max(len(line[column]) for line in cells) for column in range(len(TITLES) - 1)]
    lines = []
    for *line, last in cells:
        aligned = [
            cell.rjust(width) if title in NUMBERS else cell.ljust(width)
            for title, cell, width in zip(TITLES, line, widths, strict=False)
        ]
        lines.append((" ".join(aligned), last))
    return lines


def _cells(row: Row, time: str = TIME) -> tuple[str, ...]:
    counts = ("", "") if row.error else (str(row.shots), str(row.files))
    where = row.of or ", ".join(display_path(root) for root in row.roots)
    state, when = row.state.value, _local(row.when, time)
    return (escape(row.run), when, escape(row.kind), *counts, state, escape(where))


def _width() -> int:
    """The columns of the terminal; a file or a pipe has as many as it takes."""
    if not sys.stdout.isatty():
        return sys.maxsize
    try:
        return int(os.environ.get("COLUMNS") or os.get_terminal_size(sys.stdout.fileno()).columns)
    except (ValueError, OSError):
        return 80


def _local(when: str, time: str) -> str:
    return f"{datetime.fromisoformat(when).astimezone():{time}}" if when else ""
