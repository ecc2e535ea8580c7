"""Fitting the fusion head: what it learns, that it learns it again, and figures one can believe."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save
from scipy.stats import norm, spearmanr
from support.drawn_scenes import texture
from support.fake_heads import loaded

from iqcli.cli import app
from iqcli.distortions import ladders
from iqcli.distortions.bank import DISTORTIONS, FAULT_COST, STYLE_COST
from iqcli.distortions.ladders import (
    LADDER_LEVELS,
    blank_frames,
    margins,
    measure_ladders,
    thumbnails,
)
from iqcli.distortions.readers import ScoringViewReader
from iqcli.errors import Exit, IqError
from iqcli.evaluation import mos_csv
from iqcli.extractors.registry import BLOCKS, blocks_of
from iqcli.fs.files import write_atomic
from iqcli.models.checkpoint import HOLDOUT
from iqcli.models.fusion import DOUBT, KNOTS, FusionHead, load, normal_scores, tensor_shapes
from iqcli.photos.views import views_of
from iqcli.pipeline.cache import Cache
from iqcli.pipeline.measure import measure
from iqcli.records import Photo
from iqcli.settings import Settings
from iqcli.training import fusion, recipes
from iqcli.training.dataset import (
    MEMBERS,
    TrainingSet,
    TrainTensors,
    fold_of_scene,
    holdout_mask,
    quantile_knots,
)
from iqcli.training.fusion import FusionConfig
from iqcli.training.holdout import HoldoutEvaluation, evaluate_holdout
from iqcli.training.recipes import FitRequest

SIZES = {"brisque": 4, "photometry": 6}


SHORT = FusionConfig(epochs=20)
SMALL = FusionConfig(epochs=12, ladder_photos=2, blank_frames=4)


pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.slow,
]


def world(count: int, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Photos whose opinion rises with one feature and its scatter with another."""
    random = np.random.default_rng(seed)
    blocks = {n: random.normal(0, 1, (count, k)).astype(np.float32) for n, k in SIZES.items()}
    clear = 5.5 + 2.2 * np.tanh(blocks["brisque"][:, 0]) + blocks["photometry"][:, 1]
    sigma = 0.25 + 1.0 * (blocks["photometry"][:, 2] > 0)
    opinions = np.clip(clear + random.normal(0, 1, count) * sigma, 1, 10)
    return blocks, opinions.astype(np.float32)


def training_set(count: int = 500, seed: int = 0) -> TrainingSet:
    """Scenes of two photos; one distortion lowers what people see, the other what they do not."""
    blocks, opinions = world(count, seed)
    bases, _ = world(20, seed + 100)
    steps = np.array(LADDER_LEVELS, np.float32)
    copies = {}
    for name, values in bases.items():
        levels = np.tile(values[:, None, None], (1, 2, len(LADDER_LEVELS), 1))
        if name == "brisque":
            levels[:, 0, :, 0] -= steps
        else:
            levels[:, 1, :, 5] += steps
        copies[name] = levels
    negatives = {name: np.full((8, size), -4, np.float32) for name, size in SIZES.items()}
    scenes = [f"s{k // 2}" for k in range(count)]
    due = np.array([[0.5], [0.25]], np.float32) * np.diff(steps)
    return TrainingSet(blocks, opinions, scenes, copies, due, negatives)


@dataclass(frozen=True)
class Fit:
    """A head as `iq train fusion` writes it, and what it has experienced."""

    tensors: dict[str, np.ndarray]
    info: dict[str, object]
    held: HoldoutEvaluation


def fit(given: TrainingSet, config: FusionConfig = SHORT) -> Fit:
    """Fit, then measure and calibrate on what was held out."""
    fitted = fusion.fit(given, "test/1", lambda _: None, config)
    held = evaluate_holdout(fitted, given)
    tensors = {**fitted.tensors, **held.tensors()}
    return Fit(tensors, {**fitted.info, **held.info()}, held)


@pytest.fixture(scope="module")
def learnt() -> tuple[TrainingSet, Fit]:
    given = training_set()
    return given, fit(given)


def head_of(fitted: Fit) -> FusionHead:
    return FusionHead(fitted.info["blocks"], fitted.tensors, fitted.info)


# --- what is learnt ---


