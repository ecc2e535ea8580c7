"""The aesthetic predictors of LAION: one affine map of the unit CLIP embedding, in NumPy.

    u = f / |f|                         (n, d), the embedding of the centre square
    s = u w + b                         (n,), about 1..10
    q = (clamp(s, 1, 10) - 1) / 9

V1 is one linear layer on ViT-B/32 (LAION-AI/aesthetic-predictor, MIT). V2 is five linear layers on
ViT-L/14 (christophschuhmann/improved-aesthetic-predictor, Apache-2.0) without any activation
between them, so that they are one map too, folded here in float64. Its sibling "reluMSE" has
activations, and is another model: its file is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from iqcli.errors import IqError
from iqcli.models.base import Method
from iqcli.models.calibration import to_points
from iqcli.text import display_path
from iqcli.weights.store import read_torch

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from iqcli.models.base import Blocks, Source
    from iqcli.models.calibration import Calibration
    from iqcli.records import Array
    from iqcli.weights.store import WeightStore

    Tensors = dict[str, NDArray[np.generic]]

# By row of the manifest of weights: the block that it reads.
READS = {"laion-v1": "clip:ViT-B-32", "laion-v2": "clip:ViT-L-14"}
# How the layers are called in the files -> how many numbers enter and leave them, in order.
LAYERS = {
    "laion-v1": {"": (512, 1)},
    "laion-v2": {
        "layers.0.": (768, 1024),
        "layers.2.": (1024, 128),
        "layers.4.": (128, 64),
        "layers.6.": (64, 16),
        "layers.7.": (16, 1),
    },
}
WITH_RELU = "layers.11.weight"
# Theirs stay below 30; below it no sum can overflow.
LARGEST = 1e6


@dataclass(frozen=True)
class Laion:
    """The folded head: `weight` (d,) and `bias`; `block` is what it reads."""

    block: str
    weight: Array
    bias: float

    def score(self, embeddings: Array) -> Array:
        """(n, d) embeddings of any length to (n,) scores, about 1..10, not clamped; NaN for none.

        Read the length elsewhere: the head was trained on unit embeddings.
        """
        lengths = np.linalg.norm(embeddings, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            found = embeddings @ self.weight / lengths + self.bias
        return np.asarray(np.where(np.isfinite(found), found, np.nan), np.float32)

    def quality(self, blocks: Blocks) -> Array:
        """(n, size) vectors by block to (n,) in 0..1."""
        return (np.clip(self.score(blocks[self.block]), 1, 10) - np.float32(1)) / np.float32(9)


@dataclass(frozen=True)
class Aesthetic:
    """A head and its calibration, if there is one: the aesthetic part beside any model's score."""

    head: Laion
    calibration: Calibration | None

    def __call__(self, blocks: Blocks) -> list[float | None]:
        """(n, size) vectors by block to n points of 1..10, None where it is not defined."""
        points = to_points(self.head.quality(blocks), self.calibration)
        return [float(each) if np.isfinite(each) else None for each in points]


def predictor(source: Source) -> Method:
    """The head of that name. Raises IqError like `load`."""
    head = load(source.entry.name, source.weights)
    return Method(
        quality=head.quality, reads=(head.block,), name=source.entry.name, part="aesthetic"
    )


def preferred(installed: Collection[str], reads: Collection[str]) -> str | None:
    """The row that gives the aesthetic part beside a model that reads these blocks, if any.

    A head whose CLIP the model reads anyway comes first, then V1, then V2: it changes no score,
    and costs a CLIP embedding for each new photo.
    """
    ready = [name for name in READS if name in installed]
    return min(ready, key=lambda each: READS[each] not in reads, default=None)


def load(name: str, weights: WeightStore) -> Laion:
    """The head of the row `laion-v1` or `laion-v2`. Raises IqError for a foreign file."""
    found = weights.converted(name, partial(_folded, LAYERS[name]))
    size = next(iter(LAYERS[name].values()))[0]
    if fault := _fault(found, {"weight": (size,), "bias": (1,)}):
        raise IqError(
            f"what is kept of {name} in {display_path(weights.folder(name))} {fault}; "
            f"run `iq models rm {name}` and pull it again"
        )
    weight = np.ascontiguousarray(found["weight"], np.float32)
    weight.flags.writeable = False
    return Laion(READS[name], weight, float(found["bias"][0]))


def _folded(layers: Mapping[str, tuple[int, int]], path: Path) -> Tensors:
    """`weight` (d,) and `bias` (1,) in float32 of the published file."""
    found = _read(layers, path)
    # From the end: w is the gradient of the score by what enters a layer.
    weight, bias = np.ones((1, 1)), np.zeros(1)
    for name in reversed(list(layers)):
        bias = bias + weight @ found[f"{name}bias"]
        weight = weight @ found[f"{name}weight"]
    if not max(np.abs(weight).max(), np.abs(bias).max()) < LARGEST:
        raise IqError(
            f"{display_path(path)} is no such LAION head: its scores have no end; pull it again"
        )
    return {"weight": weight[0].astype(np.float32), "bias": bias.astype(np.float32)}


def _read(layers: Mapping[str, tuple[int, int]], path: Path) -> dict[str, NDArray[np.float64]]:
    """The layers in float64, checked."""
    content = read_torch(path)
    tensors = content if isinstance(content, dict) else {}
    wanted: dict[str, tuple[int, ...]] = {}
    for name, (wide, narrow) in layers.items():
        wanted |= {f"{name}weight": (narrow, wide), f"{name}bias": (narrow,)}
    try:
        found = {str(name): np.asarray(each.double()) for name, each in tensors.items()}
    except (AttributeError, RuntimeError, TypeError):
        found = {}
    fault = _fault(found, wanted)
    if WITH_RELU in found:
        fault = "has activations between its layers, and is another model"
    if fault:
        raise IqError(f"{display_path(path)} is no such LAION head: it {fault}; pull it again")
    return found


def _fault(found: Mapping[str, NDArray[np.generic]], wanted: Mapping[str, tuple[int, ...]]) -> str:
    """What is wrong with these arrays, "" for nothing."""
    if odd := sorted(set(found) ^ set(wanted)):
        return f"{'lacks' if odd[0] in wanted else 'has'} {odd[0]}"
    for name, array in found.items():
        if array.shape != wanted[name]:
            return f"has {name} of {array.shape}, not {wanted[name]}"
        if array.dtype.kind != "f" or not (np.abs(array) < LARGEST).all():
            return f"holds numbers in {name} that no head has"
    return ""
