"""Carry out a plan, edits, or both: done whole, or rolled back and nothing is changed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from iqcli import interrupts
from iqcli.fs import files, other_programs
from iqcli.photos.find import find_again
from iqcli.text import display_path
from iqcli.transactions import journal, reject_folder
from iqcli.transactions.edit_records import check_edits
from iqcli.transactions.edits import Backups, WriteFile, checked, edit_steps, write_parts
from iqcli.transactions.plan import (
    Action,
    Outcome,
    Plan,
    check,
    check_size,
    refuse,
    refuse_other_programs,
)
from iqcli.transactions.rollback import Transaction, held, named_errors, rollback_on_error
from iqcli.transactions.steps import FileState, JournalState, forward_steps, obstacle

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from iqcli.transactions.edit_records import FileEdit
    from iqcli.transactions.edits import Content, Edit
    from iqcli.transactions.journal import JournalWriter
    from iqcli.transactions.steps import PlannedStep, Step

_AS_PLANNED = JournalState(settled=True, at_source=True)


@named_errors()
def apply(plan: Plan, state_dir: Path, edits: Sequence[Edit] = ()) -> Outcome:
    """Make the edits, then do what the plan says: all of it or nothing, in one run.

    The plan is of the files as they are once the edits are made (see `planner.with_edits`). A plan
    that rejects nothing, or only lists, is no run, and its edits are not made. Raises PlanConflict
    where the disk no longer fits, IqError where the system refuses or another process is at work;
    then every file is where it was, unless the message says otherwise.
    """
    check(plan)
    if not plan.shots or plan.action is Action.LIST:
        return Outcome("", "cull", 0, 0, what=plan.action.value)
    check_size(len(plan.shots), plan.files)
    refuse_other_programs(plan)
    if plan.action is Action.TRASH:
        reject_folder.require_trash()
    with checked(edits) as changes:
        run = _run(state_dir, "cull", plan, changes)
    return Outcome(
        run,
        "cull",
        len(plan.shots),
        plan.files,
        plan.rejects,
        what=plan.action.value,
        edited=len(changes),
    )


@named_errors()
def write(edits: Sequence[Edit], state_dir: Path, kind: str = "xmp") -> Outcome:
    """Give every file its new content, or none; `undo` gives the old ones back, with their times.

    A file that is replaced keeps its mode. An edit that changes nothing is passed over. Raises
    PlanConflict where a file is another than expected, is no plain file, or lies outside its root;
    IqError where the system refuses or another process is at work.
    """
    with checked(edits) as changes:
        if not changes:
            return Outcome("", kind, 0, 0, what=kind)
        run = _run(state_dir, kind, None, changes)
    return Outcome(run, kind, len(changes), len(changes), what=kind)


def _run(
    state_dir: Path, kind: str, plan: Plan | None, changes: Sequence[tuple[FileEdit, Content]]
) -> str:
    """One run of edits, of a plan, or of both; returns its id. Raises like `apply`."""
    edits = [edit for edit, _ in changes]
    check_edits(edits)
    other_programs.refuse_to_write(each.path.parent for each in edits)
    roots = {*(plan.roots if plan else ()), *(each.root for each in edits)}
    with held(roots, state_dir):
        refuse(list(_edit_conflicts(edits)), "run again", "nothing was written")
        if plan:
            steps = _plan_steps(plan, edits)
            refuse(list(_conflicts(plan, steps)) or list(_newcomers(plan)), "make a new plan")
        log = journal.begin(state_dir, kind, plan, edits)
        backups, transaction = Backups(state_dir, log.run), Transaction(log)

        def clean_up() -> None:
            if edits:
                backups.drop(range(len(edits)))
            if plan:
                reject_folder.clean_up(plan, log.run, plan.shots)

        way_out = f"run iq undo {log.subject} to put everything back"
        with interrupts.promise(way_out), rollback_on_error(transaction, log, clean_up):
            if edits:
                backups.take(edits)
                write_parts(edits, [content for _, content in changes], transaction.parts)
                items = [(step,) for step in edit_steps(edits, backups)]
                _execute(transaction, log, items)
            if plan:
                reject_folder.write_entries(plan, log.run, log.when)
                _execute(transaction, log, steps, len(edits))
            if plan and plan.action is Action.TRASH:
                reject_folder.send_to_trash(plan, log)
            else:
                log.note("finished")
        if plan and plan.action is Action.TRASH:
            with suppress(OSError):  # no rollback is possible now; `recover` adds the line
                log.note("finished")
    return log.run


def _execute(
    transaction: Transaction, log: JournalWriter, items: Sequence[Sequence[Step]], first: int = 0
) -> None:
    for number, steps in enumerate(items, start=first):
        transaction.execute(steps, _AS_PLANNED)
        log.done(number)
    transaction.sync()


def _plan_steps(plan: Plan, edits: Sequence[FileEdit]) -> list[tuple[PlannedStep, ...]]:
    by_path = {each.path: each for each in edits}
    return [forward_steps(shot, plan.action, by_path) for shot in plan.shots]


def _edit_conflicts(edits: Sequence[FileEdit]) -> Iterable[str]:
    for edit in edits:
        if why := obstacle(WriteFile(edit.path, edit.path, edit, edit.path), _AS_PLANNED):
            yield why


def _conflicts(plan: Plan, items: Sequence[Sequence[PlannedStep]]) -> Iterable[str]:
    planned = replace(_AS_PLANNED, by_bytes=plan.from_file)
    for folder in plan.rejects:
        if files.lstat_or_none(folder) and (
            plan.action is Action.TRASH or not reject_folder.is_ours(folder)
        ):
            yield f"{display_path(folder)} is not a folder of iq for this plan"
    for step in (step for steps in items for step in steps):
        if step.edit:  # its source is as planned once the edit is made
            if files.lstat_or_none(step.target):
                yield f"the name {display_path(step.target)} is taken"
        elif why := obstacle(step, planned, FileState.AT_SOURCE):
            yield why


def _newcomers(plan: Plan) -> Iterable[str]:
    """Files that belong to a shot but came after the plan: a shot is never left half behind."""
    planned = {shot.root / each.source for shot in plan.shots for each in shot.files}
    primaries = [shot.root / shot.files[0].source for shot in plan.shots]
    for shot in find_again(primaries, [shot.root for shot in plan.shots]):
        for path in shot.files:
            if path not in planned:
                yield f"{display_path(path)} belongs to a shot of the plan and is not in it"