def test_it_learns_a_monotone_relation_for_photos_it_never_saw(learnt) -> None:
    _, fitted = learnt
    assert spearmanr(fitted.held.scores, fitted.held.opinions).statistic > 0.75
    blocks, opinions = world(400, seed=1)
    scores, _ = head_of(fitted).predict(blocks)
    assert spearmanr(scores, opinions).statistic > 0.8
    assert np.sqrt(((scores - opinions) ** 2).mean()) < 0.75 * opinions.std()


def test_nine_of_ten_opinions_lie_in_the_interval(learnt) -> None:
    _, fitted = learnt
    inside = np.abs(fitted.held.scores - fitted.held.opinions) <= 1.645 * fitted.held.sigmas
    assert inside.mean() == pytest.approx(0.9, abs=0.02)
    blocks, opinions = world(1000, seed=2)
    scores, sigmas = head_of(fitted).predict(blocks)
    assert 0.8 <= (np.abs(scores - opinions) <= 1.645 * sigmas).mean() <= 0.97


def test_the_uncertainty_is_larger_where_opinions_scatter(learnt) -> None:
    blocks, _ = world(400, seed=3)
    _, sigmas = head_of(learnt[1]).predict(blocks)
    scattered = blocks["photometry"][:, 2] > 0
    assert sigmas[scattered].mean() > 1.05 * sigmas[~scattered].mean()


def test_a_distorted_copy_scores_lower_level_by_level(learnt) -> None:
    given, fitted = learnt
    head = head_of(fitted)
    for kind in range(2):
        levels = [
            {name: values[:, kind, level] for name, values in given.ladders.items()}
            for level in range(len(LADDER_LEVELS))
        ]
        means = [head.predict(blocks)[0].mean() for blocks in levels]
        lost = -np.diff(means)
        # The last level of the first lies where the scales end.
        assert (lost > 0.2 * given.margins[kind]).all(), (kind, lost)
    assert head.predict(given.negatives)[0].max() < means[-1]


def test_each_distortion_has_margins_of_its_own() -> None:
    """By hand: hinges of the ladders that were drawn, and how far negatives are from 1."""

    class First(torch.nn.Module):
        def forward(self, inputs):
            return inputs[0][:, 0], inputs[0][:, 0]

    random = np.random.default_rng(3)
    copies = torch.from_numpy(random.uniform(1, 10, (7, 2, 4, 3)).astype(np.float32))
    negatives = torch.full((5, 3), 3.0)
    due = torch.tensor([[0.5, 1.0, 1.0], [0.25, 0.0, 2.0]])
    data = TrainTensors([], torch.zeros(0), due, [copies], [negatives])
    torch.manual_seed(4)
    chosen, kind = torch.randint(7, (fusion.LADDERS,)), torch.randint(2, (fusion.LADDERS,))
    scores = copies[chosen, kind, :, 0].numpy()
    wanted = np.maximum(due[kind].numpy() - (scores[:, :-1] - scores[:, 1:]), 0).mean() + 0.2
    torch.manual_seed(4)
    assert float(fusion._order_loss(First(), data)) == pytest.approx(wanted, abs=1e-5)


def test_margins_follow_the_cost_of_each_distortion() -> None:
    found = margins()
    assert found.shape == (len(DISTORTIONS), len(LADDER_LEVELS) - 1)
    for name, due in zip(DISTORTIONS, found, strict=True):
        cost = DISTORTIONS[name].cost
        np.testing.assert_allclose(due, [cost * 1, cost * 2, cost * 2])
    assert set(np.unique(found[:, 0]).tolist()) == {FAULT_COST, STYLE_COST}


def test_blocks_are_hidden_while_it_learns_and_only_then(monkeypatch) -> None:
    """Else the network would meet a masked block for the first time in a person's photo."""
    flags: dict[bool, list[np.ndarray]] = {True: [], False: []}
    forward = fusion.FusionMember.forward

    def watched(self: fusion.FusionMember, inputs: list[torch.Tensor]):
        if len(inputs[0]) not in (
            len(LADDER_LEVELS) * fusion.LADDERS,
            fusion.LADDERS // 4,
        ):  # no ladders
            flags[self.training].append(torch.stack([x[:, -1] for x in inputs]).numpy())
        return forward(self, inputs)

    monkeypatch.setattr(fusion.FusionMember, "forward", watched)
    fit(training_set(100), FusionConfig(epochs=4, hidden=0.25))
    shown = {
        mode: np.concatenate([each.ravel() for each in found]) for mode, found in flags.items()
    }
    assert shown[True].mean() == pytest.approx(0.75, abs=0.04) and shown[False].min() == 1


