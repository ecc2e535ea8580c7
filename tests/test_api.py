"""The Python door: every kind of photo gets one score, and what is no photo gets none."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps
from support.drawn_scenes import FOLDER, PHOTOS, noisy, photo, plain, texture
from support.fake_heads import loaded

from iqcli import ImageQualityFusion
from iqcli.errors import IqError, PhotoError
from iqcli.models import registry
from iqcli.models.card import FIGURES, LIMITS, rows_of, sections
from iqcli.models.fusion import FusionHead
from iqcli.models.scoring import judge
from iqcli.pipeline.cache import Cache
from iqcli.pipeline.measure import measure
from iqcli.records import Shot
from iqcli.settings import Settings

CHELSEA = FOLDER / "chelsea.png"
Turn = Image.Transpose
# EXIF orientation -> what was done to the upright picture before it was stored
STORED = {
    2: Turn.FLIP_LEFT_RIGHT,
    3: Turn.ROTATE_180,
    4: Turn.FLIP_TOP_BOTTOM,
    5: Turn.TRANSPOSE,
    6: Turn.ROTATE_90,
    7: Turn.TRANSVERSE,
    8: Turn.ROTATE_270,
}


@pytest.fixture(scope="module")
def model() -> ImageQualityFusion:
    return ImageQualityFusion.from_pretrained()


def test_a_damaged_file_is_scored_as_seen_and_named(model: ImageQualityFusion) -> None:
    data = file_of(picture(), "JPEG")
    whole, damaged = model.rate([data, data[: len(data) // 2]])
    assert damaged.issues[0].name == "damaged"
    assert damaged.issues[0].level == 4 and 0.3 < (damaged.issues[0].share or 0) < 0.7
    assert "damaged" not in {each.name for each in whole.issues}


def test_a_thumbnail_is_too_small_and_not_blurred(model: ImageQualityFusion) -> None:
    size = (100, 67)
    small = cv2.resize(photo("chelsea.png"), size, interpolation=cv2.INTER_AREA)
    enlarged = cv2.resize(small, (1000, 670), interpolation=cv2.INTER_CUBIC)
    as_picture = Image.fromarray(small)
    several = (small, as_picture, file_of(as_picture, "PNG"), enlarged)
    *found, by_hand = [[each.name for each in one.issues] for one in model.rate(several)]
    assert found == [["too_small"]] * 3
    assert "blurred" in by_hand and "too_small" not in by_hand


@pytest.fixture(scope="module")
def chelsea(model: ImageQualityFusion) -> float:
    """The score that every way of giving this photo must get."""
    return model.predict_quality(photo("chelsea.png"))


def picture(name: str = "chelsea.png") -> Image.Image:
    return Image.fromarray(np.array(photo(name)))


def file_of(given: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    given.save(buffer, form, **options)
    return buffer.getvalue()


def oriented(orientation: int, form: str, mode: str = "RGB") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = picture().convert(mode).transpose(STORED[orientation])
    return file_of(stored, form, exif=exif, **({"lossless": True} if form == "WEBP" else {}))


# --- one photo, many forms ---


def test_every_kind_of_input_is_the_same_photo(model: ImageQualityFusion, chelsea: float) -> None:
    """PIL and arrays failed, and a Path scored a silent 50, in the first fusion model."""
    given = {
        "path": CHELSEA,
        "str": str(CHELSEA),
        "bytes": CHELSEA.read_bytes(),
        "opened": Image.open(CHELSEA),
        "picture": picture(),
        "array": np.array(photo("chelsea.png")),
        "read-only": photo("chelsea.png"),
        "strided": np.array(photo("chelsea.png"))[::-1][::-1],
    }
    for name, each in given.items():
        assert model.predict_quality(each) == pytest.approx(chelsea, abs=1e-6), name


def test_a_relative_name_is_found_from_here(model, chelsea, monkeypatch) -> None:
    monkeypatch.chdir(FOLDER)
    assert model.predict_quality("chelsea.png") == chelsea


def test_a_batch_scores_as_its_photos_one_by_one(model: ImageQualityFusion) -> None:
    given = [photo(name) for name in PHOTOS] + [plain(0), noisy(30)]
    together = model.predict_batch(iter(given))
    alone = [model.predict_quality(each) for each in given]
    np.testing.assert_allclose(together, alone, atol=1e-4)
    assert model.predict_batch([]) == []
    assert np.ptp(together) > 0.5


def test_the_network_runs_once_for_a_batch(model: ImageQualityFusion, monkeypatch) -> None:
    """It ran once a photo, and the photo was decoded four times."""
    sizes = []
    predict = FusionHead.predict

    def counted(self: FusionHead, blocks):
        sizes.append(len(blocks["mini"]))
        return predict(self, blocks)

    monkeypatch.setattr(FusionHead, "predict", counted)
    model.predict_batch([plain(k, 64, 64) for k in (0, 90, 180)])
    assert sizes == [3]


def test_scores_follow_their_photo_through_a_shuffle(model: ImageQualityFusion) -> None:
    """Scores were made from another photo's vector, found by its place after a shuffle."""
    given = [photo(name) for name in PHOTOS]
    order = [3, 0, 4, 2, 1]
    straight = model.predict_batch(given)
    shuffled = model.predict_batch([given[k] for k in order])
    np.testing.assert_allclose(shuffled, [straight[k] for k in order], atol=1e-4)


