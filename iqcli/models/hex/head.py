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
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from iqcli.models import checkpoint
from iqcli.models.base import Predictor, check_blocks, dense, relu
from iqcli.models.checkpoint import valid_arrays
from iqcli.models.fusion import KNOTS, normal_scores
from iqcli.models.hex import graph as hexgraph
from iqcli.models.hex.config import LEVELS, parsed
from iqcli.records import Issue
from iqcli.text import display_path, escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from iqcli.models.base import Blocks, RatedModel, Source
    from iqcli.models.hex.config import Graph
    from iqcli.models.hex.graph import Levels
    from iqcli.records import Array, Doubles

FORMAT = "iq-hex-1"
LAYERS, PROMPTS = "layers", "prompts"
AGAIN = "train it again with `iq train hex`"
MOST_HIDDEN = 4096


@dataclass(frozen=True)
class HexHead(Predictor):
    """The head of a graph; read-only once loaded.

    `sizes` maps each block to the length of its vector, in input order. `info` is the metadata of
    the training: kind, model id, hidden layers, figures; see `tensor_shapes` for the tensors.
    """

    graph: Graph
    sizes: Mapping[str, int]
    tensors: Mapping[str, Array]
    info: Mapping[str, Any]

    part = "technical"
    takes_aesthetic = False

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(self.sizes)

    @property
    def version(self) -> str | None:
        return str(self.info["model"])

    @property
    def labels(self) -> HexHead:
        return self

    @property
    def quantiles(self) -> Mapping[str, Array]:
        knots = ((name, self.tensors.get(f"knots.{name}")) for name in self.sizes)
        return {name: each for name, each in knots if each is not None}

    def logits(self, blocks: Blocks) -> NDArray[np.floating]:
        """(n, size) vectors by block to (n, nodes); NaN where a block is not defined."""
        if self.info["kind"] == PROMPTS:
            return self._by_texts(blocks[next(iter(self.sizes))])
        x = inputs_of(self.tensors, blocks, self.sizes)
        count = len(self.info["hidden"])
        for k in range(count):
            x = relu(dense(self.tensors, f"layer.{k}", x))
        return dense(self.tensors, f"layer.{count}", x)

    def marginals(self, blocks: Blocks) -> Doubles:
        """(n, size) vectors by block to the (n, nodes) probabilities that each node is on."""
        return hexgraph.marginals(self.graph, self.logits(blocks))

    def probabilities(self, blocks: Blocks) -> list[dict[str, tuple[float, ...]]]:
        """For each of n photos and each label the probabilities of level 2 and up, or more."""
        return [
            {
                label.name: tuple(float(row[node]) for node in group)
                for label, group in zip(self.graph.labels, self.graph.groups, strict=True)
            }
            for row in self.marginals(blocks)
        ]

    def levels(self, blocks: Blocks) -> Levels:
        """(n, size) vectors by block to (n, labels) legal levels, 1 for none."""
        return hexgraph.levels_of(self.graph, self.marginals(blocks))

    def issues(self, blocks: Blocks) -> list[tuple[Issue, ...]]:
        """(n, size) vectors by block to the issues of each of n photos, the worst first."""
        names = [label.name for label in self.graph.labels]
        return [
            tuple(
                sorted(
                    (Issue(name, k) for name, k in zip(names, row, strict=True) if k > 1),
                    key=lambda issue: -issue.level,
                )
            )
            for row in self.levels(blocks).tolist()
        ]

    def quality(self, blocks: Blocks) -> Doubles:
        """(n, size) vectors by block to (n,) probabilities of no issue at all."""
        return hexgraph.none_probability(self.graph, self.logits(blocks))

    def predict(self, blocks: Blocks) -> tuple[Array, None]:
        return self.quality(blocks).astype(np.float32), None

    def describe(self) -> str | None:
        """Labels, blocks, and the figures on the scenes that were held out."""
        names = ", ".join(label.name for label in self.graph.labels)
        blocks = ", ".join(f"{name} ({size})" for name, size in self.sizes.items())
        lines = [
            f"{self.info['model']}: {self.info['kind']} over {blocks}",
            f"graph {self.graph.name}: {names}",
            f"levels: {LEVELS}; in lists that count from 0, as the published ones, 0, 1, 2, 3",
            *self._figures(),
        ]
        return "".join(f"{escape(line)}\n" for line in lines)

    def _figures(self) -> Iterator[str]:
        """A line a label; what is no figure in an untrusted file is left out."""
        for label, row in self.info["figures"].items():
            if isinstance(row, dict):
                figures = [
                    f"{name} {value:.3f}" for name, value in row.items() if type(value) is float
                ]
                yield f"on scenes held out, {label}: {', '.join(figures)}"

    def _by_texts(self, vectors: Array) -> Array:
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        units = np.divide(vectors, norms, out=np.full_like(vectors, np.nan), where=norms > 0)
        cosines = units @ self.tensors["text"].T
        found: Array = self.tensors["scale"] * cosines + self.tensors["bias"]
        return found


def inputs_of(tensors: Mapping[str, Array], blocks: Blocks, sizes: Mapping[str, int]) -> Array:
    """(n, size) vectors by block to (n, sum of size + 1): normal scores and a flag a block.

    An undefined vector (NaN) is all zeros, flag included.
    """
    parts = [normal_scores(blocks[name], tensors[f"knots.{name}"]) for name in sizes]
    return np.concatenate(parts, axis=1)


def labeller(model: RatedModel) -> HexHead | None:
    """The head of a model whose score is that of its issues, None for other models."""
    return model.predictor if isinstance(model.predictor, HexHead) else None


def predictor(source: Source) -> HexHead:
    """The head of an entry's own file. Raises IqError for a file that is none, or other blocks."""
    head = load(source.file)
    check_blocks(source.file, head.sizes, head.info["known_by"], source.blocks, AGAIN)
    return head


def load(path: Path) -> HexHead:
    """Read a head from a safetensors file. Raises IqError for any other file."""
    info, tensors = checkpoint.load(path, "hex model", AGAIN, _valid_metadata)
    graph = parsed(info["graph"], f"in {display_path(path)}")
    if not valid_arrays(tensors, tensor_shapes(graph, info)):
        raise checkpoint.invalid_file(path, "hex model", AGAIN)
    return HexHead(graph, info["blocks"], tensors, info)


def _valid_metadata(info: object) -> bool:
    """Whether the format's fields are there."""
    match info:
        case {
            "format": str(form),
            "model": str(model),
            "kind": str(kind),
            "blocks": dict(blocks),
            "known_by": dict(fingerprints),
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
                and fingerprints.keys() == blocks.keys()
                and all(type(size) is int and 0 < size <= MOST_HIDDEN for size in hidden)
            )
    return False


def tensor_shapes(graph: Graph, info: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor that a head with this metadata must have."""
    nodes, sizes = len(graph.nodes), info["blocks"]
    if info["kind"] == PROMPTS:
        return {"text": (nodes, *sizes.values()), "scale": (1,), "bias": (nodes,)}
    widths = [sum(size + 1 for size in sizes.values()), *info["hidden"], nodes]
    found: dict[str, tuple[int, ...]] = {f"knots.{name}": (s, KNOTS) for name, s in sizes.items()}
    for k, (columns, rows) in enumerate(pairwise(widths)):
        found |= {f"layer.{k}.weight": (rows, columns), f"layer.{k}.bias": (rows,)}
    return found
