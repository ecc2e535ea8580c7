"""`hex-mini` as a model of its own: how likely it is that nothing is wrong with a photo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from iqcli.models import issues
from iqcli.models.base import ScoredModel
from iqcli.models.hex import graph as hexgraph

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iqcli.models.registry import Entry
    from iqcli.records import Array, Doubles


def make(entry: Entry) -> HexMini:
    """The model on the embedded head."""
    return HexMini(entry.name, issues.BLOCKS, quality, part="technical")


class HexMini(ScoredModel):
    """Ratings whose score is what their issues say; see `registry.Model`."""

    @property
    def graph(self) -> hexgraph.Graph:
        """What its labels and their rules are."""
        return issues.head().graph

    def chances(self, blocks: Mapping[str, Array]) -> Doubles:
        """(n, size) vectors by block to the (n, nodes) probabilities that a node is on."""
        return hexgraph.marginals(self.graph, issues.logits(issues.head(), blocks))


def quality(blocks: Mapping[str, Array]) -> Array:
    """(n, size) blocks to (n,) probabilities that no issue is there, 0..1."""
    head = issues.head()
    found = hexgraph.none_probability(head.graph, issues.logits(head, blocks))
    return found.astype(np.float32)
