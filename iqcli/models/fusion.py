"""The fusion network: a branch per block, joined, then a small MLP. Inference in NumPy.

Architecture of the Image Quality Fusion model (branch 64-64 per block, joined MLP 256-128), with
three repairs: every feature is made normal by its training quantiles, so a value never seen
saturates instead of extrapolating; a block that is undefined for a picture is masked by a flag the
network was trained with; and a second output tells how unsure the first one is. Several members,
each blind to other scenes, are averaged.

The vectors of CLIP blocks, too, are read as they are. Their own scale of each number undoes the few
large ones that would outweigh all others; their length, which normalising would lose, stays.

    x_b   = [normal scores of block b, flag]                      (n, size_b + 1)
    h_b   = relu(relu(x_b W1 + c1) W2 + c2)                       (n, 64)
    z     = relu(relu([h_b ...] W3 + c3) W4 + c4) W5 + c5         (n, 2)
    score = 1 + 9 sigmoid(z_0),  sigma = calibration * exp(z_1)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from iqcli.models import checkpoint
from iqcli.models.base import Predictor, check_blocks, dense, relu
from iqcli.models.checkpoint import LARGEST, holdout_of, valid_arrays, valid_holdout

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from iqcli.extractors.base import AnyBlock
    from iqcli.models.base import Blocks, Source
    from iqcli.records import Array, Doubles, HoldoutSample

FORMAT = "iq-fusion-1"
KNOTS = 33
BRANCH = ("branch.{block}.0", "branch.{block}.1")
TRUNK = ("trunk.0", "trunk.1", "trunk.2")
CLIP = 3.0
# Blocks that do not know what is in a picture.
STATISTICS = frozenset({"brisque", "photometry", "tiles"})
# No opinions on 1..10 can deviate more than half of them at either end.
WIDEST = np.float32(4.5)


@dataclass(frozen=True)
class TrainedHead(Predictor):
    """A head of ours that was fitted to opinions on blocks; read-only once loaded.

    `sizes` maps each block to the length of its vector, in input order. `info` is the metadata of
    the training: model id, calibration, figures; `info["held"]` may name the held-out photos.
    """

    sizes: Mapping[str, int]
    tensors: Mapping[str, Array]
    info: Mapping[str, Any]
    in_points = True

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(self.sizes)

    @property
    def name(self) -> str:
        return self.version

    @property
    def version(self) -> str:
        return str(self.info["model"])

    @property
    def part(self) -> str | None:
        """A score that rests on statistics alone is its technical part."""
        return "technical" if STATISTICS.issuperset(self.sizes) else None

    @property
    def holdout(self) -> HoldoutSample | None:
        return holdout_of(self.tensors, self.info)

    @property
    def quantiles(self) -> Mapping[str, Array]:
        return {name: self.tensors[f"knots.{name}"] for name in self.sizes}

    def normalise(self, block: str, vectors: Array) -> Array:
        """(n, size) raw vectors to (n, size + 1): normal scores within +-3, then the flag."""
        return normal_scores(vectors, self.tensors[f"knots.{block}"])


H = TypeVar("H", bound=TrainedHead)


class FusionHead(TrainedHead):
    """The weights of all members of the network."""

    def predict(self, blocks: Blocks) -> tuple[Array, Array]:
        """(n, size) vectors by block to (n,) scores in 1..10 and (n,) standard deviations."""
        inputs = {name: self.normalise(name, blocks[name]) for name in self.sizes}
        members = [self._member(k, inputs) for k in range(self.info["members"])]
        outputs = np.clip(members, -20, 20)
        scores = 1 + 9 / (1 + np.exp(-outputs[..., 0]))
        variance = np.exp(2 * outputs[..., 1]).mean(axis=0) + scores.var(axis=0)
        sigma = self.info["calibration"] * np.sqrt(variance)
        return scores.mean(axis=0), np.minimum(sigma, WIDEST)

    def _member(self, k: int, inputs: Mapping[str, Array]) -> Array:
        branches = []
        for block, x in inputs.items():
            for layer in BRANCH:
                x = relu(dense(self.tensors, f"{k}.{layer.format(block=block)}", x))
            branches.append(x)
        z = np.concatenate(branches, axis=1)
        for layer in TRUNK[:-1]:
            z = relu(dense(self.tensors, f"{k}.{layer}", z))
        return dense(self.tensors, f"{k}.{TRUNK[-1]}", z)


def normal_scores(vectors: Array, knots: Array) -> Array:
    """(n, size) values to normal scores by (size, KNOTS) training quantiles, plus a flag column.

    A vector with any NaN is undefined: zeros and flag 0.
    """
    defined = np.isfinite(vectors).all(axis=1)
    out = np.zeros((len(vectors), vectors.shape[1] + 1), np.float32)
    # By the hundred, or the comparisons of many photos would fill the memory.
    for some in np.array_split(np.flatnonzero(defined), len(vectors) // 128 + 1):
        out[some, :-1] = _among(vectors[some], knots)
    out[:, -1] = defined
    return out


def _among(values: Array, knots: Array) -> Doubles:
    """`np.interp` of each column of (n, size) values in its (size, KNOTS) knots, all at once."""
    places = (knots.T[:, None] <= values).sum(axis=0, dtype=np.int8)
    last = np.clip(places, 1, KNOTS - 1)
    columns = np.arange(len(knots))
    low, high = (knots[columns, each].astype(np.float64) for each in (last - 1, last))
    grid = normal_grid().astype(np.float64)
    slope = (grid[last] - grid[last - 1]) / np.where(high > low, high - low, 1)
    found: Doubles = slope * (values - low) + grid[last - 1]
    found[places == 0], found[places == KNOTS] = grid[0], grid[-1]
    return found


def normal_grid() -> Array:
    """The normal scores the knots stand for, -3 .. 3, evenly spaced."""
    return np.linspace(-CLIP, CLIP, KNOTS).astype(np.float32)


def predictor(source: Source) -> FusionHead:
    """The head of an entry's own file. Raises IqError for a file that is none, or other blocks."""
    return on_blocks(load(source.file), source.file, source.blocks)


