"""The network behind the block `mini` on the CPU, without torch (see `iqcli.extractors.backbone`).

Its weights are those that torch reads. Faint noise lives in the last bits of the first maps, so
these are computed in float32 everywhere; bfloat16 in them would move scores by up to a quarter of a
point. What reads the statistics of the maps is small, and done in NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from iqcli.extractors.mini_crops import SIDE
from iqcli.extractors.mini_weights import STAGES, STEM, TAPPED, TAPS
from iqcli.runtime.network import CompiledNetwork, Subgraph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from iqcli.extractors.mini_weights import Tensors

    Array = NDArray[np.float32]

# Views in one pass: with more, the maps no longer fit the caches of a core.
PAIR = 2


class CpuBackbone:
    """Views to embeddings and to scores; may be called from several threads at once."""

    def __init__(self, tensors: Tensors, *, short: bool) -> None:
        """`short`: in bfloat16 but for the first maps."""
        self._network = CompiledNetwork([_first(tensors), _rest(tensors)], short=short)
        self._tensors = {
            name: each
            for name, each in tensors.items()
            if name.startswith(("tap_", "embed.", "score."))
        }

    def taps(self, views: NDArray[np.uint8]) -> Array:
        """(n, SIDE, SIDE, 3) to (n, TAPS) raw statistics of the maps."""
        found = np.empty((len(views), TAPS), np.float32)
        for k in range(0, len(views), PAIR):
            some = views[k : k + PAIR]
            if missing := PAIR - len(some):
                some = np.concatenate([some, some[:missing]])
            found[k : k + PAIR] = self._network(some)[: len(views) - k]
        return found

    def read(self, taps: Array, kind: str) -> Array:
        """(n, TAPS) to (n, EMBEDDING + 1): embeddings in -1..1, and the logits of the score."""
        given = self._tensors
        joined = ((taps - given["tap_mean"]) / given["tap_deviation"]).clip(-8, 8)
        embedding = np.tanh(_linear(joined, given, f"embed.{kind}"))
        return np.concatenate([embedding, _linear(embedding, given, f"score.{kind}")], axis=1)


def _linear(x: Array, tensors: Tensors, name: str) -> Array:
    # Row by row: the sum of a row must not depend on how many rows there are.
    weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
    return np.stack([weight @ row for row in x]) + bias


def _first(tensors: Tensors) -> tuple[Subgraph, Any]:
    """The stem and the first stage."""
    graph = Subgraph((PAIR, SIDE, SIDE, 3), of_bytes=True)
    x = graph.maps_of(graph.input, 127.5, 127.5)
    layer = tensors["stem.weight"], tensors["stem.bias"]
    x = graph.relu6(graph.convolution(x, *layer, stride=2, after=1))
    return graph, _stage(graph, x, tensors, 0)


def _rest(tensors: Tensors) -> tuple[Subgraph, Any]:
    """The other stages, and the statistics of their maps."""
    graph = Subgraph((PAIR, STAGES[0][1], SIDE // 2, SIDE // 2), short=True)
    x, found = graph.input, []
    for k in range(1, len(STAGES)):
        x = _stage(graph, x, tensors, k)
        if k in TAPPED:
            found += [graph.means(x), graph.deviations(x)]
    x = graph.relu6(graph.convolution(x, tensors["last.weight"], tensors["last.bias"]))
    return graph, graph.joined([*found, graph.means(x)])


def _stage(graph: Subgraph, x: Any, tensors: Tensors, stage: int) -> Any:
    """A stage of inverted residuals: widen, filter each channel, narrow."""
    expansion, outputs, repeats, stride = STAGES[stage]
    inputs = STAGES[stage - 1][1] if stage else STEM
    for k in range(repeats):
        name, step = f"stages.{stage}.{k}", stride if k == 0 else 1

        def layer(x: Any, part: str, name: str = name, **how: Any) -> Any:
            weight, bias = (tensors[f"{name}.{part}.{each}"] for each in ("weight", "bias"))
            return graph.convolution(x, weight, bias, **how)

        y = graph.relu6(layer(x, "widen")) if expansion > 1 else x
        # All sides are even: a stride of two needs a pixel at the end alone.
        y = layer(y, "filter", stride=step, before=int(step == 1), after=1, each=True)
        y = layer(graph.relu6(y), "narrow")
        x = graph.sum(x, y) if step == 1 and inputs == outputs else y
        inputs = outputs
    return x
