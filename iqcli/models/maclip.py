"""MA-CLIP: what CLIP answers, joined with how its embedding is filled or how long it is.

`maclip` is the published method (see `iqcli.extractors.maclip`). What it calls magnitude is divided
by its own deviation, and so the length of the embedding does not count in it at all. `maclip-norm`
is a variant of ours in which the length does count:

    q_mag = 1 / (1 + REFERENCE / |f|), |f| the geometric mean over the views of the photo
    q     = fused(mean q_cos, q_mag)

`REFERENCE` is ours and was fitted to nothing: a stand-in until opinions say more (`iq train
scale` fits the points, not it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from iqcli.extractors.maclip import COLUMNS, fused
from iqcli.models.base import ScoredModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iqcli.models.base import Quality
    from iqcli.models.registry import Entry
    from iqcli.records import Array


BLOCK = "maclip"
# The length of an embedding that counts as neither good nor bad.
REFERENCE = 3.0


def make(entry: Entry) -> ScoredModel:
    """The model of that name; see `iqcli.models.registry`."""
    return ScoredModel(entry.name, (BLOCK,), METHODS[entry.name])


def published(blocks: Mapping[str, Array]) -> Array:
    """(n, 5) vectors of `maclip` to (n,) in 0..1."""
    return np.clip(_column(blocks, "fused"), 0, 1)


def by_norm(blocks: Mapping[str, Array], reference: float = REFERENCE) -> Array:
    """(n, 5) vectors of `maclip` to (n,) in 0..1; rises with the length of the embedding."""
    length = 1 / (1 + np.exp(np.log(reference) - _column(blocks, "log_norm")))
    return fused(_column(blocks, "cos"), length)


def _column(blocks: Mapping[str, Array], name: str) -> Array:
    return blocks[BLOCK][:, COLUMNS.index(name)]


METHODS: dict[str, Quality] = {"maclip": published, "maclip-norm": by_norm}
