"""Ratings that raw developers and organisers keep in files of their own, not in XMP.

RawTherapee and ART (.pp3, .arp), DxO PhotoLab (.dop), Capture One (.cos), PhotoPrism (.yml). One
line of each says it, so that no reader of these formats is needed.
"""

from __future__ import annotations

import re

from iqcli.records import Marks

_RANK = re.compile(rb"^Rank=([1-5])\s*$", re.MULTILINE)
_COLOUR = re.compile(rb"^ColorLabel=[1-9]\d*\s*$", re.MULTILINE)
_DXO = re.compile(rb"^[ \t]*+Rating\s*+=\s*+([1-5])[ \t]*+,?[ \t\r]*+$", re.MULTILINE)
_CAPTURE_ONE = re.compile(rb"""K=["']Basic_Rating["']\s+V=["']([1-5])["']""")
_CAPTURE_ONE_COLOUR = re.compile(rb"""K=["']Basic_ColorTag["']\s+V=["'][1-9]\d*["']""")
_FAVOURITE = re.compile(rb"^Favorite:\s*(true)\s*$", re.MULTILINE)
# By extension: the line with the stars, and the one with a colour label.
RATINGS = {
    "pp3": (_RANK, _COLOUR),
    "arp": (_RANK, _COLOUR),
    "dop": (_DXO, None),
    "cos": (_CAPTURE_ONE, _CAPTURE_ONE_COLOUR),
    "yml": (_FAVOURITE, None),
}


def marks_of(ext: str, data: bytes, *, labels: bool = False) -> Marks:
    """The marks in such a file; with `labels` a colour label is as good as a flag."""
    rating, colour = RATINGS[ext]
    found = [each for each in rating.findall(data) if each.isdigit()]
    stars = max(map(int, found), default=None)
    flagged = ext == "yml" and rating.search(data) is not None
    flagged |= labels and colour is not None and colour.search(data) is not None
    return Marks(stars, 1 if flagged else None)
