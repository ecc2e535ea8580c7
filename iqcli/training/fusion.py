"""Fit the fusion head on cached blocks: several members, averaged.

AdamW 1e-3, ReduceLROnPlateau, early stopping on a fold of scenes that is another one for each
member, fixed seeds. Beside the opinions the members learn from ladders (see
`iqcli.distortions.ladders`): a spoilt copy must score lower, rung by rung. One scene in six teaches
nothing, here as in the training of the backbone (see `iqcli.training.holdout`).

The fusion network in torch, for training; inference needs `iqcli.models.fusion` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from iqcli.models.fusion import BRANCH, FORMAT, TRUNK
from iqcli.training.dataset import (
    MEMBERS,
    SEED,
    TrainingSet,
    TrainTensors,
    fold_of_scene,
    holdout_mask,
    quantile_knots,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from iqcli.records import Array


DROPOUT = 0.3


class FusionNetwork(nn.Module):
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


EPOCHS = 120
PATIENCE = 12
BATCH = 128
# Strong on purpose: there are ten thousand photos and a hundred correlated features.
WEIGHT_DECAY = 0.5
# How much the ladders count, and how many there are in a step.
LADDER_WEIGHT = 1.5
LADDERS = 64
# Share of the training rows whose block is hidden in an epoch, so that the network knows the flag.
HIDDEN = 0.03
# Shrinks the regression of the doubt, in units of a mean square.
RIDGE = 0.01


@dataclass(frozen=True)
class FusionFit:
    """A fitted head, ready to be saved; nothing of the held-out photos is in it yet."""

    tensors: dict[str, Array]
    info: dict[str, object]


def fit(lessons: TrainingSet, model: str, say: Callable[[str], None]) -> FusionFit:
    """Train `MEMBERS` members."""
    # The network is small: more threads than one only wait for each other.
    torch.set_num_threads(1)
    held = holdout_mask(lessons.scenes)
    folds = fold_of_scene(lessons.scenes)
    knots = {name: quantile_knots(lessons.scale_samples(name, ~held)) for name in lessons.blocks}
    sizes = {name: values.shape[1] for name, values in lessons.blocks.items()}
    pupil = TrainTensors.of(lessons, knots)
    tensors = {f"knots.{name}": values for name, values in knots.items()}
    for k in range(MEMBERS):
        train, stop = (torch.from_numpy(~held & each) for each in (folds != k, folds == k))
        network = _train_member(k, pupil, train, stop, sizes)
        _fit_uncertainty(network, pupil, stop)
        tensors |= _named(network, k)
        say(f"member {k + 1} of {MEMBERS} trained")
    info: dict[str, object] = {
        "format": FORMAT,
        "model": model,
        "blocks": sizes,
        "members": MEMBERS,
        "calibration": 1.0,
    }
    return FusionFit(tensors, info)


def _train_member(
    k: int, pupil: TrainTensors, train: torch.Tensor, stop: torch.Tensor, sizes: Mapping[str, int]
) -> FusionNetwork:
    """Learn from the photos `train` (n,) until those of `stop` (n,) get no better."""
    torch.manual_seed(SEED + k)
    network = FusionNetwork(sizes)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=WEIGHT_DECAY)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.5, patience=4)
    best, best_state, waited = float("inf"), network.state_dict(), 0
    for _ in range(EPOCHS):
        _epoch(network.train(), optimiser, pupil, torch.nonzero(train)[:, 0])
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
    network: FusionNetwork,
    optimiser: torch.optim.Optimizer,
    pupil: TrainTensors,
    train: torch.Tensor,
) -> None:
    for rows in train[torch.randperm(len(train))].split(BATCH):
        if len(rows) < 2:
            continue  # the last batch may be one photo, which has no correlation
        loss = _loss(network([_hide(x[rows]) for x in pupil.inputs])[0], pupil.target[rows])
        if len(pupil.ladders[0]):
            loss = loss + LADDER_WEIGHT * _order_loss(network, pupil)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


@torch.inference_mode()
def _error(network: FusionNetwork, pupil: TrainTensors, rows: torch.Tensor) -> float:
    score, _ = network([x[rows] for x in pupil.inputs])
    return float(((score - pupil.target[rows]) ** 2).mean())


@torch.inference_mode()
def _fit_uncertainty(network: FusionNetwork, pupil: TrainTensors, rows: torch.Tensor) -> None:
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


def _order_loss(network: FusionNetwork, pupil: TrainTensors) -> torch.Tensor:
    """Hinges over some ladders: each rung its margin below the one before; worthless is 1."""
    count, kinds = pupil.ladders[0].shape[:2]
    chosen, kind = torch.randint(count, (LADDERS,)), torch.randint(kinds, (LADDERS,))
    rungs = [copies[chosen, kind].flatten(0, 1) for copies in pupil.ladders]
    scores = network(rungs)[0].reshape(LADDERS, -1)
    lost = scores[:, :-1] - scores[:, 1:]
    some = torch.randint(len(pupil.negatives[0]), (LADDERS // 4,))
    worthless = network([x[some] for x in pupil.negatives])[0]
    return torch.relu(pupil.margins[kind] - lost).mean() + 0.1 * (worthless - 1).abs().mean()


def _loss(score: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Squared error, and the correlation that is missing within the batch."""
    centred, wanted = score - score.mean(), target - target.mean()
    correlation = (centred * wanted).mean() / (centred.std() * wanted.std() + 1e-6)
    return ((score - target) ** 2).mean() + (1 - correlation)


def _hide(x: torch.Tensor) -> torch.Tensor:
    return x * (torch.rand(len(x), 1) >= HIDDEN)


def _named(network: FusionNetwork, k: int) -> dict[str, Array]:
    found = {}
    for name, value in network.state_dict().items():
        _, layer, kind = name.split(".")
        found[f"{k}.{layer.replace('/', '.')}.{kind}"] = value.numpy()
    return found
