"""Pairs of opposite sentences: is a picture nearer to the good one? (Wang et al., CLIP-IQA, 2023.)

The sentences are those of its published code, which asks five pairs where the paper asks one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

# Good, then bad, pair by pair.
PROMPTS = (
    *("Good image", "bad image"),
    *("Sharp image", "blurry image"),
    *("sharp edges", "blurry edges"),
    *("High resolution image", "low resolution image"),
    *("Noise-free image", "noisy image"),
)
# What OpenAI's training ended with, and was limited to.
LOGIT_SCALE = 100.0


def share_of_good(embeddings: Array, texts: Array) -> Array:
    """(n, d) embeddings of any length and (2 k, d) unit texts to (n,) in 0..1.

    The mean over pairs of softmax(100 cos)[0]; NaN for an embedding without a direction.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
        ahead = unit @ (texts[0::2] - texts[1::2]).T
    # The first of a softmax over two; |ahead| <= 2, so nothing overflows in float64.
    shares = 1 / (1 + np.exp(-LOGIT_SCALE * ahead.astype(np.float64)))
    return np.asarray(shares.mean(axis=1), np.float32)
