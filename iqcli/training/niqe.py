"""Fit NIQE: the Gaussian of the sharp blocks of good photos. Needs no opinions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save

from iqcli.errors import IqError, NothingFound
from iqcli.extractors.niqe import FEATURES, blocks
from iqcli.extractors.registry import BLOCKS
from iqcli.models.niqe import BLOCK, FORMAT
from iqcli.photos.read import views_in
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from iqcli.records import Doubles, Pixels


# Blocks as sharp as this share of the sharpest of their photo are taken, as in the paper.
SHARP = 0.75
# Fewer do not determine 36 variances and 630 correlations.
FEWEST = 200


@dataclass(frozen=True, slots=True)
class NiqeFit:
    """Mean (36,) and covariance (36, 36) of the sharp blocks, and of how many photos and blocks."""

    mean: Doubles
    covariance: Doubles
    photos: int
    blocks: int

    def file(self) -> bytes:
        """The safetensors file that `iqcli.models.niqe` loads."""
        fingerprint = BLOCKS[BLOCK].weights_fingerprint
        info = {"format": FORMAT, "known_by": fingerprint, "photos": self.photos}
        tensors = {"mean": self.mean, "covariance": self.covariance}
        return save(tensors, metadata={"iq": json.dumps({**info, "blocks": self.blocks})})


def fit(pictures: Iterable[Pixels]) -> NiqeFit:
    """The Gaussian of good pictures, each (h, w, 3) with a short side of 512 pixels.

    Raises IqError where they have too few sharp blocks.
    """
    chosen = [sharp(*blocks(picture)) for picture in pictures]
    found = np.concatenate(chosen) if chosen else np.empty((0, FEATURES))
    if len(found) < FEWEST:
        raise IqError(f"{len(found)} sharp blocks are too few; give photos with {FEWEST} at least")
    covariance = np.cov(found, rowvar=False)
    if np.linalg.eigvalsh(covariance)[0] <= 0:
        raise IqError("these photos are too similar to show what is natural; give others too")
    return NiqeFit(found.mean(axis=0), covariance, sum(map(bool, map(len, chosen))), len(found))


def sharp(features: Doubles, sharpness: Doubles) -> Doubles:
    """The rows of (n, 36) features whose block is sharp for its photo, and not flat."""
    if not len(features):
        return features
    return features[np.isfinite(features).all(axis=1) & (sharpness > SHARP * sharpness.max())]


def fit_folders(
    folders: Sequence[Path],
    max_megapixels: float,
    say: Callable[[str], None],
    exclude: Sequence[str] = (),
) -> NiqeFit:
    """Fit on all photos of the folders. Raises IqError like `fit`, NothingFound for no photo."""
    found = views_in(folders, max_megapixels, say, exclude)
    pictures = (views.scoring for _, views in found)
    if (first := next(pictures, None)) is None:
        raise NothingFound(f"no photo in {', '.join(map(display_path, folders))}")
    return fit(each for some in ((first,), pictures) for each in some)
