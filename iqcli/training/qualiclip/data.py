"""The batches of QualiCLIP: two overlapping crops of a photo, distorted alike at rising levels.

A batch is a function of the seed and the step alone, so that a resumed run is the same as one that
was never stopped. Crops are cut from the scoring view at its own scale, as the block sees photos.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from iqcli.distortions.bank import DISTORTIONS, LEVELS
from iqcli.errors import IqError, PhotoError
from iqcli.photos.read import read_photo
from iqcli.pipeline.spec import reason
from iqcli.text import display_path
from iqcli.training.dataset import MAX_MEGAPIXELS
from iqcli.training.loop import shuffled_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from iqcli.records import Pixels

    Random = np.random.Generator

# The seven groups of KADIS-700k and ARNIQA. Each fault of phones is in the group most like it, so
# that nothing like a group that is left out is seen.
GROUPS = {
    "blur": ("gaussian_blur", "lens_blur", "motion_blur", "shake", "beauty"),
    "colour": (
        *("color_diffusion", "color_shift", "desaturation", "oversaturation", "white_balance"),
    ),
    "compression": ("jpeg2000", "jpeg", "jpeg_twice"),
    "noise": ("white_noise", "color_noise", "impulse_noise", "speckle", "sensor_noise"),
    "brightness": ("brighten", "darken", "mean_shift", "under_exposure", "over_exposure"),
    "spatial": ("jitter", "patches", "pixelate", "quantization", "color_blocks"),
    "contrast": ("sharpening", "contrast", "tone_curve", "over_sharpening", "haze"),
}
# The second crop is at most this part of a side away: a quarter of the area is common to both.
MOST_APART = 0.5


@dataclass(frozen=True)
class CropBatches:
    """The crops of every step: (photos, 2 crops, LEVELS, side, side, 3) of uint8.

    Each of the `photos` comes once before any twice, `size` a step. `groups` are those of `GROUPS`
    to train on; up to `composed` of them distort a photo at once, one distortion of each.
    """

    photos: Sequence[Path]
    groups: Sequence[str]
    seed: int
    size: int
    side: int
    composed: int

    def __getitem__(self, step: int) -> Pixels:
        """The crops of a step, any number from 0 on. Raises IqError for an unreadable photo."""
        random = np.random.default_rng([self.seed, step])
        rows = shuffled_rows(len(self.photos), self.size, self.seed, step)
        heads = [head_of(self.photos[row]) for row in rows.tolist()]
        return np.stack([self._ladders(head, random) for head in heads])

    def _ladders(self, head: Pixels, random: Random) -> Pixels:
        names, seed = draw(self.groups, self.composed, random), int(random.integers(2**31))
        crops = overlapping(head, self.side, random)
        return np.stack([ladder(crop, names, seed) for crop in crops])


def draw(groups: Sequence[str], composed: int, random: Random) -> list[str]:
    """One to `composed` distortions of different groups, in the order they are applied."""
    count = 1 + int(random.integers(min(composed, len(groups))))
    chosen = random.permutation(len(groups))[:count]
    return [str(random.choice(GROUPS[groups[k]])) for k in chosen]


def ladder(picture: Pixels, names: Sequence[str], seed: int) -> Pixels:
    """(LEVELS, height, width, 3): the copies at levels 1..LEVELS; the picture stays as it is."""
    copies = []
    for level in range(1, LEVELS + 1):
        copy = picture
        for k, name in enumerate(names):
            copy = DISTORTIONS[name](copy, level, seed + k)
        copies.append(copy)
    return np.stack(copies)


def overlapping(picture: Pixels, side: int, random: Random) -> tuple[Pixels, Pixels]:
    """Two square crops, at random places that share a quarter of their area or more.

    A picture with a shorter side is mirrored at its end.
    """
    down, right = (max(0, side - each) for each in picture.shape[:2])
    if down or right:
        picture = cv2.copyMakeBorder(picture, 0, down, 0, right, cv2.BORDER_REFLECT)
    room = np.array(picture.shape[:2]) - side
    first = random.integers(0, room + 1)
    least = np.maximum(first - int(MOST_APART * side), 0)
    most = np.minimum(first + int(MOST_APART * side), room)
    places = first, random.integers(least, most + 1)
    one, other = (
        np.ascontiguousarray(picture[top : top + side, left : left + side]) for top, left in places
    )
    return one, other


@lru_cache(maxsize=160)
def head_of(path: Path) -> Pixels:
    """The scoring view of a photo file; the last ones are cached. Raises IqError."""
    try:
        return read_photo(path.read_bytes(), max_megapixels=MAX_MEGAPIXELS)[1].scoring
    except (OSError, PhotoError) as error:
        raise IqError(f"{display_path(path)}: {reason(error)}; mend it, or leave it out") from error
