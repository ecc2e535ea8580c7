"""A bank of groups on disk: the slow cores of a long training are for the network.

Shards of groups are made before the run; while it goes on, the oldest is replaced from time to
time. A shard is a function of its number alone, and is replaced atomically.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from iqcli.training.lite.groups import draw_group

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from iqcli.records import Array, Pixels

    Random = np.random.Generator

SHARD = 192


@dataclass(frozen=True)
class GroupBatch:
    """Groups: views (g, COUNT, 2, side, side, 3), margins and slacks (g, COUNT, COUNT), kinds."""

    views: Pixels
    margins: Array
    slacks: Array
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class GroupBank:
    """`shards` places for shards in a folder; `draw` draws a good picture with a generator."""

    folder: Path
    shards: int
    side: int
    seed: int
    draw: Callable[[Random], Pixels]

    def fill(self) -> None:
        """Make the shards that are missing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for number in range(self.shards):
            if not self._views(number).exists():
                self.make(number)

    def make(self, number: int) -> None:
        """Make shard `number`, in the place of the one `shards` before it."""
        random = np.random.default_rng([self.seed, 77, number])
        found = [draw_group(lambda: self.draw(random), self.side, random) for _ in range(SHARD)]
        place = number % self.shards
        facts: dict[str, Any] = {
            "margins": np.stack([each.margins for each in found]),
            "slacks": np.stack([each.slacks for each in found]),
            "kinds": np.array([each.kind for each in found]),
            "number": np.array(number),
        }
        part = self.folder / f"{place:03}.part.npz"
        np.savez(part, **facts)
        views = self.folder / f"{place:03}.part.npy"
        np.save(views, np.stack([each.views for each in found]))
        part.replace(self.folder / f"{place:03}.npz")
        views.replace(self._views(place))

    def batch(self, step: int, count: int) -> GroupBatch:
        """`count` groups of a step: each group of the bank comes once before any comes twice."""
        total = self.shards * SHARD
        rounds, places = np.divmod(np.arange(step * count, (step + 1) * count), total)
        found = []
        for each, place in zip(rounds.tolist(), places.tolist(), strict=True):
            order = np.random.default_rng([self.seed, 5, each]).permutation(total)
            found.append(divmod(int(order[place]), SHARD))
        facts: list[Any] = [np.load(self.folder / f"{shard:03}.npz") for shard, _ in found]
        return GroupBatch(
            np.stack([np.load(self._views(s), mmap_mode="r")[row] for s, row in found]),
            np.stack([f["margins"][row] for f, (_, row) in zip(facts, found, strict=True)]),
            np.stack([f["slacks"][row] for f, (_, row) in zip(facts, found, strict=True)]),
            tuple(str(f["kinds"][row]) for f, (_, row) in zip(facts, found, strict=True)),
        )

    def _views(self, place: int) -> Path:
        return self.folder / f"{place:03}.npy"
