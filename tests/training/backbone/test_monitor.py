"""The figures of the curve, of scores that are known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.small_backbone import SIDE, drawn_network, make_small, small_data

from iqcli.distortions.bank import DISTORTIONS, LEVELS
from iqcli.training.backbone import monitor
from iqcli.training.backbone.monitor import MonitorBank, Scorer, evaluate, versions

if TYPE_CHECKING:
    from pathlib import Path

    from iqcli.training.backbone.data import BackboneData

TONES = {name: DISTORTIONS[name] for name in monitor.TONE}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch)
    few = TONES | {"jpeg": DISTORTIONS["jpeg"]}
    monkeypatch.setattr(monitor, "DISTORTIONS", few)


def test_tones_are_made_of_all_pictures_and_the_others_of_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture = np.random.default_rng(0).integers(60, 190, (96, 96, 3), np.uint8)
    first, second = dict(versions(0, picture)), dict(versions(1, picture))
    assert {name.split("/")[0] for name in first} >= {*DISTORTIONS}
    assert {name.split("/")[0] for name in second} & {*DISTORTIONS} == {*TONES}
    assert first["untouched/0"] is picture
    monkeypatch.setattr(monitor, "is_well_exposed", lambda picture: False)
    assert "fusion/0" in second and "fusion/0" not in dict(versions(1, picture))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> BackboneData:
    return small_data(tmp_path_factory.mktemp("data"))


@pytest.mark.usefixtures("small")
def test_versions_are_made_once(
    data: BackboneData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = MonitorBank.open(tmp_path / "watched", data, print)
    assert len(bank.files) == len(data.watched())
    monkeypatch.setattr(monitor, "versions", pytest.fail)
    scores = MonitorBank.open(tmp_path / "watched", data, pytest.fail).scores(
        Scorer(drawn_network(), "cpu", 2)
    )
    assert len(scores) == len(bank.files)
    assert all(1 <= score <= 10 for each in scores for score in each.values())


def judged(**changes: float) -> dict[str, float]:
    """The scores of one picture by a network whom every level costs a point."""
    found = {"untouched/0": 8.0, "fusion/0": 7.5}
    found |= {f"{name}/{n}": 8.0 - n for name in DISTORTIONS for n in range(1, LEVELS + 1)}
    found |= {f"stops/{n}": 8.0 - abs(n) for n in (-3, -2, -1, 1, 2, 3)}
    return found | changes


def test_a_perfect_judge_has_perfect_figures() -> None:
    ladders = monitor._ladder_figures([judged(), judged()])
    series = monitor._series_figures([judged()])
    assert {*ladders.values()} == {1.0} and {*series.values()} == {1.0}
    assert {f"{name}_{kind}" for name in TONES for kind in ("rank", "wins")} < {*ladders}


def test_what_a_judge_does_not_see_shows_where_it_is() -> None:
    blind = judged(**{f"brighten/{n}": 8.0 for n in range(1, LEVELS + 1)})
    turned = judged(**{f"jpeg/{n}": 8.0 + n for n in range(1, LEVELS + 1)})
    ladders = monitor._ladder_figures([blind])
    assert (ladders["brighten_rank"], ladders["brighten_wins"], ladders["ladders"]) == (0, 0, 1)
    found = monitor._ladder_figures([turned])
    assert (found["ladders_least"], found["brighten_rank"]) == (-1, 1)
    assert found["ladder_wins"] == pytest.approx(1 - 1 / (len(DISTORTIONS) - len(TONES)))
    over = monitor._series_figures([judged(), judged(**{"stops/2": 8.5})])
    assert (over["beats_2"], over["under_2"], over["over_2"], over["fusion_2"]) == (
        0.5,
        1,
        0.5,
        0.5,
    )
    assert over["beats_1"] == over["beats_3"] == 1


def test_without_a_series_there_is_no_figure_of_one() -> None:
    bare = {name: score for name, score in judged().items() if name != "fusion/0"}
    assert all(math.isnan(value) for value in monitor._series_figures([bare]).values())


def test_the_figures_of_opinions_by_hand() -> None:
    score = np.array([3.0, 5.0, 6.0, 8.0], np.float32)
    wanted = np.array([2.0, 5.0, 7.0, 7.9], np.float32)
    doubt = np.array([1.0, 0.1, 1.0, 0.2], np.float32)
    found = monitor._opinion_figures(score, doubt, wanted, ["a", "a", "b", "b"])
    assert found["srcc"] == 1 and found["bias"] == pytest.approx(0.025, abs=1e-6)
    assert found["rmse"] == pytest.approx((2.01 / 4) ** 0.5, rel=1e-5)
    # The photos of b differ by 0.9 as well, and lead as people say.
    assert found["pairs_right"] == 1
    found = monitor._opinion_figures(score, doubt, wanted[::-1], ["a", "a", "b", "b"])
    assert (found["srcc"], found["pairs_right"]) == (-1, 0)


@pytest.mark.usefixtures("small", "one_thread")
def test_all_held_out_photos_are_scored(data: BackboneData, tmp_path: Path) -> None:
    bank = MonitorBank.open(tmp_path / "watched", data, print)
    found = evaluate(Scorer(drawn_network(), "cpu", 2), data, bank)
    assert {"srcc", "doubt_rank", "ladders", "beats_2", "short_mean", "mixed_most"} < {*found}
    assert np.isfinite(found["srcc"]) and found["short_most"] >= found["short_mean"] >= 0


@pytest.mark.usefixtures("small", "one_thread")
def test_a_score_does_not_depend_on_the_workers() -> None:
    network, random = drawn_network(), np.random.default_rng(0)
    views = random.integers(0, 256, (9, 2, SIDE, SIDE, 3), np.uint8)
    one, three = (Scorer(network, "cpu", workers)(views) for workers in (1, 3))
    np.testing.assert_array_equal(one[0], three[0])
    np.testing.assert_array_equal(one[1], three[1])
