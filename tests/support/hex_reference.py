"""What is learnt of a HEX graph in torch, and read off it, by NumPy and without short cuts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from iqcli.models.hex.graph import switches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from iqcli.models.hex.config import Graph
    from iqcli.models.hex.graph import Levels
    from iqcli.models.hex.states import Component
    from iqcli.records import Doubles


def log_likelihood(graph: Graph, logits: NDArray[np.floating], levels: Levels) -> Doubles:
    """(n,) log probabilities of (n, labels) levels; level 0 is unknown, and summed over.

    -inf where the levels are illegal.
    """
    on, known = switches(graph, levels)
    total = np.zeros(len(logits))
    for part in graph.components:
        scores = _scores(part, logits)
        clash = known[:, part.nodes] * (1 - 2 * on[:, part.nodes])  # +-1 of a node that is known
        # How many known nodes a state has otherwise: those off that it has on, and the reverse.
        wrong = clash @ part.states.T + (known * on)[:, part.nodes].sum(axis=1, keepdims=True)
        fitting = np.where(wrong == 0, scores, -np.inf)
        total += _log_sum(fitting) - _log_sum(scores)
    return total


def most_likely(graph: Graph, logits: NDArray[np.floating]) -> Levels:
    """(n, labels) levels of the most probable legal state; of equal ones that with fewer on."""
    on = np.zeros(logits.shape, bool)
    for part in graph.components:
        best = _scores(part, logits).argmax(axis=1)
        on[:, part.nodes] = part.states[best] > 0
    return np.stack([1 + on[:, [*group]].sum(axis=1) for group in graph.groups], axis=1)


def _scores(part: Component, logits: NDArray[np.floating]) -> Doubles:
    scores: Doubles = logits[:, part.nodes].astype(np.float64) @ part.states.T
    return scores


def _log_sum(scores: Doubles) -> Doubles:
    """(n, m) to (n,): log of the sum of the exponentials; -inf of nothing but -inf."""
    top = scores.max(axis=1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):
        total: Doubles = np.log(np.exp(scores - top).sum(axis=1)) + top[:, 0]
    return total
