"""Fit a hex head through the exact probabilities of its graph: AdamW, early stopping by scenes.

The likelihood (nll) is of the whole legal state, unknown labels summed over. The other losses are
means over the known nodes of a function of p, the marginal of what is true of the node:

    bce       -log p
    focal     -a (1 - p)^gamma log p                   Lin et al., ICCV 2017
    fidelity   a (1 - p)^gamma (1 - sqrt p)            the published model's own

with a = alpha where the node is on and 1 - alpha where it is off. Alpha beyond 0..1 would reward
errors, as the published focal loss with alpha 10 does, and is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch

from iqcli.errors import IqError
from iqcli.models.hex.graph import switches
from iqcli.models.hex.head import LAYERS, inputs_of
from iqcli.training.dataset import SEED, fold_of_scene, quantile_knots
from iqcli.training.loop import train_until_plateau

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iqcli.models.hex.config import Graph
    from iqcli.models.hex.graph import Levels
    from iqcli.records import Array, Flags


LOSSES = ("nll", "bce", "focal", "fidelity")
# Focus and balance of a loss that has them.
FOCUS_AND_BALANCE = {"focal": (2.0, 0.5), "fidelity": (2.0, 0.8)}
# Below it a probability's logarithm and root have no useful slope.
LEAST = 1e-8
EPOCHS, PATIENCE, BATCH = 300, 25, 64
RATE, DECAY = 3e-3, 0.1
# Share of the training rows that have a block hidden in an epoch, so that the flag is known.
HIDDEN = 0.03


@dataclass(frozen=True, slots=True)
class HexLoss:
    """Which loss, with its focus `gamma` >= 0 and its balance `alpha` in 0..1."""

    name: str
    gamma: float
    alpha: float

    @classmethod
    def of(cls, name: str, gamma: float | None, alpha: float | None) -> HexLoss:
        """Raises IqError for an unknown loss, and for values out of range."""
        if name not in LOSSES:
            raise IqError(f"there is no loss {name!r}; give one of {', '.join(LOSSES)}")
        if name not in FOCUS_AND_BALANCE and not (gamma is None and alpha is None):
            raise IqError(
                f"--gamma and --alpha belong to {' and '.join(FOCUS_AND_BALANCE)}; leave them out"
            )
        focus, balance = FOCUS_AND_BALANCE.get(name, (0.0, 0.5))
        focus, balance = focus if gamma is None else gamma, balance if alpha is None else alpha
        if not 0 <= focus <= 10:
            raise IqError(f"--gamma is {focus:g}; give 0 to 10")
        if not 0 < balance < 1:
            raise IqError(
                f"--alpha is {balance:g}, which would reward errors or pass over them; give more "
                "than 0 and less than 1"
            )
        return cls(name, focus, balance)

    def __call__(
        self, field: RandomField, logits: torch.Tensor, on: torch.Tensor, known: torch.Tensor
    ) -> torch.Tensor:
        """(n, nodes) logits, what is on (0, 1) and what is known (0, 1), to one number."""
        if self.name == "nll":
            return -field.log_likelihood(logits, on, known).mean()
        chances = field.marginals(logits)
        true = torch.where(on > 0, chances, 1 - chances).clamp(LEAST, 1)
        lost = 1 - true.sqrt() if self.name == "fidelity" else -true.log()
        if self.name in FOCUS_AND_BALANCE:
            balance = torch.where(on > 0, self.alpha, 1 - self.alpha)
            lost = balance * (1 - true + LEAST) ** self.gamma * lost
        total: torch.Tensor = (lost * known).sum() / known.sum().clamp(min=1)
        return total


class RandomField:
    """The conditional random field of a graph in torch, in double precision, with gradients."""

    def __init__(self, graph: Graph, device: str = "cpu") -> None:
        self.parts = [
            (torch.from_numpy(part.nodes).to(device), torch.from_numpy(part.states).to(device))
            for part in graph.components
        ]

    def marginals(self, logits: torch.Tensor) -> torch.Tensor:
        """(n, nodes) logits to the (n, nodes) probabilities that each node is on."""
        out = torch.zeros_like(logits, dtype=torch.float64)
        for nodes, states in self.parts:
            chances = torch.softmax(logits[:, nodes].double() @ states.T, dim=1) @ states
            out = out.index_copy(1, nodes, chances)
        return out

    def log_likelihood(
        self, logits: torch.Tensor, on: torch.Tensor, known: torch.Tensor
    ) -> torch.Tensor:
        """(n,) log probabilities of what is known of the (n, nodes)."""
        total = torch.zeros(len(logits), dtype=torch.float64, device=logits.device)
        for nodes, states in self.parts:
            scores = logits[:, nodes].double() @ states.T
            clash = known[:, nodes] * (1 - 2 * on[:, nodes])
            wrong = clash @ states.T + (known * on)[:, nodes].sum(dim=1, keepdim=True)
            fitting = scores.masked_fill(wrong > 0.5, float("-inf"))
            total = total + fitting.logsumexp(dim=1) - scores.logsumexp(dim=1)
        return total


@dataclass(frozen=True, eq=False)
class HexTrainingSet:
    """What to train a head on: (n, size) `blocks`, (n, labels) `levels`, (n,) `scenes`."""

    blocks: Mapping[str, Array]
    levels: Levels
    scenes: Sequence[str]

    @property
    def sizes(self) -> dict[str, int]:
        """Block -> length of its vectors."""
        return {name: values.shape[1] for name, values in self.blocks.items()}

    def of(self, rows: Flags) -> HexTrainingSet:
        """The photos for which `rows` (n,) is true."""
        return HexTrainingSet(
            {name: values[rows] for name, values in self.blocks.items()},
            self.levels[rows],
            [scene for scene, inside in zip(self.scenes, rows, strict=True) if inside],
        )

    def split(self) -> tuple[Flags, Flags]:
        """(n,) what to train on and what early stopping evaluates, by scenes."""
        stop = fold_of_scene(self.scenes) == 0
        return ~stop, stop


@dataclass(frozen=True, eq=False)
class HexFit:
    """The tensors of a fitted head, its own metadata, and the losses epoch by epoch."""

    tensors: dict[str, Array]
    info: dict[str, object]
    train_losses: list[float]
    stop_losses: list[float]


def fit(graph: Graph, data: HexTrainingSet, hidden: Sequence[int], loss: HexLoss) -> HexFit:
    """Train layers of these hidden sizes on the blocks; see the module."""
    torch.set_num_threads(1)  # small: more threads only wait for each other
    torch.manual_seed(SEED)
    train, stop = data.split()
    knots = {f"knots.{n}": quantile_knots(v[train]) for n, v in data.blocks.items()}
    x = torch.from_numpy(inputs_of(knots, data.blocks, data.sizes))
    on, known = (torch.from_numpy(each) for each in switches(graph, data.levels))
    field, network = RandomField(graph), _network([x.shape[1], *hidden, len(graph.nodes)])
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    rows, others = torch.from_numpy(np.flatnonzero(train)), torch.from_numpy(np.flatnonzero(stop))

    def epoch() -> float:
        total = 0.0
        for part in rows[torch.randperm(len(rows))].split(BATCH):
            value = loss(field, network(_hide(x[part], data.sizes)), on[part], known[part])
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
            total += value.item() * len(part)
        return total / len(rows)

    def error() -> float:
        return loss(field, network(x[others]), on[others], known[others]).item()

    train_losses, stop_losses = train_until_plateau(network, epoch, error, EPOCHS, PATIENCE)
    layers = [layer for layer in network if isinstance(layer, torch.nn.Linear)]
    tensors = dict(knots)
    for k, layer in enumerate(layers):
        tensors[f"layer.{k}.weight"] = layer.weight.detach().numpy()
        tensors[f"layer.{k}.bias"] = layer.bias.detach().numpy()
    return HexFit(tensors, {"kind": LAYERS, "hidden": [*hidden]}, train_losses, stop_losses)


def _network(widths: Sequence[int]) -> torch.nn.Sequential:
    """Linear layers with ReLU between; the last is 0 at first."""
    layers: list[torch.nn.Module] = []
    for columns, rows in pairwise(widths):
        layers += [torch.nn.Linear(columns, rows), torch.nn.ReLU()]
    last = layers[-2]
    assert isinstance(last, torch.nn.Linear)
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    return torch.nn.Sequential(*layers[:-1])


def _hide(x: torch.Tensor, sizes: Mapping[str, int]) -> torch.Tensor:
    """The inputs with some blocks of some rows taken away."""
    parts = x.split([size + 1 for size in sizes.values()], dim=1)
    return torch.cat([part * (torch.rand(len(part), 1) >= HIDDEN) for part in parts], dim=1)
