"""QualiCLIP: is a photo nearer to "Good photo." or to "Bad photo."? (Agnolucci et al. 2024.)

An image tower that has learnt to order spoilt copies, and fourteen texts in seven pairs that stay
as they are (arXiv 2403.11176):

    q = mean over pairs of softmax(100 [cos(f, t+), cos(f, t-)])_0        0 .. 1

The texts are the 14 rows that the weights bring. Their own code lists 13 sentences, for a comma is
missing between "Noisy image." and "High-quality image."; and another library divides the cosines by
2 more, which gives other numbers. Whole pictures are seen at a short side of 512 pixels: at the
full size of phone photos the order of photos is much worse.

Besides the published weights this reads those of `iq train qualiclip`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from iqcli.errors import IqError
from iqcli.extractors import qualiclip as block
from iqcli.extractors.clip import share_of_good
from iqcli.extractors.registry import BLOCKS
from iqcli.models.base import ScoredModel
from iqcli.text import display_path
from iqcli.weights import store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from iqcli.extractors.base import AnyBlock
    from iqcli.models.registry import Entry
    from iqcli.records import Array
    from iqcli.weights.store import Tensors


WEIGHTS = BLOCK = "qualiclip"
TEXTS = "prompts_features"
# Good, then bad, pair by pair, as the rows of the texts lie.
PROMPTS = (
    *("Good photo.", "Bad photo."),
    *("Sharp image.", "Blurry image."),
    *("Sharp edges.", "Blurry edges."),
    *("High-resolution image.", "Low-resolution image."),
    *("Noise-free image.", "Noisy image."),
    *("High-quality image.", "Low-quality image."),
    *("Good picture.", "Bad picture."),
)
# Rows stored in half precision are that far from unit length, and no further.
UNIT = 5e-3


@dataclass(frozen=True)
class Method:
    """The quality with its texts (14, size)."""

    texts: Array

    def __call__(self, blocks: Mapping[str, Array]) -> Array:
        """See `scored.Quality`."""
        return share_of_good(blocks[BLOCK], self.texts)


@dataclass(frozen=True, kw_only=True)
class OwnModel(ScoredModel):
    """The same with a tower of one's own, which the file holds."""

    tower: block.OwnBlock

    @property
    def blocks(self) -> Sequence[AnyBlock]:
        """See `ScoredModel`; the tower of the file stands for the published one."""
        return [self.tower if each.name == BLOCK else each for each in super().blocks]


def make(entry: Entry) -> ScoredModel:
    """The published model, or that of a file of `iq train qualiclip`.

    The latter is called by its content too: no calibration of another may meet it. Raises IqError
    where the weights are missing or damaged.
    """
    if entry.weights:
        told = block.account(entry.weights)
        texts = sound(block.texts(entry.weights), told.size, entry.weights)
        tower = block.OwnBlock(BLOCK, str(entry.weights), told.size)
        name = f"{entry.name}-{tower.known_by[:8]}"
        return OwnModel(name, (BLOCK,), Method(texts), tower=tower)
    found = store.converted(WEIGHTS, _texts)
    texts = sound(found.get(TEXTS), BLOCKS[BLOCK].size, store.path_of(WEIGHTS))
    return ScoredModel(entry.name, (BLOCK,), Method(texts))


def _texts(path: Path) -> Tensors:
    """The texts alone of the published checkpoint, float32."""
    if path.suffix == ".safetensors":
        return {TEXTS: block.texts(path)}
    told = store.read_torch(path)
    rows: Any = told.get(TEXTS) if isinstance(told, dict) else None
    try:
        return {TEXTS: np.ascontiguousarray(rows.detach().float().numpy())}
    except (AttributeError, TypeError, RuntimeError) as error:  # what is no plain tensor
        raise IqError(f"{display_path(path)} holds no {TEXTS}; pull it again") from error


def sound(rows: object, size: int, path: Path) -> Array:
    """The texts, if they are 14 unit rows. Raises IqError."""
    if not isinstance(rows, np.ndarray) or rows.shape != (len(PROMPTS), size):
        shape = getattr(rows, "shape", None)
        raise IqError(
            f"{display_path(path)} has texts of the shape {shape}, not ({len(PROMPTS)}, {size}): "
            "seven pairs, good and bad; pull it again, or train it again"
        )
    found = rows.astype(np.float32)
    if not (np.abs(np.linalg.norm(found, axis=1) - 1) < UNIT).all():
        raise IqError(f"{display_path(path)} has texts that are not of unit length; get it again")
    return found
