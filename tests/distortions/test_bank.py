"""The bank of distortions: steps that only get worse, and the traps of published tables."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from support.drawn_scenes import photo, plain

from iqcli.distortions.bank import DISTORTIONS, FAULT_COST, LEVELS, STYLE_COST
from iqcli.photos.views import views_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from iqcli.records import Pixels

NATURAL = ("astronaut.png", "chelsea.png", "coffee.png")
NAMES = sorted(DISTORTIONS)


@cache
def head(name: str) -> Pixels:
    """A natural picture as the head view of a file, which nobody may write to."""
    pixels = views_of(photo(name)).scoring.copy()
    pixels.setflags(write=False)
    return pixels


@cache
def ladder(distortion: str, name: str, seed: int = 3) -> tuple[Pixels, ...]:
    return tuple(DISTORTIONS[distortion](head(name), level, seed) for level in range(LEVELS + 1))


def squared(one: Pixels, other: Pixels) -> float:
    return float(((one.astype(np.float64) - other) ** 2).mean())


def test_there_are_the_24_published_ones_and_the_faults_of_phones() -> None:
    assert len(DISTORTIONS) == 33
    assert {each.cost for each in DISTORTIONS.values()} == {FAULT_COST, STYLE_COST}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_each_level_is_further_from_the_picture(name: str) -> None:
    """Level 1 of some published tables is the picture itself: a tie that nothing can learn from."""
    for which in NATURAL:
        whole, *copies = ladder(name, which)
        np.testing.assert_array_equal(whole, head(which))
        apart = [0.0, *(squared(copy, head(which)) for copy in copies)]
        assert np.all(np.diff(apart) > 0), (which, apart)
        assert apart[1] > 0.5, (which, apart)  # seen, not only counted


def test_a_copy_is_a_picture_like_the_first_and_leaves_it_alone() -> None:
    picture = np.ascontiguousarray(head("chelsea.png")[:200, :300])
    before = picture.copy()
    for name, distort in DISTORTIONS.items():
        for level in (0.3, 1, 2.5, 5):
            copy = distort(picture, level, 5)
            assert copy.shape == picture.shape and copy.dtype == np.uint8, name
            assert copy.flags.c_contiguous and not np.shares_memory(copy, picture), name
        np.testing.assert_array_equal(picture, before, name)


def test_the_same_seed_gives_the_same_copy() -> None:
    picture = np.ascontiguousarray(head("coffee.png")[:160, :160])
    for name, distort in DISTORTIONS.items():
        np.testing.assert_array_equal(distort(picture, 3, 11), distort(picture, 3, 11), name)


def test_another_seed_gives_another_copy_where_chance_is_at_work() -> None:
    picture = np.ascontiguousarray(head("coffee.png")[:160, :160])
    steady = {
        name
        for name, distort in DISTORTIONS.items()
        if all((distort(picture, 3, seed) == distort(picture, 3, 0)).all() for seed in range(1, 6))
    }
    assert steady == {
        *("gaussian_blur", "lens_blur", "color_diffusion", "desaturation", "oversaturation"),
        *("jpeg", "jpeg2000", "brighten", "darken", "pixelate", "quantization", "sharpening"),
        *("tone_curve", "under_exposure", "over_exposure", "over_sharpening", "beauty", "haze"),
    }


def test_levels_between_two_steps_lie_between_them() -> None:
    """Ladders of a training stand at any level; what is between must not jump out."""
    picture = head("astronaut.png")
    for name, distort in DISTORTIONS.items():
        low, middle, high = (squared(distort(picture, level, 3), picture) for level in (2, 2.5, 3))
        # Whole numbers of patches and of JPEG's quality leave some room.
        assert 0.97 * low <= middle <= 1.03 * high, name


SMALL = {
    "a thumbnail": np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8),
    "a small picture": np.random.default_rng(2).integers(0, 256, (30, 40, 3), np.uint8),
    "upright": np.random.default_rng(3).integers(0, 256, (40, 30, 3), np.uint8),
    "a dot": np.full((1, 1, 3), 77, np.uint8),
    "a strip": np.random.default_rng(4).integers(0, 256, (2, 300, 3), np.uint8),
    "flat": plain(128, 96, 128),
    "black": plain(0, 96, 128),
    "white": plain(255, 96, 128),
    "grey": cv2.cvtColor(photo("camera.png")[:96, :128, 0], cv2.COLOR_GRAY2RGB),
}


@pytest.mark.parametrize("kind", SMALL)
def test_tiny_and_empty_pictures_are_distorted_too(kind: str, capfd: pytest.CaptureFixture) -> None:
    """JPEG 2000, patches and haze failed on a side that was too short for them."""
    picture = SMALL[kind].copy()
    for name, distort in DISTORTIONS.items():
        for level in (0.01, 1, 5):
            copy = distort(picture, level, 7)
            assert copy.shape == picture.shape and copy.dtype == np.uint8, name
            np.testing.assert_array_equal(picture, SMALL[kind])
    assert capfd.readouterr().err == ""


# --- the traps: levels that change sign on the way are not monotone in quality ---


def _warmth(copy: Pixels) -> float:
    return float(copy[..., 0].mean(dtype=float) - copy[..., 2].mean(dtype=float))


@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("mean_shift", lambda copy: copy.astype(float).mean()),
        ("contrast", lambda copy: copy.astype(float).std()),
        ("white_balance", _warmth),
    ],
)
@pytest.mark.parametrize("which", NATURAL)
def test_a_ladder_with_a_sign_goes_one_way(
    name: str, measure: Callable[[Pixels], float], which: str
) -> None:
    """Means, contrasts and casts go up or down, never both; which way is drawn once a ladder."""
    ways = set()
    for seed in range(8):
        values = [measure(copy) for copy in ladder(name, which, seed)]
        steps = np.diff(values)
        assert (steps > 0).all() or (steps < 0).all(), values
        ways.add(bool(steps[0] > 0))
    assert ways == {True, False}


@pytest.mark.parametrize(
    ("name", "grows"), [("brighten", True), ("over_exposure", True), ("darken", False)]
)
def test_light_only_grows_or_only_falls(name: str, grows: bool) -> None:
    means = [copy.astype(float).mean() for copy in ladder(name, "coffee.png")]
    assert (np.diff(means) > 0).all() == grows and (np.diff(means) < 0).all() != grows


def test_colours_are_those_of_rgb() -> None:
    """A table that takes RGB for BGR gives red pictures blue noise and the wrong luma."""
    red = np.zeros((96, 96, 3), np.uint8)
    red[..., 0] = 200
    for name in ("jpeg", "jpeg2000", "oversaturation", "sharpening", "jpeg_twice"):
        copy = DISTORTIONS[name](red, 1, 0).astype(int)
        assert copy[..., 0].mean() > 150 and copy[..., 2].mean() < 40, name
    grey = DISTORTIONS["desaturation"](red, 4, 0)
    assert np.ptp(grey, axis=2).max() == 0
