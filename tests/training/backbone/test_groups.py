"""Groups of versions of one picture: which must win, by how much, and what of them is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.drawn_scenes import photo
from support.small_backbone import SIDE, make_small

from iqcli.training.backbone import groups
from iqcli.training.backbone.groups import (
    COUNT,
    FUSION_SLACK,
    OVER_COST,
    SHOWN,
    SLACK,
    SLACK_EACH,
    TONE,
    TONE_COST,
    UNDER_COST,
    draw_group,
    shown_kind,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from iqcli.records import Pixels
    from iqcli.training.backbone.groups import Group


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch)


@pytest.mark.usefixtures("small")
def test_groups_demand_no_more_than_they_allow() -> None:
    random = np.random.default_rng(2)
    picture = random.integers(60, 190, (160, 200, 3), np.uint8)
    kinds = set()
    for _ in range(60):
        group = draw_group(lambda: picture, random)
        kinds.add(group.kind)
        assert group.views.shape == (COUNT, 2, SIDE, SIDE, 3)
        both = np.isfinite(group.margins) & np.isfinite(group.slacks)
        assert (group.margins[both] < group.slacks[both]).all()
        assert not (np.isfinite(group.margins) & np.isfinite(group.margins.T)).any()
    assert {"bracket", "under", "over", "brighten"} <= kinds


@pytest.mark.usefixtures("small")
def test_a_dark_picture_has_no_exposure_series() -> None:
    random, dark = np.random.default_rng(3), np.full((96, 96, 3), 20, np.uint8)
    kinds = {draw_group(lambda: dark, random).kind for _ in range(40)}
    assert not {"bracket", "under", "over"} & kinds


@pytest.mark.usefixtures("small")
def test_the_versions_of_a_group_are_seen_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Same cut, same pieces, same way round: else the crop and not the fault would be learnt."""
    same: Callable[..., Pixels] = lambda picture, level, seed: picture  # noqa: E731
    monkeypatch.setattr(groups, "DISTORTIONS", dict.fromkeys(groups.DISTORTIONS, same))
    monkeypatch.setattr(groups, "ladder_cost", lambda name: 0.5)
    monkeypatch.setattr(groups, "is_well_exposed", lambda picture: False)
    random, picture = np.random.default_rng(3), photo("coffee.png")
    for _ in range(6):
        views = draw_group(lambda: picture, random).views
        assert (views == views[0]).all()


def test_the_curve_names_tones_and_exposure() -> None:
    assert {shown_kind(name) for name in TONE} == {*TONE}
    assert shown_kind("over") == "over" and shown_kind("jpeg") == "other"
    assert "other" not in SHOWN


# --- which must win ---


def drawn(kind: str, monkeypatch: pytest.MonkeyPatch) -> list[Group]:
    """Some groups of a kind of a smooth picture in the middle, in full and not through JPEG."""
    monkeypatch.setattr(groups, "views_of", lambda picture, framing: picture)
    monkeypatch.setattr(groups, "_finished", lambda versions, random: versions)
    across = np.linspace(70, 170, 48)
    picture = np.stack([across + np.linspace(-20, 20, 40)[:, None]] * 3, axis=2).astype(np.uint8)
    random, found = np.random.default_rng(4), []
    while len(found) < 4:
        group = draw_group(lambda: picture, random)
        found += [group] if group.kind == kind else []
    return found


def lights(group: Group) -> list[float]:
    return [float(each.mean()) for each in group.views]


@pytest.mark.parametrize(
    ("kind", "sign", "cost"),
    [
        ("over", 1, OVER_COST),
        ("under", -1, UNDER_COST),
        ("brighten", 1, TONE_COST),
        ("darken", -1, TONE_COST),
    ],
)
def test_each_version_beats_those_further_to_one_side(
    kind: str, sign: int, cost: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    for group in drawn(kind, monkeypatch):
        assert (sign * np.diff(lights(group)) > 0).all()
        wins = np.isfinite(group.margins)
        assert np.array_equal(wins, np.triu(np.ones((COUNT, COUNT), bool), 1))
        assert np.array_equal(wins, np.isfinite(group.slacks))
        apart = (group.slacks - SLACK) / SLACK_EACH
        # From one end to the other there are two to five levels, or 2.15 to 3.15 stops.
        assert 2 < apart[0, 3] < 5
        np.testing.assert_allclose(group.margins, apart * cost, rtol=1e-5)
        assert apart[0, 3] == pytest.approx(apart[0, 1] + apart[1, 2] + apart[2, 3], rel=1e-5)


def test_in_a_bracket_the_middle_and_the_fusion_beat_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for group in drawn("bracket", monkeypatch):
        middle, dark, bright, fused = lights(group)
        assert dark < min(middle, fused) and bright > max(middle, fused)
        wins = np.isfinite(group.margins)
        assert {tuple(each) for each in np.argwhere(wins)} == {(0, 1), (0, 2), (3, 1), (3, 2)}
        assert 0.7 * UNDER_COST <= group.margins[0, 1] <= 2.5 * UNDER_COST
        assert 0.7 * OVER_COST <= group.margins[0, 2] <= 2.5 * OVER_COST
        np.testing.assert_allclose(group.margins[3, 1:3], 0.6 * group.margins[0, 1:3], rtol=1e-6)
        assert group.slacks[0, 3] == np.float32(FUSION_SLACK)


def test_half_of_the_groups_go_through_one_jpeg() -> None:
    random, versions = np.random.default_rng(5), [photo("coffee.png")[:64, :64]] * COUNT
    found = [groups._finished(versions, random) for _ in range(60)]
    changed = [not np.array_equal(each[0], versions[0]) for each in found]
    assert 20 < sum(changed) < 40
    for each in found:
        assert all(np.array_equal(version, each[0]) for version in each)
    assert len({each[0].tobytes() for each in found}) > 10
