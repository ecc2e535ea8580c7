"""The copies of a photo on the ladder of a distortion: untouched at level 0, worst at level 5.

Two ways. At the size of the head view, as a network learns: the distortion is put on that view. And
at the full size of the photo, as a camera would have made the fault: the whole picture is spoilt,
written as a JPEG of quality 95 and read again as any file is, scaled decode and all.
"""

from __future__ import annotations

import hashlib
import zlib
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from io import BytesIO
from threading import Semaphore
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from iqcli.distortions.bank import DISTORTIONS
from iqcli.photos import exif
from iqcli.photos.colour import flatten, to_rgb
from iqcli.photos.decode import PLUGINS, open_heif, open_turn, require_size
from iqcli.photos.read import kind_of, read_photo
from iqcli.photos.stderr import quiet_stderr
from iqcli.photos.views import upright, views_of

if TYPE_CHECKING:
    from PIL import ImageFile

    from iqcli.distortions.bank import Distortion
    from iqcli.records import Facts, Pixels, Views

VERSION = 1
# Strengths in pixels and levels of the full size, which is many times that of the head view.
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
# A picture of 50 megapixels takes two gigabytes while it is spoilt.
_AT_ONCE = Semaphore(4)


class ScoringViewCache:
    """Head views by content: a photo is decoded once for all its ladders."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[Facts, Pixels]] = {}

    def read(self, data: bytes, max_megapixels: float) -> tuple[Facts, Pixels]:
        """Facts and head view. Raises PhotoError."""
        key = hashlib.sha256(data).digest()
        if key not in self._known:
            facts, views = read_photo(data, max_megapixels=max_megapixels)
            self._known[key] = facts, views.scoring
        return self._known[key]


@dataclass(frozen=True, slots=True)
class ScoringViewReader:
    """Reads a photo with a distortion of `DISTORTIONS` at a level 0..5 on its head view."""

    name: str
    level: int
    heads: ScoringViewCache = field(default_factory=ScoringViewCache, compare=False, repr=False)

    @property
    def fingerprint(self) -> str:
        """What the blocks depend on besides the photo and its decoder."""
        return f"|head {_made(DISTORTIONS[self.name], self.name, self.level)}"

    def __call__(self, data: bytes, *, max_megapixels: float) -> tuple[Facts, Views]:
        """Like `read_photo`."""
        facts, head = self.heads.read(data, max_megapixels)
        return facts, views_of(DISTORTIONS[self.name](head, self.level, _seed(data, self.name)))


@dataclass(frozen=True, slots=True)
class FullSizeReader:
    """Reads a photo with a distortion of `FULL_SIZE` at a level 0..5 on its full size."""

    name: str
    level: int

    @property
    def fingerprint(self) -> str:
        """What the blocks depend on besides the photo and its decoder."""
        return f"|full {_made(FULL_SIZE[self.name], self.name, self.level)} q{QUALITY}"

    def __call__(self, data: bytes, *, max_megapixels: float) -> tuple[Facts, Views]:
        """Like `read_photo`; the facts are those of the spoilt copy."""
        file = BytesIO()
        with _AT_ONCE:
            picture, profile = whole(data, max_megapixels)
            spoilt = FULL_SIZE[self.name](picture, self.level, _seed(data, self.name))
            Image.fromarray(spoilt).save(file, "JPEG", quality=QUALITY, icc_profile=profile)
        return read_photo(file.getvalue(), max_megapixels=max_megapixels)


def whole(data: bytes, max_megapixels: float) -> tuple[Pixels, bytes | None]:
    """A photo at its full size, upright RGB (h, w, 3), and the ICC profile that it speaks.

    A raw file has no full-size picture of its own: it gives its larger view. Raises PhotoError.
    """
    kind = kind_of(data)
    if kind not in PLUGINS and kind != "heif":
        return read_photo(data, max_megapixels=max_megapixels)[1].detail, None
    image = open_heif(data) if kind == "heif" else PLUGINS[kind](BytesIO(data))
    require_size(*image.size, max_megapixels)
    with quiet_stderr() if kind == "tiff" else nullcontext():
        image.load()
    flat, profile = flatten(image), image.info.get("icc_profile")
    picture = upright(to_rgb(np.asarray(flat), profile), _turn(data, kind, image))
    return np.ascontiguousarray(picture), profile if flat.mode == "RGB" else None


def _turn(data: bytes, kind: str, image: ImageFile.ImageFile) -> int:
    """The orientation that loading left to us, as in `photos.decode`."""
    if kind == "heif":
        return open_turn(data, image)
    tags = exif.tags_of(image.info.get("exif") or b"")
    return 1 if kind == "tiff" else exif.orientation_of(tags)


def _made(distortion: Distortion, name: str, level: int) -> str:
    """Level 0 is the same for all."""
    strength = distortion.strengths[level - 1] if level else None
    return f"{name} {strength:g} v{VERSION}" if strength is not None else f"untouched v{VERSION}"


def _seed(data: bytes, name: str) -> int:
    """Of the photo's content and the distortion alone: the copies differ in strength only."""
    return zlib.crc32(name.encode(), zlib.crc32(data))
