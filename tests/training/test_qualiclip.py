"""Training a QualiCLIP: crops and ladders, losses, what learns, and runs that are cut off."""

from __future__ import annotations

import io
import json
import signal
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from support import fake_clip
from support.drawn_scenes import PHOTOS, photo, plain, texture
from support.fake_heads import NOWHERE, loaded, registry
from support.images import encoded

from iqcli.distortions.bank import DISTORTIONS, LEVELS
from iqcli.errors import IqError
from iqcli.evaluation.mos_csv import Opinion, Opinions
from iqcli.extractors import clip
from iqcli.extractors.qualiclip import FORMAT, QualiclipBlock
from iqcli.photos.views import views_of
from iqcli.records import Photo, Shot
from iqcli.training.calibration import fit_calibration
from iqcli.training.config import QUALICLIP_LEAST, QUALICLIP_TINY, QualiclipConfig, read_config
from iqcli.training.dataset import HOLDOUT_ONE_IN, holdout_mask
from iqcli.training.loop import shuffled_rows
from iqcli.training.qualiclip import monitor
from iqcli.training.qualiclip.data import GROUPS, CropBatches, draw, head_of, ladder, overlapping
from iqcli.training.qualiclip.init import initial_clip
from iqcli.training.qualiclip.monitor import rank_correlations
from iqcli.training.qualiclip.train import (
    backward,
    cosines,
    loss_parts,
    optimiser_of,
    rate_factor,
    split_photos,
    train_qualiclip,
)
from iqcli.training.run_state import RunFolder
from iqcli.weights.store import WeightStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.cli_runner import Iq

    from iqcli.extractors.base import AnyBlock
    from iqcli.records import Pixels


pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 good pictures: pieces of photos, and drawn clouds."""
    folder = tmp_path_factory.mktemp("album")
    for k in range(24):
        picture = texture(k, 512, 512) if k % 2 else piece(k)
        (folder / f"good {k:02}.png").write_bytes(encoded(picture, "PNG"))
    return folder


def piece(k: int) -> Pixels:
    """A photo, mirrored or turned."""
    head = views_of(photo(PHOTOS[k // 2 % len(PHOTOS)]).copy()).scoring[:512, :512]
    return np.ascontiguousarray(np.rot90(head, k // 10))


def paths_of(album: Path) -> list[Path]:
    return sorted(album.iterdir())


def batches_of(album: Path, **changes: object) -> CropBatches:
    given = {"groups": list(GROUPS), "seed": 1, "size": 2, "side": 64, "composed": 1}
    return CropBatches(**{"photos": paths_of(album), **given, **changes})


def rate(step: int, config: QualiclipConfig) -> float:
    return config.rate * rate_factor(step, config)


# --- crops ---


def where(crop: Pixels) -> tuple[int, int]:
    """Where a crop of `map_of` begins."""
    return int(crop[0, 0, 0]) * 4 + int(crop[0, 0, 2]) // 64, int(crop[0, 0, 1]) * 4 + int(
        crop[0, 0, 2]
    ) % 64


def map_of(height: int, width: int) -> Pixels:
    """A picture whose every pixel tells its place."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y // 4, x // 4, y % 4 * 64 + x % 4], axis=2).astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), [(512, 683), (700, 512), (130, 600), (96, 96)])
def test_the_two_crops_overlap(height: int, width: int) -> None:
    picture, side = map_of(height, width), 96
    random = np.random.default_rng(0)
    apart = set()
    for _ in range(200):
        one, other = overlapping(picture, side, random)
        assert one.shape == other.shape == (side, side, 3)
        (top, left), (down, right) = where(one), where(other)
        shared = (side - abs(top - down)) * (side - abs(left - right))
        assert shared >= side * side / 4
        apart.add((down - top, right - left))
    # They are two crops, not one twice, and lie on all sides of each other.
    if min(height, width) > side:
        for axis in (0, 1):
            assert {np.sign(each[axis]) for each in apart} == {-1, 0, 1}
        assert len(apart) > 100


