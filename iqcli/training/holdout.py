"""How a trained model does on the scenes that were held out.

This calibrates its uncertainty, and goes into the weight file, one photo a scene, so that every
photo of it counts in full.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import spearmanr

from iqcli.models.checkpoint import HOLDOUT
from iqcli.models.fusion import TRUNK
from iqcli.training.dataset import holdout_mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from iqcli.models.fusion import FusionHead
    from iqcli.models.gaussian_process import GaussianProcess
    from iqcli.records import Array
    from iqcli.training.dataset import TrainingSet

# 90 % of normal draws lie within so many deviations.
NINE_IN_TEN = 1.645
# Of a search whose error falls at least tenfold a step.
STEPS = 5


@dataclass(frozen=True)
class HoldoutEvaluation:
    """Scores, calibrated deviations and opinions (k,) of the held-out photos, and the calibration.

    `cross_sigmas` (k,) are the deviations by the calibration of the other half of the scenes; the
    figures use them, since nine in ten of the photos that set a calibration lie in its interval by
    construction. `one_per_scene` (k,) marks one photo of each scene.
    """

    scores: Array
    sigmas: Array
    cross_sigmas: Array
    opinions: Array
    one_per_scene: NDArray[np.bool_]
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
    def coverage(self) -> float:
        """Share of the opinions in the 90 % interval, calibrated on the other half."""
        error = np.abs(self.scores - self.opinions)
        return float((error <= NINE_IN_TEN * self.cross_sigmas).mean())

    @property
    def log_density(self) -> float:
        """Mean log density of the opinions, in nats: the higher, the better the uncertainty."""
        z = (self.opinions - self.scores) / self.cross_sigmas
        return float((-0.5 * z**2 - np.log(self.cross_sigmas) - 0.5 * np.log(2 * np.pi)).mean())

    def tensors(self) -> dict[str, Array]:
        """What goes into the weight file."""
        values = (self.scores, self.sigmas, self.opinions)
        return {
            name: np.ascontiguousarray(each[self.one_per_scene])
            for name, each in zip(HOLDOUT, values, strict=True)
        }


def evaluate_holdout(head: FusionHead | GaussianProcess, data: TrainingSet) -> HoldoutEvaluation:
    """Evaluate a head whose calibration is still 1 on the held-out photos."""
    holdout = holdout_mask(data.scenes)
    scores, raw = head.predict({name: values[holdout] for name, values in data.blocks.items()})
    opinions = data.opinions[holdout]
    scenes = [scene for scene, out in zip(data.scenes, holdout, strict=True) if out]
    half = np.array([zlib.crc32(f"half {scene}".encode()) % 2 == 0 for scene in scenes], bool)
    abs_z = np.abs(scores - opinions) / raw
    calibration = _calibration(abs_z)
    cross = raw * np.where(half, _calibration(abs_z[~half]), _calibration(abs_z[half]))
    return HoldoutEvaluation(
        scores.astype(np.float32),
        (raw * calibration).astype(np.float32),
        cross.astype(np.float32),
        opinions,
        _one_per_scene(scenes),
        calibration,
    )


def recentre_bias(head: FusionHead, data: TrainingSet) -> None:
    """Move the last bias of every member until the held-out photos score as people rate on average.

    Ladders pull all scores down: a network that learns that a copy is worse learns to be strict.
    """
    holdout = holdout_mask(data.scenes)
    blocks = {name: values[holdout] for name, values in data.blocks.items()}
    for _ in range(STEPS):
        scores, _sigmas = head.predict(blocks)
        gap = float((data.opinions[holdout] - scores).mean())
        # A score is 1 + 9 sigmoid(z): its slope in z.
        slope = float(((scores - 1) * (10 - scores) / 9).mean())
        for k in range(head.info["members"]):
            head.tensors[f"{k}.{TRUNK[-1]}.bias"][0] += gap / slope


def _calibration(abs_z: Array) -> float:
    """The factor by which nine in ten lie within 1.645 deviations; 1 of nothing."""
    return float(np.quantile(abs_z, 0.9) / NINE_IN_TEN) if len(abs_z) else 1.0


def _one_per_scene(scenes: Sequence[str]) -> NDArray[np.bool_]:
    """(k,) True for one photo of each scene, chosen whatever its opinion."""
    order = sorted(range(len(scenes)), key=lambda k: zlib.crc32(f"{scenes[k]} {k}".encode()))
    first = np.zeros(len(scenes), bool)
    seen: set[str] = set()
    for k in order:
        first[k] = scenes[k] not in seen
        seen.add(scenes[k])
    return first
