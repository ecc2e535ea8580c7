"""What the held-out photos say of a model: the doubt that is fitted on them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from iqcli.models.fusion import FEATURES, LEAST, Doubt, features
from iqcli.training.holdout import MOST_POINTS, fit_doubt


def held_out(count: int, seed: int) -> tuple[np.ndarray, ...]:
    """Scores, the variance that members expect and their spread, which say nothing, and errors
    that are wide in the middle of the scale and at its low end."""
    random = np.random.default_rng(seed)
    scores = random.uniform(2, 9, count).astype(np.float32)
    variance, spread = random.lognormal(0, 0.3, (2, count)).astype(np.float32)
    wide = 0.05 * (10 - scores) * (1 + scores / 5)
    return scores, variance, spread, np.abs(random.normal(0, wide)).astype(np.float32)


def fitted(scores: np.ndarray, *others: np.ndarray) -> Doubt:
    *variances, error = others
    return fit_doubt(features(scores, *variances), error)


def test_intervals_hold_for_the_sure_and_for_the_unsure() -> None:
    doubt = fitted(*held_out(1500, 1))
    scores, variance, spread, error = held_out(6000, 2)
    sigma = doubt.deviations(scores, variance, spread)
    assert spearmanr(sigma, error).statistic > 0.3
    assert len(doubt.errors) > 3
    for third in np.array_split(np.argsort(sigma, kind="stable"), 3):
        assert (error <= 1.645 * sigma)[third].mean() == pytest.approx(0.9, abs=0.03)


def test_the_curve_never_falls() -> None:
    """Nor where those with the largest expected error erred least."""
    scores, variance, spread, error = held_out(1500, 3)
    error = np.where(error > 0.6, 0.01, error)
    doubt = fitted(scores, variance, spread, error)
    assert (np.diff(doubt.sigmas) >= 0).all() and (np.diff(doubt.errors) > 0).all()
    assert len(np.unique(doubt.sigmas)) < len(doubt.sigmas) <= MOST_POINTS


@pytest.mark.parametrize("count", (1, 2, 5, 60))
def test_few_photos_tell_some_difference(count: int) -> None:
    doubt = fitted(*held_out(count, 4))
    scores, variance, spread, _ = held_out(20, 5)
    sigma = doubt.deviations(scores, variance, spread)
    assert np.isfinite(sigma).all() and (sigma > 0).all()
    # One photo tells how large an error is, sixty also where.
    assert (len(np.unique(sigma)) > 1) == (count > 1)
    if count == 60:
        assert np.corrcoef(sigma, (10 - scores) * (1 + scores / 5))[0, 1] > 0.5


def test_no_photo_tells_nothing() -> None:
    doubt = fitted(*held_out(0, 4))
    scores, variance, spread, _ = held_out(20, 5)
    assert (doubt.deviations(scores, variance, spread) == 1).all()


def test_nine_in_ten_of_few_photos_are_not_fewer() -> None:
    """Of ten photos the next one lies within the largest error with a chance of 10 in 11."""
    error = np.arange(1.0, 11, dtype=np.float32)
    doubt = fit_doubt(np.ones((10, FEATURES), np.float32), error)
    assert 1.645 * doubt.sigmas[0] == pytest.approx(9.91, abs=0.01)


def test_photos_without_any_error_still_leave_some_doubt() -> None:
    scores, variance, spread, error = held_out(300, 7)
    doubt = fitted(scores, variance, spread, 0 * error)
    assert (doubt.deviations(scores, variance, spread) == LEAST).all()
    same = fit_doubt(np.ones((300, FEATURES), np.float32), error)
    assert same.sigmas.shape == (1,) and np.isfinite(same.weights).all()
