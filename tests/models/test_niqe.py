"""NIQE: block statistics written down once more, what is not defined, the distance, its fit."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save
from scipy import ndimage, stats
from support.cli_runner import Iq
from support.drawn_scenes import FOLDER, blocks_of, own_view, photo, plain, texture
from support.fake_heads import loaded

from iqcli.errors import IqError
from iqcli.extractors import niqe
from iqcli.extractors.niqe import FEATURES, SIDE, SIZE, blocks, extract
from iqcli.extractors.registry import BLOCKS, EMBEDDED
from iqcli.models.niqe import FORMAT, Natural, load
from iqcli.models.registry import ENTRIES
from iqcli.training.niqe import FEWEST, SHARP, fit, sharp

GOOD = EMBEDDED / "niqe.safetensors"


def luma(picture: np.ndarray) -> np.ndarray:
    rows, columns = (side // SIDE * SIDE for side in picture.shape[:2])
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[:rows, :columns].astype(np.float64)


def mscn_of(plane: np.ndarray) -> np.ndarray:
    at = np.arange(-3, 4)
    window = np.exp(-(at[:, None] ** 2 + at**2) / (2 * (7 / 6) ** 2))
    window /= window.sum()
    mean = ndimage.correlate(plane, window, mode="nearest")
    square = ndimage.correlate(plane**2, window, mode="nearest")
    return (plane - mean) / (np.sqrt(np.abs(square - mean**2)) + 1)


def fitted(values: np.ndarray) -> tuple[float, float, float]:
    """Shape, left and right scale of one sample, by the whole table."""
    below, above = values[values < 0], values[values > 0]
    left, right = np.sqrt((below**2).mean()), np.sqrt((above**2).mean())
    ratio = left / right
    wanted = np.abs(values).mean() ** 2 / (values**2).mean()
    wanted *= (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shapes, ratios = table()
    shape = shapes[np.argmin(np.abs(ratios - wanted))]
    scale = math.sqrt(math.gamma(1 / shape) / math.gamma(3 / shape))
    return shape, left * scale, right * scale


@cache
def table() -> tuple[np.ndarray, np.ndarray]:
    shapes = np.arange(0.2, 10.001, 0.001)
    gamma = [[math.gamma(k / shape) for shape in shapes] for k in (1, 2, 3)]
    one, two, three = map(np.array, gamma)
    return shapes, two**2 / (one * three)


def by_hand(block: np.ndarray) -> list[float]:
    """The 18 features of one block of MSCN coefficients."""
    shape, left, right = fitted(block)
    found = [shape, (left + right) / 2]
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        shape, left, right = fitted(block * np.roll(block, shift, (0, 1)))
        mean = (right - left) * math.gamma(2 / shape) / math.gamma(1 / shape)
        found += [shape, mean, left, right]
    return found


def natural() -> Natural:
    return load(GOOD, BLOCKS["niqe"].weights_fingerprint)


def distance(picture: np.ndarray) -> float:
    return float(natural().distances(blocks_of(picture, "niqe")["niqe"][None])[0])


# --- the features ---


@pytest.mark.parametrize("name", ["astronaut.png", "coffee.png"])
def test_the_features_are_those_of_the_paper_block_by_block(name: str) -> None:
    picture = photo(name)
    found, sharpness = blocks(picture)
    rows, columns = (side // SIDE for side in picture.shape[:2])
    assert found.shape == (rows * columns, FEATURES)
    assert sharpness.shape == (rows * columns,)
    half = np.asarray(
        Image.fromarray(luma(picture).astype(np.float32)).resize(
            (columns * SIDE // 2, rows * SIDE // 2), Image.Resampling.BICUBIC
        ),
        np.float64,
    )
    for scale, plane in enumerate((luma(picture), half)):
        mscn, side = mscn_of(plane), SIDE >> scale
        for k in (0, columns + 1, rows * columns - 1):
            i, j = k // columns * side, k % columns * side
            wanted = by_hand(mscn[i : i + side, j : j + side])
            # Pillow cuts the smoothing off at the border, where MATLAB mirrors the picture.
            far = 0.05 if scale else 0.003
            np.testing.assert_allclose(found[k, 18 * scale :][:18], wanted, atol=far)


def test_half_the_size_is_smoothed_before() -> None:
    """Fault: every second pixel of a fine pattern is a pattern; its mean is none."""
    stripes = np.zeros((SIDE, SIDE))
    stripes[:, ::2] = 200
    np.testing.assert_allclose(niqe._half(stripes)[:, 3:-3], 100, atol=6)
    ramp = np.tile(np.arange(SIDE, dtype=float), (SIDE, 1))
    np.testing.assert_allclose(niqe._half(ramp)[5, 3:-3], np.arange(0.5, SIDE, 2)[3:-3], atol=1e-9)
    assert niqe._half(np.full((SIDE, 2 * SIDE), 7.0)).shape == (SIDE // 2, SIDE)
    np.testing.assert_allclose(niqe._half(np.full((SIDE, SIDE), 7.0)), 7)


def test_the_neighbour_beyond_an_edge_is_at_the_other_end_of_its_block() -> None:
    """Fault: neighbours were taken from the next block, which the paper's do not know."""
    first, other = photo("astronaut.png")[:SIDE], photo("coffee.png")[:SIDE, : 2 * SIDE]
    two = np.concatenate([first[:, : 4 * SIDE], other], axis=1)
    coefficients = niqe._cut(niqe._mscn(luma(two))[0], SIDE)
    alone = niqe._features(coefficients[:1])
    np.testing.assert_allclose(niqe._features(coefficients)[:1], alone, rtol=1e-5)
    np.testing.assert_allclose(alone[0], by_hand(coefficients[0].astype(float)), atol=3e-3)


