"""The contact sheet: one HTML file that opens from the disk and loads nothing else.

The pictures are base64 in blocks that no browser runs, after the script of the page, which decodes
those that are looked at: so a large sheet is ready long before it is read to its end.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment
from markupsafe import Markup

from iqcli.output.contact_sheet_data import entries_of, sheet_data
from iqcli.text import escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from jinja2 import Template

    from iqcli.output.contact_sheet_data import Pictures, SheetEntry, Unit

# A file that begins with this is a sheet of iq, and may be replaced.
MARK = b"<!DOCTYPE html>\n<!-- iq contact sheet 1 -->\n"
FOLDER = Path(__file__).parent.parent / "data" / "sheet"
SCRIPTS = ("state.js", "pictures.js", "cards.js", "filters.js", "loupe.js", "keys.js")
# Characters that are written at once.
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Title:
    """The title of a sheet: `name` for people, and the first line of its `decisions.jsonl`.

    `files` are the names of all its files, `total` the number of photos in them.
    """

    name: str
    header: str
    model: str
    files: tuple[str, ...]
    total: int


def render(title: Title, number: int, part: Sequence[Unit], pictures: Pictures) -> Iterator[bytes]:
    """The file of that number, from 0, in pieces of about a megabyte."""
    entries = entries_of(part)
    stem = "decisions" if number == 0 else f"decisions-{number + 1}"
    decided = any(each.decision.codes for each in entries)  # or no rule was asked
    head = {"header": title.header, "save": stem, "decided": decided}
    data = {**head, **sheet_data(part, pictures)}
    style, script = _text("sheet.css"), "".join(map(_text, SCRIPTS))
    pieces = _template().generate(
        mark=Markup(MARK.decode()),  # noqa: S704
        title=title,
        model=escape(title.model),  # it may be a path
        number=number,
        stem=stem,
        word="Review" if decided else "Undecided",
        links=[_link(name) for name in title.files],
        count=len(entries),
        csp=f"default-src 'none'; img-src blob:; style-src {_hash(style)}; "
        f"script-src {_hash(script)}; base-uri 'none'; form-action 'none'",
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
        data=_inert(data),
        blocks=_blocks(entries, pictures),
    )
    yield from _chunks(pieces)


def _blocks(entries: Sequence[SheetEntry], pictures: Pictures) -> Iterator[tuple[str, Markup]]:
    """Every picture by id: first all thumbnails, which are shown first."""
    for name in ("thumb", "crop"):
        for number, entry in enumerate(entries):
            if (picture := pictures(entry, name)) is not None:
                text = base64.b64encode(picture).decode()
                yield f"{name}-{number}", Markup(text)  # noqa: S704


def _inert(data: Any) -> Markup:
    """JSON that ends no script and begins no comment, whatever names it holds."""
    text = json.dumps(data, allow_nan=False)  # ASCII alone: no separator of lines, no surrogate
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)  # noqa: S704


def _chunks(pieces: Iterable[str]) -> Iterator[bytes]:
    held: list[str] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= CHUNK:
            yield "".join(held).encode()
            held, size = [], 0
    yield "".join(held).encode()


def _link(name: str) -> str:
    """A file beside the sheet as an address, also where the name holds odd bytes."""
    return Path(name).absolute().as_uri().rpartition("/")[2]


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@cache
def _text(name: str) -> str:
    return (FOLDER / name).read_text("utf-8")


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_text("sheet.html"))
