"""Unrelated photos under names and times that two or three cameras would have given them."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from iqcli.photos.formats import VIDEO, extension
from iqcli.photos.names.evidence import Header, Look
from iqcli.photos.names.looks import compare, small

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from iqcli.photos.names.looks import Small

CAMERAS = ("iPhone 12", "iPhone 15", "Pixel 7", "SM-G991B", "Canon EOS R6", "DSC-RX100M7", None)
STEMS = (
    "IMG_{n:04}",
    "DSC_{n:04}",
    "DSCF{n:04}",
    "P10{n:05}",
    "IMG_{day}_{clock}",
    "{day}_{clock}",
)
MARKS = (
    *("{s}", "{s}", "{s}", "{s}-edited", "{s}_edited", "{s}-bearbeitet", "{s}~2", "{s}-Edit"),
    *("{s}(1)", "{s} (1)", "{s} 2", "{s} copy", "{s}_1", "{s}_01", "{s}-2", "{s}_final"),
    *("{s}_edit_1714817472123", "{s}_HDR", "{s}_BURST001", "Copy of {s}", "{s}-modifié"),
)
ENDINGS = ("JPG", "JPG", "JPG", "jpg", "jpeg", "HEIC", "DNG", "png")


class Given:
    """Evidence of photos that have got another name, time and camera, but look as they are."""

    def __init__(self, photos: dict[str, Path], headers: dict[str, Header]) -> None:
        self.photos, self.headers = photos, headers
        self.asked = 0

    def header(self, path: Path) -> Header:
        """The given one."""
        return self.headers[path.name]

    def likeness(self, edit: Path, original: Path) -> Look:
        """As the real photos look beside each other."""
        self.asked += 1
        try:
            return compare(*(_small(self.photos[each.name]) for each in (edit, original)))
        except Exception:
            return Look.UNREADABLE


@lru_cache(20_000)
def _small(path: Path) -> Small:
    return small(path.read_bytes())


def named(photos: Sequence[Path], chance: random.Random) -> Given:
    """A folder of these photos, from up to three cameras that count alike, at one event.

    A third have lost their EXIF; no two of one camera are of the same moment.
    """
    cameras = chance.sample(CAMERAS, 3)
    begin = datetime(2024, 5, 4, 10) + timedelta(days=chance.randrange(300))
    stem, first = chance.choice(STEMS), chance.randrange(9000)
    clocks = dict.fromkeys(cameras, begin)
    found: dict[str, Path] = {}
    headers: dict[str, Header] = {}
    for path in photos:
        camera = chance.choice(cameras)
        clocks[camera] += timedelta(seconds=chance.choice((1, 1, 2, 5, 60, 900)))
        number = first + chance.randrange(max(1, len(photos) // 4))
        moment = begin + timedelta(seconds=number)
        base = stem.format(n=number, day=f"{moment:%Y%m%d}", clock=f"{moment:%H%M%S}")
        name = chance.choice(MARKS).format(s=base) + "." + chance.choice(ENDINGS)
        if chance.random() < 0.05 and stem.startswith("IMG_{n"):
            name = name.replace("IMG_", "IMG_E", 1)
        if name in found or extension(name) in VIDEO:
            continue
        found[name] = path
        lost = chance.random() < 1 / 3
        headers[name] = Header() if lost else Header(clocks[camera].isoformat(), camera=camera)
    return Given(found, headers)
