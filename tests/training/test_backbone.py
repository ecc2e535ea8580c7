"""Training the backbone: its start, its batches, its losses, and runs that are cut off."""

from __future__ import annotations

import csv
import json
import pickle
import signal
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from support.drawn_scenes import photo, texture
from support.images import encoded
from torch.nn import functional

from iqcli.distortions.bank import DISTORTIONS, LEVELS
from iqcli.errors import IqError
from iqcli.evaluation import mos_csv
from iqcli.extractors.backbone import Backbone, _framed, from_convolutions, is_short
from iqcli.extractors.mini import MiniBlock
from iqcli.extractors.mini_crops import SIDE, mosaic, whole
from iqcli.photos.read import read_photo
from iqcli.training.backbone import data as batches
from iqcli.training.backbone import init
from iqcli.training.backbone.data import NAMES, BackboneBatches, SafeDataset, head_of, shuffled_rows
from iqcli.training.backbone.train import (
    CLEAR,
    consistency_loss,
    ladder_loss,
    opinion_loss,
    weight_file,
)
from iqcli.training.config import BACKBONE_LEAST, BackboneConfig, read_config
from iqcli.training.dataset import HOLDOUT_ONE_IN, holdout_mask
from iqcli.training.recipes import train_backbone
from iqcli.training.run_state import RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.cli_runner import Iq


pytestmark = pytest.mark.usefixtures("one_thread")


# --- the start ---


def convolutions(seed: int = 0) -> dict[str, torch.Tensor]:
    """Random convolutions of the right shapes, of a size that keeps the maps alive."""
    torch.manual_seed(seed)
    found = {}
    for k, layer in enumerate(Backbone().convolutions()):
        fan = layer.weight[0].numel()
        found[f"conv{k:02}.weight"] = torch.randn_like(layer.weight) * (2 / fan) ** 0.5
        found[f"conv{k:02}.bias"] = torch.randn(len(layer.weight)) * 0.1
    return found


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("start") / "start.safetensors"
    save_file(convolutions(), path)
    return path


def test_a_start_of_52_convolutions_is_taken_up(start: Path) -> None:
    given = load_file(start)
    assert len(given) == 104
    network = init.initial_backbone(str(start), 0)
    for k, layer in enumerate(network.convolutions()):
        torch.testing.assert_close(layer.weight, given[f"conv{k:02}.weight"], rtol=0, atol=0)
        torch.testing.assert_close(layer.bias, given[f"conv{k:02}.bias"], rtol=0, atol=0)


def test_the_rest_of_a_start_is_drawn_with_the_seed(start: Path) -> None:
    """It was drawn as torch pleased: the same command trained another network each time."""
    heads = [init.initial_backbone(str(start), seed).embed["whole"].weight for seed in (1, 1, 2)]
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])


@pytest.mark.parametrize(
    "damage",
    [
        lambda given: given.pop("conv51.bias"),
        lambda given: given.update({"conv00.weight": torch.zeros(32, 3, 7, 7)}),
        lambda given: given.update({"conv03.weight": torch.zeros(96, 24, 1, 1)}),
        lambda given: given.update({"conv07.bias": torch.zeros(1)}),
        lambda given: given.update({"conv07.weight": torch.zeros(1)}),
        lambda given: given.clear() or given.update({"layer1.weight": torch.zeros(3)}),
    ],
)
def test_another_network_is_no_start(tmp_path: Path, damage) -> None:
    """A tensor of one number was stretched over a whole layer."""
    given = convolutions()
    damage(given)
    save_file(given, tmp_path / "other.safetensors")
    with pytest.raises(IqError, match=r"is no MobileNetV2 of width 1\.0"):
        init.initial_backbone(str(tmp_path / "other.safetensors"), 0)


def test_a_start_that_cannot_be_read_is_reported(tmp_path: Path, start: Path) -> None:
    (tmp_path / "cut.safetensors").write_bytes(start.read_bytes()[:5000])
    (tmp_path / "pickle.pth").write_bytes(pickle.dumps({"conv00.weight": 1}))
    for name in ("cut.safetensors", "pickle.pth", "absent.safetensors", ""):
        with pytest.raises(IqError, match="cannot read the start") as caught:
            init.initial_backbone(str(tmp_path / name), 0)
        assert "\n" not in str(caught.value)


