"""The training loop: one pass over rows before any comes twice, means in the curve, resuming."""

from __future__ import annotations

import csv
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from iqcli.errors import IqError
from iqcli.training.config import TrainConfig
from iqcli.training.loop import half_cosine, shuffled_rows, train_steps, train_until_plateau
from iqcli.training.run_state import RunFolder

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("one_thread")


def test_each_row_is_seen_once_before_any_twice() -> None:
    rows = [row for step in range(20) for row in shuffled_rows(10, 3, 4, step)]
    for start in range(0, 60, 10):
        assert sorted(rows[start : start + 10]) == list(range(10))
    assert rows[:10] != rows[10:20]
    np.testing.assert_array_equal(shuffled_rows(10, 3, 4, 6), shuffled_rows(10, 3, 4, 6))
    assert not np.array_equal(shuffled_rows(10, 3, 4, 6), shuffled_rows(10, 3, 5, 6))


CONFIG = TrainConfig(steps=7, save_every=3, watch_every=4)


def trained(folder: Path, config: TrainConfig, stop: int | None = None) -> torch.nn.Module:
    """A small network that learns, in `folder`; stopped before step `stop`."""
    torch.manual_seed(0)
    network = torch.nn.Linear(3, 1)

    def backward(batch: int, step: int) -> dict[str, float]:
        if step == stop:
            raise KeyboardInterrupt
        loss = network(torch.tensor([[1.0, step, step % 3]])).square().mean()
        loss.backward()
        return {"loss": float(loss.detach()), "odd": float(step) if step % 2 else float("nan")}

    run = RunFolder(folder)
    run.open({})
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.05)
    rates = [lambda step: 1 / (1 + step)]
    said: list[str] = []
    return train_steps(
        network, optimiser, rates, list, backward, config, run, said.append, clip_norm=1.0
    )


@pytest.mark.parametrize("stop", [1, 3, 4, 5, 6])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path: Path, stop: int) -> None:
    """Also its curve, whose losses are of all steps since the line before."""
    whole = trained(tmp_path / "whole", CONFIG)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "stopped", CONFIG, stop)
    resumed = trained(tmp_path / "stopped", CONFIG)
    assert torch.equal(whole.weight, resumed.weight) and torch.equal(whole.bias, resumed.bias)
    curves = [(tmp_path / name / "curve.csv").read_bytes() for name in ("whole", "stopped")]
    assert curves[0] == curves[1]


def test_the_losses_of_the_curve_are_means_since_the_line_before(tmp_path: Path) -> None:
    trained(tmp_path, CONFIG)
    with (tmp_path / "curve.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["step"], row["odd"]) for row in rows] == [("4", "2"), ("7", "5")]


def test_a_run_that_has_gone_further_is_not_cut_short(tmp_path: Path) -> None:
    done = trained(tmp_path, CONFIG)
    again = trained(tmp_path, CONFIG)
    assert torch.equal(done.weight, again.weight)
    with pytest.raises(IqError, match="has gone 7 steps already; set steps to 7 or more"):
        trained(tmp_path, replace(CONFIG, steps=6))


def test_a_step_is_no_longer_than_the_norm_allows(tmp_path: Path) -> None:
    network = torch.nn.Linear(3, 1, bias=False)
    start = network.weight.detach().clone()

    def backward(batch: int, step: int) -> dict[str, float]:
        (1e4 * network(torch.tensor([[3.0, 4.0, 0.0]])).sum()).backward()
        return {}

    run, optimiser = RunFolder(tmp_path), torch.optim.SGD(network.parameters(), lr=0.5)
    run.open({})
    rates, config = [lambda step: 1.0], TrainConfig(steps=1)
    train_steps(network, optimiser, rates, list, backward, config, run, print, clip_norm=2.0)
    moved = network.weight.detach() - start
    torch.testing.assert_close(moved, torch.tensor([[-0.6, -0.8, 0.0]]), rtol=1e-4, atol=1e-5)


def test_rates_fall_by_half_a_cosine() -> None:
    found = [half_cosine(each) for each in (0, 1 / 3, 0.5, 2 / 3, 1)]
    np.testing.assert_allclose(found, [1, 0.75, 0.5, 0.25, 0], atol=1e-12)


def test_the_weights_before_the_plateau_are_kept() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    errors = iter([5.0, 3.0, 4.0, 3.0, 2.0, 6.0, 7.0, 2.0, 0.0])
    epochs = iter(range(1, 10))

    def epoch() -> float:
        with torch.no_grad():
            network.weight.fill_(count := float(next(epochs)))
        return count

    train_losses, stop_losses = train_until_plateau(network, epoch, lambda: next(errors), 9, 2)
    assert train_losses == [1, 2, 3, 4, 5, 6, 7, 8]
    assert stop_losses == [5, 3, 4, 3, 2, 6, 7, 2]
    assert network.weight.item() == 5
