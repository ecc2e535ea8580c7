"""Bootstraps and intervals of shares: as resampling by hand, and honest where nothing is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from iqcli.evaluation import agreement, intervals
from iqcli.evaluation.intervals import Figure, bootstrap, mean, mean_share, resampled, share, wins


@pytest.fixture(autouse=True)
def fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "RESAMPLES", 100)


def draws(count: int) -> np.ndarray:
    """The resamples as they were always drawn: one after the other."""
    random = np.random.default_rng(intervals.SEED)
    return np.array([random.integers(0, count, count) for _ in range(intervals.RESAMPLES)])


def tied(count: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    opinions = random.uniform(1, 10, count)
    return np.round(np.stack([opinions + random.normal(0, 2, count), opinions], axis=1), 1)


REFERENCES = {
    "plcc": lambda x, y: stats.pearsonr(x, y)[0],
    "srcc": lambda x, y: stats.spearmanr(x, y)[0],
    "krcc": lambda x, y: stats.kendalltau(x, y)[0],
    "rmse": lambda x, y: math.sqrt(((x - y) ** 2).mean()),
    "mae": lambda x, y: np.abs(x - y).mean(),
}


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("cells", (50, 4_000_000))
def test_a_measure_of_weights_is_that_of_the_resample(
    name: str, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever number of resamples is held at once."""
    monkeypatch.setattr(intervals, "CELLS", cells)
    rows = tied(40)
    found = resampled(rows, getattr(agreement, name))
    expected = [REFERENCES[name](*rows[draw].T) for draw in draws(40)]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_kendalls_pairs_are_the_same_with_many_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tied(60)
    few = resampled(rows, agreement.krcc)
    monkeypatch.setattr(agreement, "FEW_PAIRS", 10)
    np.testing.assert_allclose(resampled(rows, agreement.krcc), few, atol=1e-12)


def test_the_bootstrap_interval_covers_the_mean_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    hits = 0
    for _ in range(100):
        figure = bootstrap(random.normal(3, 1, 40), mean)
        hits += figure.low <= 3 <= figure.high
    assert 85 <= hits <= 99


# --- nothing is known ---


@pytest.mark.parametrize("name", ("plcc", "srcc", "krcc"))
@pytest.mark.parametrize("others", (1, 2, 3))
def test_scores_that_hardly_differ_have_a_correlation_without_an_interval(
    name: str, others: int
) -> None:
    """Too many resamples lack the few photos that differ: what is left over would look precise."""
    rows = tied(200)
    rows[:, 0] = 5.0
    rows[:others, 0] = rows[:others, 1]
    figure = bootstrap(rows, getattr(agreement, name))
    assert figure.value == pytest.approx(REFERENCES[name](*rows.T), abs=1e-12)
    assert math.isnan(figure.low) and math.isnan(figure.high) and not figure.has_interval
    rows[:20, 0] = rows[:20, 1]
    assert bootstrap(rows, getattr(agreement, name)).has_interval


def test_differences_by_rounding_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tied(50)
    rows[:, 0] = 5 + 1e-9 * rows[:, 1]
    assert not agreement.can_correlate(rows[:, 0], rows[:, 1])
    for name in ("plcc", "srcc", "krcc"):
        assert math.isnan(bootstrap(rows, getattr(agreement, name)).value)
    rows[0, 0] = 6.0  # all that differs by more
    assert agreement.can_correlate(rows[:, 0], rows[:, 1])
    known = np.isfinite(resampled(rows, agreement.srcc))
    assert known.tolist() == (draws(50) == 0).any(axis=1).tolist()


def test_a_perfect_order_of_a_few_photos_has_no_interval_of_no_width() -> None:
    rows = np.stack([np.arange(9.0), np.arange(9.0) ** 2], axis=1)
    for name in ("srcc", "krcc"):
        figure = bootstrap(rows, getattr(agreement, name))
        assert figure.value == pytest.approx(1) and not figure.has_interval, name
    assert bootstrap(rows, agreement.plcc).has_interval


def test_three_photos_are_too_few_for_an_interval_and_five_are_not() -> None:
    for count, known in ((3, False), (5, True)):
        rows = np.stack([np.arange(count), np.roll(np.arange(count), 1)], axis=1).astype(float)
        assert bootstrap(rows, agreement.srcc).has_interval is known


# --- shares ---


@pytest.mark.parametrize(("hits", "count"), [(0, 17), (17, 17), (1, 20), (7, 30), (1, 1)])
def test_the_intervals_of_a_share_are_scipys(hits: int, count: int) -> None:
    test = stats.binomtest(hits, count)
    for found, method in (
        (share(hits, count), "exact"),
        (mean_share(np.arange(count) < hits), "wilson"),
    ):
        expected = test.proportion_ci(0.95, method)
        assert found.value == pytest.approx(hits / count)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_half_a_hit_lies_between_none_and_one() -> None:
    ahead = np.array([2.0, 0.0, -1.0, 3.0])
    assert wins(ahead).tolist() == [1, 0.5, 0, 1]
    ends = [mean_share(wins(np.array([2.0, last, -1.0, 3.0]))) for last in (-1, 0, 1)]
    assert [each.value for each in ends] == [0.5, 0.625, 0.75]
    assert ends[0].low < ends[1].low < ends[2].low and ends[0].high < ends[1].high < ends[2].high


def test_a_share_of_nothing_is_not_defined() -> None:
    for found in (share(0, 0), mean_share(np.array([]))):
        assert math.isnan(found.value) and not found.has_interval


def test_an_interval_of_all_or_nothing_ends_there() -> None:
    assert mean_share(np.ones(7)).high == 1 and mean_share(np.zeros(7)).low == 0
    assert Figure(1, 0.5, 1).has_interval