def timm_network() -> torch.nn.Module:
    """timm's MobileNetV2 as it comes, its batch norms as if they had seen something."""
    import timm

    torch.manual_seed(1)
    model = timm.create_model("mobilenetv2_100", pretrained=False).eval()
    for norm in model.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(norm.running_mean, 0, 0.2)
            torch.nn.init.uniform_(norm.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
            torch.nn.init.normal_(norm.bias, 0, 0.2)
    return model


@pytest.fixture(scope="module")
def theirs() -> torch.nn.Module:
    return timm_network()


def last_map(network: Backbone, x: torch.Tensor) -> torch.Tensor:
    x = functional.relu6(network.stem(_framed(x)))
    for stage in network.stages:
        x = stage(x)
    return functional.relu6(network.last(x))


@torch.inference_mode()
def test_the_folded_network_is_that_of_timm(theirs) -> None:
    """With odd sides, where both pad either end; with even ones ours pads the end alone."""
    network = from_convolutions(init.folded(theirs)).eval()
    for side in (225, 33):
        x = torch.randn(2, 3, side, side)
        wanted = theirs.forward_features(x)
        assert wanted.std() > 0.5
        torch.testing.assert_close(last_map(network, x), wanted, atol=5e-3, rtol=0)


@torch.inference_mode()
def test_with_even_sides_the_maps_lie_half_a_step_aside(theirs) -> None:
    """As the networks pad that were trained for it; a start of timm has to get used to it."""
    network = from_convolutions(init.folded(theirs)).eval()
    x = torch.randn(1, 3, 64, 64)
    first, other = theirs.bn1(theirs.conv_stem(x)), functional.relu6(network.stem(_framed(x)))
    assert first.shape == other.shape
    assert (first - other).abs().max() > 0.1
    # The same filters, one pixel on: it is the picture that is moved, not the network.
    moved = theirs.bn1(theirs.conv_stem(torch.roll(x, (-1, -1), (2, 3))))
    torch.testing.assert_close(moved[..., 1:-1, 1:-1], other[..., 1:-1, 1:-1], atol=1e-4, rtol=0)


@torch.inference_mode()
def test_a_start_of_timm_sees_the_colours_it_knows(theirs, monkeypatch) -> None:
    """It was given values of -1..1 where it had learnt others."""
    import timm

    monkeypatch.setattr(timm, "create_model", lambda name, pretrained: theirs)
    network = init.initial_backbone("timm:mobilenetv2_100", 0)
    picture = torch.from_numpy(photo("coffee.png")[:97, :97].copy()).permute(2, 0, 1)[None]
    mean, spread = (
        torch.tensor(theirs.pretrained_cfg[name])[:, None, None] for name in ("mean", "std")
    )
    wanted = theirs.bn1(theirs.conv_stem((picture / 255 - mean) / spread))
    found = functional.relu6(network.stem(_framed(picture / 127.5 - 1)))
    torch.testing.assert_close(found[..., 1:-1, 1:-1], wanted[..., 1:-1, 1:-1], atol=1e-4, rtol=0)


def test_another_network_of_timm_is_no_start(monkeypatch) -> None:
    import timm

    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained: create(name))
    with pytest.raises(IqError, match="timm:resnet10t is no MobileNetV2"):
        init.initial_backbone("timm:resnet10t", 0)
    with pytest.raises(IqError, match="timm cannot give nonesuch") as caught:
        init.initial_backbone("timm:nonesuch", 0)
    assert "\n" not in str(caught.value)


# --- the network ---


def test_the_network_gives_an_embedding_and_a_logit_of_each_kind() -> None:
    network = from_convolutions(convolutions()).eval()
    views = torch.from_numpy(np.stack([whole(photo("coffee.png")), whole(photo("chelsea.png"))]))
    with torch.inference_mode():
        taps = network.taps(views)
        embedding, logit = network(views, "parts")
    assert torch.isfinite(taps).all() and (taps.std(dim=0) > 0).any()
    assert embedding.shape == (2, 96) and logit.shape == (2,)
    assert embedding.abs().max() <= 1


