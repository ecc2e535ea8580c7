"""What is wrong with a photo, in eight words that never contradict each other: `hex-mini`.

A small HEX model (`iqcli.models.hex.head`) on the photometry and on an order-free summary of the
tiles: where in the picture something lies says nothing of whether it is a fault. It learnt from
good where in the picture something lies says nothing of whether it is a fault. It learnt from good
photos with synthetic faults of known strength; see `iqcli.training.issues`. Levels: 2 slight, 3
clear, 4 severe.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from iqcli.errors import IqError
from iqcli.extractors import registry
from iqcli.extractors.schema import LAGS, LAYERS, layer, steps
from iqcli.models.hex import graph as hexgraph
from iqcli.records import Issue
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iqcli.models.hex.graph import Graph
    from iqcli.models.hex.head import HexHead
    from iqcli.records import Array, Doubles, Flags


BLOCKS = ("photometry", "tiles")
EMBEDDED = Path(__file__).parent.parent / "data"
GRAPH = EMBEDDED / "hex-mini.toml"
WEIGHTS = EMBEDDED / "hex-mini.safetensors"
# What the head reads: a block, and `summary` of another.
SIZES = {"photometry": 94, "tiles": 97}
# Of `summary`: another number where the same tiles would give others.
SUMMARY = 2
QUANTILES = (0, 0.1, 0.25, 0.5, 0.75, 0.9, 1)
# Of the tiles that still hold detail, from the calmest on.
CALM = (0.03, 0.1, 0.25, 0.5)
# The sharpest tenth of the tiles: a soft ground behind a sharp subject is no fault.
SHARPEST = 14
# Which `LAGS` are compared: the less the near one is of the far one, the softer that way.
COMPARED = ((1, 2), (1, 4), (2, 8))
# A picture whose busiest tile varies less, in levels, has nothing that could be sharp.
EVEN = 3.0
# Of a node that must be off: e^-50 is nothing, and no sum overflows.
OFF = -50.0


def see(blocks: Mapping[str, Array]) -> list[tuple[Issue, ...]]:
    """The issues of each of n photos, the worst first."""
    graph = head().graph
    levels = hexgraph.levels_of(graph, hexgraph.marginals(graph, logits(head(), blocks)))
    names = [label.name for label in graph.labels]
    found = [
        [Issue(name, level) for name, level in zip(names, row, strict=True) if level > 1]
        for row in levels.tolist()
    ]
    return [tuple(sorted(each, key=lambda issue: -issue.level)) for each in found]


def marginals(blocks: Mapping[str, Array]) -> list[dict[str, tuple[float, ...]]]:
    """For each of n photos and each issue the probabilities of level 2, 3 and 4 or more."""
    graph = head().graph
    chances = hexgraph.marginals(graph, logits(head(), blocks))
    return [
        {
            label.name: tuple(float(row[node]) for node in group)
            for label, group in zip(graph.labels, graph.groups, strict=True)
        }
        for row in chances
    ]


def logits(head: HexHead, blocks: Mapping[str, Array]) -> Doubles:
    """(n, size) blocks to (n, nodes) logits; `OFF` where what a label is about is not measured."""
    found = head.logits(inputs(blocks)).astype(np.float64)
    graph, unseen = head.graph, unmeasured(blocks)
    for label, group in zip(graph.labels, graph.groups, strict=True):
        for node in group if label.name in unseen else ():
            found[unseen[label.name], node] = OFF
    found[~np.isfinite(blocks["photometry"]).all(axis=1)] = OFF
    return found


def inputs(blocks: Mapping[str, Array]) -> dict[str, Array]:
    """(n, size) `BLOCKS` to what the head reads, by the names of `SIZES`."""
    return {"photometry": blocks["photometry"], "tiles": summary(blocks["tiles"])}


def unmeasured(blocks: Mapping[str, Array]) -> dict[str, Flags]:
    """(n,) where blur and noise cannot be told: no tiles, or nothing in them."""
    tiles = blocks["tiles"]
    none = ~np.isfinite(tiles).all(axis=1)
    even = np.nan_to_num(layer(tiles, "spread").max(axis=1), nan=0) < EVEN
    return {"blurred": none | even, "noisy": none}


def summary(tiles: Array) -> Array:
    """(n, 1040) tiles to (n, 97) numbers that do not depend on their places; NaN rows stay."""
    layers = {name: layer(tiles, name) for name in LAYERS}
    with np.errstate(invalid="ignore", over="ignore"):
        ratio = np.log(layers["coarse"] + 0.1) - np.log(layers["fine"] + 0.1)
        grain = np.log(layers["noise"] + 0.1) - np.log(layers["fine"] + 0.1)
        parts = [
            *(_quantiles(values) for values in (*layers.values(), ratio, grain)),
            *_sharpest(layers["fine"], layers["coarse"]),
            *_calmest(layers),
            *_ways(steps(tiles)),
        ]
    return np.concatenate(parts, axis=1).astype(np.float32)


def _quantiles(values: Array) -> Array:
    """(n, tiles) to (n, 7)."""
    ordered = np.sort(values, axis=1)
    places = [round(q * (values.shape[1] - 1)) for q in QUANTILES]
    found: Array = ordered[:, places]
    return found


def _sharpest(fine: Array, coarse: Array) -> list[Array]:
    """(n, 1) each: how sharp the sharpest tenth is at both scales, and how they compare."""
    top = [np.log(np.sort(v, axis=1)[:, -SHARPEST:].mean(axis=1) + 0.1) for v in (fine, coarse)]
    found = [*top, 0.5 * top[1] - top[0], top[1] - top[0]]
    busy = np.argsort(coarse, axis=1)[:, -SHARPEST:]
    both = [np.log(np.take_along_axis(v, busy, axis=1) + 0.1) for v in (fine, coarse)]
    ratio = both[1] - both[0]
    found += [ratio.min(axis=1), ratio.mean(axis=1)]
    return [each[:, None] for each in found]


def _calmest(layers: Mapping[str, Array]) -> list[Array]:
    """(n, 4) each: noise, sharpness and light where there is least noise, in tiles with detail."""
    lost = (layers["white"] > 0.1) | (layers["black"] > 0.5)
    noise = np.where(lost, np.inf, layers["noise"])
    order = np.argsort(noise, axis=1)
    ranks = (np.array(CALM) * (~lost).sum(axis=1, keepdims=True)).astype(int)
    places = np.take_along_axis(order, ranks, axis=1)
    wholly = lost.all(axis=1, keepdims=True)
    return [
        np.where(wholly, 0, np.take_along_axis(layers[name], places, axis=1))
        for name in ("noise", "fine", "mean", "spread")
    ]


def _ways(found: Array) -> list[Array]:
    """(n, lags, directions) to (n, 4) each: how soft the picture is the way it is softest, the way
    it is sharpest and in the mean; and by how much most from the way across, as after a shake."""
    parts = []
    logs = np.log(found + 0.1)
    for near, far in COMPARED:
        soft = logs[:, LAGS.index(far)] - logs[:, LAGS.index(near)]
        across = np.abs(soft - np.roll(soft, soft.shape[1] // 2, axis=1))
        each = (soft.max(axis=1), soft.min(axis=1), soft.mean(axis=1), across.max(axis=1))
        parts.append(np.stack(each, axis=1))
    return parts


@cache
def head() -> HexHead:
    """The embedded head, read once. Raises IqError like `load`."""
    return load(WEIGHTS)


def load(path: Path) -> HexHead:
    """Read a head as `iq train issues` writes it. Raises IqError for any other file."""
    from iqcli.models.hex import head as heads  # which sees issues itself

    found = heads.load(path)
    told = {"sizes": found.sizes, "known_by": found.info["known_by"], "graph": found.graph.account}
    if told != {"sizes": SIZES, "known_by": known_by(), "graph": graph().account}:
        raise IqError(
            f"{display_path(path)} was trained on other blocks or issues than this iq has; "
            "train it again with `iq train issues`"
        )
    return found


@cache
def graph() -> Graph:
    """The embedded graph of the issues."""
    return hexgraph.read_graph(GRAPH)


def known_by() -> dict[str, str]:
    """What the numbers of `SIZES` are: a head is never given others than it learnt from."""
    photometry, tiles = (registry.BLOCKS[name].known_by for name in BLOCKS)
    return {"photometry": photometry, "tiles": f"{tiles}, summary {SUMMARY}"}