@pytest.mark.slow
def test_the_same_photo_scores_the_same_again_and_no_network_is_left_in_training() -> None:
    """Dropout stayed on while it predicted, so that each call gave another score."""
    code = (
        "from iqcli import ImageQualityFusion\n"
        f"model = ImageQualityFusion.from_pretrained(); path = {str(CHELSEA)!r}\n"
        "print(len({model.predict_quality(path) for _ in range(5)}))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["1"]


def test_the_score_is_of_the_fixed_view_not_of_the_size(model: ImageQualityFusion) -> None:
    for name in PHOTOS:
        large = cv2.resize(photo(name), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        one, other = model.predict_batch([photo(name), large])
        assert one == pytest.approx(other, abs=0.9), name


def test_the_door_agrees_with_the_command_line(model, chelsea, tmp_path: Path) -> None:
    settings = Settings(tmp_path, tmp_path, device="cpu", jobs=1)
    inner = loaded("fusion-mini")
    shots = [Shot(FOLDER, CHELSEA)]
    rows = judge(measure(shots, inner.blocks, Cache(None, pytest.fail), settings), inner)
    assert next(iter(rows)).rating == model.rate([CHELSEA])[0]


# --- PIL pictures ---


@pytest.mark.parametrize(
    ("mode", "close"),
    (("RGBA", 1e-6), ("RGBX", 1e-6), ("RGBa", 1e-6), ("CMYK", 1e-6), ("YCbCr", 0.3), ("HSV", 0.5)),
)
def test_modes_that_hold_the_same_colours(model, chelsea, mode: str, close: float) -> None:
    given = picture().convert("RGBA").convert(mode) if mode == "RGBa" else picture().convert(mode)
    assert model.predict_quality(given) == pytest.approx(chelsea, abs=close)


def test_modes_that_hold_the_same_greys(model: ImageQualityFusion) -> None:
    levels = np.asarray(picture().convert("L"))
    expected = model.predict_quality(np.repeat(levels[..., None], 3, axis=2))
    deep = Image.frombytes("I;16", picture().size, (levels.astype("<u2") * 257).tobytes())
    floating = Image.fromarray(levels.astype(np.float32) / 255)
    opaque = picture().convert("LA")
    for given in (Image.fromarray(levels), deep, floating, opaque, opaque.convert("La")):
        assert model.predict_quality(given) == pytest.approx(expected, abs=1e-6), given.mode


def test_palettes_are_looked_up(model: ImageQualityFusion) -> None:
    mapped = picture().convert("P")
    expected = model.predict_quality(mapped.convert("RGB"))
    for given in (mapped, mapped.convert("PA"), Image.open(io.BytesIO(file_of(mapped, "GIF")))):
        assert model.predict_quality(given) == pytest.approx(expected, abs=1e-6), given.mode
    line_art = picture().convert("1")
    expected = model.predict_quality(line_art.convert("RGB"))
    assert model.predict_quality(line_art) == pytest.approx(expected, abs=1e-6)


def test_what_is_transparent_lies_on_white(model: ImageQualityFusion) -> None:
    half = picture().convert("RGBA")
    half.paste((0, 0, 0, 0), (0, 0, 200, 300))
    shown = picture()
    shown.paste("white", (0, 0, 200, 300))
    assert model.predict_quality(half) == pytest.approx(model.predict_quality(shown), abs=1e-6)


@pytest.mark.parametrize(
    ("orientation", "form"), [*((each, "TIFF") for each in STORED), (6, "PNG"), (8, "WEBP")]
)
def test_a_turned_pil_picture_is_judged_upright(model, chelsea, orientation, form) -> None:
    """Pillow turns a TIFF while it loads it: asked before, its EXIF would turn it twice."""
    data = oriented(orientation, form)
    fresh, loaded = Image.open(io.BytesIO(data)), Image.open(io.BytesIO(data))
    loaded.load()
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    for given in (data, fresh, loaded, upright):
        assert model.predict_quality(given) == pytest.approx(chelsea, abs=1e-6)


def test_a_turned_cmyk_picture_is_judged_upright(model: ImageQualityFusion) -> None:
    data = oriented(6, "JPEG", "CMYK")
    opened = Image.open(io.BytesIO(data))
    assert opened.mode == "CMYK"
    assert model.predict_quality(opened) == pytest.approx(model.predict_quality(data), abs=1e-6)


def test_a_pil_picture_is_left_as_it_was(model: ImageQualityFusion) -> None:
    given = Image.open(io.BytesIO(oriented(6, "PNG")))
    before = given.copy(), given.getexif()[0x0112], given.size
    model.predict_quality(given)
    assert (given.copy(), given.getexif()[0x0112], given.size) == before


# --- what has no score ---


@pytest.mark.parametrize(
    "data",
    (b"", b"abc", b"\xff\xd8\xff\xe0" + bytes(64), file_of(picture(), "JPEG")[:900]),
    ids=("empty", "text", "broken", "cut off"),
)
def test_what_cannot_be_decoded_has_no_score(model, data: bytes, tmp_path: Path) -> None:
    """Any failure scored a silent 50, 5.0 or a vector of zeros."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    for given in (data, path, str(path)):
        with pytest.raises(PhotoError):
            model.predict_quality(given)
    with pytest.raises(PhotoError, match=r"photo\.jpg"):
        model.predict_batch([CHELSEA, path])


@pytest.mark.parametrize("given", ("absent.jpg", ".", "a\0b.jpg", "https://example.org/a.jpg"))
def test_what_is_not_there_has_no_score(model, given: str, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PhotoError):
        model.predict_quality(given)


def test_broken_pil_pictures_have_no_score(model: ImageQualityFusion) -> None:
    closed = Image.open(CHELSEA)
    closed.close()
    cut_off = Image.open(io.BytesIO(file_of(picture(), "JPEG")[:9000]))
    for given in (closed, cut_off, Image.new("RGB", (0, 0)), Image.new("RGB", (5, 0))):
        with pytest.raises(PhotoError):
            model.predict_quality(given)


@pytest.mark.parametrize(
    "given",
    (
        np.zeros((9, 9), np.uint8),
        np.zeros((9, 9, 4), np.uint8),
        np.zeros((3, 9, 9), np.uint8),
        np.zeros((0, 9, 3), np.uint8),
        np.zeros((1, 9, 9, 3), np.uint8),
        np.zeros((9, 9, 3), np.uint16),
        np.zeros((9, 9, 3), np.float32),
        np.zeros((9, 9, 3), bool),
        None,
        5,
        [CHELSEA],
        bytearray(b"abc"),
    ),
    ids=lambda given: f"{type(given).__name__} {getattr(given, 'shape', '')}",
)
def test_what_is_no_photo_is_refused_by_type(model: ImageQualityFusion, given: object) -> None:
    with pytest.raises(TypeError, match=r"RGB order|path, bytes, PIL picture or array"):
        model.predict_quality(given)


@pytest.mark.parametrize("level", (0, 128, 255))
def test_a_plain_frame_is_the_worst_picture_without_much_doubt(model, level: int) -> None:
    """A flat picture got the perfect 0.0 of BRISQUE, and then a ± of 4.5."""
    rating = model.rate([plain(level, 300, 400)])[0]
    assert rating.score < 1.5 and rating.uncertainty < 1


@pytest.mark.parametrize("shape", ((1, 1), (1, 900), (3000, 1), (2, 3), (47, 50), (30, 2500)))
def test_pictures_of_any_shape_have_a_score(model: ImageQualityFusion, shape) -> None:
    rating = model.rate([texture(1, *shape)])[0]
    assert 1 <= rating.score <= 10 and rating.uncertainty > 0


# --- the model itself ---


def test_a_rating_is_whole(model: ImageQualityFusion) -> None:
    rating = model.rate([CHELSEA])[0]
    assert 1 <= rating.score <= 10 and 0 < rating.uncertainty < 5
    assert rating.technical is None and rating.aesthetic is None
    assert rating.model.startswith("fusion-mini") and rating.reasons == ()
    assert isinstance(rating.score, float) and isinstance(rating.uncertainty, float)


def test_the_model_tells_what_it_is(model: ImageQualityFusion) -> None:
    info = model.get_model_info()
    assert info["name"] == "fusion-mini" and info["licence"] == "MIT"
    assert info["blocks"] == {"mini": 194, "photometry": 94, "tiles": 1040}
    assert "BIQ2021" in info["card"] and "SRCC" in info["card"]
    assert info["version"].startswith("fusion-mini/") and "camera errors" in info["limits"]


def test_the_figures_of_the_card_are_data(model: ImageQualityFusion) -> None:
    rows = model.get_model_info()["performance"]
    first = next(row for row in rows if row.get("photos") == "all 2,000")
    assert first["SRCC"] == {"value": 0.851, "low": 0.836, "high": 0.865}
    last = rows[-1]
    assert last["count"] > 1000 and "held out" in last["photos"]
    held = model._model.holdout
    assert last["RMSE"] == pytest.approx(np.sqrt(np.mean((held.scores - held.opinions) ** 2)))
    assert 0.7 < last["SRCC"] < 0.9


@pytest.mark.parametrize("name", ("fusion-mini", "fusion", "brisque-live"))
def test_the_card_says_how_good_the_model_is_and_what_it_is_bad_at(name: str) -> None:
    found = sections(registry.ENTRIES[name].card.read_text("utf-8"))
    assert FIGURES in found and set(found) & set(LIMITS) and "Licence" in found


def test_tables_become_rows() -> None:
    text = (
        "Words.\n\n| a | b |\n|---|---|\n| x y | 1,200 |\n| -.5 | .1 [-.2, 3] |\n\n|c|\n|-|\n|2|\n"
    )
    wanted = [{"a": "x y", "b": 1200.0}, {"a": -0.5, "b": {"value": 0.1, "low": -0.2, "high": 3.0}}]
    assert list(rows_of(text)) == [*wanted, {"c": 2.0}]


def test_a_model_without_a_card_says_none() -> None:
    info = ImageQualityFusion.from_pretrained("brisque-refit").get_model_info()
    assert info["card"] is None and info["limits"] is None and info["biases"] is None
    assert len(info["performance"]) == 1


def test_an_unknown_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(IqError, match="fusion-mini"):
        ImageQualityFusion.from_pretrained("somebody/image-quality")
    with pytest.raises(IqError, match=r"absent\.safetensors"):
        ImageQualityFusion.from_pretrained(str(tmp_path / "absent.safetensors"))