def test_the_block_holds_mean_and_covariance() -> None:
    picture = photo("coffee.png")
    vector, (features, _) = extract(own_view(picture)), blocks(picture)
    assert vector.dtype == np.float32 and vector.shape == (SIZE,)
    np.testing.assert_allclose(vector[:FEATURES], features.mean(axis=0), rtol=1e-5)
    whole = np.zeros((FEATURES, FEATURES))
    whole[np.triu_indices(FEATURES)] = vector[FEATURES:]
    np.testing.assert_allclose(np.triu(np.cov(features.T)), whole, rtol=1e-4, atol=1e-6)


# --- what is not defined ---


@pytest.mark.parametrize("level", [0, 1, 120, 200, 255])
def test_a_flat_picture_is_not_defined(level: int) -> None:
    """Fault: the rounding of a blur looked like noise of a natural kind, or made 0 / 0 perfect."""
    assert np.isnan(extract(own_view(plain(level)))).all()


def test_a_plain_sky_beside_detail_is_neither_above_nor_below_its_mean() -> None:
    """Fault: rounding gave each level of a plain ground a sign, and its pixels were counted so."""
    for level in range(0, 256, 5):
        plane = np.full((SIDE, 2 * SIDE), float(level))
        plane[:, SIDE:] = luma(photo("astronaut.png"))[:SIDE, :SIDE]
        assert not niqe._mscn(plane)[0][:, : SIDE - 3].any()


@pytest.mark.parametrize("shape", [(95, 500), (96, 191), (191, 191), (1, 1), (96, 96)])
def test_a_picture_of_fewer_than_two_blocks_is_not_defined(shape: tuple[int, int]) -> None:
    assert np.isnan(
        extract(own_view(np.ascontiguousarray(texture(1)[: shape[0], : shape[1]])))
    ).all()


def test_two_blocks_are_enough() -> None:
    found = extract(own_view(np.ascontiguousarray(photo("astronaut.png")[:96, :192])))
    assert np.isfinite(found).all()
    assert np.isfinite(natural().distances(found[None])).all()


