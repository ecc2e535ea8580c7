"""`iq cull`: show which photos a rule rejects, and move them only when told to."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from iqcli.commands import cullopts as opt
from iqcli.commands import deeds, planfile, ruling, showing
from iqcli.commands.options import Format, Nul, over_photos
from iqcli.commands.run import Run
from iqcli.commands.screen import say
from iqcli.commands.sheet import Html
from iqcli.commands.sidecars import Embed, Stars, XmpProfile
from iqcli.commands.wish import Wish
from iqcli.culling.protect import Protect
from iqcli.errors import Exit, IqError

if TYPE_CHECKING:
    from iqcli.culling.rules import Rule
    from iqcli.records import Decision
    from iqcli.sights import Spool


@over_photos
def cull(
    run: Run,
    below: opt.Below = None,
    worst: opt.Worst = None,
    promise: opt.Promise = None,
    keep: opt.Keep = None,
    per: opt.Per = None,
    margin: opt.Margin = None,
    apply: opt.Apply = False,
    action: opt.ActionName = None,
    plan_file: opt.PlanFile = None,
    from_plan: opt.FromPlan = None,
    review: opt.Review = False,
    html: Html = None,
    xmp: opt.Xmp = False,
    xmp_profile: XmpProfile = None,
    embed: Embed = False,
    stars: Stars = None,
    max_reject: opt.MaxReject = None,
    include_rated: opt.IncludeRated = False,
    include_sets: opt.IncludeSets = False,
    format: Format = None,
    print0: Nul = False,
) -> Exit:
    """Show or move what a rule rejects.

    Without a rule, what the model is sure that people would rate under the middle of the scale.
    Several rules reject what any of them rejects.

    With --apply the rejects move to _Rejected/ in the folder that was given.

    Nothing is deleted or overwritten, and `iq undo` puts everything back. Photos that have stars or
    a flag, brackets and panoramas stay; so does the best photo of each moment, unless it scores too
    low by itself.
    """
    wish = Wish(
        rule={
            "below": below,
            "worst": worst,
            "promise": promise,
            "keep": keep,
            "per": per,
            "margin": margin,
        },
        protect=Protect(marked=not include_rated, sets=not include_sets),
        max_reject=max_reject,
        review=review,
        html=html,
        plan_file=plan_file,
        action=action,
        deed=deeds.wanted(run, action, xmp_profile, stars, apply=apply, xmp=xmp, embed=embed),
        format=format,
        nul=print0,
    )
    if from_plan is None:
        return _cull(run, wish)
    ruled = any(each is not None for each in wish.rule.values())
    if run.given or plan_file or html or review or ruled or include_rated or include_sets:
        raise IqError("a plan has its own photos and rule; give --from-plan alone")
    return planfile.carry_out(from_plan, run, wish)


def _cull(run: Run, wish: Wish) -> Exit:
    form = wish.form(wish.deed.action, run.settings)
    wish.check_looks()
    rule, origin = ruling.chosen(wish.rule, run)
    rule, grounds = ruling.grounded(rule, run)
    if wish.deed.acts:
        deeds.take_back_cut_off(run, run.folders)
    decisions = _decided(run, rule, wish)
    if form != "table" or wish.binds:
        wish.check_share(decisions, run.settings)
    kept = wish.plan_file is not None
    made = deeds.planned(decisions, str(rule), run, wish.deed, kept=kept)
    showing.show(decisions, form, nul=wish.nul)
    if made and wish.plan_file:
        deeds.save(made, wish.plan_file, run)
    code = run.finish()
    if not run.quiet:
        for line in (*origin, *showing.summary(decisions), *grounds):
            say(line)
        showing.warn_of_losses(decisions)
    wish.check_share(decisions, run.settings)  # a person may look at a plan that goes too far
    return max(deeds.carry_out(made, decisions, run, wish.deed), code)


def _decided(run: Run, rule: Rule, wish: Wish) -> list[Decision]:
    """The decisions of the rule, drawn and looked through where that is wished for."""
    from iqcli.culling import choose
    from iqcli.culling.group import group

    with ExitStack() as stack:
        spool = stack.enter_context(_spool()) if wish.html or wish.review else None
        judged = group(list(run.judged(grouped=True, spool=spool)))
        decisions = choose.decide(judged, rule, wish.protect)
        if spool is not None:
            decisions = _looked_through(run, decisions, spool, wish)
    return decisions


def _spool() -> Spool:
    from iqcli.sights import Spool

    return Spool()


def _looked_through(
    run: Run, decisions: list[Decision], spool: Spool, wish: Wish
) -> list[Decision]:
    if wish.review:
        from iqcli.commands.review import review

        wish.check_share(decisions, run.settings)  # not after an hour of choosing by hand
        decisions = review(decisions, spool)
    if wish.html is not None:
        from iqcli.commands.sheet import write_sheet

        write_sheet(run, wish.html, decisions, spool)
    return decisions
