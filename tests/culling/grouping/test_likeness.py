"""Which pictures may be one: the search by hashes against all pairs one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from iqcli.culling.grouping import likeness
from iqcli.records import Likeness

if TYPE_CHECKING:
    from collections.abc import Iterable

KINDS = np.array([(400, 300), (392, 294), (300, 400), (200, 150)])


@pytest.mark.parametrize("few", [True, False], ids=["few sizes", "many sizes"])
def test_all_pairs_that_are_near_are_found_once(few: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likeness, "SIZES", 512 if few else 1)
    monkeypatch.setattr(likeness, "COLUMNS", 50)
    numbers = np.random.default_rng(5)
    base = numbers.normal(size=(40, 3, 3))
    waves = np.concatenate([base + numbers.normal(0, 0.08, base.shape) for _ in range(4)])
    at = np.cos(np.pi * np.outer(np.arange(3), np.arange(12) + 0.5) / 12)
    light = np.clip(128 + 30 * (at.T @ waves @ at), 0, 255).astype(np.uint8)
    sizes = [(int(w), int(h)) for w, h in KINDS[numbers.integers(0, len(KINDS), len(light))]]
    looks = [Likeness(each.ravel(), np.zeros(1024, np.uint8)) for each in light]
    pictures = likeness.Pictures.of(looks, sizes)
    hashes = likeness._Hashes.of(pictures.light)
    assert len(hashes.there) == len(light)

    def near(words: np.ndarray, low: np.ndarray, bits: int, alike: float) -> list[tuple[int, int]]:
        few = np.bitwise_count(words[:, None] ^ hashes.words) <= bits
        return [(i, j) for i, j in np.argwhere(few & (low @ hashes.low.T >= alike)).tolist()]

    whole = near(hashes.words, hashes.low, likeness.BITS, likeness.ALIKE)
    assert pairs_of(hashes.whole()) == [(i, j) for i, j in whole if i < j] != []
    part = near(hashes.middle_words, hashes.middle_low, likeness.PART_BITS, likeness.PART_ALIKE)
    wanted = [pair for pair in part if likeness._may_be_part(*pictures.size[list(pair), None])]
    assert pairs_of(hashes.parts(pictures)) == wanted != []


def pairs_of(found: Iterable[tuple[np.ndarray, np.ndarray]]) -> list[tuple[int, int]]:
    """All pairs in order; one that is found twice stands there twice."""
    return sorted(
        pair for one, other in found for pair in zip(one.tolist(), other.tolist(), strict=True)
    )
