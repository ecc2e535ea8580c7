"""The issues of a photo, eight labels that cannot contradict each other: `hex-mini`.

A small HEX model (`iqcli.models.hex.head`) on the photometry and on an order-free summary of the
tiles: where in the picture something lies does not make it a fault. It was trained on good photos
with synthetic faults of known strength; see `iqcli.training.issues`. Levels: 2 slight, 3 clear,
4 severe.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from iqcli.errors import IqError
from iqcli.extractors import registry
from iqcli.extractors.registry import EMBEDDED
from iqcli.extractors.schema import LAGS, LAYERS, layer, steps
from iqcli.models.hex import head as hexes
from iqcli.models.hex.config import read_graph
from iqcli.models.hex.head import HexHead
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from iqcli.models.base import Blocks, Source
    from iqcli.models.hex.config import Graph
    from iqcli.records import Array, Doubles, Flags


BLOCKS = ("photometry", "tiles")
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


class IssueHead(HexHead):
    """The head on `inputs` of the blocks `BLOCKS`; see `SIZES`."""

    takes_aesthetic = True

    @property
    def reads(self) -> tuple[str, ...]:
        return BLOCKS

    @property
    def version(self) -> None:
        return None

    @property
    def quantiles(self) -> Mapping[str, Array]:
        """Those of the photometry: of the tiles the head knows its own summary alone."""
        return {"photometry": self.tensors["knots.photometry"]}

    def logits(self, blocks: Blocks) -> Doubles:
        """(n, size) blocks to (n, nodes); `OFF` where what a label is about is not measured."""
        found = super().logits(inputs(blocks)).astype(np.float64)
        unseen = unmeasured(blocks)
        for label, group in zip(self.graph.labels, self.graph.groups, strict=True):
            for node in group if label.name in unseen else ():
                found[unseen[label.name], node] = OFF
        found[~np.isfinite(blocks["photometry"]).all(axis=1)] = OFF
        return found

    def describe(self) -> None:
        return None


def predictor(_source: Source) -> IssueHead:
    """The model `hex-mini`: how likely it is that nothing is wrong with a photo."""
    return head()


def inputs(blocks: Blocks) -> dict[str, Array]:
    """(n, size) `BLOCKS` to what the head reads, by the names of `SIZES`."""
    return {"photometry": blocks["photometry"], "tiles": summary(blocks["tiles"])}


def unmeasured(blocks: Blocks) -> dict[str, Flags]:
    """(n,) where blur and noise cannot be measured: no tiles, or nothing in them."""
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
def head() -> IssueHead:
    """The embedded head, read once. Raises IqError like `load`."""
    return load(WEIGHTS)


def load(path: Path) -> IssueHead:
    """Read a head as `iq train issues` writes it. Raises IqError for any other file."""
    found = hexes.load(path)
    given = found.sizes, found.info["known_by"], found.graph.metadata
    if given != (SIZES, fingerprints(), graph().metadata):
        raise IqError(
            f"{display_path(path)} was trained on other blocks or issues than this iq has; "
            "train it again with `iq train issues`"
        )
    return IssueHead(found.graph, found.sizes, found.tensors, found.info)


@cache
def graph() -> Graph:
    """The embedded graph of the issues."""
    return read_graph(GRAPH)


def fingerprints() -> dict[str, str]:
    """The fingerprints of the numbers of `SIZES`: a head gets no others than it was trained on."""
    photometry, tiles = (registry.BLOCKS[name].weights_fingerprint for name in BLOCKS)
    return {"photometry": photometry, "tiles": f"{tiles}, summary {SUMMARY}"}