def test_flat_blocks_do_not_count() -> None:
    """Fault: one flat block (a blown sky) made the mean of all blocks NaN."""
    sky = np.array(photo("astronaut.png"))
    sky[: 2 * SIDE, : 2 * SIDE] = 255
    features, _ = blocks(sky)
    flat = ~np.isfinite(features).all(axis=1)
    # Its inner edge sees what lies beyond the block, so that one of the four is left.
    assert 1 <= flat.sum() <= 4
    assert flat[0]
    assert np.isfinite(extract(own_view(sky))).all()


def test_a_block_of_one_sign_has_no_shape() -> None:
    """Fault: products of one sign gave an infinite ratio, and the last shape of the table."""
    assert np.isnan(niqe._features(np.full((1, SIDE, SIDE), 0.5, np.float32))).all()
    assert np.isnan(niqe._features(np.zeros((1, SIDE, SIDE), np.float32))).all()


def test_only_8_bit_pictures_are_read() -> None:
    with pytest.raises(TypeError, match="8-bit"):
        extract(own_view(photo("coffee.png") / 255.0))


# --- the distance ---


def test_the_distance_is_that_of_the_paper() -> None:
    one = natural()
    vectors = np.stack([blocks_of(photo(n), "niqe")["niqe"] for n in ("coffee.png", "chelsea.png")])
    for vector, found in zip(vectors, one.distances(vectors), strict=True):
        whole = np.zeros((FEATURES, FEATURES))
        whole[np.triu_indices(FEATURES)] = vector[FEATURES:]
        whole += np.triu(whole, 1).T
        apart = vector[:FEATURES] - one.mean
        squared = apart @ np.linalg.pinv((one.covariance + whole) / 2) @ apart
        assert found == pytest.approx(math.sqrt(squared), rel=1e-6)


def test_the_good_photos_mean_is_at_no_distance_and_nan_stays() -> None:
    one = natural()
    vectors = np.full((3, SIZE), np.nan, np.float32)
    vectors[0] = np.r_[one.mean, one.covariance[np.triu_indices(FEATURES)]]
    vectors[1] = np.r_[one.mean + 1, one.covariance[np.triu_indices(FEATURES)]]
    near, far, none = one.distances(vectors)
    assert near == pytest.approx(0, abs=1e-2)
    assert far > 1 and np.isnan(none)
    quality = one.quality({"niqe": vectors})
    assert 0 <= quality[1] < quality[0] <= 1 and np.isnan(quality[2])
    assert len(one.distances(vectors[:0])) == 0


def test_quality_falls_with_the_distance_alone() -> None:
    one = natural()
    names = ("astronaut.png", "coffee.png", "chelsea.png")
    vectors = np.stack([blocks_of(photo(name), "niqe")["niqe"] for name in names])
    noisy = [
        np.clip(photo(n) + np.random.default_rng(1).normal(0, 40, photo(n).shape), 0, 255)
        for n in names
    ]
    more = [blocks_of(each.astype(np.uint8), "niqe")["niqe"] for each in noisy]
    vectors = np.concatenate([vectors, np.stack(more)])
    order = np.argsort(one.distances(vectors))
    assert (np.diff(one.quality({"niqe": vectors})[order]) < 0).all()
    assert order[:3].max() < 3  # what was ruined lies farthest


@pytest.mark.parametrize("how", ["blur", "noise", "jpeg"])
@pytest.mark.parametrize("name", ["astronaut.png", "coffee.png", "chelsea.png"])
def test_the_farther_spoilt_the_farther_away(name: str, how: str) -> None:
    picture, random = photo(name), np.random.default_rng(0)
    spoilt = [picture]
    for level in range(1, 4):
        if how == "blur":
            spoilt.append(cv2.GaussianBlur(picture, (0, 0), 1.5 * level))
        elif how == "noise":
            noisy = picture + random.normal(0, 12 * level, picture.shape)
            spoilt.append(np.clip(noisy, 0, 255).astype(np.uint8))
        else:
            _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 32 - 9 * level])
            spoilt.append(cv2.imdecode(data, cv2.IMREAD_COLOR))
    found = [distance(each) for each in spoilt]
    assert stats.spearmanr(range(4), found)[0] >= 0.8
    assert found[-1] > found[0] + 0.5


