"""Train the backbone: from an ImageNet network to one that scores photos as people do.

Every step fine-tunes all layers on photos with opinions, on photos of one scene of which one was
preferred, and on groups of versions of good pictures (see `groups`). It computes in bfloat16 where
the device has it; half of the steps keep the first maps in float32, and some compare their scores
with those in float32, so that short numbers do not move what it learns. The rate is constant until
the last `fall` steps, so that the end may be put off or brought forward; the result is the moving
average of the weights. Some scenes are held out of everything (see `dataset.holdout_mask`).

On a CPU a resumed run ends bit for bit as one that was never stopped, whatever the threads.
"""

from __future__ import annotations

import contextlib
import math
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from iqcli.extractors.base import autocast_type
from iqcli.training.backbone.data import BackboneBatches
from iqcli.training.backbone.group_bank import GroupBank
from iqcli.training.backbone.groups import SHOWN, shown_kind
from iqcli.training.backbone.losses import (
    doubt_loss,
    group_loss,
    opinion_loss,
    order_losses,
    pairs_loss,
)
from iqcli.training.backbone.monitor import MonitorBank, Scorer, evaluate
from iqcli.training.backbone.quality_network import QualityNetwork, points
from iqcli.training.loop import half_cosine, train_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from iqcli.records import Pixels
    from iqcli.training.backbone.data import BackboneData, Batch
    from iqcli.training.config import BackboneConfig
    from iqcli.training.run_state import RunFolder

    Taps = tuple[torch.Tensor, torch.Tensor]

# Pictures whose taps give the scales of the taps.
SCALED_BY = 160
# Pictures whose scores in bfloat16 and in float32 are compared in a step.
COMPARED = 4


def train_network(
    network: QualityNetwork,
    data: BackboneData,
    config: BackboneConfig,
    folder: RunFolder,
    device: str,
    say: Callable[[str], None],
) -> QualityNetwork:
    """Train, or go on training, for `config.steps`; the averaged network on the CPU."""
    with _threads(config) as workers:
        bank = GroupBank(
            folder.path / "groups",
            config.shards,
            config.shard,
            config.refresh,
            config.seed,
            workers,
            data.draw,
        )
        step = _Step(config, device, workers)
        dataset = BackboneBatches(data, bank, config)
        network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if not folder.has_state:
            bank.prepare(0, say)
            _init_tap_scales(network, dataset, device)
        watched = MonitorBank.open(folder.path / "watched", data, say)

        def batches(steps: range) -> Iterator[Batch]:
            for k in steps:
                bank.prepare(k, say)
                yield dataset[k]

        def monitor(averaged: nn.Module) -> dict[str, float]:
            assert isinstance(averaged, QualityNetwork)
            found = evaluate(Scorer(averaged, device, workers), data, watched)
            say(
                f"held out: SRCC {found['srcc']:.3f}; ladders in order {found['ladders']:.2f}, "
                f"least {found['ladders_least']:.2f}"
            )
            return found

        averaged = train_steps(
            network,
            _optimiser(network, config),
            [
                lambda k: _rate(k, config) * float(k >= config.heads_alone),
                lambda k: _rate(k, config),
            ],
            batches,
            lambda batch, k: step.backward(network.train(), batch, k),
            config,
            folder,
            say,
            clip_norm=5.0,
            monitor=monitor,
        )
    assert isinstance(averaged, QualityNetwork)
    return averaged.cpu()


