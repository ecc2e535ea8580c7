"""Train a QualiCLIP: a CLIP that orders distorted copies, without any opinion.

Agnolucci et al. 2024, arXiv 2403.11176; the authors released no training code. Two overlapping
crops of each photo are distorted alike at five rising levels. The cosines of a crop with the good
and with the bad texts shall be alike for the two crops of a level; the first shall fall and the
second rise with the level. Losses are means over all pairs where the paper's sums depend on their
number. The text tower stays as it is. One photo in six is held out (see `dataset.holdout_mask`):
the figures are of those.
"""

from __future__ import annotations

import json
import math
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import save
from torch.nn import functional

from iqcli.errors import IqError
from iqcli.extractors.base import autocast_type
from iqcli.extractors.clip import normalise
from iqcli.extractors.clip_model import COUNTER, PREFIX, embed_whole
from iqcli.extractors.qualiclip import FORMAT, TEXTS
from iqcli.training.dataset import holdout_mask
from iqcli.training.loop import half_cosine, train_steps
from iqcli.training.qualiclip.data import GROUPS, CropBatches
from iqcli.training.qualiclip.monitor import RankCorrelations, rank_correlations_by_group
from iqcli.training.run_state import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    import open_clip

    from iqcli.records import Pixels
    from iqcli.training.config import QualiclipConfig
    from iqcli.training.qualiclip.init import InitialClip
    from iqcli.training.run_state import RunFolder

    Say = Callable[[str], None]

# Steps whose crops give the statistics of the batch norms of a randomly drawn tower.
SCALED_BY = 8
# Steps whose crops are made before they are needed, a loader.
AHEAD = 3


@dataclass(frozen=True)
class TrainedClip:
    """The trained towers, and how they order ladders of the held-out photos, by group; `before`
    is how the initial tower did."""

    clip: open_clip.CLIP
    after: dict[str, RankCorrelations]
    before: dict[str, RankCorrelations]


def train_qualiclip(
    start: InitialClip,
    photos: Sequence[Path],
    left_out: str | None,
    config: QualiclipConfig,
    folder: RunFolder,
    device: str,
    say: Say,
) -> TrainedClip:
    """Train, or go on training, for `config.steps`. `left_out` is a group not trained on.

    Raises IqError for a photo that cannot be read, and where none would be held out.
    """
    train, holdout = split_photos(photos)
    dataset = CropBatches(
        train,
        [group for group in GROUPS if group != left_out],
        config.seed,
        config.photos,
        config.side,
        config.composed,
    )
    folder.open(
        {
            **asdict(config),
            "start": start.name,
            "start_known_by": start.fingerprint,
            "left_out": left_out,
            "photos_known_by": digest([path.name for path in photos]),
        }
    )
    clip = start.clip.to(device, memory_format=torch.channels_last)
    if start.fresh:
        _init_batchnorm(clip, dataset, device)
    before = deepcopy(clip)
    # A trained tower keeps the statistics of its batch norms; a fresh one has yet to find them, and
    # without those of the batch it would see no difference between any two pictures.
    clip.visual.train(start.fresh)
    texts, short = start.texts.to(device), autocast_type(device) if start.fresh else None
    averaged = train_steps(
        clip.visual,
        optimiser_of(clip, config),
        [lambda step: rate_factor(step, config)],
        lambda steps: batches(dataset, steps, config.loaders),
        lambda crops, step: backward(clip, texts, crops, config, device, short),
        config,
        folder,
        say,
        clip_norm=1.0,
    )
    clip.visual = averaged
    watched = holdout[: config.watched]
    say(f"evaluating on {len(watched)} of the photos held out")
    after, first = (
        rank_correlations_by_group(each, start.texts, watched, device) for each in (clip, before)
    )
    return TrainedClip(clip, after, first)


