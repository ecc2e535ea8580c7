"""Issues: faults are seen, good photos left alone, and no two issues contradict each other."""

from __future__ import annotations

import json
import time
from functools import cache
from itertools import product
from types import SimpleNamespace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import load_file, save_file
from support.drawn_scenes import PHOTOS, blocks_of, grey, photo, plain, ramp, texture

from iqcli.distortions import synthesis
from iqcli.distortions.camera_faults import (
    add_grain,
    add_noise,
    bend,
    blow_out,
    burn,
    darken,
    defocus,
    enlarge,
    fade,
    lift,
    shake,
    steepen,
    suppress,
    veil,
    wash,
)
from iqcli.distortions.filters import gaussian_blur, jpeg
from iqcli.distortions.synthesis import BOUNDS
from iqcli.errors import IqError, NothingFound
from iqcli.extractors.registry import BLOCKS
from iqcli.extractors.schema import LAYERS, PHOTOMETRY, maps, steps
from iqcli.models import checkpoint, issues
from iqcli.models.hex import graph as hexgraph
from iqcli.models.hex.config import read_graph
from iqcli.output.table import describe_issues
from iqcli.photos.views import views_of
from iqcli.records import Issue
from iqcli.training import issues as learning

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from support.cli_runner import Iq

    from iqcli.distortions.camera_faults import Fault
    from iqcli.records import Pixels

pytestmark = pytest.mark.slow

PAIRS = (
    {"too_bright", "too_dark"},
    {"low_contrast", "high_contrast"},
    {"overexposed", "over_suppressed"},
)
SIZES = {"photometry": len(PHOTOMETRY), "tiles": BLOCKS["tiles"].size}
# For each issue a fault that is severe beyond doubt; blur is for a picture of 512 pixels.
SEVERE = {
    "too_bright": (blow_out, 3.5),
    "too_dark": (darken, 5.0),
    "low_contrast": (fade, 0.12),
    "high_contrast": (steepen, 5.0),
    "overexposed": (blow_out, 3.0),
    "over_suppressed": (suppress, 0.5),
    "blurred": (defocus, 3.0),
    "noisy": (add_noise, 45.0),
}
COLOUR = ("astronaut.png", "chelsea.png", "coffee.png")
SUBJECTS = {*product(COLOUR, SEVERE)} - {
    # Half of it is black and stays so: contrast, not light.
    ("astronaut.png", "too_bright"),
    # Fur of one tone, flat to begin with.
    ("chelsea.png", "high_contrast"),
    # No highlights to suppress.
    ("chelsea.png", "over_suppressed"),
}


def stacked(*shots: Pixels) -> dict[str, NDArray[np.float32]]:
    found = [blocks_of(each, *issues.BLOCKS) for each in shots]
    return {name: np.stack([each[name] for each in found]) for name in issues.BLOCKS}


def seen(picture: Pixels) -> dict[str, int]:
    return {issue.name: issue.level for issue in issues.head().issues(stacked(picture))[0]}


def chance(seed: int = 4) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- what is seen ---


@pytest.mark.parametrize(("subject", "name"), sorted(SUBJECTS))
def test_a_severe_fault_is_named(subject: str, name: str) -> None:
    fault, dose = SEVERE[name]
    assert seen(fault(photo(subject), dose, chance())).get(name, 1) >= 3


RISING = {
    "too_dark": (darken, (0, 1, 2, 3, 4.5, 6)),
    "too_bright": (blow_out, (0, 1, 2, 3.5)),
    "overexposed": (blow_out, (0, 1, 2, 3)),
    "low_contrast": (fade, (1, 0.7, 0.4, 0.25, 0.12)),
    "blurred": (defocus, (0.3, 1, 1.7, 3)),
    "noisy": (add_noise, (0, 8, 18, 45)),
}


@pytest.mark.parametrize(("subject", "name"), sorted(SUBJECTS & {*product(COLOUR, RISING)}))
def test_the_chance_and_the_level_grow_with_the_fault(subject: str, name: str) -> None:
    fault, doses = RISING[name]
    shots = [fault(photo(subject), dose, chance()) for dose in doses]
    slight = [row[name][0] for row in issues.head().probabilities(stacked(*shots))]
    assert np.corrcoef(np.argsort(np.argsort(slight)), range(len(doses)))[0, 1] > 0.75, slight
    levels = [seen(each).get(name, 1) for each in shots]
    assert levels == sorted(levels) and levels[0] == 1 and levels[-1] >= 3


