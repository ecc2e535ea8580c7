"""What a finished model says of the scenes that taught it nothing: its honest validation.

It calibrates the uncertainty, and goes into the weight file as the model's experience, one photo a
scene, so that every photo of it counts in full.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy.stats import spearmanr

from iqcli.training.lessons import held_out

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from iqcli.training.lessons import Array, Lessons

# 90 % of normal draws lie within so many deviations.
NINE_IN_TEN = 1.645


class Head(Protocol):
    """A fusion head or a Gaussian process."""

    def predict(self, blocks: Mapping[str, Array]) -> tuple[Array, Array]:
        """(n,) scores and (n,) standard deviations."""
        ...


@dataclass(frozen=True)
class Experience:
    """Scores, calibrated deviations and opinions (k,) of the held-out photos, and the calibration.

    `first` (k,) marks one photo of each scene.
    """

    scores: Array
    sigmas: Array
    opinions: Array
    first: NDArray[np.bool_]
    calibration: float

    @property
    def srcc(self) -> float:
        """Rank correlation with people."""
        return float(spearmanr(self.scores, self.opinions)[0])

    @property
    def rmse(self) -> float:
        """Points."""
        return float(np.sqrt(((self.scores - self.opinions) ** 2).mean()))

    @property
    def covered(self) -> float:
        """Share of the opinions in the 90 % interval: by calibration, nine in ten."""
        return float((np.abs(self.scores - self.opinions) <= NINE_IN_TEN * self.sigmas).mean())

    @property
    def density(self) -> float:
        """Mean log density of the opinions, in nats: the higher, the more honest the doubt."""
        z = (self.opinions - self.scores) / self.sigmas
        return float((-0.5 * z**2 - np.log(self.sigmas) - 0.5 * np.log(2 * np.pi)).mean())

    def tensors(self) -> dict[str, Array]:
        """What goes into the weight file."""
        told = (self.scores, self.sigmas, self.opinions)
        names = ("held.scores", "held.sigmas", "held.opinions")
        return {n: np.ascontiguousarray(t[self.first]) for n, t in zip(names, told, strict=True)}


def gather(head: Head, lessons: Lessons) -> Experience:
    """Ask a head whose calibration is still 1 about the held-out photos."""
    held = held_out(lessons.scenes)
    scores, raw = head.predict({name: values[held] for name, values in lessons.blocks.items()})
    opinions = lessons.opinions[held]
    calibration = float(np.quantile(np.abs(scores - opinions) / raw, 0.9) / NINE_IN_TEN)
    scenes = [scene for scene, out in zip(lessons.scenes, held, strict=True) if out]
    sigmas = (raw * calibration).astype(np.float32)
    return Experience(scores.astype(np.float32), sigmas, opinions, _first(scenes), calibration)


def _first(scenes: Sequence[str]) -> NDArray[np.bool_]:
    """(k,) True for one photo of each scene, which one being no matter of its opinion."""
    order = sorted(range(len(scenes)), key=lambda k: zlib.crc32(f"{scenes[k]} {k}".encode()))
    first = np.zeros(len(scenes), bool)
    seen: set[str] = set()
    for k in order:
        first[k] = scenes[k] not in seen
        seen.add(scenes[k])
    return first
