"""Fit the fusion head on cached blocks: several members, averaged.

AdamW 1e-3, ReduceLROnPlateau, early stopping on a fold of scenes that is another one for each
member, fixed seeds. Beside the opinions the members learn from ladders (see
`iqcli.distortions.ladders`): a distorted copy must score lower, level by level. One scene in six is
held out, here as in the training of the backbone (see `iqcli.training.holdout`). Inference needs
`iqcli.models.fusion` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from iqcli.models.fusion import BRANCH, FORMAT, TRUNK, FusionHead, layer_shapes
from iqcli.training.dataset import (
    MEMBERS,
    SEED,
    TrainingSet,
    TrainTensors,
    fold_of_scene,
    holdout_mask,
    quantile_knots,
)
from iqcli.training.loop import train_until_plateau

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from iqcli.records import Array

DROPOUT = 0.3
# Ladders in a step.
LADDERS = 64
# Shrinks the regression of the uncertainty, in units of a mean square.
RIDGE = 0.01


@dataclass(frozen=True)
class FusionConfig:
    """How to fit.

    `ladder_photos` of the photos get ladders, whose loss counts `ladder_weight`. `blank_frames` and
    `thumbnails` of that many photos with ladders must score 1. `hidden` is the
    share of rows whose block is hidden in an epoch, so that the network knows the flag. The weight
    decay is strong on purpose: there are ten thousand photos and a hundred correlated features.
    """

    seed: int = SEED
    epochs: int = 120
    patience: int = 12
    batch: int = 128
    weight_decay: float = 2.0
    ladder_photos: int = 120
    ladder_weight: float = 0.5
    blank_frames: int = 96
    thumbnails: int = 64
    hidden: float = 0.03


class FusionMember(nn.Module):
    """One member; layer names are those of the file (see `iqcli.models.fusion`)."""

    def __init__(self, sizes: Mapping[str, int], logits: Collection[str] = ()) -> None:
        """`logits` are the blocks whose inputs end with the mean of their logits."""
        super().__init__()
        self.blocks, self.logits = list(sizes), logits
        self.layers = nn.ModuleDict()
        for name, (outputs, inputs) in layer_shapes(sizes).items():
            layer = nn.Linear(inputs, outputs)
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
            self.layers[name.replace(".", "/")] = layer
        if logits:
            nn.init.zeros_(layer.weight)
        self.dropout = nn.Dropout(DROPOUT)

    def _layer(self, name: str, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layers[name.replace(".", "/")](x)
        return out

    def forward(self, inputs: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """[(b, size + 1)] by block, and one more for a logit, to scores (b,) in 1..10 and log
        deviations (b,)."""
        return self.outputs(self.last_hidden(inputs), self.mean_logits(inputs))

    def mean_logits(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        """The mean logit of the blocks (b,), 0 where there is none."""
        found = [
            x[:, -1] for name, x in zip(self.blocks, inputs, strict=True) if name in self.logits
        ]
        return torch.stack(found).mean(dim=0) if found else inputs[0].new_zeros(len(inputs[0]))

    def last_hidden(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        """The last hidden layer, (b, 128)."""
        branches = []
        for block, x in zip(self.blocks, inputs, strict=True):
            if block in self.logits:
                x = x[:, :-1]
            for name in BRANCH:
                x = self.dropout(torch.relu(self._layer(name.format(block=block), x)))
            branches.append(x)
        z = torch.cat(branches, dim=1)
        for name in TRUNK[:-1]:
            z = self.dropout(torch.relu(self._layer(name, z)))
        return z

    def outputs(
        self, hidden: torch.Tensor, logits: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores and log deviations from the last hidden layer and the mean logits."""
        out = self._layer(TRUNK[-1], hidden)
        return 1 + 9 * torch.sigmoid(out[:, 0] + logits), out[:, 1]

    def set_uncertainty(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        """Give the second output these weights (128,) and bias."""
        last = self.layers[TRUNK[-1].replace(".", "/")]
        assert isinstance(last, nn.Linear)
        last.weight[1], last.bias[1] = weight, bias


def fit(
    data: TrainingSet, model: str, say: Callable[[str], None], config: FusionConfig
) -> FusionHead:
    """Train `MEMBERS` members; nothing of the held-out photos is in the head yet."""
    # The network is small: more threads than one only wait for each other.
    torch.set_num_threads(1)
    holdout = holdout_mask(data.scenes)
    folds = fold_of_scene(data.scenes)
    knots = {name: quantile_knots(data.scale_samples(name, ~holdout)) for name in data.blocks}
    train = TrainTensors.of(data, knots)
    tensors = {f"knots.{name}": values for name, values in knots.items()}
    for k in range(MEMBERS):
        rows, stop = (torch.from_numpy(~holdout & each) for each in (folds != k, folds == k))
        network = _train_member(k, train, rows, stop, data, config)
        _fit_uncertainty(network, train, stop)
        tensors |= _named(network, k)
        say(f"member {k + 1} of {MEMBERS} trained")
    info: dict[str, object] = {
        "format": FORMAT,
        "model": model,
        "blocks": data.sizes,
        "members": MEMBERS,
        "logits": {name: list(places) for name, places in data.logits.items()},
    }
    return FusionHead(data.sizes, tensors, info)


def _train_member(
    k: int,
    train: TrainTensors,
    rows: torch.Tensor,
    stop: torch.Tensor,
    data: TrainingSet,
    config: FusionConfig,
) -> FusionMember:
    """Train on the photos `rows` (n,) until the error on those of `stop` (n,) no longer falls."""
    torch.manual_seed(config.seed + k)
    network = FusionMember(data.sizes, data.logits)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=config.weight_decay)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.5, patience=4)
    places = torch.nonzero(rows)[:, 0]

    def epoch() -> float:
        return _epoch(network.train(), optimiser, train, places, config)

    def error() -> float:
        found = _error(network.eval(), train, stop)
        plateau.step(found)
        return found

    train_until_plateau(network, epoch, error, config.epochs, config.patience)
    return network.eval()


