"""The block `grey`: a small grey picture, by which one picture is known again elsewhere.

And what is known of a photo by it and by blocks that are measured anyhow: NumPy alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from iqcli.extractors.schema import GREY, PHOTOMETRY, layer
from iqcli.records import Likeness

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from iqcli.records import Pixels, Vector, Views

NAME = "grey"
# What `likeness_of` reads; where one was never measured, less is known.
BLOCKS = ("tiles", "photometry", NAME)
# How colours lie: their means and spreads in Lab, and how strong they are.
COLOURS = ("a_mean", "b_mean", "a_std", "b_std", "chroma_mean")


def extract(views: Views) -> Vector:
    """(GREY * GREY,) means of luma, 0..255, over equal parts of the scoring view, row by row."""
    import cv2  # deferred: a warm run decodes nothing

    from iqcli.extractors.area import area

    small = area(cv2.cvtColor(views.scoring, cv2.COLOR_RGB2GRAY), GREY, GREY)
    # Means of white may be a little more.
    return np.clip(small, 0, 255).astype(np.float32).reshape(-1)


def likeness_of(blocks: Mapping[str, Vector]) -> Likeness | None:
    """What the blocks `BLOCKS` tell of a picture; None where they tell nothing."""
    if "tiles" not in blocks:
        return None
    light = layer(blocks["tiles"][None], "mean")[0]
    if not np.isfinite(light).all():
        return None
    grey, colour = blocks.get(NAME), blocks.get("photometry")
    return Likeness(
        light=_pixels(light),
        grey=None if grey is None else _pixels(grey),
        colour=None if colour is None else colour[[PHOTOMETRY.index(name) for name in COLOURS]],
    )


def _pixels(values: NDArray[np.float32]) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
