"""Text that may reach a terminal. Ground floor: this module imports nothing of ours."""

from __future__ import annotations

import reprlib


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
