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
from typing import TYPE_CHECKING, Any

import numpy as np

from iqcli.errors import IqError
from iqcli.models import checkpoint
from iqcli.models.checkpoint import HELD, experience_of, is_sound

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from iqcli.records import Array, HoldoutSample


FORMAT = "iq-fusion-1"
KNOTS = 33
BRANCH = ("branch.{block}.0", "branch.{block}.1")
TRUNK = ("trunk.0", "trunk.1", "trunk.2")
CLIP = 3.0
# No training of ours comes near it; below it no sum can overflow.
LARGEST = 1e4
# No opinions on 1..10 can deviate more than half of them at either end.
WIDEST = np.float32(4.5)


@dataclass(frozen=True)
class FusionHead:
    """Weights of all members and the quantile knots; read-only once loaded.

    `sizes` maps each block to the length of its vector, in input order. `info` is the training's
    own account: model id, calibration, figures; `info["held"]` may name the held-out photos.
    """

    sizes: Mapping[str, int]
    tensors: Mapping[str, Array]
    info: Mapping[str, Any]

    @property
    def held(self) -> HoldoutSample | None:
        """The held-out experience that the file carries, if any."""
        return experience_of(self.tensors, self.info)

    def predict(self, blocks: Mapping[str, Array]) -> tuple[Array, Array]:
        """(n, size) vectors by block to (n,) scores in 1..10 and (n,) standard deviations."""
        inputs = {name: self.normalise(name, blocks[name]) for name in self.sizes}
        members = [self._member(k, inputs) for k in range(self.info["members"])]
        outputs = np.clip(members, -20, 20)
        scores = 1 + 9 / (1 + np.exp(-outputs[..., 0]))
        variance = np.exp(2 * outputs[..., 1]).mean(axis=0) + scores.var(axis=0)
        sigma = self.info["calibration"] * np.sqrt(variance)
        return scores.mean(axis=0), np.minimum(sigma, WIDEST)

    def normalise(self, block: str, vectors: Array) -> Array:
        """(n, size) raw vectors to (n, size + 1): normal scores within +-3, then the flag."""
        return normal_scores(vectors, self.tensors[f"knots.{block}"])

    def _member(self, k: int, inputs: Mapping[str, Array]) -> Array:
        branches = []
        for block, x in inputs.items():
            for layer in BRANCH:
                x = np.maximum(self._linear(k, layer.format(block=block), x), 0)
            branches.append(x)
        z = np.concatenate(branches, axis=1)
        for layer in TRUNK[:-1]:
            z = np.maximum(self._linear(k, layer, z), 0)
        return self._linear(k, TRUNK[-1], z)

    def _linear(self, k: int, layer: str, x: Array) -> Array:
        y: Array = x @ self.tensors[f"{k}.{layer}.weight"].T + self.tensors[f"{k}.{layer}.bias"]
        return y


def normal_scores(vectors: Array, knots: Array) -> Array:
    """(n, size) values to normal scores by (size, KNOTS) training quantiles, plus a flag column.

    A vector with any NaN is undefined: zeros and flag 0.
    """
    defined = np.isfinite(vectors).all(axis=1)
    grid = normal_grid()
    columns = [np.interp(vectors[defined, i], knots[i], grid) for i in range(vectors.shape[1])]
    out = np.zeros((len(vectors), vectors.shape[1] + 1), np.float32)
    out[defined, :-1] = np.stack(columns, axis=1)
    out[:, -1] = defined
    return out


def normal_grid() -> Array:
    """The normal scores the knots stand for, -3 .. 3, evenly spaced."""
    return np.linspace(-CLIP, CLIP, KNOTS).astype(np.float32)


def load(path: Path) -> FusionHead:
    """Read a head from a safetensors file. Raises IqError for anything that is not one of ours."""
    try:
        info, tensors = checkpoint.read(path)
    except checkpoint.UNREADABLE as error:
        raise IqError(f"cannot read the model {path}: {error}; train it again") from error
    if not _is_ours(info) or not _fits(tensors, info):
        raise IqError(f"{path} is no fusion model of this iq; train it with `iq train fusion`")
    return FusionHead(info["blocks"], tensors, info)


def _is_ours(info: object) -> bool:
    """The account has the format's fields: a weight file is a stranger's word."""
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


def _fits(tensors: Mapping[str, Array], info: Mapping[str, Any]) -> bool:
    """Every tensor is there, of the right shape, and bounded; knots rise."""
    if info["members"] > len(tensors):
        return False
    found = {name: tensor.shape for name, tensor in tensors.items() if name not in HELD}
    if found != shapes(info["blocks"], info["members"]):
        return False
    knots = [tensors[f"knots.{block}"] for block in info["blocks"]]
    return (
        all(tensor.dtype == np.float32 for tensor in tensors.values())
        and all(np.isfinite(each).all() and (np.diff(each) > 0).all() for each in knots)
        and all((np.abs(t) < LARGEST).all() for n, t in tensors.items() if n[0] != "k")
        and is_sound(tensors, info)
    )


def shapes(sizes: Mapping[str, int], members: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor that a head with these blocks must have; see `HELD`."""
    layers = {}
    for block, size in sizes.items():
        layers[BRANCH[0].format(block=block)] = (64, size + 1)
        layers[BRANCH[1].format(block=block)] = (64, 64)
    layers |= {TRUNK[0]: (256, 64 * len(sizes)), TRUNK[1]: (128, 256), TRUNK[2]: (2, 128)}
    found: dict[str, tuple[int, ...]] = {f"knots.{b}": (n, KNOTS) for b, n in sizes.items()}
    for k in range(members):
        for layer, (rows, columns) in layers.items():
            found[f"{k}.{layer}.weight"] = (rows, columns)
            found[f"{k}.{layer}.bias"] = (rows,)
    return found
