"""The way back of a cull, whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iqcli.errors import IqError, PlanConflict
from iqcli.text import display_path
from iqcli.transactions import history, journal, reject_folder
from iqcli.transactions import reject_folder as trash
from iqcli.transactions.plan import Outcome, check, refuse
from iqcli.transactions.rollback import Transaction, rollback_on_error
from iqcli.transactions.steps import FileState, JournalState, inverse_steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from iqcli.transactions.history import RunHistory
    from iqcli.transactions.plan import Plan, PlannedShot
    from iqcli.transactions.steps import Step


def take_back(past: RunHistory, state_dir: Path, partly: bool) -> Outcome:
    """Put back what a cull did, or nothing; see `apply.undo`."""
    plan = past.run.plan
    assert plan
    check(plan)
    known = [_known(past, number) for number in range(len(plan.shots))]
    left = {number: why for number, why in enumerate(_blocked(plan, known)) if why}
    if left and trash.is_in_trash(past.run):
        raise PlanConflict(
            f"the photos of run {past.run.id} went to the trash; restore "
            f"{display_path(plan.rejects[0])} from there, then run iq undo {past.run.id}"
        )
    if history.must_refuse(past, len(left), len(plan.shots), partly):
        hint = history.way_out(state_dir, past, _names(plan, left))
        refuse(list(left.values()), hint)
    going = {number: shot for number, shot in enumerate(plan.shots) if number not in left}
    count = sum(len(shot.files) for shot in going.values())
    log = journal.begin_undo(state_dir, past.run.id, len(going), count)
    trip = Transaction(log, past.claims)
    with rollback_on_error(trip, log, lambda: None):
        for number in reversed(going):
            trip.carry(inverse_steps(going[number], plan.action), known[number])
            log.done(number)
        trip.sync()
    _finish(plan, past.run.id, list(going.values()), log, "partial" if left else "finished")
    return Outcome(
        log.run,
        "undo",
        len(going),
        count,
        plan.rejects,
        past.run.id,
        tuple(left.values()),
        plan.action.value,
    )


def _names(plan: Plan, left: Iterable[int]) -> set[Path]:
    shots = [plan.shots[number] for number in left]
    return {
        shot.root / end
        for shot in shots
        for each in shot.files
        for end in (each.source, each.target)
    }


def _known(past: RunHistory, number: int) -> JournalState:
    return JournalState(past.settled, number in past.moved, past.claims)


def _blocked(plan: Plan, known: Sequence[JournalState]) -> Iterable[str | None]:
    for shot, each in zip(plan.shots, known, strict=True):
        found = (obstacle(step, each) for step in inverse_steps(shot, plan.action))
        yield next((why for why in found if why), None)


def obstacle(step: Step, known: JournalState, *fine: FileState) -> str | None:
    """Why a step cannot be done, or None; with `fine`, the file must be at one of those places."""
    try:
        if step.look(known) in (fine or tuple(FileState)):
            return None
        return f"{display_path(step.source)} is already at {display_path(step.target)}"
    except PlanConflict as error:
        return str(error)
    except OSError as error:
        return f"cannot look at {display_path(step.source)}: {error.strerror}"


def _finish(
    plan: Plan, run: str, shots: list[PlannedShot], log: journal.JournalWriter, end: str
) -> None:
    try:
        reject_folder.clean_up(plan, run, shots)
        log.note(end)
    except OSError as error:
        where = display_path(error.filename) if error.filename else "the journal or manifest"
        raise IqError(
            f"every photo is back, but cannot clear up {where}: {error.strerror}; "
            f"run iq undo {run} again to finish"
        ) from error