def test_weights_keep_their_account_and_only_what_may_run_short_is_rounded(tmp_path: Path) -> None:
    network = from_convolutions(convolutions())
    file = tmp_path / "w.safetensors"
    file.write_bytes(weight_file(network, {"name": "w", "steps": 3}))
    with safe_open(file, framework="pt") as stream:
        assert json.loads(stream.metadata()["iq"])["steps"] == 3
    kept, given = load_file(file), network.state_dict()
    assert kept.keys() == given.keys()
    for name, value in kept.items():
        wanted = given[name].bfloat16() if is_short(name) else given[name]
        assert torch.equal(value, wanted), name
    assert {"stem.weight", "stages.0.0.filter.weight", "embed.whole.weight"} < {
        name for name, value in kept.items() if value.dtype == torch.float32
    }


# --- losses ---


def test_opinion_loss_by_hand() -> None:
    """Huber 1/2 * 1^2 beyond nothing; two pairs, in order, one of them by too little."""
    opinions = torch.tensor([2.0, 4.0])
    assert opinion_loss(opinions, opinions) == pytest.approx(0, abs=1e-4)
    # error 0.5 each -> Huber 0.125; correlation 1; the pair is 2 apart
    assert opinion_loss(opinions + 0.5, opinions) == pytest.approx(0.125, abs=1e-4)
    # error 3 and 3 -> Huber 2.5; correlation -1 -> 2; the lead is -4 -> 4.5
    turned = torch.tensor([5.0, 1.0])
    assert opinion_loss(turned, opinions) == pytest.approx(2.5 + 2 + 4.5, abs=1e-3)
    # a pair closer than CLEAR asks for nothing: error 0.2 and 0.2 -> 0.02, correlation -1 -> 2,
    # as far as the deviations of 0.1 stand out of the guard of 1e-4
    near = torch.tensor([3.0, 3.0 + 0.4 * CLEAR])
    guarded = 1 + 0.01 / (0.01**2 + 1e-4) ** 0.5
    assert opinion_loss(near.flip(0), near) == pytest.approx(0.02 + guarded, abs=1e-3)


def test_opinion_loss_of_scores_without_an_order_can_be_learnt_from() -> None:
    for wanted in (torch.tensor([2.0, 7.0, 9.0]), torch.full((3,), 4.0), torch.tensor([5.0])):
        scores = torch.full_like(wanted, 5.5, requires_grad=True)
        loss = opinion_loss(scores, wanted)
        loss.backward()
        assert torch.isfinite(loss) and torch.isfinite(scores.grad).all()


def test_ladder_loss_is_nothing_exactly_when_every_margin_is_met() -> None:
    levels = torch.tensor([[0.0, 1.0, 3.0, 5.0], [0.0, 2.0, 2.5, 4.0]])
    costs = torch.tensor([0.5, 0.25])
    scores = 8 - levels * costs[:, None]
    assert ladder_loss(scores, levels, costs) == 0
    assert ladder_loss(scores - 3, levels, costs) == 0
    assert ladder_loss(8 - 2 * levels, levels, costs) == 0
    # One level of the second ladder, 0.1 too good: 0.1 missing against the three other levels.
    for k in range(4):
        missed = scores.clone()
        missed[1, k] += 0.1
        assert ladder_loss(missed, levels, costs) == pytest.approx(k * 0.1 / 12, abs=1e-6)


def test_ladder_loss_by_hand() -> None:
    levels, costs = torch.tensor([[0.0, 1.0, 4.0]]), torch.tensor([0.5])
    scores = torch.tensor([[6.0, 6.25, 5.0]])
    # due 0.5, 2, 1.5; given -0.25, 1, 1.25
    assert ladder_loss(scores, levels, costs) == pytest.approx((0.75 + 1 + 0.25) / 3)


