"""The hand-made blocks: against OpenCV, on drawn scenes, and on pictures made to break them."""

from __future__ import annotations

import ast
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.drawn_scenes import PHOTOS, grey, noisy, own_view, photo, plain, ramp, texture

from iqcli.extractors import brisque, photometry, tiles
from iqcli.extractors.base import PhotoBlock
from iqcli.extractors.mini import MiniBlock
from iqcli.extractors.registry import BLOCKS
from iqcli.extractors.schema import (
    BANDS,
    DIRECTIONS,
    GRID,
    LAGS,
    LAYERS,
    PERCENTILES,
    PHOTOMETRY,
    SCALES,
    layer,
    maps,
    steps,
)
from iqcli.photos.views import limited, views_of
from iqcli.pipeline.cache_codec import pack_vector, unpack_vector
from iqcli.pipeline.devices import measure_views
from iqcli.records import Views

DISTRIBUTIONS = {"cv2": "opencv-contrib-python", "numpy": "numpy"}
ROWS, COLUMNS = np.mgrid[:512, :600]
# The blocks that need no weights but those inside the package.
HERE = [block for block in BLOCKS.values() if isinstance(block, PhotoBlock | MiniBlock)]


def named(picture: np.ndarray) -> dict[str, float]:
    """The photometry of a picture, by name."""
    vector = photometry.extract(own_view(picture))
    return dict(zip(PHOTOMETRY, vector.tolist(), strict=True))


def tile_layer(picture: np.ndarray, name: str) -> np.ndarray:
    return layer(tiles.extract(own_view(picture))[None], name)[0].reshape(GRID, GRID)


def brisque_of(picture: np.ndarray) -> np.ndarray:
    return brisque.extract(own_view(picture))


# --- BRISQUE ---


@pytest.mark.parametrize("name", PHOTOS)
def test_brisque_equals_opencv_on_the_same_view(name: str) -> None:
    head = views_of(photo(name)).scoring
    bgr = np.ascontiguousarray(head[..., ::-1])
    expected = cv2.quality.QualityBRISQUE_computeFeatures(bgr)[0]
    found = brisque.extract(own_view(head))
    assert found.shape == (brisque.SIZE,) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)


UNDEFINED = {
    "black": plain(0),
    "mid-grey": plain(128),
    "white": plain(255),
    "two tones": grey(np.where(COLUMNS < 300, 0, 255)),
    "ramp": ramp(),
    "checkerboard": grey(255 * ((ROWS + COLUMNS) % 2)),
    "2x2": np.array([[[0] * 3, [255] * 3], [[200] * 3, [30] * 3]], np.uint8),
    "3x3": np.random.default_rng(0).integers(0, 256, (3, 3, 3), dtype=np.uint8),
    "1x1": plain(7, 1, 1),
    "15 pixels high": texture(0, 15, 600),
}


@pytest.mark.parametrize("name", UNDEFINED)
def test_brisque_is_undefined_and_never_perfect_for(name: str) -> None:
    """OpenCV gives these NaN features, and a score of 0.0: perfect."""
    assert np.isnan(brisque_of(UNDEFINED[name])).all()


@pytest.mark.parametrize("level", (0, 128, 255))
def test_brisque_of_a_flat_photo_is_undefined_at_any_size(level: int) -> None:
    for height, width in ((1, 1), (48, 64), (700, 900)):
        assert np.isnan(brisque.extract(views_of(plain(level, height, width)))).all()


@pytest.mark.parametrize("kind", (np.uint16, np.float32, np.float64))
def test_brisque_refuses_what_is_not_8_bit(kind: type) -> None:
    """16-bit and 0..1 pictures gave silent nonsense."""
    picture = photo("astronaut.png").astype(kind)
    with pytest.raises(TypeError, match="8-bit"):
        brisque_of(picture)


def letterboxed() -> np.ndarray:
    picture = np.array(photo("astronaut.png"))
    picture[:128], picture[384:] = 0, 0
    return picture


@pytest.mark.parametrize(
    "picture",
    (letterboxed(), noisy(60), noisy(1), grey(255 * (ROWS < 5)), grey(128 + (COLUMNS == 5))),
    ids=("half black", "noise", "faint noise", "white line", "faint line"),
)
def test_brisque_of_hard_pictures_is_whole_or_undefined(picture: np.ndarray) -> None:
    found = brisque_of(picture)
    assert np.isfinite(found).all() or np.isnan(found).all()


