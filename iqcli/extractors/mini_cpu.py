"""The network behind the block `mini` on the CPU, without torch (see `iqcli.extractors.backbone`).

Its weights are those that torch reads. Faint noise lives in the last bits of the first maps, so
these are computed in float32 everywhere; bfloat16 in them would move scores by up to a quarter of a
point. What reads the statistics of the maps is small, and done in NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from iqcli.extractors.mini_crops import SIDE
from iqcli.extractors.mini_weights import (
    CENTRE,
    FAINTEST,
    MOSAIC_STAGE,
    SCALE,
    STAGES,
    STEM,
    TAPS,
)
from iqcli.extractors.schema import KINDS
from iqcli.runtime.network import CompiledNetwork, Subgraph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from iqcli.extractors.mini_weights import Tensors

    Array = NDArray[np.float32]

HEADS = ("embed.", "score.", *(f"{kind}_" for kind in KINDS))


class CpuBackbone:
    """Pairs of views to embeddings and scores; may be called from several threads at once."""

    def __init__(self, tensors: Tensors, *, short: bool) -> None:
        """`short`: in bfloat16 but for the first maps."""
        self._network = CompiledNetwork([_first(tensors), _rest(tensors)], short=short)
        self._heads = {name: each for name, each in tensors.items() if name.startswith(HEADS)}

    def __call__(self, pairs: NDArray[np.uint8]) -> Array:
        """(n, 2, SIDE, SIDE, 3) to (n, SIZE): of each kind the embedding, then the logit."""
        return np.stack([self._read(self._network(pair)[0]) for pair in pairs])

    def _read(self, taps: Array) -> Array:
        given, found = self._heads, []
        for k, (kind, own) in enumerate(zip(KINDS, np.split(taps, TAPS[:1]), strict=True)):
            joined = ((own - given[f"{kind}_mean"]) / given[f"{kind}_deviation"]).clip(-8, 8)
            embedding = np.tanh(given[f"embed.{k}.weight"] @ joined + given[f"embed.{k}.bias"])
            logit = given[f"score.{k}.weight"] @ embedding + given[f"score.{k}.bias"]
            found += [embedding, logit]
        return np.concatenate(found)


def _first(tensors: Tensors) -> tuple[Subgraph, Any]:
    """The stem and the first stage, of the whole and of the mosaic."""
    graph = Subgraph((2, SIDE, SIDE, 3), of_bytes=True)
    x = graph.maps_of(graph.input, CENTRE, SCALE)
    x = graph.relu6(_layer(graph, x, tensors, "stem", stride=2, after=1))
    return graph, _stage(graph, x, tensors, 0)


def _rest(tensors: Tensors) -> tuple[Subgraph, Any]:
    """The other stages; the statistics of all maps, those of the whole first."""
    graph = Subgraph((2, STAGES[0][3], SIDE // 2, SIDE // 2), short=True)
    x, found = graph.input, _statistics(graph, graph.input)
    for k in range(1, MOSAIC_STAGE + 1):
        x = _stage(graph, x, tensors, k)
        found += _statistics(graph, x)
    both = graph.joined(found)
    x, found = graph.part(x, 0, 1), [graph.part(both, 0, 1)]
    for k in range(MOSAIC_STAGE + 1, len(STAGES)):
        x = _stage(graph, x, tensors, k)
        found += _statistics(graph, x)
    x = graph.relu6(_layer(graph, x, tensors, "last"))
    return graph, graph.joined([*found, graph.means(x), graph.part(both, 1, 2)])


def _statistics(graph: Subgraph, maps: Any) -> list[Any]:
    return [graph.means(maps), graph.deviations(maps, FAINTEST)]


def _stage(graph: Subgraph, x: Any, tensors: Tensors, stage: int) -> Any:
    """A stage of inverted residuals: widen, filter each channel, narrow."""
    kernel, stride, expansion, outputs, repeats = STAGES[stage]
    inputs = STAGES[stage - 1][3] if stage else STEM
    for k in range(repeats):
        name, step = f"stages.{stage}.{k}", stride if k == 0 else 1
        y = graph.relu6(_layer(graph, x, tensors, f"{name}.widen")) if expansion > 1 else x
        # All sides are even: a stride of two needs a pixel less, before.
        around = {"before": kernel // 2 - (step == 2), "after": kernel // 2}
        y = _layer(graph, y, tensors, f"{name}.filter", stride=step, each=True, **around)
        y = _layer(graph, graph.relu6(y), tensors, f"{name}.narrow")
        x = graph.sum(x, y) if step == 1 and inputs == outputs else y
        inputs = outputs
    return x


def _layer(graph: Subgraph, x: Any, tensors: Tensors, name: str, **how: Any) -> Any:
    return graph.convolution(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"], **how)
