"""How alike the embeddings of photos of one scene are, and of photos that have nothing to do.

    python tests/bench/similarity.py biq2021.csv --images Images --scene scene

The least similarity of bursts and scenes (`CONTENT` in `iqcli/culling/grouping/bursts.py` and
`scenes.py`) goes with the network of the block `mini`. For another one this prints how many
unrelated pairs reach it, by their light or their embedding, and the similarity that as many reach
as `SHARES` says. One scene in six, which is held out of all training, is left out here too.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from iqcli.culling.grouping import bursts, scenes
from iqcli.culling.grouping.similarity import Descriptors, descriptors_of
from iqcli.evaluation import mos_csv
from iqcli.extractors.descriptor import BLOCKS, descriptor_of
from iqcli.extractors.registry import BLOCKS as KNOWN
from iqcli.pipeline.cache import Cache
from iqcli.pipeline.measure import measure
from iqcli.settings import Settings
from iqcli.training.dataset import holdout_mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iqcli.records import Integers

# What they are for, the least similarity of light and of content, and the share of unrelated pairs
# that may reach one of them.
SHARES = (
    ("bursts", bursts.LIGHT, bursts.CONTENT, 0.015),
    ("scenes", scenes.LIGHT, scenes.CONTENT, 0.002),
)
UNRELATED = 400_000
CHUNK = 50_000


def main() -> None:
    """Measure the photos of a table and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("opinions", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--scene", required=True, help="Column that names near duplicates.")
    parser.add_argument("--cache-dir", type=Path, help="[a new one, removed at the end]")
    given = parser.parse_args()
    opinions = mos_csv.read(given.opinions, given.images, None, None)
    labels = np.array(opinions.column(given.scene))
    with TemporaryDirectory() as empty:
        folder = given.cache_dir or Path(empty)
        settings = Settings(cache_dir=folder, state_dir=Path(empty))
        shots = [row.shot for row in opinions.rows]
        photos = measure(shots, [KNOWN[name] for name in BLOCKS], Cache(folder, print), settings)
        found = [descriptor_of(each.blocks) if each.blocks else None for each in photos]
    descriptors = descriptors_of(found)
    rows = np.flatnonzero(descriptors.seen & ~holdout_mask(labels.tolist()))
    same, apart = one_scene(labels, rows), unrelated(labels, rows)
    print(f"{len(rows):,} photos: {len(same):,} pairs of one scene, {len(apart):,} of none")
    for name, light, content, share in SHARES:
        report(descriptors, name, light, content, same, apart)
        report(descriptors, name, light, least(descriptors, light, share, apart), same, apart)


def one_scene(labels: np.ndarray, rows: Integers) -> Integers:
    """(k, 2) pairs of one scene."""
    order = rows[np.argsort(labels[rows], kind="stable")]
    parts = np.split(order, np.flatnonzero(labels[order][1:] != labels[order][:-1]) + 1)
    pairs = [(a, b) for part in parts for k, a in enumerate(part) for b in part[k + 1 :]]
    return np.array(pairs, np.int64).reshape(-1, 2)


def unrelated(labels: np.ndarray, rows: Integers) -> Integers:
    """(k, 2) random pairs of two scenes."""
    pairs = np.random.default_rng(0).choice(rows, (UNRELATED, 2))
    return np.asarray(pairs[labels[pairs[:, 0]] != labels[pairs[:, 1]]])


def alike(found: Descriptors, light: float, content: float, pairs: Integers) -> float:
    """The share of pairs that are alike."""
    parts: Sequence[Integers] = np.array_split(pairs, len(pairs) // CHUNK + 1)
    return float(
        sum(found.alike(part[:, 0], part[:, 1], light, content).sum() for part in parts)
        / len(pairs)
    )


def least(found: Descriptors, light: float, share: float, apart: Integers) -> float:
    """The least content, to a thousandth, that no more than `share` of the pairs reach."""
    low, high = 0, 1000
    while low < high:
        middle = (low + high) // 2
        low, high = (
            (low, middle)
            if alike(found, light, middle / 1000, apart) <= share
            else (middle + 1, high)
        )
    return low / 1000


def report(
    found: Descriptors,
    name: str,
    light: float,
    content: float,
    same: Integers,
    apart: Integers,
) -> None:
    """One line of the shares that are alike."""
    shares = (alike(found, light, content, pairs) for pairs in (same, apart))
    one, none = (f"{100 * each:.3g} %" for each in shares)
    print(f"{name}: light {light:.2f} or content {content:.3f}: {one} of one scene, {none} of none")


if __name__ == "__main__":
    main()
