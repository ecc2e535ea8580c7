"""A cull by a rule: photos are judged, decided on, shown, and what is wished becomes of them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from iqcli.cli.commands.cull import execute, report, ruling
from iqcli.cli.console import say, warn
from iqcli.records import BY_HAND

if TYPE_CHECKING:
    from iqcli.cli.commands.cull.request import Wish
    from iqcli.cli.session import Run
    from iqcli.culling.rules import Rule
    from iqcli.errors import Exit
    from iqcli.pipeline.thumbnails import Spool
    from iqcli.records import Decision


def carry_out(run: Run, wish: Wish) -> Exit:
    """Show what the rule decides, and do it if that is wished. Raises IqError like its parts."""
    form = wish.form(wish.deed.action, run.settings)
    wish.check()
    rule, origin = ruling.chosen(wish.rule, run)
    rule, grounds = ruling.grounded(rule, run)
    if wish.deed.acts:
        execute.take_back_cut_off(run, run.folders)
    decisions = _decided(run, rule, wish)
    if form != "table" or wish.binds:
        wish.check_share(decisions, run.settings)
    kept = wish.plan_file is not None
    made = execute.planned(decisions, str(rule), run, wish.deed, kept=kept)
    report.show(decisions, form, nul=wish.nul)
    if made and wish.plan_file:
        execute.save(made, wish.plan_file, run)
    code = run.finish()
    if not run.quiet:
        for line in (*origin, *report.summary(decisions), *grounds):
            say(line)
        report.warn_of_losses(decisions)
    wish.check_share(decisions, run.settings)  # a person may look at a plan that goes too far
    if not wish.keeps and any(BY_HAND in each.codes for each in decisions):
        warn("what you chose is not kept; give --review with --apply or --plan FILE for that")
    return max(execute.carry_out(made, decisions, run, wish.deed), code)


def _decided(run: Run, rule: Rule, wish: Wish) -> list[Decision]:
    """The decisions of the rule, drawn and looked through where that is wished for."""
    from iqcli.culling import decide
    from iqcli.culling.grouping.group import group

    with ExitStack() as stack:
        spool = stack.enter_context(_spool()) if wish.html or wish.review else None
        judged = group(list(run.judged(grouped=True, spool=spool)))
        decisions = decide.decide(judged, rule, wish.protect)
        if spool is not None:
            decisions = _looked_through(run, decisions, spool, wish)
    return decisions


def _spool() -> Spool:
    from iqcli.pipeline.thumbnails import Spool

    return Spool()


def _looked_through(
    run: Run, decisions: list[Decision], spool: Spool, wish: Wish
) -> list[Decision]:
    if wish.review:
        from iqcli.cli.commands.cull.review import review

        wish.check_share(decisions, run.settings)  # not after an hour of choosing by hand
        decisions = review(decisions, spool)
    if wish.html is not None:
        from iqcli.cli.commands.contact_sheet import write_sheet

        write_sheet(run, wish.html, decisions, spool)
    return decisions
