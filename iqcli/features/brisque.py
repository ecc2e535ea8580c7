"""The 36 BRISQUE statistics of a picture, as OpenCV computes them.

Mittal, Moorthy, Bovik, "No-Reference Image Quality Assessment in the Spatial Domain", IEEE TIP
2012; `cv2.quality.QualityBRISQUE_computeFeatures`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from iqcli.records import Vector, Views

SIZE = 36
# Below this luma variance the generalised Gaussian fits divide nothing by nothing, and OpenCV
# turns the NaN into a perfect score.
FLAT = 1e-6


def extract(views: Views) -> Vector:
    """The unscaled features of `views.head`, or all NaN where they are not defined (flat, tiny).

    18 a scale, at the view's size and half of it: shape and variance of the MSCN coefficients,
    then shape, mean, left and right variance of their four neighbour products.
    """
    if views.head.dtype != np.uint8:
        raise TypeError(f"BRISQUE reads 8-bit pictures, not {views.head.dtype}")
    undefined = np.full(SIZE, np.nan, np.float32)
    luma = cv2.cvtColor(views.head, cv2.COLOR_RGB2GRAY)
    if min(luma.shape) < 16 or luma.var() < FLAT:
        return undefined
    features: Vector = cv2.quality.QualityBRISQUE_computeFeatures(luma)[0]  # type: ignore[attr-defined]
    return features if np.isfinite(features).all() else undefined
