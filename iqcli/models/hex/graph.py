"""A HEX graph as a conditional random field: exact probabilities over its legal states.

Deng et al., Large-scale object classification using label relation graphs (ECCV 2014), with
ordinal chains in place of a class tree:

    score(s) = sum over the nodes i that are on in s of f_i        s legal
    p(s)     = exp(score(s)) / Z,   P(i on) = sum of p(s) over the s with i on

Z is the product of those of the parts that nothing joins, so each part is summed by itself. All
arrays are float64; logits f are (n, nodes) in the order of `Graph.nodes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from iqcli.models.hex.config import Graph
    from iqcli.models.hex.states import Component
    from iqcli.records import Doubles

    Levels = NDArray[np.int64]

# More than rounding can add to a sum of probabilities: two nodes that exclude each other are never
# both above a half.
ROUNDING = 1e-12


def marginals(graph: Graph, logits: NDArray[np.floating]) -> Doubles:
    """(n, nodes) probabilities that each node is on."""
    out = np.empty(logits.shape)
    for part in graph.components:
        scores = _scores(part, logits)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        out[:, part.nodes] = weights @ part.states / weights.sum(axis=1, keepdims=True)
    return out


def log_partition(graph: Graph, logits: NDArray[np.floating]) -> Doubles:
    """(n,) natural logarithms of Z."""
    total = np.zeros(1)
    for part in graph.components:
        scores = _scores(part, logits)
        top = scores.max(axis=1)
        total = total + (np.log(np.exp(scores - top[:, None]).sum(axis=1)) + top)
    return total


def none_probability(graph: Graph, logits: NDArray[np.floating]) -> Doubles:
    """(n,) probabilities that every label is at level 1: of no issue at all."""
    return np.exp(-log_partition(graph, logits))


def levels_of(graph: Graph, chances: Doubles) -> Levels:
    """(n, nodes) marginals of this graph to (n, labels) levels: what is likelier than not.

    Always legal: a node is no likelier than one it needs, and of two nodes that exclude each other
    only one can pass a half.
    """
    likely = chances > 0.5 + ROUNDING
    on = np.stack([likely[:, [*needed]].all(axis=1) for needed in graph.edges.needed], axis=1)
    return np.stack([1 + on[:, [*group]].sum(axis=1) for group in graph.groups], axis=1)


def switches(graph: Graph, levels: Levels) -> tuple[Doubles, Doubles]:
    """(n, labels) levels to two (n, nodes) arrays of 0 and 1: node on, node known.

    Level 0 is unknown; it counts as off.
    """
    owners, bars = np.array(graph.nodes).T
    of_nodes = levels[:, owners]
    return (of_nodes >= bars).astype(np.float64), (of_nodes > 0).astype(np.float64)


def is_legal(graph: Graph, levels: Levels) -> NDArray[np.bool_]:
    """(n,) whether some legal state has these (n, labels) levels, 0 being unknown."""
    on, known = switches(graph, levels)
    forced = on > 0
    for node, needed in enumerate(graph.edges.needed):
        forced[:, [*needed]] |= on[:, [node]] > 0  # also what is unknown
    fine: NDArray[np.bool_] = ~(forced & (known > 0) & (on == 0)).any(axis=1)
    for one, two in graph.edges.excluded:
        fine &= ~(forced[:, one] & forced[:, two])
    return fine


def _scores(part: Component, logits: NDArray[np.floating]) -> Doubles:
    scores: Doubles = logits[:, part.nodes].astype(np.float64) @ part.states.T
    return scores