def test_views_may_differ_by_the_slack() -> None:
    one, other = torch.tensor([5.0, 6.0, 7.0]), torch.tensor([6.0, 5.0, 9.5])
    assert consistency_loss(one, other, 2.5) == 0
    assert consistency_loss(one, other, 1.0) == pytest.approx(0.5)
    assert consistency_loss(other, one, 0.0) == pytest.approx(4.5 / 3)


# --- settings ---


def read_backbone_config(file: Path | None) -> BackboneConfig:
    return read_config(file, BackboneConfig(), BACKBONE_LEAST)


def config_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return path


def test_a_config_stands_in_for_the_standard(tmp_path: Path) -> None:
    assert read_backbone_config(None) == BackboneConfig()
    found = read_backbone_config(config_file(tmp_path, "steps = 7\nbody_rate = 1\n"))
    assert found == replace(BackboneConfig(), steps=7, body_rate=1.0)
    assert type(found.body_rate) is float


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepps = 7", "sets 'stepps'; there is seed, steps, photos"),
        ("[steps]\nx = 1", "sets steps to {'x': 1}; give a whole number"),
        ("steps = 7.0", "sets steps to 7.0; give a whole number"),
        ("steps = true", "sets steps to True; give a whole number"),
        ("slack = 'much'", "sets slack to 'much'; give a number"),
        ("photos = -1", "sets photos to -1; give 1 to"),
        ("head_rate = -0.1", "sets head_rate to -0.1; give 0 to"),
        ("slack = nan", "sets slack to nan; give 0 to"),
        ("slack = inf", "sets slack to inf; give 0 to"),
        ("average = 1.5", "sets average to 1.5; give 0 to 1"),
        ("steps = ", "cannot read"),
        ("\x00", "cannot read"),
    ],
)
def test_a_config_that_makes_no_sense_is_reported(tmp_path: Path, text: str, message: str) -> None:
    path = config_file(tmp_path, text)
    with pytest.raises(IqError) as caught:
        read_backbone_config(path)
    assert message in str(caught.value) and str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", BACKBONE_LEAST)
def test_counts_that_would_divide_by_nothing_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        IqError, match=f"sets {name} to {BACKBONE_LEAST[name] - 1}; give {BACKBONE_LEAST[name]} to"
    ):
        read_backbone_config(config_file(tmp_path, f"{name} = {BACKBONE_LEAST[name] - 1}"))


def test_a_config_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b"steps = 7 # \xe9")
    for name in ("absent.toml", "latin.toml", "."):
        with pytest.raises(IqError, match="cannot read"):
            read_backbone_config(tmp_path / name)


