"""The network in training: its quick gradient, its start, and the file that it becomes."""

from __future__ import annotations

import json
import pickle
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from support.small_backbone import drawn_network, public
from torch.nn import functional

from iqcli.errors import IqError
from iqcli.extractors.mini_weights import STAGES
from iqcli.extractors.schema import FORMAT
from iqcli.training.backbone.depthwise import depthwise
from iqcli.training.backbone.fold import folded, is_short, weight_file
from iqcli.training.backbone.init import EPSILON, initial_network
from iqcli.training.backbone.quality_network import QualityNetwork

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    State = dict[str, torch.Tensor]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_quick_gradient_is_the_gradient(kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    pad = kernel // 2 if stride == 1 else 0
    side = 14 if stride == 1 else 14 + kernel - 2
    given = [torch.randn(2, 6, side, side), torch.randn(6, 1, kernel, kernel), torch.randn(6)]
    found = []
    for convolve in (partial(functional.conv2d, groups=6), depthwise):
        inputs = [each.clone().requires_grad_() for each in given]
        out = convolve(*inputs, stride, pad)
        slope = torch.linspace(-1, 1, out.numel()).view_as(out)
        found.append([out, *torch.autograd.grad(out, inputs, slope)])
    for wanted, got in zip(*found, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


# --- the start ---


@pytest.fixture(scope="module")
def given() -> State:
    return public(QualityNetwork())


def test_a_start_gives_convolutions_and_their_batch_norms(tmp_path: Path, given: State) -> None:
    torch.save(given, tmp_path / "lite0.pth")
    network = initial_network(tmp_path / "lite0.pth", 0)
    x = torch.randn(2, 3, 9, 9)
    wanted = functional.batch_norm(
        functional.conv2d(functional.pad(x, (1, 1, 1, 1)), given["_conv0.weight"], None, 2),
        *(given[f"_bn0.{name}"] for name in ("running_mean", "running_var", "weight", "bias")),
        eps=EPSILON,
    )
    torch.testing.assert_close(network.trunk.stem(x), wanted, rtol=1e-4, atol=1e-4)
    for k, layer in enumerate(network.convolutions()):
        assert torch.equal(layer.weight, given[f"_conv{k}.weight"])


def test_the_rest_of_a_start_is_drawn_with_the_seed(tmp_path: Path, given: State) -> None:
    torch.save(given, tmp_path / "lite0.pth")
    heads = [initial_network(tmp_path / "lite0.pth", seed).embed[0].weight for seed in (1, 1, 2)]
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])


DAMAGES: list[Callable[[State], object]] = [
    lambda given: given.pop("_bn9.bias"),
    lambda given: given.pop("_conv9.weight"),
    lambda given: given.update({"_conv0.weight": torch.zeros(32, 3, 7, 7)}),
    lambda given: given.update({"_conv3.weight": torch.zeros(1, 1, 1, 1)}),
    lambda given: given.update({"_bn3.bias": torch.zeros(1)}),
    lambda given: given.update({"more.weight": torch.zeros(3, 3, 3, 3)}),
    lambda given: given.clear(),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_another_network_is_no_start(
    tmp_path: Path, given: State, damage: Callable[[State], object]
) -> None:
    """A tensor of one number would be stretched over a whole layer."""
    other = dict(given)
    damage(other)
    torch.save(other, tmp_path / "other.pth")
    with pytest.raises(IqError, match="is no EfficientNet-Lite0"):
        initial_network(tmp_path / "other.pth", 0)


def test_a_start_that_cannot_be_read_is_reported_and_no_code_in_it_is_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):
            return (Path.write_text, (tmp_path / "sprung", "x"))

    (tmp_path / "cut.pth").write_bytes(b"PK")
    (tmp_path / "pickle.pth").write_bytes(pickle.dumps({"a.weight": Trap()}))
    torch.save({"a.weight": Trap()}, tmp_path / "trap.pth")
    torch.save([torch.zeros(2)], tmp_path / "list.pth")
    torch.save({3: torch.zeros(2)}, tmp_path / "numbered.pth")
    for name in ("cut.pth", "pickle.pth", "trap.pth", "list.pth", "numbered.pth", "absent.pth", ""):
        with pytest.raises(IqError) as caught:
            initial_network(tmp_path / name, 0)
        assert "\n" not in str(caught.value) and str(tmp_path / name) in str(caught.value)
    assert not (tmp_path / "sprung").exists()


# --- the network and its file ---


