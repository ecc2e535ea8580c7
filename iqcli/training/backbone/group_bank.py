"""A bank of groups on disk: the cores of a training are for the network.

Its shards are made before the first step; while the training goes on, the oldest is replaced from
time to time. A shard is a function of its number alone, and which are in use is one of the step:
a resumed run sees what it would have seen.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iqcli.fs.files import names_in, remove
from iqcli.training.backbone.groups import draw_group
from iqcli.training.backbone.view_store import read_facts, read_row, write_arrays
from iqcli.training.loop import shuffled_rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from iqcli.records import Array, Pixels
    from iqcli.training.backbone.groups import Group

    Random = np.random.Generator

ENDING = ".safetensors"


@dataclass(frozen=True)
class GroupBatch:
    """Groups: views (g, COUNT, 2, side, side, 3), margins and slacks (g, COUNT, COUNT), kinds."""

    views: Pixels
    margins: Array
    slacks: Array
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class GroupBank:
    """`shards` of `shard` groups in a folder, of which one is made anew every `refresh` steps.

    `draw` draws a good picture with a generator.
    """

    folder: Path
    shards: int
    shard: int
    refresh: int
    seed: int
    workers: int
    draw: Callable[[Random], Pixels]

    def prepare(self, step: int, say: Callable[[str], None]) -> None:
        """Make what is missing of the shards in use at a step; remove older ones."""
        used = self._used(step)
        missing = [number for number in used if not self._file(number).exists()]
        if len(missing) > 1:
            say(f"making {len(missing) * self.shard:,} groups of versions")
        for number in missing:
            self._make(number)
        for name in names_in(self.folder):
            stem = name.removesuffix(ENDING)
            if stem.isdecimal() and int(stem) < min(used):
                remove(self.folder / name)

    def batch(self, step: int, count: int) -> GroupBatch:
        """`count` groups of a step: each place of the bank comes once before any comes twice."""
        places = shuffled_rows(self.shards * self.shard, count, self.seed, step)
        used, views, margins, slacks, kinds = self._used(step), [], [], [], []
        for place, row in (divmod(each, self.shard) for each in places.tolist()):
            file = self._file(used[place])
            views.append(read_row(file, "views", row))
            margins.append(read_row(file, "margins", row))
            slacks.append(read_row(file, "slacks", row))
            kinds.append(read_facts(file)[row])
        return GroupBatch(np.stack(views), np.stack(margins), np.stack(slacks), tuple(kinds))

    def _used(self, step: int) -> list[int]:
        """The number of the shard in each place."""
        first = step // self.refresh
        return sorted(range(first, first + self.shards), key=lambda number: number % self.shards)

    def _make(self, number: int) -> None:
        def group(row: int) -> Group:
            random = np.random.default_rng([self.seed, 77, number, row])
            return draw_group(lambda: self.draw(random), random)

        with ThreadPoolExecutor(self.workers) as pool:
            found = list(pool.map(group, range(self.shard)))
        arrays = {
            name: np.stack([getattr(each, name) for each in found])
            for name in ("views", "margins", "slacks")
        }
        write_arrays(self._file(number), arrays, [each.kind for each in found])

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:06}{ENDING}"
