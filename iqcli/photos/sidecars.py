"""Companions that carry the full name of their photo: `IMG_1.JPG.xmp`, `IMG_1.JPG.json`, …"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

DUPLICATE = re.compile(r"(.+)_\d\d(\.[^.]+)")
TAKEOUT = re.compile(r"(?P<stem>.+?)(?P<ext>\.[^.]+?)(?:\.(?P<word>[a-z-]+))?(?P<number>\(\d+\))?")
# Google cuts the name of the whole file at 46 characters, so any beginning of the word is met.
TAKEOUT_WORD = "supplemental-metadata"


def full_names(name: str) -> Iterator[str]:
    """Names of photos that this file may belong to by its full name, the likeliest first."""
    stem, dot, ext = name.rpartition(".")
    if not dot:
        return
    yield stem
    if ext.lower() == "xmp" and (duplicate := DUPLICATE.fullmatch(stem)):
        yield duplicate[1] + duplicate[2]
    takeout = TAKEOUT.fullmatch(stem) if ext.lower() == "json" else None
    if takeout and TAKEOUT_WORD.startswith(takeout["word"] or ""):
        yield takeout["stem"] + (takeout["number"] or "") + takeout["ext"]
