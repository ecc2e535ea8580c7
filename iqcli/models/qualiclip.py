"""QualiCLIP: is a photo nearer to "Good photo." or to "Bad photo."? (Agnolucci et al. 2024.)

An image tower trained to order distorted copies, and fourteen fixed texts in seven pairs
(arXiv 2403.11176):

    q = mean over pairs of softmax(100 [cos(f, t+), cos(f, t-)])_0        0 .. 1

The texts are the 14 rows that the weights bring. Their own code lists 13 sentences, for a comma is
missing between "Noisy image." and "High-quality image."; and another library divides the cosines by
2 more, which gives other numbers. Whole pictures are seen at a short side of 512 pixels: at the
full size of phone photos the order of photos is much worse.

Besides the published weights this reads those of `iq train qualiclip`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from iqcli.errors import IqError
from iqcli.extractors import qualiclip as block
from iqcli.extractors.clip import share_of_good
from iqcli.models.base import Method
from iqcli.text import display_path
from iqcli.weights.store import read_torch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from iqcli.extractors.base import AnyBlock
    from iqcli.models.base import Blocks, Source
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


@dataclass(frozen=True, kw_only=True)
class OwnMethod(Method):
    """The same with the tower of a person's own file instead of the published one."""

    own_tower: block.QualiclipBlock

    def own_blocks(self, table: Mapping[str, AnyBlock]) -> tuple[AnyBlock, ...]:
        return (self.own_tower,)


def predictor(source: Source) -> Method:
    """The published model, or that of a file of `iq train qualiclip`.

    The latter is named by its content too, so that no calibration of another is used for it.
    Raises IqError where the weights are missing or damaged.
    """
    if file := source.entry.weights:
        size = block.tower_config(file)["embed_dim"]
        texts = checked_texts(block.texts(file), size, file)
        tower = block.QualiclipBlock(BLOCK, str(file), size)
        name = f"{source.entry.name}-{tower.weights_fingerprint[:8]}"
        return OwnMethod(
            quality=partial(quality, texts), reads=(BLOCK,), name=name, own_tower=tower
        )
    found = source.weights.converted(WEIGHTS, _texts)
    path, size = source.weights.path_of(WEIGHTS), source.blocks[BLOCK].size
    texts = checked_texts(found.get(TEXTS), size, path)
    return Method(quality=partial(quality, texts), reads=(BLOCK,))


def quality(texts: Array, blocks: Blocks) -> Array:
    """(14, size) texts and (n, size) vectors of `qualiclip` to (n,) in 0..1."""
    return share_of_good(blocks[BLOCK], texts)


def _texts(path: Path) -> Tensors:
    """The texts alone of the published checkpoint, float32."""
    if path.suffix == ".safetensors":
        return {TEXTS: block.texts(path)}
    content = read_torch(path)
    rows: Any = content.get(TEXTS) if isinstance(content, dict) else None
    try:
        return {TEXTS: np.ascontiguousarray(rows.detach().float().numpy())}
    except (AttributeError, TypeError, RuntimeError) as error:  # what is no plain tensor
        raise IqError(f"{display_path(path)} holds no {TEXTS}; pull it again") from error


def checked_texts(rows: object, size: int, path: Path) -> Array:
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
