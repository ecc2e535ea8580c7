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
# The same for the pattern of light.
PATTERN_NOISE = 4.0
# The luma of a place without data in a damaged picture, and the least part of the tiles that must
# be left of a pair to be compared by.
GREYED, LEAST = 128, 0.1


@dataclass(frozen=True, slots=True)
class Descriptors:
    """The descriptors of n photos as columns, zeros where there is none.

    (n,) each: `seen` says which have one, `mean` is the mean luma, `strength` how much its light
    varies. `light` (n, t) is the map of light about its mean, over the root of t; `embedding`
    (n, d) is of length 1. `missing` (n, t) are the tiles of damaged photos that have no data.
    """

    seen: Flags
    mean: Array
    light: Array
    strength: Array
    embedding: Array
    missing: Flags

    def light_similarity(self, one: Integers, other: Integers) -> Array:
        """(k,) correlations, -1..1, of the light of k pairs, where both have data."""
        common = np.einsum("ij,ij->i", self.light[one], self.light[other])
        found: Array = (common + NOISE**2) / (self.strength[one] * self.strength[other])
        missing = self.missing[one] | self.missing[other]
        for k in np.flatnonzero(missing.any(axis=1)).tolist():
            there = ~missing[k]
            if there.mean() >= LEAST:
                found[k] = _similarity(self.light[one[k]], self.light[other[k]], there)
        return found

    def pattern_similarity(self, one: Integers, other: Integers) -> Array:
        """(k,) correlations, -1..1, of the light of k pairs, less the means of rows and columns.

        A bright sky above dark ground is alike in all landscapes. Plain pictures are not similar.
        """
        first, second = _patterns(self.light[one]), _patterns(self.light[other])
        common, own, its = (
            np.einsum("ij,ij->i", a, b)
            for a, b in ((first, second), (first, first), (second, second))
        )
        noise = np.float32(PATTERN_NOISE**2)
        found: Array = common / np.sqrt((own + noise) * (its + noise))
        return found

    def alike(self, one: Integers, other: Integers, light: float, content: float) -> Flags:
        """Which of k pairs have at least that similarity of light, or cosine of embeddings."""
        cosine = np.einsum("ij,ij->i", self.embedding[one], self.embedding[other])
        either = (self.light_similarity(one, other) >= light) | (cosine >= content)
        found: Flags = self.seen[one] & self.seen[other] & either
        return found


def _patterns(light: Array) -> Array:
    """(k, t) maps of light about their means, less the means of rows and columns."""
    if not light.size:
        return light
    side = round(light.shape[1] ** 0.5)
    maps = light.reshape(len(light), side, side)
    maps = maps - maps.mean(axis=1, keepdims=True) - maps.mean(axis=2, keepdims=True)
    return np.asarray(maps.reshape(light.shape))


def _similarity(one: Array, other: Array, there: Flags) -> float:
    """The correlation of two rows of `light` where the flags are set."""
    parts = np.stack([one[there], other[there]]) / np.sqrt(there.mean())
    parts -= parts.mean(axis=1, keepdims=True)
    strength = np.sqrt((parts**2).sum(axis=1) + NOISE**2)
    return float(((parts[0] * parts[1]).sum() + NOISE**2) / strength.prod())


def descriptors_of(
    found: Sequence[FrameDescriptor | None], damaged: Sequence[bool] = ()
) -> Descriptors:
    """The columns of these photos; `damaged` says which are, by default none."""
    known = [each for each in found if each is not None]
    seen = np.array([each is not None for each in found], np.bool_)
    light = _filled(seen, [each.light for each in known])
    missing = (light == GREYED) & np.array(damaged or [False] * len(found), np.bool_)[:, None]
    mean = light.sum(axis=1) / max(light.shape[1], 1)
    light = (light - mean[:, None]) / np.float32(max(light.shape[1], 1) ** 0.5)
    strength = np.sqrt(np.einsum("ij,ij->i", light, light) + np.float32(NOISE**2))
    embedding = _filled(seen, [each.embedding for each in known])
    length = np.linalg.norm(embedding, axis=1, keepdims=True)
    return Descriptors(
        seen, mean, light, strength, embedding / np.maximum(length, np.float32(1e-6)), missing
    )


def _filled(seen: Flags, vectors: Sequence[NDArray[np.generic]]) -> Array:
    """(n, size) with the vectors at the places of those that are seen."""
    found: Array = np.zeros((len(seen), len(vectors[0]) if vectors else 0), np.float32)
    if vectors:
        found[seen] = np.nan_to_num(np.stack(vectors)).astype(np.float32)
    return found
