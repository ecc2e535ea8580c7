"""The two logistics, against plain fits by SciPy from the published starts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import curve_fit

from iqcli.evaluation import curves
from iqcli.evaluation.agreement import agreement
from iqcli.evaluation.curves import CURVES, fit_curve

FOUR, FIVE = CURVES


def sample(count: int, noise: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    opinions = random.uniform(1, 10, count)
    return np.clip(opinions + random.normal(0, noise, count), 1, 10), opinions


def vqeg(x, b1, b2, b3, b4):
    return (b1 - b2) / (1 + np.exp(-(x - b3) / np.abs(b4))) + b2


def sheikh(x, b1, b2, b3, b4, b5):
    return b1 * (0.5 - 1 / (1 + np.exp(b2 * (x - b3)))) + b4 * x + b5


def reference(name: str, scores: np.ndarray, y: np.ndarray) -> np.ndarray:
    """By the formula as it is printed, all parameters at once, from a usual start."""
    x = (scores - scores.mean()) / scores.std()
    if name == FOUR:
        return vqeg(x, *curve_fit(vqeg, x, y, [y.max(), y.min(), 0, 0.25], maxfev=50_000)[0])
    return sheikh(x, *curve_fit(sheikh, x, y, [np.ptp(y), 1, 0, 0.1, y.mean()], maxfev=50_000)[0])


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("seed", range(4))
def test_the_correlation_after_a_curve_is_scipys(name: str, seed: int) -> None:
    scores, opinions = sample(80, 1.5, seed)
    scores = 100 * np.exp(scores / 4)  # a scale of its own, bent
    expected = stats.pearsonr(reference(name, scores, opinions), opinions)[0]
    found = agreement(scores, opinions)
    assert found.fits[name].failure is None
    assert found.figures[name].value == pytest.approx(expected, abs=1e-4)
    assert found.figures[name].value > found.figures["plcc"].value + 0.01


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("noise", (0.01, 1.0))
def test_a_line_is_as_good_after_a_curve_as_before(name: str, noise: float) -> None:
    """A search for all parameters at once goes on for ever, and the figure fell back unseen."""
    random = np.random.default_rng(5)
    scores = random.uniform(1, 10, 500)
    opinions = 0.5 * scores + random.normal(2, noise, 500)
    found = agreement(scores, opinions)
    assert found.fits[name].failure is None and found.fits[name].rises
    assert 0 <= found.figures[name].value - found.figures["plcc"].value < 0.002


def test_a_known_curve_is_recovered() -> None:
    scores = np.linspace(1, 10, 60)
    four, five = vqeg(scores, 9, 2, 4, 0.8), sheikh(scores, 5, 1.5, 4, 0.3, 3)
    for name, opinions in ((FOUR, four), (FIVE, five)):
        fit = fit_curve(name, scores, opinions)
        assert fit.failure is None and fit.rises
        np.testing.assert_allclose(fit.mapped, opinions, atol=1e-4)
    # The fifth parameter is a slope that the curve of four has not.
    assert np.abs(fit_curve(FOUR, scores, five).mapped - five).max() > 0.05


@pytest.mark.parametrize("name", CURVES)
def test_the_mapping_does_not_care_for_the_unit_of_the_scores(name: str) -> None:
    scores, opinions = sample(60, 1.5)
    one, other = (fit_curve(name, each, opinions).mapped for each in (scores, scores * 1000 - 7e5))
    np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.parametrize("name", CURVES)
def test_a_step_is_fitted_without_overflow(name: str) -> None:
    scores = np.arange(40.0)
    opinions = np.where(scores < 20, 2.0, 8.0)
    fit = fit_curve(name, scores, opinions)
    assert fit.failure is None and np.isfinite(fit.mapped).all()
    np.testing.assert_allclose(fit.mapped, opinions, atol=0.1)


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_that_turns_the_scores_round_is_not_taken_for_their_merit(name: str) -> None:
    scores, opinions = sample(60)
    fit = fit_curve(name, -scores, opinions)
    assert fit.failure is None and not fit.rises
    assert stats.pearsonr(fit.mapped, opinions)[0] > 0.8
    assert fit_curve(name, scores, opinions).rises


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("seed", range(6))
def test_a_curve_is_found_for_opinions_of_two_kinds(name: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    scores, opinions = np.exp(random.normal(size=81)), 1 + 9.0 * (random.random(81) < 1 / 3)
    fit = fit_curve(name, scores, opinions)
    assert fit.failure is None
    assert ((fit.mapped - opinions) ** 2).mean() < opinions.var()


# --- no curve ---


def test_where_no_search_ends_the_raw_figure_stands_and_it_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scores, opinions = sample(50)

    monkeypatch.setattr(curves, "MOST", 2)
    found = agreement(scores, opinions)
    for name in CURVES:
        assert found.fits[name].failure == "the search for it did not end"
        assert found.figures[name] == found.figures["plcc"]


@pytest.mark.parametrize(("name", "least"), [(FOUR, 8), (FIVE, 10)])
def test_a_curve_wants_two_photos_a_parameter(name: str, least: int) -> None:
    assert fit_curve(name, *sample(least - 1)).failure == f"it needs {least} photos"
    assert fit_curve(name, *sample(least)).failure is None


@pytest.mark.parametrize("name", CURVES)
def test_scores_that_differ_by_rounding_alone_have_no_curve(name: str) -> None:
    opinions = sample(50)[1]
    scores = 5 + 1e-9 * opinions
    assert fit_curve(name, scores, opinions).failure == "the scores are all alike"
    level = fit_curve(name, opinions, np.full(50, 5.0))
    assert level.failure == "the nearest one is level"