def same(x: torch.Tensor, kernel: int, stride: int) -> torch.Tensor:
    """Padded as TensorFlow does."""
    pads = []
    for side in (x.shape[3], x.shape[2]):
        total = max(0, (-(-side // stride) - 1) * stride + kernel - side)
        pads += [total // 2, total - total // 2]
    return functional.pad(x, pads)


def run(tensors: Mapping[str, torch.Tensor], views: torch.Tensor) -> torch.Tensor:
    """(b, 2, side, side, 3) views to (b, 2) logits of whole and mosaic, by the file alone."""

    def convolve(x: torch.Tensor, name: str, kernel: int, stride: int, groups: int) -> torch.Tensor:
        weight, bias = tensors[f"{name}.weight"].float(), tensors[f"{name}.bias"].float()
        return functional.conv2d(same(x, kernel, stride), weight, bias, stride, groups=groups)

    def statistics(x: torch.Tensor) -> torch.Tensor:
        variance, mean = torch.var_mean(x, dim=(2, 3), correction=0)
        return torch.cat([mean, (variance + 1e-6).sqrt()], dim=1)

    logits = []
    for view, (name, depth) in enumerate((("whole", len(STAGES)), ("parts", 5))):
        x = (views[:, view].permute(0, 3, 1, 2).float() - 127) / 128
        x = functional.relu6(convolve(x, "stem", 3, 2, 1))
        taps = []
        for i, (kernel, stride, expansion, _, repeats) in enumerate(STAGES[:depth]):
            for j in range(repeats):
                y, block, step = x, f"stages.{i}.{j}", stride if j == 0 else 1
                if expansion > 1:
                    y = functional.relu6(convolve(y, f"{block}.widen", 1, 1, 1))
                y = functional.relu6(convolve(y, f"{block}.filter", kernel, step, y.shape[1]))
                y = convolve(y, f"{block}.narrow", 1, 1, 1)
                x = x + y if step == 1 and x.shape[1] == y.shape[1] else y
            taps.append(statistics(x))
        if name == "whole":
            taps.append(functional.relu6(convolve(x, "last", 1, 1, 1)).mean(dim=(2, 3)))
        scaled = (torch.cat(taps, dim=1) - tensors[f"{name}_mean"]) / tensors[f"{name}_deviation"]
        embedding = torch.tanh(
            functional.linear(
                scaled.clamp(-8, 8),
                tensors[f"embed.{view}.weight"],
                tensors[f"embed.{view}.bias"],
            )
        )
        score = tensors[f"score.{view}.weight"], tensors[f"score.{view}.bias"]
        logits.append(functional.linear(embedding, *score))
    return torch.cat(logits, dim=1)


@pytest.fixture(scope="module")
def network() -> QualityNetwork:
    return drawn_network().eval()


@pytest.mark.parametrize("side", [64, 50])
@torch.inference_mode()
def test_folded_the_network_scores_as_it_did_in_training(
    network: QualityNetwork, side: int
) -> None:
    torch.manual_seed(1)
    views = torch.randint(0, 256, (3, 2, side, side, 3), dtype=torch.uint8)
    wanted, _ = network(views)
    assert wanted[:, 1:].std() > 0.05
    torch.testing.assert_close(run(folded(network), views), wanted[:, 1:], rtol=0, atol=1e-4)


def test_the_file_keeps_its_account_and_rounds_what_may_run_short(
    tmp_path: Path, network: QualityNetwork
) -> None:
    file = tmp_path / "w.safetensors"
    file.write_bytes(weight_file(network, {"name": "w", "steps": 3}))
    with safe_open(file, framework="pt") as stream:
        info = json.loads(stream.metadata()["iq"])
    assert info == {"format": FORMAT, "name": "w", "steps": 3}
    kept, given = load_file(file), folded(network)
    assert kept.keys() == given.keys()
    for name, value in kept.items():
        assert torch.equal(value, given[name].bfloat16() if is_short(name) else given[name]), name
    long = {name for name, value in kept.items() if value.dtype == torch.float32}
    assert {"stem.weight", "stages.0.0.filter.bias", "embed.1.weight", "whole_mean"} < long
    assert not {"stages.1.0.widen.weight", "last.bias"} & long
    assert not [name for name in kept if name.startswith(("both", "doubt", "trunk"))]


@torch.inference_mode()
def test_the_mosaic_does_not_reach_the_last_stages(network: QualityNetwork) -> None:
    views = torch.randint(0, 256, (2, 2, 64, 64, 3), dtype=torch.uint8)
    changed = views.clone()
    changed[:, 1] = 255 - changed[:, 1]
    wanted, found = network.trunk.taps(views), network.trunk.taps(changed)
    assert torch.equal(found[0], wanted[0])
    assert not torch.allclose(found[1], wanted[1])
