"""How a file name reaches a person or a program: readable always, exact where it can be.

A name is data. It may hold line breaks, terminal escapes, bytes that are no UTF-8, a leading `-`
or `=`; none of that may act on a terminal, a shell, a spreadsheet or a parser.
"""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

from iqcli.text import readable

if TYPE_CHECKING:
    from pathlib import Path


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