@pytest.mark.parametrize("name", PHOTOS)
def test_brisque_reads_the_fixed_view_so_size_is_no_quality(name: str) -> None:
    """The score of one picture fell from 34 to 1.5 as its file was made smaller."""
    small = photo(name)
    large = cv2.resize(small, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    seen = [brisque.extract(views_of(each)) for each in (small, large)]
    native = [brisque_of(each) for each in (small, large)]
    assert apart(*seen) < 0.5 * apart(*native)


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """Distance of two BRISQUE vectors, whose numbers differ in size."""
    return float(np.linalg.norm((one - other) / (np.abs(one) + 0.05)))


def test_the_mscn_shape_rises_as_noise_drowns_the_picture() -> None:
    """The first number: about 1 for natural scenes, more for noise, whose tails are thin."""
    base, grain = photo("astronaut.png"), np.random.default_rng(2).normal(0, 1, (512, 512, 3))
    found = [
        brisque_of(np.clip(base + sigma * grain, 0, 255).astype(np.uint8))[0]
        for sigma in (0, 5, 20, 80)
    ]
    assert np.all(np.diff(found) > 0.1) and found[0] < 1.6


# --- all blocks ---

HARD = {
    "black": plain(0),
    "white": plain(255),
    "white of other sides": plain(255, 450, 600),
    "one pixel": plain(7, 1, 1),
    "one column": texture(1, 600, 1),
    "one row": texture(2, 1, 600),
    "very long": texture(3, 20, 2048),
    "odd": texture(4, 333, 517),
    "two tones": UNDEFINED["two tones"],
    "noise": noisy(80),
    "photo": photo("coffee.png"),
}


@pytest.mark.parametrize("view", (own_view, lambda picture: views_of(limited(picture))))
@pytest.mark.parametrize("name", HARD)
def test_every_block_has_its_size_on(name: str, view) -> None:
    views = view(HARD[name])
    (vectors,) = measure_views([views], HERE, "cpu")
    for block in HERE:
        found = vectors[block.name]
        assert found.shape == (block.size,) and found.dtype == np.float32
        if block.name in ("photometry", "mini"):
            assert np.isfinite(found).all()
        else:
            assert np.isfinite(found).all() or np.isnan(found).all()
        # what the cache does not believe would be measured again and again, or never be known
        limits = {"within": block.within, "may_be_nan": block.may_be_nan}
        known = unpack_vector(pack_vector(found), block.size, **limits)
        np.testing.assert_array_equal(known, found)


def test_the_names_are_as_many_as_the_numbers() -> None:
    assert len(PHOTOMETRY) == len(set(PHOTOMETRY)) == BLOCKS["photometry"].size
    count = GRID * GRID * len(LAYERS) + len(LAGS) * len(DIRECTIONS)
    assert count == BLOCKS["tiles"].size == tiles.SIZE
    assert BLOCKS["brisque"].size == brisque.SIZE


def test_blocks_are_the_same_again_and_in_threads() -> None:
    views = views_of(photo("chelsea.png"))
    others = views_of(photo("coffee.png"))

    def measure(k: int) -> list[np.ndarray]:
        measure_views([others], HERE, "cpu")
        return list(measure_views([views], HERE, "cpu")[0].values())

    first = measure(0)
    with ThreadPoolExecutor(4) as pool:
        for again in pool.map(measure, range(6)):
            for one, other in zip(first, again, strict=True):
                np.testing.assert_array_equal(one, other)


def test_blocks_leave_the_picture_as_it_was() -> None:
    picture = texture(5)
    before = picture.copy()
    views = own_view(picture)
    measure_views([views], HERE, "cpu")
    np.testing.assert_array_equal(picture, before)


def test_head_blocks_read_the_head_and_tiles_read_the_detail() -> None:
    head, detail = texture(6), texture(7, 600, 800)
    mixed = Views(head, detail)
    for name, source in (("brisque", head), ("photometry", head), ("tiles", detail)):
        extract = BLOCKS[name].extract
        np.testing.assert_array_equal(extract(mixed), extract(own_view(source)))


# Made by version 0.5: what it measured is still in the caches.
STORED = Path(__file__).parent.parent / "data" / "blocks.npz"
DRAWN = {
    "wide": (21, 1512, 2016),
    "tall": (22, 2016, 1512),
    "odd": (23, 601, 907),
}


def stored_picture(name: str) -> np.ndarray:
    if name == "noise":
        return noisy(40)
    return texture(*DRAWN[name]) if name in DRAWN else photo(f"{name}.png")


@pytest.mark.parametrize("name", ("astronaut", "coffee", "noise", *DRAWN))
def test_blocks_of_the_same_version_are_the_same_numbers(name: str) -> None:
    views = views_of(limited(stored_picture(name)))
    with np.load(STORED) as stored:
        for block in ("photometry", "tiles", "grey"):
            found, expected = BLOCKS[block].extract(views), stored[f"{name}/{block}"]
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


# --- what the modules say of themselves ---


@pytest.mark.parametrize("block", [b for b in BLOCKS.values() if isinstance(b, PhotoBlock)])
def test_a_block_names_the_packages_that_its_module_imports(block: PhotoBlock) -> None:
    nodes = list(ast.walk(ast.parse(Path(find_spec(block.module).origin).read_text())))
    imported = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    imported |= {a.name for node in nodes if isinstance(node, ast.Import) for a in node.names}
    third_party = {name.split(".")[0] for name in imported} - sys.stdlib_module_names - {"iqcli"}
    assert {DISTRIBUTIONS[name] for name in third_party} <= set(block.packages)
    assert all(version(package) for package in block.packages)


def test_a_fingerprint_changes_with_all_that_changes_the_numbers() -> None:
    made = [
        PhotoBlock("a", 1, 4, "m"),
        PhotoBlock("b", 1, 4, "m"),
        PhotoBlock("a", 2, 4, "m"),
        PhotoBlock("a", 1, 5, "m"),
        PhotoBlock("a", 1, 4, "m", ("numpy",)),
        PhotoBlock("a", 1, 4, "m", edition=2),
    ]
    assert len({block.fingerprint for block in made}) == len(made)
    # A head stays valid where only the edition changes.
    assert (
        made[-1].weights_fingerprint == made[0].weights_fingerprint != made[2].weights_fingerprint
    )
    assert PhotoBlock("a", 1, 4, "m").fingerprint == made[0].fingerprint


def test_names_and_registry_are_known_without_the_libraries_that_do_the_work() -> None:
    code = (
        "import sys, iqcli.extractors.schema, iqcli.extractors.registry as r, iqcli.models.base\n"
        f"[r.BLOCKS[name].fingerprint for name in {[block.name for block in HERE]}]\n"
        "print(sorted({'cv2', 'torch', 'PIL', 'scipy'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


# --- photometry on drawn scenes ---


def test_light_of_a_ramp() -> None:
    found = named(ramp())
    for percent in PERCENTILES:
        assert found[f"luma_p{percent}"] == pytest.approx(2.56 * percent, abs=1)
    assert found["luma_mean"] == pytest.approx(127.5, abs=0.5)
    assert found["luma_std"] == pytest.approx(256 / 12**0.5, abs=0.5)
    assert found["luma_skew"] == pytest.approx(0, abs=0.01)
    assert found["luma_kurtosis"] == pytest.approx(1.8, abs=0.01)
    assert found["luma_entropy"] == pytest.approx(8, abs=0.01)
    assert found["luma_black"] == found["all_black"] == pytest.approx(5 / 256)
    assert found["luma_white"] == found["red_white"] == pytest.approx(5 / 256)


def test_clipped_shares_are_known_by_channel() -> None:
    picture = plain(100)
    picture[:128, :, 0] = 255
    picture[:256, :, 1] = 0
    found = named(picture)
    # Every third row is counted.
    assert found["red_white"] == pytest.approx(0.25, abs=0.003)
    assert (found["green_white"], found["blue_white"]) == (0, 0)
    assert found["all_black"] == 0


def test_grey_has_no_colour_and_red_has() -> None:
    for name in ("colourfulness", "chroma_mean", "a_std", "b_std", "a_mean", "b_mean"):
        assert named(texture_in_grey())[name] == pytest.approx(0, abs=0.01)
    assert named(texture_in_grey())["grey_share"] == 1
    red = plain(0)
    red[..., 0] = 200
    found = named(red)
    # Hasler and Suesstrunk: 0.3 * hypot(mean of R - G, mean of (R + G) / 2 - B), nothing varies.
    assert found["colourfulness"] == pytest.approx(0.3 * np.hypot(200, 100), rel=1e-4)
    assert found["grey_share"] == 0 and found["a_mean"] > 50


def texture_in_grey() -> np.ndarray:
    return grey(cv2.cvtColor(texture(8), cv2.COLOR_RGB2GRAY))


def test_colourfulness_grows_with_saturation() -> None:
    picture = texture(9).astype(np.float32)
    mean = picture.mean(axis=2, keepdims=True)
    found = [
        named(np.clip(mean + share * (picture - mean), 0, 255).astype(np.uint8))["colourfulness"]
        for share in (0.1, 0.3, 0.6, 1.0)
    ]
    assert np.all(np.diff(found) > 1)


def test_a_warm_cast_shows_in_the_greys() -> None:
    picture = texture_in_grey().astype(np.int16)
    warm = np.clip(picture + np.array([6, 0, -8]), 0, 255).astype(np.uint8)
    assert named(warm)["cast_b"] > named(picture.astype(np.uint8))["cast_b"] + 1


@pytest.mark.parametrize("sigma", (2, 5, 10, 20))
def test_noise_of_known_strength_is_found(sigma: float) -> None:
    """Immerkaer's mask answers white noise with 6 sigma; its mean absolute value is 0.8 of that."""
    expected = np.log(6 * sigma * (2 / np.pi) ** 0.5)
    assert named(noisy(sigma))["noise"] == pytest.approx(expected, abs=0.03)


def test_noise_grows_on_a_photo() -> None:
    base = photo("astronaut.png").astype(np.float32)
    grain = np.random.default_rng(1).normal(0, 1, base.shape)
    found = [
        named(np.clip(base + sigma * grain, 0, 255).astype(np.uint8)) for sigma in (0, 4, 8, 16, 32)
    ]
    for name in ("noise", "tile_noise_p10", "tile_noise_p50"):
        assert np.all(np.diff([each[name] for each in found]) > 0.05), name


@pytest.mark.parametrize("name", ("astronaut.png", "chelsea.png"))
def test_sharpness_falls_with_blur_at_every_scale(name: str) -> None:
    head = views_of(photo(name)).scoring
    blurred = [head, *(cv2.GaussianBlur(head, (0, 0), sigma) for sigma in (1, 2, 4, 8))]
    found = [named(each) for each in blurred]
    measures = ("laplacian_mean", "laplacian_std", "gradient_mean", "sigma_mean")
    for measure in measures:
        for scale in SCALES:
            values = [each[f"{measure}_{scale}"] for each in found]
            assert np.all(np.diff(values) < 0), (measure, scale, values)
    for measure in ("tile_sharp_max", "tile_sharp_p50"):
        assert np.all(np.diff([each[measure] for each in found]) < 0), measure


def test_a_mosaic_of_8_pixel_blocks_is_blocky() -> None:
    head = photo("astronaut.png")
    coarse = cv2.resize(head, (64, 64), interpolation=cv2.INTER_AREA)
    mosaic = cv2.resize(coarse, (512, 512), interpolation=cv2.INTER_NEAREST)
    for name in ("block_x", "block_y"):
        assert named(mosaic)[name] > named(head)[name] + 3
        assert abs(named(head)[name]) < 0.2
    ok, data = cv2.imencode(".jpg", head[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 10])
    assert ok
    squeezed = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
    assert named(np.ascontiguousarray(squeezed))["block_x"] > named(head)["block_x"] + 0.3


def test_stripes_have_a_direction() -> None:
    upright = grey(127 + 100 * np.sin(2 * np.pi * COLUMNS[:, :512] / 6))
    lying = np.ascontiguousarray(upright.transpose(1, 0, 2))
    for name in ("gradient_x_to_y_1", "band_x_to_y"):
        assert named(upright)[name] > 2
        assert named(lying)[name] < -2


@pytest.mark.parametrize("cycles", (3, 8, 30, 90))
def test_a_wave_lies_in_the_band_of_its_frequency(cycles: int) -> None:
    """`cycles` across the frame of 256 samples is a frequency of `cycles` / 256."""
    wave = 127 + 100 * np.sin(2 * np.pi * cycles * COLUMNS[:, :512] / 512)
    found = named(grey(wave))
    expected = np.digitize(cycles / 256, np.geomspace(1 / 128, 0.5, BANDS + 1)) - 1
    assert np.argmax([found[f"band_{i}"] for i in range(BANDS)]) == expected


def test_a_sharp_subject_before_a_soft_ground_is_sharp_somewhere() -> None:
    picture = cv2.GaussianBlur(texture(10), (0, 0), 8)
    soft = named(picture)
    picture[192:320, 192:320] = noisy(40)[192:320, 192:320]
    found = named(picture)
    assert found["tile_sharp_max"] > soft["tile_sharp_max"] + 2
    assert found["tile_sharp_p50"] == pytest.approx(soft["tile_sharp_p50"], abs=0.1)
    assert found["tile_sharp_centre"] > soft["tile_sharp_centre"] + 0.5


# --- tiles on drawn scenes ---

SIDE = 48


def patched(row: int, column: int, patch: np.ndarray) -> np.ndarray:
    """A plain picture of tiles of 48 pixels, one of which is the patch."""
    picture = plain(128, GRID * SIDE, GRID * SIDE)
    picture[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE] = patch
    return picture


@pytest.mark.parametrize(("row", "column"), ((0, 0), (3, 9), (11, 11), (7, 2)))
def test_a_sharp_patch_is_found_where_it_is_drawn(row: int, column: int) -> None:
    picture = patched(row, column, noisy(50)[:SIDE, :SIDE])
    for name in ("fine", "coarse", "noise", "spread"):
        found = tile_layer(picture, name)
        assert np.unravel_index(found.argmax(), found.shape) == (row, column), name


def test_white_and_black_shares_are_right() -> None:
    picture = plain(128, GRID * SIDE, GRID * SIDE)
    picture[: SIDE // 2, :SIDE] = 255
    picture[5 * SIDE : 6 * SIDE, 2 * SIDE : 3 * SIDE] = 0
    white, black = tile_layer(picture, "white"), tile_layer(picture, "black")
    assert white[0, 0] == 0.5 and white.sum() == 0.5
    assert black[5, 2] == 1 and black.sum() == 1
    assert tile_layer(plain(249, 100, 100), "white").max() == 0
    assert tile_layer(plain(250, 100, 100), "white").min() == 1
    assert tile_layer(plain(6, 100, 100), "black").max() == 0


def test_tiles_know_light_and_its_spread() -> None:
    levels = np.arange(GRID * GRID).reshape(GRID, GRID)
    picture = grey(np.kron(levels, np.ones((SIDE, SIDE))))
    np.testing.assert_allclose(tile_layer(picture, "mean"), levels, atol=0.01)
    assert tile_layer(picture, "spread").max() < 0.01
    halves = np.where(np.arange(SIDE) < SIDE // 2, 100, 140) * np.ones((SIDE, 1))
    assert tile_layer(patched(4, 4, grey(halves)), "spread")[4, 4] == pytest.approx(20, abs=0.1)


def test_steps_are_differences_between_pixels_so_far_apart() -> None:
    for size in ((300, 420), (1700, 1200)):
        picture = texture(12, *size)
        luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(float)
        found = steps(tiles.extract(own_view(picture))[None])[0]
        for lag, row in zip(LAGS, found, strict=True):
            for (x, y), value in zip(DIRECTIONS, row, strict=True):
                moved = np.roll(luma, (-lag * y, -lag * x), axis=(0, 1))[: -8 * 2, 16:-16]
                expected = np.sqrt(((moved - luma[: -8 * 2, 16:-16]) ** 2).mean())
                assert value == pytest.approx(expected, rel=0.03), (lag, x, y)


def test_steps_tell_the_way_of_stripes() -> None:
    stripes = grey(np.where(COLUMNS // 16 % 2, 90, 160))
    found = steps(tiles.extract(own_view(stripes))[None])[0]
    down, along = DIRECTIONS.index((0, 1)), DIRECTIONS.index((1, 0))
    assert (found[:, down] == 0).all()
    np.testing.assert_allclose(found[:, along], 70 * np.sqrt(np.array(LAGS) / 16), rtol=0.05)
    assert np.isfinite(maps(tiles.extract(own_view(stripes))[None])).all()


def test_tiles_need_4_pixels_each() -> None:
    assert np.isnan(tiles.extract(own_view(texture(11, 47, 500)))).all()
    assert np.isfinite(tiles.extract(own_view(texture(11, 48, 500)))).all()
