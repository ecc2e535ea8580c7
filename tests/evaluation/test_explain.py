"""Why a photo got its score: replaced blocks, what stands out, the sharpest tile, the drawing."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from support import fake_hex
from support.drawn_scenes import blocks_of, photo, plain, texture
from support.fake_heads import loaded
from support.images import encoded, noise, scene

from iqcli.cli.commands.explain import to_text
from iqcli.evaluation.explain import Feature, Tile, explain, features_among_training
from iqcli.extractors.schema import GRID, LAYERS, PHOTOMETRY
from iqcli.models.scoring import judge
from iqcli.output.heatmap import draw_panels
from iqcli.records import Photo, Rating, Shot
from iqcli.training.dataset import quantile_knots

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from support.cli_runner import Iq

    from iqcli.evaluation.explain import Explanation
    from iqcli.records import Vector

NAMES = ("astronaut.png", "chelsea.png", "coffee.png", "coins.png", "camera.png")
BLOCKS = ("brisque", "photometry", "tiles")


@pytest.fixture(scope="module")
def others() -> list[Mapping[str, Vector]]:
    """The blocks of seven photos."""
    pictures = [photo(name) for name in NAMES] + [texture(1), texture(2)]
    return [blocks_of(each, *BLOCKS) for each in pictures]


def explained(
    picture: np.ndarray, others: Sequence[Mapping[str, Vector]], model: object
) -> Explanation:
    blocks = blocks_of(picture, *BLOCKS)
    shots = [Shot(Path(), Path(f"{number}.jpg")) for number in range(1 + len(others))]
    measured = [Photo(s, blocks=b) for s, b in zip(shots, [blocks, *others], strict=True)]
    own, *peers = judge(measured, model)
    return explain(model, blocks, others, own, peers)


class Adder:
    """A model whose score is known: the mean luma by 50, and 1 more where BRISQUE is defined."""

    blocks = tuple(SimpleNamespace(name=name) for name in BLOCKS)
    predictor = SimpleNamespace(quantiles={})
    labels = loaded("brisque-refit").labels

    def rate(self, photos: Sequence[Mapping[str, Vector]]) -> list[Rating]:
        found = []
        for each in photos:
            light = float(each["photometry"][PHOTOMETRY.index("luma_mean")]) / 50
            score = light + float(np.isfinite(each["brisque"]).all())
            found.append(Rating(score, None, "adder", technical=light, aesthetic=score - light))
        return found


# --- the explanation ---


def test_a_block_is_worth_what_the_score_loses_without_it(
    others: list[Mapping[str, Vector]],
) -> None:
    found = explained(photo("astronaut.png"), others, Adder())
    index = PHOTOMETRY.index("luma_mean")
    own = blocks_of(photo("astronaut.png"), "photometry")["photometry"][index]
    median = np.median([each["photometry"][index] for each in others])
    (effect,) = found.effects  # tiles and a defined BRISQUE move nothing here
    assert (effect.name, effect.defined) == ("photometry", True)
    assert effect.score == pytest.approx((own - median) / 50, abs=1e-5)
    assert effect.technical == pytest.approx(effect.score, abs=1e-5)
    assert effect.aesthetic == pytest.approx(0, abs=1e-5)
    assert found.against == "folder"


def test_a_block_that_is_not_defined_is_named(others: list[Mapping[str, Vector]]) -> None:
    found = explained(plain(90), others, Adder())
    effects = {each.name: each for each in found.effects}
    assert not effects["brisque"].defined
    assert effects["brisque"].score == pytest.approx(-1)


def test_the_real_model_is_moved_by_each_of_its_blocks(others: list[Mapping[str, Vector]]) -> None:
    model = loaded("brisque-refit")
    found = explained(photo("astronaut.png"), others, model)
    (effect,) = found.effects
    assert effect.name == "brisque"
    median = np.median([each["brisque"] for each in others], axis=0).astype(np.float32)
    (without,) = model.rate([{**others[0], "brisque": median}])
    assert effect.score == pytest.approx(found.photo.rating.score - without.score, abs=1e-4)


def test_few_photos_are_no_folder_to_compare_with(others: list[Mapping[str, Vector]]) -> None:
    model = loaded("brisque-refit")
    found = explained(photo("astronaut.png"), others[:4], model)
    assert found.against == "training"
    knots = model.predictor.tensors["knots.brisque"]
    (without,) = model.rate([{**others[0], "brisque": knots[:, knots.shape[1] // 2]}])
    assert found.effects[0].score == pytest.approx(
        found.photo.rating.score - without.score, abs=1e-4
    )
    assert found.tile.percentile is None


def test_what_stands_out_is_known_where_the_score_reads_no_photometry(
    others: list[Mapping[str, Vector]],
) -> None:
    model = loaded("brisque-refit")
    assert "photometry" not in model.predictor.reads
    found = explained(photo("astronaut.png"), others[:4], model)
    own = blocks_of(photo("astronaut.png"), "photometry")["photometry"]
    knots = model.labels.quantiles["photometry"]
    assert found.features and found.features == features_among_training(own, knots)


def test_equal_numbers_of_the_training_are_no_difference() -> None:
    """The fit sets equal quantiles apart: most photos have no pure white at all."""
    generator = np.random.default_rng(5)
    block = generator.normal(50, 10, (4000, len(PHOTOMETRY))).astype(np.float32)
    white, light = (PHOTOMETRY.index(name) for name in ("luma_white", "luma_mean"))
    block[:, white] = np.maximum(generator.normal(-0.05, 0.2, len(block)), 0)
    own = np.full(len(PHOTOMETRY), 50, np.float32)
    own[white], own[light] = 0, 60
    found = {each.name: each for each in features_among_training(own, quantile_knots(block))}
    assert found["luma_white"].percentile == pytest.approx(30, abs=3)
    assert found["luma_white"].median == pytest.approx(0, abs=1e-3)
    assert found["luma_mean"].percentile == pytest.approx(84, abs=2)
    own[white] = 1e-4
    found = {each.name: each for each in features_among_training(own, quantile_knots(block))}
    assert found["luma_white"].percentile > 50


def test_a_model_without_a_training_of_ours_says_so(others: list[Mapping[str, Vector]]) -> None:
    found = explained(photo("astronaut.png"), others[:1], Adder())
    assert (found.against, found.effects, found.features) == (None, (), ())


@pytest.mark.parametrize(
    ("distort", "feature", "word"),
    [
        (lambda p: p // 5, "luma_mean", "darker"),
        (lambda p: 255 - (255 - p) // 5, "luma_mean", "brighter"),
        (lambda p: np.stack([p[..., 0] // 2, p[..., 1], p[..., 2]], -1), "cast_a", "greener"),
        (lambda p: p * np.array([1, 1, 0.85]), "cast_b", "yellower"),
        (lambda p: np.repeat(p[::8, ::8], 8, 0).repeat(8, 1), "block_x", "with more JPEG blocks"),
    ],
)
def test_the_words_mean_what_they_say(
    others: list[Mapping[str, Vector]], distort: object, feature: str, word: str
) -> None:
    found = explained(distort(photo("astronaut.png")).astype(np.uint8), others, Adder())
    words = {each.name: each.words for each in found.features}
    assert words[feature][0] == word
    assert words[feature][1] > 80


def test_equal_numbers_are_no_difference(others: list[Mapping[str, Vector]]) -> None:
    same = [blocks_of(photo("coins.png"), *BLOCKS)] * 6
    found = explained(photo("coins.png"), same, Adder())
    assert {each.percentile for each in found.features} == {50}
    assert found.tile.percentile == 50
    assert any("nothing stands out" in line for line in to_text(found, Path()))


@pytest.mark.parametrize(
    ("row", "column", "place"),
    [
        *((0, 0, "upper left"), (5, 6, "centre"), (6, 11, "right"), (1, 5, "upper middle")),
        *((11, 0, "lower left"), (4, 2, "left"), (11, 7, "lower middle"), (2, 8, "upper right")),
    ],
)
def test_the_sharpest_tile_is_found_where_it_is(
    others: list[Mapping[str, Vector]], row: int, column: int, place: str
) -> None:
    picture = plain(120, 600, 600)
    picture[row * 50 : row * 50 + 50, column * 50 : column * 50 + 50] = texture(3, 50, 50)
    found = explained(picture, others, Adder())
    assert (found.tile.row, found.tile.column, found.tile.place) == (row + 1, column + 1, place)


def test_a_picture_too_small_for_tiles_has_no_sharpest(others: list[Mapping[str, Vector]]) -> None:
    assert explained(texture(1, 40, 40), others, Adder()).tile is None


def test_chances_fall_with_the_level_and_agree_with_the_issues(
    others: list[Mapping[str, Vector]],
) -> None:
    found = explained(photo("astronaut.png") // 8, others, loaded("brisque-refit"))
    levels = {each.name: each.level for each in found.photo.rating.issues}
    assert levels["too_dark"] >= 3
    for each in found.chances:
        assert list(each.at_least) == sorted(each.at_least, reverse=True)
        assert (each.at_least[0] > 0.3) >= (each.issue in levels)
    assert found.chances[0].at_least[0] == max(each.at_least[0] for each in found.chances)
    text = "\n".join(to_text(found, Path()))
    assert "  too dark: slight or worse " in text and "severe " in text


def test_a_model_of_issues_tells_its_own_chances(
    others: list[Mapping[str, Vector]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded(fake_hex.written(tmp_path / "own.safetensors", fake_hex.head()), tmp_path)
    found = explained(photo("astronaut.png"), others, model)
    (row,) = model.predictor.marginals({name: block[None] for name, block in others[0].items()})
    chances = {each.issue: each.at_least for each in found.chances}
    for label, group in zip(
        model.predictor.graph.labels, model.predictor.graph.groups, strict=True
    ):
        assert chances[label.name] == pytest.approx([row[node] for node in group], abs=1e-6)
    assert {each.name for each in found.effects} <= {"brisque", "photometry"}
    assert explained(photo("astronaut.png"), others[:2], model).against == "training"


def test_a_picture_with_nothing_in_it_has_no_sharpest_tile(
    others: list[Mapping[str, Vector]],
) -> None:
    assert explained(plain(90), others, Adder()).tile is None


def test_no_change_has_no_sign() -> None:
    from iqcli.cli.commands.explain import _parts
    from iqcli.evaluation.explain import BlockEffect

    assert (
        _parts(BlockEffect("tiles", 0, -0.001, -0.2, True)) == " (technical +0.00, aesthetic -0.20)"
    )


def test_a_share_is_never_rounded_up_to_all() -> None:
    from iqcli.cli.commands.explain import _share

    assert _share(99.9, "the others") == "99 % of the others"
    assert _share(100, "the others") == "all of the others"
    assert Feature("cast_b", -3, 1, 2.5).words == ("bluer", 97.5)
    assert Tile(6, 6, 3.0, None).place == "centre"


# --- the drawing ---


def layers(**values: float) -> np.ndarray:
    made = {name: np.full((GRID, GRID), values.get(name, 0), np.float32) for name in LAYERS}
    return np.stack([made[name] for name in LAYERS])


def image(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


@pytest.mark.parametrize("shape", [(512, 700), (512, 512), (512, 4000), (2048, 300), (1, 1)])
def test_it_draws_pictures_of_every_shape(shape: tuple[int, int]) -> None:
    pixels = image(draw_panels(texture(1, *shape), layers(fine=9, noise=2), LAYERS))
    assert 1200 < pixels.shape[1] < 2400 and 300 < pixels.shape[0] < 800


@pytest.mark.slow
def test_each_fault_shows_in_its_own_panel() -> None:
    picture = texture(1)
    calm = layers(fine=5)
    before = image(draw_panels(picture, calm, LAYERS))
    panels = np.linspace(0, before.shape[1], 5).astype(int)
    for name, at in {"fine": 1, "white": 2, "black": 2, "noise": 3}.items():
        faulty = calm.copy()
        faulty[LAYERS.index(name), 3, 4] = 1 if name in ("white", "black") else 30
        moved = (image(draw_panels(picture, faulty, LAYERS)) != before).any(axis=(0, 2))
        changed = {k for k in range(4) if moved[panels[k] : panels[k + 1]].any()}
        # The frame around the sharpest tile stands in the photo, too.
        assert changed == ({0, 1} if name == "fine" else {at}), name


def test_white_and_black_differ_without_colour() -> None:
    shades = []
    for name in ("white", "black"):
        grey = Image.open(
            io.BytesIO(draw_panels(texture(1), layers(**{name: 1.0}), LAYERS))
        ).convert("L")
        shades.append(np.asarray(grey).astype(int))
    assert np.abs(shades[0] - shades[1]).max() > 30


def test_tiles_that_are_not_known_are_drawn_empty() -> None:
    nothing = np.full((len(LAYERS), GRID, GRID), np.nan, np.float32)
    assert image(draw_panels(plain(9, 40, 40), nothing, LAYERS)).shape[2] == 3


def test_every_sign_is_in_the_font(monkeypatch: pytest.MonkeyPatch) -> None:
    written: set[str] = set()
    real = ImageDraw.ImageDraw.text

    def noted(self: ImageDraw.ImageDraw, at: object, text: str, *rest: object, **more: object):
        written.update(text)
        return real(self, at, text, *rest, **more)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", noted)
    faulty = layers(fine=5, noise=2, white=0.5)
    faulty[:, 0] = np.nan
    faulty[LAYERS.index("white"), 1] = 0
    draw_panels(plain(9), faulty, LAYERS)
    font = ImageFont.load_default(15)
    missing = bytes(font.getmask("\U0010ffff"))
    assert {"·", "-"} < written
    assert not {sign for sign in written if sign != " " and bytes(font.getmask(sign)) == missing}


# --- the command ---


@pytest.fixture
def crowd(iq: Iq, roll: Path) -> Path:
    """Seven photos in one folder, one below it, and a file that is none."""
    for number in range(4):
        data = encoded(texture(number, 300, 400), "JPEG", quality=90)
        (roll / f"T_{number}.jpg").write_bytes(data)
    (roll / "broken.jpg").write_bytes(b"Dear all,\n")
    return roll


FAST = ("--model", "brisque-refit")


def test_the_text(iq: Iq, crowd: Path) -> None:
    ran = iq("explain", "photos/IMG_3.jpg", *FAST)
    assert ran.code == 0
    first, second, third, *rest = ran.out.decode().splitlines()
    scored = iq("score", "photos/IMG_3.jpg", *FAST, "-f", "jsonl").rows[0]
    assert first.startswith(f"./photos/IMG_3.jpg: {scored['score']:.1f} ± ")
    assert second.startswith("number ") and second.endswith(" of 7 in ./photos")
    assert third == "points by which each block moved the score, against the median of the folder:"
    assert rest[0].endswith("  brisque")
    assert any("need not add up" in line for line in rest)
    assert any(line.startswith("  darker than ") for line in rest)
    assert any(line.startswith("sharpest: ") for line in rest)
    assert ran.lines == ["1 photo of ./photos could not be read and did not count"]


def test_json_holds_the_same_as_numbers(iq: Iq, crowd: Path) -> None:
    ran = iq("explain", "photos/IMG_3.jpg", *FAST, "-f", "json", "-q")
    assert (ran.code, ran.lines) == (0, [])
    record = json.loads(ran.out, parse_constant=lambda name: pytest.fail(name))
    ranked = iq("rank", "photos", *FAST, "-f", "jsonl").rows
    beside = [row for row in ranked if "/day/" not in row["path"] and row["score"] is not None]
    place = [row["path"] for row in beside].index("./photos/IMG_3.jpg") + 1
    assert (record["rank"], record["of"], record["against"]) == (place, 7, "folder")
    assert [each["name"] for each in record["blocks"]] == ["brisque"]
    assert {each["name"] for each in record["features"]} >= {"luma_mean", "tile_sharp_p90"}
    dark = next(each for each in record["issues"] if each["name"] == "too_dark")
    assert dark["level"] >= 2 and 0.45 < dark["at_least"]["2"] <= 1
    assert 1 <= record["sharpest"]["row"] <= GRID


def test_among_another_folder(iq: Iq, crowd: Path) -> None:
    words = ("explain", "photos/IMG_1.jpg", *FAST, "-f", "json", "--among")
    record = json.loads(iq(*words, "photos").out)
    assert record["of"] == 10  # the folders inside count, too
    few = json.loads(iq(*words, "photos/day").out)
    assert (few["of"], few["among"], few["against"]) == (4, "./photos/day", "training")


@pytest.mark.slow
def test_a_method_that_was_not_trained_here(iq: Iq, crowd: Path) -> None:
    ran = iq("explain", "photos/T_1.jpg", "--model", "niqe", "--among", "photos/day")
    assert ran.code == 0
    assert "are unknown: too few photos" in ran.out.decode()
    ran = iq("explain", "photos/T_1.jpg", "--model", "niqe", "-f", "json")
    assert [each["name"] for each in json.loads(ran.out)["blocks"]] == ["niqe"]


@pytest.mark.slow
def test_a_warm_run_is_light(iq: Iq, crowd: Path) -> None:
    assert iq("explain", "photos/IMG_1.jpg").code == 0
    ran, opened, loaded = iq.spied("explain", "photos/IMG_1.jpg")
    assert ran.code == 0
    assert not loaded & {"torch", "cv2", "PIL", "scipy"}
    assert not [name for name in opened if name.endswith("T_1.jpg")]


def test_the_heatmap_is_written_once(iq: Iq, crowd: Path) -> None:
    words = ("explain", "photos/IMG_1.jpg", *FAST, "--heatmap", "map.png")
    ran = iq(*words)
    assert (ran.code, ran.lines[-1]) == (0, "drawn: ./map.png")
    before = (iq.cwd / "map.png").read_bytes()
    assert image(before).shape[1] > 1000
    again = iq(*words)
    assert (again.code, again.out) == (2, b"")
    assert again.lines == ["iq: ./map.png exists and is not overwritten; give another name"]
    assert (iq.cwd / "map.png").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("photos",), 2, "is a folder; name one photo"),
        (("photos/gone.jpg",), 2, "there is no file or folder"),
        (("photos/broken.jpg",), 1, "./photos/broken.jpg: not a picture iq can read"),
        (("photos/IMG_1.jpg", "photos/IMG_2.jpg"), 2, "takes one photo"),
        ((), 2, "no path is given"),
        (("-",), 2, "takes one photo"),
        (("photos/IMG_1.jpg", "-f", "csv"), 2, "give one of text, json"),
        (("photos/IMG_1.jpg", "--among", "photos/IMG_2.jpg"), 2, "is a file; give a folder"),
        (("photos/IMG_1.jpg", "--among", "gone"), 2, "there is no file or folder"),
        (("photos/IMG_1.jpg", "--heatmap", "map.jpg"), 2, "ends in .png"),
        (("photos/IMG_1.jpg", "--heatmap", "no/map.png"), 2, "there is no folder ./no"),
        (("photos/IMG_1.jpg", "--heatmap", "photos/IMG_2.jpg"), 2, "ends in .png"),
        (("photos/IMG_1.jpg", "--model", "beauty"), 2, "there is no model"),
    ],
)
def test_what_cannot_be_explained_is_an_error_in_one_sentence(
    iq: Iq, crowd: Path, words: tuple[str, ...], code: int, why: str
) -> None:
    ran = iq("explain", *words)
    assert (ran.code, ran.out, len(ran.lines)) == (code, b"", 1)
    assert why in ran.lines[0]


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
def test_a_hostile_name_steers_nothing(iq: Iq) -> None:
    name = os.fsdecode(b"photos/esc\x1b[31m\n\xff.jpg")
    (iq.cwd / name).write_bytes(encoded(noise(200, 150), "JPEG"))
    for form in ("text", "json"):
        ran = iq("explain", name, *FAST, "-f", form, "--heatmap", f"{form}.png")
        assert ran.code == 0
        assert "\x1b" not in ran.out.decode() + ran.err
    assert json.loads(ran.out)["path_b64"] is not None


def test_a_companion_is_explained_as_its_photo(iq: Iq) -> None:
    (iq.cwd / "photos/IMG_1.HEIC").write_bytes(encoded(scene(200, 150), "HEIF"))
    (iq.cwd / "photos/IMG_1.JPG").write_bytes(encoded(scene(200, 150), "JPEG"))
    record = json.loads(iq("explain", "photos/IMG_1.HEIC", *FAST, "-f", "json").out)
    assert (record["path"], record["of"]) == ("./photos/IMG_1.JPG", 1)
