"""NIQE: how far a picture's statistics lie from those of good photos (opinion-unaware).

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
from iqcli.models import checkpoint
from iqcli.models.base import Method
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from iqcli.models.base import Blocks, Source
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

    def quality(self, blocks: Blocks) -> Array:
        """(n, 702) of the block to (n,) qualities: 1 at distance 0, falling towards 0."""
        return np.exp(-self.distances(blocks[BLOCK]) / DECAY).astype(np.float32)


def predictor(source: Source) -> Method:
    """The model of an entry's file. Raises IqError like `load`."""
    natural = load(source.file, source.blocks[BLOCK].weights_fingerprint)
    return Method(quality=natural.quality, reads=(BLOCK,), part="technical")


def load(path: Path, fingerprint: str) -> Natural:
    """The Gaussian in a file of `iq train niqe`, if it was fitted on the block of this fingerprint.

    Raises IqError for any other file.
    """
    again = "train it again with `iq train niqe`"
    info, tensors = checkpoint.load(path, "niqe model", again, _valid_metadata, _valid_tensors)
    if info.get("known_by") != fingerprint:
        raise IqError(
            f"{display_path(path)} was fitted on another block {BLOCK!r} than this iq has; {again}"
        )
    mean, covariance = (np.asarray(tensors[name], np.float64) for name in ("mean", "covariance"))
    return Natural(mean, covariance)


def _valid_metadata(info: object) -> bool:
    return isinstance(info, dict) and info.get("format") == FORMAT


def _valid_tensors(tensors: Mapping[str, Any], _info: Mapping[str, Any]) -> bool:
    """Whether these are a Gaussian that every distance is defined by."""
    if not {"mean", "covariance"} <= set(tensors):
        return False
    mean, covariance = tensors["mean"], tensors["covariance"]
    if {mean.dtype, covariance.dtype} != {np.dtype(np.float64)}:
        return False
    if mean.shape != (FEATURES,) or covariance.shape != (FEATURES, FEATURES):
        return False
    small = (np.abs(mean) < LARGEST).all() and (np.abs(covariance) < LARGEST).all()
    if not small or not np.allclose(covariance, covariance.T):
        return False
    return bool(np.linalg.eigvalsh(covariance)[0] > 0)
