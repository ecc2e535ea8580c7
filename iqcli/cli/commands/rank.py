"""`iq rank`: the photos best first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from iqcli.cli.console import info
from iqcli.cli.options import Format, Limit, Nul, Reverse, Sort, over_photos
from iqcli.cli.output import arrange, choose, choose_column, choose_format, write_results
from iqcli.cli.session import Session
from iqcli.errors import Exit, IqError
from iqcli.settings import UNITS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from iqcli.cli.output import Result
    from iqcli.records import Photo

COLUMNS = ("rank", "score", "bar", "uncertainty", "technical", "aesthetic", "issues", "path")
# What is seen in the photos themselves, and the column that says which one a photo is of.
LOOKED = ("burst", "scene")
CALLED = {"burst": "group", "scene": "scene", "day": "day", "folder": "folder"}
Per = Annotated[
    str | None,
    typer.Option(
        "--per",
        help="Side by side: burst, scene, day or folder.",
        metavar="WHAT",
        autocompletion=lambda: list(UNITS),
    ),
]
# Photos that --preview draws, unless --limit says otherwise.
PREVIEWED = 24


@over_photos
def rank(
    session: Session,
    format: Format = None,
    print0: Nul = False,
    sort: Sort = None,
    reverse: Reverse = False,
    limit: Limit = None,
    per: Per = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Draw the photos, on a terminal [24 of them].")
    ] = False,
) -> Exit:
    """Order photos, best first.

    The percentile is the share of the other photos that score lower.

    With --per the photos of a burst, scene, day or folder stand side by side, those with the best
    photo first; rank, percentile and --limit are of each by itself. A photo alone is listed too,
    and the frames of a bracket or panorama all together.
    """
    if per is not None:
        choose(per, UNITS, "--per")
    if preview and (format or "table") != "table":
        raise IqError(f"--preview draws the photos and writes no {format}; give one of the two")
    form = choose_format(format, session.settings, nul=print0)
    column = choose_column(sort)
    if preview:
        return _draw(session, column, reverse, limit, per)
    ranked = _ranked(session.photos(grouped=per in LOOKED), per, limit)
    shown = arrange(ranked, column, reverse, None if per else limit)
    columns = COLUMNS if per in (None, "all") else (CALLED[per], *COLUMNS)
    write_results(shown, form, columns, nul=print0)
    return session.report("ranked")


def _ranked(found: Iterable[Photo], per: str | None, limit: int | None) -> list[Result]:
    """Best first, by sections where asked for, and then those without a score."""
    from iqcli.culling.grouping.group import group, sections
    from iqcli.models.scoring import percentile

    judged = list(found)
    if per in LOOKED:
        judged = group(judged)
    results: list[Result] = []
    for members in sections(judged, per or "all"):
        # A set is shown whole: that is what it is worth.
        most = limit if per and not (per == "burst" and members[0].frame_set) else None
        for rank, each in enumerate(members[:most], start=1):
            place = {"rank": rank, "percentile": percentile(rank, len(members))}
            results.append((each, place))
    return results + [(each, {}) for each in judged if each.rating is None]


def _draw(
    session: Session, column: str | None, reverse: bool, limit: int | None, per: str | None
) -> Exit:
    from iqcli.output import terminal_images
    from iqcli.output.rows import row
    from iqcli.pipeline.thumbnails import THUMB, ThumbnailStore

    brush = terminal_images.brush("--preview")
    with ThumbnailStore((THUMB,)) as store:
        judged = session.photos(grouped=per in LOOKED, store=store)
        ranked = [each for each in _ranked(judged, per, limit) if each[0].rating]
        most = PREVIEWED if limit is None else None if per else limit
        wanted = arrange(ranked, column, reverse, most)
        terminal_images.show(
            ((row(*each), store.get(each[0].sha256, "thumb")) for each in wanted), brush
        )
    if limit is None and len(ranked) > PREVIEWED and not session.quiet:
        info(f"the first {PREVIEWED} are drawn; --limit says how many")
    return session.report("ranked")
