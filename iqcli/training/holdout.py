"""What a finished model says of the scenes that taught it nothing: its honest validation.

It calibrates the uncertainty, and goes into the weight file as the model's hold-out sample, one
photo a scene, so that every photo of it counts in full.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy.stats import spearmanr

from iqcli.models.checkpoint import HELD
from iqcli.models.fusion import TRUNK
from iqcli.training.dataset import holdout_mask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from iqcli.models.fusion import FusionHead
    from iqcli.records import Array
    from iqcli.training.dataset import TrainingSet

# 90 % of normal draws lie within so many deviations.
NINE_IN_TEN = 1.645
# Of a search whose error falls at least tenfold a step.
STEPS = 5


class Predictor(Protocol):
    """A fusion head or a Gaussian process."""

    def predict(self, blocks: Mapping[str, Array]) -> tuple[Array, Array]:
        """(n,) scores and (n,) standard deviations."""
        ...


@dataclass(frozen=True)
class HoldoutSample:
    """Scores, calibrated deviations and opinions (k,) of the held-out photos, and the calibration.

    `crossed` (k,) are the deviations by the calibration of the other half of the scenes: figures
    stand on them, since nine in ten of the photos that set a calibration lie in its interval by
    making. `first` (k,) marks one photo of each scene.
    """

    scores: Array
    sigmas: Array
    crossed: Array
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
        """Share of the opinions in the 90 % interval, calibrated on the other half."""
        return float((np.abs(self.scores - self.opinions) <= NINE_IN_TEN * self.crossed).mean())

    @property
    def density(self) -> float:
        """Mean log density of the opinions, in nats: the higher, the more honest the doubt."""
        z = (self.opinions - self.scores) / self.crossed
        return float((-0.5 * z**2 - np.log(self.crossed) - 0.5 * np.log(2 * np.pi)).mean())

    def tensors(self) -> dict[str, Array]:
        """What goes into the weight file."""
        told = (self.scores, self.sigmas, self.opinions)
        return {n: np.ascontiguousarray(t[self.first]) for n, t in zip(HELD, told, strict=True)}


def measure_holdout(head: Predictor, lessons: TrainingSet) -> HoldoutSample:
    """Ask a head whose calibration is still 1 about the held-out photos."""
    held = holdout_mask(lessons.scenes)
    scores, raw = head.predict({name: values[held] for name, values in lessons.blocks.items()})
    opinions = lessons.opinions[held]
    scenes = [scene for scene, out in zip(lessons.scenes, held, strict=True) if out]
    half = np.array([zlib.crc32(f"half {scene}".encode()) % 2 == 0 for scene in scenes], bool)
    strayed = np.abs(scores - opinions) / raw
    calibration = _spread(strayed)
    crossed = raw * np.where(half, _spread(strayed[~half]), _spread(strayed[half]))
    return HoldoutSample(
        scores.astype(np.float32),
        (raw * calibration).astype(np.float32),
        crossed.astype(np.float32),
        opinions,
        _first(scenes),
        calibration,
    )


def recentre_bias(head: FusionHead, lessons: TrainingSet) -> None:
    """Move the last bias of every member until the held-out photos score as people rate on average.

    Ladders pull all scores down: a network that learns that a copy is worse learns to be strict.
    """
    held = holdout_mask(lessons.scenes)
    blocks = {name: values[held] for name, values in lessons.blocks.items()}
    for _ in range(STEPS):
        scores, _sigmas = head.predict(blocks)
        gap = float((lessons.opinions[held] - scores).mean())
        # A score is 1 + 9 sigmoid(z): its slope in z.
        slope = float(((scores - 1) * (10 - scores) / 9).mean())
        for k in range(head.info["members"]):
            head.tensors[f"{k}.{TRUNK[-1]}.bias"][0] += gap / slope


def _spread(strayed: Array) -> float:
    """The factor by which nine in ten lie within 1.645 deviations; 1 of nothing."""
    return float(np.quantile(strayed, 0.9) / NINE_IN_TEN) if len(strayed) else 1.0


def _first(scenes: Sequence[str]) -> NDArray[np.bool_]:
    """(k,) True for one photo of each scene, which one being no matter of its opinion."""
    order = sorted(range(len(scenes)), key=lambda k: zlib.crc32(f"{scenes[k]} {k}".encode()))
    first = np.zeros(len(scenes), bool)
    seen: set[str] = set()
    for k in order:
        first[k] = scenes[k] not in seen
        seen.add(scenes[k])
    return first
