"""`--xmp`: what iq says of photos, written beside them or into them, and the options of that."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from iqcli.cli.console import counted, info, progress
from iqcli.errors import IqError
from iqcli.settings import PROFILES, QUANTILES, checked
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iqcli.cli.session import Session
    from iqcli.records import Decision
    from iqcli.xmp.annotate import XmpWriter
    from iqcli.xmp.embed import Embedder, RewrittenPhoto
    from iqcli.xmp.profiles import Profile

XmpProfile = Annotated[
    str | None,
    typer.Option(
        "--xmp-profile",
        help="Which program the sidecars are for.",
        metavar="NAME",
        autocompletion=lambda: list(PROFILES),
    ),
]
Embed = Annotated[
    bool, typer.Option("--embed", help="With --xmp: write into JPEG, HEIC, ... (exiftool).")
]
Stars = Annotated[
    str | None,
    typer.Option(
        "--stars",
        help="With --xmp: quantiles, or the least scores of 2, 3, 4 and 5 stars.",
        metavar="HOW",
        autocompletion=lambda: [QUANTILES],
    ),
]


def chosen(
    session: Session, profile: str | None, stars: str | None, *, xmp: bool, embed: bool
) -> tuple[str, str]:
    """The profile and the way to stars that were asked for, checked before a photo is read.

    Raises IqError for what cannot be, and for options that are of no use without `xmp`.
    """
    if not xmp and (embed or stars is not None or profile is not None):
        name = "--embed" if embed else "--stars" if stars is not None else "--xmp-profile"
        raise IqError(f"{name} says how XMP is written; give --xmp with it")
    how = QUANTILES if stars is None else stars
    if xmp:
        from iqcli.xmp.annotate import parse

        parse(how)
    if embed:
        from iqcli.xmp.exiftool import find

        find()
    named = session.settings.xmp_profile if profile is None else profile
    return checked("xmp_profile", named, "--xmp-profile"), how


def write(
    session: Session,
    decisions: Sequence[Decision],
    profile: str,
    *,
    embed: bool,
    stars: str = QUANTILES,
) -> str:
    """Write what iq says of the scored photos into XMP; the id of the run, for `iq undo`.

    It is "" where nothing was to be changed. All files are written or none; those that cannot be
    edited are named, left alone and counted in the session. The shots have other files
    afterwards: a plan of them is made anew. Raises IqError, also where `embed` lacks ExifTool.
    """
    from iqcli.transactions import edits
    from iqcli.xmp import profiles
    from iqcli.xmp.annotate import XmpWriter, parse, remarks

    ways, thresholds = profiles.PROFILES[profile], parse(stars)
    when = datetime.now().astimezone().isoformat(timespec="seconds")
    with ExitStack() as stack:
        embedder = _embedder(session, stack) if embed else None
        found = XmpWriter(ways, when, embedder)
        several = list(remarks(decisions, ways, thresholds))
        for decision, remark in progress(several, len(several), quiet=session.quiet):
            found.annotate(decision.photo, remark)
        done = edits.write(found.edits, session.settings.state_dir)
    if embedder:
        _carry_over(session, embedder.renewed)
    session.counts.add_unwritten(len(found.troubles))
    _tell(session, found, len(several), done.run, ways)
    return done.run


def _embedder(session: Session, stack: ExitStack) -> Embedder:
    from iqcli.fs.scratch import opened
    from iqcli.xmp.embed import Embedder
    from iqcli.xmp.exiftool import running

    workshop = stack.enter_context(opened(session.settings.state_dir))
    tool = stack.enter_context(running(workshop.folder))
    return Embedder(workshop, tool, session.settings.max_megapixels)


def _carry_over(session: Session, renewed: Sequence[RewrittenPhoto]) -> None:
    """Give what was measured to the photos' new bytes: their pixels are the same."""
    from iqcli.photos.formats import decoder_fingerprint
    from iqcli.photos.read import read_photo
    from iqcli.pipeline.spec import Recipe

    limit = session.settings.max_megapixels
    recipe = Recipe(session.model.blocks, read_photo, decoder_fingerprint(), limit)
    for each in renewed:
        content = recipe.recall(session.cache, each.before)
        content.sha256, content.facts, content.told = each.after, each.facts, False
        content.fresh = set(content.blocks)
        recipe.keep(session.cache, content)
    session.cache.flush()


def _tell(session: Session, found: XmpWriter, scored: int, undoable: str, ways: Profile) -> None:
    for path, why in found.troubles:
        info(f"iq: {display_path(path)}: {why}; it is left as it is")
    if session.quiet:
        return
    files = counted(len(found.edits), "file")
    way_back = f"; `iq undo` takes it back (run {undoable})" if undoable else ""
    kept = f", {len(found.kept):,} rated by a person and kept so" if found.kept else ""
    left = f", {counted(len(found.troubles), 'file')} left alone" if found.troubles else ""
    same = scored - len(found.changed)
    told = f"XMP of {counted(scored, 'photo')}: {files} written, {same:,} unchanged"
    info(told + kept + left + way_back)
    if found.beside:
        info(f"{counted(found.beside, 'raw file')} not written into: sidecars are beside them")
    if found.unread:
        what = counted(found.unread, "sidecar")
        info(f"{ways.program} reads no sidecar but of raw files ({what} here); give --embed")
