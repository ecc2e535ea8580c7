"""The aesthetic part of a rating: LAION's score beside any model's own, where it is installed.

A head whose CLIP the model reads anyway comes first, then V1, then V2. It changes no score; it
costs a CLIP embedding for each new photo, which is cached like every block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iqcli.models import laion
from iqcli.models.calibration import Scale, scale_of
from iqcli.models.registry import ENTRIES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from iqcli.records import Array


@dataclass(frozen=True)
class Aesthetic:
    """A head and its calibration, if there is one."""

    head: laion.Laion
    scale: Scale | None

    @property
    def block(self) -> str:
        """What it reads."""
        return self.head.block

    def points(self, blocks: Mapping[str, Array]) -> list[float | None]:
        """(n, size) vectors by block to n points of 1..10, None where it is not defined."""
        quality = self.head.quality(blocks)
        points = self.scale.apply(quality) if self.scale else 1 + 9 * quality
        return [float(each) if np.isfinite(each) else None for each in points]


def installed(reads: Collection[str]) -> Aesthetic | None:
    """What is at hand for a model that reads these blocks. Raises IqError for a foreign head."""
    ready = [name for name in laion.READS if ENTRIES[name].is_ready]
    if not ready:
        return None
    name = min(ready, key=lambda each: laion.READS[each] not in reads)
    return Aesthetic(laion.load(name), scale_of(name))
