"""A cull by a rule: photos are judged, decided on, shown, and what is wished becomes of them.

A cull from a file: a plan, or the decisions that a person took on the sheet.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from iqcli.cli.commands.cull import execute, report, request
from iqcli.cli.console import info, warn
from iqcli.culling import planner
from iqcli.errors import IqError
from iqcli.records import BY_HAND, Decision, Photo, Rating, Shot, Verdict
from iqcli.transactions import jsonl

if TYPE_CHECKING:
    from pathlib import Path

    from iqcli.cli.commands.cull.request import Wish
    from iqcli.cli.session import Session
    from iqcli.culling.rules import Rule
    from iqcli.errors import Exit
    from iqcli.pipeline.thumbnails import ThumbnailStore
    from iqcli.records import Decision
    from iqcli.transactions.plan import Plan, PlannedShot


def carry_out(session: Session, wish: Wish) -> Exit:
    """Show what the rule decides, and do it if that is wished. Raises IqError like its parts."""
    form = wish.form(wish.deed.action, session.settings)
    wish.check()
    rule, origin = request.chosen(wish.rule, session)
    rule, grounds = request.grounded(rule, session)
    if wish.deed.acts:
        execute.take_back_cut_off(session, session.folders)
    decisions = _decided(session, rule, wish)
    if form != "table" or wish.binds:
        wish.check_share(decisions, session.settings)
    kept = wish.plan_file is not None
    made = execute.planned(decisions, str(rule), session, wish.deed, kept=kept)
    report.show(decisions, form, nul=wish.nul)
    if made and wish.plan_file:
        execute.save(made, wish.plan_file, session)
    code = session.report()
    if not session.quiet:
        for line in (*origin, *report.summary(decisions), *grounds):
            info(line)
        report.warn_of_losses(decisions)
    wish.check_share(decisions, session.settings)  # a person may look at a plan that goes too far
    if not wish.keeps and any(BY_HAND in each.codes for each in decisions):
        warn("what you chose is not kept; give --review with --apply or --plan FILE for that")
    return max(execute.carry_out(made, decisions, session, wish.deed), code)


def _decided(session: Session, rule: Rule, wish: Wish) -> list[Decision]:
    """The decisions of the rule, drawn and looked through where that is wished for."""
    from iqcli.culling import decide
    from iqcli.culling.grouping.group import group

    with ExitStack() as stack:
        store = stack.enter_context(_thumbnail_store()) if wish.html or wish.review else None
        photos = group(list(session.photos(grouped=True, store=store)))
        decisions = decide.decide(photos, rule, wish.protect)
        if store is not None:
            decisions = _looked_through(session, decisions, store, wish)
    return decisions


def _thumbnail_store() -> ThumbnailStore:
    from iqcli.pipeline.thumbnails import ThumbnailStore

    return ThumbnailStore()


def _looked_through(
    session: Session, decisions: list[Decision], store: ThumbnailStore, wish: Wish
) -> list[Decision]:
    if wish.review:
        from iqcli.cli.commands.cull.review import review

        wish.check_share(decisions, session.settings)  # not after an hour of choosing by hand
        decisions = review(decisions, store)
    if wish.html is not None:
        from iqcli.cli.commands.contact_sheet import write_sheet

        write_sheet(session, wish.html, decisions, store)
    return decisions


RULE = "by hand"
# No line that names a folder is longer.
LINE_BYTES = 1 << 20


def run_plan(file: Path, session: Session, wish: Wish) -> Exit:
    """Show what the file says, and do it if that is wished.

    Raises IqError for a file that is neither, PlanConflict where it does not fit the disk.
    """
    from iqcli.culling import decisions

    if decisions.is_ours(file):
        if wish.deed.acts:
            execute.take_back_cut_off(session, _roots(file))
        return _by_hand(decisions.load(file), session, wish)
    made = planner.load(file)
    _check(made, wish)
    deed = replace(wish.deed, action=made.action)
    if deed.acts:
        execute.take_back_cut_off(session, made.roots)
    found = [_decision(shot, made.model) for shot in made.shots]
    report.show(found, wish.form(made.action, session.settings), nul=wish.nul)
    if not (session.quiet or wish.deed.apply):
        info(f"the plan is of {made.created}, by {made.model}: {made.rule}")
    return execute.carry_out(made, found, session, deed)


def _by_hand(found: list[Decision], session: Session, wish: Wish) -> Exit:
    form = wish.form(wish.deed.action, session.settings)
    wish.check_share(found, session.settings)
    made = execute.planned(found, RULE, session, wish.deed)
    report.show(found, form, nul=wish.nul)
    if not session.quiet:
        for line in report.summary(found):
            info(line)
    return execute.carry_out(made, found, session, wish.deed)


def _roots(file: Path) -> set[Path]:
    """The folders that decisions are of, before it is asked whether their photos are there."""
    found = set()
    with file.open("rb") as opened:
        for data in iter(lambda: opened.readline(LINE_BYTES), b""):
            with suppress(IqError):
                found.add(jsonl.path_of(jsonl.record(data) or {}, "root"))
    return {each for each in found if each.is_absolute()}


def _check(made: Plan, wish: Wish) -> None:
    """Refuse what a plan has settled already. Raises IqError."""
    if wish.action is not None and made.action is not wish.deed.action:
        raise IqError(f"the plan is to {made.action}; make another plan to {wish.deed.action}")
    if wish.deed.profile is not None:
        raise IqError("a plan holds no photo but the rejects; leave --xmp out, see iq export --xmp")
    if wish.max_reject is not None:
        _check_share(made, wish.max_reject)


def _check_share(made: Plan, max_reject: float) -> None:
    from iqcli.culling import decide
    from iqcli.photos.find import find_shots

    photos = sum(1 for _ in find_shots(made.roots, on_problem=lambda _, __: None))
    decide.check_counts(len(made.shots), max(photos, len(made.shots)), max_reject)


def _decision(shot: PlannedShot, model: str) -> Decision:
    first, *rest = shot.files
    paths = Shot(shot.root, shot.root / first.source, tuple(shot.root / e.source for e in rest))
    rating = None if shot.score is None else Rating(shot.score, None, model)
    photo = Photo(paths, first.sha256, rating=rating)
    return Decision(photo, Verdict.REJECT, shot.reasons, shot.codes)