@contextlib.contextmanager
def _threads(config: BackboneConfig) -> Iterator[int]:
    """The number of workers; each computes with one thread of its own.

    To share every single layer out takes longer where others use the cores as well, since the
    slower part is always waited for.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield config.workers or before
    finally:
        torch.set_num_threads(before)


def _rate(step: int, config: BackboneConfig) -> float:
    """A ramp after the heads are ready, a constant, then half a cosine."""
    ready = max(0, step - config.heads_alone)
    ramp = min(1.0, (ready + 1) / config.ramp) if ready else 1.0
    left = config.steps - step
    return ramp * (1.0 if left >= config.fall else half_cosine(1 - left / config.fall))


def _optimiser(network: QualityNetwork, config: BackboneConfig) -> torch.optim.AdamW:
    body = list(network.trunk.parameters())
    ids = {id(each) for each in body}
    heads = [each for each in network.parameters() if id(each) not in ids]
    groups = [
        {"params": body, "lr": config.body_rate},
        {"params": heads, "lr": config.head_rate},
    ]
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay)


class _Step:
    """One step: the gradients of a batch."""

    def __init__(self, config: BackboneConfig, device: str, workers: int) -> None:
        self.config, self.device, self.workers = config, device, workers
        self.short = autocast_type(device)
        self.kind = torch.device(device).type

    def backward(self, network: QualityNetwork, batch: Batch, step: int) -> dict[str, float]:
        """Add the gradients of a step; the parts of its loss."""
        config = self.config
        torch.manual_seed(config.seed + step)
        taps, trunk_backward = self._taps(network, batch.views, long_start=step % 2 == 0)
        found, doubts = network.read(*taps)
        logits, doubts = found.cpu(), doubts.cpu()
        loss, parts = self._loss(points(logits), doubts, batch)
        loss.backward()
        if step >= config.heads_alone:
            trunk_backward()
        parts["short"] = math.nan
        if self.short is not None and (step + 1) % config.short_every == 0:
            parts["short"] = self._short_backward(network, batch.views, step)
        return parts

    def _loss(
        self, scores: torch.Tensor, doubts: torch.Tensor, batch: Batch
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """Of scores (n, 3) and log deviations (n,); and its parts, the order by kind of group."""
        config, photos = self.config, len(batch.opinions)
        paired = photos + 2 * len(batch.gaps)
        opinions, gaps, margins, slacks = (
            torch.from_numpy(each)
            for each in (batch.opinions, batch.gaps, batch.margins, batch.slacks)
        )
        pairs = scores[photos:paired].unflatten(0, (-1, 2))
        versions = scores[paired:].unflatten(0, margins.shape[:2])
        opinion, order, apart, paired_loss = (torch.zeros(()) for _ in range(4))
        for k, weight in enumerate((1.0, config.view_weight, config.view_weight)):
            opinion = opinion + weight * opinion_loss(scores[:photos, k], opinions)
            # A distortion may be seen in one of the views alone: both together must show it.
            missing = group_loss(versions[..., k], margins, slacks)
            order = order + weight * missing[0]
            apart = apart + weight * missing[1]
            paired_loss = paired_loss + weight * pairs_loss(pairs[:, 0, k], pairs[:, 1, k], gaps)
        doubt = doubt_loss(scores[:photos, 0], doubts[:photos], opinions)
        loss = (
            opinion
            + config.order_weight * order
            + config.apart_weight * apart
            + config.pairs_weight * paired_loss
            + config.doubt_weight * doubt
        )
        parts = {
            "opinion": opinion,
            "order": order,
            "apart": apart,
            "pairs": paired_loss,
            "doubt": doubt,
        }
        kinds = [shown_kind(each) for each in batch.kinds]
        by_kind = order_losses(versions[..., 0], margins, kinds)
        return loss, {
            **{name: float(value.detach()) for name, value in parts.items()},
            **{f"order_{kind}": by_kind.get(kind, math.nan) for kind in (*SHOWN, "other")},
        }

    def _taps(
        self, network: QualityNetwork, views: Pixels, *, long_start: bool
    ) -> tuple[Taps, Callable[[], None]]:
        """The taps of all pictures, and a function that hands their gradients to the trunk.

        Each worker computes some of the pictures. Gradients are added in the order of the pictures,
        whichever worker is first.
        """
        chunks = np.array_split(views, -(-len(views) // self.config.chunk))
        weights = list(network.trunk.parameters())

        def forward(chunk: Pixels) -> Taps:
            given = torch.from_numpy(np.ascontiguousarray(chunk)).to(self.device)
            with self._autocast():
                found: Taps = network.trunk.taps(given, long_start=long_start)
            return found

        def gradients(task: tuple[Taps, Taps]) -> Sequence[torch.Tensor]:
            return torch.autograd.grad(task[0], weights, task[1])

        with ThreadPoolExecutor(self.workers) as pool:
            parts = list(pool.map(forward, chunks))
        sizes = [len(chunk) for chunk in chunks]
        whole, mosaic = (
            torch.cat([part[k].detach() for part in parts]).requires_grad_() for k in range(2)
        )

        def backward() -> None:
            assert whole.grad is not None
            assert mosaic.grad is not None
            slopes = zip(whole.grad.split(sizes), mosaic.grad.split(sizes), strict=True)
            with ThreadPoolExecutor(self.workers) as pool:
                for found in pool.map(gradients, zip(parts, slopes, strict=True)):
                    _add(weights, found)

        return (whole, mosaic), backward

    def _short_backward(self, network: QualityNetwork, views: Pixels, step: int) -> float:
        """Add the gradients of how far bfloat16 moves the scores of a few pictures; that distance,
        in points."""
        random = np.random.default_rng([self.config.seed, 9, step])
        rows = random.choice(len(views), min(COMPARED, len(views)), replace=False)
        some = torch.from_numpy(np.ascontiguousarray(views[rows])).to(self.device)
        network.eval()
        with torch.no_grad():
            exact = points(network(some)[0])
        with self._autocast():
            moved = points(network(some)[0])
        network.train()
        apart = functional.l1_loss(moved, exact)
        (self.config.short_weight * apart).backward()
        return float(apart.detach())

    def _autocast(self) -> Any:
        return torch.autocast(
            self.kind, self.short or torch.bfloat16, enabled=self.short is not None
        )


def _add(weights: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor]) -> None:
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.grad = gradient if weight.grad is None else weight.grad.add_(gradient)


@torch.no_grad()
def _init_tap_scales(network: QualityNetwork, dataset: BackboneBatches, device: str) -> None:
    """Give the network the mean and deviation that its taps have on photos and on versions."""
    found: list[Taps] = []
    for step in range(dataset.config.refresh):  # as long as the bank stays as it is
        views = torch.from_numpy(np.ascontiguousarray(dataset[step].views))
        found += [network.trunk.taps(part.to(device)) for part in views.split(dataset.config.chunk)]
        if sum(len(whole) for whole, _ in found) >= SCALED_BY:
            break
    network.scale_taps((torch.cat([w for w, _ in found]), torch.cat([p for _, p in found])))
    # Scores begin at 6.6, about where opinions lie.
    for score in network.score:
        assert isinstance(score, nn.Linear)
        score.bias.fill_(0.5)
