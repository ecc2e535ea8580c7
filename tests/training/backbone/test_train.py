"""Training a backbone: gradients of many threads, runs that are cut off, and the command."""

from __future__ import annotations

import csv
import math
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support.small_backbone import (
    SIDE,
    drawn_network,
    make_small,
    public,
    small_data,
    write_album,
)

from iqcli.distortions.bank import DISTORTIONS
from iqcli.errors import IqError
from iqcli.evaluation import mos_csv
from iqcli.training.backbone import monitor, train
from iqcli.training.backbone.data import Batch
from iqcli.training.backbone.groups import COUNT
from iqcli.training.backbone.quality_network import QualityNetwork, points
from iqcli.training.backbone.train import _rate, _Step, train_network
from iqcli.training.config import BackboneConfig
from iqcli.training.recipes import train_backbone
from iqcli.training.run_state import RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.cli_runner import Iq


pytestmark = pytest.mark.usefixtures("one_thread")

CONFIG = replace(
    BackboneConfig(),
    steps=6,
    fall=3,
    photos=3,
    pairs=1,
    groups=1,
    heads_alone=1,
    ramp=2,
    save_every=3,
    watch_every=4,
    short_every=2,
    shards=2,
    shard=2,
    refresh=2,
    workers=1,
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch)
    few = {name: DISTORTIONS[name] for name in (*monitor.TONE, "jpeg")}
    monkeypatch.setattr(monitor, "DISTORTIONS", few)


def batch(seed: int = 0) -> Batch:
    """Five photos, a pair and a group, drawn at random."""
    random = np.random.default_rng(seed)
    margins = np.full((1, COUNT, COUNT), np.nan, np.float32)
    margins[:, 0, 1:] = 0.5
    return Batch(
        random.integers(0, 256, (5 + 2 + COUNT, 2, SIDE, SIDE, 3), np.uint8),
        random.uniform(1, 10, 5).astype(np.float32),
        np.array([1.5], np.float32),
        margins,
        np.where(np.isnan(margins), np.nan, 1.5).astype(np.float32),
        ("brighten",),
    )


def gradients(network: QualityNetwork, backward: Callable[[], object]) -> dict[str, torch.Tensor]:
    network.zero_grad()
    backward()
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