# --- the fit ---


def test_sharp_blocks_alone_teach() -> None:
    """As in the paper; a block out of focus is no model of a good photo."""
    features, sharpness = blocks(photo("astronaut.png"))
    chosen = sharp(features, sharpness)
    assert 0 < len(chosen) < len(features)
    kept = sharpness > SHARP * sharpness.max()
    np.testing.assert_array_equal(chosen, features[kept])
    features[np.argmax(sharpness)] = np.nan
    assert len(sharp(features, sharpness)) == kept.sum() - 1
    assert sharp(*blocks(plain(9, 40, 40))).shape == (0, FEATURES)


def test_a_fit_is_the_gaussian_of_the_blocks() -> None:
    pictures = [texture(seed) for seed in range(20)]
    found = fit(pictures)
    stacked = np.concatenate([sharp(*blocks(each)) for each in pictures])
    assert (found.photos, found.blocks) == (20, len(stacked))
    np.testing.assert_allclose(found.mean, stacked.mean(axis=0))
    np.testing.assert_allclose(found.covariance, np.cov(stacked.T))


@pytest.mark.parametrize("pictures", [[], [plain(3)], [texture(1)]])
def test_too_few_sharp_blocks_are_refused(pictures: list[np.ndarray]) -> None:
    with pytest.raises(IqError, match=f"{FEWEST} at least"):
        fit(pictures)


def test_photos_that_are_all_alike_are_refused() -> None:
    with pytest.raises(IqError, match="too similar"):
        fit([photo("astronaut.png")] * 60)


@pytest.mark.slow
def test_a_fit_is_used_by_its_path(iq: Iq, roll: Path) -> None:
    good = iq.cwd / "good"
    good.mkdir()
    for seed in range(20):
        Image.fromarray(texture(seed)).save(good / f"{seed}.png")
    (good / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    made = iq("train", "niqe", "good", "-o", "my.safetensors")
    assert made.code == 0, made.err
    assert "of 20 photos; wrote ./my.safetensors" in made.err
    assert "broken.png" in made.err
    first = (iq.cwd / "my.safetensors").read_bytes()
    assert iq("train", "niqe", "good", "-o", "my.safetensors").code == 0
    assert (iq.cwd / "my.safetensors").read_bytes() == first  # the same photos, the same file
    ran = iq("score", "good/3.png", "photos/IMG_2.jpg", "-m", "my.safetensors", "-f", "jsonl")
    like, noise = ran.rows
    assert like["score"] > noise["score"]
    # Its own name: the calibration of the shipped one, or of another fit, is not for it.
    assert like["model"].startswith("my-") and like["uncertainty"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("photos", "-o", "my.bin"), "ends in .safetensors"),
        (("photos", "-o", "no/my.safetensors"), "no folder"),
        (("empty", "-o", "my.safetensors"), "no photo"),
        (("photos", "-o", "my.safetensors"), "too few"),
    ],
)
def test_a_fit_that_cannot_be_is_refused(iq: Iq, roll: Path, words: list[str], said: str) -> None:
    (iq.cwd / "empty").mkdir()
    ran = iq("train", "niqe", *words)
    assert ran.code in (2, 3) and said in ran.lines[-1]
    assert not list(iq.cwd.glob("**/my*"))


# --- the file ---


def changed(how: str) -> bytes:
    tensors = load_file(GOOD)
    info = {"format": FORMAT, "known_by": "1"}
    if how == "foreign":
        info["format"] = "iq-other-1"
    elif how == "another block":
        info["known_by"] = "99"
    elif how == "no mean":
        del tensors["mean"]
    elif how == "not finite":
        tensors["mean"][3] = np.inf
    elif how == "short":
        tensors["mean"] = tensors["mean"][:9].copy()
    elif how == "single precision":
        tensors["covariance"] = tensors["covariance"].astype(np.float32)
    elif how == "lopsided":
        tensors["covariance"][0, 1] += 1
    elif how == "no covariance":
        tensors["covariance"] = -tensors["covariance"]
    return save(tensors, metadata={"iq": json.dumps(info)})


