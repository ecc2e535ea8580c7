"""Means over equal parts of a picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from support.drawn_scenes import texture

from iqcli.extractors.area import area


@pytest.mark.parametrize(
    ("rows", "columns", "height", "width"),
    (
        (512, 683, 256, 341),  # whole rows
        (683, 512, 170, 128),  # whole columns
        (512, 768, 128, 192),  # both
        (683, 771, 170, 192),  # neither
        (64, 96, 64, 31),  # the rows stay
        (1, 600, 1, 150),
        (20, 2048, 32, 32),  # enlarged down: no means, but what OpenCV gives
    ),
)
def test_it_is_what_opencv_gives(rows: int, columns: int, height: int, width: int) -> None:
    picture = texture(1, rows, columns)
    for each in (picture, np.ascontiguousarray(picture[..., 0])):
        plane = each.astype(np.float32)
        expected = cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA)
        found = area(each, width, height)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-3)


def test_the_mean_of_an_even_picture_is_its_level() -> None:
    np.testing.assert_allclose(area(np.full((512, 683), 77, np.uint8), 341, 256), 77, rtol=1e-6)