# --- batches ---


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hundred small photos in scenes of two, listed with opinions."""
    root = tmp_path_factory.mktemp("album")
    lines = ["image,mos,scene"]
    for k in range(200):
        height, width = 64 + k % 3 * 16, 64 + k % 2 * 32
        picture = texture(k, height, width)
        if k % 4 == 0:
            picture = DISTORTIONS["white_noise"](picture, 5, k)
        (root / f"{k:03}.jpg").write_bytes(encoded(picture, "JPEG", quality=90))
        lines.append(f"{k:03}.jpg,{0.2 if k % 4 == 0 else 0.7 + k % 3 / 10:.1f},{k // 2}")
    (root / "opinions.csv").write_text("\n".join(lines) + "\n")
    return root


def batches_of(album: Path, **changes: object) -> BackboneBatches:
    photos = [album / f"{k:03}.jpg" for k in range(10)]
    values = {
        "photos": photos,
        "opinions": np.arange(1, 11, dtype=np.float32),
        "liked": photos[:3],
        "pristine": photos[5:8],
        "seed": 4,
        "size": 3,
        "ladders": 2,
        "levels": 3,
    }
    return BackboneBatches(**values | changes)


def test_a_batch_depends_on_the_seed_and_the_step_alone(album: Path) -> None:
    one, again = batches_of(album)[5], batches_of(album)[5]
    for field in fields(one):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(again, field.name))
    assert not np.array_equal(one.views, batches_of(album, seed=5)[5].views)
    assert not np.array_equal(one.views, batches_of(album)[6].views)


def test_a_batch_holds_photos_then_ladders_level_by_level(album: Path) -> None:
    batch = batches_of(album)[0]
    assert batch.views.shape == (3 + 2 * 3, 2, SIDE, SIDE, 3) and batch.views.dtype == np.uint8
    assert batch.levels.shape == (2, 3) and batch.costs.shape == (2,)
    assert (np.diff(batch.levels, axis=1) > 0).all()
    assert batch.levels.min() >= 0 and batch.levels.max() <= LEVELS


def test_each_photo_is_seen_once_before_any_twice(album: Path) -> None:
    given = batches_of(album)
    rows = [row for step in range(20) for row in shuffled_rows(10, 3, 4, step)]
    for start in range(0, 60, 10):
        assert sorted(rows[start : start + 10]) == list(range(10))
    assert rows[:10] != rows[10:20]
    np.testing.assert_array_equal(given[1].opinions, given.opinions[shuffled_rows(10, 3, 4, 1)])


def test_the_copies_of_a_ladder_are_seen_alike(album: Path, monkeypatch) -> None:
    """Same cut, same pieces, same way round: else the crop and not the fault would be learnt."""

    class Untouched:
        cost = 0.5

        def __call__(self, picture, level, seed):
            return picture

    monkeypatch.setattr(batches, "DISTORTIONS", dict.fromkeys(NAMES, Untouched()))
    views = batches_of(album)[2].views[3:].reshape(2, 3, 2, SIDE, SIDE, 3)
    for ladder in views:
        np.testing.assert_array_equal(ladder[0], ladder[1])
        np.testing.assert_array_equal(ladder[0], ladder[2])


def test_ladders_stand_on_pristine_and_liked_photos_in_turn(album: Path, monkeypatch) -> None:
    read: list[Path] = []
    monkeypatch.setattr(batches, "head_of", lambda path: read.append(path) or head_of(path))
    given = batches_of(album)
    for step in range(4):
        read.clear()
        given[step]
        assert read[3] in given.pristine and read[4] in given.liked
    alone = batches_of(album, pristine=[])
    read.clear()
    alone[0]
    assert set(read[3:]) <= set(alone.liked)


def test_a_whole_loses_little_and_a_mosaic_nothing_of_its_scale(album: Path) -> None:
    head = head_of(album / "001.jpg")
    random = np.random.default_rng(0)
    places = np.full((4, 4, 2), 0.5, np.float32)
    pieces = mosaic(head, places)
    seen = [batches._views(head, places, random) for _ in range(8)]
    mirrored = [np.array_equal(each[1], pieces[:, ::-1]) for each in seen]
    assert all(
        flip or np.array_equal(each[1], pieces) for each, flip in zip(seen, mirrored, strict=True)
    )
    assert 0 < sum(mirrored) < 8
    for each, flip in zip(seen, mirrored, strict=True):
        view = each[0][:, ::-1] if flip else each[0]
        assert np.abs(view.astype(int) - whole(head)).mean() < 40


def test_a_head_is_that_of_every_other_command(album: Path) -> None:
    path = album / "003.jpg"
    wanted = read_photo(path.read_bytes(), max_megapixels=250)[1].scoring
    np.testing.assert_array_equal(head_of(path), wanted)


def test_a_photo_that_cannot_be_read_is_named(album: Path, tmp_path: Path) -> None:
    """From a loader's process it came as a page of traceback."""
    torn = tmp_path / "torn.jpg"
    torn.write_bytes((album / "001.jpg").read_bytes()[:300])
    for path in (torn, tmp_path / "absent.jpg"):
        with pytest.raises(IqError, match=rf"{path}: .*; mend it, or leave it out"):
            head_of(path)
        found = SafeDataset(batches_of(album, photos=[path], opinions=np.ones(1, np.float32)))[0]
        assert isinstance(found, IqError) and str(path) in str(found)


