"""BRISQUE with OpenCV's weights: its numbers, and no perfect score for what it cannot judge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from safetensors.numpy import save
from support.drawn_scenes import PHOTOS, grey, own_view, photo, plain, ramp, texture
from support.fake_clip import registry
from support.fake_fusion import features, install_brisque, known, pictures, svr

from iqcli.errors import IqError
from iqcli.extractors import brisque
from iqcli.models.brisque import Brisque, read_range, read_svr
from iqcli.photos.views import limited, views_of
from iqcli.records import NoRating, Rating, Views

if TYPE_CHECKING:
    from support.cli_runner import Iq

    from iqcli.records import Pixels


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A regression of OpenCV's own on pictures the more blurred the worse, and its range."""
    return svr(tmp_path_factory.mktemp("svr"))


@pytest.fixture(scope="module")
def model(files: tuple[Path, Path]) -> Brisque:
    return Brisque(read_svr(files[0]), read_range(files[1])["span"])


def by_opencv(picture: Pixels, files: tuple[Path, Path]) -> float:
    backwards = np.ascontiguousarray(picture[..., ::-1])
    return cv2.quality.QualityBRISQUE_compute(backwards, *map(str, files))[0]


# --- the numbers of OpenCV ---


@pytest.mark.parametrize("name", PHOTOS)
def test_the_features_are_those_of_opencv(name: str) -> None:
    backwards = np.ascontiguousarray(photo(name)[..., ::-1])
    theirs = cv2.quality.QualityBRISQUE_computeFeatures(backwards).ravel()
    np.testing.assert_allclose(features(photo(name)), theirs, atol=1e-5)


def test_the_scores_are_those_of_opencv(model: Brisque, files: tuple[Path, Path]) -> None:
    theirs = [by_opencv(each, files) for each in pictures()]
    np.testing.assert_allclose(model.score(known()), theirs, atol=3e-3)
    assert np.isfinite(known()).all() and np.ptp(theirs) > 30


def test_a_batch_scores_as_its_photos_one_by_one(model: Brisque) -> None:
    rows = np.stack([features(photo(name)) for name in PHOTOS])
    alone = [model.score(row[None])[0] for row in rows]
    np.testing.assert_array_equal(model.score(rows), alone)


def test_a_score_stays_within_0_and_100_and_lower_is_better(model: Brisque) -> None:
    rows = known()
    pushed = {
        shift: Brisque({**model.svr, "line": [0.05, shift]}, model.span) for shift in (-1e5, 1e5)
    }
    assert (pushed[-1e5].score(rows) == 100).all() and (pushed[1e5].score(rows) == 0).all()
    assert (pushed[-1e5].quality({"brisque": rows}) == 0).all()
    assert (pushed[1e5].quality({"brisque": rows}) == 1).all()
    scores = model.score(rows)
    np.testing.assert_allclose(model.quality({"brisque": rows}), 1 - scores / 100, atol=1e-6)


def test_rgb_is_not_read_as_bgr() -> None:
    """Read backwards the greys differ: 7.98 became 7.91."""
    picture = photo("coffee.png")
    backwards = np.ascontiguousarray(picture[..., ::-1])
    luma = cv2.cvtColor(backwards, cv2.COLOR_BGR2GRAY)
    np.testing.assert_array_equal(features(picture), features(grey(luma)))
    assert not np.allclose(features(picture), features(backwards), atol=1e-5)


# --- what has no score ---

HOLES = {
    "black": plain(0),
    "grey": plain(128),
    "white": plain(255),
    "two by two": texture(1, 2, 2),
    "three by three": texture(1, 3, 3),
    "one pixel": texture(1, 1, 1),
}


@pytest.mark.parametrize("name", HOLES)
def test_a_flat_or_tiny_picture_is_not_perfect(model: Brisque, name: str) -> None:
    """26 of its features are NaN, and OpenCV scored it 0.0, the best there is."""
    found = features(HOLES[name])
    assert np.isnan(found).all()
    assert np.isnan(model.score(found[None])).all()
    assert np.isnan(model.quality({"brisque": found[None]})).all()


@pytest.mark.parametrize(
    "picture",
    (
        ramp(),
        grey(np.indices((512, 512)).sum(axis=0) % 2 * 255),
        grey((np.indices((512, 512))[1] > 255) * 255),
    ),
    ids=("ramp", "checkerboard", "two tones"),
)
def test_a_drawn_pattern_has_a_real_score_or_none(model: Brisque, picture: Pixels) -> None:
    """NaN features came out as 0.0 here, too."""
    backwards = np.ascontiguousarray(picture[..., ::-1])
    theirs = cv2.quality.QualityBRISQUE_computeFeatures(backwards).ravel()
    found = features(picture)
    if np.isfinite(theirs).all():
        np.testing.assert_allclose(found, theirs, atol=1e-5)
    else:
        assert np.isnan(model.score(found[None])[0])


