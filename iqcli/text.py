"""Text that may reach a terminal, a shell, a spreadsheet or a parser. Imports nothing of iqcli.

A file name is data: it may hold line breaks, terminal escapes, bytes that are not UTF-8, a leading
`-` or `=`, and none of that may act on its reader. It is always printable, and exact where it can
be.
"""

from __future__ import annotations

import base64
import os
import reprlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


def escape(text: str) -> str:
    """Escape what is not printable: `\\n`, `\\x1b`, `\\xff` for a stray byte, `\\u202e`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # how Python carries a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()


def shorten(value: object) -> str:
    """The `repr` of an untrusted value, cut to a few words however long or deep it is."""
    try:
        return reprlib.repr(value)
    except ValueError:  # a number of more digits than Python writes
        return "..."


def listed(lines: Sequence[str], most: int = 50) -> tuple[str, ...]:
    """All of the lines, or the first `most` of them and how many more there are."""
    if len(lines) <= most:
        return tuple(lines)
    return (*lines[:most], f"and {len(lines) - most:,} more")


def first_few(texts: Sequence[str], most: int = 3, separator: str = ", ") -> str:
    """In one line: all of the texts, or the first `most` of them and how many more there are."""
    more = f" and {len(texts) - most:,} more" if len(texts) > most else ""
    return separator.join(texts[:most]) + more


def meant(word: str, known: Iterable[str]) -> str:
    """ " (did you mean NAME?)" for a word that is nearly one of those known, "" for any other."""
    from difflib import get_close_matches  # deferred: only mistakes need it

    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), by_lower, n=1)
    return f" (did you mean {by_lower[near[0]]}?)" if near else ""


def percent(share: float) -> str:
    """0.015 as 1.5%."""
    return f"{100 * share:.6g}%"


def describe_loss(share: float) -> str:
    """How much of a damaged picture is lost, in words: at least 1%."""
    return f"{percent(max(round(share, 2), 0.01))} of the picture is missing"


def display_path(path: Path | str) -> str:
    """The path for people: begins with `./`, `../` or `/` and holds printable characters only."""
    return escape(with_dot(path))


def with_dot(path: Path | str) -> str:
    """The path as given, `./` before a relative one, so that it is never an option or formula."""
    text = str(path)
    if text == ".":
        return "./"
    if text.startswith(("/", "./", "../")) or os.path.isabs(text):  # noqa: PTH117
        return text
    return f"./{text}"


def exact(path: Path) -> str | None:
    """Base64 of the path's bytes where `display_path` differs from them, else None."""
    text = with_dot(path)
    if text.isascii() and text.isprintable():
        return None
    raw = os.fsencode(text)
    return None if display_path(path).encode() == raw else base64.b64encode(raw).decode()
