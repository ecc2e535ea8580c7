"""What stands out in a photo beside others: light, colour, sharpness and noise, in words."""

from __future__ import annotations

from dataclasses import dataclass
from math import erf, sqrt
from typing import TYPE_CHECKING

import numpy as np

from iqcli.extractors.schema import PHOTOMETRY
from iqcli.models.fusion import KNOTS, normal_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Numbers = NDArray[np.float64]

# By which share of their range, a knot, the fit sets quantiles apart so that equal ones rise, too.
APART = 1e-4
# What a photo is called that has less of a feature than the others, and more.
WORDS = {
    "luma_mean": ("darker", "brighter"),
    "luma_std": ("lower in contrast", "higher in contrast"),
    "luma_white": ("with less pure white", "with more pure white"),
    "luma_black": ("with less pure black", "with more pure black"),
    "tile_luma_std": ("more evenly lit", "less evenly lit"),
    "colourfulness": ("less colourful", "more colourful"),
    "cast_a": ("greener", "more magenta"),
    "cast_b": ("bluer", "yellower"),
    "tile_sharp_p90": ("softer", "sharper"),
    "tile_noise_p10": ("cleaner", "noisier"),
    "block_x": ("with fewer JPEG blocks", "with more JPEG blocks"),
}


@dataclass(frozen=True, slots=True)
class Feature:
    """A number of the block `photometry`: here, in the middle, and the share (%) that has less."""

    name: str
    value: float
    median: float
    percentile: float

    @property
    def words(self) -> tuple[str, float]:
        """What this photo is called, and more so than how many per cent."""
        less, more = WORDS[self.name]
        return (more, self.percentile) if self.percentile >= 50 else (less, 100 - self.percentile)


def among(own: Array, others: Array) -> tuple[Feature, ...]:
    """The features of a block (94,) beside (n, 94) others, n >= 1, the most telling first."""
    return _told(own, np.median(others, axis=0), shares(own, others))


def among_training(own: Array, knots: Array) -> tuple[Feature, ...]:
    """The same beside the photos that a model learnt from, known by their (94, KNOTS) quantiles."""
    step = APART * np.ptp(knots, axis=1)
    quantiles = np.maximum.accumulate(knots - step[:, None] * np.arange(KNOTS), axis=1)
    # On both sides of a value that many have, as of no pure white at all: equal ones count half.
    beside = np.stack([own - step / 2, own + step / 2])
    low, high = normal_scores(beside, quantiles)[:, :-1]
    beaten = np.array([_beaten(a) / 2 + _beaten(b) / 2 for a, b in zip(low, high, strict=True)])
    return _told(own, quantiles[:, KNOTS // 2], beaten)


def _beaten(score: float) -> float:
    """The share (%) below a normal score."""
    return 50 * (1 + erf(score / sqrt(2)))


def shares(own: Array, others: Array) -> Numbers:
    """The share (%) of (n, size) `others` that are less than (size,) `own`; equal ones half."""
    found: Numbers = 100 * ((others < own) + 0.5 * (others == own)).mean(axis=0)
    return found


def _told(own: Array, medians: Array, beaten: Numbers) -> tuple[Feature, ...]:
    found = (
        Feature(name, float(own[i]), float(medians[i]), float(beaten[i]))
        for name, i in ((name, PHOTOMETRY.index(name)) for name in WORDS)
    )
    return tuple(sorted(found, key=lambda each: -abs(each.percentile - 50)))
