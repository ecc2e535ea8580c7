"""Issues: faults of known strength are seen, good photos are left alone, thresholds make sense."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image
from scenes import PHOTOS, blocks_of, photo, plain, texture

from iqcli.errors import NothingFound
from iqcli.features.names import PHOTOMETRY
from iqcli.models import issues
from iqcli.photos.views import views_of
from iqcli.records import Issue
from iqcli.training import issues as fitting_issues
from iqcli.training.faults import FAULTS, add_noise, blow_out, blur, compress, darken, fade
from iqcli.training.fitting import fit_issues

# `blur` asks it first whether the picture is out of focus (below a half) or shaken.
OUT_OF_FOCUS = SimpleNamespace(random=lambda: 0.0)
LEVELS = {2, 3, 4}


def stacked(*pictures: np.ndarray) -> dict[str, np.ndarray]:
    found = [blocks_of(each, *issues.BLOCKS) for each in pictures]
    return {name: np.stack([each[name] for each in found]) for name in issues.BLOCKS}


def seen(picture: np.ndarray) -> dict[str, int]:
    return {issue.name: issue.level for issue in issues.see(stacked(picture))[0]}


def spoilt(name: str, picture: np.ndarray) -> list[np.ndarray]:
    """The picture with a fault at its three strengths."""
    spoil, strengths = FAULTS[name]
    scale = max(picture.shape) / 2048 if name == "blurred" else 1.0
    chance = OUT_OF_FOCUS if name == "blurred" else np.random.default_rng(4)
    return [spoil(picture, strength * scale, chance) for strength in strengths]


# --- what is seen ---


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", PHOTOS)
def test_a_severe_fault_raises_its_issue(name: str, fault: str) -> None:
    worst = spoilt(fault, photo(name))[-1]
    assert seen(worst).get(fault, 1) >= 3


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", PHOTOS)
def test_the_measure_and_the_level_grow_with_the_fault(name: str, fault: str) -> None:
    pictures = [photo(name), *spoilt(fault, photo(name))]
    values = issues.measures(stacked(*pictures))[fault]
    assert np.all(np.diff(values) > 0), values
    levels = [seen(each).get(fault, 1) for each in pictures]
    assert levels == sorted(levels) and levels[0] < levels[-1]


@pytest.mark.parametrize("name", PHOTOS)
def test_a_good_photo_has_no_issue(name: str) -> None:
    assert seen(photo(name)) == {}


def test_a_sharp_subject_before_a_soft_ground_is_not_blurred() -> None:
    sharp = photo("astronaut.png")
    soft = cv2.GaussianBlur(sharp, (0, 0), 6)
    assert "blurred" in seen(soft)
    portrait = soft.copy()
    portrait[120:320, 150:350] = sharp[120:320, 150:350]
    assert "blurred" not in seen(portrait)


def test_the_worst_issue_comes_first() -> None:
    both = darken(spoilt("noisy", photo("astronaut.png"))[0], 5, np.random.default_rng(0))
    found = issues.see(stacked(both, photo("coffee.png")))
    assert [issue.level for issue in found[0]] == sorted([i.level for i in found[0]], reverse=True)
    assert found[0][0] == Issue("too_dark", 4) and found[1] == ()


def test_a_batch_sees_what_each_photo_alone_shows() -> None:
    pictures = [photo(name) for name in PHOTOS] + spoilt("noisy", photo("coffee.png"))
    together = issues.see(stacked(*pictures))
    assert together == [issues.see(stacked(each))[0] for each in pictures]


def test_levels_are_never_impossible() -> None:
    """Independent outputs could say "none" and "severe" at once; one level a name cannot."""
    random = np.random.default_rng(6)
    sizes = {"photometry": len(PHOTOMETRY), "tiles": 1008}
    blocks = {
        name: (random.normal(0, 1, (300, size)) * 10 ** random.uniform(-3, 4, (300, 1))).astype(
            "f4"
        )
        for name, size in sizes.items()
    }
    blocks["tiles"][:20] = np.nan
    for found in issues.see(blocks):
        names = [issue.name for issue in found]
        assert len(names) == len(set(names)) and set(names) <= set(FAULTS)
        assert {issue.level for issue in found} <= LEVELS


def test_what_is_not_measured_is_no_issue() -> None:
    tiny = plain(128, 20, 30)
    tiny[:10] = 60
    tiny[5:, :9] = 220
    measured = issues.measures(stacked(tiny))
    assert np.isnan(measured["blurred"]) and np.isnan(measured["noisy"])
    assert np.isfinite([measured[name][0] for name in ("too_dark", "clipped", "flat")]).all()
    assert not {"blurred", "noisy"} & set(seen(tiny))


def test_blown_tiles_do_not_hide_the_noise_of_the_others() -> None:
    grainy = np.random.default_rng(7).normal(120, 30, (600, 600, 3)).clip(0, 255).astype(np.uint8)
    grainy[:420] = 255
    assert seen(grainy)["noisy"] == 4
    assert issues.measures(stacked(plain(255)))["noisy"][0] == 0


# --- the faults themselves ---


def test_exposure_changes_light_where_light_adds_up() -> None:
    """One stop is half the light: 188 of 255 in sRGB is half of full light."""
    white, chance = plain(255, 4, 4), np.random.default_rng(0)
    assert darken(white, 1, chance)[0, 0, 0] == 188
    assert blow_out(plain(188, 4, 4), 1, chance)[0, 0, 0] >= 254
    assert blow_out(plain(0, 4, 4), 3, chance).max() == 0
    picture = texture(1, 64, 64)
    np.testing.assert_array_equal(darken(picture, 0, chance), picture)


def test_fading_keeps_the_mean_and_that_share_of_contrast() -> None:
    picture = photo("astronaut.png")
    faded = fade(picture, 0.3, np.random.default_rng(0))
    assert faded.mean() == pytest.approx(picture.mean(), abs=0.5)
    assert faded.std() == pytest.approx(0.3 * picture.std(), rel=0.02)


def test_noise_has_the_strength_it_is_given() -> None:
    grey = plain(128, 400, 400)
    noisy = add_noise(grey, 12, np.random.default_rng(0)).astype(float)
    assert (noisy - 128).std() == pytest.approx(12, rel=0.03)
    dark = add_noise(plain(30, 400, 400), 12, np.random.default_rng(0)).astype(float)
    assert dark.std() < 0.8 * noisy.std()


def spread(angle: float | None) -> tuple[float, float]:
    """Variance along y and x of a bright spot, out of focus (None) or shaken at an angle."""
    spot = np.zeros((101, 101, 3), np.uint8)
    spot[46:55, 46:55] = 255
    shaken = SimpleNamespace(random=lambda: 0.9, uniform=lambda *_: angle)
    found = blur(spot, 4.0, OUT_OF_FOCUS if angle is None else shaken)[..., 0] / 255.0
    y, x = np.mgrid[-50:51, -50:51]
    assert found.sum() == pytest.approx(81, rel=0.03)
    own = (9**2 - 1) / 12
    return (found * y * y).sum() / found.sum() - own, (found * x * x).sum() / found.sum() - own


def test_defocus_spreads_all_ways_and_shake_one_way_as_far() -> None:
    assert spread(None) == pytest.approx((16, 16), rel=0.05)
    assert spread(0.0) == pytest.approx((0, 16), rel=0.2, abs=1)
    assert spread(np.pi / 2) == pytest.approx((16, 0), rel=0.2, abs=1)


def test_faults_are_the_same_for_the_same_seed_and_keep_the_size() -> None:
    picture = photo("chelsea.png")
    for name, (spoil, strengths) in FAULTS.items():
        one, other = (spoil(picture, strengths[1], np.random.default_rng(9)) for _ in range(2))
        np.testing.assert_array_equal(one, other, err_msg=name)
        assert one.shape == picture.shape and one.dtype == np.uint8
    assert compress(picture, 8, np.random.default_rng(0)).shape == picture.shape


def test_compression_leaves_blocks() -> None:
    picture = views_of(photo("astronaut.png")).head
    column = PHOTOMETRY.index("block_x")
    chance = np.random.default_rng(0)
    found = [
        blocks_of(compress(picture, quality, chance), "photometry")["photometry"][column]
        for quality in (90, 20, 8)
    ]
    assert np.all(np.diff(found) > 0.1)


# --- thresholds ---


def test_the_embedded_thresholds_are_whole_and_rise() -> None:
    stored = json.loads(issues.THRESHOLDS.read_text())["thresholds"]
    assert set(stored) == set(FAULTS) == set(issues.measures(stacked(plain(9))))
    for name, levels in stored.items():
        assert len(levels) == 3 and np.isfinite(levels).all(), name
        assert levels[0] <= levels[1] <= levels[2] and levels[0] < levels[2], name


def table(good: float, *rungs: float) -> np.ndarray:
    """Measures of 400 photos that scatter by 1 around these means."""
    scatter = np.random.default_rng(8).normal(0, 1, (400, 1 + len(rungs)))
    return scatter + np.array([good, *rungs])


def test_thresholds_part_the_strengths_and_spare_the_good() -> None:
    fitted = fitting_issues.fit({"noisy": table(0, 4, 8, 12)})
    slight, clear, severe = fitted.levels["noisy"]
    assert fitted.false_alarms["noisy"] <= fitting_issues.FALSE_ALARMS
    assert slight == pytest.approx(1.8, abs=0.4)
    assert clear == pytest.approx(6, abs=0.7)
    assert severe == pytest.approx(10, abs=0.7)
    assert min(fitted.found["noisy"]) > 0.95


def test_thresholds_rise_even_where_the_faults_do_not_show() -> None:
    fitted = fitting_issues.fit({"flat": table(5, 1, 0, 3)})
    slight, clear, severe = fitted.levels["flat"]
    assert slight <= clear <= severe
    assert fitted.false_alarms["flat"] <= fitting_issues.FALSE_ALARMS


def test_thresholds_are_fitted_on_folders_of_photos(tmp_path: Path) -> None:
    for k, name in enumerate(PHOTOS[:4]):
        Image.fromarray(photo(name)[:256, :256]).save(tmp_path / f"{k}.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(50))
    said: list[str] = []
    fitted = fit_issues([tmp_path], 250, said.append)
    assert set(fitted.levels) == set(FAULTS)
    for levels in fitted.levels.values():
        assert list(levels) == sorted(levels)
    assert fitted.found["too_dark"][2] == fitted.found["flat"][2] == 1
    assert len(said) == 1 and "broken.jpg" in said[0]


def test_no_photo_no_thresholds(tmp_path: Path) -> None:
    with pytest.raises(NothingFound):
        fit_issues([tmp_path], 250, print)
