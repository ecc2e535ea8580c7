"""What follows from decisions: they are shown, counted, kept in a plan, and carried out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from iqcli.cli.commands import xmp as sidecars
from iqcli.cli.console import counted, info
from iqcli.culling import planner
from iqcli.errors import Exit, IqError
from iqcli.fs import scratch
from iqcli.records import Shot, Verdict
from iqcli.text import display_path
from iqcli.transactions import apply as moving
from iqcli.transactions.history import unreadable
from iqcli.transactions.plan import Action

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from iqcli.cli.session import Session
    from iqcli.culling.planner import Plan
    from iqcli.records import Decision

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


@dataclass(frozen=True)
class Deed:
    """What to do with the rejects. With a `profile`, XMP tells of all decisions first.

    `stars` says how it turns scores into stars; `embed`: it is written into the photos, too.
    """

    action: Action
    apply: bool = False
    profile: str | None = None
    stars: str = ""
    embed: bool = False

    @property
    def acts(self) -> bool:
        """Whether anything is done beside showing; a list never touches a photo."""
        return self.apply and self.action is not Action.LIST


def wanted(
    session: Session,
    action: str | None,
    profile: str | None,
    stars: str | None,
    *,
    apply: bool,
    xmp: bool,
    embed: bool,
) -> Deed:
    """What the options ask for. Raises IqError where they do not go together."""
    if action is not None and action not in tuple(Action):
        raise IqError(f"--action is {action!r}; give one of {', '.join(Action)}")
    chosen = Action(action or Action.MOVE)
    if xmp and chosen is Action.LIST:
        raise IqError("--action list touches nothing; leave --xmp out")
    profile, stars = sidecars.choose_xmp(session, profile, stars, xmp=xmp, embed=embed)
    return Deed(chosen, apply, profile if xmp else None, stars, embed)


def planned(
    decisions: Sequence[Decision], rule: str, session: Session, deed: Deed, *, kept: bool = False
) -> Plan | None:
    """The plan of what the decisions reject, by the model that scored them.

    It reads every file of theirs: none is made that is neither carried out nor `kept`.
    """
    if deed.acts or kept:
        named = (each.photo.rating.model for each in decisions if each.photo.rating)
        return planner.make(decisions, rule, next(named, session.settings.model), deed.action)
    if deed.action is not Action.LIST:
        planner.check_files(decisions)
    return None


def take_back_cut_off(session: Session, roots: Iterable[Path]) -> None:
    """Put back what an earlier run on these folders did not finish."""
    for why in unreadable(session.settings.state_dir):
        info(f"iq: {why}")
    scratch.sweep(session.settings.state_dir)
    for outcome in moving.recover(roots, session.settings.state_dir):
        moved = outcome.what in (Action.MOVE, Action.TRASH)
        photos, count = counted(outcome.shots, "photo"), counted(outcome.files, "file")
        back = f"its {photos} went back" if moved else f"its {count} are taken back"
        info(f"run {outcome.of} had been cut off; {back}")


def carry_out(
    made: Plan | None, decisions: Sequence[Decision], session: Session, deed: Deed
) -> Exit:
    """Do it, or say what would be done; a deed that acts needs its plan."""
    if deed.acts:
        assert made is not None
        told = _done(made, decisions, session, deed)
    else:
        told = _would(decisions, deed)
    if not session.quiet:
        info(told)
    return session.counts.exit_code


def _would(decisions: Sequence[Decision], deed: Deed) -> str:
    shots = [each.photo.shot for each in decisions if each.verdict is Verdict.REJECT]
    what = _photos(len(shots), sum(len(each.files) for each in shots))
    if deed.action is Action.LIST:
        return f"{what} listed; nothing is touched"
    written = ", no XMP is written" if deed.profile is not None else ""
    if shots:
        return f"{what} {WOULD[deed.action]}{written}, give --apply to do it"
    return f"no photo is rejected; {NOTHING[deed.action]}{written}"


def _photos(shots: int, files: int) -> str:
    return f"{counted(shots, 'photo')} ({counted(files, 'file')})"


def _done(made: Plan, decisions: Sequence[Decision], session: Session, deed: Deed) -> str:
    edits = ""
    if deed.profile is not None:
        edits = sidecars.write(session, decisions, deed.profile, embed=deed.embed, stars=deed.stars)
        if edits and made.shots:
            return _along(made, decisions, session, deed, edits)
    if not made.shots:
        return f"no photo is rejected; {NOTHING[made.action]}"
    return in_words(moving.apply(made, session.settings.state_dir), made)


def _along(
    made: Plan, decisions: Sequence[Decision], session: Session, deed: Deed, edits: str
) -> str:
    """Move what sidecars were just written for; if that fails, those edits are taken back."""
    state = session.settings.state_dir
    try:
        again = planner.make(_refound(decisions, deed), made.rule, made.model, made.action)
        done = moving.apply(again, state, along=edits)
    except BaseException:
        try:
            moving.undo(edits, state)
            info(f"what was written into XMP is taken back (run {edits})")
        except IqError as error:  # what went wrong first is what a person has to mend first
            info(f"iq: what was written into XMP stays (run {edits}): {error}")
        raise
    return in_words(done, again)


def _refound(decisions: Sequence[Decision], deed: Deed) -> list[Decision]:
    """The rejects with the sidecars that they have now; embedding made other bytes of the photo."""
    from iqcli.photos.find import find_shots

    rejects = [each for each in decisions if each.verdict is Verdict.REJECT]
    paths = [each.photo.shot.path for each in rejects]
    now = {shot.path: shot.companions for shot in find_shots(paths, on_problem=lambda _, __: None)}
    found = []
    for each in rejects:
        shot = each.photo.shot
        shot = Shot(shot.root, shot.path, now.get(shot.path, shot.companions))
        digest = None if deed.embed else each.photo.sha256
        found.append(replace(each, photo=replace(each.photo, shot=shot, sha256=digest)))
    return found


def in_words(done: moving.Outcome, made: Plan) -> str:
    """What was done by that plan, and the way back."""
    what, action = _photos(len(made.shots), made.files), made.action
    where = ", ".join(display_path(folder) for folder in done.rejects)
    if action is Action.TRASH:
        return f"put {what} in the trash, as one folder; restore it and `iq undo {done.run}`"
    if action is Action.MOVE:
        return f"moved {what} to {where}; `iq undo` puts them back (run {done.run})"
    verb, new = ("copied", "copies") if action is Action.COPY else ("linked", "links")
    return f"{verb} {what} in {where}; `iq undo` removes the {new} (run {done.run})"


def save(made: Plan, file: Path, session: Session) -> None:
    """Keep the plan in a file."""
    planner.save(made, file)
    if not session.quiet:
        way = "` lists it again" if made.action is Action.LIST else " --apply` carries it out"
        info(f"the plan is in {display_path(file)}; `iq cull --from-plan FILE{way}")