@pytest.mark.parametrize("name", PHOTOS)
def test_a_good_photo_has_no_clear_issue(name: str) -> None:
    assert max(seen(photo(name)).values(), default=1) <= 2


@pytest.mark.parametrize("name", ("chelsea.png", "coffee.png", "coins.png"))
def test_a_good_photo_of_an_even_light_has_no_issue_at_all(name: str) -> None:
    assert seen(photo(name)) == {}


def test_a_black_shot_from_the_pocket_is_too_dark() -> None:
    black = grey(np.abs(chance().normal(2, 2, (600, 800))))
    assert seen(black)["too_dark"] == 4
    assert seen(plain(0))["too_dark"] >= 3


def test_a_sharp_subject_before_a_soft_ground_is_not_blurred() -> None:
    sharp = photo("astronaut.png")
    soft = cv2.GaussianBlur(sharp, (0, 0), 6)
    assert "blurred" in seen(soft)
    portrait = soft.copy()
    portrait[120:320, 150:350] = sharp[120:320, 150:350]
    assert "blurred" not in seen(portrait)


ANGLES = (0, 20, 45, 70, 90, 110, 155)


@cache
def dead_leaves(height: int = 1365, width: int = 2048) -> Pixels:
    """Discs of all sizes one on another, which has the statistics of a sharp photo."""
    random = chance(8)
    picture = np.full((height, width, 3), 120, np.uint8)
    for radius in 300 / np.sqrt(np.linspace(1, 2500, 5000)):
        centre = (int(random.uniform(0, width)), int(random.uniform(0, height)))
        colour = random.normal(120, 45, 3).clip(5, 245).tolist()
        cv2.circle(picture, centre, round(radius), colour, -1, cv2.LINE_AA)
    return faults_free(picture)


@cache
def facade(angle: float) -> Pixels:
    """A house front of many windows and narrow pillars, sharp, turned by an angle in degrees."""
    random = chance(9)
    light = np.full((2400, 2400), 150.0)
    light[:, ::9] -= 30
    light[:, 1::9] -= 30
    for top in range(20, 2360, 120):
        for left in range(20, 2360, 64):
            light[top : top + 80, left : left + 38] = random.uniform(40, 90)
            light[top : top + 80, left + 18 : left + 21] = 200
    turn = cv2.getRotationMatrix2D((1200, 1200), angle, 1.0)
    turned = cv2.warpAffine(light, turn, (2400, 2400), flags=cv2.INTER_AREA)
    return faults_free(grey(turned[600:1800, 400:2000]))


def faults_free(picture: Pixels) -> Pixels:
    """As sharp as a camera makes it: nothing changes from one pixel to the next at once."""
    soft = cv2.GaussianBlur(picture, (0, 0), 0.5).astype(float)
    found = (soft + chance(3).normal(0, 1.5, picture.shape)).clip(0, 255).astype(np.uint8)
    found.setflags(write=False)  # tests share it
    return found


@pytest.mark.parametrize("degrees", ANGLES)
def test_a_shake_is_named_whichever_way_it_went(degrees: int) -> None:
    """A shake along stripes leaves them as sharp as they were."""
    for length in (12, 24, 48):
        for scene in (dead_leaves(), facade(20)):
            shaken = shake(scene, length / 12**0.5, straight(np.radians(degrees)))
            assert "blurred" in seen(shaken), length
    for name in COLOUR:
        assert "blurred" in seen(shake(photo(name), 2.3, straight(np.radians(degrees)))), name


def test_a_sharp_picture_with_a_grain_of_its_own_is_not_shaken() -> None:
    assert "blurred" not in seen(dead_leaves())
    for degrees in (0, 20, 90):
        assert "blurred" not in seen(facade(degrees)), degrees


def test_two_faults_are_both_named() -> None:
    dark = add_noise(darken(photo("coffee.png"), 4, chance()), 30, chance())
    assert {"too_dark", "noisy"} <= set(seen(dark))
    soft = add_noise(defocus(photo("astronaut.png"), 4, chance()), 40, chance())
    assert "noisy" in seen(soft)


def test_the_worst_issue_comes_first() -> None:
    both = darken(add_noise(photo("astronaut.png"), 12, chance()), 5, chance())
    found = issues.head().issues(stacked(both, photo("coffee.png")))
    assert [issue.level for issue in found[0]] == sorted([i.level for i in found[0]], reverse=True)
    assert found[0][0] == Issue("too_dark", 4) and found[1] == ()


