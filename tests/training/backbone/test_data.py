"""What a step sees: views, groups of versions, the bank of them, photos, and what is held out."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.drawn_scenes import photo
from support.small_backbone import SIDE, make_small, small_data

from iqcli.errors import IqError
from iqcli.extractors.mini_crops import mosaic, whole
from iqcli.training.backbone import data as module
from iqcli.training.backbone.data import BackboneBatches, BackboneData
from iqcli.training.backbone.framing import CENTRED, draw_framing, views_of
from iqcli.training.backbone.group_bank import GroupBank
from iqcli.training.backbone.groups import COUNT
from iqcli.training.config import BackboneConfig
from iqcli.training.dataset import HOLDOUT_ONE_IN, holdout_mask

if TYPE_CHECKING:
    from pathlib import Path

    from iqcli.records import Pixels


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch)


# --- views ---


def test_a_whole_loses_little_and_a_mosaic_nothing_of_its_scale() -> None:
    picture, random = photo("coffee.png"), np.random.default_rng(0)
    assert np.array_equal(views_of(picture, CENTRED)[0], whole(picture))
    framings = [draw_framing(random) for _ in range(12)]
    for framing in framings:
        view, pieces = views_of(picture, framing)
        if framing.mirrored:
            view, pieces = view[:, ::-1], pieces[:, ::-1]
        assert np.array_equal(pieces, mosaic(picture, framing.places))
        top, left, bottom, right = framing.frame
        assert 0 <= top < bottom <= 1 and 0 <= left < right <= 1
        assert 0.7 < (bottom - top) * (right - left) <= 1
        assert np.abs(view.astype(int) - whole(picture)).mean() < 40
    assert 0 < sum(each.mirrored for each in framings) < 12
    places = np.stack([each.places for each in framings])
    assert places.min() < 0.1 and places.max() > 0.9 and places.std(axis=0).min() > 0.1
    top, left, bottom, right = np.transpose([each.frame for each in framings])
    assert min((bottom - top).min(), (right - left).min()) < 0.9
    assert min(np.ptp(top), np.ptp(left)) > 0.05


# --- the bank ---


def bank_of(folder: Path, **changes: object) -> GroupBank:
    picture = photo("coffee.png")[:160, :160]

    def draw(random: np.random.Generator) -> Pixels:
        left = int(random.integers(40))
        return picture[:, left : left + 100]

    given = {"shards": 3, "shard": 2, "refresh": 4, "seed": 5, "workers": 1, "draw": draw}
    return GroupBank(folder, **given | changes)


@pytest.mark.usefixtures("small")
def test_a_bank_is_a_function_of_the_step(tmp_path: Path) -> None:
    """Also of one that had gone on: its older shards are made anew, as they were."""
    bank, again = bank_of(tmp_path / "a"), bank_of(tmp_path / "b", workers=2)
    wanted = []
    for step in range(10):
        bank.prepare(step, print)
        wanted.append(bank.batch(step, 2))
    assert sorted(each.stem for each in (tmp_path / "a").iterdir()) == [
        "000002",
        "000003",
        "000004",
    ]
    for step in (9, 3, 5):
        again.prepare(step, print)
        found = again.batch(step, 2)
        for name in ("views", "margins", "slacks", "kinds"):
            np.testing.assert_array_equal(getattr(found, name), getattr(wanted[step], name))


@pytest.mark.usefixtures("small")
def test_each_group_of_a_bank_comes_once_before_any_twice(tmp_path: Path) -> None:
    bank = bank_of(tmp_path, refresh=100)
    bank.prepare(0, print)
    found = [bank.batch(step, 2).views.tobytes() for step in range(6)]
    assert len({*found[:3]}) == len({*found[3:]}) == 3
    seen = [each for step in range(3) for each in bank.batch(step, 2).views]
    assert len({each.tobytes() for each in seen}) == 6


# --- photos ---


@pytest.fixture(scope="module")
def decoded(tmp_path_factory: pytest.TempPathFactory) -> BackboneData:
    return small_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def given(decoded: BackboneData, small: None) -> BackboneData:
    return decoded


def batches_of(given: BackboneData, tmp_path: Path, **changes: object) -> BackboneBatches:
    config = replace(BackboneConfig(), photos=3, groups=2, shards=2, shard=2, refresh=9, **changes)
    bank = bank_of(tmp_path / "groups", shards=2, shard=2, refresh=9)
    bank.prepare(0, print)
    return BackboneBatches(given, bank, config)


def test_a_batch_depends_on_the_seed_and_the_step_alone(
    given: BackboneData, tmp_path: Path
) -> None:
    one, again = batches_of(given, tmp_path)[5], batches_of(given, tmp_path)[5]
    for field in fields(one):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(again, field.name))
    assert not np.array_equal(one.views, batches_of(given, tmp_path, seed=5)[5].views)
    assert not np.array_equal(one.views, batches_of(given, tmp_path)[6].views)


def test_a_batch_holds_photos_pairs_and_groups(given: BackboneData, tmp_path: Path) -> None:
    batch = batches_of(given, tmp_path, pairs=2)[1]
    assert batch.views.shape == (3 + 2 * 2 + 2 * COUNT, 2, SIDE, SIDE, 3)
    assert batch.opinions.shape == (3,) and batch.gaps.shape == (2,) and (batch.gaps > 0).all()
    assert batch.margins.shape == batch.slacks.shape == (2, COUNT, COUNT)
    assert len(batch.kinds) == 2


def test_one_step_in_three_has_a_blank_frame_at_the_bottom(
    given: BackboneData, tmp_path: Path
) -> None:
    batches = batches_of(given, tmp_path)
    for step in range(6):
        batch = batches[step]
        assert (batch.opinions[2] == 1) == (step % 3 == 0)
        spread = batch.views[2].std(axis=(1, 2)).max()
        assert (spread < 25) == (step % 3 == 0), spread


def test_without_two_photos_of_a_scene_there_are_no_pairs(
    given: BackboneData, tmp_path: Path
) -> None:
    alone = replace(given, scenes=[str(k) for k in range(len(given.scenes))])
    batch = batches_of(alone, tmp_path)[1]
    assert batch.gaps.shape == (0,) and len(batch.views) == 3 + 2 * COUNT


def test_pairs_are_of_one_scene_and_never_held_out(given: BackboneData) -> None:
    assert given.pairs
    for better, worse in given.pairs:
        assert given.scenes[better] == given.scenes[worse] and not given.held_out[better]
        assert given.opinions[better] > given.opinions[worse]


def test_photos_that_people_hardly_tell_apart_are_no_pair(given: BackboneData) -> None:
    better = np.arange(len(given.opinions)) % 2 == 0
    for gap, is_pair in ((0.3, False), (0.5, True)):
        opinions = np.where(better, 5 + gap, 5).astype(np.float32)
        assert bool(replace(given, opinions=opinions).pairs) == is_pair


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The photos whose views are asked for, which are not made."""
    found: list[Path] = []
    monkeypatch.setattr(
        module.ViewStore, "__getitem__", lambda store, k: found.append(store.photos[k])
    )
    return found


