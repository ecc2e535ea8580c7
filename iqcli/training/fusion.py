"""Fit the fusion head on cached blocks: one member a fold of scenes, averaged.

AdamW 1e-3, ReduceLROnPlateau, early stopping on scenes the member has not seen, fixed seeds. The
scores that each photo gets from the member that never saw its scene are the honest validation,
and give the calibration of the uncertainty.
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
# Share of the training rows whose block is hidden in an epoch, so that the network knows the flag.
HIDDEN = 0.03


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
        branches = []
        for block, x in zip(self.blocks, inputs, strict=True):
            for name in BRANCH:
                x = self.dropout(torch.relu(self._layer(name.format(block=block), x)))
            branches.append(x)
        z = torch.cat(branches, dim=1)
        for name in TRUNK[:-1]:
            z = self.dropout(torch.relu(self._layer(name, z)))
        out = self._layer(TRUNK[-1], z)
        return 1 + 9 * torch.sigmoid(out[:, 0]), out[:, 1]


def fit(
    blocks: Mapping[str, Array],
    opinions: Array,
    scenes: NDArray[np.int64],
    model: str,
    say: Callable[[str], None],
) -> Fit:
    """Train `MEMBERS` members on (n, size) blocks against (n,) opinions in 1..10."""
    knots = {name: quantile_knots(values) for name, values in blocks.items()}
    inputs = [torch.from_numpy(normal_scores(blocks[n], knots[n])) for n in blocks]
    target = torch.from_numpy(opinions.astype(np.float32))
    folds = fold_of_scene(scenes)
    tensors = {f"knots.{name}": values for name, values in knots.items()}
    scores, logs = np.zeros(len(opinions), np.float32), np.zeros(len(opinions), np.float32)
    for k in range(MEMBERS):
        held = torch.from_numpy(folds == k)
        network = _train_member(k, inputs, target, held, {n: b.shape[1] for n, b in blocks.items()})
        with torch.inference_mode():
            score, log_sigma = network([x[held] for x in inputs])
        scores[folds == k], logs[folds == k] = score.numpy(), log_sigma.numpy()
        tensors |= _named(network, k)
        say(f"member {k + 1} of {MEMBERS} trained")
    raw = np.exp(logs)
    # 90 % of the opinions within 1.645 deviations, on scenes the scoring member never saw.
    calibration = float(np.quantile(np.abs(scores - opinions) / raw, 0.9) / 1.645)
    info: dict[str, object] = {
        "format": FORMAT,
        "model": model,
        "blocks": {name: values.shape[1] for name, values in blocks.items()},
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
    scale = np.maximum(np.ptp(knots, axis=1, keepdims=True), 1e-3)
    return (knots + scale * 1e-4 * np.arange(KNOTS)).astype(np.float32)


def fold_of_scene(scenes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Fold 0..MEMBERS-1 of each photo; all photos of a scene share one."""
    names, index = np.unique(scenes, return_inverse=True)
    order = np.random.default_rng(SEED).permutation(len(names))
    return order[index] % MEMBERS


def _train_member(
    k: int,
    inputs: list[torch.Tensor],
    target: torch.Tensor,
    held: torch.Tensor,
    sizes: Mapping[str, int],
) -> Network:
    torch.manual_seed(SEED + k)
    network = Network(sizes)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=WEIGHT_DECAY)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.5, patience=4)
    train = torch.nonzero(~held)[:, 0]
    best, best_state, waited = float("inf"), network.state_dict(), 0
    for _ in range(EPOCHS):
        network.train()
        for rows in train[torch.randperm(len(train))].split(BATCH):
            loss = _loss(network([_hide(x[rows]) for x in inputs]), target[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        network.eval()
        with torch.inference_mode():
            score, _ = network([x[held] for x in inputs])
            error = float(((score - target[held]) ** 2).mean())
        plateau.step(error)
        waited += 1
        if error < best:
            best, waited = error, 0
            best_state = {name: value.clone() for name, value in network.state_dict().items()}
        if waited > PATIENCE:
            break
    network.load_state_dict(best_state)
    return network.eval()


def _loss(output: tuple[torch.Tensor, torch.Tensor], target: torch.Tensor) -> torch.Tensor:
    """Squared error, correlation within the batch, and the likelihood of the deviation alone."""
    score, log_sigma = output
    error = score - target
    centred, wanted = score - score.mean(), target - target.mean()
    correlation = (centred * wanted).mean() / (centred.std() * wanted.std() + 1e-6)
    doubt = 0.5 * (error.detach() ** 2) * torch.exp(-2 * log_sigma) + log_sigma
    return (error**2).mean() + (1 - correlation) + 0.1 * doubt.mean()


def _hide(x: torch.Tensor) -> torch.Tensor:
    return x * (torch.rand(len(x), 1) >= HIDDEN)


def _named(network: Network, k: int) -> dict[str, Array]:
    found = {}
    for name, value in network.state_dict().items():
        _, layer, kind = name.split(".")
        found[f"{k}.{layer.replace('/', '.')}.{kind}"] = value.numpy()
    return found
