"""Issues at ordinal levels that cannot contradict each other: logits of blocks under a HEX graph.

The model of "Image Quality Assessment Made Practical for Smartphone Photography", made exact for
any graph. Two kinds of head give the logits f of the graph's nodes:

    layers:   x = [normal scores of block b, flag] for every b    (n, sum of size_b + 1)
              f = W_k relu(... W_1 x + c_1 ...) + c_k             (n, nodes)
    prompts:  f = scale cos(e, t) + c     with e the one block, t the (nodes, d) learnt texts

Issues are the labels that are likelier than not at level 2 or more; the quality is the probability
that nothing at all is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from iqcli.errors import IqError
from iqcli.extractors.registry import BLOCKS
from iqcli.models import checkpoint
from iqcli.models.base import NO_RATING
from iqcli.models.calibration import UNKNOWN, Scale, scale_of
from iqcli.models.fusion import KNOTS, LARGEST, normal_scores
from iqcli.models.hex import graph as hexgraph
from iqcli.records import Issue, NoRating, Rating
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from iqcli.extractors.base import AnyBlock
    from iqcli.models.hex.graph import Graph, Levels
    from iqcli.models.registry import Entry
    from iqcli.records import Array, Doubles, Vector


FORMAT = "iq-hex-1"
LAYERS, PROMPTS = "layers", "prompts"
AGAIN = "train it again with `iq train hex`"
MOST_HIDDEN = 4096


@dataclass(frozen=True)
class HexHead:
    """The head of a graph; read-only once loaded.

    `sizes` maps each block to the length of its vector, in input order. `info` is the training's
    own account: kind, model id, hidden layers, figures; see `shapes` for the tensors.
    """

    graph: Graph
    sizes: Mapping[str, int]
    tensors: Mapping[str, Array]
    info: Mapping[str, Any]

    def logits(self, blocks: Mapping[str, Array]) -> Array:
        """(n, size) vectors by block to (n, nodes); NaN where nothing can be said."""
        if self.info["kind"] == PROMPTS:
            return self._by_texts(blocks[next(iter(self.sizes))])
        x = inputs_of(self.tensors, blocks, self.sizes)
        for k in range(len(self.info["hidden"])):
            x = np.maximum(self._linear(k, x), 0)
        return self._linear(len(self.info["hidden"]), x)

    def marginals(self, blocks: Mapping[str, Array]) -> Doubles:
        """(n, size) vectors by block to the (n, nodes) probabilities that each node is on."""
        return hexgraph.marginals(self.graph, self.logits(blocks))

    def levels(self, blocks: Mapping[str, Array]) -> Levels:
        """(n, size) vectors by block to (n, labels) legal levels, 1 for none."""
        return hexgraph.levels_of(self.graph, self.marginals(blocks))

    def quality(self, blocks: Mapping[str, Array]) -> Doubles:
        """(n, size) vectors by block to (n,) probabilities of no issue at all."""
        return hexgraph.none_probability(self.graph, self.logits(blocks))

    def _by_texts(self, vectors: Array) -> Array:
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        units = np.divide(vectors, norms, out=np.full_like(vectors, np.nan), where=norms > 0)
        cosines = units @ self.tensors["text"].T
        found: Array = self.tensors["scale"] * cosines + self.tensors["bias"]
        return found

    def _linear(self, k: int, x: Array) -> Array:
        y: Array = x @ self.tensors[f"layer.{k}.weight"].T + self.tensors[f"layer.{k}.bias"]
        return y


def inputs_of(
    tensors: Mapping[str, Array], blocks: Mapping[str, Array], sizes: Mapping[str, int]
) -> Array:
    """(n, size) vectors by block to (n, sum of size + 1): normal scores and a flag a block.

    An undefined vector (NaN) is all zeros, flag included.
    """
    parts = [normal_scores(blocks[name], tensors[f"knots.{name}"]) for name in sizes]
    return np.concatenate(parts, axis=1)


def make(entry: Entry) -> HexModel:
    """The model of a head's own file."""
    assert entry.weights
    return HexModel(entry.weights, entry.called)


