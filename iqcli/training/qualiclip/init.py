"""The initial towers of a QualiCLIP: a trained ResNet CLIP, or a tiny one drawn at random."""

from __future__ import annotations

import hashlib
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from iqcli.errors import IqError
from iqcli.extractors import clip_model
from iqcli.extractors import qualiclip as block
from iqcli.models.qualiclip import PROMPTS, checked_texts
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    import open_clip

    from iqcli.weights.store import WeightStore

TINY = "tiny"
TINY_CONFIG: dict[str, Any] = {
    "embed_dim": 1024,
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "head_width": 64},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 1, "layers": 1},
}
# The weight of the residual branches of a fresh tower.
BRANCH = 0.5


@dataclass(frozen=True)
class InitialClip:
    """Both towers (float32, on the CPU, without gradients), their open_clip config, and the texts
    (14, size), unit rows. `fresh` is whether the image tower is untrained.
    """

    name: str
    config: Mapping[str, Any]
    clip: open_clip.CLIP
    texts: torch.Tensor
    fresh: bool = False

    @property
    def fingerprint(self) -> str:
        """A digest of the first layer and the texts."""
        first = self.clip.visual.conv1.weight.detach().contiguous().numpy().tobytes()
        return hashlib.sha256(first + self.texts.numpy().tobytes()).hexdigest()[:16]


def initial_clip(name: str, seed: int, store: WeightStore) -> InitialClip:
    """The towers called `name`: `tiny` (drawn with `seed`), a row of the table of weights, or a
    file of an earlier training.

    Raises IqError for weights that are not here, and for a tower that is no ResNet.
    """
    if name == TINY:
        clip = _drawn(seed)
        return InitialClip(name, TINY_CONFIG, clip, _texts(clip), fresh=True)
    if name.endswith(".safetensors"):
        path = Path(name)
        config = block.tower_config(path)
        clip = clip_model.load_clip(config, path, "a QualiCLIP of this iq", "give another", "cpu")
        _check(clip, display_path(path))
        texts = torch.from_numpy(checked_texts(block.texts(path), config["embed_dim"], path))
        return InitialClip(display_path(path), config, clip, texts)
    clip = deepcopy(clip_model.tower(store, name, "cpu"))
    config = clip_model.config_of(store.row(name))
    _check(clip, name)
    return InitialClip(name, config, clip, _texts(clip))


def _check(clip: open_clip.CLIP, name: str) -> None:
    if not hasattr(clip.visual, "attnpool"):
        raise IqError(f"{name} is no ResNet, whose pictures may have any size; give clip-rn50")


def _texts(clip: open_clip.CLIP) -> torch.Tensor:
    return torch.from_numpy(clip_model.encode_texts(clip, PROMPTS))


def _drawn(seed: int) -> open_clip.CLIP:
    """A tiny CLIP; its first filters see edges, not colours, each with its opposite."""
    import open_clip

    torch.manual_seed(seed)
    clip = open_clip.CLIP(**TINY_CONFIG, quick_gelu=True)
    visual = clip.visual
    with torch.no_grad():
        filters = visual.conv1.weight
        filters -= filters.mean(dim=(2, 3), keepdim=True)
        filters /= filters.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        filters[len(filters) // 2 :] = -filters[: len(filters) // 2]
        for name, weight in visual.named_parameters():
            if name.startswith("layer") and name.endswith("bn3.weight"):
                weight.fill_(BRANCH)
    return clip.eval().requires_grad_(False)