def split_photos(photos: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Photos to train on, and those held out. Raises IqError where either is empty."""
    holdout = holdout_mask([path.name for path in photos])
    if holdout.all() or not holdout.any():
        raise IqError("there are too few photos to hold some out; give more")
    train = [path for path, out in zip(photos, holdout, strict=True) if not out]
    return train, [path for path, out in zip(photos, holdout, strict=True) if out]


def weight_file(start: InitialClip, trained: TrainedClip, info: dict[str, Any]) -> bytes:
    """The file of a QualiCLIP, safetensors: `clip_model.*`, the texts, and the metadata."""
    tensors = {
        PREFIX + name: value.detach().cpu().contiguous()
        for name, value in trained.clip.state_dict().items()
        if not name.endswith(COUNTER)
    }
    figures = {"held": trained.after, "untrained": trained.before}
    metadata = {"format": FORMAT, "config": start.config, "start": start.name, **info, **figures}
    return save(tensors | {TEXTS: start.texts.contiguous()}, metadata={"iq": json.dumps(metadata)})


class LossParts(NamedTuple):
    """The three parts, each a number of at least 0 in units of a cosine."""

    consistency: torch.Tensor
    positive: torch.Tensor
    negative: torch.Tensor


def loss_parts(toward: torch.Tensor, away: torch.Tensor, slack: float, margin: float) -> LossParts:
    """The parts for cosines (photos, crops, levels, texts) with the good and with the bad texts.

    `slack` is what the two crops may differ by, m_c; `margin` is by how much each level must lose
    against every better one, m_r.
    """
    return LossParts(
        _apart(toward, slack) + _apart(away, slack),
        _out_of_order(toward, margin),
        _out_of_order(-away, margin),
    )


def _apart(cosines: torch.Tensor, slack: float) -> torch.Tensor:
    """Mean over photos, levels and texts of what the crops differ by beyond `slack`."""
    return functional.relu((cosines[:, 0] - cosines[:, 1]).abs() - slack).mean()


def _out_of_order(falling: torch.Tensor, margin: float) -> torch.Tensor:
    """Mean over photos, crops, texts and pairs of levels i < j of max(0, s_j - s_i + margin)."""
    levels = falling.shape[2]
    better, worse = torch.triu_indices(levels, levels, 1)
    return functional.relu(falling[:, :, worse] - falling[:, :, better] + margin).mean()


def batches(dataset: CropBatches, steps: range, loaders: int) -> Iterator[Pixels]:
    """The crops of each step, made by threads beside the training. Raises IqError as they do.

    Not by processes: one that a killed run leaves behind waits for ever to hand on its crops.
    """
    if not loaders:
        yield from map(dataset.__getitem__, steps)
        return
    pool = ThreadPoolExecutor(loaders)
    waiting: deque[Future[Pixels]] = deque()
    try:
        for step in steps:
            waiting.append(pool.submit(dataset.__getitem__, step))
            if len(waiting) > AHEAD * loaders:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


@torch.no_grad()
def _init_batchnorm(clip: open_clip.CLIP, dataset: CropBatches, device: str) -> None:
    """Give the batch norms of a fresh tower the statistics of some crops."""
    norms = [each for each in clip.visual.modules() if isinstance(each, torch.nn.BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all crops
    clip.visual.train()
    for step in range(SCALED_BY):
        crops = dataset[step]
        embed_whole(clip, normalise(crops.reshape(-1, *crops.shape[3:]), device))
    clip.visual.eval()
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum


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
    flat = normalise(crops.reshape(-1, *crops.shape[3:]), device)
    flat = flat.contiguous(memory_format=torch.channels_last)
    of = torch.device(device).type
    with torch.autocast(of, short or torch.bfloat16, enabled=short is not None):
        embedded = embed_whole(clip, flat)
    units = functional.normalize(embedded.float(), dim=-1)
    return (units @ texts.T).unflatten(0, crops.shape[:3])


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
        found = loss_parts(near[..., 0::2], near[..., 1::2], config.slack, config.margin)
        share = len(some) / len(crops)
        (weighted(found, config) * share).backward()
        for name, value in found._asdict().items():
            total[name] += float(value.detach()) * share
    return total


def weighted(parts: LossParts, config: QualiclipConfig) -> torch.Tensor:
    """The loss: the parts, each with its weight."""
    return (
        config.consistency_weight * parts.consistency
        + config.positive_weight * parts.positive
        + config.negative_weight * parts.negative
    )


def rate_factor(step: int, config: QualiclipConfig) -> float:
    """A ramp, then half a cosine down to nothing."""
    return half_cosine(step / config.steps) * min(1.0, (step + 1) / max(1, config.ramp))


def optimiser_of(clip: open_clip.CLIP, config: QualiclipConfig) -> torch.optim.AdamW:
    """All of the image tower learns but the positional embedding, which is not used."""
    visual = clip.visual
    visual.requires_grad_(True)
    visual.attnpool.positional_embedding.requires_grad_(False)
    learning = [each for each in visual.parameters() if each.requires_grad]
    return torch.optim.AdamW(learning, lr=config.rate, weight_decay=config.weight_decay)
