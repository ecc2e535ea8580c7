"""The long training of the network, in steps that may be stopped and resumed at any moment.

Every step fine-tunes all layers on photos with opinions, on photos of one scene of which one was
preferred, and on groups of versions of good pictures (see `groups`). It computes in bfloat16; half
of the steps keep the first maps in float32, and some compare their scores with those in float32, so
that short numbers do not move what it learns. The rate is constant until the last `fall` steps,
so that the end may be put off or brought forward; the result is the moving average of the weights.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from iqcli.extractors.base import autocast_type
from iqcli.training.config import TrainConfig
from iqcli.training.lite.losses import doubt_loss, group_loss, mates_loss, opinion_loss
from iqcli.training.lite.monitor import MonitorBank, evaluate
from iqcli.training.lite.network import Judge, points
from iqcli.training.lite.views import draw_framing, views_of
from iqcli.training.loop import half_cosine, train_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from iqcli.records import Array, Pixels
    from iqcli.training.lite.bank import GroupBank
    from iqcli.training.lite.sources import Sources
    from iqcli.training.run_state import RunFolder

VIEW_WEIGHT = 0.5
# Photos whose taps give the scales of the taps.
SCALED_BY = 160
# Plain frames score 1; one step in so many has one.
BLANK_EVERY = 3


@dataclass(frozen=True)
class LiteConfig(TrainConfig):
    """Settings of a long training; `photos` a step, `mates` pairs of one scene, `groups` of four.

    The rate falls over the last `fall` of `steps`. `refresh` steps apart, a shard of the bank is
    made anew.
    """

    steps: int = 9000
    photos: int = 18
    mates: int = 1
    groups: int = 4
    chunk: int = 4
    workers: int = 2
    heads_alone: int = 100
    ramp: int = 150
    fall: int = 2500
    body_rate: float = 1e-4
    head_rate: float = 6e-4
    order_weight: float = 0.8
    apart_weight: float = 0.3
    mates_weight: float = 0.3
    doubt_weight: float = 0.1
    short_weight: float = 1.0
    short_every: int = 4
    weight_decay: float = 0.02
    average: float = 0.9985
    save_every: int = 30
    watch_every: int = 400
    refresh: int = 120
    side: int = 224


@dataclass(frozen=True)
class Batch:
    """Views (n, 2, side, side, 3) of photos, of pairs (better, worse, better, …), of groups."""

    views: Pixels
    opinions: Array
    gaps: Array
    margins: Array
    slacks: Array


@dataclass(frozen=True)
class LiteBatches:
    """The batch of every step: a function of seed and step, and of the bank's shards."""

    sources: Sources
    bank: GroupBank
    config: LiteConfig

    def __getitem__(self, step: int) -> Batch:
        """The batch of a step, which may be any number from 0 on."""
        config, sources = self.config, self.sources
        random = np.random.default_rng([config.seed, 3, step])
        rows = np.flatnonzero(~sources.held_out)[self._rows(step)]
        opinions = sources.opinions[rows].copy()
        views = [self._photo(int(row), random) for row in rows]
        if step % BLANK_EVERY == 0:
            views[-1], opinions[-1] = _blank(config.side, random), 1.0
        mates = [
            sources.scene_mates[int(k)]
            for k in random.integers(len(sources.scene_mates), size=config.mates)
        ]
        views += [self._photo(row, random) for pair in mates for row in pair]
        groups = self.bank.batch(step, config.groups)
        return Batch(
            np.concatenate([np.stack(views), groups.views.reshape(-1, *groups.views.shape[2:])]),
            opinions,
            np.array([sources.opinions[a] - sources.opinions[b] for a, b in mates], np.float32),
            groups.margins,
            groups.slacks,
        )

    def _photo(self, row: int, random: np.random.Generator) -> Pixels:
        view = self.sources.photos.views[row]
        return views_of(view, draw_framing(random), self.config.side)

    def _rows(self, step: int) -> np.ndarray:
        count, size = int((~self.sources.held_out).sum()), self.config.photos
        rounds, places = np.divmod(np.arange(step * size, (step + 1) * size), count)
        orders = {
            each: np.random.default_rng([self.config.seed, 1, each]).permutation(count)
            for each in np.unique(rounds).tolist()
        }
        return np.array([orders[r][p] for r, p in zip(rounds.tolist(), places, strict=True)])


