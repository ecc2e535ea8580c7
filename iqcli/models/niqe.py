"""NIQE: how far a picture's statistics lie from those of good photos. Asks nobody's opinion.

    d^2 = (m1 - m2)' ((S1 + S2) / 2)^-1 (m1 - m2)

with mean and covariance of the picture's blocks and of good photos' sharp blocks; lower is better.
The published method inverts by `pinv`, which is the inverse here: good photos' covariance has full
rank. Theirs were other photos, so a distance compares with none in the literature.

Mittal, Soundararajan, Bovik, "Making a Completely Blind Image Quality Analyzer", IEEE SPL 2013.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from iqcli.errors import IqError
from iqcli.extractors.registry import BLOCKS
from iqcli.models import checkpoint
from iqcli.models.base import ScoredModel
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from iqcli.models.registry import Entry
    from iqcli.records import Array


FORMAT = "iq-niqe-1"
BLOCK = "niqe"
FEATURES = 36  # as in iqcli.extractors.niqe, which a warm run has no need of
# At this distance a picture's own quality is 1/e. Good photos lie around 3, ruined ones beyond 15.
DECAY = 10.0
# No statistic of a picture comes near it.
LARGEST = 1e6


@dataclass(frozen=True)
class Natural:
    """The Gaussian of good photos' blocks: `mean` (36,) and `covariance` (36, 36), float64."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]

    def distances(self, vectors: Array) -> NDArray[np.float64]:
        """(n, 702) vectors of the block `niqe` to (n,) distances >= 0, NaN for an undefined one."""
        found = np.full(len(vectors), np.nan)
        defined = np.isfinite(vectors).all(axis=1)
        means = vectors[defined, :FEATURES].astype(np.float64)
        covariances = np.zeros((len(means), FEATURES, FEATURES))
        rows, columns = np.triu_indices(FEATURES)
        covariances[:, rows, columns] = covariances[:, columns, rows] = vectors[defined, FEATURES:]
        apart = (means - self.mean)[..., None]
        solved = np.linalg.solve((self.covariance + covariances) / 2, apart)
        found[defined] = np.sqrt(np.maximum((apart * solved).sum(axis=(1, 2)), 0))
        return found

    def quality(self, blocks: Mapping[str, Array]) -> Array:
        """(n, 702) of the block to (n,) qualities: 1 at distance 0, falling towards 0."""
        return np.exp(-self.distances(blocks[BLOCK]) / DECAY).astype(np.float32)


def make(entry: Entry) -> ScoredModel:
    """The model of an entry's file. Raises IqError for a file that is none."""
    assert entry.weights
    natural = load(entry.weights)
    return ScoredModel(entry.called, (BLOCK,), natural.quality, "technical")


def load(path: Path) -> Natural:
    """The Gaussian in a file of `iq train niqe`. Raises IqError where it holds none."""
    try:
        info, tensors = checkpoint.read(path)
    except checkpoint.UNREADABLE as error:
        raise IqError(f"cannot read {display_path(path)}: {error}; train it again") from error
    mean, covariance = tensors.get("mean"), tensors.get("covariance")
    if not (isinstance(info, dict) and info.get("format") == FORMAT and _sound(mean, covariance)):
        raise IqError(f"{display_path(path)} is no model of `iq train niqe`; train it again")
    if info.get("known_by") != BLOCKS[BLOCK].known_by:
        raise IqError(f"{display_path(path)} was fitted on another block {BLOCK!r}; train it again")
    return Natural(np.asarray(mean, np.float64), np.asarray(covariance, np.float64))


def _sound(mean: Any, covariance: Any) -> bool:
    """Whether these are a Gaussian that every distance is defined by."""
    if (
        mean is None
        or covariance is None
        or {mean.dtype, covariance.dtype} != {np.dtype(np.float64)}
    ):
        return False
    if mean.shape != (FEATURES,) or covariance.shape != (FEATURES, FEATURES):
        return False
    small = (np.abs(mean) < LARGEST).all() and (np.abs(covariance) < LARGEST).all()
    if not small or not np.allclose(covariance, covariance.T):
        return False
    return bool(np.linalg.eigvalsh(covariance)[0] > 0)
