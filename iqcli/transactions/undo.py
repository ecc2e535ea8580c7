"""The way back of a cull, whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iqcli.errors import IqError, PlanConflict
from iqcli.text import display_path
from iqcli.transactions import history, journal, reject_folder
from iqcli.transactions import reject_folder as trash
from iqcli.transactions.plan import Outcome, check, refuse
from iqcli.transactions.rollback import Trip, all_or_nothing
from iqcli.transactions.steps import Known, Place, homeward

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from iqcli.transactions.history import Past
    from iqcli.transactions.plan import Plan, PlannedShot
    from iqcli.transactions.steps import Step


def take_back(past: Past, state_dir: Path, partly: bool) -> Outcome:
    """Put back what a cull did, or nothing; see `apply.undo`."""
    plan = past.run.plan
    assert plan
    check(plan)
    known = [_known(past, number) for number in range(len(plan.shots))]
    left = {number: why for number, why in enumerate(_blocked(plan, known)) if why}
    if left and trash.has_taken(past.run):
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
    trip = Trip(log, past.claims)
    with all_or_nothing(trip, log, lambda: None):
        for number in reversed(going):
            trip.carry(homeward(going[number], plan.action), known[number])
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


def _known(past: Past, number: int) -> Known:
    return Known(past.settled, number in past.away, past.claims)


def _blocked(plan: Plan, known: Sequence[Known]) -> Iterable[str | None]:
    for shot, each in zip(plan.shots, known, strict=True):
        found = (obstacle(step, each) for step in homeward(shot, plan.action))
        yield next((why for why in found if why), None)


def obstacle(step: Step, known: Known, *fine: Place) -> str | None:
    """Why a step cannot be done, or None; with `fine`, the file must be at one of those places."""
    try:
        if step.look(known) in (fine or tuple(Place)):
            return None
        return f"{display_path(step.source)} is already at {display_path(step.target)}"
    except PlanConflict as error:
        return str(error)
    except OSError as error:
        return f"cannot look at {display_path(step.source)}: {error.strerror}"


def _finish(plan: Plan, run: str, shots: list[PlannedShot], log: journal.Log, end: str) -> None:
    try:
        reject_folder.tidy(plan, run, shots)
        log.note(end)
    except OSError as error:
        where = display_path(error.filename) if error.filename else "the journal or manifest"
        raise IqError(
            f"every photo is back, but cannot clear up {where}: {error.strerror}; "
            f"run iq undo {run} again to finish"
        ) from error