def train_judge(
    network: Judge,
    sources: Sources,
    bank: GroupBank,
    monitor_bank: MonitorBank,
    config: LiteConfig,
    folder: RunFolder,
    say: Callable[[str], None],
) -> nn.Module:
    """Train, or go on training, for `config.steps`; the averaged network."""
    dataset = LiteBatches(sources, bank, config)
    network = network.to(memory_format=torch.channels_last)
    if not (folder.path / "state.safetensors").exists():
        say("measuring the scales of the taps")
        _init_tap_scales(network, dataset)

    def batches(steps: range) -> Iterator[Batch]:
        for step in steps:
            if step and step % config.refresh == 0:
                bank.make(bank.shards + step // config.refresh - 1)
            yield dataset[step]

    def backward(batch: Batch, step: int) -> dict[str, float]:
        torch.manual_seed(config.seed + step)
        return _backward(network.train(), batch, config, step)

    def monitor(averaged: nn.Module) -> dict[str, float]:
        assert isinstance(averaged, Judge)
        figures, scores = evaluate(averaged, sources, monitor_bank, config.side)
        np.save(folder.path / "held_out_scores.npy", scores)
        say("held out: " + ", ".join(f"{name} {value:.3f}" for name, value in figures.items()))
        return figures

    rates: list[Callable[[int], float]] = [
        lambda step: _rate(step, config) * float(step >= config.heads_alone),
        lambda step: _rate(step, config),
    ]
    return train_steps(
        network,
        _optimiser(network, config),
        rates,
        batches,
        backward,
        config,
        folder,
        say,
        clip_norm=5.0,
        monitor=monitor,
    )


def run_settings(config: LiteConfig, start: str, cut: int) -> dict[str, object]:
    """What must be the same when a run is resumed: all but when it ends and what it reports."""
    free = {
        "steps",
        "fall",
        "save_every",
        "watch_every",
        "loaders",
        "chunk",
        "slack",
        "workers",
        "refresh",
    }
    kept = {name: value for name, value in asdict(config).items() if name not in free}
    return {**kept, "start": start, "cut": cut}


def _rate(step: int, config: LiteConfig) -> float:
    """A ramp after the heads are ready, a constant, then half a cosine."""
    ready = max(0, step - config.heads_alone)
    ramp = min(1.0, (ready + 1) / config.ramp) if ready else 1.0
    left = config.steps - step
    return ramp * (1.0 if left >= config.fall else half_cosine(1 - left / config.fall))


def _optimiser(network: Judge, config: LiteConfig) -> torch.optim.AdamW:
    body = list(network.trunk.parameters())
    ids = {id(each) for each in body}
    heads = [each for each in network.parameters() if id(each) not in ids]
    groups = [
        {"params": body, "lr": config.body_rate},
        {"params": heads, "lr": config.head_rate},
    ]
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay)


def _backward(network: Judge, batch: Batch, config: LiteConfig, step: int) -> dict[str, float]:
    """Add the gradients of a step; the parts of its loss."""
    taps, trunk_backward = _taps(network, batch.views, config, step)
    logits, doubts = network.read(*taps)
    scores = points(logits)
    photos, mates = len(batch.opinions), 2 * len(batch.gaps)
    opinions, gaps, margins, slacks = (
        torch.from_numpy(each) for each in (batch.opinions, batch.gaps, batch.margins, batch.slacks)
    )
    pairs = scores[photos : photos + mates].unflatten(0, (-1, 2))
    versions = scores[photos + mates :].unflatten(0, margins.shape[:2])
    opinion, order, apart, mate = (torch.zeros(()) for _ in range(4))
    for k, weight in enumerate((1.0, VIEW_WEIGHT, VIEW_WEIGHT)):
        opinion = opinion + weight * opinion_loss(scores[:photos, k], opinions)
        # A distortion may be seen in one of the views alone: both together must tell.
        found = group_loss(versions[..., k], margins, slacks)
        order = order + weight * found[0]
        apart = apart + weight * found[1]
        mate = mate + weight * mates_loss(pairs[:, 0, k], pairs[:, 1, k], gaps)
    doubt = doubt_loss(scores[:photos, 0], doubts[:photos], opinions)
    loss = (
        opinion
        + config.order_weight * order
        + config.apart_weight * apart
        + config.mates_weight * mate
        + config.doubt_weight * doubt
    )
    losses = {"opinion": opinion, "order": order, "apart": apart, "mates": mate, "doubt": doubt}
    loss.backward()
    if step >= config.heads_alone:
        trunk_backward()
    if autocast_type("cpu") is not None and step % config.short_every == 1:
        losses["short"] = _short_backward(network, batch.views, config, step)
    else:
        losses["short"] = torch.tensor(float("nan"))
    return {name: float(value.detach()) for name, value in losses.items()}


