"""What `iq eval --ladders` measures and prints."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from iqcli.cli.console import counted, progress, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from iqcli.cli.session import Run
    from iqcli.errors import Exit
    from iqcli.evaluation.robustness import Ladder, Summary

TITLES = (
    *("distortion", "photos", "SRCC with level", "in order", "beats its level 3"),
    *(f"lost at {level}" for level in range(1, 6)),
)
NAMED = "named from level"


def climb_ladders(run: Run, distortions: Sequence[str], *, full_size: bool) -> Exit:
    """Spoil the photos of the run step by step, print how the scores fall; the exit code."""
    from iqcli.evaluation import robustness
    from iqcli.models.registry import load
    from iqcli.output import table
    from iqcli.output.stdout import write

    names = robustness.chosen(distortions, full_size=full_size)
    model = load(run.settings.model)
    model.blocks  # noqa: B018 - a model that cannot be read is refused before the photos are
    shots = [each.shot for each in run.measured(()) if each.error is None]
    if not shots:
        return run.finish("put on ladders")
    silent = replace(run, quiet=True)  # one bar over all copies, not one a level
    ladders = robustness.climb(
        shots,
        names,
        model,
        silent.measured,
        full_size=full_size,
        watch=lambda copies: progress(
            copies, robustness.copies(len(shots), names), quiet=run.quiet
        ),
    )
    whole = robustness.summary(ladders)
    titles = (*TITLES, NAMED) if full_size else TITLES
    rows = (row[: len(titles)] for row in _rows(ladders, whole))
    table.show(table.plain_table(titles, rows))
    weak = ", ".join(whole.weak) or "none"
    write([f"distortions under {robustness.WEAK:g}: {weak}\n"])
    if lost := len(shots) * len(names) - whole.ladders:
        say(f"{counted(lost, 'ladder')} left out: a copy on each could not be measured")
    return run.finish("put on ladders")


def _rows(ladders: Sequence[Ladder], whole: Summary) -> Iterator[tuple[object, ...]]:
    for each in ladders:
        order, wins = _figure(each.order), _figure(each.won)
        lost = [f"{points:+.2f}" for points in each.lost]
        named = "–" if each.named_from is None else str(each.named_from)
        yield (each.name, len(each.scores), order, _figure(each.whole), wins, *lost, named)
    filler = ["–"] * 6
    yield ("all", whole.ladders, _figure(whole.order), "–", _figure(whole.won), *filler)


def _figure(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"
