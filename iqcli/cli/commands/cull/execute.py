"""What follows from decisions: a plan, saved or carried out in one transaction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from iqcli.cli.commands import xmp as sidecars
from iqcli.cli.console import counted, info
from iqcli.culling import planner
from iqcli.fs import scratch
from iqcli.fs.other_programs import refusal
from iqcli.records import Verdict
from iqcli.text import display_path
from iqcli.transactions import apply as transactions
from iqcli.transactions import undo
from iqcli.transactions.history import unreadable
from iqcli.transactions.plan import Action

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from iqcli.cli.commands.cull.request import CullAction
    from iqcli.cli.session import Session
    from iqcli.errors import Exit
    from iqcli.records import Decision
    from iqcli.transactions.edits import Edit
    from iqcli.transactions.plan import Outcome, Plan

WOULD = {
    Action.MOVE: "would move; nothing has moved yet",
    Action.COPY: "would be copied; nothing is copied yet",
    Action.LINK: "would be linked; nothing is linked yet",
    Action.TRASH: "would go to the trash; nothing has moved yet",
}
NOTHING = {
    Action.MOVE: "nothing has moved",
    Action.COPY: "nothing is copied",
    Action.LINK: "nothing is linked",
    Action.TRASH: "nothing has moved",
}


def recover(session: Session, roots: Iterable[Path]) -> None:
    """Undo what an earlier run on these folders did not finish."""
    for why in unreadable(session.settings.state_dir):
        info(f"iq: {why}")
    scratch.sweep(session.settings.state_dir)
    for outcome in undo.recover(roots, session.settings.state_dir):
        moved = outcome.what in (Action.MOVE, Action.TRASH)
        photos, count = counted(outcome.shots, "photo"), counted(outcome.files, "file")
        back = f"its {photos} went back" if moved else f"its {count} are taken back"
        info(f"run {outcome.of} had been cut off; {back}")


def make_plan(
    session: Session,
    decisions: Sequence[Decision],
    rule: str,
    action: CullAction,
    *,
    kept: bool,
    judged: int,
    max_reject: float,
) -> Plan | None:
    """The plan of what the decisions reject, by the model that scored them.

    It reads all files of the rejects, so it is only made where it is carried out or `kept`. It
    remembers of how many `judged` photos it was made, and what share could be rejected.
    """
    if action.acts or kept:
        named = (each.photo.rating.model for each in decisions if each.photo.rating)
        model = next(named, session.settings.model)
        plan = planner.make(decisions, rule, model, action.kind)
        return replace(plan, judged=judged, max_reject=max_reject)
    if action.kind is not Action.LIST:
        planner.check_files(decisions)
    return None


def save(plan: Plan, file: Path, session: Session) -> None:
    """Keep the plan in a file."""
    planner.save(plan, file)
    if not session.quiet:
        here = all(root.is_relative_to(Path.cwd()) for root in plan.roots)
        folders = "" if here else " FOLDER"
        act = f"{folders} --apply` carries it out"
        way = "` lists it again" if plan.action is Action.LIST else act
        info(f"the plan is in {display_path(file)}; `iq cull --from-plan FILE{way}")


def carry_out(
    plan: Plan | None,
    decisions: Sequence[Decision],
    session: Session,
    action: CullAction,
    needs: str,
) -> Exit:
    """Do it, or say what would be done; an action that acts needs its plan.

    `needs` is what has to be given beside `--apply`, "" for nothing.
    """
    if action.acts:
        assert plan is not None
        summary = _apply(plan, decisions, session, action)
    else:
        summary = _would(decisions, action, needs)
    if not session.quiet:
        info(summary)
    return session.counts.exit_code


def _would(decisions: Sequence[Decision], action: CullAction, needs: str) -> str:
    shots = [each.photo.shot for each in decisions if each.verdict is Verdict.REJECT]
    what = _photos(len(shots), sum(len(each.files) for each in shots))
    if action.kind is Action.LIST:
        return f"{what} listed; nothing is touched"
    written = ", no XMP is written" if action.profile is not None else ""
    if why := refusal(path.parent for shot in shots for path in (shot.root / " ", *shot.files)):
        return f"{what} {WOULD[action.kind]}, and --apply would refuse it: {why}"
    if shots:
        way_out = " ".join(filter(None, ("--apply", needs)))
        return f"{what} {WOULD[action.kind]}{written}, give {way_out} to do it"
    return f"no photo is rejected; {NOTHING[action.kind]}{written}"


def _photos(shots: int, files: int) -> str:
    return f"{counted(shots, 'photo')} ({counted(files, 'file')})"


def _apply(plan: Plan, decisions: Sequence[Decision], session: Session, action: CullAction) -> str:
    """Carry out the plan, in one run with the XMP edits if there are any, and say what was done."""

    def commit(edits: Sequence[Edit], state_dir: Path) -> Outcome:
        nonlocal plan
        if not plan.shots:
            return transactions.write(edits, state_dir)
        plan = planner.with_edits(plan, edits)
        return transactions.apply(plan, state_dir, edits)

    if action.profile is None:
        done = transactions.apply(plan, session.settings.state_dir)
    else:
        done = sidecars.write(
            session,
            decisions,
            action.profile,
            embed=action.embed,
            stars=action.stars,
            commit=commit,
        )
    return describe(done, plan) if plan.shots else f"no photo is rejected; {NOTHING[plan.action]}"


def describe(done: Outcome, plan: Plan) -> str:
    """What was done by that plan, and the way back."""
    what, action = _photos(len(plan.shots), plan.files), plan.action
    where = ", ".join(display_path(folder) for folder in done.rejects)
    xmp = " and takes the XMP back" if done.edited else ""
    if action is Action.TRASH:
        return f"put {what} in the trash, as one folder; restore it and `iq undo {done.run}`"
    if action is Action.MOVE:
        return f"moved {what} to {where}; `iq undo` puts them back{xmp} (run {done.run})"
    verb, new = ("copied", "copies") if action is Action.COPY else ("linked", "links")
    return f"{verb} {what} to {where}; `iq undo` removes the {new}{xmp} (run {done.run})"
