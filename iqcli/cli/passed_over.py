"""What a run passed over, in lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iqcli.cli.console import counted
from iqcli.text import display_path, escape

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from iqcli.photos.find import PassedOver

# The most names in a line, and the most libraries that get a line each.
MOST_NAMES, MOST_LIBRARIES = 12, 20


def lines(passed: PassedOver) -> Iterator[str]:
    """A line for each reason for which anything was passed over; the numbers are of all of it."""
    if total := passed.programs.total():
        what = counted(total, "folder of another program", "folders of other programs")
        yield f"{what} passed over: {_names(passed.programs)}"
    listed = sorted(passed.libraries.items(), key=lambda each: each[0])
    for folder, program in listed[:MOST_LIBRARIES]:
        yield f"{display_path(folder)}: export originals from {program.short_name} first"
    if (more := len(listed) - MOST_LIBRARIES) > 0:
        yield f"and {counted(more, 'other library', 'other libraries')}"
    if total := passed.hidden.total():
        yield f"{counted(total, 'hidden folder')} passed over: {_names(passed.hidden)}"
    for source in sorted({*passed.folders, *passed.photos}):
        counts = ((passed.folders[source], "folder"), (passed.photos[source], "photo"))
        what = " and ".join(counted(number, thing) for number, thing in counts if number)
        yield f"{what} passed over by {source}"
    if passed.videos:
        yield f"{counted(passed.videos, 'video')} left alone: iq scores and moves photos"
    if total := passed.pictures.total():
        named = ", ".join(f"{number:,} {name}" for name, number in _ordered(passed.pictures))
        yield f"{counted(total, 'picture')} in formats iq does not read: {named}"
    if passed.links:
        yield f"{counted(passed.links, 'link')} not followed; give -L to follow links"


def _names(found: Counter[str]) -> str:
    """The names, the most frequent first, with their numbers where there are several."""
    named = [
        escape(name) + (f" ({number:,})" if number > 1 else "") for name, number in _ordered(found)
    ]
    shown, more = named[:MOST_NAMES], len(named) - MOST_NAMES
    return ", ".join(shown) + (f" and {counted(more, 'other name')}" if more > 0 else "")


def _ordered(found: Counter[str]) -> list[tuple[str, int]]:
    return sorted(found.items(), key=lambda each: (-each[1], each[0]))
