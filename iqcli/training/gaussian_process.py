"""Fit a Gaussian process on the cached blocks: deep kernel learning, chosen on unseen scenes.

The number of principal components, the number of steps, and whether a learnt layer inside the
kernel helps are chosen on scenes that the optimisation does not see. The posterior then also uses
those scenes: it has a closed form and needs no optimisation.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from iqcli.errors import IqError
from iqcli.models.gaussian_process import FORMAT, joined_scores, observe
from iqcli.training.dataset import SEED, fold_of_scene, quantile_knots
from iqcli.training.sparse_gp import Kernel, maximise_bound, posterior, spread_out

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from iqcli.records import Array, Doubles


COMPONENTS = (32, 64)
INDUCING = 256
# Outputs of a learnt layer, at most.
WIDTH = 16
STEPS = 100
# Steps between two evaluations on the unseen scenes, and evaluations without gain until the end.
PERIOD = 5
PATIENCE = 4
# Of the first weights of a learnt layer, which adds to the identity.
DEVIATION = 0.05


@dataclass(frozen=True)
class ProcessFit:
    """A fitted process, ready to be saved.

    `info["calibration"]` is 1: the deviations are those of the process. `unseen` are the (k,) rows
    that chose the layout, `scores` and `sigmas` (k,) their predictions before they were used.
    """

    tensors: dict[str, Array]
    info: dict[str, object]
    unseen: NDArray[np.int64]
    scores: Array
    sigmas: Array


@dataclass(frozen=True)
class Whitening:
    """Principal components of normal scores.

    `centre` (values,), `axes` (values, components) and how wide each component was, `widths`.
    """

    centre: Doubles
    axes: Doubles
    widths: Doubles

    @classmethod
    def of(cls, scores: Doubles, most: int) -> Whitening:
        """The `most` widest components of (n, values) scores; fewer where the rest are constant."""
        centre = scores.mean(axis=0)
        covariance = np.cov(scores - centre, rowvar=False).reshape(len(centre), -1)
        variances, axes = np.linalg.eigh(covariance)
        kept = np.argsort(-variances)[:most]
        kept = kept[variances[kept] > 1e-6 * variances.max()]
        widths = np.sqrt(variances[kept])
        return cls(centre, axes[:, kept] / widths, widths)


@dataclass
class Learner:
    """A kernel while it is optimised, and the best so far on the unseen rows."""

    kernel: Kernel
    whitened: torch.Tensor
    rest: torch.Tensor
    unseen: torch.Tensor
    best: Kernel = field(init=False)
    loss: float = float("inf")
    steps: int = 0
    waited: int = 0

    def __post_init__(self) -> None:
        self._evaluate()

    def optimise(self) -> Learner:
        """Maximise the bound on the seen rows until the unseen ones are predicted no better."""
        seen = ~self.unseen
        maximise_bound(self.kernel, self.whitened[seen], self.rest[seen], STEPS, self._stop)
        return self

    def _stop(self) -> bool:
        self.steps += 1
        if self.steps % PERIOD == 0:
            self._evaluate()
        return self.waited >= PATIENCE

    def _evaluate(self) -> None:
        mean, variance = self.predict(self.kernel)
        error = self.rest[self.unseen].numpy() - mean
        loss = float((error**2 / variance + np.log(variance)).mean() / 2)
        self.waited += 1
        if loss < self.loss:
            self.best, self.loss, self.waited = copy.deepcopy(self.kernel), loss, 0

    def predict(self, kernel: Kernel) -> tuple[Doubles, Doubles]:
        """Mean and variance of the unseen rows (k,) predicted from the seen ones."""
        tensors = _process_tensors(
            kernel, self.whitened[~self.unseen], self.rest[~self.unseen], 0.0
        )
        with torch.no_grad():
            points = kernel.points(self.whitened[self.unseen]).numpy()
        return observe(points, tensors)


def fit(
    blocks: Mapping[str, Array],
    opinions: Array,
    scenes: Sequence[str],
    say: Callable[[str], None],
    model: str = "dkl",
) -> ProcessFit:
    """Fit on (n, size) vectors by block, (n,) opinions in 1..10 and the (n,) scenes they show.

    Raises IqError where all is one scene: then nothing is unseen.
    """
    # Threads add in any order; one thread always adds in the same.
    torch.set_num_threads(1)
    knots = {name: quantile_knots(values) for name, values in blocks.items()}
    scores = joined_scores(blocks, knots)
    whitening = Whitening.of(scores, max(COMPONENTS))
    whitened = torch.from_numpy((scores - whitening.centre) @ whitening.axes)
    level = float(np.float32(opinions.mean()))
    rest = torch.from_numpy(opinions.astype(np.float64) - level)
    unseen = torch.from_numpy(fold_of_scene(scenes) == 0)
    if unseen.all():
        raise IqError("all photos show one scene; give photos of several scenes")
    chosen = _choose(whitened, whitening.widths, rest, unseen, say)
    kernel = chosen.best
    mean, variance = chosen.predict(kernel)
    components = kernel.inducing.shape[1]
    found = {
        **{f"knots.{name}": grid for name, grid in knots.items()},
        "centre": whitening.centre,
        "axes": whitening.axes[:, :components],
        **_layer(kernel),
        **_process_tensors(kernel, chosen.whitened, rest, level),
    }
    tensors = {name: np.ascontiguousarray(each, np.float32) for name, each in found.items()}
    inducing, rank = tensors["features"].shape
    info: dict[str, object] = {
        "format": FORMAT,
        "model": model,
        "blocks": {name: values.shape[1] for name, values in blocks.items()},
        "components": components,
        "width": kernel.skip.shape[1],
        "inducing": inducing,
        "rank": rank,
        "deep": kernel.skip.requires_grad,
        "calibration": 1.0,
    }
    return ProcessFit(
        tensors,
        info,
        np.flatnonzero(chosen.unseen.numpy()),
        (mean + level).clip(1, 10).astype(np.float32),
        np.sqrt(variance).astype(np.float32),
    )


def _choose(
    whitened: torch.Tensor,
    widths: Doubles,
    rest: torch.Tensor,
    unseen: torch.Tensor,
    say: Callable[[str], None],
) -> Learner:
    """The number of components that predicts the unseen rows best, then a layer if that helps."""
    random = np.random.default_rng(SEED)
    variance = float(rest.var())
    best: Learner | None = None
    for count in sorted({min(count, whitened.shape[1]) for count in COMPONENTS}):
        inputs = whitened[:, :count].contiguous()
        # As if nothing were whitened: one length for all scores, a typical distance of theirs.
        lengths = np.sqrt(2 * (widths[:count] ** 2).sum()) / widths[:count]
        seen = inputs[~unseen].numpy()
        rows = spread_out(seen / lengths, INDUCING, random)
        kernel = Kernel(seen[rows], lengths, variance / 2, variance / 2)
        learner = Learner(kernel, inputs, rest, unseen).optimise()
        say(f"{count} components: {learner.loss:.4f} nats an opinion")
        best = learner if best is None or learner.loss < best.loss else best
    assert best is not None
    deep = Learner(_deepened(best.best), best.whitened, rest, unseen).optimise()
    say(f"with a learnt layer: {deep.loss:.4f} nats an opinion")
    return deep if deep.loss < best.loss else best


def _deepened(kernel: Kernel) -> Kernel:
    """A kernel with a layer to learn, on the inputs with the shortest lengths of the given one."""
    deep = copy.deepcopy(kernel)
    inputs = torch.argsort(deep.log_lengths.detach(), stable=True)[:WIDTH].sort().values
    drawn = np.random.default_rng(SEED).normal(0, DEVIATION, (len(deep.skip), len(inputs)))
    deep.skip = torch.nn.Parameter(deep.skip.detach()[:, inputs].clone())
    deep.hidden = torch.nn.Parameter(torch.from_numpy(drawn))
    deep.bias = torch.nn.Parameter(deep.bias.detach()[inputs].clone())
    deep.log_lengths = torch.nn.Parameter(deep.log_lengths.detach()[inputs].clone())
    return deep


@torch.no_grad()
def _layer(kernel: Kernel) -> dict[str, Doubles]:
    """What turns whitened inputs into points, by the names in the file."""
    return {
        "skip": kernel.skip.numpy(),
        "hidden": kernel.hidden.numpy(),
        "bias": kernel.bias.numpy(),
        "lengths": kernel.log_lengths.exp().numpy(),
    }


@torch.no_grad()
def _process_tensors(
    kernel: Kernel, whitened: torch.Tensor, rest: torch.Tensor, level: float
) -> dict[str, Doubles]:
    """The posterior of the (n, components) inputs and their opinions, by the names in the file."""
    features, weights = posterior(kernel, whitened, rest)
    return {
        "inducing": kernel.points(kernel.inducing).numpy(),
        "features": features.numpy(),
        "weights": weights.numpy(),
        "prior": np.array([level, float(kernel.log_signal.exp()), float(kernel.log_noise.exp())]),
    }
