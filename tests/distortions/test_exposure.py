"""Exposure series in linear light."""

from __future__ import annotations

import numpy as np
import pytest

from iqcli.distortions.exposure import Response, draw_response, expose, fuse, is_well_exposed

RANDOM = np.random.default_rng(14)


@pytest.mark.parametrize("response", [Response(), Response(2.4, 2.5), draw_response(RANDOM)])
def test_light_and_codes_are_each_others_inverse(response: Response) -> None:
    codes = np.linspace(0, 1, 256)
    assert response.to_code(response.to_light(codes)) == pytest.approx(codes, abs=1e-3)


def test_a_stop_doubles_the_light_and_clips_white() -> None:
    picture = np.full((64, 64, 3), 100, np.uint8)
    response = Response()
    brighter = expose(picture, 1, response, RANDOM).mean() / 255
    assert brighter**2.2 == pytest.approx(2 * (100 / 255) ** 2.2, rel=0.02)
    assert (expose(picture, 4, response, RANDOM) == 255).all()


def test_a_series_only_gets_brighter_and_the_fusion_lies_inside() -> None:
    picture = _ramp()
    series = [expose(picture, stops, Response(2.2, 1.5), RANDOM) for stops in (-2, -1, 0, 1, 2)]
    means = [each.mean() for each in series]
    assert means == sorted(means)
    assert np.array_equal(series[2], picture)
    assert means[0] < fuse([series[0], series[2], series[4]]).mean() < means[4]


def test_dark_and_bright_pictures_are_not_well_exposed() -> None:
    picture = _ramp()
    assert is_well_exposed(picture)
    assert not is_well_exposed(expose(picture, 2.5, Response(), RANDOM))
    assert not is_well_exposed(expose(picture, -3, Response(), RANDOM))


def _ramp() -> np.ndarray:
    row = np.linspace(20, 235, 96).astype(np.uint8)
    return np.repeat(np.tile(row, (96, 1))[..., None], 3, axis=2)