def test_a_picture_with_a_short_side_is_mirrored() -> None:
    one, other = overlapping(map_of(60, 300), 96, np.random.default_rng(1))
    for crop in (one, other):
        assert crop.shape == (96, 96, 3)
        np.testing.assert_array_equal(crop[60:], crop[24:60][::-1])


def test_a_step_is_a_function_of_the_seed_and_its_number(album: Path) -> None:
    first = batches_of(album)[5]
    assert first.shape == (2, 2, LEVELS, 64, 64, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, batches_of(album)[5])
    assert not np.array_equal(first, batches_of(album)[6])
    assert not np.array_equal(first, batches_of(album, seed=2)[5])


def test_a_loader_gives_the_same_steps(album: Path) -> None:
    from iqcli.training.qualiclip.train import batches

    found = [list(batches(batches_of(album), range(3, 5), loaders)) for loaders in (0, 1)]
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_photo_that_cannot_be_read_ends_the_run_in_one_sentence(tmp_path: Path) -> None:
    from iqcli.training.qualiclip.train import batches

    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(IqError, match=r"torn\.jpg"):
        list(batches(batches_of(tmp_path), range(1), 1))


def test_each_photo_comes_once_before_any_twice() -> None:
    rows = [row for step in range(24) for row in shuffled_rows(24, 5, 1, step)]
    for turn in range(5):
        assert sorted(rows[24 * turn : 24 * (turn + 1)]) == list(range(24))


# --- ladders: the traps of published tables ---


def test_the_seven_groups_are_the_whole_bank() -> None:
    assert sorted(name for group in GROUPS.values() for name in group) == sorted(DISTORTIONS)
    assert len(GROUPS) == 7


def apart(one: Pixels, other: Pixels) -> float:
    return float(((one.astype(np.float64) - other) ** 2).mean())


@pytest.mark.parametrize("name", sorted(DISTORTIONS))
def test_no_ladder_begins_with_the_picture_itself_or_turns_back(name: str) -> None:
    """Level 1 of four published tables is the identity, and two change sign on the way."""
    crop = np.ascontiguousarray(views_of(photo("coffee.png").copy()).scoring[100:324, 200:424])
    whole = crop.copy()
    crop.setflags(write=False)
    for seed in range(3):
        copies = ladder(crop, [name], seed)
        assert copies.shape == (LEVELS, *crop.shape)
        far = [apart(copy, crop) for copy in copies]
        assert far[0] > 0.4, far
        # Nearest neighbours also move a picture by parts of a pixel, now more, now less.
        least = 0.95 if name == "pixelate" else 1.0
        assert all(b > least * a for a, b in pairwise(far)), far
    strengths = np.array([DISTORTIONS[name].identity, *DISTORTIONS[name].strengths])
    assert len({*np.sign(np.diff(strengths))} - {0.0}) == 1 and np.diff(strengths).all()
    np.testing.assert_array_equal(crop, whole)  # nothing is distorted in place


def test_several_distortions_are_put_on_one_after_the_other() -> None:
    crop = np.ascontiguousarray(photo("coffee.png")[100:228, 200:328])
    both = ladder(crop, ["gaussian_blur", "sensor_noise"], 4)
    for level, copy in enumerate(both, 1):
        blurred = DISTORTIONS["gaussian_blur"](crop, level, 4)
        np.testing.assert_array_equal(copy, DISTORTIONS["sensor_noise"](blurred, level, 5))


def test_distortions_are_drawn_from_different_groups_and_none_that_is_left_out() -> None:
    random, of = np.random.default_rng(0), {n: g for g, names in GROUPS.items() for n in names}
    kept = [group for group in GROUPS if group != "noise"]
    found = [draw(kept, 3, random) for _ in range(600)]
    assert {len(names) for names in found} == {1, 2, 3}
    for names in found:
        assert len({of[name] for name in names}) == len(names)
    seen = {name for names in found for name in names}
    assert seen == set(DISTORTIONS) - set(GROUPS["noise"])
    assert all(len(draw(kept, 1, random)) == 1 for _ in range(50))


