"""What became of each run, from its journal and those of its undos."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from iqcli.culling import journal
from iqcli.errors import IqError

if TYPE_CHECKING:
    from pathlib import Path

    from iqcli.culling.journal import Run


class State(StrEnum):
    """What became of a run. Interrupted: it, or its undo, was cut off; undo takes it back."""

    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    UNDONE = "undone"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class Past:
    """A run and its undos, oldest first."""

    run: Run
    undos: tuple[Run, ...]

    @property
    def state(self) -> State:
        """What became of it."""
        if any(each.end == "finished" for each in self.undos):
            return State.UNDONE
        if self.run.end == "aborted":
            return State.ABORTED
        if self.run.end is None or any(each.end is None for each in self.undos):
            return State.INTERRUPTED
        return State.FINISHED

    @property
    def away(self) -> frozenset[int]:
        """The shots that are surely away, by number: they arrived, and no undo touched them."""
        if self.run.turned_back:
            return frozenset()
        started = [each for each in self.undos if each.end in (None, "partial")]
        return self.run.done.difference(*(each.done for each in started))

    @property
    def claims(self) -> frozenset[Path]:
        """Every name that was about to be held by an empty file."""
        return self.run.claims.union(*(each.claims for each in self.undos))


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the history. `of` is the run that an undo undoes; `when` is ISO 8601 in UTC."""

    run: str
    when: str
    kind: str
    of: str | None
    shots: int
    files: int
    state: State
    roots: tuple[Path, ...]


def history(state_dir: Path) -> list[Row]:
    """Every run, oldest first. Raises IqError for a journal that cannot be read."""
    runs = journal.runs(state_dir)
    return [_row(Past(run, _undos(run, runs))) for run in runs]


def _undos(run: Run, runs: list[Run]) -> tuple[Run, ...]:
    return tuple(each for each in runs if each.of == run.id)


def _row(past: Past) -> Row:
    run = past.run
    roots = run.plan.roots if run.plan else ()
    return Row(run.id, run.when, run.kind, run.of, run.shots, run.files, past.state, roots)


def culls(state_dir: Path) -> list[Past]:
    """The runs that moved photos away, oldest first, each with its undos."""
    runs = journal.runs(state_dir)
    return [Past(run, _undos(run, runs)) for run in runs if run.plan]


def pick(state_dir: Path, run: str | None) -> Past:
    """The run whose name begins so, or the latest that can be undone. Raises IqError for none."""
    found = culls(state_dir)
    open_ = [each for each in found if each.state in (State.FINISHED, State.INTERRUPTED)]
    if run is None:
        if not open_:
            raise IqError("no run is left to undo; see iq history")
        return open_[-1]
    named = [past for past in found if past.run.id.startswith(run)]
    if not run or not named:
        raise IqError(f"no run {run!r} moved photos; see iq history")
    if len(named) > 1:
        raise IqError(f"{len(named)} runs begin with {run!r}; give more of the name")
    if named[0] not in open_:
        raise IqError(f"run {named[0].run.id} is already taken back; see iq history")
    return named[0]
