"""Train the backbone: from an ImageNet network to one that judges photos as people do.

Every step fine-tunes all layers at once on opinions (Huber error, correlation, order of pairs) and
on ladders of spoilt copies, which need no opinion (margin ranking and the consistency of two views,
after QualiCLIP). Some scenes are left out of everything (see `dataset.holdout_mask`): on those the
run is monitored, and the models that build on the backbone are calibrated. What is kept is the
moving average of the weights.

What the backbone is told is wrong with its scores, in points of 1..10.
"""

from __future__ import annotations

import json
import math
import time
import zlib
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save
from torch.nn import functional
from torch.utils.data import DataLoader

from iqcli.errors import IqError
from iqcli.extractors.backbone import Backbone, is_short
from iqcli.extractors.schema import FORMAT, KINDS
from iqcli.training.backbone.data import BackboneBatches, Batch, SafeDataset
from iqcli.training.backbone.monitor import MonitorSet, evaluate, logits_of, points
from iqcli.training.dataset import holdout_mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from iqcli.records import Array
    from iqcli.training.config import BackboneConfig
    from iqcli.training.run_state import RunFolder


# Pairs that people told apart by less than this need not be told apart.
CLEAR = 0.5


def opinion_loss(scores: torch.Tensor, opinions: torch.Tensor) -> torch.Tensor:
    """(n,) scores against (n,) opinions: Huber error, missing correlation, pairs out of order."""
    error = functional.huber_loss(scores, opinions)
    centred, wanted = scores - scores.mean(), opinions - opinions.mean()
    together = (centred * wanted).mean()
    correlation = together / (centred.square().mean() * wanted.square().mean() + 1e-4).sqrt()
    return error + (1 - correlation) + _pair_loss(scores, opinions)


def _pair_loss(scores: torch.Tensor, opinions: torch.Tensor) -> torch.Tensor:
    gap = opinions[:, None] - opinions
    lead = scores[:, None] - scores
    clear = gap > CLEAR
    missing = functional.relu(CLEAR - lead) * clear
    return missing.sum() / clear.sum().clamp(min=1)


def ladder_loss(scores: torch.Tensor, levels: torch.Tensor, costs: torch.Tensor) -> torch.Tensor:
    """Ladders (n, rungs) of scores: each rung must lose its cost against every one above it.

    The margin ranking of QualiCLIP with margins in proportion to the difference of `levels`
    (n, rungs) times `costs` (n,), in points a level.
    """
    first, second = torch.triu_indices(levels.shape[1], levels.shape[1], 1)
    due = (levels[:, second] - levels[:, first]) * costs[:, None]
    return functional.relu(due - (scores[:, first] - scores[:, second])).mean()


def consistency_loss(first: torch.Tensor, second: torch.Tensor, slack: float) -> torch.Tensor:
    """Two views of one picture may differ by `slack` points."""
    return functional.relu((first - second).abs() - slack).mean()


# One pristine picture in so many is only looked at.
WATCHED = 10
# Of these at most so many: each is spoilt 165 times at every look.
MOST = 24
# Photos whose taps give the scales of the taps.
SCALED_BY = 192


@dataclass(frozen=True)
class BackboneData:
    """What there is to learn from; `scenes` (n,) name near duplicates."""

    photos: Sequence[Path]
    opinions: Array
    scenes: Sequence[str]
    pristine: Sequence[Path]


def train_network(
    network: Backbone,
    material: BackboneData,
    config: BackboneConfig,
    folder: RunFolder,
    device: str,
    say: Callable[[str], None],
) -> Backbone:
    """Train, or go on training, for `config.steps`; the averaged network on the CPU."""
    held = holdout_mask(material.scenes)
    lessons, watch = _split(material, held, config)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    smooth = deepcopy(network).eval()
    optimiser = _optimiser(network, config)
    done = folder.load(network, smooth, optimiser)
    if done:
        say(f"going on after step {done:,} of {config.steps:,}")
    else:
        _standardise(network, lessons, config, device)
        smooth.load_state_dict(network.state_dict())
    began, shown_at = time.monotonic(), 0.0
    steps = range(done, config.steps)
    for step, batch in zip(steps, _batches(lessons, steps, config), strict=True):
        losses = _step(network, optimiser, batch, step, config, device)
        _average(smooth, network, min(config.average, (step + 1) / (step + 10)))
        now = time.monotonic()
        if now - shown_at > 30 or step + 1 == config.steps:
            shown_at = now
            left = (now - began) / (step + 1 - done) * (config.steps - step - 1)
            told = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
            say(f"step {step + 1:,} of {config.steps:,}: {told}; {_span(left)} left")
        if (step + 1) % config.save_every == 0 or step + 1 == config.steps:
            folder.save(step + 1, network, smooth, optimiser)
        if (step + 1) % config.watch_every == 0 or step + 1 == config.steps:
            seen = evaluate(smooth, watch, device)
            folder.note({"step": step + 1, **losses, **seen.numbers()})
            say(
                f"held out: SRCC {seen.srcc:.3f}; ladders in order {seen.ladders:.2f}, "
                f"least {seen.worst:.2f} ({seen.worst_name})"
            )
    return smooth.cpu()


