"""Similarity of photos, pair by pair: of their maps of light, and of their embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from iqcli.records import Array, Flags, FrameDescriptor, Integers


# Differences of light within noise, in steps of luma: two plain pictures are similar.
NOISE = 8.0


@dataclass(frozen=True, slots=True)
class Descriptors:
    """The descriptors of n photos as columns, zeros where there is none.

    (n,) each: `seen` says which have one, `mean` is the mean luma, `strength` how much its light
    varies. `light` (n, t) is the map of light about its mean, over the root of t; `embedding`
    (n, d) is of length 1.
    """

    seen: Flags
    mean: Array
    light: Array
    strength: Array
    embedding: Array

    def light_similarity(self, one: Integers, other: Integers) -> Array:
        """(k,) correlations, -1..1, of the light of k pairs."""
        common = np.einsum("ij,ij->i", self.light[one], self.light[other])
        found: Array = (common + NOISE**2) / (self.strength[one] * self.strength[other])
        return found

    def alike(self, one: Integers, other: Integers, light: float, content: float) -> Flags:
        """Which of k pairs have at least that similarity of light, or cosine of embeddings."""
        cosine = np.einsum("ij,ij->i", self.embedding[one], self.embedding[other])
        either = (self.light_similarity(one, other) >= light) | (cosine >= content)
        found: Flags = self.seen[one] & self.seen[other] & either
        return found


def descriptors_of(found: Sequence[FrameDescriptor | None]) -> Descriptors:
    """The columns of these photos."""
    known = [each for each in found if each is not None]
    seen = np.array([each is not None for each in found], np.bool_)
    light = _filled(seen, [each.light for each in known])
    mean = light.sum(axis=1) / max(light.shape[1], 1)
    light = (light - mean[:, None]) / np.float32(max(light.shape[1], 1) ** 0.5)
    strength = np.sqrt(np.einsum("ij,ij->i", light, light) + np.float32(NOISE**2))
    embedding = _filled(seen, [each.embedding for each in known])
    length = np.linalg.norm(embedding, axis=1, keepdims=True)
    return Descriptors(
        seen, mean, light, strength, embedding / np.maximum(length, np.float32(1e-6))
    )


def _filled(seen: Flags, vectors: Sequence[NDArray[np.generic]]) -> Array:
    """(n, size) with the vectors at the places of those that are seen."""
    found: Array = np.zeros((len(seen), len(vectors[0]) if vectors else 0), np.float32)
    if vectors:
        found[seen] = np.nan_to_num(np.stack(vectors)).astype(np.float32)
    return found
