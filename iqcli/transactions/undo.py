"""Undo a run, or recover from one that was cut off: whole or not at all.

An undo goes through the items of the run in reverse. First the shots go home, all of them or none.
Then the edited files get their old contents; that cannot be rolled back, so an undo that fails
there is finished by the next one.

A person may leave what cannot be undone (`partly`). That closes the run, even where it leaves all:
an undo never stands in the way of the next. One that names the run goes on with what was left.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from iqcli import interrupts
from iqcli.errors import Interrupted, IqError, PlanConflict
from iqcli.fs.files import lstat_or_none
from iqcli.text import display_path
from iqcli.transactions import history, journal, reject_folder
from iqcli.transactions.edit_records import check_edits
from iqcli.transactions.edits import Backups, edit_steps
from iqcli.transactions.history import State
from iqcli.transactions.plan import Outcome, check, refuse_each
from iqcli.transactions.rollback import Transaction, held, named_errors, rollback_on_error
from iqcli.transactions.steps import FileState, JournalState, Move, inverse_steps, obstacle

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from iqcli.transactions.edit_records import FileEdit
    from iqcli.transactions.history import RunHistory
    from iqcli.transactions.journal import JournalRecord, JournalWriter
    from iqcli.transactions.plan import Plan, PlannedShot
    from iqcli.transactions.steps import Step


@named_errors()
def undo(run: str | None, state_dir: Path, partly: bool = False) -> Outcome:
    """Put back what a run did (None: the latest that waits to be undone), or nothing of it.

    Continues where a run or its undo was cut off, or left some. A shot or file that changed since
    blocks it, unless `partly`: then that one stays as it is, the others go back, and the run is
    closed. Raises like `apply`.
    """
    past = history.pick(state_dir, run)
    with held(past.run.roots, state_dir):
        done = _undo(history.pick(state_dir, past.run.id), state_dir, partly)
    return _undo_linked(done, past.run.linked_run, state_dir, partly)


def _undo_linked(done: Outcome, run: str | None, state_dir: Path, partly: bool) -> Outcome:
    """Undo the edits of a cull, too, where a version before 0.2 made them in a run of their own."""
    if not _can_be_undone(state_dir, run):
        return done
    try:
        edited = undo(run, state_dir, partly)
    except IqError as error:
        why = f"the photos are back, but what was written with them stays (run {run}): {error}"
        return replace(done, left=(*done.left, why))
    return replace(done, left=(*done.left, *edited.left), edited=edited.files)


def _can_be_undone(state_dir: Path, run: str | None) -> bool:
    return any(each.run.id == run and each.can_be_undone for each in history.changes(state_dir))


def undo_each(runs: Sequence[str], state_dir: Path, partly: bool = False) -> Iterator[Outcome]:
    """Undo these runs (none: the latest), the latest first, with an outcome for each.

    Every name is looked up before anything moves. Raises like `undo`, the runs before then done.
    """
    found = [history.pick(state_dir, run).run for run in runs or (None,)]
    named = {each.id: each for each in found}
    linked = {each.linked_run for each in named.values()}
    for run in sorted(named, reverse=True):  # a name begins with the time
        if run not in linked or _can_be_undone(state_dir, run):
            yield undo(run, state_dir, partly)


def recover(roots: Iterable[Path], state_dir: Path) -> tuple[Outcome, ...]:
    """Undo every run on these roots that was cut off, the latest first. Raises like `undo`.

    A run whose photos had already reached the trash only lacked its last line.
    """
    wanted = [root.resolve() for root in roots]
    found = [past for past in _cut_off(state_dir) if _touches(past, wanted)]
    done = [_recover(past, state_dir) for past in reversed(found)]
    return tuple(each for each in done if each)


def _cut_off(state_dir: Path) -> list[RunHistory]:
    return [past for past in history.changes(state_dir) if past.state is State.INTERRUPTED]


@named_errors()
def _recover(past: RunHistory, state_dir: Path) -> Outcome | None:
    with held(past.run.roots, state_dir):
        # Whoever held the lock until now may have worked on this very run, and be done.
        now = next((each for each in _cut_off(state_dir) if each.run.id == past.run.id), None)
        if now is None:
            return None
        if reject_folder.is_in_trash(now.run):
            journal.finish(state_dir, now.run)
            return None
        done = _undo(now, state_dir, partly=False)
    return _undo_linked(done, past.run.linked_run, state_dir, partly=False)


def _touches(past: RunHistory, wanted: Sequence[Path]) -> bool:
    return any(
        one.is_relative_to(other) or other.is_relative_to(one)
        for one in past.run.roots
        for other in wanted
    )


@dataclass(frozen=True)
class _Items:
    """The items of a run, as its undo sees them: first the edits, then the shots of the plan.

    `steps` and `known` are by item. `left` has the reasons why some cannot be undone, one a file;
    none for an edit that is left because its shot is. `astray` are those among them whose folder is
    gone or led elsewhere. `done` are those that an earlier undo did.
    """

    run: JournalRecord
    steps: Sequence[Sequence[Step]]
    known: Sequence[JournalState]
    left: Mapping[int, tuple[str, ...]]
    astray: Mapping[int, str]
    done: Collection[int]

    @property
    def edits(self) -> list[int]:
        """The numbers of the edits to undo."""
        return [number for number in range(len(self.run.edits)) if self._is_due(number)]

    @property
    def shots(self) -> dict[int, PlannedShot]:
        """The shots to undo, by number."""
        shots = self.run.plan.shots if self.run.plan else ()
        numbered = enumerate(shots, start=len(self.run.edits))
        return {number: shot for number, shot in numbered if self._is_due(number)}

    def _is_due(self, number: int) -> bool:
        return number not in self.left and number not in self.done

    @property
    def within_reach(self) -> Plan | None:
        """The plan of the shots whose folders are there."""
        if self.run.plan is None:
            return None
        numbered = enumerate(self.run.plan.shots, start=len(self.run.edits))
        there = tuple(shot for number, shot in numbered if number not in self.astray)
        return replace(self.run.plan, shots=there)

    @property
    def conflicts(self) -> list[str]:
        """The sentences about the files that block the undo."""
        return [why for reasons in self.left.values() for why in reasons]

    @property
    def paths_left(self) -> set[Path]:
        """The names that block the undo."""
        steps = (step for number, why in self.left.items() if why for step in self.steps[number])
        return {end for step in steps for end in (step.source, step.target)}

    def describe_left(self) -> Iterator[str]:
        """What an undo leaves that does the rest: the conflicts, and what stays for their sake."""
        if self.run.plan and reject_folder.is_in_trash(self.run):
            folder = display_path(self.run.plan.rejects[0])
            yield f"{folder} went to the trash, and is not restored"
            edits = range(len(self.run.edits))
            yield from (why for number in edits for why in self.left.get(number, ()))
            return
        yield from dict.fromkeys(self.astray.values())
        for number, reasons in self.left.items():
            if number in self.astray:
                continue
            yield from reasons[:-1]
            others = [] if number < len(self.run.edits) else self._others(number)
            stay = "stays" if len(others) == 1 else "stay"
            more = f" ({', '.join(others)} {stay} with it)" if others else ""
            yield from (why + more for why in reasons[-1:])

    def _others(self, number: int) -> list[str]:
        """The files of a shot that could be undone, if it were not for the others."""
        known = self.known[number]
        steps = [step for step in self.steps[number] if not obstacle(step, known)]
        return [display_path(step.source) for step in steps if lstat_or_none(step.source)]


def _items(
    past: RunHistory, backups: Backups, astray: Mapping[int, str], *, partly: bool
) -> _Items:
    run = past.run
    by_path = {each.path: each for each in run.edits}
    edits = [(step.inverse(),) for step in edit_steps(run.edits, backups)]
    shots = run.plan.shots if run.plan else ()
    moves = [inverse_steps(shot, run.plan.action, by_path) for shot in shots] if run.plan else []
    steps: list[Sequence[Step]] = [*edits, *moves]
    known = [
        JournalState(past.settled, number in past.applied, past.claims)
        for number in range(len(steps))
    ]
    left: dict[int, tuple[str, ...]] = {number: (why,) for number, why in astray.items()}
    left |= _left(steps, known, len(edits), {*past.taken_back, *astray})
    if partly:  # else what was kept is only read where it is put back
        for number, [step] in enumerate(edits):
            if number not in left and number not in past.taken_back and step.is_damaged():
                left[number] = (f"what was kept of {display_path(step.target)} is damaged",)
    return _Items(run, steps, known, left, astray, past.taken_back)


def _left(
    steps: Sequence[Sequence[Step]],
    known: Sequence[JournalState],
    edits: int,
    done: Collection[int],
) -> dict[int, tuple[str, ...]]:
    """Which items cannot be undone, and why; not those that are `done`."""
    left: dict[int, tuple[str, ...]] = {}
    away: set[Path] = set()  # files that are edited, but not at home to be looked at
    stay: set[Path] = set()
    for number in range(edits, len(steps)):
        if number in done:
            continue
        found = [obstacle(step, known[number]) for step in steps[number]]
        if reasons := tuple(why for why in found if why):
            left[number] = reasons
            stay |= {step.target for step in steps[number]}
        else:
            away |= {step.target for step in steps[number] if _is_away(step, known[number])}
    for number in range(edits):
        [step] = steps[number]
        if number in done:
            continue
        if step.target in stay:
            left[number] = ()
        elif step.target not in away and (why := obstacle(step, known[number])):
            left[number] = (why,)
    return left


def _is_away(step: Step, known: JournalState) -> bool:
    away = (FileState.AT_SOURCE, FileState.CLAIMED)
    return isinstance(step, Move) and step.inspect(known) in away


def _undo(past: RunHistory, state_dir: Path, partly: bool) -> Outcome:
    run = past.run
    astray: dict[int, str] = {}
    try:
        _check(run.plan, run.edits)
    except PlanConflict as error:
        if not partly:
            raise PlanConflict(f"{error}; {_without(run.id, state_dir)}") from error
        astray = _astray(past, str(error))
    backups = Backups(state_dir, run.id)
    items = _items(past, backups, astray, partly=partly)
    if not partly:
        _refuse(past, items, state_dir)
    edited = len(items.edits)
    shots = len(items.shots) if run.plan else edited
    count = sum(len(each.files) for each in items.shots.values()) if run.plan else edited
    left = tuple(items.describe_left())
    log = journal.begin_undo(state_dir, run.id, shots, count)
    with interrupts.promise(f"run iq undo {run.id} again to finish"):
        _carry_out(items, Transaction(log, past.claims), log, backups)
    return Outcome(
        log.run,
        "undo",
        shots,
        count,
        run.plan.rejects if run.plan else (),
        run.id,
        left,
        run.plan.action.value if run.plan else run.kind,
        edited if run.plan else 0,
        closed=bool(items.left),
    )


def _check(plan: Plan | None, edits: Iterable[FileEdit]) -> None:
    if plan:
        check(plan)
    check_edits(edits)


def _without(run: str, state_dir: Path) -> str:
    """How to go on without a run whose folder is gone."""
    closes = f"iq undo {run} --partly closes this run"
    if earlier := history.run_before(state_dir, run):
        return f"{closes}, iq undo {earlier} takes back the one before it"
    return closes


def _astray(past: RunHistory, why: str) -> dict[int, str]:
    """The items that cannot be looked at, and the reason; all of them where none is to blame.

    An item that is back for good is none of them.
    """
    run, found = past.run, {}
    shots = run.plan.shots if run.plan else ()
    for number in range(len(run.edits) + len(shots)):
        if number in past.taken_back:
            continue
        try:
            if number < len(run.edits):
                check_edits((run.edits[number],))
            elif run.plan:
                check(replace(run.plan, shots=(shots[number - len(run.edits)],)))
        except PlanConflict as error:
            found[number] = str(error)
    every = range(len(run.edits) + len(shots))
    return found or {number: why for number in every if number not in past.taken_back}


def _refuse(past: RunHistory, items: _Items, state_dir: Path) -> None:
    run = past.run
    if run.plan and items.conflicts and reject_folder.is_in_trash(run):
        raise PlanConflict(
            f"the photos of run {run.id} went to the trash; restore "
            f"{display_path(run.plan.rejects[0])} from there, then run iq undo {run.id}; "
            f"if the trash was emptied, iq undo {run.id} --partly closes the run"
        )
    hint = history.way_out(state_dir, past, items.paths_left)
    refuse_each(
        items.conflicts, hint, "nothing was moved" if run.plan else "nothing was changed back"
    )


def _carry_out(
    items: _Items, transaction: Transaction, log: JournalWriter, backups: Backups
) -> None:
    with rollback_on_error(transaction, log, lambda: None):
        for number in reversed(items.shots):
            transaction.execute(items.steps[number], items.known[number])
            log.done(number)
        transaction.sync()
    if items.edits:
        with _can_go_on(items.run.id):
            for number in reversed(items.edits):
                transaction.execute(items.steps[number], items.known[number])
                log.done(number)
            transaction.sync({items.run.edits[number].path.parent for number in items.edits})
    try:
        if plan := items.within_reach:
            reject_folder.clean_up(plan, items.run.id, list(items.shots.values()))
        if items.edits:
            backups.drop(items.edits)
        log.note("partial" if items.left else "finished")
    except OSError as error:
        where = display_path(error.filename) if error.filename else "the journal or manifest"
        raise IqError(
            f"everything is back, but cannot clean up {where}: {error.strerror}; "
            f"run iq undo {items.run.id} again to finish"
        ) from error


@contextmanager
def _can_go_on(run: str) -> Iterator[None]:
    """Errors say that the same undo can be run again: what is restored stays so."""
    way = f"mend that, then run iq undo {run} again to finish (--partly leaves what is damaged)"
    try:
        yield
    except IqError as error:
        raise type(error)(f"{error}; {way}") from error
    except OSError as error:
        name = display_path(error.filename) if error.filename else "the journal"
        raise IqError(f"cannot write {name}: {error.strerror}; {way}") from error
    except KeyboardInterrupt as error:
        raise Interrupted(f"interrupted; run iq undo {run} again to finish") from error
