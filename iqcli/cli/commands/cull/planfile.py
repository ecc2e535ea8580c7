"""A cull from a file: a plan, or the decisions that a person took on the sheet."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from iqcli.cli.commands.cull import execute, report
from iqcli.cli.console import say
from iqcli.culling import planner
from iqcli.errors import IqError
from iqcli.records import Decision, Judged, Rating, Shot, Verdict
from iqcli.transactions import jsonl

if TYPE_CHECKING:
    from pathlib import Path

    from iqcli.cli.commands.cull.request import Wish
    from iqcli.cli.session import Run
    from iqcli.errors import Exit
    from iqcli.transactions.plan import Plan, PlannedShot

RULE = "by hand"
# No line that names a folder is longer.
LINE_BYTES = 1 << 20


def run_plan(file: Path, run: Run, wish: Wish) -> Exit:
    """Show what the file says, and do it if that is wished.

    Raises IqError for a file that is neither, PlanConflict where it does not fit the disk.
    """
    from iqcli.culling import decisions

    if decisions.is_ours(file):
        if wish.deed.acts:
            execute.take_back_cut_off(run, _roots(file))
        return _by_hand(decisions.load(file), run, wish)
    made = planner.load(file)
    _check(made, wish)
    deed = replace(wish.deed, action=made.action)
    if deed.acts:
        execute.take_back_cut_off(run, made.roots)
    found = [_decision(shot, made.model) for shot in made.shots]
    report.show(found, wish.form(made.action, run.settings), nul=wish.nul)
    if not (run.quiet or wish.deed.apply):
        say(f"the plan is of {made.created}, by {made.model}: {made.rule}")
    return execute.carry_out(made, found, run, deed)


def _by_hand(found: list[Decision], run: Run, wish: Wish) -> Exit:
    form = wish.form(wish.deed.action, run.settings)
    wish.check_share(found, run.settings)
    made = execute.planned(found, RULE, run, wish.deed)
    report.show(found, form, nul=wish.nul)
    if not run.quiet:
        for line in report.summary(found):
            say(line)
    return execute.carry_out(made, found, run, wish.deed)


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
    judged = Judged(paths, first.sha256, rating=rating)
    return Decision(judged, Verdict.REJECT, shot.reasons, shot.codes)
