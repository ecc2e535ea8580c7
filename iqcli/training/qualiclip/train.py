"""Train a QualiCLIP: a CLIP that orders spoilt copies, without any opinion (arXiv 2403.11176).

Its authors released no training. Two overlapping crops of each photo are spoilt alike at five
rising levels; the image tower learns that the crops of a level agree and that each level is further
from the good texts and nearer to the bad ones than the one before. The text tower stays as it is.
One photo in six is left out (see `dataset.holdout_mask`): the figures are of those.

One step of the training of a QualiCLIP: from crops to gradients, and what moves the weights.

What QualiCLIP is told is wrong with its cosines (Agnolucci et al. 2024, arXiv 2403.11176).

Of every photo there are two crops, each at rising levels of the same distortion. The cosines with a
good and with a bad text shall be alike for the two crops of a level; the one shall fall and the
other rise with the level. Means over all pairs stand where the paper's sums depend on their number.
"""

from __future__ import annotations

import json
import math
import time
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
from iqcli.extractors.clip import normalised
from iqcli.extractors.clip_model import COUNTER, PREFIX, embed_whole
from iqcli.extractors.qualiclip import FORMAT, TEXTS
from iqcli.training.dataset import holdout_mask
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


class LossParts(NamedTuple):
    """The three parts, each a number of at least 0 in units of a cosine."""

    consistency: torch.Tensor
    positive: torch.Tensor
    negative: torch.Tensor


def loss_parts(toward: torch.Tensor, away: torch.Tensor, slack: float, margin: float) -> LossParts:
    """The parts for cosines (photos, crops, levels, texts) with the good and with the bad texts.

    Levels only get worse. `slack` is what the two crops may differ by, m_c; `margin` is by how much
    each level must lose against every better one, m_r.
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


# Steps by which a fresh tower learns the scales of its own layers.
SCALED_BY = 8
# Steps whose crops are made before they are needed, a loader.
AHEAD = 3


@dataclass(frozen=True)
class TrainedClip:
    """The finished towers, and how they order ladders of the held-out photos, by group; `before`
    is how the start did."""

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
    """Train, or go on training, for `config.steps`. `left_out` is a group that teaches nothing.

    Raises IqError for a photo that cannot be read, and where none would be held out.
    """
    taught, held = split_photos(photos)
    lessons = CropBatches(
        taught,
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
            "start_known_by": start.known_by,
            "left_out": left_out,
            "photos_known_by": digest([path.name for path in photos]),
        }
    )
    clip = start.clip.to(device, memory_format=torch.channels_last)
    if start.fresh:
        _standardise(clip, lessons, device)
    before = deepcopy(clip)
    trained = _learn(start, clip, lessons, config, folder, device, say)
    watched = held[: config.watched]
    say(f"looking at {len(watched)} of the photos that taught nothing")
    texts = start.texts
    return TrainedClip(
        trained,
        rank_correlations_by_group(trained, texts, watched, device),
        rank_correlations_by_group(before, texts, watched, device),
    )


def split_photos(photos: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Photos to learn from, and those that only measure. Raises IqError where either is empty."""
    out = holdout_mask([path.name for path in photos])
    if out.all() or not out.any():
        raise IqError("there are too few photos to hold some out; give more")
    taught = [path for path, held in zip(photos, out, strict=True) if not held]
    return taught, [path for path, held in zip(photos, out, strict=True) if held]


def weight_file(start: InitialClip, trained: TrainedClip, info: dict[str, Any]) -> bytes:
    """The file of a QualiCLIP, safetensors: `clip_model.*`, the texts, and our account."""
    tensors = {
        PREFIX + name: value.detach().cpu().contiguous()
        for name, value in trained.clip.state_dict().items()
        if not name.endswith(COUNTER)
    }
    figures = {"held": trained.after, "untrained": trained.before}
    told = {"format": FORMAT, "config": start.config, "start": start.name, **info, **figures}
    return save(tensors | {TEXTS: start.texts.contiguous()}, metadata={"iq": json.dumps(told)})


def _learn(
    start: InitialClip,
    clip: open_clip.CLIP,
    lessons: CropBatches,
    config: QualiclipConfig,
    folder: RunFolder,
    device: str,
    say: Say,
) -> open_clip.CLIP:
    """The towers with the averaged image tower."""
    smooth = deepcopy(clip).eval()
    eye = clip.visual
    optimiser = optimiser_of(clip, config)
    done = folder.load(eye, smooth.visual, optimiser)
    if done:
        say(f"going on after step {done:,} of {config.steps:,}")
    # A tower that has learnt keeps the statistics of its batch norms; a fresh one has yet to find
    # them, and without those of the batch it would see no difference between any two pictures.
    eye.train(start.fresh)
    texts, short = start.texts.to(device), autocast_type(device) if start.fresh else None
    began, shown_at = time.monotonic(), 0.0
    steps = range(done, config.steps)
    for step, crops in zip(steps, batches(lessons, steps, config.loaders), strict=True):
        for group in optimiser.param_groups:
            group["lr"] = rate(step, config)
        optimiser.zero_grad()
        parts = backward(clip, texts, crops, config, device, short)
        torch.nn.utils.clip_grad_norm_(eye.parameters(), 1.0)
        optimiser.step()
        average(smooth, clip, min(config.average, (step + 1) / (step + 10)))
        last, now = step + 1 == config.steps, time.monotonic()
        if last or now - shown_at > 30:
            shown_at = now
            left = (now - began) / (step + 1 - done) * (config.steps - step - 1) / 60
            told = ", ".join(f"{name} {value:.4f}" for name, value in parts.items())
            say(f"step {step + 1:,} of {config.steps:,}: {told}; {left:.0f} min left")
        if last or (step + 1) % config.save_every == 0:
            folder.save(step + 1, eye, smooth.visual, optimiser)
        if last or (step + 1) % config.watch_every == 0:
            folder.note({"step": step + 1, **parts})
    return smooth


def batches(lessons: CropBatches, steps: range, loaders: int) -> Iterator[Pixels]:
    """The crops of each step, made by threads beside the training. Raises IqError as they do.

    Not by processes: one that is left behind by a killed run waits for ever to hand on its crops.
    """
    if not loaders:
        yield from map(lessons.__getitem__, steps)
        return
    pool = ThreadPoolExecutor(loaders)
    waiting: deque[Future[Pixels]] = deque()
    try:
        for step in steps:
            waiting.append(pool.submit(lessons.__getitem__, step))
            if len(waiting) > AHEAD * loaders:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


@torch.no_grad()
def _standardise(clip: open_clip.CLIP, lessons: CropBatches, device: str) -> None:
    """Give the batch norms of a fresh tower the statistics of some crops."""
    norms = [each for each in clip.visual.modules() if isinstance(each, torch.nn.BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all that is seen
    clip.visual.train()
    for step in range(SCALED_BY):
        crops = lessons[step]
        embed_whole(clip, normalised(crops.reshape(-1, *crops.shape[3:]), device))
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
