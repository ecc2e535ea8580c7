"""Pictures to measure: photos that ship inside scikit-image, and scenes drawn so that we know."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from iqcli.photos.views import limited, views_of
from iqcli.records import Views

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from iqcli.records import Pixels, Vector

PHOTOS = ("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "coins.png")
FOLDER = Path(find_spec("skimage").submodule_search_locations[0]) / "data"


@cache
def photo(name: str) -> Pixels:
    """An RGB photo of scikit-image's wheel, read-only."""
    pixels = np.asarray(Image.open(FOLDER / name).convert("RGB"))
    pixels.setflags(write=False)
    return pixels


def grey(plane: NDArray[np.generic]) -> Pixels:
    """A grey plane of 0..255 as an RGB picture."""
    rounded = np.clip(np.rint(plane), 0, 255).astype(np.uint8)
    return np.repeat(rounded[..., None], 3, axis=2)


def plain(level: int, height: int = 512, width: int = 512) -> Pixels:
    return grey(np.full((height, width), level))


def ramp(height: int = 512, width: int = 512) -> Pixels:
    """Black at the left to white at the right, each level equally often."""
    return grey(np.tile(np.arange(width) * 256 // width, (height, 1)))


def noisy(sigma: float, level: int = 128, size: int = 512, seed: int = 0) -> Pixels:
    """A plain ground with Gaussian noise, the same in all channels."""
    noise = np.random.default_rng(seed).normal(level, sigma, (size, size))
    return grey(noise)


def texture(seed: int, height: int = 512, width: int = 512) -> Pixels:
    """Coloured clouds with detail at every scale, as photos have it."""
    random = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.float32)
    for octave in range(2, 8):
        coarse = random.normal(0, 1, (2**octave, 2**octave, 3)).astype(np.float32)
        picture += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * 60 / octave
    return np.clip(picture + 128, 0, 255).astype(np.uint8)


def own_view(picture: Pixels) -> Views:
    """Both views are the picture as it is, so that what is drawn is what is measured."""
    return Views(picture, picture)


def blocks_of(picture: Pixels, *names: str) -> Mapping[str, Vector]:
    """The blocks of a picture as a decoded file would give them."""
    from iqcli.extractors.registry import BLOCKS
    from iqcli.pipeline.devices import measure_views

    views = views_of(limited(picture))
    return measure_views([views], [BLOCKS[name] for name in names or BLOCKS], "cpu")[0]
