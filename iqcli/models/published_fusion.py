"""The model `fusion`: BRISQUE, LAION V1 and CLIP joined by the published network of its authors.

The CLIP vector keeps its length (about 10): so were the vectors that the network learnt from and
was measured on. Its own code divided them by their length when it scored, which is another input
than it had learnt. Otherwise the faults of that code are not kept: each photo is scored with its
own vector, CLIP has its QuickGELU, BRISQUE is read at 512 pixels, and what cannot be judged has no
score. None of this mends the weights, which learnt with the vectors of other photos: see the card.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from iqcli.errors import IqError
from iqcli.models import brisque as brisque_live
from iqcli.models import laion
from iqcli.models.calibration import scale_of
from iqcli.models.fusionfile import network_of, packed, unpacked
from iqcli.models.registry import ENTRIES
from iqcli.models.scored import ScoredModel
from iqcli.records import Rating
from iqcli.weights import store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from iqcli.models.fusionnet import Network
    from iqcli.models.registry import Entry
    from iqcli.records import Unrated, Vector

    Array = NDArray[np.float32]

WEIGHTS = "fusion"
BRISQUE, CLIP, CLIP_SIZE = brisque_live.BLOCK, "clip:ViT-B-32", 512


@dataclass(frozen=True)
class Method:
    """What the network reads of a photo, and what it makes of it."""

    brisque: brisque_live.Brisque
    laion: laion.Laion
    network: Network

    def technical(self, blocks: Mapping[str, Array]) -> Array:
        """(n,) b, 0 (best) .. 1; NaN where BRISQUE is not defined."""
        return self.brisque.score(blocks[BRISQUE]) / np.float32(100)

    def aesthetic(self, blocks: Mapping[str, Array]) -> Array:
        """(n,) a, 0 .. 1 (best)."""
        return self.laion.quality(blocks)

    def quality(self, blocks: Mapping[str, Array]) -> Array:
        """(n,) shares of the output range, 0..1; NaN where BRISQUE is not defined."""
        return self.network.share(self.technical(blocks), self.aesthetic(blocks), blocks[CLIP])


@dataclass(frozen=True, kw_only=True)
class PublishedFusion(ScoredModel):
    """Its ratings, with what brisque-live says as the technical part, and LAION V1 as `beside`."""

    method: Method

    def rate(self, photos: Sequence[Mapping[str, Vector]]) -> Sequence[Rating | Unrated]:
        """See `registry.Model`."""
        rated = super().rate(photos)
        if not rated:
            return []
        features = np.stack([each[BRISQUE] for each in photos])
        quality, scale = self.method.brisque.quality({BRISQUE: features}), scale_of("brisque-live")
        points = scale.apply(quality) if scale else 1 + 9 * quality
        return [
            replace(rating, technical=float(point)) if isinstance(rating, Rating) else rating
            for rating, point in zip(rated, points, strict=True)
        ]


def make(entry: Entry) -> PublishedFusion:
    """The model `fusion`, or of the folder that `entry.weights` is.

    Raises IqError where weights are missing or damaged, or read another CLIP.
    """
    if entry.weights is None:
        return model(entry.name, pulled())
    network = network_of(entry.weights)
    store.require(name for name in ENTRIES["fusion"].needs if name != WEIGHTS)
    return model(f"{entry.name}/{network.known_by}", network)


def pulled() -> Network:
    """The published network. Raises IqError that says what to pull where it is not here."""
    return unpacked(store.converted(WEIGHTS, packed), store.path_of(WEIGHTS))


def model(name: str, network: Network) -> PublishedFusion:
    """The ratings of a network, with the installed BRISQUE and LAION V1 before it."""
    if network.embedding != CLIP_SIZE:
        raise IqError(
            f"{name} reads CLIP vectors of {network.embedding} numbers, and {CLIP} has "
            f"{CLIP_SIZE}; give a network for {CLIP}"
        )
    method = Method(brisque_live.load(), laion.load("laion-v1"), network)
    return PublishedFusion(name, (BRISQUE, CLIP), method.quality, method=method)
