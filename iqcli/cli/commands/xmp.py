"""`--xmp`: scores and decisions written into sidecars or photos, and the options of that."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from iqcli.cli.console import counted, info, problem, progress
from iqcli.cli.options import choice_option
from iqcli.errors import IqError
from iqcli.settings import PROFILES, QUANTILES, checked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from iqcli.cli.session import Session
    from iqcli.records import Decision
    from iqcli.transactions.edits import Edit
    from iqcli.transactions.plan import Outcome
    from iqcli.xmp.annotate import XmpWriter
    from iqcli.xmp.embed import Embedder, RewrittenPhoto

XmpProfile = Annotated[
    str | None,
    choice_option(
        "--xmp-profile",
        help="Which program the sidecars are for.",
        choices=PROFILES,
        metavar="NAME",
    ),
]
Embed = Annotated[
    bool, typer.Option("--embed", help="With --xmp: write into JPEG, HEIC, ... (exiftool).")
]
Stars = Annotated[
    str | None,
    choice_option(
        "--stars",
        help="With --xmp: quantiles, or the least scores of 2, 3, 4 and 5 stars.",
        choices=(QUANTILES,),
        metavar="HOW",
    ),
]


def choose_xmp(
    session: Session, profile: str | None, stars: str | None, *, xmp: bool, embed: bool
) -> tuple[str, str]:
    """The profile and `--stars` to use, checked before a photo is read.

    Raises IqError for invalid values, and for options that have no effect without `--xmp`.
    """
    if not xmp and (embed or stars is not None or profile is not None):
        name = "--embed" if embed else "--stars" if stars is not None else "--xmp-profile"
        raise IqError(f"{name} says how XMP is written; give --xmp with it")
    how = QUANTILES if stars is None else stars
    if xmp:
        from iqcli.xmp.annotate import parse_thresholds

        parse_thresholds(how)
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
    commit: Callable[[Sequence[Edit], Path], Outcome] | None = None,
) -> Outcome:
    """Write the scored photos' updates into XMP; the run of the outcome is "" if nothing changed.

    `commit` makes the edits in a transaction, given the state folder: by default one of their own.
    All files are written or none. Those that cannot be edited are reported, left as they are and
    counted in the session. Raises IqError, also for photos in folders of other programs and where
    `embed` lacks ExifTool.
    """
    from iqcli.fs.other_programs import refuse_to_write
    from iqcli.transactions import apply
    from iqcli.xmp.annotate import XmpWriter, parse_thresholds, xmp_updates
    from iqcli.xmp.profiles import PROFILES

    # Before an embedder puts its parts beside the photos.
    refuse_to_write(each.photo.shot.path.parent for each in decisions if each.photo.rating)
    when = datetime.now().astimezone().isoformat(timespec="seconds")
    with ExitStack() as stack:
        embedder = _embedder(session, stack) if embed else None
        writer = XmpWriter(PROFILES[profile], when, embedder)
        updates = list(xmp_updates(decisions, writer.profile, parse_thresholds(stars)))
        for decision, update in progress(updates, len(updates), quiet=session.quiet):
            writer.annotate(decision.photo, update)
        for path, why in writer.problems:  # before the transaction: it may fail for the same reason
            problem(path, f"{why}; it is left as it is")
        session.counts.add_unwritten(len(writer.problems))
        done = (commit or apply.write)(writer.edits, session.settings.state_dir)
    if embedder:
        _carry_over(session, embedder.rewritten)
    # A cull that moves photos, too, says so itself, once.
    _report(session, writer, len(updates), "" if done.kind == "cull" else done.run)
    return done


def _embedder(session: Session, stack: ExitStack) -> Embedder:
    from iqcli.fs.scratch import scratch_folder
    from iqcli.photos.time_limit import at_most
    from iqcli.xmp.embed import Embedder
    from iqcli.xmp.exiftool import running

    stack.enter_context(at_most(session.settings.max_seconds))
    scratch = stack.enter_context(scratch_folder(session.settings.state_dir))
    tool = stack.enter_context(running(scratch.folder))
    return Embedder(scratch, tool, session.settings.max_megapixels)


def _carry_over(session: Session, rewritten: Sequence[RewrittenPhoto]) -> None:
    """Keep what was measured for the photos' new bytes: their pixels are the same."""
    from iqcli.pipeline.spec import MeasureSpec, PlainReader

    spec = MeasureSpec(session.model.blocks, PlainReader(), session.settings)
    for photo in rewritten:
        spec.carry_over(session.cache, photo.before, photo.after, photo.facts)
    session.cache.flush()


def _report(session: Session, writer: XmpWriter, scored: int, undoable: str) -> None:
    if session.quiet:
        return
    files = counted(len(writer.edits), "file")
    undo = f"; `iq undo` takes it back (run {undoable})" if undoable else ""
    kept = f", {len(writer.kept):,} rated by a person and kept so" if writer.kept else ""
    left = f", {counted(len(writer.problems), 'file')} left alone" if writer.problems else ""
    same = scored - len(writer.changed | writer.failed)
    summary = f"XMP of {counted(scored, 'photo')}: {files} written, {same:,} unchanged"
    info(summary + kept + left + undo)
    if writer.raw_skipped:
        info(
            f"{counted(writer.raw_skipped, 'raw file')} not written into: sidecars are beside them"
        )
    if writer.unread:
        what = counted(writer.unread, "sidecar")
        program = writer.profile.program
        info(f"{program} reads no sidecar but of raw files ({what} here); give --embed")