@pytest.mark.parametrize(
    "how",
    [
        "foreign",
        "another block",
        "no mean",
        "not finite",
        "short",
        "single precision",
        "lopsided",
        "no covariance",
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, how: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(changed(how))
    with pytest.raises(IqError, match=r"x\.safetensors"):
        load(path, BLOCKS["niqe"].weights_fingerprint)
    path.write_bytes(b"no safetensors")
    with pytest.raises(IqError, match="cannot read"):
        load(path, BLOCKS["niqe"].weights_fingerprint)


# --- the shipped model ---


def test_the_shipped_model_is_calibrated_and_has_a_card(iq: Iq, roll: Path) -> None:
    ran = iq("score", "photos", "--model", "niqe", "-f", "jsonl")
    assert ran.code == 1, ran.err
    flat = [row for row in ran.rows if row.get("error")]
    # The second is so dark that it is all but flat.
    assert {Path(row["path"]).name for row in flat} == {"IMG_4.jpg", "IMG_3.jpg"}
    for row in ran.rows:
        if row not in flat:
            assert row["uncertainty"] > 0.5 and 1 <= row["score"] <= 10
            assert not any("calibrated" in reason for reason in row["reasons"])
    card = ENTRIES["niqe"].card
    assert card and "CID22" in card.read_text() and "CC BY-SA" in card.read_text()


@pytest.mark.slow
def test_a_photo_without_a_score_is_counted_and_never_culled(iq: Iq, roll: Path) -> None:
    ran = iq("score", "photos", "--model", "niqe")
    assert ran.lines[-1] == "6 photos: 4 scored, 2 without a score"
    assert sum("too even or too small for niqe" in line for line in ran.lines) == 2
    before = sorted(path for path in roll.rglob("*") if path.is_file())
    ran = iq("cull", "photos", "--model", "niqe", "--worst", "100%", "--max-reject", "100%")
    assert ran.code == 1
    words = ("--format", "jsonl", "--max-reject", "100%", "--apply")
    ran = iq("cull", "photos", "--model", "niqe", "--worst", "100%", *words)
    unscored = [row for row in ran.rows if row["score"] is None]
    assert {row["decision"] for row in unscored} == {"review"}
    left = {path.name for path in roll.rglob("IMG_*") if "_Rejected" not in path.parts}
    assert left == {"IMG_3.jpg", "IMG_4.jpg"}
    assert iq("undo").code == 0
    assert sorted(path for path in roll.rglob("*") if path.is_file()) == before


@pytest.mark.slow
def test_a_warm_run_opens_no_photo_and_no_torch(iq: Iq, roll: Path) -> None:
    cold = iq("score", "photos", "--model", "niqe", "-f", "jsonl")
    ran, opened, loaded = iq.spied("score", "photos", "--model", "niqe", "-f", "jsonl")
    assert ran.out == cold.out
    assert not [name for name in opened if name.endswith(".jpg")]
    assert loaded & {"torch", "cv2", "PIL", "scipy"} == set()


def test_it_orders_the_photos_of_scikit_image_against_their_ruins(iq: Iq) -> None:
    folder = iq.cwd / "photos"
    for name in ("astronaut.png", "coffee.png", "chelsea.png"):
        Image.open(FOLDER / name).save(folder / name)
        soft = cv2.GaussianBlur(photo(name), (0, 0), 4)
        Image.fromarray(soft).save(folder / f"soft-{name}")
    ran = iq("rank", "photos", "--model", "niqe", "-f", "jsonl")
    names = [Path(row["path"]).name for row in ran.rows]
    assert all(name.startswith("soft-") for name in names[3:])


def test_the_model_names_its_part() -> None:
    model = loaded("niqe")
    found = model.predictor
    assert (model.name, found.part, found.reads) == ("niqe", "technical", ("niqe",))
