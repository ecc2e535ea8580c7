"""Deep kernel learning: a Gaussian process on a frozen embedding. Inference in NumPy.

The vectors of all blocks become normal scores by their training quantiles, then whitened principal
components, then points, by a small layer learnt together with the kernel (it is the identity where
that served no purpose). The process is known by its values at m inducing points, which gives the
mean and the variance of an opinion, noise included, by one matrix:

    w     = ([normal scores of the blocks] - centre) axes         (n, components)
    x     = (w skip + tanh(w hidden + bias)) / lengths            (n, width)
    k     = Matern-5/2 of the distances of x to the inducing      (n, inducing)
    h     = k features                                            (n, rank)
    mean  = prior mean + h weights
    var   = signal + noise - |h|^2,  sigma = calibration * sqrt(var)

Far from all it has seen h is zero: the score is the average opinion, as unsure as at first.
Sources: Titsias 2009 (the inducing points), Wilson et al. 2016 (the layer inside the kernel).
Nothing here is the Kullback-Leibler divergence, which shares the letters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from iqcli.models import checkpoint
from iqcli.models.checkpoint import valid_arrays, valid_holdout
from iqcli.models.fusion import KNOTS, TrainedHead, normal_scores, on_blocks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from iqcli.models.base import Blocks, Source
    from iqcli.records import Array, Doubles


FORMAT = "iq-dkl-1"
# No training of ours comes near it; in double precision no sum of such numbers overflows.
LARGEST = 1e6
SIZES = ("components", "width", "inducing", "rank")


class GaussianProcess(TrainedHead):
    """The process and what lays out its inputs."""

    def predict(self, blocks: Blocks) -> tuple[Array, Array]:
        """(n, size) vectors by block to (n,) scores in 1..10 and (n,) standard deviations.

        A vector with any NaN is undefined and stands for a middling one: all its normal scores
        are zero. The deviation does not grow by it.
        """
        mean, variance = observe(self.points(blocks), self.tensors)
        sigma = self.info["calibration"] * np.sqrt(variance)
        return np.clip(mean, 1, 10).astype(np.float32), sigma.astype(np.float32)

    def points(self, blocks: Blocks) -> Doubles:
        """(n, size) vectors by block to (n, width) points, one length scale long in each width."""
        knots = {name: self.tensors[f"knots.{name}"] for name in self.sizes}
        exactly = {name: exact(tensor) for name, tensor in self.tensors.items()}
        whitened = (joined_scores(blocks, knots) - exactly["centre"]) @ exactly["axes"]
        curved = np.tanh(whitened @ exactly["hidden"] + exactly["bias"])
        return (whitened @ exactly["skip"] + curved) / exactly["lengths"]


def joined_scores(blocks: Blocks, knots: Mapping[str, Array]) -> Doubles:
    """(n, size) vectors by block to the (n, all sizes) normal scores, in the order of the knots."""
    scores = [normal_scores(blocks[name], grid)[:, :-1] for name, grid in knots.items()]
    return exact(np.concatenate(scores, axis=1))


def observe(points: Doubles, tensors: Mapping[str, Array | Doubles]) -> tuple[Doubles, Doubles]:
    """(n, width) points to the (n,) mean and (n,) variance of an opinion there, noise included."""
    exactly = {name: exact(tensors[name]) for name in ("inducing", "features", "weights", "prior")}
    level, signal, noise = exactly["prior"]
    known = matern(points, exactly["inducing"]) @ exactly["features"]
    # What is left of the signal is never negative but for rounding.
    left = np.maximum(signal - (known**2).sum(axis=1), 0)
    return level + known @ exactly["weights"], left + noise


def matern(a: Doubles, b: Doubles) -> Doubles:
    """(n, width) and (m, width) points to their (n, m) Matern-5/2 correlations, 0..1."""
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    r = np.sqrt(5 * np.maximum(squared, 0))
    correlation: Doubles = (1 + r + r**2 / 3) * np.exp(-r)
    return correlation


def exact(values: Array | Doubles) -> Doubles:
    """In double precision: the sums of the kernel are too delicate for less."""
    return np.asarray(values, np.float64)


def predictor(source: Source) -> GaussianProcess:
    """The head of an entry's own file. Raises IqError for a file that is none, or other blocks."""
    return on_blocks(load(source.file), source.file, source.blocks)


def load(path: Path) -> GaussianProcess:
    """Read a process from a safetensors file. Raises IqError for any other file."""
    again = "train it again with `iq train dkl`"
    info, tensors = checkpoint.load(path, "dkl model", again, _valid_metadata, _valid_tensors)
    return GaussianProcess(info["blocks"], tensors, info)


def _valid_metadata(info: object) -> bool:
    """Whether the format's fields are there."""
    match info:
        case {
            "format": str(form),
            "model": str(model),
            "blocks": dict(blocks),
            "calibration": float(calibration),
            "components": components,
            "width": width,
            "inducing": inducing,
            "rank": rank,
        }:
            sizes = [*blocks.values(), components, width, inducing, rank]
            return (
                form == FORMAT
                and model.isprintable()
                and len(blocks) > 0
                and all(isinstance(size, int) and size > 0 for size in sizes)
                and 0 < calibration < LARGEST
            )
    return False


def _valid_tensors(tensors: Mapping[str, Array], info: Mapping[str, Any]) -> bool:
    """Also, length scales and variances are above 0."""
    own = checkpoint.without_holdout(tensors)
    if not valid_arrays(own, tensor_shapes(info), LARGEST):
        return False
    positive = (tensors["lengths"], tensors["prior"][1:])
    return all((each > 1 / LARGEST).all() for each in positive) and valid_holdout(tensors, info)


def tensor_shapes(info: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor that such a process must have, besides `HOLDOUT`."""
    components, width, inducing, rank = (info[name] for name in SIZES)
    values = sum(info["blocks"].values())
    return {f"knots.{block}": (size, KNOTS) for block, size in info["blocks"].items()} | {
        "centre": (values,),
        "axes": (values, components),
        "skip": (components, width),
        "hidden": (components, width),
        "bias": (width,),
        "lengths": (width,),
        "inducing": (inducing, width),
        "features": (inducing, rank),
        "weights": (rank,),
        "prior": (3,),
    }