def test_what_is_held_out_depends_on_the_name_of_the_scene_alone() -> None:
    scenes = [f"scene {k}" for k in range(600)]
    held = holdout_mask(scenes)
    assert 0.5 / HOLDOUT_ONE_IN < held.mean() < 1.5 / HOLDOUT_ONE_IN
    np.testing.assert_array_equal(holdout_mask(scenes[::-1]), held[::-1])
    np.testing.assert_array_equal(holdout_mask(scenes[37:45]), held[37:45])
    np.testing.assert_array_equal(holdout_mask(["a", *scenes, "b"])[1:-1], held)


# --- the state of a run ---


@pytest.fixture
def trio() -> tuple[torch.nn.Linear, torch.nn.Linear, torch.optim.AdamW]:
    torch.manual_seed(0)
    network, smooth = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.1)
    network(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    return network, smooth, optimiser


def another() -> tuple[torch.nn.Linear, torch.nn.Linear, torch.optim.AdamW]:
    network = torch.nn.Linear(3, 2)
    return network, torch.nn.Linear(3, 2), torch.optim.AdamW(network.parameters(), lr=0.1)


def test_a_state_comes_back_as_it_was(tmp_path: Path, trio) -> None:
    folder = RunFolder(tmp_path)
    fresh_ones = another()
    assert folder.load(*fresh_ones) == 0
    folder.save(40, *trio)
    assert folder.load(*fresh_ones) == 40
    for kept, given in zip(fresh_ones[:2], trio[:2], strict=True):
        for one, other in zip(kept.parameters(), given.parameters(), strict=True):
            assert torch.equal(one, other)
    kept, given = (each[2].state_dict()["state"] for each in (fresh_ones, trio))
    assert kept.keys() == given.keys()
    for k, state in given.items():
        assert all(torch.equal(torch.as_tensor(kept[k][name]), state[name]) for name in state)


def broken(state: bytes) -> Iterator[bytes]:
    yield b""
    yield state[: len(state) // 2]
    yield state[:-3]
    yield b"\x00" * len(state)
    yield pickle.dumps({"step": 3})
    yield state.replace(b'"step":"40"', b'"step":"4x"')
    yield state.replace(b'"step":"40"', b'"stop":"40"')
    yield state.replace(b"network.bias", b"network.boas")
    yield state.replace(b"moment.0.exp_avg_sq", b"moment.0.exp_avg_xx")


def test_a_damaged_state_is_told_and_left(tmp_path: Path, trio) -> None:
    folder, file = RunFolder(tmp_path), tmp_path / "state.safetensors"
    folder.save(40, *trio)
    for data in [*broken(file.read_bytes())]:
        file.write_bytes(data)
        with pytest.raises(IqError, match=r"state.safetensors is damaged: .*; remove it") as caught:
            folder.load(*another())
        assert len(str(caught.value).splitlines()) == 1
        assert file.read_bytes() == data


def test_no_code_in_a_state_is_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):
            return (Path.write_text, (tmp_path / "sprung", "x"))

    file = tmp_path / "state.safetensors"
    for save in (lambda: file.write_bytes(pickle.dumps(Trap())), lambda: torch.save(Trap(), file)):
        save()
        with pytest.raises(IqError, match="is damaged"):
            RunFolder(tmp_path).load(*another())
    assert not (tmp_path / "sprung").exists()


def test_a_folder_keeps_to_its_settings(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "a.run")
    folder.open({"steps": 3, "slack": 1.0})
    folder.open({"steps": 3, "slack": 1.0})
    with pytest.raises(IqError, match=r"holds a run with another slack; .* another --output"):
        folder.open({"steps": 3, "slack": 2.0})
    for data in (b"", b"{", b"[]", b"\xff\xfe", b"{}"):
        (tmp_path / "a.run" / "settings.json").write_bytes(data)
        with pytest.raises(IqError, match="holds a run with another"):
            folder.open({"steps": 3, "slack": 1.0})


def test_the_curve_has_one_line_a_watch(tmp_path: Path) -> None:
    folder, file = RunFolder(tmp_path), tmp_path / "curve.csv"
    for step in (400, 800, 1_200_000, 800, 1_200_000):
        folder.note({"step": step, "srcc": 0.81234567})
    assert file.read_text() == "step,srcc\n400,0.812346\n800,0.812346\n1200000,0.812346\n"
    for torn in ("", "\n\n", "step,srcc\nx,1\n\n"):
        file.write_text(torn)
        folder.note({"step": 400, "srcc": 0.5})
        assert file.read_text() == "step,srcc\n400,0.5\n"


# --- the command ---

TINY = """
steps = 6
photos = 4
ladders = 1
levels = 2
heads_alone = 1
ramp = 1
chunk = 4
save_every = 2
watch_every = 3
watched_photos = 2
loaders = 0
"""
# A watch and the first look at the taps, which a test has no time for, made short.
QUICK = """
import torch
torch.set_num_threads(1)
from iqcli.training.backbone import monitor, train as backbone
backbone.SCALED_BY = 8
monitor.DISTORTIONS = {"jpeg": monitor.DISTORTIONS["jpeg"]}
"""


@pytest.fixture
def words(iq: Iq, album: Path, start: Path) -> Callable[[str], tuple[str, ...]]:
    """The words of `iq train backbone` with a tiny config, for an output."""
    (iq.cwd / "tiny.toml").write_text(TINY)
    iq.changes |= {"OMP_NUM_THREADS": "1", "IQ_TEST_PATCH": QUICK}
    given = ("train", "backbone", str(album / "opinions.csv"), "--scene", "scene")
    given = (*given, "--start", str(start), "--config", "tiny.toml", "-o")
    return lambda output: (*given, output)


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_to_the_same_weights(
    iq: Iq, words: Callable[[str], tuple[str, ...]]
) -> None:
    def ended(output: str) -> tuple[int, str]:
        ran = iq(*words(output))
        assert ran.out == b""
        return ran.code, ran.err

    for folder in ("killed", "whole"):
        (iq.cwd / folder).mkdir()
    victim = iq.start(*words("killed/mini.safetensors"))
    state = iq.cwd / "killed" / "mini.run" / "state.safetensors"
    deadline = time.monotonic() + 300
    while not state.exists() and victim.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    assert state.exists() and not (iq.cwd / "killed" / "mini.safetensors").exists()
    code, err = ended("killed/mini.safetensors")
    assert code == 0 and "going on after step " in err, err
    assert err.splitlines()[-1] == "wrote ./killed/mini.safetensors"

    code, err = ended("whole/mini.safetensors")
    assert code == 0 and "going on" not in err, err
    assert "step 6 of 6: opinion " in err and "held out: SRCC " in err
    files = [iq.cwd / folder / "mini.safetensors" for folder in ("killed", "whole")]
    assert files[0].read_bytes() == files[1].read_bytes()
    for file in files:
        with (file.parent / "mini.run" / "curve.csv").open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert [row["step"] for row in rows] == ["3", "6"]
        assert {*rows[0]} >= {"step", "opinion", "order", "apart", "srcc", "ladders", "worst"}
    assert (iq.cwd / "killed/mini.run/curve.csv").read_bytes() == (
        iq.cwd / "whole/mini.run/curve.csv"
    ).read_bytes()
    # All layers have learnt, and the block reads what came of it.
    kept = load_file(files[0])
    assert not torch.equal(kept["stages.3.1.widen.weight"].float(), convolutions()["conv20.weight"])
    views = np.zeros((1, 2, SIDE, SIDE, 3), np.uint8)
    assert np.isfinite(MiniBlock(files[0]).forward(views, "cpu")).all()

    # What is done is done: the same command writes the same file again.
    files[0].unlink()
    code, err = ended("killed/mini.safetensors")
    assert code == 0 and "going on after step 6 of 6" in err
    assert files[0].read_bytes() == files[1].read_bytes()


def test_loaders_give_the_same_batches(album: Path) -> None:
    from iqcli.training.backbone.train import _batches

    found = []
    for loaders in (0, 1):
        config = replace(BackboneConfig(), loaders=loaders)
        found.append(list(_batches(batches_of(album), range(3, 5), config)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one.views, other.views)
        np.testing.assert_array_equal(one.levels, other.levels)


def test_a_loader_says_what_is_wrong_in_one_sentence(album: Path, tmp_path: Path) -> None:
    from iqcli.training.backbone.train import _batches

    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    given = batches_of(album, photos=[tmp_path / "torn.jpg"], opinions=np.ones(1, np.float32))
    with pytest.raises(IqError) as caught:
        list(_batches(given, range(2), replace(BackboneConfig(), loaders=1)))
    assert len(str(caught.value).splitlines()) == 1 and "torn.jpg" in str(caught.value)


def refusal(iq: Iq, album: Path, start: str | Path, *more: str | Path, **environ: str) -> str:
    """What the command says before it exits with 2, having made nothing."""
    output = () if "-o" in more else ("-o", "mini.safetensors")
    words = ("train", "backbone", album / "opinions.csv", "--start", str(start), *output, *more)
    before = sorted(iq.cwd.rglob("*"))
    ran = iq(*words, OMP_NUM_THREADS="1", **environ)
    assert ran.code == 2 and ran.out == b"" and len(ran.lines) == 1, ran.err
    assert sorted(iq.cwd.rglob("*")) == before
    return ran.err


@pytest.mark.slow
def test_the_command_refuses_what_it_cannot_do(iq: Iq, album: Path, start: Path) -> None:
    assert "give a name that ends in .safetensors" in refusal(iq, album, start, "-o", "mini.pt")
    assert "cannot read the start" in refusal(iq, album, "absent.safetensors")
    (iq.cwd / "odd.toml").write_text("speed = 3")
    assert "./odd.toml sets 'speed'" in refusal(iq, album, start, "--config", "odd.toml")


@pytest.mark.slow
def test_without_a_network_timm_is_told_in_one_sentence(iq: Iq, album: Path) -> None:
    away = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(iq.home / "hub"), "TORCH_HOME": str(iq.home)}
    err = refusal(iq, album, "timm:mobilenetv2_100", **away)
    assert err.startswith("iq: timm cannot give mobilenetv2_100: ")


def test_training_in_a_folder_of_another_run_changes_nothing(
    album: Path, start: Path, tmp_path: Path
) -> None:
    given = mos_csv.read(album / "opinions.csv", None, None, None)
    output = tmp_path / "mini.safetensors"
    RunFolder(tmp_path / "mini.run").open({"steps": 5})
    kept = (tmp_path / "mini.run" / "settings.json").read_bytes()
    with pytest.raises(IqError, match="holds a run with another"):
        train_backbone(given, None, str(start), [], output, BackboneConfig(), "cpu", pytest.fail)
    assert (tmp_path / "mini.run" / "settings.json").read_bytes() == kept
    assert not output.exists()


def test_a_listed_photo_that_is_not_there_is_named_before_hours_of_work(
    album: Path, start: Path, tmp_path: Path
) -> None:
    given = mos_csv.read(album / "opinions.csv", None, None, None)
    lost = replace(given.rows[3], shot=replace(given.rows[3].shot, path=tmp_path / "lost.jpg"))
    given = replace(given, rows=(*given.rows[:3], lost, *given.rows[4:]))
    output = tmp_path / "mini.safetensors"
    with pytest.raises(IqError, match=r"there is no photo .*lost.jpg"):
        train_backbone(given, None, str(start), [], output, BackboneConfig(), "cpu", pytest.fail)
    assert list(tmp_path.iterdir()) == []


def test_one_scene_cannot_be_split(album: Path, start: Path, tmp_path: Path) -> None:
    given = mos_csv.read(album / "opinions.csv", None, None, None)
    rows = tuple(replace(row, row=row.row | {"scene": "one"}) for row in given.rows)
    with pytest.raises(IqError, match="too few scenes to hold some out"):
        train_backbone(
            replace(given, rows=rows),
            "scene",
            str(start),
            [],
            tmp_path / "m.safetensors",
            BackboneConfig(),
            "cpu",
            pytest.fail,
        )
