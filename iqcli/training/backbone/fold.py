"""The weight file of a trained backbone: the network as the block `mini` runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save

from iqcli.extractors.schema import FORMAT
from iqcli.training.backbone.quality_network import Convolution

if TYPE_CHECKING:
    from iqcli.training.backbone.quality_network import QualityNetwork

# What of the heads the block reads: the scales of the taps, and what each view alone says. What
# joins the views, and the doubt, are learnt anew by the head that is fitted on the block.
HEADS = ("whole_mean", "whole_deviation", "parts_mean", "parts_deviation", "embed.", "score.")


def weight_file(network: QualityNetwork, info: dict[str, Any]) -> bytes:
    """The file, safetensors.

    What may run in bfloat16 is stored in it: rounded anew at every run it would move all places of
    a map the same way; what is left, the rounding of the maps, averages out.
    """
    tensors = {
        name: (value.to(torch.bfloat16) if is_short(name) else value).contiguous()
        for name, value in folded(network).items()
    }
    return save(tensors, metadata={"iq": json.dumps({"format": FORMAT, **info})})


def folded(network: QualityNetwork) -> dict[str, torch.Tensor]:
    """`stem`, `stages.I.J.{widen,filter,narrow}` and `last`, each with weight and bias and the
    gains in them; and the tensors of `HEADS`, where 0 is the whole and 1 are its parts."""
    state = network.state_dict()
    found = {name: value for name, value in state.items() if name.startswith(HEADS)}
    for name, layer in network.trunk.named_modules():
        if isinstance(layer, Convolution):
            found[f"{name}.weight"] = layer.folded().detach()
            found[f"{name}.bias"] = layer.bias.detach()
    return found


def is_short(name: str) -> bool:
    """Whether the tensor of that name may run in bfloat16: all but the first maps and the heads."""
    return name.startswith(("stages.", "last.")) and not name.startswith("stages.0.")