@pytest.mark.usefixtures("small", "single_precision")
def test_the_gradients_of_many_threads_are_those_of_one_plain_backward(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are the same to the last bit for any number of threads."""
    monkeypatch.setattr(train, "autocast_type", lambda device: None)
    network, given = drawn_network().train(), batch()
    config = replace(CONFIG, heads_alone=0)
    step = _Step(config, "cpu", 1)

    def plain() -> None:
        torch.manual_seed(config.seed + 4)
        logits, doubts = network(torch.from_numpy(given.views))
        step._loss(points(logits), doubts, given)[0].backward()

    wanted = gradients(network, plain)
    found = gradients(network, lambda: step.backward(network, given, 4))
    assert found.keys() == wanted.keys() == dict(network.named_parameters()).keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-4)
    assert found["trunk.stem.weight"].abs().max() > 1e-3
    for workers in (2, 4):
        many = _Step(config, "cpu", workers)
        again = gradients(network, lambda many=many: many.backward(network, given, 4))
        assert all(torch.equal(again[name], value) for name, value in found.items())


@pytest.mark.usefixtures("small")
def test_heads_learn_alone_at_first() -> None:
    network = drawn_network().train()
    step = _Step(CONFIG, "cpu", 1)
    found = gradients(network, lambda: step.backward(network, batch(), 0))
    assert found and not [name for name in found if name.startswith("trunk.")]


@pytest.mark.usefixtures("small")
def test_the_order_of_each_kind_is_reported() -> None:
    network = drawn_network().train()
    parts = _Step(CONFIG, "cpu", 1).backward(network, batch(), 2)
    assert parts["order_brighten"] >= 0 and math.isnan(parts["order_haze"])
    assert {"opinion", "order", "apart", "pairs", "doubt", "short", "order_other"} < {*parts}


def test_the_rate_rises_stays_and_falls_at_the_end() -> None:
    config = replace(CONFIG, steps=1000, fall=200, heads_alone=10, ramp=100)
    rates = [_rate(step, config) for step in range(1000)]
    assert rates[0] == rates[10] == 1 and rates[11] == pytest.approx(0.02)
    assert rates[110:801] == [1.0] * 691
    assert rates[900] == pytest.approx(0.5) and 0 < rates[999] < 1e-3
    longer = [_rate(step, replace(config, steps=2000)) for step in range(800)]
    assert longer == rates[:800]


@pytest.mark.usefixtures("small")
def test_a_run_that_was_stopped_ends_bit_for_bit_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with other threads, and where the bank had gone on since the last state."""
    data = small_data(tmp_path)
    figures = dict.fromkeys(("srcc", "ladders", "ladders_least"), 0.5)
    monkeypatch.setattr(train, "evaluate", lambda *given: figures)
    monkeypatch.setattr(train.MonitorBank, "open", lambda *given: None)

    def trained(name: str, config: BackboneConfig) -> QualityNetwork:
        folder = RunFolder(tmp_path / name)
        folder.open({})
        return train_network(drawn_network(), data, config, folder, "cpu", lambda text: None)

    whole = trained("whole", CONFIG)
    backward = _Step.backward

    def stopped(self: _Step, network: QualityNetwork, given: Batch, step: int) -> dict[str, float]:
        if step == 5:
            raise KeyboardInterrupt
        return backward(self, network, given, step)

    monkeypatch.setattr(_Step, "backward", stopped)
    with pytest.raises(KeyboardInterrupt):
        trained("stopped", CONFIG)
    monkeypatch.setattr(_Step, "backward", backward)
    resumed = trained("stopped", replace(CONFIG, workers=2))
    assert whole.state_dict().keys() == resumed.state_dict().keys()
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    first = drawn_network().state_dict()
    assert not torch.equal(whole.trunk.stem.weight, first["trunk.stem.weight"])
    curves = [(tmp_path / name / "curve.csv").read_bytes() for name in ("whole", "stopped")]
    assert curves[0] == curves[1]


# --- the command ---

TINY = """
steps = 4
fall = 2
photos = 3
groups = 1
heads_alone = 1
ramp = 1
save_every = 2
watch_every = 3
shards = 1
shard = 2
"""
# A watch and the first look at the taps, which a test has no time for, made short.
QUICK = """
import torch
torch.set_num_threads(1)
from iqcli.training.backbone import data, monitor, train
train.SCALED_BY = 8
data.MOST_WATCHED, data.BEST_WATCHED = 1, 1
monitor.TONE = ("brighten",)
monitor.DISTORTIONS = {"brighten": monitor.DISTORTIONS["brighten"]}
monitor.is_well_exposed = lambda picture: False
"""


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The list of some photos with opinions."""
    return write_album(tmp_path_factory.mktemp("album"), 24)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("start") / "lite0.pth"
    torch.save(public(QualityNetwork()), path)
    return path


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_to_the_same_weights(iq: Iq, album: Path, start: Path) -> None:
    (iq.cwd / "tiny.toml").write_text(TINY)
    iq.changes |= {"OMP_NUM_THREADS": "1", "IQ_TEST_PATCH": QUICK}
    given = ("train", "backbone", str(album), "--scene", "scene", "--start", str(start))
    given = (*given, "--config", "tiny.toml", "-o")

    def ended(output: str) -> tuple[int, str]:
        ran = iq(*given, output)
        assert ran.out == b""
        return ran.code, ran.err

    for folder in ("killed", "whole"):
        (iq.cwd / folder).mkdir()
    victim = iq.start(*given, "killed/mini.safetensors")
    state = iq.cwd / "killed" / "mini.run" / "state.safetensors"
    deadline = time.monotonic() + 300
    while not state.exists() and victim.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    assert state.exists() and not (iq.cwd / "killed" / "mini.safetensors").exists()
    code, err = ended("killed/mini.safetensors")
    assert code == 0 and "going on after step 2 of 4" in err, err
    assert err.splitlines()[-1] == "wrote ./killed/mini.safetensors"

    code, err = ended("whole/mini.safetensors")
    assert code == 0 and "going on" not in err, err
    assert "step 4 of 4: opinion " in err and "held out: SRCC " in err
    files = [iq.cwd / folder / "mini.safetensors" for folder in ("killed", "whole")]
    assert files[0].read_bytes() == files[1].read_bytes()
    curves = [(file.parent / "mini.run" / "curve.csv").read_text() for file in files]
    assert curves[0] == curves[1]
    rows = list(csv.DictReader(curves[0].splitlines()))
    assert [row["step"] for row in rows] == ["3", "4"]
    assert {"opinion", "order", "order_brighten", "srcc", "brighten_wins", "ladders"} < {*rows[0]}
    # All layers have learnt.
    kept, given_start = load_file(files[0]), torch.load(start, weights_only=True)
    norm = {name: given_start[f"_bn0.{name}"] for name in ("weight", "running_var")}
    gain = norm["weight"] / (norm["running_var"] + 1e-3).sqrt()
    first = given_start["_conv0.weight"] * gain[:, None, None, None]
    assert 0 < (kept["stem.weight"] - first).abs().max() < 0.1

    # What is done is done: the same command writes the same file again.
    files[0].unlink()
    code, err = ended("killed/mini.safetensors")
    assert code == 0 and "going on after step 4 of 4" in err
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.slow
def test_the_command_refuses_what_it_cannot_do(iq: Iq, album: Path, start: Path) -> None:
    def refusal(start: str | Path, *more: str | Path) -> str:
        """What the command says before it exits with 2, having made nothing."""
        output = () if "-o" in more else ("-o", "mini.safetensors")
        before = sorted(iq.cwd.rglob("*"))
        ran = iq("train", "backbone", album, "--start", start, *output, *more)
        assert ran.code == 2 and ran.out == b"" and len(ran.lines) == 1, ran.err
        assert sorted(iq.cwd.rglob("*")) == before
        return ran.err

    assert "give a name that ends in .safetensors" in refusal(start, "-o", "mini.pt")
    assert "there is no start" in refusal("absent.pth")
    (iq.cwd / "odd.toml").write_text("speed = 3")
    assert "./odd.toml sets 'speed'" in refusal(start, "--config", "odd.toml")


def refused(album: Path, start: Path, output: Path, message: str, **changes: object) -> None:
    """Training on a changed table makes nothing."""
    given = mos_csv.read(album, None, None, None)
    before = sorted(output.parent.rglob("*"))
    with pytest.raises(IqError, match=message):
        train_backbone(
            replace(given, **changes), "scene", start, [], output, CONFIG, "cpu", pytest.fail
        )
    assert sorted(output.parent.rglob("*")) == before


def test_training_in_a_folder_of_another_run_changes_nothing(
    album: Path, start: Path, tmp_path: Path
) -> None:
    RunFolder(tmp_path / "mini.run").open({"photos": 5})
    refused(album, start, tmp_path / "mini.safetensors", "holds a run with another")


def test_a_listed_photo_that_is_not_there_is_named_before_hours_of_work(
    album: Path, start: Path, tmp_path: Path
) -> None:
    rows = mos_csv.read(album, None, None, None).rows
    lost = replace(rows[3], shot=replace(rows[3].shot, path=tmp_path / "lost.jpg"))
    rows = (*rows[:3], lost, *rows[4:])
    output = tmp_path / "mini.safetensors"
    refused(album, start, output, r"there is no photo .*lost.jpg", rows=rows)


def test_one_scene_cannot_be_split(album: Path, start: Path, tmp_path: Path) -> None:
    rows = mos_csv.read(album, None, None, None).rows
    rows = tuple(replace(row, row=row.row | {"scene": "one"}) for row in rows)
    output = tmp_path / "mini.safetensors"
    refused(album, start, output, "too few scenes to hold some out", rows=rows)


@pytest.mark.usefixtures("small")
def test_the_end_of_a_run_may_be_moved_and_the_rest_may_not(
    album: Path, start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from iqcli.training import recipes

    monkeypatch.setattr(recipes, "initial_network", lambda start, seed: drawn_network(seed))
    monkeypatch.setattr(recipes, "train_network", lambda network, *more: network)
    given, output = mos_csv.read(album, None, None, None), tmp_path / "mini.safetensors"

    def run(config: BackboneConfig) -> None:
        train_backbone(given, "scene", start, [], output, config, "cpu", print)

    for config in (CONFIG, replace(CONFIG, steps=20, fall=9, workers=2, save_every=1)):
        run(config)
    with pytest.raises(IqError, match="holds a run with another groups"):
        run(replace(CONFIG, groups=2))
