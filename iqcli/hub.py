"""The published fusion network for torch and the Hugging Face hub: to train on, keep and share.

Scoring needs none of it (see `iqcli.models.published_fusion`). Nothing here is downloaded: what
`from_pretrained` names is a folder, a file, or weights that `iq models pull` has put here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import nn

from iqcli import settings
from iqcli.errors import IqError
from iqcli.models import published_fusion
from iqcli.models.published_fusion import BRANCHES, EMBEDDING, HIDDEN, OUTPUT_RANGE, network_of
from iqcli.models.registry import HUB_ID, Registry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DROPOUT = 0.3
# How many parts each net has: linear layer, activation, dropout, and so on. The nets of single
# numbers end without dropout, the last one ends with its output.
LENGTHS = {"brisque_net": 5, "laion_net": 5, "clip_net": 6, "fusion_net": 7}


class FusionNetwork(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="iqcli",
    tags=["image-quality", "brisque", "clip", "fusion"],
    license="mit",
):
    """The network of `iqcli.models.published_fusion`, with dropout while it is trained.

    `save_pretrained` writes a folder that `from_pretrained`, here and of `ImageQualityFusion`,
    reads: `config.json` and `model.safetensors`. Raises IqError for sizes that make no network.
    """

    def __init__(
        self,
        clip_embed_dim: int = EMBEDDING,
        hidden_dim: int = HIDDEN,
        dropout: float = DROPOUT,
        output_range: Sequence[float] = OUTPUT_RANGE,
    ) -> None:
        super().__init__()
        low, high = output_range
        if hidden_dim % 4 or min(hidden_dim, clip_embed_dim) < 1 or not low < high:
            raise IqError(
                f"no network is {hidden_dim} wide, reads {clip_embed_dim} numbers and gives "
                f"{low} to {high}; give a width that is a multiple of 4, the lower end first"
            )
        self.output_range = (float(low), float(high))
        for name, layers in published_fusion.layer_shapes(hidden_dim, clip_embed_dim).items():
            parts: list[nn.Module] = []
            for outputs, inputs in layers.values():
                parts += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(dropout)]
            self.add_module(name, nn.Sequential(*parts[: LENGTHS[name]]))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, features: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """`brisque` (n,) and `laion` (n,) in 0..1 and `clip` (n, clip_embed_dim) to (n,) scores.

        `clip` as CLIP gives it, its length kept, in training and in scoring alike.
        """
        inputs = (features["brisque"][:, None], features["laion"][:, None], features["clip"])
        nets = map(self.get_submodule, BRANCHES)
        joined = torch.cat([net(x) for net, x in zip(nets, inputs, strict=True)], dim=1)
        low, high = self.output_range
        scores: torch.Tensor = low + (high - low) * torch.sigmoid(
            self.get_submodule("fusion_net")(joined)[:, 0]
        )
        return scores

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls, pretrained_model_name_or_path: str | Path, *, dropout: float = DROPOUT
    ) -> FusionNetwork:
        """The network of a folder or file, or of the published id once it is pulled; in eval mode.

        Raises IqError where there is none, or where a tensor is missing, left over or strange.
        """
        given = str(pretrained_model_name_or_path)
        if given in (HUB_ID, published_fusion.WEIGHTS) and not Path(given).exists():
            weights = Registry.of(settings.load({}, None)).weights
            found = published_fusion.pulled(weights)
        else:
            found = network_of(Path(given))
        network = cls(found.embedding, found.hidden, dropout, list(found.output_range))
        network.load_state_dict({k: torch.tensor(v) for k, v in found.tensors.items()})
        return network.eval()
