"""Tables and lines for people. Every cell is plain text: names are never read as markup."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from iqcli.output.fit import GAP, Column, Leeway, fitted
from iqcli.output.stdout import encoded, spell_out, write
from iqcli.text import escape, percent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Row = Mapping[str, Any]

# Wide enough that no name is cut when the table goes to a file or a pipe.
UNBOUNDED = 10_000
WORDS = {2: "slightly", 3: "clearly", 4: "badly"}
# What gives way on a narrow terminal: see `iqcli.output.fit`.
KINDS = {
    "bar": Leeway.EXTRA,
    **dict.fromkeys(("issues", "reasons"), Leeway.PROSE),
    **dict.fromkeys(("group", "scene", "copy_of", "folder", "path"), Leeway.NAME),
}
# A text of so few cells is not worth breaking.
BRIEF = 12
PARTS = ("technical", "aesthetic")
BAD, FAIR = 4.0, 6.0
# From an eighth of a cell to the whole of it.
BLOCKS = "▏▎▍▌▋▊▉█"
CELLS_A_BAR = 10


def score_table(rows: Iterable[Row], columns: Sequence[str]) -> list[Column]:
    """A table of records with the given `columns`, all of them keys of `CELLS`.

    A technical part without an aesthetic one beside it is the score again, and left out.
    """
    rows = list(rows)
    whole = all(row["aesthetic"] is None for row in rows)
    found = []
    for name in columns:
        title, justify, cell = CELLS[name]
        if not (whole and name in PARTS):
            cells = tuple(cell(row) for row in rows)
            found.append(Column(title, cells, KINDS.get(name, Leeway.FIXED), justify == "right"))
    return found


# The text of a cell without a value.
NONE = "–"


def plain_table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> list[Column]:
    """A table of anything: numbers to the right, text to the left, odd characters escaped.

    The first column names the row.
    """
    lines = [list(row) for row in rows]
    found = []
    for index, title in enumerate(titles):
        values = [line[index] for line in lines]
        known = [value for value in values if value != NONE]
        number = bool(known) and all(isinstance(value, int | float) for value in known)
        column = Column(title, tuple(Text(escape(str(value))) for value in values), right=number)
        brief = number or column.width <= BRIEF
        kind = Leeway.NAME if index == 0 else Leeway.FIXED if brief else Leeway.PROSE
        found.append(replace(column, kind=kind))
    return found


def show(columns: Sequence[Column]) -> None:
    """Print to stdout: with the terminal's width and colours, or plain and unbounded."""
    console, gap = stdout_console(), GAP
    if console.is_terminal:
        columns, gap = fitted(columns, console.width)
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    for each in columns:
        justify: Any = "right" if each.right else "left"
        table.add_column(each.title, justify=justify, no_wrap=True, overflow="crop")
    for cells in zip(*(each.cells for each in columns), strict=True):
        table.add_row(*cells)
    screen = console.is_terminal
    console.width = UNBOUNDED
    if screen:
        spell_out(sys.stdout)
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    lines = (line.rstrip() for line in captured.get().rstrip("\n").split("\n"))
    # Not always UTF-8: an old terminal program may read it.
    write([encoded("".join(f"{line}\n" for line in lines), sys.stdout.encoding)])


def stdout_console() -> Console:
    """The console on stdout, with colours if it is a terminal and NO_COLOR is not set."""
    # Without bold as well, there is no escape code left to filter.
    plain = bool(os.environ.get("NO_COLOR"))
    return Console(
        markup=False, highlight=False, emoji=False, color_system=None if plain else "auto"
    )


def describe_issues(issues: Iterable[Mapping[str, Any]]) -> str:
    """`[{name, level}]` in words: "badly damaged (40%), slightly too dark"."""
    return ", ".join(
        f"{WORDS[i['level']]} {phrase_of(i['name'])}" + _share(i.get("share")) for i in issues
    )


def _share(share: float | None) -> str:
    return "" if share is None else f" ({percent(max(round(share, 2), 0.01))})"


def phrase_of(name: str) -> str:
    """An issue as people read it: its name in all other formats, with blanks."""
    return name.replace("_", " ")


def _number(key: str, digits: int = 1) -> Callable[[Row], Text]:
    return lambda row: Text(NONE if row[key] is None else f"{row[key]:.{digits}f}")


def _score(row: Row) -> Text:
    value = row["score"]
    if value is None:
        return Text(NONE, style="dim")
    return Text(f"{value:.1f}", style=colour(value))


def colour(score: float) -> str:
    """The colour that a score is written in."""
    return "red" if score < BAD else "yellow" if score < FAIR else "green"


def _bar(row: Row) -> Text:
    value = row["score"]
    return Text() if value is None else Text(printable(bar(value)), style=colour(value))


def bar(score: float) -> str:
    """A score as a line of up to `CELLS_A_BAR` blocks, to an eighth of one; 1 is none at all."""
    eighths = round((min(max(score, 1.0), 10.0) - 1) / 9 * CELLS_A_BAR * 8)
    full, rest = divmod(eighths, 8)
    return BLOCKS[-1] * full + (BLOCKS[rest - 1] if rest else "")


def printable(blocks: str) -> str:
    """A bar as it is, or of `#` where the encoding of stdout has no such characters."""
    try:
        blocks.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return "#" * len(blocks)
    return blocks


def _text(key: str) -> Callable[[Row], Text]:
    return lambda row: Text("" if row[key] is None else escape(str(row[key])))


CELLS: dict[str, tuple[str, str, Callable[[Row], Text]]] = {
    "rank": ("rank", "right", _text("rank")),
    "score": ("score", "right", _score),
    "bar": ("", "left", _bar),
    "uncertainty": ("±", "right", _number("uncertainty")),
    "technical": ("technical", "right", _number("technical")),
    "aesthetic": ("aesthetic", "right", _number("aesthetic")),
    "decision": ("decision", "left", _text("decision")),
    "group": ("group", "left", _text("group")),
    "scene": ("scene", "left", _text("scene")),
    "copy_of": ("copy of", "left", _text("copy_of")),
    "day": ("day", "left", lambda row: Text((row["taken"] or "no date")[:10])),
    "folder": ("folder", "left", lambda row: Text(row["path"].rpartition("/")[0] or "/")),
    "issues": ("issues", "left", lambda row: Text(describe_issues(row["issues"]))),
    "reasons": ("why", "left", lambda row: Text(escape("; ".join(row["reasons"])))),
    "path": ("photo", "left", _text("path")),
}
