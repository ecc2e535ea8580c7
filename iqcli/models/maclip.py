"""MA-CLIP: what CLIP answers, joined with how its embedding is filled or how long it is.

`maclip` is the published method (see `iqcli.extractors.maclip`). What it calls magnitude is divided
by its own deviation, and so the length of the embedding does not count in it at all. `maclip-norm`
is a variant of ours in which the length does count:

    q_mag = 1 / (1 + REFERENCE / |f|), |f| the geometric mean over the views of the photo
    q     = fused(mean q_cos, q_mag)

`REFERENCE` is ours and was fitted to nothing: a placeholder until there are opinions (`iq train
scale` fits the points, not it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from iqcli.extractors.maclip import COLUMNS, fused
from iqcli.models.base import Method

if TYPE_CHECKING:
    from iqcli.models.base import Blocks, Quality, Source
    from iqcli.records import Array

BLOCK = "maclip"
# The length of an embedding that counts as neither good nor bad.
REFERENCE = 3.0


def predictor(source: Source) -> Method:
    """The model of that name."""
    return Method(quality=METHODS[source.entry.name], reads=(BLOCK,))


def published(blocks: Blocks) -> Array:
    """(n, 5) vectors of `maclip` to (n,) in 0..1."""
    return np.clip(_column(blocks, "fused"), 0, 1)


def by_norm(blocks: Blocks, reference: float = REFERENCE) -> Array:
    """(n, 5) vectors of `maclip` to (n,) in 0..1; rises with the length of the embedding."""
    length = 1 / (1 + np.exp(np.log(reference) - _column(blocks, "log_norm")))
    return fused(_column(blocks, "cos"), length)


def _column(blocks: Blocks, name: str) -> Array:
    return blocks[BLOCK][:, COLUMNS.index(name)]


METHODS: dict[str, Quality] = {"maclip": published, "maclip-norm": by_norm}
