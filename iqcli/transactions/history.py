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

    Interrupted: the run or its undo was cut off; undo takes it back. Partly undone, and closed
    where nothing could be undone: a person let it be so with `--partly`; the next undo takes the
    run before it, and one that names the run takes back what was left. Aborted: an error ended it,
    and everything was taken back.
    """

    APPLIED = "applied"
    INTERRUPTED = "interrupted"
    UNDONE = "undone"
    PARTLY_UNDONE = "partly undone"
    CLOSED = "closed"
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
        lasting = [each.end for each in self.undos if each.end != "aborted"]
        if lasting and lasting[-1] == "partial":
            return State.PARTLY_UNDONE if self.taken_back else State.CLOSED
        if self.run.end == "partial":  # an undo
            return State.PARTLY_UNDONE if self.run.done else State.CLOSED
        return State.APPLIED if self.settled else State.INTERRUPTED

    @property
    def settled(self) -> bool:
        """Whether neither the run nor an undo of it was cut off, so that nothing is half done."""
        return self.run.end is not None and all(each.end is not None for each in self.undos)

    @property
    def is_open(self) -> bool:
        """Whether it is waiting to be undone."""
        return self.state in (State.APPLIED, State.INTERRUPTED)

    @property
    def can_be_undone(self) -> bool:
        """Whether an undo that names it has something to do."""
        return self.is_open or self.state in (State.PARTLY_UNDONE, State.CLOSED)

    @property
    def taken_back(self) -> frozenset[int]:
        """The items that are back for good, by number: an undo did them and left others."""
        return frozenset().union(*(each.done for each in self.undos if each.end == "partial"))

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
    "undo"; or that of edits alone. `files` are those moved or written, each once. `of` is the run
    that an undo undoes; `when` is ISO 8601 in UTC. Of a run that is unreadable only `run` is known;
    `roots` has its journal, `error` the reason.
    """

    run: str
    when: str
    kind: str
    of: str | None
    shots: int
    files: int
    state: State
    roots: tuple[Path, ...]
    error: str | None = None


def history(state_dir: Path) -> list[Row]:
    """Every run, oldest first."""
    runs, broken = journal.read(state_dir)
    roots = {run.id: run.roots for run in runs}
    rows = [_row(past, roots.get(past.run.of or past.run.id, ())) for past in _with_undos(runs)]
    lost = [
        Row(each.run, "", "", None, 0, 0, State.UNREADABLE, (each.path,), each.message)
        for each in broken
    ]
    return sorted(rows + lost, key=lambda row: row.run)


def unreadable(state_dir: Path) -> list[str]:
    """A sentence about each journal that cannot be read: it may hide a run that was cut off."""
    return [each.message for each in journal.read(state_dir)[1]]


def _with_undos(runs: list[JournalRecord]) -> list[RunHistory]:
    undos: dict[str | None, list[JournalRecord]] = {}
    for each in runs:
        undos.setdefault(each.of, []).append(each)
    return [RunHistory(run, tuple(undos.get(run.id, ()))) for run in runs]


def _row(past: RunHistory, roots: tuple[Path, ...]) -> Row:
    run = past.run
    kind = run.kind
    if run.plan and run.plan.action is not Action.MOVE:
        kind = run.plan.action.value
    if run.plan and run.edits:
        kind += ", xmp"
    count = len(run.sources) if run.plan and run.edits else run.files
    return Row(run.id, run.when, kind, run.of, run.shots, count, past.state, roots)


def changes(state_dir: Path) -> list[RunHistory]:
    """The readable runs that changed something, oldest first, each with its undos."""
    return _changes(journal.read(state_dir)[0])


def _changes(runs: list[JournalRecord]) -> list[RunHistory]:
    return [past for past in _with_undos(runs) if past.run.plan or past.run.edits]


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


def run_before(state_dir: Path, run: str) -> str | None:
    """The name of the latest run before this one that waits to be undone."""
    earlier = [each.run.id for each in changes(state_dir) if each.is_open and each.run.id < run]
    return earlier[-1] if earlier else None


def pick(state_dir: Path, run: str | None) -> RunHistory:
    """The run whose name begins so, or the latest that waits to be undone.

    Raises IqError for none. A journal that cannot be read is passed over, unless it is named or
    there is no other.
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
    if not named[0].can_be_undone:
        raise IqError(f"run {named[0].run.id} is already taken back; see iq history")
    return named[0]


def _latest(found: list[RunHistory], broken: list[UnreadableJournal]) -> RunHistory:
    if found:
        return found[-1]
    raise IqError(broken[-1].message if broken else "no run is left to undo; see iq history")
