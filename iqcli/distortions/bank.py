"""The bank of distortions that ladders are made of, each with five strengths that only get worse.

Two families. The 24 distortions of seven groups on which label-free quality networks are trained
(KADIS-700k: Lin et al. 2020; ARNIQA: Agnolucci et al. 2024; QualiCLIP: Agnolucci et al. 2024), with
the published strengths where they are monotone in quality; where the published table begins with
the identity or changes sign on the way, the steps are ours and the sign is drawn once a ladder. And
the faults of phones: shake, missed focus, sensor noise, exposure, white balance, JPEG twice,
over-sharpening, "beauty" smoothing and haze of a greasy lens.

Strengths are at the size of the scoring view (short side 512 pixels). Drawn with the same seed, the
copies of one ladder differ in strength alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from iqcli.distortions import camera_faults, filters

if TYPE_CHECKING:
    from collections.abc import Callable

    from iqcli.records import Pixels

LEVELS = 5
# Points that each level of a plain fault costs, and of one that may pass for a style.
FAULT_COST = 0.5
STYLE_COST = 0.25
# JPEG 2000 and patches need this much; the scoring view of a panorama may be a strip.
MIN_SIDE = 64


@dataclass(frozen=True, slots=True)
class Distortion:
    """A distortion and its five strengths; `identity` is the strength that changes nothing.

    `cost` is what a level must cost at least, in points of 1..10, when a network learns from it.
    """

    distort: Callable[[Pixels, float, np.random.Generator], Pixels]
    strengths: tuple[float, float, float, float, float]
    identity: float = 0.0
    cost: float = FAULT_COST

    def __call__(self, picture: Pixels, level: float, seed: int) -> Pixels:
        """The picture (h, w, 3) at a level 0..5; between two levels strengths are interpolated."""
        if level <= 0:
            return picture
        steps = (self.identity, *self.strengths)
        strength = float(np.interp(level, range(LEVELS + 1), steps))
        distorted = self.distort(_pad_to_min(picture), strength, np.random.default_rng(seed))
        return np.ascontiguousarray(distorted[: picture.shape[0], : picture.shape[1]])


DISTORTIONS = {
    "gaussian_blur": Distortion(filters.gaussian_blur, (0.5, 1.0, 1.6, 2.5, 5.0), identity=0.2),
    "lens_blur": Distortion(filters.lens_blur, (1, 2, 4, 6, 8)),
    "motion_blur": Distortion(filters.motion_blur, (3, 5, 8, 12, 18), identity=1.0),
    "color_diffusion": Distortion(filters.color_diffusion, (1, 3, 6, 8, 12), cost=STYLE_COST),
    "color_shift": Distortion(filters.color_shift, (1, 3, 6, 8, 12)),
    "desaturation": Distortion(
        filters.desaturate, (0.4, 0.2, 0.1, 0.0, -0.4), identity=1.0, cost=STYLE_COST
    ),
    "oversaturation": Distortion(
        filters.oversaturate, (1.5, 2, 3, 6, 9), identity=1.0, cost=STYLE_COST
    ),
    "jpeg2000": Distortion(filters.jpeg2000, (16, 32, 45, 120, 170), identity=4.0),
    "jpeg": Distortion(filters.jpeg, (43, 36, 24, 7, 4), identity=95.0),
    "white_noise": Distortion(filters.white_noise, (0.001, 0.002, 0.003, 0.005, 0.01)),
    "color_noise": Distortion(filters.color_noise, (1e-4, 5e-4, 1e-3, 2e-3, 3e-3)),
    "impulse_noise": Distortion(filters.impulse_noise, (0.001, 0.005, 0.01, 0.02, 0.03)),
    "speckle": Distortion(filters.speckle, (0.001, 0.005, 0.01, 0.02, 0.05)),
    "brighten": Distortion(filters.brighten, (0.1, 0.2, 0.4, 0.7, 1.1), cost=STYLE_COST),
    "darken": Distortion(filters.dim, (0.05, 0.1, 0.2, 0.4, 0.8), cost=STYLE_COST),
    "mean_shift": Distortion(filters.mean_shift, (0.05, 0.1, 0.15, 0.22, 0.3), cost=STYLE_COST),
    "jitter": Distortion(filters.jitter, (0.05, 0.1, 0.2, 0.5, 1)),
    "patches": Distortion(filters.patches, (20, 40, 60, 80, 100)),
    "pixelate": Distortion(filters.pixelate, (0.01, 0.05, 0.1, 0.2, 0.5), identity=0.001),
    "quantization": Distortion(filters.quantize, (20, 16, 13, 10, 7), identity=256.0),
    "color_blocks": Distortion(filters.color_blocks, (2, 4, 6, 8, 10)),
    "sharpening": Distortion(filters.sharpen, (1, 2, 3, 6, 12)),
    "contrast": Distortion(filters.change_contrast, (0.15, 0.3, 0.45, 0.6, 0.75), cost=STYLE_COST),
    "tone_curve": Distortion(filters.s_curve, (3, 4.5, 7, 11, 18), identity=0.5, cost=STYLE_COST),
    # The faults of phones.
    "shake": Distortion(filters.curved_motion_blur, (4, 7, 11, 16, 24), identity=1.0),
    "sensor_noise": Distortion(camera_faults.add_noise, (6, 10, 16, 25, 40)),
    "under_exposure": Distortion(camera_faults.darken, (0.7, 1.4, 2.2, 3.2, 4.5)),
    "over_exposure": Distortion(camera_faults.blow_out, (0.6, 1.1, 1.7, 2.4, 3.2)),
    "white_balance": Distortion(filters.color_cast, (0.4, 0.8, 1.3, 1.9, 2.6), cost=STYLE_COST),
    "jpeg_twice": Distortion(filters.jpeg_twice, (45, 30, 20, 10, 5), identity=92.0),
    "over_sharpening": Distortion(filters.over_sharpen, (0.8, 1.6, 3, 5, 8)),
    "beauty": Distortion(filters.bilateral_smoothing, (10, 18, 30, 50, 90)),
    "haze": Distortion(filters.lens_haze, (0.12, 0.25, 0.4, 0.55, 0.7)),
}


def _pad_to_min(picture: Pixels) -> Pixels:
    """The picture, mirrored at the end of a side that is shorter than `MIN_SIDE`."""
    down, right = (max(0, MIN_SIDE - side) for side in picture.shape[:2])
    if not down and not right:
        return picture
    return cv2.copyMakeBorder(picture, 0, down, 0, right, cv2.BORDER_REFLECT)
