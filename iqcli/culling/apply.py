"""Plan, apply, undo: the moves, each run whole or not at all, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from iqcli import files
from iqcli.culling import history, journal, lock, manifest
from iqcli.culling.ends import Known, Place, Step, homeward, look, outward
from iqcli.culling.history import Past, State
from iqcli.culling.planned import Plan, PlannedShot, check
from iqcli.culling.trip import Trip, all_or_nothing
from iqcli.errors import IqError, PlanConflict
from iqcli.photos.find import find_shots

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_AS_PLANNED = Known(settled=True, at_source=True)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did. `run` is "" if there was nothing to do; `of` is the run that was undone.

    `rejects` are the folders that the photos went to or came from. `left` says, a shot each, what
    an undo had to leave where it is.
    """

    run: str
    kind: str
    shots: int
    files: int
    rejects: tuple[Path, ...] = ()
    of: str | None = None
    left: tuple[str, ...] = ()


def apply(plan: Plan, state_dir: Path) -> Outcome:
    """Move what the plan says, or nothing.

    Raises PlanConflict where the disk no longer fits the plan, IqError where a move is refused or
    another process is at work; then every file is where it was, unless the message says otherwise.
    """
    check(plan)
    if not plan.shots:
        return Outcome("", "cull", 0, 0)
    with lock.hold(plan.roots, state_dir):
        _refuse(list(_conflicts(plan)) or list(_newcomers(plan)), "make a new plan")
        log = journal.begin(state_dir, plan)
        trip = Trip(log)
        with all_or_nothing(trip, log, lambda: manifest.tidy(plan, log.run, plan.shots)):
            manifest.announce(plan, log.run, log.when)
            for number, shot in enumerate(plan.shots):
                trip.carry(outward(shot), _AS_PLANNED)
                log.done(number)
            trip.sync()
            log.note("finished")
    return Outcome(log.run, "cull", len(plan.shots), plan.files, plan.rejects)


def _conflicts(plan: Plan) -> Iterable[str]:
    for folder in plan.rejects:
        if files.seen(folder) and not manifest.is_ours(folder):
            yield f"{files.shown(folder)} is not a folder of iq"
    for shot in plan.shots:
        for step in outward(shot):
            if why := _obstacle(step, _AS_PLANNED, Place.AT_SOURCE):
                yield why


def _newcomers(plan: Plan) -> Iterable[str]:
    """Files that belong to a shot but came after the plan: a shot is never left half behind."""
    planned = {step.source for shot in plan.shots for step in outward(shot)}
    primaries = [shot.root / shot.files[0].source for shot in plan.shots]
    for shot in find_shots(primaries, on_problem=lambda _, __: None):
        for path in shot.files:
            if path not in planned:
                yield f"{files.shown(path)} belongs to a shot of the plan and is not in it"


def _obstacle(step: Step, known: Known, *fine: Place) -> str | None:
    try:
        if look(step, known) in (fine or tuple(Place)):
            return None
        return f"{files.shown(step.source)} is already at {files.shown(step.target)}"
    except PlanConflict as error:
        return str(error)
    except OSError as error:
        return f"cannot look at {files.shown(step.source)}: {error.strerror}"


def _refuse(conflicts: Sequence[str], way_out: str) -> None:
    if conflicts:
        more = f" (and {len(conflicts) - 1} more)" if len(conflicts) > 1 else ""
        raise PlanConflict(f"{conflicts[0]}{more}; nothing was moved, {way_out}")


def undo(run: str | None, state_dir: Path, partly: bool = False) -> Outcome:
    """Put back what a run moved (None: the latest that is not undone), or nothing.

    Goes on where an apply or undo was cut off. A shot that changed since blocks it, unless
    `partly`: then that shot stays where it is and the others go back. Raises like `apply`.
    """
    past = history.pick(state_dir, run)
    assert past.run.plan
    with lock.hold(past.run.plan.roots, state_dir):
        return _take_back(history.pick(state_dir, past.run.id), state_dir, partly)


def _take_back(past: Past, state_dir: Path, partly: bool) -> Outcome:
    plan = past.run.plan
    assert plan
    check(plan)
    known = [_known(past, number) for number in range(len(plan.shots))]
    left = {number: why for number, why in enumerate(_blocked(plan, known)) if why}
    if not partly or len(left) == len(plan.shots):
        _refuse(list(left.values()), "restore what is named, or give --partly to leave it there")
    going = {number: shot for number, shot in enumerate(plan.shots) if number not in left}
    count = sum(len(shot.files) for shot in going.values())
    log = journal.begin_undo(state_dir, past.run.id, len(going), count)
    trip = Trip(log, past.claims)
    with all_or_nothing(trip, log, lambda: None):
        for number in reversed(going):
            trip.carry(homeward(going[number]), known[number])
            log.done(number)
        trip.sync()
    _finish(plan, past.run.id, list(going.values()), log, "partial" if left else "finished")
    return Outcome(
        log.run, "undo", len(going), count, plan.rejects, past.run.id, tuple(left.values())
    )


def _known(past: Past, number: int) -> Known:
    return Known(past.state is State.FINISHED, number in past.away, past.claims)


def _blocked(plan: Plan, known: Sequence[Known]) -> Iterable[str | None]:
    for shot, each in zip(plan.shots, known, strict=True):
        found = (_obstacle(step, each) for step in homeward(shot))
        yield next((why for why in found if why), None)


def _finish(plan: Plan, run: str, shots: list[PlannedShot], log: journal.Log, end: str) -> None:
    try:
        manifest.tidy(plan, run, shots)
        log.note(end)
    except OSError as error:
        where = files.shown(error.filename) if error.filename else "the journal or manifest"
        raise IqError(
            f"every photo is back, but cannot clear up {where}: {error.strerror}; "
            f"run iq undo {run} again to finish"
        ) from error


def recover(roots: Iterable[Path], state_dir: Path) -> tuple[Outcome, ...]:
    """Take back every run on these roots that was cut off, the latest first. Raises like `undo`."""
    wanted = [root.resolve() for root in roots]
    found = [past for past in history.culls(state_dir) if past.state is State.INTERRUPTED]
    return tuple(undo(past.run.id, state_dir) for past in reversed(found) if _touches(past, wanted))


def _touches(past: Past, wanted: Sequence[Path]) -> bool:
    roots = past.run.plan.roots if past.run.plan else ()
    return any(
        one.is_relative_to(other) or other.is_relative_to(one) for one in roots for other in wanted
    )