def on_blocks(head: H, file: Path, table: Mapping[str, AnyBlock]) -> H:
    """The head of that file, if it was trained on these blocks. Raises IqError otherwise."""
    check_blocks(file, head.sizes, head.info.get("known_by", {}), table, "train it again")
    return head


def load(path: Path) -> FusionHead:
    """Read a head from a safetensors file. Raises IqError for any other file."""
    again = "train it again with `iq train fusion`"
    info, tensors = checkpoint.load(path, "fusion model", again, _valid_metadata, _valid_tensors)
    return FusionHead(info["blocks"], tensors, info)


def _valid_metadata(info: object) -> bool:
    """Whether the format's fields are there."""
    match info:
        case {
            "format": str(form),
            "model": str(model),
            "blocks": dict(blocks),
            "members": int(members),
            "calibration": float(calibration),
        }:
            sizes = blocks.values()
            return (
                form == FORMAT
                and model.isprintable()
                and len(blocks) > 0
                and all(isinstance(size, int) and size > 0 for size in sizes)
                and members > 0
                and 0 < calibration < LARGEST
            )
    return False


def _valid_tensors(tensors: Mapping[str, Array], info: Mapping[str, Any]) -> bool:
    if info["members"] > len(tensors):
        return False
    wanted = tensor_shapes(info["blocks"], info["members"])
    own = checkpoint.without_holdout(tensors)
    return valid_arrays(own, wanted) and valid_holdout(tensors, info)


def layer_shapes(sizes: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Name of every layer of a member with these blocks, in order, and its (outputs, inputs)."""
    layers = {}
    for block, size in sizes.items():
        layers[BRANCH[0].format(block=block)] = (64, size + 1)
        layers[BRANCH[1].format(block=block)] = (64, 64)
    return layers | {TRUNK[0]: (256, 64 * len(sizes)), TRUNK[1]: (128, 256), TRUNK[2]: (2, 128)}


def tensor_shapes(sizes: Mapping[str, int], members: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor that a head with these blocks must have, besides `HOLDOUT`."""
    layers = layer_shapes(sizes)
    found: dict[str, tuple[int, ...]] = {f"knots.{b}": (n, KNOTS) for b, n in sizes.items()}
    for k in range(members):
        for layer, (rows, columns) in layers.items():
            found[f"{k}.{layer}.weight"] = (rows, columns)
            found[f"{k}.{layer}.bias"] = (rows,)
    return found
