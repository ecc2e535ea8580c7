"""The small grey picture, and what a photo is known again by."""

from __future__ import annotations

import cv2
import numpy as np
from support.drawn_scenes import blocks_of, own_view, photo, ramp

from iqcli.extractors.perceptual_hash import BLOCKS, COLOURS, extract, likeness_of
from iqcli.extractors.registry import BLOCKS as REGISTERED
from iqcli.extractors.schema import GREY, GRID
from iqcli.photos.views import views_of


def test_it_is_the_mean_of_equal_parts() -> None:
    found = extract(own_view(ramp())).reshape(GREY, GREY)
    assert found.shape == (GREY, GREY) and REGISTERED["grey"].size == found.size
    np.testing.assert_allclose(found, np.tile(np.arange(GREY) * 8 + 3.5, (GREY, 1)), atol=0.01)


def test_white_is_white_however_it_is_averaged() -> None:
    white = extract(views_of(np.full((48, 64, 3), 255, np.uint8), None))
    low, high = REGISTERED["grey"].within
    assert low <= white.min() and white.max() <= high  # or the cache would not know it


def test_a_picture_keeps_it_at_any_size() -> None:
    picture = photo("coffee.png")
    half = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    whole, small = (blocks_of(each, "grey")["grey"] for each in (picture, half))
    assert np.abs(whole - small).mean() < 1


def test_likeness_is_as_much_as_was_measured() -> None:
    blocks = blocks_of(photo("coffee.png"), *BLOCKS)
    found = likeness_of(blocks)
    assert found and found.grey is not None and found.colour is not None
    assert found.light.shape == (GRID * GRID,) and found.grey.shape == (GREY * GREY,)
    assert found.colour.shape == (len(COLOURS),)
    old = likeness_of({"tiles": blocks["tiles"]})
    assert old and old.grey is None and old.colour is None
    assert likeness_of({"grey": blocks["grey"]}) is None
    # Too small for tiles.
    assert likeness_of(blocks_of(np.zeros((20, 20, 3), np.uint8), *BLOCKS)) is None