def test_a_hidden_block_costs_some_accuracy_not_all(learnt) -> None:
    blocks, opinions = world(400, seed=4)
    blocks["photometry"] = np.full_like(blocks["photometry"], np.nan)
    scores, sigmas = head_of(learnt[1]).predict(blocks)
    assert np.isfinite(scores).all() and np.isfinite(sigmas).all()
    assert spearmanr(scores, opinions).statistic > 0.5


# --- figures ---


def test_photos_that_are_held_out_teach_nothing() -> None:
    """Neither by their opinions nor by what is seen on them."""
    given = training_set(150)
    held = holdout_mask(given.scenes)
    assert 0 < held.sum() < 50
    blocks = {name: values.copy() for name, values in given.blocks.items()}
    opinions = given.opinions.copy()
    opinions[held] = opinions[held][::-1] / 2 + 1
    for values in blocks.values():
        values[held] *= 3
    one, opinion, both = (
        fit(each, FusionConfig(epochs=3))
        for each in (
            given,
            replace(given, opinions=opinions),
            replace(given, opinions=opinions, blocks=blocks),
        )
    )
    for other in (opinion, both):
        assert other.tensors.keys() == one.tensors.keys()
        for name, values in one.tensors.items():
            if name not in (*HOLDOUT, *DOUBT):
                np.testing.assert_array_equal(values, other.tensors[name], err_msg=name)
        assert one.info == other.info
        assert not np.array_equal(one.tensors[DOUBT[0]], other.tensors[DOUBT[0]])
        assert not np.array_equal(one.held.opinions, other.held.opinions)
    np.testing.assert_array_equal(one.held.scores, opinion.held.scores)


def test_the_experience_is_what_the_file_says_of_the_held_out_photos(
    learnt, tmp_path: Path
) -> None:
    given, fitted = learnt
    held = holdout_mask(given.scenes)
    path = tmp_path / "mine.safetensors"
    write_atomic(path, save(fitted.tensors, metadata={"iq": json.dumps(fitted.info)}))
    head = load(path)
    unseen = {name: values[held] for name, values in given.blocks.items()}
    scores, sigmas = head.predict(unseen)
    own = fitted.held
    for values, wanted in (
        (own.scores, scores),
        (own.sigmas, sigmas),
        (own.opinions, given.opinions[held]),
    ):
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, wanted, rtol=1e-5)
    # One photo of each scene goes into the file.
    scenes = np.array(given.scenes)[held]
    assert sorted(scenes[own.one_per_scene]) == sorted(
        set(scenes)
    ) and own.one_per_scene.sum() < len(scenes)
    kept = (head.tensors[name] for name in HOLDOUT)
    for values, wanted in zip(kept, (scores, sigmas, given.opinions[held]), strict=True):
        np.testing.assert_allclose(values, wanted[own.one_per_scene], rtol=1e-5)
    assert head.holdout is not None and len(head.holdout.scores) == own.one_per_scene.sum()


