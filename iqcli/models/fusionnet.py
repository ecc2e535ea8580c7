"""The fusion network of "Image Quality Fusion" as its authors published it. Inference in NumPy.

    b = clamp(BRISQUE, 0, 100) / 100      (n, 1), 0 is best      a = (clamp(LAION, 1, 10) - 1) / 9
    c = the CLIP vector as it is          (n, d)
    h = [branch(b), branch(a), branch(c)], branch(x) = relu(relu(x W0 + w0) W3 + w3)
    z = relu(relu(h W0 + w0) W3 + w3) W6 + w6
    score = low + (high - low) sigmoid(z)

Source: github.com/mattkyuan/image-quality-fusion (MIT), whose keys the tensors have.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

BRANCHES = ("brisque_net", "laion_net", "clip_net")
HIDDEN, EMBEDDING, OUTPUT_RANGE = 256, 512, (1.0, 10.0)


@dataclass(frozen=True)
class Network:
    """Weights by the keys of the published file, `NET.LAYER.weight`; read-only once loaded."""

    tensors: Mapping[str, Array]
    output_range: tuple[float, float] = OUTPUT_RANGE

    @property
    def hidden(self) -> int:
        """Width of the widest layers."""
        return len(self.tensors["fusion_net.0.bias"])

    @property
    def embedding(self) -> int:
        """Length of the CLIP vector that it reads."""
        return int(self.tensors["clip_net.0.weight"].shape[1])

    @property
    def known_by(self) -> str:
        """What tells it from networks with other weights."""
        parts = [repr(self.output_range).encode()]
        parts += [self.tensors[name].tobytes() for name in sorted(self.tensors)]
        return hashlib.sha256(b"".join(parts)).hexdigest()[:12]

    def predict(self, brisque: Array, laion: Array, clip: Array) -> Array:
        """(n,) b and (n,) a in 0..1 and (n, d) vectors to (n,) scores in `output_range`."""
        low, high = self.output_range
        return low + (high - low) * self.share(brisque, laion, clip)

    def share(self, brisque: Array, laion: Array, clip: Array) -> Array:
        """Like `predict`, as the share 0..1 of the output range."""
        inputs = (brisque[:, None], laion[:, None], clip)
        joined = np.concatenate(
            [
                self._relu(net, 3, self._relu(net, 0, x))
                for net, x in zip(BRANCHES, inputs, strict=True)
            ],
            axis=1,
        )
        hidden = self._relu("fusion_net", 3, self._relu("fusion_net", 0, joined))
        z = np.clip(self._linear("fusion_net", 6, hidden)[:, 0], -30, 30)
        found: Array = (1 / (1 + np.exp(-z))).astype(np.float32)
        return found

    def _relu(self, net: str, layer: int, x: Array) -> Array:
        return np.maximum(self._linear(net, layer, x), 0)

    def _linear(self, net: str, layer: int, x: Array) -> Array:
        weight, bias = (self.tensors[f"{net}.{layer}.{kind}"] for kind in ("weight", "bias"))
        y: Array = x @ weight.T + bias
        return y


def shapes(hidden: int, embedding: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a network of this width."""
    quarter, half = hidden // 4, hidden // 2
    layers = {
        "brisque_net": {0: (64, 1), 3: (quarter, 64)},
        "laion_net": {0: (64, 1), 3: (quarter, 64)},
        "clip_net": {0: (hidden, embedding), 3: (half, hidden)},
        "fusion_net": {0: (hidden, 2 * quarter + half), 3: (half, hidden), 6: (1, half)},
    }
    found: dict[str, tuple[int, ...]] = {}
    for net, each in layers.items():
        for layer, (rows, columns) in each.items():
            found[f"{net}.{layer}.weight"] = (rows, columns)
            found[f"{net}.{layer}.bias"] = (rows,)
    return found
