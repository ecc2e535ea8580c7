"""Readers of photos that add a distortion: the copies on a ladder, level 0 (untouched) to 5.

And those that give it more light or less, see `exposure`.

Two ways. At the size of the scoring view, as a network learns: the distortion is put on that view.
And at the full size of the photo, as a camera would have made the fault: the whole picture is
distorted, written as a JPEG of quality 95 and read again as any file is, scaled decode and all.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass, field, replace
from io import BytesIO
from threading import Semaphore
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from iqcli.distortions.bank import DISTORTIONS
from iqcli.distortions.exposure import draw_response, expose, fuse, is_well_exposed
from iqcli.errors import PhotoError
from iqcli.photos.decode import decode
from iqcli.photos.formats import RAW_KINDS, decoder_fingerprint
from iqcli.photos.read import read_photo
from iqcli.photos.reading import kind_of
from iqcli.photos.views import upright, views_of

if TYPE_CHECKING:
    from iqcli.distortions.bank import Distortion
    from iqcli.records import Facts, Pixels, Views

VERSION = 1
# Strengths in pixels and levels of the full size, which is many times that of the scoring view.
FULL_SIZE = {
    name: replace(DISTORTIONS[name], strengths=strengths)
    for name, strengths in {
        "gaussian_blur": (1.0, 2.0, 4.0, 8.0, 16.0),
        "motion_blur": (4.0, 8.0, 16.0, 32.0, 64.0),
        "sensor_noise": (5.0, 10.0, 20.0, 40.0, 80.0),
        "jpeg": (60.0, 30.0, 15.0, 8.0, 4.0),
        "over_exposure": (0.5, 1.0, 1.5, 2.0, 3.0),
        "under_exposure": (0.7, 1.5, 2.5, 3.5, 5.0),
    }.items()
}
QUALITY = 95
# The exposures whose best parts a fusion takes, in stops.
FUSED = (-2.0, 0.0, 2.0)
NOT_WELL_EXPOSED = "dark, bright or clipped itself, so that more or less light may become it"
# A picture of 50 megapixels takes two gigabytes while it is distorted.
_AT_ONCE = Semaphore(4)


class ScoringViewCache:
    """Scoring views by content: a photo is decoded once for all its ladders."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[Facts, Pixels]] = {}

    def read(self, data: bytes, max_megapixels: float) -> tuple[Facts, Pixels]:
        """Facts and scoring view. Raises PhotoError."""
        key = hashlib.sha256(data).digest()
        if key not in self._known:
            facts, views = read_photo(data, max_megapixels=max_megapixels)
            self._known[key] = facts, views.scoring
        return self._known[key]


@dataclass(frozen=True, slots=True)
class ScoringViewReader:
    """Reads a photo with a distortion of `DISTORTIONS` at a level 0..5 on its scoring view."""

    name: str
    level: int
    views: ScoringViewCache = field(default_factory=ScoringViewCache, compare=False, repr=False)

    @property
    def fingerprint(self) -> str:
        """That of the decoder, the place, the distortion and its strength."""
        return _fingerprint("head", DISTORTIONS[self.name], self.name, self.level)

    def __call__(self, data: bytes, *, max_megapixels: float) -> tuple[Facts, Views]:
        """The facts of the photo, and the views of the distorted copy."""
        facts, head = self.views.read(data, max_megapixels)
        return facts, views_of(DISTORTIONS[self.name](head, self.level, _seed(data, self.name)))


@dataclass(frozen=True, slots=True)
class ExposureReader:
    """Reads a well exposed photo with `stops` more light on its scoring view; None is the fusion.

    The tone curve is one for all exposures of a photo, drawn by its content.
    """

    stops: float | None
    views: ScoringViewCache = field(default_factory=ScoringViewCache, compare=False, repr=False)

    @property
    def fingerprint(self) -> str:
        """That of the decoder, the place and the stops."""
        what = f"fused {FUSED}" if self.stops is None else f"exposed {self.stops:g}"
        return f"{decoder_fingerprint()}|head {what} v{VERSION}"

    def __call__(self, data: bytes, *, max_megapixels: float) -> tuple[Facts, Views]:
        """The facts of the photo, and the views of the copy. Raises PhotoError if it is dark,
        bright or clipped itself."""
        facts, head = self.views.read(data, max_megapixels)
        if not is_well_exposed(head):
            raise PhotoError(NOT_WELL_EXPOSED)
        random = np.random.default_rng(_seed(data, "exposure"))
        response = draw_response(random)
        wanted = FUSED if self.stops is None else (self.stops,)
        exposures = [expose(head, stops, response, random) for stops in wanted]
        return facts, views_of(fuse(exposures) if self.stops is None else exposures[0])


@dataclass(frozen=True, slots=True)
class FullSizeReader:
    """Reads a photo with a distortion of `FULL_SIZE` at a level 0..5 on its full size."""

    name: str
    level: int

    @property
    def fingerprint(self) -> str:
        """That of the decoder, the place, the distortion and its strength."""
        distortion = FULL_SIZE[self.name]
        return f"{_fingerprint('full', distortion, self.name, self.level)} q{QUALITY}"

    def __call__(self, data: bytes, *, max_megapixels: float) -> tuple[Facts, Views]:
        """The facts and the views of the distorted copy."""
        file = BytesIO()
        with _AT_ONCE:
            picture, profile = full_size(data, max_megapixels)
            distorted = FULL_SIZE[self.name](picture, self.level, _seed(data, self.name))
            Image.fromarray(distorted).save(file, "JPEG", quality=QUALITY, icc_profile=profile)
        return read_photo(file.getvalue(), max_megapixels=max_megapixels)


def full_size(data: bytes, max_megapixels: float) -> tuple[Pixels, bytes | None]:
    """A photo at its full size, upright RGB (h, w, 3), and the ICC profile of its pixels, if any.

    A raw file has no full-size picture of its own: it gives its larger view. Raises PhotoError.
    """
    kind = kind_of(data)
    if kind in RAW_KINDS:
        return read_photo(data, max_megapixels=max_megapixels)[1].detail, None
    picture = decode(data, kind, max_megapixels, whole=True)
    return np.ascontiguousarray(upright(picture.pixels, picture.orientation)), picture.profile


def _fingerprint(place: str, distortion: Distortion, name: str, level: int) -> str:
    """Level 0 is the same for all distortions."""
    what = f"{name} {distortion.strengths[level - 1]:g}" if level else "untouched"
    return f"{decoder_fingerprint()}|{place} {what} v{VERSION}"


def _seed(data: bytes, name: str) -> int:
    """The seed of a ladder, from the photo and the distortion: copies differ in strength alone."""
    return zlib.crc32(name.encode(), zlib.crc32(data))