def _epoch(
    network: FusionMember,
    optimiser: torch.optim.Optimizer,
    train: TrainTensors,
    places: torch.Tensor,
    config: FusionConfig,
) -> float:
    """Train once on all photos; the mean loss of a photo."""
    total = 0.0
    for batch in places[torch.randperm(len(places))].split(config.batch):
        if len(batch) < 2:
            continue  # the last batch may be one photo, which has no correlation
        inputs = [_hide(x[batch], config.hidden) for x in train.inputs]
        loss = _loss(network(inputs)[0], train.target[batch])
        if len(train.ladders[0]):
            loss = loss + config.ladder_weight * _order_loss(network, train)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += loss.item() * len(batch)
    return total / len(places)


def _error(network: FusionMember, train: TrainTensors, rows: torch.Tensor) -> float:
    score, _ = network([x[rows] for x in train.inputs])
    return float(((score - train.target[rows]) ** 2).mean())


@torch.inference_mode()
def _fit_uncertainty(network: FusionMember, train: TrainTensors, rows: torch.Tensor) -> None:
    """Set the second output to the log of the error to expect, by ridge regression.

    Afterwards and apart from the score, which must not be bent to make its error predictable.
    """
    seen = [x[rows] for x in train.inputs]
    hidden = network.last_hidden(seen)
    score, _ = network.outputs(hidden, network.mean_logits(seen))
    wanted = torch.log((score - train.target[rows]).abs() + 0.05)
    inputs = torch.cat([hidden, torch.ones(len(hidden), 1)], dim=1)
    penalty = RIDGE * len(inputs) * torch.eye(inputs.shape[1])
    weights = torch.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ wanted)
    network.set_uncertainty(weights[:-1], weights[-1])


def _order_loss(network: FusionMember, train: TrainTensors) -> torch.Tensor:
    """Hinges over some ladders: each level its margin below the one before; negatives score 1."""
    count, kinds = train.ladders[0].shape[:2]
    chosen, kind = torch.randint(count, (LADDERS,)), torch.randint(kinds, (LADDERS,))
    levels = [copies[chosen, kind].flatten(0, 1) for copies in train.ladders]
    scores = network(levels)[0].reshape(LADDERS, -1)
    lost = scores[:, :-1] - scores[:, 1:]
    some = torch.randint(len(train.negatives[0]), (LADDERS // 4,))
    negatives = network([x[some] for x in train.negatives])[0]
    return torch.relu(train.margins[kind] - lost).mean() + 0.1 * (negatives - 1).abs().mean()


def _loss(score: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Squared error, and the correlation that is missing within the batch."""
    centred, wanted = score - score.mean(), target - target.mean()
    correlation = (centred * wanted).mean() / (centred.std() * wanted.std() + 1e-6)
    return ((score - target) ** 2).mean() + (1 - correlation)


def _hide(x: torch.Tensor, share: float) -> torch.Tensor:
    return x * (torch.rand(len(x), 1) >= share)


def _named(network: FusionMember, k: int) -> dict[str, Array]:
    """The parameters of member `k` by their names in the file."""
    found = {}
    for name, value in network.state_dict().items():
        _, layer, kind = name.split(".")
        found[f"{k}.{layer.replace('/', '.')}.{kind}"] = value.numpy()
    return found