def _taps(
    network: Judge, views: Pixels, config: LiteConfig, step: int
) -> tuple[tuple[torch.Tensor, torch.Tensor], Callable[[], None]]:
    """The taps of all pictures, and a function that hands their gradients to the trunk.

    Each worker computes some of the pictures by itself: to share every single layer out takes
    longer where others use the cores as well, since the slower part is always waited for.
    """
    kind, long_start = autocast_type("cpu"), step % 2 == 0
    chunks = np.array_split(views, -(-len(views) // config.chunk))

    def forward(chunk: Pixels) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.autocast("cpu", kind or torch.bfloat16, enabled=kind is not None):
            found: tuple[torch.Tensor, torch.Tensor] = network.trunk(
                torch.from_numpy(np.ascontiguousarray(chunk)), long_start
            )
        return found

    def run(task: Callable[[Any], Any], things: Iterable[Any]) -> list[Any]:
        with ThreadPoolExecutor(config.workers) as pool:
            return list(pool.map(task, things))

    parts = run(forward, chunks)
    sizes = [len(chunk) for chunk in chunks]
    leaves = tuple(torch.cat([p[k].detach() for p in parts]).requires_grad_() for k in range(2))

    def backward() -> None:
        slopes = [leaf.grad.split(sizes) for leaf in leaves if leaf.grad is not None]
        tasks = list(zip(parts, *slopes, strict=True))
        run(lambda task: torch.autograd.backward(task[0], task[1:]), tasks)

    return (leaves[0], leaves[1]), backward


def _short_backward(network: Judge, views: Pixels, config: LiteConfig, step: int) -> torch.Tensor:
    """Add the gradients of how far bfloat16 moves the scores of a few pictures; that distance."""
    rows = np.random.default_rng([config.seed, 9, step]).choice(len(views), 4, replace=False)
    some = torch.from_numpy(np.ascontiguousarray(views[rows]))
    network.eval()
    with torch.no_grad():
        exact = points(network(some)[0])
    with torch.autocast("cpu", torch.bfloat16):
        moved = points(network(some)[0])
    network.train()
    apart = functional.l1_loss(moved, exact)
    (config.short_weight * apart).backward()
    return apart


@torch.no_grad()
def _init_tap_scales(network: Judge, dataset: LiteBatches) -> None:
    """Give the network the mean and deviation that its taps have on photos and on versions."""
    found: list[tuple[torch.Tensor, torch.Tensor]] = []
    step = 0
    while 8 * len(found) < SCALED_BY:
        views = torch.from_numpy(np.ascontiguousarray(dataset[step].views))
        found += [network.trunk(part) for part in views.split(8)]
        step += 1
    network.scale_taps((torch.cat([w for w, _ in found]), torch.cat([p for _, p in found])))
    for score in network.score:
        assert isinstance(score, nn.Linear)
        score.bias.fill_(0.5)


def _blank(side: int, random: np.random.Generator) -> Pixels:
    """Both views of an accidental frame: black, white or plain, with and without noise."""
    colour = (
        random.integers(0, 256, 3) if random.random() < 0.4 else random.choice([2, 12, 128, 254])
    )
    noise = random.normal(0, random.choice([0.0, 2.0, 6.0, 20.0]), (2, side, side, 3))
    return np.clip(np.rint(colour + noise), 0, 255).astype(np.uint8)
