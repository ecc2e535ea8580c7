"""How wide the columns of a table are where the terminal is too narrow for all of them.

The name of the photo gets what it needs, and the others give way: bars go first, then texts break
between words. What is still too long is shortened in the middle, so that no name is broken; the
other formats have it whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

# Blanks between columns, and where even the least is too much.
GAP, NARROW_GAP = 2, 1
# What takes the place of the middle of a name.
CUT = "…"
# The narrowest that a name, another name beside it, and a text get; and what a text likes to have.
NAME, SHORT, PROSE, ROOMY = 32, 12, 8, 24
# Where a word that is too long may go on in the next line: a path after a slash.
PIECES = re.compile(r"/*[^/]+/?|/+")


class Leeway(StrEnum):
    """What may be done to a column: nothing, leave it out, break it between words, or shorten it.

    The last of the names is the last to be shortened.
    """

    FIXED = "fixed"
    EXTRA = "extra"
    PROSE = "prose"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, its cells, whether it goes to the right, and how wide it likes to be."""

    title: str
    cells: tuple[Text, ...]
    kind: Leeway = Leeway.FIXED
    right: bool = False
    liked: int = ROOMY

    @property
    def width(self) -> int:
        """What it needs for every cell whole."""
        return max(cell_len(each) for each in (self.title, *(text.plain for text in self.cells)))

    @property
    def least(self) -> int:
        """The narrowest that it may be."""
        if self.kind is Leeway.NAME:
            return min(self.width, SHORT)
        if self.kind is Leeway.PROSE:
            pieces = (piece for text in self.cells for piece in _pieces(text.plain))
            longest = max((cell_len(piece) for piece in pieces), default=0)
            words = max(PROSE, min(longest, ROOMY), *map(cell_len, self.title.split()))
            return min(self.width, words)
        return self.width


def fitted(columns: Sequence[Column], width: int) -> tuple[list[Column], int]:
    """The columns that a terminal of that width shows, cells broken or shortened; and their gap."""
    shown = list(columns)
    for each in columns:
        if each.kind is Leeway.EXTRA and _is_over(shown, width) and _is_tight(shown, width):
            shown.remove(each)
    gap = NARROW_GAP if _total([each.least for each in shown], GAP) > width else GAP
    rooms = _widths(shown, width, gap)
    return [_cut(each, room) for each, room in zip(shown, rooms, strict=True)], gap


def _total(widths: Sequence[int], gap: int) -> int:
    return sum(widths) + gap * (len(widths) - 1)


def _is_over(columns: Sequence[Column], width: int) -> bool:
    return _total([each.width for each in columns], GAP) > width


def _is_tight(columns: Sequence[Column], width: int) -> bool:
    """Whether the last name would be shortened though all others give way."""
    main = _main(columns)
    least = [each.width if each is main else each.least for each in columns]
    return _total(least, GAP) > width


def _main(columns: Sequence[Column]) -> Column | None:
    names = [each for each in columns if each.kind is Leeway.NAME]
    return names[-1] if names else None


def _widths(columns: Sequence[Column], width: int, gap: int) -> list[int]:
    main = _main(columns)
    found = [each.least for each in columns]
    some = [min(each.width, NAME) if each is main else 0 for each in columns]
    whole = [each.width if each is main else 0 for each in columns]
    liked = [0 if each is main else min(each.width, each.liked) for each in columns]
    # What each is given of what is left, stage by stage. A name that cannot be whole leaves the
    # texts what they like.
    stages = (some, liked, whole) if _is_tight(columns, width) else (whole, liked)
    for aim in (*stages, [each.width for each in columns]):
        _spread(found, aim, width - gap * (len(columns) - 1))
    return found


def _spread(widths: list[int], aim: Sequence[int], room: int) -> None:
    """Widen each towards what it may have, evenly, as long as there is room."""
    while free := max(room - sum(widths), 0):
        wanting = [k for k, want in enumerate(aim) if widths[k] < want]
        if not wanting:
            return
        for k in wanting[:free]:
            widths[k] += 1


def _cut(column: Column, width: int) -> Column:
    if column.width <= width:
        return column
    cut = shortened if column.kind is Leeway.NAME else broken
    cells = tuple(Text(cut(text.plain, width), text.style) for text in column.cells)
    return replace(column, title=broken(column.title, width), cells=cells)


def shortened(text: str, width: int) -> str:
    """The text in at most so many cells: its end and less of its beginning, `CUT` between them."""
    if cell_len(text) <= width:
        return text
    tail = (width - 1) * 2 // 3
    return _start(text, width - 1 - tail) + CUT + _start(text[::-1], tail)[::-1]


def _start(text: str, width: int) -> str:
    """As many characters as there is room for; wide ones take two cells."""
    end = len(text)
    while cell_len(text[:end]) > width:
        end -= 1
    return text[:end]


def broken(text: str, width: int) -> str:
    """The text in lines of at most so many cells, broken between words and after slashes."""
    lines = [""]
    for piece in _pieces(text):
        bare = piece.rstrip(" ")
        if lines[-1] and cell_len(lines[-1] + bare) > width:
            lines.append("")
        lines[-1] += piece if cell_len(bare) <= width else shortened(bare, width)
    return "\n".join(line.rstrip(" ") for line in lines)


def _pieces(text: str) -> list[str]:
    """What is never broken: words with the blanks behind them, and the parts of a path."""
    words = re.findall(r"\S+\s*", text)
    return [piece for word in words for piece in PIECES.findall(word)]
