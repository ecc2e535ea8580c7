"""A fusion head and the issue thresholds joined into ratings."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from iqcli.errors import IqError
from iqcli.models import fusion, issues
from iqcli.models.registry import BLOCKS
from iqcli.records import Rating

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from iqcli.features.extractor import PhotoBlock
    from iqcli.records import Vector

UNDEFINED = "{} is not defined for this picture (flat or tiny); judged without it"


class FusionModel:
    """Ratings from a fusion head file. Reads the file once, at the first need."""

    def __init__(self, weights: Path) -> None:
        self.weights = weights

    @cached_property
    def head(self) -> fusion.FusionHead:
        """The loaded head. Raises IqError for a missing, foreign or unknown file."""
        head = fusion.load(self.weights)
        for name, size in head.sizes.items():
            if name not in BLOCKS or BLOCKS[name].size != size:
                raise IqError(f"{self.weights} needs a block {name!r}, which this iq has not")
        return head

    @property
    def blocks(self) -> Sequence[PhotoBlock]:
        """The head's blocks, then those that only the issues read."""
        return [BLOCKS[name] for name in dict.fromkeys([*self.head.sizes, *issues.BLOCKS])]

    def rate(self, photos: Sequence[Mapping[str, Vector]]) -> list[Rating]:
        """See `registry.Model`. The score rests on statistics alone: it is its technical part."""
        if not photos:
            return []
        stacked = {b.name: np.stack([each[b.name] for each in photos]) for b in self.blocks}
        scores, sigmas = self.head.predict(stacked)
        return [
            Rating(
                score=float(score),
                uncertainty=float(sigma),
                model=self.head.info["model"],
                technical=float(score),
                issues=seen,
                reasons=self._missing(photo),
            )
            for score, sigma, seen, photo in zip(
                scores, sigmas, issues.see(stacked), photos, strict=True
            )
        ]

    def _missing(self, photo: Mapping[str, Vector]) -> tuple[str, ...]:
        undefined = [name for name in self.head.sizes if not np.isfinite(photo[name]).all()]
        return tuple(UNDEFINED.format(name) for name in undefined)
