"""The options of `iq cull`: what to reject, what never, and what becomes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from iqcli.cli.options import a_share
from iqcli.settings import UNITS

ACTIONS = ("move", "copy", "link", "trash", "list")

Below = Annotated[
    float | None, typer.Option("--below", help="Reject what scores less.", metavar="SCORE")
]
Worst = Annotated[
    float | None,
    typer.Option("--worst", help="Reject this share, the worst.", parser=a_share, metavar="P%"),
]
Promise = Annotated[
    float | None,
    typer.Option(
        "--promise",
        help="Reject what it can while at most this share of it is good; it caps other rules.",
        parser=a_share,
        metavar="P%",
    ),
]
Keep = Annotated[
    str | None,
    typer.Option("--keep", help="Keep so many, the best; reject the rest.", metavar="N|P%"),
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
        help="With --keep: leave for review what comes so near the last kept.",
        metavar="POINTS",
    ),
]
Apply = Annotated[bool, typer.Option("--apply", help="Do it: move the rejects.")]
ActionName = Annotated[
    str | None,
    typer.Option(
        "--action",
        help="What becomes of rejects: move, copy, link, trash, or list: only print their paths.",
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
        help="Take a plan, or decisions of the sheet, from this file.",
        metavar="FILE",
    ),
]
Review = Annotated[
    bool, typer.Option("--review", help="Look at each photo and decide yourself, with keys.")
]
MaxReject = Annotated[
    float | None,
    typer.Option(
        "--max-reject", help="Stop a plan that rejects more [50%].", parser=a_share, metavar="P%"
    ),
]
IncludeRated = Annotated[
    bool,
    typer.Option("--include-rated", help="Do not protect photos that have stars or a flag."),
]
IncludeSets = Annotated[
    bool,
    typer.Option("--include-sets", help="Treat frames of brackets and panoramas as any photos."),
]
Xmp = Annotated[
    bool, typer.Option("--xmp", help="With --apply: first write XMP sidecars of all decisions.")
]
