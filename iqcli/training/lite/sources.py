"""Where the long training takes its pictures from: opinions, pictures to degrade, held-out ones.

Nothing of the test list, of `drop`, of the bursts, of Kodak and of the held half of CID22 is read.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from iqcli.training.dataset import holdout_mask
from iqcli.training.lite.photos import LooseStore, SquareStore

if TYPE_CHECKING:
    from pathlib import Path

    from iqcli.records import Array, Flags, Pixels

    Random = np.random.Generator

# Good pictures by source, and how often each source is drawn.
BASES = {"cid_train": 0.22, "clic_train": 0.06, "imagenet_train": 0.2, "bsd_train": 0.1}
HELD = {"imagenet_held": 24, "bsd_held": 20}
# One in so many of CID22's training half is for validation.
WATCHED = 6


@dataclass(frozen=True)
class Sources:
    """The folder of what was prepared."""

    folder: Path

    @cached_property
    def photos(self) -> SquareStore:
        """BIQ2021, `use` is train."""
        return SquareStore.open(self.folder / "biq")

    @cached_property
    def opinions(self) -> Array:
        """(n,) in 1..10."""
        return np.array([1 + 9 * float(row["mos"]) for row in self.photos.rows], np.float32)

    @cached_property
    def scenes(self) -> list[str]:
        """(n,) names of near duplicates."""
        return [row["scene"] for row in self.photos.rows]

    @cached_property
    def subsets(self) -> list[str]:
        """(n,) ss01, ss02 or ss03."""
        return [row["image"][:4] for row in self.photos.rows]

    @cached_property
    def held_out(self) -> Flags:
        """(n,) the photos of held-out scenes, the same as for all models of iq."""
        return holdout_mask(self.scenes)

    @cached_property
    def liked(self) -> list[int]:
        """Training photos that people like."""
        train = ~self.held_out
        return np.flatnonzero(train & (self.opinions >= np.median(self.opinions[train]))).tolist()

    @cached_property
    def scene_mates(self) -> list[tuple[int, int]]:
        """Training photos of one scene whose opinions differ: the better one, the worse one."""
        scenes: dict[str, list[int]] = {}
        for k in np.flatnonzero(~self.held_out).tolist():
            scenes.setdefault(self.scenes[k], []).append(k)
        pairs = [(a, b) for group in scenes.values() for a in group for b in group]
        return [(a, b) for a, b in pairs if self.opinions[a] - self.opinions[b] > 0.4]

    @cached_property
    def _bases(self) -> dict[str, LooseStore]:
        return {name: self._loose(name, watched=False) for name in BASES}

    def _loose(self, name: str, *, watched: bool) -> LooseStore:
        store = LooseStore.open(self.folder / name)
        if name != "cid_train":
            return store
        mine = [n for n in store.names if (zlib.crc32(n.encode()) % WATCHED == 0) == watched]
        return LooseStore(store.folder, mine)

    def draw(self, random: Random) -> Pixels:
        """A good picture to degrade."""
        share = random.random()
        for name, part in BASES.items():
            if share < part:
                store = self._bases[name]
                return np.asarray(store[int(random.integers(len(store)))])
            share -= part
        return np.asarray(self.photos.views[self.liked[int(random.integers(len(self.liked)))]])

    def watched(self) -> list[Pixels]:
        """Good pictures for validation that no training sees: CID22, ImageNet, BSDS500."""
        cid = self._loose("cid_train", watched=True)
        found = [cid[k] for k in range(len(cid))]
        for name, count in HELD.items():
            store = LooseStore.open(self.folder / name)
            picks = np.linspace(0, len(store) - 1, count).astype(int)
            found += [store[int(k)] for k in picks]
        return [np.asarray(each) for each in found]