def test_both_crops_are_distorted_alike(tmp_path: Path) -> None:
    """Drawn twice, the sign of a shift would differ: one crop brighter, the other darker."""
    (tmp_path / "grey.png").write_bytes(encoded(plain(128), "PNG"))
    ways = set()
    for step in range(40):
        (found,) = batches_of(tmp_path, groups=["brightness"], size=1)[step].astype(float)
        means = found.mean(axis=(2, 3, 4))  # (crops, levels)
        np.testing.assert_allclose(means[0], means[1], atol=0.5)
        steps = np.diff(means[0])
        assert (steps >= 0).all() or (steps <= 0).all()
        ways.add(bool(means[0, -1] > 128))
    assert ways == {True, False}


def test_colours_stay_those_of_rgb(tmp_path: Path) -> None:
    red = np.zeros((512, 512, 3), np.uint8)
    red[..., 0] = 200
    (tmp_path / "red.png").write_bytes(encoded(red, "PNG"))
    crops = batches_of(tmp_path, groups=["compression"])[0]
    assert crops[..., 0].mean() > 150 and crops[..., 2].mean() < 40


# --- losses ---


def test_the_losses_are_those_of_the_paper() -> None:
    """Two crops of one photo at three levels and one text, worked out by hand."""
    toward = torch.tensor([[[0.50, 0.40, 0.45], [0.51, 0.40, 0.30]]])[..., None]
    away = torch.tensor([[[0.10, 0.20, 0.40], [0.10, 0.13, 0.20]]])[..., None]
    found = loss_parts(toward, away, slack=0.02, margin=0.08)
    # |differences| beyond 0.02: 0, 0, 0.13; and 0, 0.05, 0.18.
    assert float(found.consistency) == pytest.approx(0.13 / 3 + 0.23 / 3)
    # s_j - s_i + 0.08 of (0, 1), (0, 2), (1, 2): 0, 0.03, 0.13; and 0, 0, 0.
    assert float(found.positive) == pytest.approx(0.16 / 6)
    # s_i - s_j + 0.08: 0, 0, 0; and 0.05, 0, 0.01.
    assert float(found.negative) == pytest.approx(0.06 / 6)


def test_a_perfect_order_costs_nothing_and_the_margin_is_of_every_pair() -> None:
    levels = torch.arange(5.0)
    toward = (0.5 - 0.1 * levels).expand(2, 2, 5)[..., None].expand(2, 2, 5, 7)
    away = 0.1 * levels.expand(2, 2, 5)[..., None].expand(2, 2, 5, 7)
    assert [float(each) for each in loss_parts(toward, away, 0.0025, 0.0999)] == [0, 0, 0]
    # Four of ten pairs are neighbours.
    _, positive, negative = loss_parts(toward, away, 0.0025, 0.15)
    assert float(positive) == pytest.approx(0.05 * 4 / 10, abs=1e-6) == float(negative)
    turned = loss_parts(away, toward, 0.0025, 0.05)
    assert min(float(turned.positive), float(turned.negative)) > 0.2


def test_copies_that_cannot_be_told_apart_pull_nowhere() -> None:
    same = torch.full((1, 2, 5, 7), 0.3, requires_grad=True)
    found = loss_parts(same, same * 1.0, 0.0025, 0.0675)
    assert found.positive.item() == pytest.approx(0.0675)
    (found.positive + found.negative + found.consistency).backward()
    assert float(same.grad.sum().abs()) < 1e-6


def test_chunks_add_up_to_the_whole_step(album: Path) -> None:
    start = initial_clip("tiny", 1, WeightStore(NOWHERE))
    crops = batches_of(album, size=5)[0]
    grads, parts = [], []
    for chunk in (5, 2):
        optimiser_of(start.clip, QUALICLIP_TINY).zero_grad()
        config = replace(QUALICLIP_TINY, chunk=chunk)
        parts.append(backward(start.clip, start.texts, crops, config, "cpu"))
        grads.append(start.clip.visual.layer2[0].conv1.weight.grad.clone())
    assert parts[0] == pytest.approx(parts[1], rel=1e-4)
    torch.testing.assert_close(*grads, rtol=1e-3, atol=1e-6)
    near = cosines(start.clip, start.texts, crops, "cpu")
    assert near.shape == (5, 2, LEVELS, 14)
    expected = loss_parts(
        near[..., 0::2], near[..., 1::2], QUALICLIP_TINY.slack, QUALICLIP_TINY.margin
    )
    assert parts[0] == pytest.approx(
        {k: float(v.detach()) for k, v in expected._asdict().items()}, rel=1e-4
    )


