"""`iq cull`: show which photos a rule rejects, and move them only when asked to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from iqcli.cli.commands.contact_sheet import Html
from iqcli.cli.commands.xmp import Embed, Stars, XmpProfile
from iqcli.cli.console import info
from iqcli.cli.options import Format, IgnoreUnreadable, Nul, over_photos
from iqcli.cli.session import Session
from iqcli.errors import Exit, IqError
from iqcli.settings import CAPPED, HELD_BACK, UNITS, checked
from iqcli.text import percent

ACTIONS = ("move", "copy", "link", "trash", "list")

Below = Annotated[
    float | None, typer.Option("--below", help="Reject photos that score less.", metavar="SCORE")
]
Worst = Annotated[
    str | None,
    typer.Option("--worst", help="Reject the worst, N or a share.", metavar="N|P%"),
]
Promise = Annotated[
    str | None,
    typer.Option(
        "--promise",
        help="Reject as many as possible while at most this share is good; caps other rules.",
        metavar="P%",
    ),
]
Keep = Annotated[
    str | None,
    typer.Option("--keep", help="Keep the best, N or a share; reject the rest.", metavar="N|P%"),
]
Duplicates = Annotated[
    bool,
    typer.Option("--duplicates", help="Reject copies of a picture, all but the most original."),
]
Per = Annotated[
    str | None,
    typer.Option(
        "--per",
        help="With --keep and --worst: of each burst, scene, day or folder, or of all.",
        metavar="UNIT",
        autocompletion=lambda: list(UNITS),
    ),
]
Margin = Annotated[
    float | None,
    typer.Option(
        "--margin",
        help="With --keep: leave photos for review that score almost as much as the last kept.",
        metavar="POINTS",
    ),
]
Apply = Annotated[bool, typer.Option("--apply", help="Carry it out: move the rejects.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing: this is the default.")]
ActionName = Annotated[
    str | None,
    typer.Option(
        "--action",
        help="What to do with rejects: move, copy, link, trash, or list (only print paths).",
        metavar="ACTION",
        autocompletion=lambda: list(ACTIONS),
    ),
]
PlanFile = Annotated[
    Path | None, typer.Option("--plan", help="Write the plan to this file.", metavar="FILE")
]
FromPlan = Annotated[
    Path | None,
    typer.Option(
        "--from-plan",
        help="Use the plan, or the decisions of a contact sheet, in this file; "
        "PATHS are the folders that it may change, by default this one.",
        metavar="FILE",
    ),
]
Review = Annotated[
    bool, typer.Option("--review", help="Decide photo by photo, with keys; A accepts, Q quits.")
]
MaxReject = Annotated[
    str | None,
    typer.Option(
        "--max-reject", help="Refuse to --apply what rejects a larger share [50%].", metavar="P%"
    ),
]
IncludeRated = Annotated[
    bool,
    typer.Option("--include-rated", help="Do not protect photos that have stars or a flag."),
]
ProtectLabels = Annotated[
    bool,
    typer.Option("--protect-labels", help="Protect photos that have a colour label, too."),
]
IncludeSets = Annotated[
    bool,
    typer.Option("--include-sets", help="Do not protect brackets, panoramas and time-lapses."),
]
KeepMoments = Annotated[
    bool,
    typer.Option(
        "--keep-moments", help="With --keep and --worst: keep the best photo of each moment."
    ),
]
Xmp = Annotated[
    bool, typer.Option("--xmp", help="With --apply: also write all decisions to XMP sidecars.")
]


@over_photos
def cull(
    session: Session,
    below: Below = None,
    worst: Worst = None,
    promise: Promise = None,
    keep: Keep = None,
    duplicates: Duplicates = False,
    per: Per = None,
    margin: Margin = None,
    apply: Apply = False,
    dry_run: DryRun = False,
    action: ActionName = None,
    plan_file: PlanFile = None,
    from_plan: FromPlan = None,
    review: Review = False,
    html: Html = None,
    xmp: Xmp = False,
    xmp_profile: XmpProfile = None,
    embed: Embed = False,
    stars: Stars = None,
    max_reject: MaxReject = None,
    include_rated: IncludeRated = False,
    protect_labels: ProtectLabels = False,
    include_sets: IncludeSets = False,
    keep_moments: KeepMoments = False,
    ignore_unreadable: IgnoreUnreadable = False,
    format: Format = None,
    print0: Nul = False,
) -> Exit:
    """Show the photos that a rule rejects; move them with --apply.

    Without a rule: copies, and those that people would surely rate below the middle of the scale,
    as far as the model can tell. Several rules reject what any of them rejects.

    --worst 20% rejects a fifth of all scored photos or of each group --per, --worst 20 twenty.
    Photos with stars or a flag, brackets, panoramas and time-lapses stay, and nothing goes in
    their place.

    --duplicates rejects photos that hold the same picture as another, also smaller or recompressed.
    Cropped and recoloured ones are left for review.

    With --apply, rejects move to _Rejected/ in the folder that was given. Nothing is deleted or
    overwritten, and `iq undo` puts everything back.
    """
    from iqcli.cli.commands.cull.request import CullAction, CullRequest, parse_rule
    from iqcli.cli.commands.cull.run import cull as run
    from iqcli.culling.rules import Protection, Rule

    if dry_run and apply:
        raise IqError("--dry-run changes nothing and --apply does; leave one of them out")
    if dry_run and not session.quiet:
        info("--dry-run is the default; nothing changes without --apply")
    where = session.origins.get(CAPPED, "")
    if max_reject is None and HELD_BACK in where and not session.quiet:
        info(f"{CAPPED} is {percent(session.settings.max_reject)} ({where})")
    session.counts.ignores_unreadable = ignore_unreadable
    if protect_labels:
        session.settings = replace(session.settings, protect_labels=True)
    given = {
        "below": below,
        "worst": worst,
        "promise": promise,
        "keep": keep,
        "duplicates": duplicates or None,
        "per": per,
        "margin": margin,
    }
    request = CullRequest(
        rule=Rule(),
        protection=Protection(
            marked=not include_rated, sets=not include_sets, moments=keep_moments
        ),
        action=CullAction.parse(
            session, action, xmp_profile, stars, apply=apply, xmp=xmp, embed=embed
        ),
        max_reject=None
        if max_reject is None
        else checked("max_reject", max_reject, "--max-reject"),
        review=review,
        html=html,
        plan_file=plan_file,
        source=from_plan,
        format=format,
        nul=print0,
    )
    if from_plan is None:
        rule, notes = parse_rule(given, session)
        if keep_moments and rule.worst is None and rule.keep is None:
            raise IqError(
                "--keep-moments is for what --keep and --worst compare; give one of them with it"
            )
        return run(session, replace(request, rule=rule), notes)
    rules = any(each is not None for each in given.values())
    lifted = include_rated or include_sets or keep_moments or protect_labels
    if plan_file or html or review or rules or lifted:
        raise IqError(
            "a plan has its own photos and rule; give --from-plan alone, or with its folder"
        )
    return run(session, request)
