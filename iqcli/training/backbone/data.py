"""What a backbone learns from: photos with their opinions, and good pictures to degrade.

A batch is a function of the seed and the step alone, so that a resumed run is the same as one that
was never stopped. Some scenes and some good pictures are held out of everything; on those the run
is monitored.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from iqcli.errors import IqError
from iqcli.extractors.mini_crops import SIDE
from iqcli.training.backbone.framing import draw_framing, views_of
from iqcli.training.backbone.view_store import ViewStore
from iqcli.training.dataset import holdout_mask
from iqcli.training.loop import shuffled_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iqcli.records import Array, Flags, Pixels
    from iqcli.training.backbone.group_bank import GroupBank
    from iqcli.training.config import BackboneConfig

    Random = np.random.Generator

# So often a group is made of a photo that people like where there are good pictures as well.
LIKED_SHARE = 0.42
# One good picture in so many is only for the monitor, which takes at most `MOST_WATCHED` of them
# and the best of the photos held out.
WATCHED = 10
MOST_WATCHED = 56
BEST_WATCHED = 8
# Two photos of one scene are a pair where their opinions differ by more.
PAIR_GAP = 0.4
# Plain frames score 1; one step in so many has one.
BLANK_EVERY = 3


@dataclass(frozen=True)
class BackboneData:
    """`photos` with `opinions` (n,) in 1..10 and `scenes` (n,), names of near duplicates; `good`
    are folders of pictures to degrade, each of which is drawn from as often as the others."""

    photos: ViewStore
    opinions: Array
    scenes: Sequence[str]
    good: Sequence[ViewStore]

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
    def pairs(self) -> list[tuple[int, int]]:
        """Training photos of one scene whose opinions differ: the better one, the worse one."""
        scenes: dict[str, list[int]] = {}
        for k in np.flatnonzero(~self.held_out).tolist():
            scenes.setdefault(self.scenes[k], []).append(k)
        found = [(a, b) for rows in scenes.values() for a in rows for b in rows]
        return [(a, b) for a, b in found if self.opinions[a] - self.opinions[b] > PAIR_GAP]

    def check(self) -> None:
        """Raise IqError where nothing would be held out, or nothing learnt from."""
        if self.held_out.all() or not self.held_out.any():
            raise IqError("there are too few scenes to hold some out; give more photos")

    def draw(self, random: Random) -> Pixels:
        """A good picture to degrade."""
        if self._drawn and random.random() >= LIKED_SHARE:
            store, rows = self._drawn[int(random.integers(len(self._drawn)))]
            return store[rows[int(random.integers(len(rows)))]]
        return self.photos[self.liked[int(random.integers(len(self.liked)))]]

    def watched(self) -> list[Pixels]:
        """Good pictures that no training sees."""
        found = [
            (store, k)
            for store in self.good
            for k, path in enumerate(store.photos)
            if _is_watched(path.name)
        ]
        picks = np.unique(np.linspace(0, len(found) - 1, MOST_WATCHED).round().astype(int))
        chosen = [found[k] for k in picks.tolist()] if found else []
        held_out = np.flatnonzero(self.held_out)
        best = held_out[np.argsort(-self.opinions[held_out], kind="stable")[:BEST_WATCHED]]
        return [store[k] for store, k in [*chosen, *((self.photos, k) for k in best.tolist())]]

    @cached_property
    def _drawn(self) -> list[tuple[ViewStore, list[int]]]:
        """The folders, and which of their pictures may be degraded for training."""
        found = [
            (store, [k for k, path in enumerate(store.photos) if not _is_watched(path.name)])
            for store in self.good
        ]
        return [(store, rows) for store, rows in found if rows]


def _is_watched(name: str) -> bool:
    return zlib.crc32(name.encode("utf-8", "surrogateescape")) % WATCHED == 0


@dataclass(frozen=True)
class Batch:
    """Views (n, 2, side, side, 3) of photos, of pairs (better, worse, better, …), of groups.

    `opinions` (photos,) in 1..10; `gaps` (pairs,) between opinions; `margins` and `slacks`
    (groups, COUNT, COUNT) and `kinds` as those of a `Group`.
    """

    views: Pixels
    opinions: Array
    gaps: Array
    margins: Array
    slacks: Array
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class BackboneBatches:
    """The batch of every step: a function of seed and step, and of the bank's shards."""

    data: BackboneData
    bank: GroupBank
    config: BackboneConfig

    def __getitem__(self, step: int) -> Batch:
        """The batch of a step, which may be any number from 0 on."""
        config, data = self.config, self.data
        random = np.random.default_rng([config.seed, 3, step])
        train = np.flatnonzero(~data.held_out)
        rows = train[shuffled_rows(len(train), config.photos, config.seed, step)]
        opinions = data.opinions[rows].copy()
        views = [self._photo(row, random) for row in rows.tolist()]
        if step % BLANK_EVERY == 0:
            views[-1], opinions[-1] = _blank(random), 1.0
        count = config.pairs if data.pairs else 0
        pairs = [data.pairs[int(random.integers(len(data.pairs)))] for _ in range(count)]
        views += [self._photo(row, random) for pair in pairs for row in pair]
        groups = self.bank.batch(step, config.groups)
        return Batch(
            np.concatenate([np.stack(views), groups.views.reshape(-1, *groups.views.shape[2:])]),
            opinions,
            np.array([data.opinions[a] - data.opinions[b] for a, b in pairs], np.float32),
            groups.margins,
            groups.slacks,
            groups.kinds,
        )

    def _photo(self, row: int, random: Random) -> Pixels:
        return views_of(self.data.photos[row], draw_framing(random))


def _blank(random: Random) -> Pixels:
    """Both views of an accidental frame: black, white or plain, with and without noise."""
    colour = (
        random.integers(0, 256, 3) if random.random() < 0.4 else random.choice([2, 12, 128, 254])
    )
    noise = random.normal(0, random.choice([0.0, 2.0, 6.0, 20.0]), (2, SIDE, SIDE, 3))
    return np.clip(np.rint(colour + noise), 0, 255).astype(np.uint8)