def test_the_rate_rises_and_falls_and_is_small_for_a_clip_that_has_learnt() -> None:
    rates = [rate(step, QUALICLIP_TINY) for step in range(QUALICLIP_TINY.steps)]
    top = int(np.argmax(rates))
    assert QUALICLIP_TINY.ramp - 2 <= top <= QUALICLIP_TINY.ramp and max(rates) == pytest.approx(
        QUALICLIP_TINY.rate, rel=0.01
    )
    assert np.all(np.diff(rates[top:]) < 0) and rates[-1] < 1e-3 * QUALICLIP_TINY.rate
    assert QualiclipConfig().rate < 1e-6 < 1e-3 < QUALICLIP_TINY.rate
    # In all as far as 87,500 steps of 1e-9.
    config = QualiclipConfig()
    path = sum(rate(step, config) for step in range(config.steps))
    assert path == pytest.approx(8.75e-5, rel=0.05)


def test_the_order_is_reported_a_ladder_and_pooled() -> None:
    rows = np.array([[6, 5, 4, 3, 2, 1], [16, 15, 14, 13, 12, 11]], np.float32)
    assert rank_correlations(rows).median == 1 and 0.2 < rank_correlations(rows).pooled < 0.9
    assert rank_correlations(-rows).median == -1
    assert rank_correlations(rows[:1] * 0).median == 0  # no order at all


# --- runs ---

FEW = "steps = 6\nphotos = 2\nside = 32\nsave_every = 2\nwatch_every = 3\nwatched = 1\n"
# In `IQ_TEST_PATCH`: the ladders of corners of the photos held out.
CORNERS = """
from iqcli.training.qualiclip import monitor
whole = monitor.head_of
monitor.head_of = lambda path: whole(path)[:96, :96]
"""


def words(album: Path, output: str, *more: str) -> tuple[str | Path, ...]:
    given = ("--start", "tiny", "--config", "few.toml", "--device", "cpu")
    return ("train", "qualiclip", album, "-o", output, *given, *more)


@pytest.fixture
def few(iq: Iq) -> Iq:
    """A command line where `few.toml` asks for six steps."""
    (iq.cwd / "few.toml").write_text(FEW)
    iq.changes["OMP_NUM_THREADS"] = "1"
    return iq


def test_a_run_that_is_killed_goes_on_to_the_same_file(few: Iq, album: Path) -> None:
    for folder in ("killed", "whole"):
        (few.cwd / folder).mkdir()
    few.changes["IQ_TEST_PATCH"] = CORNERS
    victim = few.start(*words(album, "killed/q.safetensors"))
    state = few.cwd / "killed" / "q.run" / "state.safetensors"
    deadline = time.monotonic() + 300
    while not state.exists() and victim.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    assert state.exists() and not (few.cwd / "killed" / "q.safetensors").exists()

    again = few(*words(album, "killed/q.safetensors"))
    assert again.code == 0 and "going on after step " in again.err, again.err
    whole = few(*words(album, "whole/q.safetensors"))
    assert whole.code == 0 and "going on" not in whole.err, whole.err
    files = [few.cwd / folder / "q.safetensors" for folder in ("killed", "whole")]
    assert files[0].read_bytes() == files[1].read_bytes()
    del few.changes["IQ_TEST_PATCH"]
    curves = [(file.parent / "q.run" / "curve.csv").read_text() for file in files]
    assert curves[0] == curves[1]
    assert curves[0].splitlines()[0] == "step,consistency,positive,negative"
    assert [line.split(",")[0] for line in curves[0].splitlines()[1:]] == ["3", "6"]
    assert again.out == whole.out and b"untrained a ladder" in whole.out

    kept = load_file(files[0])
    begun = initial_clip("tiny", QUALICLIP_TINY.seed, WeightStore(NOWHERE))
    assert torch.equal(kept["prompts_features"], begun.texts)
    changed = {
        name
        for name, value in begun.clip.state_dict().items()
        if not name.endswith("num_batches_tracked")
        and not torch.equal(kept[f"clip_model.{name}"], value)
    }
    # Only the image tower has learnt, all of it but what nothing looks at.
    assert {name.split(".")[0] for name in changed} == {"visual"}
    learning = {n for n, _ in begun.clip.visual.named_parameters() if "positional" not in n}
    assert {f"visual.{name}" for name in learning} <= changed
    assert "visual.attnpool.positional_embedding" not in changed

    with safe_open(files[0], framework="numpy") as file:
        metadata = json.loads(file.metadata()["iq"])
    assert metadata["format"] == FORMAT and metadata["start"] == "tiny" and metadata["steps"] == 6
    assert {*metadata["held"]} == {*GROUPS, "all"} == {*metadata["untrained"]}

    (few.cwd / "photos" / "one.png").write_bytes(encoded(texture(5), "PNG"))
    scored = few("score", "photos", "--model", "whole/q.safetensors", "-f", "jsonl")
    assert scored.code == 0, scored.err
    (row,) = scored.rows
    assert 1 <= row["score"] <= 10 and row["model"].startswith("q-")
    block = QualiclipBlock("qualiclip", str(files[1]), 1024)
    assert block.fingerprint == QualiclipBlock("qualiclip", str(files[0]), 1024).fingerprint
    warm, _, loaded = few.spied("score", "photos", "--model", "whole/q.safetensors")
    assert warm.code == 0 and not loaded & {"torch", "open_clip", "cv2"}


