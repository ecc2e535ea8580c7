"""One step of the training of a QualiCLIP: from crops to gradients, and what moves the weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from iqcli.extractors.clip import normalised
from iqcli.extractors.clip_model import embed_whole
from iqcli.training.qualiclip.losses import losses

if TYPE_CHECKING:
    import open_clip

    from iqcli.records import Pixels
    from iqcli.training.qualiclip.losses import Losses
    from iqcli.training.qualiclip_config import QualiclipConfig


def cosines(
    clip: open_clip.CLIP,
    texts: torch.Tensor,
    crops: Pixels,
    device: str,
    short: torch.dtype | None = None,
) -> torch.Tensor:
    """(photos, crops, levels, side, side, 3) to cosines (photos, crops, levels, 14) in float32.

    The tower itself may compute in the `short` type.
    """
    flat = normalised(crops.reshape(-1, *crops.shape[3:]), device)
    flat = flat.contiguous(memory_format=torch.channels_last)
    of = torch.device(device).type
    with torch.autocast(of, short or torch.bfloat16, enabled=short is not None):
        seen = embed_whole(clip, flat)
    return (functional.normalize(seen.float(), dim=-1) @ texts.T).unflatten(0, crops.shape[:3])


def backward(
    clip: open_clip.CLIP,
    texts: torch.Tensor,
    crops: Pixels,
    config: QualiclipConfig,
    device: str,
    short: torch.dtype | None = None,
) -> dict[str, float]:
    """Add the gradients of a step, some photos at a time; the parts of its loss."""
    total = dict.fromkeys(("consistency", "positive", "negative"), 0.0)
    for some in np.array_split(crops, math.ceil(len(crops) / config.chunk)):
        near = cosines(clip, texts, some, device, short)
        found = losses(near[..., 0::2], near[..., 1::2], config.slack, config.margin)
        share = len(some) / len(crops)
        (weighted(found, config) * share).backward()
        for name, value in found._asdict().items():
            total[name] += float(value.detach()) * share
    return total


def weighted(parts: Losses, config: QualiclipConfig) -> torch.Tensor:
    """The loss: the parts, each with its weight."""
    return (
        config.consistency_weight * parts.consistency
        + config.positive_weight * parts.positive
        + config.negative_weight * parts.negative
    )


def rate(step: int, config: QualiclipConfig) -> float:
    """A ramp, then half a cosine down to nothing."""
    fall = 0.5 * (1 + math.cos(math.pi * step / config.steps))
    return config.rate * fall * min(1.0, (step + 1) / max(1, config.ramp))


def optimiser_of(clip: open_clip.CLIP, config: QualiclipConfig) -> torch.optim.AdamW:
    """All of the image tower learns but the positional embedding, which nothing looks at."""
    eye = clip.visual
    eye.requires_grad_(True)
    eye.attnpool.positional_embedding.requires_grad_(False)
    learning = [each for each in eye.parameters() if each.requires_grad]
    return torch.optim.AdamW(learning, lr=0.0, weight_decay=config.weight_decay)


@torch.no_grad()
def average(smooth: open_clip.CLIP, clip: open_clip.CLIP, kept: float) -> None:
    """Move the averaged image tower on; the statistics of batch norms with the weights."""
    now = clip.visual.state_dict()
    for name, mean in smooth.visual.state_dict().items():
        if mean.is_floating_point():
            mean.lerp_(now[name], 1 - kept)
