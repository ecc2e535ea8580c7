"""`iq export`: scores for other programs, on stdout or in a file written whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from iqcli.cli.commands.contact_sheet import Html, sheet_of
from iqcli.cli.commands.xmp import Embed, Stars, XmpProfile, choose_xmp
from iqcli.cli.commands.xmp import write as write_xmp
from iqcli.cli.options import IgnoreUnreadable, Limit, Reverse, Sort, format_option, over_photos
from iqcli.cli.output import arrange, choose, choose_column
from iqcli.cli.session import Session
from iqcli.errors import Exit, IqError
from iqcli.fs.files import require_output, write_atomic
from iqcli.output import rows
from iqcli.output.rows import FILE_FORMATS
from iqcli.output.stdout import write
from iqcli.records import Decision, Photo, Verdict

# How the files of each of `FILE_FORMATS` begin.
BEGINNINGS = (b"schema,", b"[", b'{"schema"', b"PAR1")


@over_photos
def export(
    session: Session,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="File to write; its ending sets the format.", metavar="FILE"
        ),
    ] = None,
    format: Annotated[str | None, format_option(FILE_FORMATS)] = None,
    html: Html = None,
    xmp: Annotated[
        bool, typer.Option("--xmp", help="Write stars, keywords and scores into XMP sidecars.")
    ] = False,
    xmp_profile: XmpProfile = None,
    embed: Embed = False,
    stars: Stars = None,
    sort: Sort = None,
    reverse: Reverse = False,
    limit: Limit = None,
    ignore_unreadable: IgnoreUnreadable = False,
) -> Exit:
    """Write scores for other programs.

    As CSV (RFC 4180, UTF-8), JSON, JSON Lines or Parquet.

    With --html, as a contact sheet: one file for a browser, in which you decide by hand.

    With --xmp, as XMP sidecars that photo programs read. Ratings that a person gave stay, and
    `iq undo` restores the files.
    """
    session.counts.ignores_unreadable = ignore_unreadable
    form, column = _format(output, format), choose_column(sort)
    profile, stars = choose_xmp(session, xmp_profile, stars, xmp=xmp, embed=embed)
    if xmp and html:
        raise IqError("--xmp adds files that the sheet would lack; give --html in a second run")
    wants_rows = not (xmp or html) or output is not None or format is not None
    if not wants_rows and (column or reverse or limit is not None):
        raise IqError("--sort, --reverse and --limit are for rows; give --format or --output, too")
    if xmp:
        from iqcli.cli.commands.cull.execute import recover
        from iqcli.fs.other_programs import refuse_to_write

        refuse_to_write(session.folders)
        recover(session, session.folders)
    photos = sheet_of(session, html) if html is not None else _photos(session)
    if xmp:
        undecided = [Decision(each, Verdict.REVIEW, ()) for each in photos]
        write_xmp(session, undecided, profile, embed=embed, stars=stars)
    if not wants_rows:
        return session.report("exported")
    results = ((each, dict[str, object]()) for each in photos)
    records = (rows.row(*each) for each in arrange(results, column, reverse, limit))
    if output is None:
        write(rows.to_text(form, records))
    else:
        write_atomic(output, rows.to_bytes(form, records))
    return session.report("exported")


def _photos(session: Session) -> list[Photo]:
    from iqcli.culling.grouping.copies import with_copies

    return with_copies(list(session.photos()))


def _format(output: Path | None, given: str | None) -> str:
    form = given or (output.suffix.lower().removeprefix(".") if output else "csv")
    choose(form, FILE_FORMATS, "--format" if given else "the ending of --output")
    if form == "parquet" and output is None:
        raise IqError("Parquet goes to a file; give --output FILE.parquet")
    if form == "parquet":
        import importlib.util

        if importlib.util.find_spec("pyarrow") is None:
            raise IqError("Parquet needs pyarrow; run `pip install 'iqcli[parquet]'`")
    if output is not None:
        require_output(output, may_replace=_holds_scores, kind="file of scores")
    return form


def _holds_scores(file: Path) -> bool:
    """Whether a file begins as one that `iq` wrote: a photo may have got such a name by mistake."""
    if file.suffix.lower().removeprefix(".") not in FILE_FORMATS or not file.is_file():
        return False
    with file.open("rb") as opened:
        head = opened.read(max(map(len, BEGINNINGS)))
    return not head or head.startswith(BEGINNINGS)
