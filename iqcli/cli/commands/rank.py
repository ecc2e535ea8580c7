"""`iq rank`: the photos best first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from iqcli.cli.console import info
from iqcli.cli.options import (
    Format,
    IgnoreUnreadable,
    Limit,
    Nul,
    Reverse,
    Sort,
    choice_option,
    over_photos,
)
from iqcli.cli.output import arrange, choose, choose_column, choose_format, write_results
from iqcli.cli.session import Session
from iqcli.errors import Exit, IqError
from iqcli.settings import UNITS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from iqcli.cli.output import Result
    from iqcli.records import Photo

COLUMNS = ("rank", "score", "bar", "uncertainty", "technical", "aesthetic", "issues", "path")
# Groups that are found by comparing the photos themselves, and the column that names a group.
COMPARED = ("burst", "scene")
PER = ("copies", *UNITS)
GROUP_COLUMN = {
    "copies": "copy_of",
    "burst": "group",
    "scene": "scene",
    "day": "day",
    "folder": "folder",
}
Per = Annotated[
    str | None,
    choice_option(
        "--per",
        help="Rank within copies of a picture, each burst, scene, day or folder.",
        choices=PER,
        metavar="WHAT",
    ),
]
# Photos that --preview draws without --limit.
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
        bool, typer.Option("--preview", help="Draw the photos in the terminal [the first 24].")
    ] = False,
    ignore_unreadable: IgnoreUnreadable = False,
) -> Exit:
    """Order photos, best first.

    The percentile is the share of the other photos that score lower.

    With --per photos are listed by burst, scene, day or folder, the group with the best photo
    first; rank, percentile and --limit apply within each group. Single photos are listed too, and
    all frames of a bracket, panorama or time-lapse together. --per copies lists the copies of one
    picture behind its original.
    """
    session.counts.ignores_unreadable = ignore_unreadable
    if per is not None:
        choose(per, PER, "--per")
    if preview and (format or "table") != "table":
        raise IqError(f"--preview draws the photos and writes no {format}; give one of the two")
    form = choose_format(format, session.settings, nul=print0)
    column = choose_column(sort)
    if preview:
        return _draw(session, column, reverse, limit, per)
    ranked = _ranked(session.photos(grouped=per in COMPARED), per, limit)
    arranged = arrange(ranked, column, reverse, None if per else limit)
    columns = COLUMNS if per in (None, "all") else (GROUP_COLUMN[per], *COLUMNS)
    write_results(arranged, form, columns, nul=print0)
    return session.report("ranked")


def _ranked(found: Iterable[Photo], per: str | None, limit: int | None) -> list[Result]:
    """Best first, by groups if there are any, and then those without a score."""
    from iqcli.culling.grouping.copies import with_copies
    from iqcli.culling.grouping.group import group, sections, with_days
    from iqcli.models.scoring import percentile

    photos = with_copies(list(found))
    if per in COMPARED:
        photos = group(photos)
    elif per == "day":
        photos = with_days(photos)
    results: list[Result] = []
    for members in sections(photos, per or "all"):
        # A bracket, panorama or time-lapse is of use only as a whole.
        most = limit if per and not (per == "burst" and members[0].frame_set) else None
        for rank, each in enumerate(members[:most], start=1):
            place = {"rank": rank, "percentile": percentile(rank, len(members))}
            results.append((each, place))
    return results + [(each, {}) for each in photos if each.rating is None]


def _draw(
    session: Session, column: str | None, reverse: bool, limit: int | None, per: str | None
) -> Exit:
    from iqcli.output import terminal_images
    from iqcli.output.rows import row
    from iqcli.pipeline.thumbnails import THUMB, ThumbnailStore

    renderer = terminal_images.image_renderer("--preview")
    with ThumbnailStore((THUMB,)) as store:
        photos = session.photos(grouped=per in COMPARED, store=store)
        ranked = [each for each in _ranked(photos, per, limit) if each[0].rating]
        most = PREVIEWED if limit is None else None if per else limit
        wanted = arrange(ranked, column, reverse, most)
        terminal_images.show(
            ((row(*each), store.get(each[0].sha256, "thumb")) for each in wanted), renderer
        )
    if limit is None and len(ranked) > PREVIEWED and not session.quiet:
        info(f"the first {PREVIEWED} are drawn; give --limit N for more")
    return session.report("ranked")