def test_it_learns_to_rank_photos_it_has_not_seen(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "head_of", lambda path: head_of(path)[:224, :224])
    config = replace(
        QUALICLIP_TINY, steps=200, photos=4, chunk=4, side=64, ramp=10, watched=1, average=0.9
    )
    messages: list[str] = []
    folder = RunFolder(tmp_path / "q.run")
    start = initial_clip("tiny", config.seed, WeightStore(NOWHERE))
    trained = train_qualiclip(start, paths_of(album), None, config, folder, "cpu", messages.append)
    before, after = trained.before["all"], trained.after["all"]
    assert after.median > before.median + 0.3 and after.median > 0.6, (before, after)
    assert after.pooled > before.pooled + 0.15, (before, after)


def test_one_photo_in_six_teaches_nothing(album: Path) -> None:
    paths = paths_of(album)
    taught, held = split_photos(paths)
    assert {*taught} | {*held} == {*paths} and not {*taught} & {*held}
    assert held == [paths[k] for k in np.flatnonzero(holdout_mask([p.name for p in paths]))]
    assert HOLDOUT_ONE_IN == 6
    with pytest.raises(IqError, match="too few photos to hold some out"):
        split_photos([taught[0]])


# --- what is refused ---


def refusal(iq: Iq, *given: str | Path, **environ: str) -> str:
    before = sorted(iq.cwd.rglob("*"))
    ran = iq("train", "qualiclip", *given, **environ)
    assert ran.code == 2 and ran.out == b"" and len(ran.lines) == 1, ran.err
    assert sorted(iq.cwd.rglob("*")) == before
    return ran.err


def test_the_command_refuses_what_it_cannot_do(few: Iq, album: Path) -> None:
    begin = (album, "-o", "q.safetensors", "--device", "cpu")
    assert "ends in .safetensors" in refusal(few, album, "-o", "q.pt", "--start", "tiny")
    err = refusal(few, *begin, "--start", "tiny", "--leave-out", "fog")
    assert "no group 'fog'" in err and "compression" in err
    assert "needs weights" in (err := refusal(few, *begin)) or "not here: clip-rn50" in err
    assert "there are no weights 'rn51'" in refusal(few, *begin, "--start", "rn51")
    environ = fake_clip.install(few.home, "clip-vit-b-32")
    assert "is no ResNet" in refusal(few, *begin, "--start", "clip-vit-b-32", **environ)
    save_file({"x": torch.zeros(1)}, few.cwd / "other.safetensors")
    err = refusal(few, *begin, "--start", "other.safetensors")
    assert "other.safetensors is no QualiCLIP of this iq" in err
    (few.cwd / "odd.toml").write_text("side = 3")
    assert "sets side to 3; give 32 to" in refusal(
        few, *begin, "--start", "tiny", "--config", "odd.toml"
    )


