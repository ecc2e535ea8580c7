"""Plan, apply, undo: the doors. Each run is done whole or not at all, and has a way back."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from iqcli.errors import IqError
from iqcli.fs import files, locks
from iqcli.photos.find import find_shots
from iqcli.text import display_path
from iqcli.transactions import edits, history, journal, reject_folder
from iqcli.transactions import reject_folder as trash
from iqcli.transactions import undo as takeback
from iqcli.transactions.history import State
from iqcli.transactions.plan import Action, Outcome, Plan, check, refuse
from iqcli.transactions.rollback import Transaction, rollback_on_error
from iqcli.transactions.steps import FileState, JournalState, forward_steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from iqcli.transactions.history import RunHistory
    from iqcli.transactions.journal import JournalWriter

__all__ = ["Outcome", "apply", "recover", "undo", "undo_each"]

_AS_PLANNED = JournalState(settled=True, at_source=True)


def apply(plan: Plan, state_dir: Path, along: str | None = None) -> Outcome:
    """Do what the plan says, or nothing; a plan that only lists needs nothing done.

    `along` is the run of the edits that were made with it: an undo takes them back as well. Raises
    PlanConflict where the disk no longer fits the plan, IqError where the system refuses or another
    process is at work; then every file is where it was, unless the message says otherwise.
    """
    check(plan)
    if not plan.shots or plan.action is Action.LIST:
        return Outcome("", "cull", 0, 0, what=plan.action.value)
    if plan.action is Action.TRASH:
        trash.require_trash()
    with locks.hold(plan.roots, state_dir):
        refuse(list(_conflicts(plan)) or list(_newcomers(plan)), "make a new plan")
        log = journal.begin(state_dir, plan, along)
        _carry_out(plan, log)
    count = len(plan.shots)
    return Outcome(log.run, "cull", count, plan.files, plan.rejects, what=plan.action.value)


def _carry_out(plan: Plan, log: JournalWriter) -> None:
    trip = Transaction(log)
    with rollback_on_error(trip, log, lambda: reject_folder.clean_up(plan, log.run, plan.shots)):
        reject_folder.write_entries(plan, log.run, log.when)
        for number, shot in enumerate(plan.shots):
            trip.carry(forward_steps(shot, plan.action), _AS_PLANNED)
            log.done(number)
        trip.sync()
        if plan.action is Action.TRASH:
            trash.send(plan, log)
        else:
            log.note("finished")
    if plan.action is Action.TRASH:
        with suppress(OSError):  # nothing can be taken back now; `recover` adds the line
            log.note("finished")


def _conflicts(plan: Plan) -> Iterable[str]:
    for folder in plan.rejects:
        if files.lstat_or_none(folder) and (
            plan.action is Action.TRASH or not reject_folder.is_ours(folder)
        ):
            yield f"{display_path(folder)} is not a folder of iq for this plan"
    for shot in plan.shots:
        for step in forward_steps(shot, plan.action):
            if why := takeback.obstacle(step, _AS_PLANNED, FileState.AT_SOURCE):
                yield why


def _newcomers(plan: Plan) -> Iterable[str]:
    """Files that belong to a shot but came after the plan: a shot is never left half behind."""
    planned = {shot.root / each.source for shot in plan.shots for each in shot.files}
    primaries = [shot.root / shot.files[0].source for shot in plan.shots]
    for shot in find_shots(primaries, on_problem=lambda _, __: None):
        for path in shot.files:
            if path not in planned:
                yield f"{display_path(path)} belongs to a shot of the plan and is not in it"


def undo(run: str | None, state_dir: Path, partly: bool = False) -> Outcome:
    """Put back what a run did (None: the latest that is not undone), or nothing of it.

    Goes on where a run or its undo was cut off. A shot or file that changed since blocks it, unless
    `partly`: then that one stays as it is and the others go back. The edits that came along with a
    cull are undone after it; what of them cannot be is told in `left`. Raises like `apply`.
    """
    past = history.pick(state_dir, run)
    with locks.hold(past.run.roots, state_dir):
        done = _take_back(history.pick(state_dir, past.run.id), state_dir, partly)
    return _with_edits(done, past.run.along, state_dir, partly)


def _take_back(past: RunHistory, state_dir: Path, partly: bool) -> Outcome:
    if past.run.edits:
        return edits.take_back(past, state_dir, partly)
    return takeback.take_back(past, state_dir, partly)


def _with_edits(done: Outcome, along: str | None, state_dir: Path, partly: bool) -> Outcome:
    still = [past for past in history.changes(state_dir) if past.run.id == along and past.is_open]
    if not still:
        return done
    try:
        edited = undo(along, state_dir, partly)
    except IqError as error:
        why = f"the photos are back, but what was written with them stays (run {along}): {error}"
        return replace(done, left=(*done.left, why))
    return replace(done, left=(*done.left, *edited.left), along=edited)


def undo_each(runs: Sequence[str], state_dir: Path, partly: bool = False) -> Iterator[Outcome]:
    """Undo these runs (none: the latest), the latest first, and tell of each when it is done.

    Every name is looked up before anything moves. Raises like `undo`, the runs before then done.
    """
    named = {history.pick(state_dir, run).run.id for run in runs or (None,)}
    while named:
        latest = max(named)  # a name begins with the time
        done = undo(latest, state_dir, partly)
        named -= {latest, done.along.of if done.along else None}
        yield done


def recover(roots: Iterable[Path], state_dir: Path) -> tuple[Outcome, ...]:
    """Take back every run on these roots that was cut off, the latest first. Raises like `undo`.

    A run whose photos had already reached the trash was only short of its last line.
    """
    wanted = [root.resolve() for root in roots]
    found = [past for past in _cut_off(state_dir) if _touches(past, wanted)]
    done = [_finish(past, state_dir) for past in reversed(found)]
    return tuple(each for each in done if each)


def _cut_off(state_dir: Path) -> list[RunHistory]:
    return [past for past in history.changes(state_dir) if past.state is State.INTERRUPTED]


def _finish(past: RunHistory, state_dir: Path) -> Outcome | None:
    with locks.hold(past.run.roots, state_dir):
        # Whoever held the lock until now may have been at work on this very run, and be done.
        now = next((each for each in _cut_off(state_dir) if each.run.id == past.run.id), None)
        if now is None:
            return None
        if trash.is_in_trash(now.run):
            journal.finish(state_dir, now.run)
            return None
        done = _take_back(now, state_dir, partly=False)
    return _with_edits(done, past.run.along, state_dir, partly=False)


def _touches(past: RunHistory, wanted: Sequence[Path]) -> bool:
    return any(
        one.is_relative_to(other) or other.is_relative_to(one)
        for one in past.run.roots
        for other in wanted
    )
