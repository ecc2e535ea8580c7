"""The contact sheet that commands write with `--html FILE`: its option, its check, its files."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iqcli.cli.console import counted, info, warn
from iqcli.fs.files import require_output, write_stream, writing
from iqcli.text import display_path, escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iqcli.cli.session import Session
    from iqcli.output.contact_sheet_data import SheetEntry
    from iqcli.pipeline.thumbnails import ThumbnailStore
    from iqcli.records import Decision, Photo

Html = Annotated[
    Path | None,
    typer.Option("--html", help="Write a contact sheet, for a browser.", metavar="FILE"),
]


def check_sheet(file: Path) -> None:
    """Check, before anything is measured, that a sheet may get this name. Raises IqError."""
    require_output(file, may_replace=_is_sheet, kind="contact sheet of iq")


def sheet_of(session: Session, file: Path) -> list[Photo]:
    """Rate the photos of the session and write a sheet of them, on which nothing is decided yet."""
    from iqcli.culling.grouping.copies import with_copies
    from iqcli.culling.grouping.group import group
    from iqcli.pipeline.thumbnails import ThumbnailStore
    from iqcli.records import Decision, Verdict

    check_sheet(file)
    with ThumbnailStore() as store:
        photos = group(with_copies(list(session.photos(grouped=True, store=store))))
        write_sheet(session, file, [Decision(each, Verdict.REVIEW, ()) for each in photos], store)
    return photos


def write_sheet(
    session: Session, file: Path, decisions: Sequence[Decision], store: ThumbnailStore
) -> None:
    """Write the sheet of these decisions, in several files if there are many photos.

    The others lie beside it: `sheet-2.html`, ... Only older sheets are replaced. Raises IqError.
    """
    from iqcli.culling.decisions import header, record
    from iqcli.culling.grouping.group import order_within
    from iqcli.output import contact_sheet, contact_sheet_data
    from iqcli.transactions.jsonl import line

    def picture(entry: SheetEntry, name: str) -> bytes | None:
        return store.get(entry.photo.sha256, name)

    entries = [
        contact_sheet_data.SheetEntry(each, line(record(each)).decode()) for each in decisions
    ]
    found = contact_sheet_data.parts(contact_sheet_data.units(entries, order_within))
    rest = range(2, len(found) + 1)
    files = [file, *(file.with_stem(f"{file.stem}-{number}") for number in rest)]
    for each in files:
        check_sheet(each)
    title = contact_sheet.Title(
        name=_name(session),
        header=line(header(session.settings.model)).decode(),
        model=session.settings.model,
        files=tuple(each.name for each in files),
        total=len(entries),
    )
    for number, (each, part) in enumerate(zip(files, found, strict=True)):
        with writing(each, "give another place"):
            write_stream(each, contact_sheet.render(title, number, part, picture))
    if not session.quiet:
        others = f" and {counted(len(files) - 1, 'file')} beside it" if len(files) > 1 else ""
        what = f"{counted(len(entries), 'photo')} in {display_path(file)}{others}"
        info(f"contact sheet of {what}; open it in a browser")
    _warn_of_leftovers(file, len(files))


def _warn_of_leftovers(file: Path, count: int) -> None:
    """Warn of files that are left of an older, larger sheet of that name."""
    rest: list[Path] = []
    with suppress(OSError):
        while _is_sheet(each := file.with_stem(f"{file.stem}-{count + len(rest) + 1}")):
            rest.append(each)
    old = "of an older, larger sheet"
    if len(rest) == 1:
        warn(f"{display_path(rest[0])} is left {old}; delete it")
    elif rest:
        warn(f"{display_path(rest[0])} to {display_path(rest[-1])} are left {old}; delete them")


def _name(session: Session) -> str:
    """The title of the sheet: the names of the folders given."""
    names = [escape(path.resolve().name) or "/" for path in session.paths]
    more = f" and {counted(len(names) - 3, 'other')}" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _is_sheet(file: Path) -> bool:
    from iqcli.output.contact_sheet import MARK

    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return opened.read(len(MARK)) == MARK