def test_a_batch_sees_what_each_photo_alone_shows() -> None:
    shots = [photo(name) for name in PHOTOS] + [darken(photo("coffee.png"), 3, chance())]
    together = issues.head().issues(stacked(*shots))
    assert together == [issues.head().issues(stacked(each))[0] for each in shots]
    assert [set(row) for row in issues.head().probabilities(stacked(*shots))] == [
        set(BOUNDS)
    ] * len(shots)


def test_where_a_thing_lies_in_the_picture_is_no_fault() -> None:
    tiles = stacked(photo("astronaut.png"))["tiles"]
    order = chance().permutation(144)
    layers = maps(tiles).reshape(1, len(LAYERS), 144)[:, :, order].reshape(1, -1)
    mixed = np.concatenate([layers, steps(tiles).reshape(1, -1)], axis=1)
    np.testing.assert_allclose(issues.summary(mixed), issues.summary(tiles), rtol=1e-4, atol=1e-4)


def test_a_hundred_photos_take_a_few_milliseconds() -> None:
    found = stacked(photo("coffee.png"))
    many = {name: np.repeat(values, 128, axis=0) for name, values in found.items()}
    issues.head().issues(many)
    start = time.perf_counter()
    issues.head().issues(many)
    assert time.perf_counter() - start < 0.5  # ten times what it takes: the machine may be busy


# --- what can never be said ---


def check_legal(blocks: dict[str, NDArray[np.float32]]) -> None:
    rows = zip(issues.head().issues(blocks), issues.head().probabilities(blocks), strict=True)
    for found, chances in rows:
        names = [issue.name for issue in found]
        assert len(names) == len(set(names)) and set(names) <= set(BOUNDS)
        assert {issue.level for issue in found} <= {2, 3, 4}
        assert not any(pair <= set(names) for pair in PAIRS)
        for slight, clear, severe in chances.values():
            assert 1 + 1e-9 >= slight >= clear - 1e-9 >= severe - 2e-9 >= -1e-8
        for one, other in PAIRS:
            assert chances[one][0] + chances[other][0] <= 1 + 1e-9


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(-3, 30),
    st.sampled_from((np.nan, np.inf, -np.inf, 0.0, 255.0)),
    st.sampled_from((0.0, 0.01, 0.5, 1.0)),
)
def test_impossible_pairs_are_never_seen(
    seed: int, digits: float, strange: float, share: float
) -> None:
    """On any numbers, of any size, with any share of them replaced by a strange one."""
    random = chance(seed)
    blocks = {}
    for name, size in SIZES.items():
        values = random.normal(0, 1, (8, size)) * 10**digits
        values[random.random((8, size)) < share] = strange
        blocks[name] = values.astype(np.float32)
    check_legal(blocks)