def test_figures_are_those_of_the_held_out_photos(learnt) -> None:
    own = learnt[1].held
    error = own.scores - own.opinions
    assert own.srcc == pytest.approx(spearmanr(own.scores, own.opinions).statistic)
    assert own.rmse == pytest.approx(np.sqrt((error**2).mean()), rel=1e-5)
    # Nine in ten of the photos that set deviations lie inside by making: the parts are crossed.
    assert not np.allclose(own.cross_sigmas, own.sigmas)
    third = np.argsort(own.cross_sigmas, kind="stable")[: len(error) // 3 + 1]
    assert own.coverages[0] == pytest.approx(
        (np.abs(error) <= 1.645 * own.cross_sigmas)[third].mean(), abs=0.04
    )
    assert own.error_srcc == pytest.approx(spearmanr(own.cross_sigmas, np.abs(error)).statistic)
    assert own.coverage == pytest.approx((np.abs(error) <= 1.645 * own.cross_sigmas).mean())
    densities = norm.logpdf(own.opinions, own.scores, own.cross_sigmas)
    assert own.log_density == pytest.approx(densities.mean(), rel=1e-4)


def test_figures_on_noise_are_no_better_than_chance() -> None:
    """Opinions that nothing explains: a leak from the held-out folds would show as rank order."""
    given = training_set(600)
    random = np.random.default_rng(5).uniform(1, 10, 600).astype(np.float32)
    fitted = fit(replace(given, opinions=random))
    assert len(fitted.held.opinions) > 60
    assert abs(spearmanr(fitted.held.scores, fitted.held.opinions).statistic) < 0.25


def test_scenes_never_straddle_folds() -> None:
    scenes = np.random.default_rng(6).integers(0, 60, 400).astype(str)
    folds = fold_of_scene(scenes)
    for scene in np.unique(scenes):
        assert len(set(folds[scenes == scene])) == 1
    assert set(folds) == set(range(MEMBERS))
    sizes = np.bincount(fold_of_scene([str(k) for k in range(100)]))
    assert sizes.tolist() == [20] * MEMBERS
    np.testing.assert_array_equal(folds, fold_of_scene(scenes))


def test_training_is_the_same_for_the_same_seed() -> None:
    given, config = training_set(120), FusionConfig(epochs=3)
    one, other = (fit(given, config) for _ in range(2))
    assert one.info == other.info and one.tensors.keys() == other.tensors.keys()
    for name, values in one.tensors.items():
        np.testing.assert_array_equal(values, other.tensors[name], err_msg=name)
    third = fit(given, replace(config, seed=1))
    assert not np.array_equal(one.held.scores, third.held.scores)


def lasts(given: TrainingSet) -> set[int]:
    """How many photos are left over for the last batch of each member."""
    folds, held = fold_of_scene(given.scenes), holdout_mask(given.scenes)
    return {int((~held & (folds != k)).sum()) % 32 for k in range(MEMBERS)}


def test_all_photos_of_a_scene_are_held_out_or_none() -> None:
    scenes = [f"scene {k}" for k in np.random.default_rng(7).integers(0, 200, 900)]
    held = holdout_mask(scenes)
    by_scene = {
        scene: {bool(h) for s, h in zip(scenes, held, strict=True) if s == scene}
        for scene in scenes
    }
    assert all(len(found) == 1 for found in by_scene.values())
    assert 0.08 < held.mean() < 0.3


@pytest.mark.parametrize("left", (1, 2))
def test_a_last_batch_of_one_photo_does_not_spoil_the_weights(left: int) -> None:
    """Its correlation has no deviation to divide by: the weights became NaN."""
    given = next(each for each in map(training_set, range(80, 160)) if left in lasts(each))
    fitted = fit(given, FusionConfig(epochs=2, batch=32))
    assert all(np.isfinite(values).all() for values in fitted.tensors.values())


def test_what_is_fitted_is_what_is_loaded(learnt, tmp_path: Path) -> None:
    fitted = learnt[1]
    found = {n: v.shape for n, v in fitted.tensors.items() if n not in (*HOLDOUT, *DOUBT)}
    assert found == tensor_shapes(SIZES, MEMBERS)
    path = tmp_path / "mine.safetensors"
    write_atomic(path, save(fitted.tensors, metadata={"iq": json.dumps(fitted.info)}))
    blocks, _ = world(50, seed=7)
    np.testing.assert_array_equal(load(path).predict(blocks)[0], head_of(fitted).predict(blocks)[0])


# --- knots ---

COLUMNS = {
    "normal": np.random.default_rng(8).normal(0, 1, 3000),
    "mostly zero": np.where(np.arange(3000) % 10, 0, np.arange(3000) / 3000),
    "three values": np.arange(3000) % 3,
    "constant zero": np.zeros(3000),
    "constant 255": np.full(3000, 255),
    "constant -1e6": np.full(3000, -1e6),
    "large with a little spread": 1e6 + np.random.default_rng(9).normal(0, 0.01, 3000),
    "tiny": np.random.default_rng(10).normal(0, 1e-7, 3000),
    "huge": np.random.default_rng(11).normal(0, 1e30, 3000),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_knots_rise_strictly(name: str) -> None:
    knots = quantile_knots(COLUMNS[name].astype(np.float32)[:, None])
    assert knots.shape == (1, KNOTS) and knots.dtype == np.float32
    assert (np.diff(knots) > 0).all()


def test_knots_make_any_feature_normal() -> None:
    skewed = np.random.default_rng(12).lognormal(0, 1, (4000, 1)).astype(np.float32)
    scores = normal_scores(skewed, quantile_knots(skewed))[:, 0]
    assert scores.mean() == pytest.approx(0, abs=0.05)
    assert scores.std() == pytest.approx(1, abs=0.05)


def test_undefined_vectors_do_not_shift_the_knots() -> None:
    values = np.random.default_rng(13).normal(0, 1, (500, 3)).astype(np.float32)
    holed = np.concatenate([values, np.full((200, 3), np.nan, np.float32)])
    holed[-1, :2] = 99
    np.testing.assert_array_equal(quantile_knots(values), quantile_knots(holed))


def test_scales_span_the_photos_that_teach_and_the_distorted_copies() -> None:
    given = training_set(100)
    rows = np.arange(100) < 10
    seen = given.scale_samples("brisque", rows)
    np.testing.assert_array_equal(seen[:10], given.blocks["brisque"][:10])
    assert len(seen) == 10 + 20 * 2 * len(LADDER_LEVELS) // 8


# --- from a CSV file and photos to a weight file ---

COUNT = 60
DEFAULT = ["mini"]


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty drawn photos, the more blurred the worse, listed in a shuffled file; two are lost."""
    root = tmp_path_factory.mktemp("album")
    random = np.random.default_rng(14)
    lines = []
    for k in range(COUNT):
        sigma = k / COUNT * 6
        picture = cv2.GaussianBlur(texture(k, 120, 160), (0, 0), sigma + 0.01)
        Image.fromarray(picture).save(root / f"{k:02}.png")
        lines.append(f"{k:02}.png,{5 - 4 * k / COUNT:.4f},scene {k % 20}")
    lines.insert(10, "absent.png,3,scene 1")
    (root / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    lines.insert(30, "broken.png,3,scene 2")
    order = random.permutation(len(lines))
    text = "\n".join(["image,mos,scene", *(lines[k] for k in order)]) + "\n"
    (root / "opinions.csv").write_text(text)
    return root


FEW = ("jpeg", "contrast")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "FusionConfig", lambda: SMALL)
    monkeypatch.setattr(ladders, "NAMES", FEW)


def measure_in(folder: Path):
    """What `Run.measured` does, with a cache in the folder that all tests share."""
    settings = Settings(folder / "cache", folder, device="cpu", jobs=2)

    def measured(blocks, shots, distorted=None):
        cache = Cache(settings.cache_dir, pytest.fail)
        yield from measure(shots, blocks, cache, settings, reader=distorted)
        cache.close()

    return measured


def run(monkeypatch: pytest.MonkeyPatch, cache: Path, *words: str) -> int:
    monkeypatch.setenv("IQ_CACHE_DIR", str(cache))
    monkeypatch.setattr(sys, "argv", ["iq", *words])
    return app.run()


def test_iq_train_fusion_from_end_to_end(
    album: Path, small, monkeypatch, tmp_path: Path, capsys
) -> None:
    output = tmp_path / "mine.safetensors"
    words = ("train", "fusion", str(album / "opinions.csv"), "-o", str(output))
    more = ("--mos-range", "1:5", "--scene", "scene")
    assert run(monkeypatch, album / "cache", *words, *more) == Exit.SOME_FAILED
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "photos held out: SRCC " in captured.err and "in the 90 % interval" in captured.err
    assert "62 photos: 60 used, 2 could not be read" in captured.err
    model = loaded(output)
    assert model.predictor.info["model"] == "mine"
    assert [block.name for block in model.blocks] == [*DEFAULT, "photometry", "tiles"]
    assert [*model.predictor.sizes] == DEFAULT and model.holdout is not None
    # The file rates photos, from the command line too.
    words = ("score", str(album / "00.png"), str(album / "55.png"), "-m", str(output))
    assert run(monkeypatch, album / "cache", *words, "--format", "csv") == Exit.DONE
    assert capsys.readouterr().out.count("mine") == 2


def test_a_trained_file_orders_the_photos(album: Path, small, tmp_path: Path) -> None:
    opinions = mos_csv.read(album / "opinions.csv", None, "1:5", None)
    output = tmp_path / "mine.safetensors"
    messages: list[str] = []
    report = recipes.fit_fusion(
        FitRequest(opinions, [BLOCKS["photometry"]], "scene", output, "mine/1"),
        [],
        measure_in(album),
        "cpu",
        messages.append,
    )
    held = holdout_mask(
        [row.row["scene"] for row in opinions.rows if row.row["image"][0].isdecimal()]
    )
    assert len(report.holdout.scores) == held.sum() and report.photos == COUNT - held.sum()
    assert report.ladders == 2 * len(FEW)
    assert report.holdout.srcc > 0.6 and 0.5 <= report.holdout.coverage <= 1
    # People's average, on the photos that taught nothing.
    assert report.holdout.scores.mean() == pytest.approx(report.holdout.opinions.mean(), abs=0.02)
    assert len(messages) == MEMBERS
    model = loaded(output)
    wanted = [row.shot for row in opinions.rows]
    found = [each for each in measure_in(album)(model.blocks, wanted) if each.blocks]
    scores = [rating.score for rating in model.rate([each.blocks for each in found])]
    names = [int(each.shot.path.stem) for each in found]
    assert spearmanr(scores, names).statistic < -0.8


def test_each_photo_is_learnt_with_its_own_vector(
    album: Path, small, monkeypatch, tmp_path: Path
) -> None:
    """Vectors were found by their place in a shuffled split: each photo got another's."""
    caught: list[TrainingSet] = []

    def stop(given: TrainingSet, *_: object) -> None:
        caught.append(given)
        raise IqError("enough")

    monkeypatch.setattr(fusion, "fit", stop)
    opinions = mos_csv.read(album / "opinions.csv", None, "1:5", None)
    measured = measure_in(album)
    with pytest.raises(IqError, match="enough"):
        recipes.fit_fusion(
            FitRequest(opinions, [BLOCKS["photometry"]], "scene", tmp_path / "x", "x"),
            [],
            measured,
            "cpu",
            lambda _: None,
        )
    (given,) = caught
    assert len(given.opinions) == COUNT and not (tmp_path / "x").exists()
    readable = [
        row for row in opinions.rows if row.row["image"] not in ("absent.png", "broken.png")
    ]
    block = BLOCKS["photometry"]
    for k, row in enumerate(readable):
        assert given.opinions[k] == pytest.approx(row.value)
        if k % 6 == 0:
            (own,) = measured([block], [row.shot])
            np.testing.assert_array_equal(given.blocks["photometry"][k], own.blocks["photometry"])
    assert given.scenes == [row.row["scene"] for row in readable]
    held = holdout_mask(given.scenes)
    liked = (given.opinions >= np.median(given.opinions)) & ~held
    tops = given.ladders["photometry"][:, 0, 0]
    bases = [np.flatnonzero((given.blocks["photometry"] == top).all(axis=1)) for top in tops]
    assert len(bases) == 2 and all(liked[base].all() and len(base) for base in bases)
    for place, base in enumerate(bases):
        shot = readable[base[0]].shot
        (copy,) = measured([block], [shot], ScoringViewReader(FEW[1], LADDER_LEVELS[2]))
        ladder = given.ladders["photometry"][place, 1, 2]
        np.testing.assert_array_equal(ladder, copy.blocks["photometry"])


def test_pristine_photos_carry_ladders_too(album: Path, small, monkeypatch, tmp_path: Path) -> None:
    caught: list[TrainingSet] = []

    def stop(given: TrainingSet, *_: object) -> None:
        caught.append(given)
        raise IqError("enough")

    monkeypatch.setattr(fusion, "fit", stop)
    monkeypatch.setattr(ladders, "NAMES", FEW[:1])
    (tmp_path / "good").mkdir()
    Image.fromarray(texture(99, 120, 160)).save(tmp_path / "good" / "a.png")
    (tmp_path / "good" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    opinions = mos_csv.read(album / "opinions.csv", None, "1:5", None)
    with pytest.raises(IqError, match="enough"):
        recipes.fit_fusion(
            FitRequest(opinions, [BLOCKS["photometry"]], "scene", tmp_path / "x", "x"),
            [tmp_path / "good"],
            measure_in(album),
            "cpu",
            lambda _: None,
        )
    own = BLOCKS["photometry"].extract(views_of(texture(99, 120, 160)))
    copies = caught[0].ladders["photometry"]
    assert copies.shape == (3, 1, len(LADDER_LEVELS), 94)
    np.testing.assert_array_equal(copies[2, 0, 0], own)


def test_training_refuses_what_it_cannot_learn_from(album: Path, monkeypatch, tmp_path) -> None:
    opinions = mos_csv.read(album / "opinions.csv", None, "1:5", None)
    output = tmp_path / "x.safetensors"

    def refused(blocks: list, scene: str | None, rows: int = len(opinions.rows)) -> str:
        given = replace(opinions, rows=opinions.rows[:rows])
        with pytest.raises(IqError) as caught:
            recipes.fit_fusion(
                FitRequest(given, blocks, scene, output, "x"),
                [],
                measure_in(album),
                "cpu",
                lambda _: None,
            )
        assert not output.exists()
        return str(caught.value)

    assert "too few to fit on" in refused([BLOCKS["photometry"]], None, rows=20)
    assert "no column 'burst'" in refused([BLOCKS["photometry"]], "burst")
    one_scene = [replace(row, row={**row.row, "scene": "a"}) for row in opinions.rows]
    opinions = replace(opinions, rows=tuple(one_scene))
    assert "too few scenes" in refused([BLOCKS["photometry"]], "scene")
    assert "block hole" in refused([Hole()], None)
    with pytest.raises(IqError, match="there is no block 'clip'"):
        blocks_of("photometry,clip", BLOCKS)


class Hole:
    """A block that is defined for no picture; stands in for tiles of thumbnails."""

    name, size, fingerprint, within, may_be_nan = "hole", 3, "hole-1", (0, 1), True

    def prepare(self, views):
        return np.zeros(3, np.float32)

    def needs_torch(self, device):
        return False

    def forward(self, batch, device):
        return np.full((len(batch), 3), np.nan, np.float32)


# --- ladders ---


def test_a_photo_that_cannot_be_distorted_has_no_ladder(album: Path, monkeypatch) -> None:
    """One copy less than the others made rows of unequal length, and an end of the run."""
    monkeypatch.setattr(ladders, "NAMES", FEW)
    opinions = mos_csv.read(album / "opinions.csv", None, "1:5", None)
    readable = [row.shot for row in opinions.rows if row.row["image"][0].isdecimal()][:3]
    block = BLOCKS["photometry"]
    honest = measure_in(album)

    def failing(blocks, shots, distorted) -> Iterator[Photo]:
        for each in honest(blocks, shots, distorted):
            lost = (distorted.name, distorted.level) == (
                FEW[1],
                LADDER_LEVELS[3],
            ) and each.shot == readable[1]
            yield replace(each, blocks=None, error="torn") if lost else each

    whole = measure_ladders(readable, [block], honest)["photometry"]
    assert whole.shape == (3, 2, len(LADDER_LEVELS), 94)
    np.testing.assert_array_equal(whole[:, 0, 0], whole[:, 1, 0])
    assert len(np.unique(whole[0, 0], axis=0)) == len(LADDER_LEVELS)
    found = measure_ladders(readable, [block], failing)["photometry"]
    np.testing.assert_array_equal(found, whole[[0, 2]])
    lost = [each.shot for each in opinions.rows if each.row["image"] == "broken.png"]
    assert measure_ladders(lost, [block], honest)["photometry"].shape == (
        0,
        2,
        len(LADDER_LEVELS),
        94,
    )


def test_pocket_shots_hold_no_picture() -> None:
    frames = blank_frames(12)
    assert len(frames) == 12 and all(frame.dtype == np.uint8 for frame in frames)
    np.testing.assert_array_equal(frames[7], blank_frames(12)[7])
    calm = [cv2.GaussianBlur(frame, (0, 0), 8)[64:-64, 64:-64] for frame in frames]
    assert max(np.ptp(frame.reshape(-1, 3), axis=0).max() for frame in calm) < 12


def test_thumbnails_are_the_whole_picture_and_tiny() -> None:
    wide = np.zeros((100, 300, 3), np.uint8)
    wide[:, 150:] = 200
    found = list(thumbnails([wide] * 5))
    assert [each.shape[:2] for each in found] == [(16, 48), (24, 72), (32, 96), (40, 120), (16, 48)]
    assert all(each[:, 0].max() == 0 and each[:, -1].min() == 200 for each in found)
