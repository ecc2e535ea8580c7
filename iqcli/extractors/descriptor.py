"""The descriptor of a photo, from blocks that are cached: NumPy alone.

The classes are kinds of photo that a rule may be unfair to, seen in the tiles: they name a kind of
picture and do not judge it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from iqcli.extractors.schema import EMBEDDING, layer
from iqcli.records import FrameDescriptor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from iqcli.records import Vector

BLOCKS = ("mini", "tiles")
# A frame is as sharp as its sharpest tiles: a background out of focus is no fault.
SHARPEST = 6
# "low key": half of the tiles are darker than this, and something bright stands out of them, as at
# night, before a low sun or a dark ground.
DARK, LIT, LIT_TILES = 40, 110, 3
# "plain ground": as many tiles hold hardly more than noise (deviation of luma) beside some detail.
PLAIN, PLAIN_TILES, DETAIL, DETAIL_TILES = 8.0, 0.5, 20.0, 6
# "soft ground": the sharpest tiles are so much sharper than the middle one, which is not plain.
SOFT = 8.0
LAYERS = ("mean", "fine", "spread")


def descriptor_of(blocks: Mapping[str, Vector]) -> FrameDescriptor:
    """The descriptor from the blocks `BLOCKS`, see `iqcli.extractors.mini` and `.tiles`.

    `embedding` (96,) is that of the whole picture, `light` (144,) the mean luma by tile, zeros for
    a picture that is too small for tiles. `sharpness` is in steps of luma.
    """
    embedding = blocks["mini"][:EMBEDDING].astype(np.float16)
    mean, fine, spread = (layer(blocks["tiles"][None], name)[0] for name in LAYERS)
    if not np.isfinite(mean).all():
        return FrameDescriptor(embedding, np.zeros(mean.size, np.uint8))
    light = np.clip(np.rint(mean), 0, 255).astype(np.uint8)
    return FrameDescriptor(embedding, light, _sharpest(fine), _classes(mean, fine, spread))


def _sharpest(fine: NDArray[np.float32]) -> float:
    return float(np.sort(fine)[-SHARPEST:].mean())


def _classes(
    mean: NDArray[np.float32], fine: NDArray[np.float32], spread: NDArray[np.float32]
) -> tuple[str, ...]:
    some = (spread >= DETAIL).sum() >= DETAIL_TILES
    seen = {
        "low key": np.median(mean) < DARK and (mean >= LIT).sum() >= LIT_TILES,
        "plain ground": some and (spread < PLAIN).mean() >= PLAIN_TILES,
        "soft ground": _sharpest(fine) >= SOFT * np.median(fine) and np.median(spread) >= PLAIN,
    }
    return tuple(name for name, there in seen.items() if there)