def weight_file(network: Backbone, info: dict[str, Any]) -> bytes:
    """The file of a trained backbone, safetensors.

    What may run in bfloat16 is stored in it: rounded anew at every run it would move all places of
    a map the same way, and scores by up to a sixth of a point; what is left, the rounding of the
    maps, averages out.
    """
    tensors = {
        name: (value.to(torch.bfloat16) if is_short(name) else value).contiguous()
        for name, value in network.state_dict().items()
    }
    return save(tensors, metadata={"iq": json.dumps({"format": FORMAT, **info})})


def _split(
    material: BackboneData, held: NDArray[np.bool_], config: BackboneConfig
) -> tuple[BackboneBatches, MonitorSet]:
    if held.all() or not held.any():
        raise IqError("there are too few scenes to hold some out; give more photos")
    taught, opinions = np.flatnonzero(~held), material.opinions
    watched = np.flatnonzero(held)[: config.watched_photos]
    liked = taught[opinions[taught] >= np.median(opinions[taught])]
    names = [zlib.crc32(path.name.encode()) % WATCHED == 0 for path in material.pristine]
    lessons = BackboneBatches(
        photos=[material.photos[k] for k in taught.tolist()],
        opinions=opinions[taught],
        liked=[material.photos[k] for k in liked.tolist()],
        pristine=[path for path, out in zip(material.pristine, names, strict=True) if not out],
        seed=config.seed,
        size=config.photos,
        ladders=config.ladders,
        rungs=config.rungs,
    )
    outside = [path for path, out in zip(material.pristine, names, strict=True) if out][:MOST]
    good = watched[np.argsort(-opinions[watched])[:4]]
    return lessons, MonitorSet(
        [material.photos[k] for k in watched.tolist()],
        opinions[watched],
        [*outside, *(material.photos[k] for k in good.tolist())],
    )


def _optimiser(network: Backbone, config: BackboneConfig) -> torch.optim.AdamW:
    heads = [*network.embed.parameters(), *network.score.parameters()]
    own = {id(each) for each in heads}
    body = [each for each in network.parameters() if id(each) not in own]
    groups = [{"params": body, "lr": 0.0}, {"params": heads, "lr": 0.0}]
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay)


def _batches(lessons: BackboneBatches, steps: range, config: BackboneConfig) -> Iterator[Batch]:
    loader = DataLoader(
        SafeDataset(lessons),
        batch_size=None,
        sampler=steps,
        num_workers=config.loaders,
        prefetch_factor=4 if config.loaders else None,
        collate_fn=_as_it_is,
    )
    for batch in loader:
        if isinstance(batch, IqError):
            raise batch
        yield batch


def _as_it_is(batch: Any) -> Any:
    return batch


@torch.no_grad()
def _standardise(
    network: Backbone, lessons: BackboneBatches, config: BackboneConfig, device: str
) -> None:
    """Give the network the mean and deviation that its taps have on photos."""
    found = []
    for k in range(max(1, SCALED_BY // config.photos)):
        views = torch.from_numpy(lessons[k].views[: config.photos]).flatten(0, 1)
        found += [network.taps(chunk.to(device)) for chunk in views.split(config.chunk)]
    taps = torch.cat(found)
    network.tap_mean.copy_(taps.mean(dim=0))
    network.tap_deviation.copy_(taps.std(dim=0).clamp(min=0.02))


def _step(
    network: Backbone,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    step: int,
    config: BackboneConfig,
    device: str,
) -> dict[str, float]:
    for group, rate in zip(optimiser.param_groups, _rates(step, config), strict=True):
        group["lr"] = rate
    torch.manual_seed(config.seed + step)
    logits = logits_of(network.train(), batch.views, config.chunk, device)
    scores = points(torch.cat([logits.mean(dim=1, keepdim=True), logits], dim=1)).cpu()
    count = len(batch.opinions)
    wanted, levels, costs = (
        torch.from_numpy(each) for each in (batch.opinions, batch.levels, batch.costs)
    )
    weights = (1.0, *[config.view_weight] * len(KINDS))
    rungs = scores[count:].unflatten(0, levels.shape)
    opinion, order = torch.zeros(()), torch.zeros(())
    for k, weight in enumerate(weights):
        opinion = opinion + weight * opinion_loss(scores[:count, k], wanted)
        order = order + weight * ladder_loss(rungs[..., k], levels, costs)
    apart = consistency_loss(scores[count:, 1], scores[count:, 2], config.slack)
    loss = opinion + config.ladder_weight * order + config.consistency_weight * apart
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimiser.step()
    parts = {"opinion": opinion, "order": order, "apart": apart}
    return {name: float(value.detach()) for name, value in parts.items()}


def _rates(step: int, config: BackboneConfig) -> tuple[float, float]:
    """Rates of the body and of the heads: heads alone, a ramp, then half a cosine."""
    ready = step - config.heads_alone
    rest = max(1, config.steps - config.heads_alone)
    fall = 0.5 * (1 + math.cos(math.pi * max(0, ready) / rest))
    body = config.body_rate * fall * min(1.0, max(0, ready) / max(1, config.ramp))
    return body, config.head_rate * fall


@torch.no_grad()
def _average(smooth: Backbone, network: Backbone, kept: float) -> None:
    for mean, value in zip(smooth.parameters(), network.parameters(), strict=True):
        mean.lerp_(value, 1 - kept)


def _span(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