def test_impossible_pairs_are_never_seen_on_extreme_photos() -> None:
    random = chance(6)
    shots = [plain(0), plain(128), plain(255), ramp(), texture(1), plain(128, 20, 30)]
    split = plain(0)
    split[:, 256:] = 255
    checks = grey(np.indices((512, 512)).sum(axis=0) // 8 % 2 * 255)
    static = random.integers(0, 256, (512, 512, 3)).astype(np.uint8)
    shots += [split, checks, static, steepen(photo("camera.png"), 60, random)]
    check_legal(stacked(*shots))


def test_what_is_not_measured_is_no_issue() -> None:
    tiny = plain(128, 20, 30)
    tiny[:10] = 60
    tiny[5:, :9] = 220
    assert not {"blurred", "noisy"} & set(seen(tiny))
    assert "blurred" not in seen(plain(128)), "nothing in it could be sharp"
    nothing = {name: np.full((1, size), np.nan, np.float32) for name, size in SIZES.items()}
    assert issues.head().issues(nothing) == [()]


def test_no_photo_no_issue() -> None:
    assert (
        issues.head().issues({name: np.empty((0, size), "f4") for name, size in SIZES.items()})
        == []
    )


def test_blown_tiles_do_not_hide_the_noise_of_the_others() -> None:
    grainy = chance(7).normal(120, 40, (600, 600, 3)).clip(0, 255).astype(np.uint8)
    grainy[:420] = 255
    assert seen(grainy)["noisy"] >= 3


def test_issues_read_as_a_person_says_them() -> None:
    levels = zip(BOUNDS, (2, 3, 4, 2, 3, 4, 2, 3), strict=True)
    assert describe_issues({"name": name, "level": level} for name, level in levels) == (
        "slightly too bright, clearly too dark, badly high contrast, slightly low contrast, "
        "clearly overexposed, badly over suppressed, slightly blurred, clearly noisy"
    )


# --- the file ---


def test_the_embedded_head_fits_the_embedded_graph() -> None:
    graph = read_graph(issues.GRAPH)
    assert issues.head().graph.metadata == graph.metadata
    assert {label.name for label in graph.labels} == set(BOUNDS)
    assert issues.head() is issues.head()


def rewritten(path: Path, edit: object) -> Path:
    account = checkpoint.read(issues.WEIGHTS)[0]
    tensors = load_file(issues.WEIGHTS)
    edit(account, tensors)
    save_file(tensors, path, metadata={"iq": json.dumps(account)})
    return path


@pytest.mark.parametrize(
    "edit",
    [
        lambda account, _: account.update(format="iq-fusion-1"),
        lambda account, _: account.update(blocks={"photometry": 94, "tiles": 84}),
        lambda account, _: account.update(known_by={"photometry": "other", "tiles": "other"}),
        lambda account, _: account["graph"]["exclusions"].clear(),
        lambda _, tensors: tensors.pop("layer.0.bias"),
        lambda _, tensors: tensors["layer.0.weight"].fill(np.nan),
    ],
)
def test_a_foreign_file_is_refused(tmp_path: Path, edit: object) -> None:
    with pytest.raises(IqError, match=r"strange\.safetensors"):
        issues.load(rewritten(tmp_path / "strange.safetensors", edit))


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(issues.WEIGHTS.read_bytes()[:-9])
    with pytest.raises(IqError, match=r"broken\.safetensors"):
        issues.load(broken)
    with pytest.raises(IqError, match="none"):
        issues.load(tmp_path / "none.safetensors")


# --- the faults themselves ---


def test_exposure_changes_light_where_light_adds_up() -> None:
    """One stop is half the light: 188 of 255 in sRGB is half of full light."""
    white = plain(255, 4, 4)
    assert darken(white, 1, chance())[0, 0, 0] == 188
    assert blow_out(plain(188, 4, 4), 1, chance())[0, 0, 0] >= 254
    assert blow_out(plain(0, 4, 4), 3, chance()).max() == 0
    picture = texture(1, 64, 64)
    np.testing.assert_array_equal(darken(picture, 0, chance()), picture)


@pytest.mark.parametrize("stops", (1, 2, 4))
def test_lifting_brightens_shadows_and_spares_highlights(stops: float) -> None:
    lifted = lift(ramp(4, 256), stops, chance())[0, :, 0].astype(int)
    assert (np.diff(lifted) >= 0).all() and lifted[0] == 0 and lifted[255] == 255
    assert lifted[100] > 100 and (lifted == 255).sum() <= 10


@pytest.mark.parametrize(("power", "sign"), [(2.0, -1), (0.5, 1)])
def test_bending_moves_the_middle_and_keeps_the_ends(power: float, sign: int) -> None:
    bent = bend(ramp(4, 256), power, chance())[0, :, 0].astype(int)
    assert (bent[0], bent[255]) == (0, 255) and np.sign(bent[128] - 128) == sign


def test_burning_loses_highlights_alone() -> None:
    burnt = burn(ramp(4, 256), 3.0, chance())[0, :, 0].astype(int)
    np.testing.assert_array_equal(burnt[:89], np.arange(89))
    assert (burnt == 255).sum() > 20


@pytest.mark.parametrize("ceiling", (0.5, 0.7, 0.9))
def test_suppressed_highlights_end_at_grey_and_the_rest_stays(ceiling: float) -> None:
    rolled = suppress(ramp(4, 256), ceiling, chance())[0, :, 0].astype(int)
    assert rolled.max() == pytest.approx(255 * ceiling, abs=1) and (np.diff(rolled) >= 0).all()
    kept = int(255 * (ceiling - 0.3))
    np.testing.assert_array_equal(rolled[:kept], np.arange(kept))


def test_fading_keeps_the_mean_and_that_share_of_contrast() -> None:
    picture = photo("astronaut.png")
    faded = fade(picture, 0.3, chance())
    assert faded.mean() == pytest.approx(picture.mean(), abs=0.5)
    assert faded.std() == pytest.approx(0.3 * picture.std(), rel=0.02)


@pytest.mark.parametrize("fault", (veil, wash))
def test_a_veil_takes_black_and_white_away(fault: Fault) -> None:
    veiled = fault(ramp(), 0.4, chance())
    assert np.ptp(veiled.astype(int)) < 200 and veiled.std() < ramp().std()


@pytest.mark.parametrize("seed", range(4))
def test_a_steep_curve_rises_and_spreads(seed: int) -> None:
    steep = steepen(ramp(4, 256), 3.0, chance(seed))[0, :, 0].astype(int)
    assert (np.diff(steep) >= 0).all() and steep.std() > 1.2 * ramp().std()


def test_noise_has_the_strength_it_is_given() -> None:
    middle = plain(128, 400, 400)
    for fault in (add_noise, add_grain):
        found = fault(middle, 12, chance()).astype(float)
        assert (found - 128).std() == pytest.approx(12, rel=0.03)
        dark = fault(plain(30, 400, 400), 12, chance()).astype(float)
        assert dark.std() < 0.8 * found.std()
        assert (fault(plain(255), 40, chance()) == 255).all(), "what is blown out stays so"


def straight(angle: float) -> SimpleNamespace:
    """Chance that lets `shake` draw a straight line at an angle, in radians."""
    return SimpleNamespace(random=lambda: 0.9, uniform=lambda *_: angle)


def spread(fault: Fault, angle: float | None = None) -> tuple[float, float]:
    """Variance along y and x of a bright spot, out of focus (None) or shaken at an angle."""
    spot = np.zeros((101, 101, 3), np.uint8)
    spot[46:55, 46:55] = 255
    found = fault(spot, 4.0, chance() if angle is None else straight(angle))[..., 0] / 255.0
    y, x = np.mgrid[-50:51, -50:51]
    assert found.sum() == pytest.approx(81, rel=0.03)
    own = (9**2 - 1) / 12
    return (found * y * y).sum() / found.sum() - own, (found * x * x).sum() / found.sum() - own


def test_defocus_spreads_all_ways_and_shake_one_way_as_far() -> None:
    assert spread(gaussian_blur) == pytest.approx((16, 16), rel=0.05)
    assert spread(defocus) == pytest.approx((16, 16), rel=0.1)
    assert spread(shake, 0.0) == pytest.approx((0, 16), rel=0.1, abs=0.3)
    assert spread(shake, np.pi / 2) == pytest.approx((16, 0), rel=0.1, abs=0.3)
    assert spread(shake, np.pi / 4) == pytest.approx((8, 8), rel=0.1)
    assert spread(shake, np.radians(20)) == pytest.approx((1.9, 14.1), rel=0.1, abs=0.3)


def test_a_bent_shake_leaves_the_line() -> None:
    """Third of them bend; `random` decides first the angle, then whether, then how far."""
    drawn = iter((0.0, 0.3))
    bent = SimpleNamespace(random=lambda: 0.1, uniform=lambda *_: next(drawn))
    spot = np.zeros((101, 101, 3), np.uint8)
    spot[50, 50] = 255
    rows = np.flatnonzero(shake(spot, 10.0, bent).max(axis=(1, 2)))
    assert len(rows) > 5
    assert len(np.flatnonzero(shake(spot, 10.0, straight(0.0)).max(axis=(1, 2)))) <= 2


def test_what_was_enlarged_is_soft() -> None:
    sharp = photo("chelsea.png")
    edges = [cv2.Laplacian(enlarge(sharp, s, chance()), cv2.CV_32F).std() for s in (0.0, 1, 3)]
    assert edges[0] > 2 * edges[1] > 4 * edges[2]
    assert enlarge(sharp, 3, chance()).shape == sharp.shape


def test_compression_leaves_blocks() -> None:
    picture = views_of(photo("astronaut.png")).scoring
    column = PHOTOMETRY.index("block_x")
    found = [
        blocks_of(jpeg(picture, quality, chance()), "photometry")["photometry"][column]
        for quality in (90, 20, 8)
    ]
    assert np.all(np.diff(found) > 0.1)


# --- spoilt at random ---


def test_a_spoilt_photo_has_legal_levels_and_the_same_again() -> None:
    graph = issues.graph()
    levels = []
    for seed in range(60):
        one, other = (synthesis.distort(photo("coffee.png"), chance(seed)) for _ in range(2))
        np.testing.assert_array_equal(one.picture, other.picture)
        assert one.levels == other.levels and one.picture.dtype == np.uint8
        levels.append([one.levels[label.name] for label in graph.labels])
    assert hexgraph.is_legal(graph, np.array(levels)).all()
    worst = np.max(levels, axis=1)
    assert set(worst.tolist()) == {1, 2, 3, 4}
    assert 0.15 < (worst == 1).mean() < 0.7
    assert (np.max(levels, axis=0) > 1).all(), "every issue comes up"


def test_levels_begin_at_their_bounds() -> None:
    for name, bounds in BOUNDS.items():
        assert list(bounds) == sorted(set(bounds))
        found = [synthesis.level_of(name, bound) for bound in bounds]
        below = [synthesis.level_of(name, bound - 1e-6) for bound in bounds]
        assert (found, below) == ([2, 3, 4], [1, 2, 3]), name


@pytest.mark.parametrize(
    ("step", "names"),
    [
        ("dark", {"too_dark"}),
        ("bright", {"too_bright", "overexposed"}),
        ("over", {"too_bright", "overexposed"}),
        ("low", {"low_contrast", "too_bright", "too_dark"}),
        ("suppressed", {"over_suppressed"}),
        ("blurred", {"blurred"}),
        ("noisy", {"noisy"}),
    ],
)
def test_a_single_fault_is_called_by_its_name(step: str, names: set[str]) -> None:
    found = [
        synthesis.distort_with([step], photo("coffee.png"), chance(seed)) for seed in range(30)
    ]
    named = {name for each in found for name, level in each.levels.items() if level > 1}
    assert named <= names and named & names, named
    assert max(max(each.levels.values()) for each in found) >= 3


def test_combined_faults_have_the_levels_of_what_is_seen() -> None:
    """Suppressed highlights are no longer white, however much light there was."""
    for seed in range(30):
        levels = synthesis.distort_with(
            ["over", "suppressed"], photo("coffee.png"), chance(seed)
        ).levels
        assert levels["overexposed"] == 1 or levels["over_suppressed"] == 1


# --- training ---


def pictures_of(count: int) -> list[tuple[str, Pixels]]:
    """Drawn and real pictures, every one another."""
    shots = [photo(name) for name in COLOUR]
    return [
        (f"{k}.png", np.ascontiguousarray(np.rot90(shots[k % 3], k)[k : k + 160, k : k + 200]))
        for k in range(count)
    ]


def test_lessons_are_the_same_whatever_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "COPIES", 2)
    graph = issues.graph()
    found = [
        learning.distort_and_measure(iter(order), graph)
        for order in (pictures_of(5), pictures_of(5)[::-1])
    ]
    assert found[0] is not None and found[1] is not None
    assert found[0].good.sum() == 5 and len(found[0].levels) == 15
    assert (found[0].levels[found[0].good] == 1).all()
    back = np.argsort(-found[1].photos, kind="stable")
    np.testing.assert_array_equal(found[0].levels, found[1].levels[back])
    for name in issues.BLOCKS:
        one, other = found[0].blocks[name], found[1].blocks[name][back]
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
    assert learning.distort_and_measure(iter([]), graph) is None


def test_issues_are_learnt_from_folders_by_one_command(
    iq: Iq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "good"
    folder.mkdir()
    for name, picture in pictures_of(30):
        Image.fromarray(picture).save(folder / name)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(50))
    output = tmp_path / "mine.safetensors"
    done = iq("train", "issues", folder, "-o", output)
    assert done.code == 0 and "broken.jpg" in done.err
    assert all(name in done.out.decode() for name in BOUNDS)
    assert "nan" not in done.out.decode() and "held out" in done.err
    head = issues.load(output)
    monkeypatch.setattr(issues, "head", lambda: head)
    black, good = (issues.head().issues(stacked(each)) for each in (plain(0), pictures_of(1)[0][1]))
    assert "too_dark" in {issue.name for issue in black[0]}
    assert max((issue.level for issue in good[0]), default=1) <= 2


def test_too_few_photos_teach_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "COPIES", 1)
    with pytest.raises(NothingFound):
        learning.fit_folders([tmp_path], 250, print)
    Image.fromarray(photo("coffee.png")).save(tmp_path / "one.png")
    with pytest.raises(IqError, match="too few"):
        learning.fit_folders([tmp_path], 250, print)