@pytest.mark.parametrize("kind", (np.uint16, np.float32))
def test_other_numbers_than_8_bit_are_refused(kind: type) -> None:
    """They gave 21.5 and 92.2 instead of 7.9, without a word."""
    picture = photo("coffee.png").astype(kind)
    with pytest.raises(TypeError, match="8-bit"):
        brisque.extract(Views(picture, picture))


def test_the_size_of_the_file_does_not_make_the_score(model: Brisque) -> None:
    """OpenCV's score fell from 34 to 4 as a photo was made smaller; we read one size only."""
    large = cv2.resize(photo("astronaut.png"), None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    sizes = [
        cv2.resize(large, None, fx=k, fy=k, interpolation=cv2.INTER_AREA) for k in (1, 0.7, 0.5)
    ]
    span = np.ptp(model.span, axis=0)
    viewed = [brisque.extract(views_of(limited(each))) / span for each in sizes]
    as_they_are = [features(each) / span for each in sizes]
    apart, moved = (np.ptp(each, axis=0).sum() for each in (viewed, as_they_are))
    assert apart < moved / 2


# --- files ---


def test_a_file_of_another_kind_is_refused(tmp_path: Path, files: tuple[Path, Path]) -> None:
    for name, text in (("empty", ""), ("text", "%YAML:1.0\n---\na: 1\n"), ("torn", "%YAML:1.0\n-")):
        (tmp_path / name).write_text(text)
        for read in (read_svr, read_range):
            with pytest.raises(IqError, match=name):
                read(tmp_path / name)
    with pytest.raises(IqError):
        read_svr(files[1])
    with pytest.raises(IqError):
        read_range(files[0])


def test_another_regression_is_refused(tmp_path: Path) -> None:
    (tmp_path / "linear").mkdir()
    (tmp_path / "short").mkdir()
    with pytest.raises(IqError, match="36 features"):
        read_svr(svr(tmp_path / "linear", cv2.ml.SVM_LINEAR)[0])
    with pytest.raises(IqError, match="36 features"):
        read_svr(svr(tmp_path / "short", count=20)[0])


# --- the model ---


def test_iq_scores_with_it(iq: Iq, roll: Path, files: tuple[Path, Path]) -> None:
    iq.changes |= install_brisque(iq.home, files)
    ran = iq("score", "photos", "--model", "brisque-live", "--format", "jsonl")
    rows = {Path(row["path"]).name: row for row in ran.rows}
    assert ran.code != 0 and "too even or too small for brisque-live" in str(rows["IMG_4.jpg"])
    rated = [row for name, row in rows.items() if name != "IMG_4.jpg"]
    assert all(1 <= row["score"] <= 10 for row in rated)
    assert all(row["technical"] == row["score"] for row in rated)
    ran, opened, loaded = iq.spied("score", "photos", "--model", "brisque-live", "-f", "jsonl")
    assert {Path(row["path"]).name: row for row in ran.rows} == rows
    assert loaded & {"torch", "cv2", "PIL"} == set()
    assert not [name for name in opened if name.endswith((".yml", ".jpg"))]


def test_without_its_weights_it_says_what_to_pull(iq: Iq, roll: Path) -> None:
    ran = iq("score", "photos", "--model", "brisque-live")
    assert ran.code == 2 and "iq models pull brisque-live" in ran.err


@pytest.mark.parametrize("name", ["brisque-live", "brisque-live-range"])
def test_a_damaged_conversion_names_its_folder_and_the_way_out(
    iq: Iq, roll: Path, files: tuple[Path, Path], name: str
) -> None:
    iq.changes |= install_brisque(iq.home, files)
    iq("score", "photos", "--model", "brisque-live")
    (kept,) = (iq.home / "data" / "weights" / name).glob("*.safetensors")
    kept.write_bytes(save({"span": np.ones((2, 3), np.float32)}))
    told = iq("score", "photos", "--model", "brisque-live").lines[-1]
    assert f"weights/{name} is damaged; run `iq models rm {name}` and pull it again" in told
    assert iq("models", "rm", name).code == 0 and not kept.exists()


def test_a_rating_is_technical_and_says_that_it_is_no_opinion(
    files, monkeypatch, tmp_path: Path
) -> None:
    install_brisque(tmp_path, files)
    rater = registry(tmp_path).load("brisque-live")
    views = [own_view(photo("coffee.png")), own_view(plain(90))]
    blocks = [{b.name: b.extract(each) for b in rater.blocks} for each in views]
    rating, none = rater.rate(blocks)
    assert isinstance(rating, Rating) and isinstance(none, NoRating)
    assert rating.technical == rating.score and rating.aesthetic is None
    assert rating.uncertainty is None and "not calibrated" in rating.reasons[0]
    assert rating.score == pytest.approx(
        10 - 9 * by_opencv(photo("coffee.png"), files) / 100, abs=1e-3
    )