def test_a_start_may_be_weights_or_an_earlier_file(few: Iq, album: Path) -> None:
    """The texts are then encoded by the tower's own text tower, or those of the file."""
    (few.cwd / "few.toml").write_text("steps = 1\nphotos = 1\nside = 32\nwatched = 1\n")
    environ = fake_clip.install(few.home, "clip-rn50") | {"IQ_TEST_PATCH": CORNERS}
    given = ("--config", "few.toml", "--device", "cpu")
    ran = few("train", "qualiclip", album, "-o", "q.safetensors", *given, **environ)
    assert ran.code == 0, ran.err
    first = load_file(few.cwd / "q.safetensors")
    assert first["prompts_features"].shape == (14, 1024)
    begun = fake_clip.tensors(fake_clip.TINY["clip-rn50"])
    # A CLIP that has learnt keeps its statistics, and moves by next to nothing.
    for name in ("visual.bn1.running_mean", "visual.conv1.weight", "token_embedding.weight"):
        torch.testing.assert_close(first[f"clip_model.{name}"], begun[name], rtol=0, atol=1e-6)

    more = ("--start", "q.safetensors", "-o", "r.safetensors", *given)
    ran = few("train", "qualiclip", album, *more, **environ)
    assert ran.code == 0, ran.err
    again = load_file(few.cwd / "r.safetensors")
    assert torch.equal(again["prompts_features"], first["prompts_features"])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda kept: kept.pop("prompts_features"), "cannot read the texts"),
        (lambda kept: kept.update(prompts_features=torch.eye(13, 1024)), "(13, 1024)"),
        (lambda kept: kept.update(prompts_features=torch.ones(14, 1024)), "not of unit length"),
        (lambda kept: kept.pop("clip_model.visual.conv1.weight"), "lacks visual.conv1.weight"),
        (lambda kept: kept["clip_model.visual.conv1.weight"].fill_(np.nan), "no CLIP has"),
        (lambda kept: kept["clip_model.visual.conv1.weight"].fill_(1e9), "no CLIP has"),
        (lambda kept: kept.update({"clip_model.visual.more": torch.ones(2)}), "has visual.more"),
    ],
)
def test_a_damaged_file_is_reported_in_one_sentence(few: Iq, damage, message: str) -> None:
    begun = initial_clip("tiny", 1, WeightStore(NOWHERE))
    kept = {f"clip_model.{k}": v.clone() for k, v in begun.clip.state_dict().items()}
    kept["prompts_features"] = begun.texts.clone()
    damage(kept)
    account = {"format": FORMAT, "config": begun.config}
    save_file(kept, few.cwd / "q.safetensors", metadata={"iq": json.dumps(account)})
    (few.cwd / "photos" / "one.png").write_bytes(encoded(texture(5), "PNG"))
    ran = few("score", "photos", "--model", "q.safetensors", "--device", "cpu")
    assert ran.code == 2 and len(ran.lines) == 1 and ran.out == b"", ran.err
    assert message in ran.err and "q.safetensors" in ran.err


def own_file(path: Path, seed: int) -> QualiclipBlock:
    """What an untrained file of ours gives its block; lies there as `path`."""
    begun = initial_clip("tiny", seed, WeightStore(NOWHERE))
    kept = {f"clip_model.{k}": v.clone() for k, v in begun.clip.state_dict().items()}
    account = {"format": FORMAT, "config": begun.config}
    tensors = {k: v for k, v in kept.items() if not k.endswith("num_batches_tracked")}
    save_file(
        {**tensors, "prompts_features": begun.texts.clone()},
        path,
        metadata={"iq": json.dumps(account)},
    )
    return QualiclipBlock("qualiclip", str(path), 1024)


def test_a_file_that_was_trained_again_is_another_block(tmp_path: Path) -> None:
    """Fault: in one process the first file at a path was kept for ever."""
    seen = []
    for seed in (1, 2):
        block = own_file(tmp_path / "q.safetensors", seed)
        model = loaded(tmp_path / "q.safetensors")
        seen.append((block.fingerprint, model.name, block.forward([texture(3)], "cpu").tolist()))
    for first, second in zip(*seen, strict=True):
        assert first != second


