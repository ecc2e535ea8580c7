"""The training loops: of a network over many steps, which may be stopped and resumed at any moment,
and of a small one until its error on other photos no longer falls."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from iqcli.errors import IqError
from iqcli.training.run_state import RunningMeans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from iqcli.training.config import TrainConfig
    from iqcli.training.run_state import RunFolder

B = TypeVar("B")

SECONDS_BETWEEN_REPORTS = 30


def train_steps(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    rates: Sequence[Callable[[int], float]],
    batches: Callable[[range], Iterable[B]],
    backward: Callable[[B, int], Mapping[str, float]],
    config: TrainConfig,
    folder: RunFolder,
    say: Callable[[str], None],
    *,
    clip_norm: float,
    monitor: Callable[[nn.Module], Mapping[str, float]] = lambda averaged: {},
) -> nn.Module:
    """Train for `config.steps`, or go on from the state in `folder`; the averaged network.

    `rates` are the factors of the learning rate of each parameter group at a step. `backward` adds
    the gradients of a batch and returns the parts of its loss, NaN for one that a step does not
    have. `monitor` evaluates the averaged network; its figures go into the curve with the mean of
    each part since the last line. Raises IqError where more steps are done already.
    """
    averaged = AveragedModel(
        network, multi_avg_fn=_rising_average(config.average), use_buffers=True
    )
    averaged.eval()
    means = RunningMeans()
    done = folder.load(network, averaged.module, optimiser, means)
    if done > config.steps:
        raise IqError(
            f"the run has gone {done:,} steps already; set steps to {done:,} or more in --config"
        )
    # The start counts as the first network of the average, so it is not replaced by the second.
    averaged.n_averaged.fill_(done + 1)
    for group in optimiser.param_groups:
        group["initial_lr"] = group["lr"]
    schedule = LambdaLR(optimiser, list(rates), last_epoch=done - 1)
    if done:
        say(f"going on after step {done:,} of {config.steps:,}")
    began, shown_at = time.monotonic(), -math.inf
    steps = range(done, config.steps)
    for step, batch in zip(steps, batches(steps), strict=True):
        optimiser.zero_grad()
        losses = backward(batch, step)
        torch.nn.utils.clip_grad_norm_(network.parameters(), clip_norm)
        optimiser.step()
        schedule.step()
        averaged.update_parameters(network)
        means.add(losses)
        last, now = step + 1 == config.steps, time.monotonic()
        if last or now - shown_at > SECONDS_BETWEEN_REPORTS:
            shown_at = now
            left = (now - began) / (step + 1 - done) * (config.steps - step - 1)
            parts = ", ".join(
                f"{name} {value:.4f}"
                for name, value in means.values().items()
                if not math.isnan(value)
            )
            say(f"step {step + 1:,} of {config.steps:,}: {parts}; {_duration(left)} left")
        if last or (step + 1) % config.watch_every == 0:
            folder.note({"step": step + 1, **means.values(), **monitor(averaged.module)})
            means.clear()
        if last or (step + 1) % config.save_every == 0:
            folder.save(step + 1, network, averaged.module, optimiser, means)
    module: nn.Module = averaged.module
    return module


def shuffled_rows(count: int, size: int, seed: int, step: int) -> NDArray[np.int64]:
    """The `size` rows of a step; each of `count` rows comes once before any comes twice."""
    rounds, places = np.divmod(np.arange(step * size, (step + 1) * size), count)
    orders = {
        each: np.random.default_rng([seed, 1, each]).permutation(count)
        for each in np.unique(rounds)
    }
    found = [orders[each][place] for each, place in zip(rounds, places, strict=True)]
    return np.array(found, np.int64)


def half_cosine(done: float) -> float:
    """From 1 where `done` is 0 down to 0 where it is 1."""
    return 0.5 * (1 + math.cos(math.pi * done))


def train_until_plateau(
    network: nn.Module,
    epoch: Callable[[], float],
    error: Callable[[], float],
    epochs: int,
    patience: int,
) -> tuple[list[float], list[float]]:
    """Train until `error` has not improved for `patience` epochs; the best weights are kept.

    `epoch` trains once over all photos and returns its loss. Returns the loss of each epoch and the
    error after it.
    """
    best, best_weights, waited = math.inf, _weights(network), 0
    train_losses, stop_losses = [], []
    for _ in range(epochs):
        train_losses.append(epoch())
        with torch.inference_mode():
            stop_losses.append(error())
        waited += 1
        if stop_losses[-1] < best:
            best, best_weights, waited = stop_losses[-1], _weights(network), 0
        if waited > patience:
            break
    network.load_state_dict(best_weights, strict=False)
    return train_losses, stop_losses


def _weights(network: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of the parameters that learn."""
    return {
        name: value.detach().clone()
        for name, value in network.named_parameters()
        if value.requires_grad
    }


def _rising_average(
    most: float,
) -> Callable[[Sequence[torch.Tensor], Sequence[torch.Tensor], torch.Tensor | int], None]:
    """An exponential moving average whose decay rises from 0.1 to `most` in the first steps."""

    def update(
        averaged: Sequence[torch.Tensor],
        current: Sequence[torch.Tensor],
        count: torch.Tensor | int,
    ) -> None:
        decay = min(most, int(count) / (int(count) + 9))
        get_ema_multi_avg_fn(decay)(averaged, current, count)

    return update


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
