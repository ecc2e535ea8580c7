"""The fusion network: a branch per block, joined, then a small MLP. Inference in NumPy.

Architecture of the Image Quality Fusion model (branch 64-64 per block, joined MLP 256-128), with
four repairs: every feature is made normal by its training quantiles, so a value never seen
saturates instead of extrapolating; a block that is undefined for a picture is masked by a flag the
network was trained with; where a block holds logits of a score already, the network only adds to
their mean; and the error to expect is known from photos that nothing was trained on. Several
members, each blind to other scenes, are averaged.

The vectors of CLIP blocks, too, are read as they are. Their own scale of each number undoes the few
large ones that would outweigh all others; their length, which normalising would lose, stays.

    x_b   = [normal scores of block b, flag]                      (n, size_b + 1)
    h_b   = relu(relu(x_b W1 + c1) W2 + c2)                       (n, 64)
    z     = relu(relu([h_b ...] W3 + c3) W4 + c4) W5 + c5         (n, 2)
    score = 1 + 9 sigmoid(z_0 + mean logit of the blocks)
    sigma = what photos like it erred by, see `Doubt`; calibration * exp(z_1) in the first format
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from iqcli.models import checkpoint
from iqcli.models.base import Predictor, check_blocks, dense, relu
from iqcli.models.checkpoint import LARGEST, holdout_of, valid_arrays, valid_holdout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from iqcli.extractors.base import AnyBlock
    from iqcli.models.base import Blocks, Source
    from iqcli.records import Array, Doubles, HoldoutSample

FORMAT = "iq-fusion-2"
# Of heads that were trained before: no logits, and a calibration in place of the doubt.
FIRST = "iq-fusion-1"
KNOTS = 33
BRANCH = ("branch.{block}.0", "branch.{block}.1")
TRUNK = ("trunk.0", "trunk.1", "trunk.2")
CLIP = 3.0
# Blocks that do not know what is in a picture.
STATISTICS = frozenset({"brisque", "photometry", "tiles"})
# No opinions on 1..10 can deviate more than half of them at either end.
WIDEST = np.float32(4.5)
# What no deviation is smaller than, and how near to the ends of 1..10 a score is known from them.
LEAST, NEAR = np.float32(0.02), 0.02
# Features of the doubt, with a constant; which of them the members expect; its arrays in a file.
FEATURES, EXPECTED = 5, 2
DOUBT = ("doubt.weights", "doubt.errors", "doubt.sigmas")


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


@dataclass(frozen=True)
class Doubt:
    """The deviation of a score by what is known with it: a line of features, then a rising curve.

    The line (`weights`, FEATURES) gives the logarithm of the error to expect. The curve goes
    through the (k,) points `errors`, both of which rise, and `sigmas`: within 1.645 of these lay
    nine in ten of the held-out opinions whose error was expected to be about that.
    """

    weights: Array
    errors: Array
    sigmas: Array

    def tensors(self) -> dict[str, Array]:
        """Its arrays by their names in a file."""
        return dict(zip(DOUBT, (self.weights, self.errors, self.sigmas), strict=True))

    def deviations(self, scores: Array, variance: Array, spread: Array) -> Array:
        """(n,) deviations of the scores; see `features`.

        Beyond the points they stay. Opinions in 1..10 with the mean m never deviate by more than
        the root of (m - 1)(10 - m), so at either end of the scale there is little doubt.
        """
        expected = expected_errors(features(scores, variance, spread), self.weights)
        sigma = np.interp(expected, self.errors, self.sigmas)
        widest = np.sqrt(np.maximum((scores - 1) * (10 - scores), 0))
        found: Array = np.maximum(np.minimum(sigma, widest), LEAST).astype(np.float32)
        return found


def features(scores: Array, variance: Array, spread: Array) -> Array:
    """(n, FEATURES) of n scores: logarithms of how far they are from either end, of the `variance`
    that the members expect and of the `spread` of their scores, (n,) in square points; and 1."""
    inside = np.clip(scores, 1 + NEAR, 10 - NEAR)
    columns = (
        np.log(inside - 1),
        np.log(10 - inside),
        0.5 * np.log(variance + NEAR**2),
        0.5 * np.log(spread + NEAR**2),
        np.ones_like(scores),
    )
    return np.stack(columns, axis=1)


def expected_errors(seen: Array, weights: Array) -> Array:
    """(n,) logarithms of the errors to expect, from (n, FEATURES) `features` and their weights.

    Not a matrix product: OpenBLAS reads past the end of some that are so narrow, and NumPy then
    warns of invalid numbers that are in none of them.
    """
    found: Array = (seen * weights).sum(axis=1)
    return found


H = TypeVar("H", bound=TrainedHead)


class FusionHead(TrainedHead):
    """The weights of all members of the network."""

    def predict(self, blocks: Blocks) -> tuple[Array, Array]:
        """(n, size) vectors by block to (n,) scores in 1..10 and (n,) standard deviations."""
        scores, variance, spread = self.expect(blocks)
        if (doubt := self.doubt) is not None:
            return scores, doubt.deviations(scores, variance, spread)
        sigma = self.info["calibration"] * np.sqrt(variance + spread)
        return scores, np.minimum(sigma, WIDEST)

    def expect(self, blocks: Blocks) -> tuple[Array, Array, Array]:
        """(n, size) vectors by block to the (n,) scores, the variance that the members expect of
        them, and the variance between the members."""
        inputs = {name: self.normalise(name, blocks[name]) for name in self.sizes}
        members = [self._member(k, inputs) for k in range(self.info["members"])]
        outputs = np.clip(members, -20, 20)
        logits = mean_logits(blocks, self.info.get("logits", {}))
        scores = 1 + 9 / (1 + np.exp(-np.clip(outputs[..., 0] + logits, -20, 20)))
        return scores.mean(axis=0), np.exp(2 * outputs[..., 1]).mean(axis=0), scores.var(axis=0)

    @property
    def doubt(self) -> Doubt | None:
        """None in the first format, and while the head is in training."""
        if DOUBT[0] not in self.tensors:
            return None
        return Doubt(*(self.tensors[name] for name in DOUBT))

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


def mean_logits(blocks: Blocks, places: Mapping[str, Sequence[int]]) -> Array:
    """The (n,) mean over blocks of the mean of the numbers at their `places`.

    0 for a block whose vector is undefined, and where no block has any.
    """
    count = len(next(iter(blocks.values())))
    means = [blocks[name][:, list(each)].mean(axis=1) for name, each in places.items()]
    found = np.array(means, np.float32).reshape(-1, count)
    total: Array = np.where(np.isfinite(found), found, np.float32(0)).sum(axis=0)
    return total / np.float32(max(len(means), 1))


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
            **others,
        }:
            sizes = blocks.values()
            return (
                form in (FORMAT, FIRST)
                and model.isprintable()
                and len(blocks) > 0
                and all(isinstance(size, int) and size > 0 for size in sizes)
                and members > 0
                and (
                    _valid_logits(others.get("logits"), blocks)
                    if form == FORMAT
                    else _valid_calibration(others.get("calibration"))
                )
            )
    return False


def _valid_calibration(calibration: object) -> bool:
    return isinstance(calibration, float) and 0 < calibration < LARGEST


def _valid_logits(logits: object, blocks: Mapping[str, int]) -> bool:
    """Whether it is a table of places in those blocks."""
    return isinstance(logits, dict) and all(
        name in blocks
        and isinstance(places, list)
        and len(places) > 0
        and all(type(each) is int and 0 <= each < blocks[name] for each in places)
        for name, places in logits.items()
    )


def _valid_tensors(tensors: Mapping[str, Array], info: Mapping[str, Any]) -> bool:
    if info["members"] > len(tensors):
        return False
    wanted = tensor_shapes(info["blocks"], info["members"])
    own = checkpoint.without_holdout(tensors)
    if info["format"] == FORMAT:
        doubt = {name: own.pop(name, None) for name in DOUBT}
        if not _valid_doubt(doubt):
            return False
    return valid_arrays(own, wanted) and valid_holdout(tensors, info)


def _valid_doubt(found: Mapping[str, Array | None]) -> bool:
    """All arrays of it, of fitting shapes, bounded; points rise, deviations are above 0."""
    arrays = {name: each for name, each in found.items() if each is not None}
    if len(arrays) < len(DOUBT):
        return False
    points = arrays[DOUBT[1]].size
    shapes = dict(zip(DOUBT, ((FEATURES,), (points,), (points,)), strict=True))
    if not points or not valid_arrays(arrays, shapes):
        return False
    _, errors, sigmas = (arrays[name] for name in DOUBT)
    rises = (np.diff(errors) > 0).all() and (np.diff(sigmas) >= 0).all()
    return bool(rises and (sigmas > 0).all())


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
