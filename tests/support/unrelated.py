"""Unrelated photos under names and times that two or three cameras would have given them."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from iqcli.photos.formats import PHOTO, extension
from iqcli.photos.names.evidence import UNKNOWN, Header, Look
from iqcli.photos.names.looks import compare, small

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from iqcli.photos.names.looks import Small

CAMERAS = ("iPhone 12", "iPhone 15", "Pixel 7", "SM-G991B", "Canon EOS R6", "DSC-RX100M7", None)
STEMS = (
    *("IMG_{n:04}", "IMG_{n:04}", "DSC_{n:04}", "_DSC{n:04}", "DSCF{n:04}", "P10{n:05}"),
    *("IMG_{day}_{clock}", "{day}_{clock}", "PXL_{day}_{clock}{ms:03}", "Screenshot_{day}-{clock}"),
    *("IMG-{day}-WA{n:04}", "WhatsApp Image {date} at {dots}", "signal-{date}-{dashes}"),
    *("photo_{date}_{dashes}", "FB_IMG_{epoch}", "{date} {dots}", "scan{n:04}", "{day}-{n:04}"),
    *("A walk along the river on the first warm day {n}", "image{n}", "{n}"),
)
MARKS = (
    *("{s}",) * 6,
    *("{s}-edited", "{s}_edited", "{s}-bearbeitet", "{s}~2", "{s}-Edit", "{s}-edited(1)"),
    *("{s}(1)", "{s} (1)", "{s} 2", "{s} copy", "{s}_1", "{s}_01", "{s}-2", "{s}_final"),
    *("{s}_edit_1714817472123", "{s}_HDR", "Copy of {s}", "{s}-modifié", "{s}_001", "{s}_002"),
    *("{s} - Kopie", "{s}-web", "{s}.MP", "{s}.RAW-01.COVER", "{s}.PORTRAIT-01.COVER"),
    *("{s}_DxO", "{s}-Snapseed", "{s}(2)", "{s}-1"),
)
# Only frames of one burst have these behind a time.
BURST_MARKS = ("{s}_BURST001", "{s}_BURST002", "{s}_BURST001_COVER", "BURST{n:03}")
ENDINGS = ("JPG", "JPG", "JPG", "jpg", "jpeg", "HEIC", "DNG", "CR2", "png", "tif")
SIZES = ((4032, 3024), (4000, 3000), (5472, 3648), (1600, 1200), (1200, 1600))
# Where a clock begins that was never set.
UNSET = datetime(2000, 1, 1)


class Given:
    """Evidence of photos that have got another name, time and camera, but look as they are."""

    def __init__(self) -> None:
        self.photos: dict[str, Path] = {}
        self.headers: dict[str, Header] = {}
        self.sizes: dict[str, tuple[int, int]] = {}
        self.asked = 0

    def header(self, path: Path) -> Header:
        """The given one."""
        return self.headers[path.name]

    def likeness(self, edit: Path, original: Path) -> Look:
        """As the real photos look beside each other, at the given sizes."""
        self.asked += 1
        try:
            return compare(*(self._small(each.name) for each in (edit, original)))
        except Exception:
            return Look.UNREADABLE

    def _small(self, name: str) -> Small:
        sides = self.sizes[name]
        return replace(_small(self.photos[name]), sides=(max(sides), min(sides)))


@lru_cache(20_000)
def _small(path: Path) -> Small:
    return small(path.read_bytes())


@dataclass
class Camera:
    """A camera at an event: `clock` is "good", "minutes" (no seconds), "stopped" or "none"."""

    name: str | None
    size: tuple[int, int]
    clock: str
    fractions: bool
    now: datetime

    def header(self, chance: random.Random) -> Header:
        """That of the next photo; a photo may have lost it."""
        if self.clock != "stopped":
            # Nobody takes pictures of two things within two seconds.
            self.now += timedelta(seconds=chance.choice((3, 4, 5, 60, 900)))
        if self.clock == "none" or chance.random() < 0.2:
            return UNKNOWN
        taken = self.now.replace(second=0) if self.clock == "minutes" else self.now
        fraction = f"{chance.randrange(100):02}" if self.fractions else None
        return Header(taken.isoformat(), fraction, camera=self.name)


def named(photos: Sequence[Path], chance: random.Random) -> Given:
    """A folder of these photos, from up to three cameras that count alike, at one event.

    Two cameras may be of one model, or take photos in the same second; no two of one camera are of
    the same moment, unless its clock stands or shows minutes.
    """
    begin = datetime(2024, 1, 4, 10) + timedelta(days=chance.randrange(300))
    cameras = [_camera(name, begin, chance) for name in chance.sample(CAMERAS, 3)]
    if chance.random() < 0.3 and cameras[0].clock == "good":  # of one model, an hour later
        cameras[1] = replace(cameras[0], now=begin + timedelta(seconds=chance.randrange(7200)))
    stem, first, given = chance.choice(STEMS), chance.randrange(9000), Given()
    for path in photos:
        camera = chance.choice(cameras)
        number = first + chance.randrange(max(1, len(photos) // 4))
        base = _base(stem, number, begin, chance)
        marks = MARKS if "{clock}" in stem else MARKS + BURST_MARKS
        name = chance.choice(marks).format(s=base, n=number) + "." + chance.choice(ENDINGS)
        if chance.random() < 0.05 and stem.startswith("IMG_{n"):
            name = name.replace("IMG_", "IMG_E", 1)
        if name not in given.photos and extension(name) in PHOTO:
            given.photos[name], given.headers[name] = path, camera.header(chance)
            given.sizes[name] = chance.choice((camera.size, camera.size, chance.choice(SIZES)))
    return given


def _camera(name: str | None, begin: datetime, chance: random.Random) -> Camera:
    clock = chance.choice(("good", "good", "good", "minutes", "stopped", "none"))
    return Camera(
        "QuickTake 200" if clock == "minutes" else name,
        chance.choice(SIZES),
        clock,
        clock == "good" and chance.random() < 0.5,
        UNSET if clock == "stopped" else begin,
    )


def _base(stem: str, number: int, begin: datetime, chance: random.Random) -> str:
    """The name of the photo with that number: those with equal numbers have equal names.

    A Pixel's names its millisecond, too.
    """
    moment = begin + timedelta(seconds=number)
    epoch = int((moment - datetime(1970, 1, 1)).total_seconds() * 1000)
    return stem.format(
        n=number,
        ms=chance.randrange(1000),
        day=f"{moment:%Y%m%d}",
        date=f"{moment:%Y-%m-%d}",
        clock=f"{moment:%H%M%S}",
        dots=f"{moment:%H.%M.%S}",
        dashes=f"{moment:%H-%M-%S}",
        epoch=epoch,
    )
