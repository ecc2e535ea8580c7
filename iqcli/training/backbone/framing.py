"""What the network sees of a picture in training: both views of the block `mini`, framed at random.

A picture that is seen more than once never looks the same; versions of one picture do, or the
frame would be learnt and not the fault.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iqcli.extractors.mini_crops import GRID, mosaic, whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from iqcli.records import Pixels

    Random = np.random.Generator

# Up to this part of each side is cut off the whole.
CROP = 0.15


@dataclass(frozen=True)
class Framing:
    """How views are taken: `frame` (top, left, bottom, right, in 0..1) of the whole, `places`
    (GRID, GRID, 2) of the pieces in their cells, and whether all is mirrored."""

    frame: tuple[float, float, float, float]
    places: NDArray[np.float32]
    mirrored: bool


CENTRED = Framing((0, 0, 1, 1), np.full((GRID, GRID, 2), 0.5, np.float32), mirrored=False)


def draw_framing(random: Random) -> Framing:
    """A random framing."""
    tall, wide = 1 - CROP * random.random(2)
    top, left = random.random(2) * (1 - tall, 1 - wide)
    return Framing(
        (top, left, top + tall, left + wide),
        random.random((GRID, GRID, 2), np.float32),
        bool(random.random() < 0.5),
    )


def views_of(picture: Pixels, framing: Framing) -> Pixels:
    """(h, w, 3) to (2, side, side, 3): the whole and the mosaic."""
    height, width = picture.shape[:2]
    top, left, bottom, right = framing.frame
    most = picture[round(top * height) : round(bottom * height)]
    most = most[:, round(left * width) : round(right * width)]
    views = np.stack([whole(most), mosaic(picture, framing.places)])
    return views[:, :, ::-1] if framing.mirrored else views
