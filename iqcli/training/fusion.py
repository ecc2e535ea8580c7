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

from iqcli.models.fusion import FORMAT
from iqcli.training.lessons import (
    MEMBERS,
    SEED,
    Lessons,
    Pupil,
    fold_of_scene,
    quantile_knots,
    stopping,
)
from iqcli.training.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

EPOCHS = 120
PATIENCE = 12
BATCH = 128
# Strong on purpose: there are ten thousand photos and a hundred correlated features.
WEIGHT_DECAY = 0.5
# How many points each rung of a ladder must lose, how much that counts, and ladders a step.
MARGIN = 0.4
LADDER_WEIGHT = 0.5
LADDERS = 24
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


def fit(lessons: Lessons, model: str, say: Callable[[str], None]) -> Fit:
    """Train `MEMBERS` members."""
    # The network is small: more threads than one only wait for each other.
    torch.set_num_threads(1)
    opinions = lessons.opinions
    knots = {name: quantile_knots(lessons.seen(name)) for name in lessons.blocks}
    sizes = {name: values.shape[1] for name, values in lessons.blocks.items()}
    folds, stops = fold_of_scene(lessons.scenes), torch.from_numpy(stopping(lessons.scenes))
    pupil = Pupil.of(lessons, knots)
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


def _train_member(
    k: int, pupil: Pupil, train: torch.Tensor, stop: torch.Tensor, sizes: Mapping[str, int]
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
    pupil: Pupil,
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
def _error(network: Network, pupil: Pupil, rows: torch.Tensor) -> float:
    score, _ = network([x[rows] for x in pupil.inputs])
    return float(((score - pupil.target[rows]) ** 2).mean())


@torch.inference_mode()
def _teach_doubt(network: Network, pupil: Pupil, rows: torch.Tensor) -> None:
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


def _order_loss(network: Network, pupil: Pupil, ladders: torch.Tensor) -> torch.Tensor:
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
