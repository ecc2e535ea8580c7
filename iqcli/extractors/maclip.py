"""The block `maclip`: the embeddings of pieces of a photo by CLIP's ResNet-50, in five numbers.

Liao et al., "Beyond Cosine Similarity: Magnitude-Aware CLIP", AAAI 2026 (arXiv 2511.09948). Taken
are pieces of 224 by 224 pixels, one every 128, and the whole resized to 224 by 224; of each
embedding f, taken without positional embedding:

    q_cos = `iqcli.extractors.clip.share_of_good`
    u     = |f| / (std |f| + 1e-6), by component;  q_mag = mean of ((u + 1)^.5 - 1) / .5
    d     = q_cos - q_mag;  (w_c, w_m) = softmax(1 + d, .6 - d);  q = w_c q_cos + w_m q_mag

The means over the pieces of one photo are kept, never over a batch. Theirs prepares by the name
of the data set; here every photo is its scoring view (short side 512).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iqcli.extractors.clip import (
    PROMPTS,
    SIDE,
    ClipBlock,
    enlarge_to,
    normalise,
    share_of_good,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray

    from iqcli.records import Array, Pixels, Views


STEP = 128
COLUMNS = ("views", "fused", "cos", "mag", "log_norm")
LAMBDA = 0.5
LEANINGS = (1.0, 0.6)
TINY = 1e-6
# Views that run at once, whatever the memory of the device.
CHUNK = 32


@dataclass(frozen=True)
class MaclipBlock(ClipBlock):
    """`COLUMNS`: the number of views, and means over them of q, q_cos, q_mag and log |f|."""

    size: int = len(COLUMNS)
    whole: bool = True

    @property
    def origin(self) -> str:
        """Of the sentences, too: their answers are in the block."""
        return "|".join((super().origin, *PROMPTS))

    def prepare(self, views: Views) -> Pixels:
        """(h, w, 3) of uint8: the scoring view, a side shorter than a piece enlarged to one."""
        return enlarge_to(views.scoring, SIDE)

    def forward(self, batch: Sequence[NDArray[np.generic]], device: str) -> Array:
        """n of (h, w, 3), of any shapes, to (n, size). Raises IqError for foreign weights."""
        import torch

        from iqcli.extractors.clip_model import embed_whole, text_features

        clip, texts = self.tower(device), text_features(self.store, self.weights, PROMPTS)
        found = []
        for picture in batch:
            with torch.inference_mode():
                pieces = pieces_of(normalise(picture[None], device)[0])
                seen = [embed_whole(clip, some).cpu() for some in pieces.split(CHUNK)]
            found.append(summary(np.concatenate([np.asarray(some) for some in seen]), texts))
        return np.stack(found)


def pieces_of(picture: torch.Tensor) -> torch.Tensor:
    """(3, h, w) with sides >= 224 to (k, 3, 224, 224): the pieces, row by row, then the whole."""
    import torch
    from torch.nn import functional as F  # noqa: N812

    cut = picture.unfold(1, SIDE, STEP).unfold(2, SIDE, STEP)
    pieces = cut.permute(1, 2, 0, 3, 4).reshape(-1, 3, SIDE, SIDE)
    whole = F.interpolate(picture[None], (SIDE, SIDE), mode="bilinear", align_corners=False)
    return torch.cat([pieces, whole])


def summary(embeddings: Array, texts: Array) -> Array:
    """(k, d) embeddings of one photo's views and the (2 p, d) texts to its `COLUMNS`."""
    cos, mag = share_of_good(embeddings, texts), shape_of(embeddings)
    with np.errstate(divide="ignore"):
        log_norm = np.log(np.linalg.norm(embeddings, axis=1))
    means = (each.mean() for each in (fused(cos, mag), cos, mag, log_norm))
    return np.array([len(embeddings), *means], np.float32)


def shape_of(embeddings: Array) -> Array:
    """(k, d) to (k,): what the paper calls the magnitude, q_mag.

    Divided by its own deviation it does not change with the length of f: it tells how evenly the
    components are filled, about .99 for normal ones.
    """
    size = np.abs(embeddings)
    even = size / (size.std(axis=1, ddof=1, keepdims=True) + TINY)
    found: Array = (((even + 1) ** LAMBDA - 1) / LAMBDA).mean(axis=1)
    return found


def fused(cos: Array, mag: Array) -> Array:
    """(k,) q_cos and (k,) q_mag to (k,) q; the more one exceeds the other, the more it weighs."""
    ahead = LEANINGS[0] - LEANINGS[1] + 2 * (cos - mag)
    weight = 1 / (1 + np.exp(-ahead))
    found: Array = weight * cos + (1 - weight) * mag
    return found