def test_the_code_of_the_tower_is_part_of_what_a_file_is_known_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_file(tmp_path / "q.safetensors", 1)
    known = []
    for version in (1, 2):
        monkeypatch.setattr(clip, "VERSION", version)
        known.append(QualiclipBlock("qualiclip", str(tmp_path / "q.safetensors"), 1024).fingerprint)
    assert known[0] != known[1]


def test_an_installed_aesthetic_head_stands_beside_a_file_too(few: Iq) -> None:
    """Fault: its block was not measured, and nothing could be scored."""
    own_file(few.cwd / "q.safetensors", 1)
    head = io.BytesIO()
    torch.save({"weight": torch.full((1, 512), 0.01), "bias": torch.zeros(1)}, head)
    fake_clip.install(few.home, "clip-vit-b-32")
    needs = {"kind": "head", "file": "head.pth", "needs": ["clip-vit-b-32"]}
    environ = fake_clip.install(few.home, "laion-v1", head.getvalue(), **needs)
    (few.cwd / "photos" / "one.png").write_bytes(encoded(texture(5), "PNG"))
    ran = few("score", "photos", "--model", "q.safetensors", "-f", "jsonl", **environ)
    assert ran.code == 0, ran.err
    assert ran.rows[0]["aesthetic"] is not None


def test_a_calibration_of_a_file_asks_its_own_tower(tmp_path: Path) -> None:
    """Fault: the published tower was measured, or asked for."""
    own_file(tmp_path / "q.safetensors", 1)
    opinions = Opinions((Opinion(Shot("one", tmp_path / "one.png"), 5.0, {}),), (1, 10), 0)
    asked: list[object] = []

    def measure(blocks: Sequence[AnyBlock], shots: Sequence[Shot]) -> list[Photo]:
        asked.extend(blocks)
        return [Photo(shot, error="not measured here") for shot in shots]

    with pytest.raises(IqError, match="could be read"):
        fit_calibration(opinions, str(tmp_path / "q.safetensors"), registry(), None, measure)
    assert [type(each) for each in asked] == [QualiclipBlock]


def test_a_file_of_another_kind_of_tower_is_refused(tmp_path: Path) -> None:
    config = fake_clip.TINY["clip-vit-b-32"]
    kept = {f"clip_model.{k}": v for k, v in fake_clip.tensors(config).items()}
    account = {"format": FORMAT, "config": config}
    save_file(kept, tmp_path / "q.safetensors", metadata={"iq": json.dumps(account)})
    block = QualiclipBlock("qualiclip", str(tmp_path / "q.safetensors"), 512)
    with pytest.raises(IqError, match="no ResNet"):
        block.forward([texture(3)], "cpu")


@pytest.mark.parametrize("config", [None, {}, {"embed_dim": "many"}, {"embed_dim": 1024}, [1]])
def test_an_account_without_a_tower_is_refused(few: Iq, config: object) -> None:
    begun = initial_clip("tiny", 1, WeightStore(NOWHERE))
    account = {"format": FORMAT, "config": config}
    tensors = {"prompts_features": begun.texts.clone()}
    save_file(tensors, few.cwd / "q.safetensors", metadata={"iq": json.dumps(account)})
    (few.cwd / "photos" / "one.png").write_bytes(encoded(texture(5), "PNG"))
    ran = few("score", "photos", "--model", "q.safetensors", "--device", "cpu")
    assert ran.code == 2 and len(ran.lines) == 1 and ran.out == b"", ran.err


def test_the_settings_say_which_names_there_are(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text("margin = 0.1\nsteps = 9\n")
    assert read_config(file, QUALICLIP_TINY, QUALICLIP_LEAST) == replace(
        QUALICLIP_TINY, margin=0.1, steps=9
    )
    file.write_text("speed = 1")
    with pytest.raises(IqError, match="sets 'speed'; there is seed, steps"):
        read_config(file, QUALICLIP_TINY, QUALICLIP_LEAST)
