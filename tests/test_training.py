"""Fitting the fusion head: what it learns, that it learns it again, and figures one can believe."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save
from scenes import FOLDER, texture
from scipy.stats import spearmanr

from iqcli import cli, opinions
from iqcli.cache import Cache
from iqcli.errors import Exit, IqError
from iqcli.files import write_atomic
from iqcli.models import registry
from iqcli.models.fusion import KNOTS, FusionHead, load, normal_scores, shapes
from iqcli.photos.formats import decoder_fingerprint
from iqcli.photos.read import read_photo
from iqcli.pipeline import measure
from iqcli.settings import Settings
from iqcli.training import fitting, fusion
from iqcli.training.fusion import Lessons, fit, fold_of_scene, quantile_knots
from iqcli.training.ladders import RUNGS, Spoilt, pocket_shots

SIZES = {"brisque": 4, "photometry": 6}


@pytest.fixture(scope="module", autouse=True)
def short() -> Iterator[None]:
    """Few epochs, on one thread: two that wait for a busy core are many times slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fusion, "EPOCHS", 20)
        yield
    torch.set_num_threads(threads)


def world(count: int, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Photos whose opinion rises with one feature and doubt with another."""
    random = np.random.default_rng(seed)
    blocks = {n: random.normal(0, 1, (count, k)).astype(np.float32) for n, k in SIZES.items()}
    clear = 5.5 + 2.2 * np.tanh(blocks["brisque"][:, 0]) + blocks["photometry"][:, 1]
    doubt = 0.25 + 1.0 * (blocks["photometry"][:, 2] > 0)
    told = np.clip(clear + random.normal(0, 1, count) * doubt, 1, 10)
    return blocks, told.astype(np.float32)


def lessons(count: int = 500, seed: int = 0) -> Lessons:
    blocks, told = world(count, seed)
    bases = np.arange(0, count, 25)
    steps = np.arange(1, 4, dtype=np.float32)[:, None]
    ladders = {}
    for name, values in blocks.items():
        rungs = np.repeat(values[bases][:, None, None], 2, axis=1) * np.ones((1, 1, 3, 1), "f4")
        if name == "brisque":
            rungs[..., 0] -= steps[:, 0]
        ladders[name] = rungs
    worthless = {name: np.full((8, size), -4, np.float32) for name, size in SIZES.items()}
    return Lessons(blocks, told, np.arange(count) // 2, bases, ladders, worthless)


@pytest.fixture(scope="module")
def learnt() -> tuple[Lessons, fusion.Fit]:
    given = lessons()
    return given, fit(given, "test/1", lambda _: None)


def head_of(fitted: fusion.Fit) -> FusionHead:
    return FusionHead(fitted.info["blocks"], fitted.tensors, fitted.info)


# --- what is learnt ---


def test_it_learns_a_monotone_relation_for_photos_it_never_saw(learnt) -> None:
    given, fitted = learnt
    assert spearmanr(fitted.scores, given.opinions).statistic > 0.8
    blocks, told = world(400, seed=1)
    scores, _ = head_of(fitted).predict(blocks)
    assert spearmanr(scores, told).statistic > 0.8
    assert np.sqrt(((scores - told) ** 2).mean()) < 0.75 * told.std()


def test_nine_of_ten_opinions_lie_in_the_interval(learnt) -> None:
    given, fitted = learnt
    inside = np.abs(fitted.scores - given.opinions) <= 1.645 * fitted.sigmas
    assert inside.mean() == pytest.approx(0.9, abs=0.01)
    blocks, told = world(1000, seed=2)
    scores, sigmas = head_of(fitted).predict(blocks)
    assert 0.84 <= (np.abs(scores - told) <= 1.645 * sigmas).mean() <= 0.96


def test_a_spoilt_copy_scores_lower_rung_by_rung(learnt) -> None:
    given, fitted = learnt
    head = head_of(fitted)
    rungs = [{name: values[given.bases] for name, values in given.blocks.items()}]
    for k in range(3):
        rungs.append({name: values[:, 0, k] for name, values in given.ladders.items()})
    means = [head.predict(blocks)[0].mean() for blocks in rungs]
    assert np.all(np.diff(means) < 0)
    assert head.predict(given.worthless)[0].max() < means[-1]


def test_blocks_are_hidden_while_it_learns_and_only_then(monkeypatch) -> None:
    """Else the network would meet a masked block for the first time in a person's photo."""
    flags: dict[bool, list[np.ndarray]] = {True: [], False: []}
    forward = fusion.Network.forward

    def watched(self: fusion.Network, inputs: list[torch.Tensor]):
        if len(inputs[0]) not in (4 * fusion.LADDERS, fusion.LADDERS // 4):  # no ladders
            flags[self.training].append(torch.stack([x[:, -1] for x in inputs]).numpy())
        return forward(self, inputs)

    monkeypatch.setattr(fusion.Network, "forward", watched)
    monkeypatch.setattr(fusion, "EPOCHS", 4)
    monkeypatch.setattr(fusion, "HIDDEN", 0.25)
    fit(lessons(100), "test/1", lambda _: None)
    shown = {
        mode: np.concatenate([each.ravel() for each in found]) for mode, found in flags.items()
    }
    assert shown[True].mean() == pytest.approx(0.75, abs=0.04) and shown[False].min() == 1


def test_a_hidden_block_costs_some_accuracy_not_all(learnt) -> None:
    blocks, told = world(400, seed=4)
    blocks["photometry"] = np.full_like(blocks["photometry"], np.nan)
    scores, sigmas = head_of(learnt[1]).predict(blocks)
    assert np.isfinite(scores).all() and np.isfinite(sigmas).all()
    assert spearmanr(scores, told).statistic > 0.5


# --- figures ---


def test_reported_figures_come_from_the_member_that_never_saw_the_scene(learnt) -> None:
    """They were taken where the network had been chosen, and the test split was never used."""
    given, fitted = learnt
    folds = fold_of_scene(given.scenes)
    for k in range(fusion.MEMBERS):
        held = {name: values[folds == k] for name, values in given.blocks.items()}
        alone = {f"0.{n[2:]}": v for n, v in fitted.tensors.items() if n.startswith(f"{k}.")}
        knots = {n: v for n, v in fitted.tensors.items() if n.startswith("knots.")}
        member = FusionHead(SIZES, {**alone, **knots}, {**fitted.info, "members": 1})
        scores, sigmas = member.predict(held)
        np.testing.assert_allclose(fitted.scores[folds == k], scores, atol=1e-4)
        np.testing.assert_allclose(fitted.sigmas[folds == k], sigmas, rtol=1e-3)


def test_figures_on_noise_are_no_better_than_chance() -> None:
    """Opinions that nothing explains: a leak from the held-out folds would show as rank order."""
    given = lessons(300)
    random = np.random.default_rng(5).uniform(1, 10, 300).astype(np.float32)
    fitted = fit(replace(given, opinions=random), "noise/1", lambda _: None)
    assert abs(spearmanr(fitted.scores, random).statistic) < 0.2


def test_scenes_never_straddle_folds() -> None:
    scenes = np.random.default_rng(6).integers(0, 60, 400)
    folds = fold_of_scene(scenes)
    for scene in np.unique(scenes):
        assert len(set(folds[scenes == scene])) == 1
    assert set(folds) == set(range(fusion.MEMBERS))
    sizes = np.bincount(fold_of_scene(np.arange(100)))
    assert sizes.tolist() == [20] * fusion.MEMBERS
    np.testing.assert_array_equal(folds, fold_of_scene(scenes))


def test_training_is_the_same_for_the_same_seed(monkeypatch) -> None:
    monkeypatch.setattr(fusion, "EPOCHS", 3)
    given = lessons(120)
    one, other = (fit(given, "test/1", lambda _: None) for _ in range(2))
    assert one.info == other.info and one.tensors.keys() == other.tensors.keys()
    for name, values in one.tensors.items():
        np.testing.assert_array_equal(values, other.tensors[name], err_msg=name)
    monkeypatch.setattr(fusion, "SEED", 1)
    third = fit(given, "test/1", lambda _: None)
    assert not np.array_equal(one.scores, third.scores)


def lasts(given: Lessons) -> set[int]:
    """How many photos are left over for the last batch of each member."""
    folds, stops = fold_of_scene(given.scenes), fusion.stopping(given.scenes)
    return {int(((folds != k) & ~stops).sum()) % 32 for k in range(fusion.MEMBERS)}


def test_whole_scenes_tell_when_to_stop() -> None:
    scenes = np.random.default_rng(7).integers(0, 200, 900)
    stops = fusion.stopping(scenes)
    for scene in np.unique(scenes):
        assert len(set(stops[scenes == scene])) == 1
    assert 0.06 < stops.mean() < 0.2 and fusion.stopping(np.arange(5)).sum() == 2


@pytest.mark.parametrize("left", (1, 2))
def test_a_last_batch_of_one_photo_does_not_spoil_the_weights(monkeypatch, left: int) -> None:
    """Its correlation has no deviation to divide by: the weights became NaN."""
    monkeypatch.setattr(fusion, "EPOCHS", 2)
    monkeypatch.setattr(fusion, "BATCH", 32)
    given = next(each for each in map(lessons, range(80, 160)) if left in lasts(each))
    fitted = fit(given, "test/1", lambda _: None)
    assert all(np.isfinite(values).all() for values in fitted.tensors.values())


def test_what_is_fitted_is_what_is_loaded(learnt, tmp_path: Path) -> None:
    fitted = learnt[1]
    assert {n: v.shape for n, v in fitted.tensors.items()} == shapes(SIZES, fusion.MEMBERS)
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


# --- from a CSV file and photos to a weight file ---

COUNT = 60


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
    (root / "told.csv").write_text(text)
    return root


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusion, "EPOCHS", 12)
    monkeypatch.setattr(fitting, "LADDER_PHOTOS", 2)
    monkeypatch.setattr(fitting, "POCKET_SHOTS", 4)


def measure_in(folder: Path):
    """What `Run.measured` does, with a cache in the folder that all tests share."""
    settings = Settings(folder / "cache", folder, device="cpu", jobs=2)

    def measured(blocks, shots, spoil=None):
        decoder = decoder_fingerprint() + (spoil.fingerprint if spoil else "")
        cache = Cache(settings.cache_dir, pytest.fail)
        yield from measure(shots, blocks, cache, settings, decode=spoil, decoder=decoder)
        cache.close()

    return measured


def run(monkeypatch: pytest.MonkeyPatch, cache: Path, *words: str) -> int:
    monkeypatch.setenv("IQ_CACHE_DIR", str(cache))
    monkeypatch.setattr(sys, "argv", ["iq", *words])
    return cli.run()


def test_iq_train_fusion_from_end_to_end(
    album: Path, small, monkeypatch, tmp_path: Path, capsys
) -> None:
    output = tmp_path / "mine.safetensors"
    words = ("train", "fusion", str(album / "told.csv"), "-o", str(output))
    more = ("--mos-range", "1:5", "--scene", "scene")
    assert run(monkeypatch, album / "cache", *words, *more) == Exit.SOME_FAILED
    told = capsys.readouterr()
    assert told.out == ""
    assert "SRCC" in told.err and "62 photos: 60 used, 2 could not be read" in told.err
    model = registry.load(str(output))
    assert model.head.info["model"] == "mine"
    assert [block.name for block in model.blocks] == ["brisque", "photometry", "tiles"]
    # The file rates photos, from the command line too.
    words = ("score", str(album / "00.png"), str(album / "55.png"), "-m", str(output))
    assert run(monkeypatch, album / "cache", *words, "--format", "csv") == Exit.DONE
    assert capsys.readouterr().out.count("mine") == 2


def test_a_trained_file_orders_the_photos(album: Path, small, tmp_path: Path) -> None:
    told = opinions.read(album / "told.csv", None, "1:5", None)
    output = tmp_path / "mine.safetensors"
    said: list[str] = []
    report = fitting.fit_fusion(
        told, "photometry", "scene", output, "mine/1", measure_in(album), said.append
    )
    assert report.photos == COUNT and report.ladders == 2 * len(RUNGS)
    assert report.srcc > 0.6
    assert len(said) == fusion.MEMBERS
    model = registry.load(str(output))
    wanted = [row.shot for row in told.rows]
    found = [each for each in measure_in(album)(model.blocks, wanted) if each.blocks]
    scores = [rating.score for rating in model.rate([each.blocks for each in found])]
    names = [int(each.shot.path.stem) for each in found]
    assert spearmanr(scores, names).statistic < -0.8


def test_each_photo_is_learnt_with_its_own_vector(
    album: Path, small, monkeypatch, tmp_path: Path
) -> None:
    """Vectors were found by their place in a shuffled split: each photo got another's."""
    caught: list[Lessons] = []

    def stop(given: Lessons, *_: object) -> None:
        caught.append(given)
        raise IqError("enough")

    monkeypatch.setattr(fusion, "fit", stop)
    told = opinions.read(album / "told.csv", None, "1:5", None)
    measured = measure_in(album)
    with pytest.raises(IqError, match="enough"):
        fitting.fit_fusion(
            told, "photometry", "scene", tmp_path / "x", "x", measured, lambda _: None
        )
    (given,) = caught
    assert len(given.opinions) == COUNT and not (tmp_path / "x").exists()
    readable = [row for row in told.rows if row.row["image"] not in ("absent.png", "broken.png")]
    block = registry.BLOCKS["photometry"]
    for k, row in enumerate(readable):
        assert given.opinions[k] == pytest.approx(row.value)
        if k % 6 == 0:
            (own,) = measured([block], [row.shot])
            np.testing.assert_array_equal(given.blocks["photometry"][k], own.blocks["photometry"])
    labels = [row.row["scene"] for row in readable]
    for one in range(COUNT):
        same = [labels[other] == labels[one] for other in range(COUNT)]
        assert (given.scenes == given.scenes[one]).tolist() == same
    fault, rung = 1, 2
    name = list(RUNGS)[fault]
    for place, base in enumerate(given.bases):
        (copy,) = measured([block], [readable[base].shot], Spoilt(name, rung))
        ladder = given.ladders["photometry"][place, fault, rung]
        np.testing.assert_array_equal(ladder, copy.blocks["photometry"])
    assert (given.opinions[given.bases] >= np.median(given.opinions)).all()


def test_training_refuses_what_it_cannot_learn_from(album: Path, monkeypatch, tmp_path) -> None:
    told = opinions.read(album / "told.csv", None, "1:5", None)
    output = tmp_path / "x.safetensors"

    def refused(blocks: str, scene: str | None, rows: int = len(told.rows)) -> str:
        given = replace(told, rows=told.rows[:rows])
        with pytest.raises(IqError) as caught:
            fitting.fit_fusion(given, blocks, scene, output, "x", measure_in(album), lambda _: None)
        assert not output.exists()
        return str(caught.value)

    assert "'clip'" in refused("photometry,clip", None)
    assert "too few to fit on" in refused("photometry", None, rows=20)
    assert "no column 'burst'" in refused("photometry", "burst")
    one_scene = [replace(row, row={**row.row, "scene": "a"}) for row in told.rows]
    told = replace(told, rows=tuple(one_scene))
    assert "too few scenes" in refused("photometry", "scene")
    monkeypatch.setattr(
        fitting, "BLOCKS", {"photometry": registry.BLOCKS["photometry"], "hole": Hole()}
    )
    assert "block hole" in refused("hole", None)


class Hole:
    """A block that is defined for no picture; stands in for tiles of thumbnails."""

    name, size, fingerprint = "hole", 3, "hole-1"

    def prepare(self, views):
        return np.zeros(3, np.float32)

    def forward(self, batch, device):
        return np.full((len(batch), 3), np.nan, np.float32)


# --- ladders ---


def test_a_spoilt_reading_is_the_same_each_time_and_is_worse() -> None:
    data = (FOLDER / "motorcycle_left.png").read_bytes()
    clean = read_photo(data, max_megapixels=250)[1].detail.astype(float)
    for fault in RUNGS:
        rungs = [Spoilt(fault, rung)(data, max_megapixels=250)[1].detail for rung in range(3)]
        again = Spoilt(fault, 1)(data, max_megapixels=250)[1].detail
        np.testing.assert_array_equal(rungs[1], again)
        apart = [np.abs(rung - clean).mean() for rung in rungs]
        assert apart == sorted(apart) and apart[0] > 0.5, fault
    prints = {Spoilt(fault, rung).fingerprint for fault in RUNGS for rung in range(3)}
    assert len(prints) == 3 * len(RUNGS)


def test_pocket_shots_hold_no_picture() -> None:
    frames = pocket_shots(12)
    assert len(frames) == 12 and all(frame.dtype == np.uint8 for frame in frames)
    np.testing.assert_array_equal(frames[7], pocket_shots(12)[7])
    calm = [cv2.GaussianBlur(frame, (0, 0), 8)[64:-64, 64:-64] for frame in frames]
    assert max(np.ptp(frame.reshape(-1, 3), axis=0).max() for frame in calm) < 12