class HexModel:
    """Ratings from the file of a head. Reads the file once, at the first need."""

    def __init__(self, weights: Path, name: str) -> None:
        self.weights = weights
        self.name = name

    @cached_property
    def head(self) -> HexHead:
        """The loaded head. Raises IqError for a missing, foreign or unknown file."""
        head = load(self.weights)
        known_by = head.info["known_by"]
        for name, size in head.sizes.items():
            if name not in BLOCKS or BLOCKS[name].size != size:
                raise IqError(
                    f"{display_path(self.weights)} needs a block {name!r} of size {size}; {AGAIN}"
                )
            if known_by[name] != BLOCKS[name].known_by:
                raise IqError(
                    f"{display_path(self.weights)} was trained on another block {name!r} than "
                    f"this iq has; {AGAIN}"
                )
        return head

    @property
    def graph(self) -> Graph:
        """What its labels and their rules are."""
        return self.head.graph

    def chances(self, blocks: Mapping[str, Array]) -> Doubles:
        """(n, size) vectors by block to the (n, nodes) probabilities that a node is on."""
        return self.head.marginals(blocks)

    @property
    def blocks(self) -> Sequence[AnyBlock]:
        """The head's own; its issues need no other."""
        return [BLOCKS[name] for name in self.head.sizes]

    @property
    def holdout(self) -> None:
        """None: nothing is promised from a method's own scale."""
        return

    @cached_property
    def scale(self) -> Scale | None:
        """The calibration to points, if there is one. Raises IqError for a damaged one."""
        return scale_of(self.name)

    def rate(self, photos: Sequence[Mapping[str, Vector]]) -> list[Rating | NoRating]:
        """See `registry.Model`. A photo that nothing can be said of has no score."""
        if not photos:
            return []
        stacked = {name: np.stack([each[name] for each in photos]) for name in self.head.sizes}
        logits = self.head.logits(stacked)
        quality = hexgraph.none_probability(self.head.graph, logits).astype(np.float32)
        chances = hexgraph.marginals(self.head.graph, logits)
        points = self.scale.apply(quality) if self.scale else 1 + 9 * quality
        levels = hexgraph.levels_of(self.head.graph, chances)
        return [
            self._rating(float(score), row) if np.isfinite(score) else self._none()
            for score, row in zip(points, levels, strict=True)
        ]

    def _rating(self, score: float, levels: Levels) -> Rating:
        pairs = zip(self.head.graph.labels, levels, strict=True)
        seen = [Issue(label.name, int(level)) for label, level in pairs if level > 1]
        return Rating(
            score=score,
            uncertainty=self.scale.sigma if self.scale else None,
            model=self.head.info["model"],
            technical=score,
            issues=tuple(sorted(seen, key=lambda issue: -issue.level)),
            reasons=() if self.scale else (UNKNOWN.format(self.name),),
        )

    def _none(self) -> NoRating:
        return NoRating(NO_RATING.format(self.name))


def load(path: Path) -> HexHead:
    """Read a head from a safetensors file. Raises IqError for anything that is not one of ours."""
    try:
        info, tensors = checkpoint.read(path)
    except checkpoint.UNREADABLE as error:
        raise IqError(f"cannot read the model {display_path(path)}: {error}; {AGAIN}") from error
    if not _is_ours(info):
        raise IqError(f"{display_path(path)} is no hex model of this iq; {AGAIN}")
    graph = hexgraph.parsed(info["graph"], f"in {display_path(path)}")
    if not _fits(tensors, shapes(graph, info)):
        raise IqError(f"{display_path(path)} is no hex model of this iq; {AGAIN}")
    return HexHead(graph, info["blocks"], tensors, info)


def _is_ours(info: object) -> bool:
    """The account has the format's fields: a weight file is a stranger's word."""
    match info:
        case {
            "format": str(form),
            "model": str(model),
            "kind": str(kind),
            "blocks": dict(blocks),
            "known_by": dict(known_by),
            "hidden": list(hidden),
            "figures": dict(_),
            "graph": dict(_),
        }:
            return (
                form == FORMAT
                and model.isprintable()
                and kind in (LAYERS, PROMPTS)
                and (len(blocks) == 1 if kind == PROMPTS else len(blocks) > 0)
                and all(type(size) is int and size > 0 for size in blocks.values())
                and known_by.keys() == blocks.keys()
                and all(type(size) is int and 0 < size <= MOST_HIDDEN for size in hidden)
            )
    return False


def _fits(tensors: Mapping[str, Array], wanted: Mapping[str, tuple[int, ...]]) -> bool:
    """Every tensor is there, of the right shape and kind, and bounded; knots rise."""
    return (
        {name: tensor.shape for name, tensor in tensors.items()} == wanted
        and all(tensor.dtype == np.float32 for tensor in tensors.values())
        and all(np.isfinite(tensor).all() for tensor in tensors.values())
        and all((np.diff(t) > 0).all() for n, t in tensors.items() if n.startswith("knots."))
        and all((np.abs(t) < LARGEST).all() for n, t in tensors.items() if n[0] != "k")
    )


def shapes(graph: Graph, info: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor that a head with this account must have."""
    nodes, sizes = len(graph.nodes), info["blocks"]
    if info["kind"] == PROMPTS:
        return {"text": (nodes, *sizes.values()), "scale": (1,), "bias": (nodes,)}
    widths = [sum(size + 1 for size in sizes.values()), *info["hidden"], nodes]
    found: dict[str, tuple[int, ...]] = {f"knots.{name}": (s, KNOTS) for name, s in sizes.items()}
    for k, (columns, rows) in enumerate(pairwise(widths)):
        found |= {f"layer.{k}.weight": (rows, columns), f"layer.{k}.bias": (rows,)}
    return found
