"""Networks built from arrays, compiled for the CPU, and run on one core in the thread that calls.

They are built anew in every process: that takes a tenth of a second, and no compiled form lies on
a disk, where somebody could change it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from iqcli.runtime.library import core, library

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

_OPERATIONS = "opset8"
_SETTINGS = {
    "INFERENCE_NUM_THREADS": 1,
    "NUM_STREAMS": "1",
    "PERFORMANCE_HINT": "LATENCY",
    # All networks of a process would be pinned to the same core.
    "ENABLE_CPU_PINNING": False,
}


class Subgraph:
    """A stretch of a network under construction, from one input to one output.

    Its values are maps (batch, channels, height, width), or numbers (batch, n).
    """

    def __init__(self, shape: Sequence[int], *, of_bytes: bool = False, short: bool = False):
        """`short`: it may compute in bfloat16. Its input is of float32 unless `of_bytes`."""
        self._library = library()
        self._factory = self._library.NodeFactory(_OPERATIONS)
        kind = self._library.Type.u8 if of_bytes else self._library.Type.f32
        self._input = self._library.op.Parameter(kind, self._library.PartialShape([*shape]))
        self.short = short

    @property
    def input(self) -> Any:
        return self._input

    def maps_of(self, pictures: Any, centre: float, scale: float) -> Any:
        """Bytes (batch, height, width, channels) to maps, less `centre`, over `scale`."""
        x = self._operation("Convert", pictures, destination_type="f32")
        x = self._operation("Subtract", x, self._constant(np.array([centre], np.float32)))
        x = self._operation("Divide", x, self._constant(np.array([scale], np.float32)))
        return self._operation("Transpose", x, self._constant(np.array([0, 3, 1, 2], np.int64)))

    def convolution(
        self,
        x: Any,
        weight: Array,
        bias: Array,
        *,
        stride: int = 1,
        before: int = 0,
        after: int = 0,
        each: bool = False,
    ) -> Any:
        """`weight` (out, in, h, w) over maps with zeros `before` and `after` both of their axes.

        With `each` every channel has its own filter, `weight` (channels, 1, h, w).
        """
        if each:  # a group for every channel
            weight = weight[:, None]
        x = self._operation(
            "GroupConvolution" if each else "Convolution",
            x,
            self._constant(weight),
            strides=[stride, stride],
            pads_begin=[before, before],
            pads_end=[after, after],
            dilations=[1, 1],
            auto_pad="explicit",
        )
        return self._operation("Add", x, self._constant(bias.reshape(1, -1, 1, 1)))

    def relu6(self, x: Any) -> Any:
        return self._operation("Clamp", x, min=0.0, max=6.0)

    def sum(self, x: Any, y: Any) -> Any:
        return self._operation("Add", x, y)

    def means(self, maps: Any) -> Any:
        """Of each channel."""
        return self._mean(maps, keep_dims=False)

    def deviations(self, maps: Any, faintest: float) -> Any:
        """Of each channel: the root of the population's variance and `faintest`."""
        centred = self._operation("Subtract", maps, self._mean(maps, keep_dims=True))
        squares = self._operation("Multiply", centred, centred)
        variance = self._mean(squares, keep_dims=False)
        faint = self._constant(np.array([faintest], np.float32))
        return self._operation("Sqrt", self._operation("Add", variance, faint))

    def joined(self, several: Sequence[Any]) -> Any:
        """Numbers or maps, one after the other along the channels."""
        return self._operation("Concat", *several, axis=1)

    def part(self, x: Any, start: int, stop: int) -> Any:
        """Those of the batch."""
        bounds = (self._constant(np.array([each], np.int64)) for each in (start, stop, 1, 0))
        return self._operation("Slice", x, *bounds)

    def model(self, output: Any) -> Any:
        """The stretch from the input to `output`, to be compiled."""
        return self._library.Model([output.output(0)], [self._input], "iq")

    def _mean(self, maps: Any, *, keep_dims: bool) -> Any:
        axes = self._constant(np.array([2, 3], np.int64))
        return self._operation("ReduceMean", maps, axes, keep_dims=keep_dims)

    def _constant(self, values: NDArray[np.generic]) -> Any:
        return self._library.op.Constant(np.ascontiguousarray(values))

    def _operation(self, name: str, *inputs: Any, **attributes: Any) -> Any:
        return self._factory.create(name, [each.output(0) for each in inputs], attributes)


class CompiledNetwork:
    """Subgraphs one after the other; each thread that calls has them compiled for itself.

    What is compiled is kept for the next call, of whichever thread.
    """

    def __init__(self, subgraphs: Sequence[tuple[Subgraph, Any]], *, short: bool) -> None:
        """Subgraphs, each with its output; with `short`, those that may compute in bfloat16 do."""
        self._models = [(graph.model(output), short and graph.short) for graph, output in subgraphs]
        self._idle: list[_Chain] = []

    def __call__(self, inputs: NDArray[np.generic]) -> Array:
        """The output for an input of the first graph's shape and type."""
        try:
            chain = self._idle.pop()
        except IndexError:
            chain = _Chain(self._models)
        found = chain.run(inputs)
        self._idle.append(chain)
        return found


class _Chain:
    """Compiled subgraphs, the output of each being the input of the next."""

    def __init__(self, models: Sequence[tuple[Any, bool]]) -> None:
        self._requests: list[Any] = []
        for model, short in models:
            settings = {**_SETTINGS, "INFERENCE_PRECISION_HINT": "bf16" if short else "f32"}
            request = core().compile_model(model, "CPU", settings).create_infer_request()
            if self._requests:
                request.set_input_tensor(self._requests[-1].get_output_tensor())
            self._requests.append(request)

    def run(self, inputs: NDArray[np.generic]) -> Array:
        place = self._requests[0].get_input_tensor().data
        if (place.shape, place.dtype) != (inputs.shape, inputs.dtype):
            raise ValueError(f"the input is {inputs.dtype} {inputs.shape}, not {place.shape}")
        place[:] = inputs
        for request in self._requests:
            request.infer({}, True, False)
        return np.array(self._requests[-1].get_output_tensor().data, np.float32)