def test_good_pictures_of_all_folders_and_liked_photos_are_drawn(
    given: BackboneData, drawn: list[Path]
) -> None:
    (good,) = given.good
    trained = [each for each in good.photos if not module._is_watched(each.name)]
    several = [replace(good, photos=trained[:1]), replace(good, photos=trained[1:])]
    data, random = replace(given, good=several), np.random.default_rng(0)
    for _ in range(400):
        data.draw(random)
    assert sum(each not in trained for each in drawn) == pytest.approx(0.42 * 400, abs=40)
    assert drawn.count(trained[0]) == pytest.approx(0.29 * 400, abs=40)


def test_the_best_of_the_photos_held_out_are_watched(
    given: BackboneData, drawn: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BEST_WATCHED", 1)
    opinions = np.arange(1, 1 + len(given.opinions), dtype=np.float32)
    replace(given, opinions=opinions, good=[]).watched()
    held_out = np.flatnonzero(given.held_out)
    assert len(held_out) > 1 and drawn == [given.photos.photos[held_out.max()]]


def test_nothing_held_out_is_drawn_and_nothing_drawn_is_watched(
    given: BackboneData, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Path] = []
    read = module.ViewStore.__getitem__
    monkeypatch.setattr(
        module.ViewStore,
        "__getitem__",
        lambda store, k: drawn.append(store.photos[k]) or read(store, k),
    )
    random = np.random.default_rng(0)
    for _ in range(80):
        given.draw(random)
    trained = {*drawn}
    good = {*given.good[0].photos}
    liked = {given.photos.photos[k] for k in given.liked}
    assert trained & good and trained & liked and trained <= good | liked
    assert not [k for k in given.liked if given.held_out[k] or given.opinions[k] < 7]
    drawn.clear()
    assert len(given.watched()) == len({*drawn})
    assert {*drawn} & good and not {*drawn} & trained
    held_out = {given.photos.photos[k] for k in np.flatnonzero(given.held_out)}
    assert {*drawn} - good and {*drawn} - good <= held_out


def test_without_good_pictures_liked_photos_are_degraded(given: BackboneData) -> None:
    alone, random = replace(given, good=[]), np.random.default_rng(0)
    shapes = {given.photos[k].shape for k in given.liked}
    assert {alone.draw(random).shape for _ in range(20)} <= shapes
    assert alone.watched()


def test_what_is_held_out_depends_on_the_name_of_the_scene_alone() -> None:
    scenes = [f"scene {k}" for k in range(600)]
    held = holdout_mask(scenes)
    assert 0.5 / HOLDOUT_ONE_IN < held.mean() < 1.5 / HOLDOUT_ONE_IN
    np.testing.assert_array_equal(holdout_mask(scenes[::-1]), held[::-1])
    np.testing.assert_array_equal(holdout_mask(scenes[37:45]), held[37:45])
    np.testing.assert_array_equal(holdout_mask(["a", *scenes, "b"])[1:-1], held)


def test_one_scene_cannot_be_split(given: BackboneData) -> None:
    with pytest.raises(IqError, match="too few scenes to hold some out"):
        replace(given, scenes=["one"] * len(given.scenes)).check()
