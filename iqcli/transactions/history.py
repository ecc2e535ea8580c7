"""What became of each run, from its journal and those of its undos."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from iqcli.errors import IqError
from iqcli.transactions import journal
from iqcli.transactions.plan import Action

if TYPE_CHECKING:
    from collections.abc import Set
    from pathlib import Path

    from iqcli.transactions.journal import JournalRecord, UnreadableJournal


class State(StrEnum):
    """What became of a run.

    Interrupted: the run or its undo was cut off, and not closed by `--partly`; undo takes it back.
    """

    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    UNDONE = "undone"
    ABORTED = "aborted"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class RunHistory:
    """A run and its undos, oldest first."""

    run: JournalRecord
    undos: tuple[JournalRecord, ...]

    @property
    def state(self) -> State:
        """What became of it."""
        if any(each.end == "finished" for each in self.undos):
            return State.UNDONE
        if self.run.end == "aborted":
            return State.ABORTED
        left_so = bool(self.undos) and self.undos[-1].end == "partial"
        return State.FINISHED if self.settled or left_so else State.INTERRUPTED

    @property
    def settled(self) -> bool:
        """Whether neither the run nor an undo of it was cut off, so that nothing is half done."""
        return self.run.end is not None and all(each.end is not None for each in self.undos)

    @property
    def is_open(self) -> bool:
        """Whether it can be undone."""
        return self.state in (State.FINISHED, State.INTERRUPTED)

    @property
    def applied(self) -> frozenset[int]:
        """The items that are surely done, by number: the run did them, and no undo touched them."""
        if self.run.rolled_back:
            return frozenset()
        started = [each for each in self.undos if each.end in (None, "partial")]
        return self.run.done.difference(*(each.done for each in started))

    @property
    def claims(self) -> frozenset[Path]:
        """Every name that was about to be held by an empty file."""
        return self.run.claims.union(*(each.claims for each in self.undos))


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the history.

    `kind` is "cull", or its action if it did not move, with ", xmp" if it has edits as well; or
    "undo"; or that of edits alone. `of` is the run that an undo undoes; `when` is ISO 8601 in UTC.
    Of a run that is unreadable only `run` is known, and `roots` has its journal.
    """

    run: str
    when: str
    kind: str
    of: str | None
    shots: int
    files: int
    state: State
    roots: tuple[Path, ...]


def history(state_dir: Path) -> list[Row]:
    """Every run, oldest first."""
    runs, broken = journal.read(state_dir)
    rows = [_row(RunHistory(run, _undos(run, runs))) for run in runs]
    lost = [Row(b.run, "", "", None, 0, 0, State.UNREADABLE, (b.path,)) for b in broken]
    return sorted(rows + lost, key=lambda row: row.run)


def unreadable(state_dir: Path) -> list[str]:
    """A sentence about each journal that cannot be read: it may hide a run that was cut off."""
    return [each.message for each in journal.read(state_dir)[1]]


def _undos(run: JournalRecord, runs: list[JournalRecord]) -> tuple[JournalRecord, ...]:
    return tuple(each for each in runs if each.of == run.id)


def _row(past: RunHistory) -> Row:
    run = past.run
    kind = run.kind
    if run.plan and run.plan.action is not Action.MOVE:
        kind = run.plan.action.value
    if run.plan and run.edits:
        kind += ", xmp"
    return Row(run.id, run.when, kind, run.of, run.shots, run.files, past.state, run.roots)


def changes(state_dir: Path) -> list[RunHistory]:
    """The readable runs that changed something, oldest first, each with its undos."""
    return _changes(journal.read(state_dir)[0])


def _changes(runs: list[JournalRecord]) -> list[RunHistory]:
    return [RunHistory(run, _undos(run, runs)) for run in runs if run.plan or run.edits]


def must_refuse(past: RunHistory, left: int, count: int, partly: bool) -> bool:
    """Whether an undo that would leave `left` of `count` items is refused.

    Only of a run that was cut off may all be left: that is how a person closes it.
    """
    return bool(left) and (not partly or (left == count and past.state is not State.INTERRUPTED))


def way_out(state_dir: Path, past: RunHistory, paths: Set[Path]) -> str:
    """What to do where an undo finds these names changed: a later run of ours may have done it."""
    later = [
        each.run
        for each in changes(state_dir)
        if each.run.id > past.run.id and each.is_open and not paths.isdisjoint(each.run.paths)
    ]
    if later:
        return f"run {later[-1].id} came after it, run iq undo {later[-1].id} first"
    return f"restore what is named, or leave it so: iq undo {past.run.id} --partly"


def pick(state_dir: Path, run: str | None) -> RunHistory:
    """The run whose name begins so, or the latest that can be undone. Raises IqError for none.

    Where a later journal cannot be read nobody knows which is the latest: that raises, too.
    """
    runs, broken = journal.read(state_dir)
    found = _changes(runs)
    if run is None:
        return _latest([each for each in found if each.is_open], broken)
    if lost := [each for each in broken if run and each.run.startswith(run)]:
        raise IqError(lost[0].message)
    named = [past for past in found if past.run.id.startswith(run)]
    if not run or not named:
        raise IqError(f"no run {run!r} can be undone; see iq history")
    if len(named) > 1:
        raise IqError(f"{len(named)} runs begin with {run!r}; give more of the name")
    if not named[0].is_open:
        raise IqError(f"run {named[0].run.id} is already taken back; see iq history")
    return named[0]


def _latest(found: list[RunHistory], broken: list[UnreadableJournal]) -> RunHistory:
    if broken and not (found and broken[-1].run < found[-1].run.id):
        raise IqError(f"{broken[-1].message}, or name the run to undo (iq history lists them)")
    if not found:
        raise IqError("no run is left to undo; see iq history")
    return found[-1]
