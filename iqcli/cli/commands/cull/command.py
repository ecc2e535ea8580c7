"""`iq cull`: show which photos a rule rejects, and move them only when told to."""

from __future__ import annotations

from iqcli.cli.commands.contact_sheet import Html
from iqcli.cli.commands.cull import cullopts as opt
from iqcli.cli.commands.xmp import Embed, Stars, XmpProfile
from iqcli.cli.options import Format, Nul, over_photos
from iqcli.cli.session import Run
from iqcli.errors import Exit, IqError


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
    from iqcli.cli.commands.cull import execute, planfile
    from iqcli.cli.commands.cull import run as ruled
    from iqcli.cli.commands.cull.request import Wish
    from iqcli.culling.rules import Protect

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
        deed=execute.wanted(run, action, xmp_profile, stars, apply=apply, xmp=xmp, embed=embed),
        format=format,
        nul=print0,
    )
    if from_plan is None:
        return ruled.carry_out(run, wish)
    rules = any(each is not None for each in wish.rule.values())
    if run.given or plan_file or html or review or rules or include_rated or include_sets:
        raise IqError("a plan has its own photos and rule; give --from-plan alone")
    return planfile.run_plan(from_plan, run, wish)
