"""Text that may reach a terminal. Ground floor: this module imports nothing of ours.

How a file name reaches a person or a program: readable always, exact where it can be.

A name is data. It may hold line breaks, terminal escapes, bytes that are no UTF-8, a leading `-`
or `=`; none of that may act on a terminal, a shell, a spreadsheet or a parser.
"""

from __future__ import annotations

import base64
import os
import reprlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def readable(text: str) -> str:
    """Escape what is not printable: `\\n`, `\\x1b`, `\\xff` for a stray byte, `\\u202e`."""
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def brief(value: object) -> str:
    """A value of a stranger's file as a sentence can hold it: however long or deep, a few words."""
    try:
        return reprlib.repr(value)
    except ValueError:  # a number of more digits than Python writes
        return "..."


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # how Python carries a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()


def shown(path: Path) -> str:
    """The path as a person sees it: begins with `./` or `/`, holds printable characters only."""
    return readable(with_dot(path))


def with_dot(path: Path) -> str:
    """The path as given, `./` before a relative one, so that it is never an option or formula."""
    text = str(path)
    if text == ".":
        return "./"
    return text if path.is_absolute() or text.startswith(("./", "../")) else f"./{text}"


def exact(path: Path) -> str | None:
    """Base64 of the path's bytes where the readable form differs from them, else None."""
    raw = os.fsencode(with_dot(path))
    return None if shown(path).encode() == raw else base64.b64encode(raw).decode()
