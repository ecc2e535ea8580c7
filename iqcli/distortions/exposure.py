"""Exposure series: one picture as a camera would have taken it with more or less light.

Light adds up and is clipped where it is linear, before the tone curve of the camera. Which curve a
JPEG went through is not known, so it is drawn: a power and an S-shape, the same for a series.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from iqcli.records import Pixels

    Random = np.random.Generator

# Parts of a code: a strongly brightened picture must not show the steps of the one it is made of.
FINE = 8
NODES = 4097


@dataclass(frozen=True)
class Response:
    """The tone curve of a camera: light 0..1 to the power 1 / `power`, then an S of `steepness`.

    A power of 2.2 and no S is nearly sRGB; cameras add an S of one to three.
    """

    power: float = 2.2
    steepness: float = 0.0

    def to_code(self, light: NDArray[np.float64]) -> NDArray[np.float64]:
        """Light, clipped to 0..1, to codes 0..1."""
        code = np.clip(light, 0, 1) ** (1 / self.power)
        if not self.steepness:
            return code
        return 0.5 + 0.5 * np.tanh(self.steepness * (code - 0.5)) / np.tanh(self.steepness / 2)

    def to_light(self, code: NDArray[np.float64]) -> NDArray[np.float64]:
        """Codes 0..1 to light 0..1."""
        light = np.linspace(0, 1, NODES) ** 3  # close together where the curve is steep
        return np.interp(code, self.to_code(light), light)


def draw_response(random: Random) -> Response:
    """The curve of a random camera; one in four is the plain one."""
    if random.random() < 0.25:
        return Response()
    return Response(random.uniform(1.8, 2.5), random.uniform(0.01, 2.6))


def expose(picture: Pixels, stops: float, response: Response, random: Random) -> Pixels:
    """The picture (h, w, 3) with `stops` more light, or less; what passes white is lost."""
    if stops == 0:
        return picture
    codes = (np.arange(256 * FINE) + 0.5) / FINE - 0.5
    light = response.to_light(np.clip(codes, 0, 255) / 255)
    # White was clipped in the picture already: it stays white in all but the dark ones.
    table = np.clip(np.rint(255 * response.to_code(light * 2.0**stops)), 0, 255).astype(np.uint8)
    index = picture.astype(np.uint16) * FINE
    index += random.integers(0, FINE, picture.shape, np.uint8)
    return table[index]


def fuse(series: Sequence[Pixels]) -> Pixels:
    """The exposures in one picture (Mertens et al. 2007): of each place, what is well exposed."""
    fused = cv2.createMergeMertens().process([each[..., ::-1] for each in series])
    return np.ascontiguousarray(np.clip(np.rint(fused[..., ::-1] * 255), 0, 255).astype(np.uint8))


def is_well_exposed(picture: Pixels) -> bool:
    """Whether a series may be made of it: neither dark nor bright, little lost at either end."""
    luma = cv2.cvtColor(np.ascontiguousarray(picture[::2, ::2]), cv2.COLOR_RGB2GRAY)
    lost = float((luma >= 250).mean()), float((luma <= 5).mean())
    return 70 <= float(luma.mean()) <= 165 and lost[0] < 0.03 and lost[1] < 0.08
