"""Fit the fusion head on cached blocks: one member a fold of scenes, averaged.

AdamW 1e-3, ReduceLROnPlateau, early stopping on scenes the member has not seen, fixed seeds. The
scores that each photo gets from the member that never saw its scene are the honest validation,
and give the calibration of the uncertainty. Beside the opinions it learns from ladders (see
`iqcli.training.ladders`): a spoilt copy must score lower, rung by rung.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from iqcli.models.fusion import BRANCH, FORMAT, KNOTS, TRUNK, normal_scores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

SEED = 2021
MEMBERS = 5
EPOCHS = 120
PATIENCE = 12
BATCH = 128
DROPOUT = 0.3
# Strong on purpose: there are ten thousand photos and a hundred correlated features.
WEIGHT_DECAY = 0.5
# How many points each rung of a ladder must lose, how much that counts, and ladders a step.
MARGIN = 0.4
LADDER_WEIGHT = 0.5
LADDERS = 24
# One in so many spoilt copies takes part when the scales of the features are laid out.
SPARSE = 8
# Share of a member's scenes that only tell it when to stop.
STOPPING = 0.12
# Share of the training rows whose block is hidden in an epoch, so that the network knows the flag.
HIDDEN = 0.03
# Shrinks the regression of the doubt, in units of a mean square.
RIDGE = 0.01


@dataclass(frozen=True)
class Fit:
    """A fitted head, ready to be saved, and its out-of-fold scores (n,) and deviations (n,)."""

    tensors: dict[str, Array]
    info: dict[str, object]
    scores: Array
    sigmas: Array


class Network(nn.Module):
    """One member; layer names are those of the file (see `iqcli.models.fusion`)."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self.blocks = list(sizes)
        self.layers = nn.ModuleDict()
        for block, size in sizes.items():
            self._add(BRANCH[0].format(block=block), size + 1, 64)
            self._add(BRANCH[1].format(block=block), 64, 64)
        for name, (rows, columns) in zip(
            TRUNK, ((64 * len(sizes), 256), (256, 128), (128, 2)), strict=True
        ):
            self._add(name, rows, columns)
        self.dropout = nn.Dropout(DROPOUT)

    def _add(self, name: str, inputs: int, outputs: int) -> None:
        layer = nn.Linear(inputs, outputs)
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
        self.layers[name.replace(".", "/")] = layer

    def _layer(self, name: str, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layers[name.replace(".", "/")](x)
        return out

    def forward(self, inputs: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """[(b, size + 1)] by block to scores (b,) in 1..10 and log deviations (b,)."""
        return self.told(self.joined(inputs))

    def joined(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        """The last hidden layer, (b, 128)."""
        branches = []
        for block, x in zip(self.blocks, inputs, strict=True):
            for name in BRANCH:
                x = self.dropout(torch.relu(self._layer(name.format(block=block), x)))
            branches.append(x)
        z = torch.cat(branches, dim=1)
        for name in TRUNK[:-1]:
            z = self.dropout(torch.relu(self._layer(name, z)))
        return z

    def told(self, joined: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores and log deviations from the last hidden layer."""
        out = self._layer(TRUNK[-1], joined)
        return 1 + 9 * torch.sigmoid(out[:, 0]), out[:, 1]

    def set_doubt(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        """Give the second output these weights (128,) and bias."""
        last = self.layers[TRUNK[-1].replace(".", "/")]
        assert isinstance(last, nn.Linear)
        last.weight[1], last.bias[1] = weight, bias


@dataclass(frozen=True)
class Lessons:
    """What to learn from; every array's rows are photos.

    `blocks` (n, size) by name, `opinions` (n,) in 1..10 and `scenes` (n,). `bases` (m,) are the
    rows that have ladders, `ladders` (m, fault, rung, size) by name. `worthless` (k, size) by name
    are pictures that nobody keeps; they have the worst opinion in every fold.
    """

    blocks: Mapping[str, Array]
    opinions: Array
    scenes: NDArray[np.int64]
    bases: NDArray[np.int64]
    ladders: Mapping[str, Array]
    worthless: Mapping[str, Array]

    def seen(self, name: str) -> Array:
        """(n, size) vectors of photos and some spoilt copies: the range that scales must span."""
        values = self.blocks[name]
        copies = self.ladders[name].reshape(-1, values.shape[1])
        return np.concatenate([values, copies[::SPARSE]])


def fit(lessons: Lessons, model: str, say: Callable[[str], None]) -> Fit:
    """Train `MEMBERS` members."""
    # The network is small: more threads than one only wait for each other.
    torch.set_num_threads(1)
    opinions = lessons.opinions
    knots = {name: quantile_knots(lessons.seen(name)) for name in lessons.blocks}
    sizes = {name: values.shape[1] for name, values in lessons.blocks.items()}
    folds, stops = fold_of_scene(lessons.scenes), torch.from_numpy(stopping(lessons.scenes))
    pupil = _Pupil.of(lessons, knots)
    tensors = {f"knots.{name}": values for name, values in knots.items()}
    scores, logs = np.zeros(len(opinions), np.float32), np.zeros(len(opinions), np.float32)
    for k in range(MEMBERS):
        held = torch.from_numpy(folds == k)
        network = _train_member(k, pupil, ~held & ~stops, ~held & stops, sizes)
        _teach_doubt(network, pupil, ~held)
        with torch.inference_mode():
            score, log_sigma = network([x[held] for x in pupil.inputs])
        scores[folds == k], logs[folds == k] = score.numpy(), log_sigma.numpy()
        tensors |= _named(network, k)
        say(f"member {k + 1} of {MEMBERS} trained")
    raw = np.exp(logs)
    # 90 % of the opinions within 1.645 deviations, on scenes the scoring member never saw.
    calibration = float(np.quantile(np.abs(scores - opinions) / raw, 0.9) / 1.645)
    info: dict[str, object] = {
        "format": FORMAT,
        "model": model,
        "blocks": sizes,
        "members": MEMBERS,
        "calibration": calibration,
    }
    return Fit(tensors, info, scores, (raw * calibration).astype(np.float32))


def quantile_knots(values: Array) -> Array:
    """(n, size) to (size, KNOTS): the values whose normal scores are evenly spaced in -3..3.

    Strictly rising, so that a feature with few distinct values still has one score a value.
    """
    from scipy.stats import norm

    defined = values[np.isfinite(values).all(axis=1)]
    knots = np.quantile(defined, norm.cdf(np.linspace(-3, 3, KNOTS)), axis=0).T
    size = np.abs(knots).max(axis=1, keepdims=True)
    # A step no smaller than float32 can tell from nothing.
    scale = np.maximum(np.ptp(knots, axis=1, keepdims=True), np.maximum(2e-3 * size, 1e-3))
    return (knots + scale * 1e-4 * np.arange(KNOTS)).astype(np.float32)


def fold_of_scene(scenes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Fold 0..MEMBERS-1 of each photo; all photos of a scene share one."""
    names, index = np.unique(scenes, return_inverse=True)
    order = np.random.default_rng(SEED).permutation(len(names))
    return order[index] % MEMBERS


def stopping(scenes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which photos tell when to stop, in the members that do not hold them out; whole scenes."""
    names, index = np.unique(scenes, return_inverse=True)
    draws = np.random.default_rng(SEED + 1).random(len(names))
    return (draws <= max(STOPPING, np.partition(draws, 1)[1]))[index]


@dataclass(frozen=True)
class _Pupil:
    """The lessons as normal scores, one tensor a block; ladders are (m, fault, rung, size + 1)."""

    inputs: list[torch.Tensor]
    target: torch.Tensor
    bases: torch.Tensor
    ladders: list[torch.Tensor]
    worthless: list[torch.Tensor]

    @classmethod
    def of(cls, lessons: Lessons, knots: Mapping[str, Array]) -> _Pupil:
        def normal(blocks: Mapping[str, Array]) -> list[torch.Tensor]:
            found = []
            for name, grid in knots.items():
                *shape, size = blocks[name].shape
                flat = normal_scores(blocks[name].reshape(-1, size), grid)
                found.append(torch.from_numpy(flat).reshape(*shape, size + 1))
            return found

        return cls(
            normal(lessons.blocks),
            torch.from_numpy(lessons.opinions.astype(np.float32)),
            torch.from_numpy(lessons.bases),
            normal(lessons.ladders),
            normal(lessons.worthless),
        )


def _train_member(
    k: int, pupil: _Pupil, train: torch.Tensor, stop: torch.Tensor, sizes: Mapping[str, int]
) -> Network:
    """Learn from the photos `train` (n,) until those of `stop` (n,) get no better."""
    torch.manual_seed(SEED + k)
    network = Network(sizes)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=WEIGHT_DECAY)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.5, patience=4)
    ladders = torch.nonzero(train[pupil.bases])[:, 0]
    best, best_state, waited = float("inf"), network.state_dict(), 0
    for _ in range(EPOCHS):
        _epoch(network.train(), optimiser, pupil, torch.nonzero(train)[:, 0], ladders)
        error = _error(network.eval(), pupil, stop)
        plateau.step(error)
        waited += 1
        if error < best:
            best, waited = error, 0
            best_state = {name: value.clone() for name, value in network.state_dict().items()}
        if waited > PATIENCE:
            break
    network.load_state_dict(best_state)
    return network.eval()


def _epoch(
    network: Network,
    optimiser: torch.optim.Optimizer,
    pupil: _Pupil,
    train: torch.Tensor,
    ladders: torch.Tensor,
) -> None:
    for rows in train[torch.randperm(len(train))].split(BATCH):
        if len(rows) < 2:
            continue  # the last batch may be one photo, which has no correlation
        loss = _loss(network([_hide(x[rows]) for x in pupil.inputs])[0], pupil.target[rows])
        if len(ladders):
            loss = loss + LADDER_WEIGHT * _order_loss(network, pupil, ladders)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


@torch.inference_mode()
def _error(network: Network, pupil: _Pupil, rows: torch.Tensor) -> float:
    score, _ = network([x[rows] for x in pupil.inputs])
    return float(((score - pupil.target[rows]) ** 2).mean())


@torch.inference_mode()
def _teach_doubt(network: Network, pupil: _Pupil, rows: torch.Tensor) -> None:
    """Set the second output to the log of the error to expect, by ridge regression.

    Afterwards and apart from the score, which must not be bent to make its doubt easier.
    """
    joined = network.joined([x[rows] for x in pupil.inputs])
    score, _ = network.told(joined)
    wanted = torch.log((score - pupil.target[rows]).abs() + 0.05)
    inputs = torch.cat([joined, torch.ones(len(joined), 1)], dim=1)
    penalty = RIDGE * len(inputs) * torch.eye(inputs.shape[1])
    weights = torch.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ wanted)
    network.set_doubt(weights[:-1], weights[-1])


def _order_loss(network: Network, pupil: _Pupil, ladders: torch.Tensor) -> torch.Tensor:
    """Hinges over some ladders: each rung `MARGIN` below the one before; worthless is 1."""
    chosen = ladders[torch.randint(len(ladders), (LADDERS,))]
    fault = torch.randint(pupil.ladders[0].shape[1], (LADDERS,))
    rungs = []
    for base, copies in zip(pupil.inputs, pupil.ladders, strict=True):
        top = base[pupil.bases[chosen]][:, None]
        rungs.append(torch.cat([top, copies[chosen, fault]], dim=1).flatten(0, 1))
    scores = network(rungs)[0].reshape(LADDERS, -1)
    lost = scores[:, :-1] - scores[:, 1:]
    some = torch.randint(len(pupil.worthless[0]), (LADDERS // 4,))
    worthless = network([x[some] for x in pupil.worthless])[0]
    return torch.relu(MARGIN - lost).mean() + 0.1 * (worthless - 1).abs().mean()


def _loss(score: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Squared error, and the correlation that is missing within the batch."""
    centred, wanted = score - score.mean(), target - target.mean()
    correlation = (centred * wanted).mean() / (centred.std() * wanted.std() + 1e-6)
    return ((score - target) ** 2).mean() + (1 - correlation)


def _hide(x: torch.Tensor) -> torch.Tensor:
    return x * (torch.rand(len(x), 1) >= HIDDEN)


def _named(network: Network, k: int) -> dict[str, Array]:
    found = {}
    for name, value in network.state_dict().items():
        _, layer, kind = name.split(".")
        found[f"{k}.{layer.replace('/', '.')}.{kind}"] = value.numpy()
    return found
