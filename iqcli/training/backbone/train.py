"""Train the backbone: from an ImageNet network to one that scores photos as people do.

Every step fine-tunes all layers at once on opinions (Huber error, correlation, order of pairs) and
on ladders of distorted copies, which need no opinion (margin ranking and the consistency of two
views, after QualiCLIP). Some scenes are held out of everything (see `dataset.holdout_mask`): on
those the run is monitored, and the models that build on the backbone are calibrated. The result is
the moving average of the weights. Losses are in points of 1..10.
"""

from __future__ import annotations

import json
import zlib
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
from iqcli.training.loop import half_cosine, train_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from torch import nn

    from iqcli.records import Array
    from iqcli.training.config import BackboneConfig
    from iqcli.training.run_state import RunFolder


# Pairs whose opinions differ by less than this need not be ordered.
CLEAR = 0.5
# One pristine picture in so many is only evaluated, and at most `MOST_WATCHED` of them: each is
# distorted 165 times at every evaluation.
WATCHED = 10
MOST_WATCHED = 24
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
    data: BackboneData,
    config: BackboneConfig,
    folder: RunFolder,
    device: str,
    say: Callable[[str], None],
) -> Backbone:
    """Train, or go on training, for `config.steps`; the averaged network on the CPU."""
    dataset, monitor_set = _split(data, config)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    _init_tap_scales(network, dataset, config, device)

    def backward(batch: Batch, step: int) -> dict[str, float]:
        torch.manual_seed(config.seed + step)
        return _backward(network.train(), batch, config, device)

    def monitor(averaged: nn.Module) -> dict[str, float]:
        assert isinstance(averaged, Backbone)
        found = evaluate(averaged, monitor_set, device)
        say(
            f"held out: SRCC {found.srcc:.3f}; ladders in order {found.ladders:.2f}, "
            f"least {found.worst:.2f} ({found.worst_name})"
        )
        return found.numbers()

    averaged = train_steps(
        network,
        _optimiser(network, config),
        [lambda step: _rates(step, config)[0], lambda step: _rates(step, config)[1]],
        lambda steps: _batches(dataset, steps, config),
        backward,
        config,
        folder,
        say,
        clip_norm=5.0,
        monitor=monitor,
    )
    assert isinstance(averaged, Backbone)
    return averaged.cpu()


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
    """Ladders (n, levels) of scores: each level must lose its cost against every lower one.

    The margin ranking of QualiCLIP with margins in proportion to the difference of `levels`
    (n, levels) times `costs` (n,), in points a level.
    """
    first, second = torch.triu_indices(levels.shape[1], levels.shape[1], 1)
    due = (levels[:, second] - levels[:, first]) * costs[:, None]
    return functional.relu(due - (scores[:, first] - scores[:, second])).mean()


def consistency_loss(first: torch.Tensor, second: torch.Tensor, slack: float) -> torch.Tensor:
    """Two views of one picture may differ by `slack` points."""
    return functional.relu((first - second).abs() - slack).mean()


def _split(data: BackboneData, config: BackboneConfig) -> tuple[BackboneBatches, MonitorSet]:
    """What to train on, and what to monitor. Raises IqError where nothing would be held out."""
    holdout = holdout_mask(data.scenes)
    if holdout.all() or not holdout.any():
        raise IqError("there are too few scenes to hold some out; give more photos")
    train, opinions = np.flatnonzero(~holdout), data.opinions
    watched = np.flatnonzero(holdout)[: config.watched_photos]
    liked = train[opinions[train] >= np.median(opinions[train])]
    outside = [zlib.crc32(path.name.encode()) % WATCHED == 0 for path in data.pristine]
    dataset = BackboneBatches(
        photos=[data.photos[k] for k in train.tolist()],
        opinions=opinions[train],
        liked=[data.photos[k] for k in liked.tolist()],
        pristine=[path for path, out in zip(data.pristine, outside, strict=True) if not out],
        seed=config.seed,
        size=config.photos,
        ladders=config.ladders,
        levels=config.levels,
    )
    pristine = [path for path, out in zip(data.pristine, outside, strict=True) if out]
    best = watched[np.argsort(-opinions[watched])[:4]]
    return dataset, MonitorSet(
        [data.photos[k] for k in watched.tolist()],
        opinions[watched],
        [*pristine[:MOST_WATCHED], *(data.photos[k] for k in best.tolist())],
    )


def _optimiser(network: Backbone, config: BackboneConfig) -> torch.optim.AdamW:
    heads = [*network.embed.parameters(), *network.score.parameters()]
    head_ids = {id(each) for each in heads}
    body = [each for each in network.parameters() if id(each) not in head_ids]
    groups = [
        {"params": body, "lr": config.body_rate},
        {"params": heads, "lr": config.head_rate},
    ]
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay)


def _rates(step: int, config: BackboneConfig) -> tuple[float, float]:
    """Factors of the rates of body and heads: heads alone, a ramp, then half a cosine."""
    ready = max(0, step - config.heads_alone)
    fall = half_cosine(ready / max(1, config.steps - config.heads_alone))
    return fall * min(1.0, ready / max(1, config.ramp)), fall


def _batches(dataset: BackboneBatches, steps: range, config: BackboneConfig) -> Iterator[Batch]:
    loader = DataLoader(
        SafeDataset(dataset),
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
def _init_tap_scales(
    network: Backbone, dataset: BackboneBatches, config: BackboneConfig, device: str
) -> None:
    """Give the network the mean and deviation that its taps have on photos."""
    found = []
    for k in range(max(1, SCALED_BY // config.photos)):
        views = torch.from_numpy(dataset[k].views[: config.photos]).flatten(0, 1)
        found += [network.taps(chunk.to(device)) for chunk in views.split(config.chunk)]
    taps = torch.cat(found)
    network.tap_mean.copy_(taps.mean(dim=0))
    network.tap_deviation.copy_(taps.std(dim=0).clamp(min=0.02))


def _backward(
    network: Backbone, batch: Batch, config: BackboneConfig, device: str
) -> dict[str, float]:
    """Add the gradients of a step; the parts of its loss."""
    logits = logits_of(network, batch.views, config.chunk, device)
    scores = points(torch.cat([logits.mean(dim=1, keepdim=True), logits], dim=1)).cpu()
    count = len(batch.opinions)
    opinions, levels, costs = (
        torch.from_numpy(each) for each in (batch.opinions, batch.levels, batch.costs)
    )
    ladders = scores[count:].unflatten(0, levels.shape)
    opinion, order = torch.zeros(()), torch.zeros(())
    for k, weight in enumerate((1.0, *[config.view_weight] * len(KINDS))):
        opinion = opinion + weight * opinion_loss(scores[:count, k], opinions)
        order = order + weight * ladder_loss(ladders[..., k], levels, costs)
    apart = consistency_loss(scores[count:, 1], scores[count:, 2], config.slack)
    loss = opinion + config.ladder_weight * order + config.consistency_weight * apart
    loss.backward()
    parts = {"opinion": opinion, "order": order, "apart": apart}
    return {name: float(value.detach()) for name, value in parts.items()}
