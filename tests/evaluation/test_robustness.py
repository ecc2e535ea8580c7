"""Ladders: copies of a photo that differ in strength alone, and what scores make of them."""

from __future__ import annotations

import io
import json
import math
import zlib
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms
from scipy import stats
from support.drawn_scenes import photo

from iqcli.distortions.bank import DISTORTIONS
from iqcli.distortions.readers import (
    FULL_SIZE,
    FullSizeReader,
    ScoringViewCache,
    ScoringViewReader,
    full_size,
)
from iqcli.errors import IqError, PhotoError
from iqcli.evaluation import robustness
from iqcli.evaluation.intervals import wilson
from iqcli.evaluation.robustness import (
    FAMILIES,
    Ladder,
    chosen_distortions,
    count_copies,
    measure_copies,
    score_ladders,
    summaries,
    weak,
)
from iqcli.photos.read import read_photo
from iqcli.records import Issue, Photo, Rating, Shot

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli_runner import Iq


def encoded(picture: np.ndarray, form: str = "PNG", **how: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, form, **how)
    return file.getvalue()


PHOTO = encoded(photo("astronaut.png"))
LARGE = encoded(cv2.resize(photo("coffee.png"), (2400, 1600)), "JPEG", quality=95)


def error(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt(np.mean((one.astype(float) - other) ** 2)))


# --- the copies ---


@pytest.mark.slow
def test_copies_at_the_scoring_view_differ_in_strength_alone() -> None:
    plain = read_photo(PHOTO, max_megapixels=250)[1].scoring
    views = ScoringViewCache()
    for name, distort in DISTORTIONS.items():
        copies = [
            ScoringViewReader(name, level, views)(PHOTO, max_megapixels=250)[1]
            for level in (0, 1, 5, 5)
        ]
        np.testing.assert_array_equal(copies[0].scoring, plain, name)
        seed = zlib.crc32(name.encode(), zlib.crc32(PHOTO))
        np.testing.assert_array_equal(copies[1].scoring, distort(plain, 1, seed), name)
        np.testing.assert_array_equal(copies[2].scoring, copies[3].scoring, name)
        np.testing.assert_array_equal(copies[1].scoring, copies[1].detail, name)
        assert 0 < error(copies[1].scoring, plain) < error(copies[2].scoring, plain), name


def test_the_seed_is_of_the_photo_and_the_distortion() -> None:
    reader, other = ScoringViewReader("color_blocks", 5), encoded(photo("chelsea.png"))
    sizes = [np.asarray(reader(data, max_megapixels=9)[1].scoring) for data in (PHOTO, other)]
    plain = [read_photo(data, max_megapixels=9)[1].scoring for data in (PHOTO, other)]
    where = [np.argwhere((a != b).any(axis=2))[0] for a, b in zip(sizes, plain, strict=True)]
    assert (where[0] != where[1]).any()


def test_every_copy_has_a_fingerprint_of_its_own() -> None:
    heads = [ScoringViewReader(name, k) for name in DISTORTIONS for k in range(6)]
    full = [FullSizeReader(name, k) for name in FULL_SIZE for k in range(6)]
    prints = {each.fingerprint for each in (*heads, *full)}
    # Untouched is untouched, whatever the distortion.
    assert len(prints) == 5 * len(DISTORTIONS) + 1 + 5 * len(FULL_SIZE) + 1


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL_SIZE)
def test_a_fault_at_full_size_goes_through_a_file(name: str) -> None:
    plain = FullSizeReader(name, 0)(LARGE, max_megapixels=250)
    facts, views = read_photo(LARGE, max_megapixels=250)
    assert (plain[0].width, plain[0].height) == (facts.width, facts.height) == (2400, 1600)
    assert (
        plain[1].detail.shape == views.detail.shape and error(plain[1].scoring, views.scoring) < 2
    )
    errors = [
        error(FullSizeReader(name, k)(LARGE, max_megapixels=250)[1].scoring, plain[1].scoring)
        for k in (1, 5)
    ]
    assert errors[0] < errors[1] and errors[1] > 3


def test_pixels_are_those_of_the_full_size() -> None:
    """A blur that is clear in a small photo is next to nothing in one that is six times larger."""
    small = encoded(cv2.resize(photo("coffee.png"), (400, 267)))
    errors = [
        error(
            *(
                FullSizeReader("gaussian_blur", k)(data, max_megapixels=99)[1].scoring
                for k in (2, 0)
            )
        )
        for data in (small, LARGE)
    ]
    assert errors[1] < 0.3 * errors[0]


def test_the_whole_photo_is_upright_with_its_colours_and_unreduced() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    wide = np.zeros((1500, 3000, 3), np.uint8)
    wide[:750, :, 0] = 255  # the upper half, which comes to lie at the right
    data = encoded(wide, "JPEG", exif=exif.tobytes(), icc_profile=profile)
    picture, kept = full_size(data, 250)
    assert picture.shape == (3000, 1500, 3) and kept == profile
    assert picture[1500, 1200, 0] > 240 and picture[1500, 300, 0] < 15
    facts, views = FullSizeReader("jpeg", 1)(data, max_megapixels=250)
    assert (facts.width, facts.height) == (1500, 3000)
    assert views.scoring[512, 400, 0] > 230
    with pytest.raises(PhotoError, match="megapixels"):
        full_size(data, 4)


# --- what the scores make of them ---


def ladder(*rows: list[float]) -> Ladder:
    scores = np.array(rows, float).reshape(-1, 6)
    return Ladder("jpeg", scores, np.zeros(scores.shape, bool))


def test_a_ladder_by_hand() -> None:
    found = ladder([9, 8, 7, 6, 5, 4], [9, 9, 8, 9, 5, 4], [4, 5, 6, 7, 8, 9], [5] * 6)
    levels = -np.arange(6)
    expected = [stats.spearmanr(row, levels)[0] for row in found.scores[:3]]
    np.testing.assert_allclose(found.orders, [*expected, 0])
    assert found.order == pytest.approx(expected[1] / 2)
    assert found.whole == 0.25
    assert found.wins.tolist() == [1, 0.5, 0, 0.5] and found.won == wilson(0.5, 4)
    assert found.lost[0] == pytest.approx((1 + 0 - 1 + 0) / 4)
    assert found.lost[4] == pytest.approx((5 + 5 - 5 + 0) / 4)


def test_the_first_level_that_half_of_the_photos_are_named_at() -> None:
    named = np.zeros((4, 6), bool)
    assert Ladder("jpeg", np.zeros((4, 6)), named).named_from is None
    named[:, 5] = named[:2, 3] = named[0, 1] = True
    assert Ladder("jpeg", np.zeros((4, 6)), named).named_from == 3


FALLING, RISING = [9.0, 8, 7, 6, 5, 4], [4.0, 5, 6, 7, 8, 9]


def test_summaries_pool_the_ladders_of_a_family() -> None:
    one, other = ladder(FALLING, FALLING, FALLING), ladder(RISING)
    tone = Ladder("darken", one.scores, one.named)
    compression, of_tone, everything = summaries([one, other, tone])
    assert (compression.name, of_tone.name, everything.name) == ("compression", "tone", "all")
    assert (compression.distortions, compression.photos, compression.ladders) == (2, 3, 4)
    # The ladders of one photo are one trial.
    assert compression.order == pytest.approx(1) and compression.won == wilson(0.75, 3)
    assert (everything.distortions, everything.ladders) == (3, 7)
    assert everything.won == wilson(6 / 7, 3)
    (family, empty) = summaries([ladder()])
    assert family.name == "compression" and empty.ladders == 0
    assert math.isnan(empty.order) and math.isnan(empty.won.value)


def test_weak_distortions_are_those_whose_order_is_poor_or_unknown() -> None:
    assert weak([ladder(RISING), ladder(FALLING)]) == weak([ladder()]) == ("jpeg",)


def test_every_distortion_is_in_one_family() -> None:
    named = [name for family in FAMILIES.values() for name in family]
    assert sorted(named) == sorted({*DISTORTIONS, *FULL_SIZE})
    assert FAMILIES["tone"] == ("brighten", "darken", "mean_shift", "contrast")


def test_names_of_distortions() -> None:
    assert chosen_distortions([], full_size=False) == [*DISTORTIONS, "exposure"]
    assert chosen_distortions([], full_size=True) == list(FULL_SIZE)
    assert chosen_distortions(["haze", "jpeg", "haze"], full_size=False) == ["haze", "jpeg"]
    with pytest.raises(IqError, match="'haze' at full size; give one of gaussian_blur"):
        chosen_distortions(["haze"], full_size=True)


class Judge:
    """Scores a photo by the level that its one block holds; noise is named from level 2 on."""

    blocks = ()

    def rate(self, photos):
        return [
            Rating(9 - float(p["level"]), 1, "judge", issues=self.issues(p["level"]))
            for p in photos
        ]

    def issues(self, level: float) -> tuple[Issue, ...]:
        return (Issue("noisy", 2),) if level >= 2 else ()


@pytest.mark.parametrize("chunk", (1, 2, 64))
@pytest.mark.parametrize("full_size", (False, True))
def test_every_photo_climbs_every_ladder(
    chunk: int, full_size: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third photo cannot be measured at one level of JPEG: that ladder is left out."""
    monkeypatch.setattr(robustness, "CHUNK", chunk)
    shots = [Shot(tmp_path, tmp_path / f"{k}.jpg") for k in range(3)]
    seen: list[tuple[str, str, int]] = []
    readers = FullSizeReader if full_size else ScoringViewReader

    def measured(blocks, shots, reader):
        assert isinstance(reader, readers)
        for shot in shots:
            seen.append((shot.path.name, reader.name, reader.level))
            bad = (shot.path.name, reader.name, reader.level) == ("2.jpg", "jpeg", 4)
            level = {"level": reader.level + 0.1 * int(shot.path.stem)}
            yield Photo(shot, error="no") if bad else Photo(shot, blocks=level)

    names = ["jpeg", "sensor_noise"]
    copied = measure_copies(shots, names, (), measured, full_size=full_size)
    found = score_ladders(copied, 3, names, Judge())
    assert len(seen) == len(set(seen)) == count_copies(3, names) == 33
    jpeg, noise = found
    np.testing.assert_allclose(jpeg.scores, 9 - np.arange(6) - np.array([[0], [0.1]]))
    assert noise.scores.shape == (3, 6) and noise.order == 1
    assert noise.named_from == 2 and jpeg.named_from is None


# --- through the command line ---


@pytest.mark.slow
def test_ladders_through_the_command_line(iq: Iq, tmp_path: Path) -> None:
    folder = iq.cwd / "photos"
    for name in ("astronaut.png", "coffee.png"):
        (folder / name).write_bytes(encoded(photo(name)))
    (folder / "torn.png").write_bytes(PHOTO[:2000])
    limited = ("--distortion", "gaussian_blur", "--distortion", "white_noise")
    ran = iq("eval", "--ladders", "photos", *limited)
    ladders, families, last = ran.out.decode().split("\n\n")
    titles, blur, noise = ladders.splitlines()
    assert titles.startswith("distortion") and "named" not in titles
    assert [each.split()[:2] for each in (blur, noise)] == [
        ["gaussian_blur", "2"],
        ["white_noise", "2"],
    ]
    assert [line.split()[:4] for line in families.splitlines()[1:]] == [
        ["blur", "1", "2", "2"],
        ["noise", "1", "2", "2"],
        ["all", "2", "2", "4"],
    ]
    assert float(blur.split()[2]) > 0.8 and float(blur.split()[4]) == 1
    assert float(blur.split()[-1]) > 1.5
    assert last.startswith("distortions under 0.8: ")
    assert ran.code == 1 and "torn.png" in ran.err
    assert "3 photos: 2 put on ladders, 1 could not be read" in ran.err
    again, opened, _ = iq.spied("eval", "--ladders", "photos", *limited)
    assert again.out == ran.out
    assert not [name for name in opened if name.endswith(("astronaut.png", "coffee.png"))]


@pytest.mark.slow
def test_ladders_at_full_size_tell_when_a_fault_is_named(iq: Iq) -> None:
    (iq.cwd / "photos" / "coffee.jpg").write_bytes(LARGE)
    ran = iq("eval", "photos", "--ladders", "--full-size", "--distortion", "under_exposure")
    titles, row, *_ = ran.out.decode().splitlines()
    assert ran.code == 0 and titles.endswith("named at")
    assert row.split()[0] == "under_exposure" and row.split()[-1] in "12345"


WRONG = [
    (("photos", "--ladders", "--images", "photos"), "--images needs opinions"),
    (("photos", "--ladders", "--groups", "scene"), "--groups needs opinions"),
    (("photos", "--ladders", "--against", "brisque-refit"), "--against needs opinions"),
    (("photos", "--ladders", "--worst", "10%"), "--worst needs opinions"),
    (("photos", "--ladders", "--distortion", "nope"), "no distortion 'nope'"),
    (("opinions.csv", "--full-size"), "--full-size belongs to ladders"),
    (("opinions.csv", "--distortion", "jpeg"), "--distortion belongs to ladders"),
    (("opinions.csv", "--good", "7"), "--good says which rejects"),
    (("opinions.csv", "--good", "70", "--below", "3"), "--good is 70"),
    (("opinions.csv", "--below", "30"), "--below is 30"),
    (("opinions.csv", "--against", "nope"), "no model 'nope'"),
    (("opinions.csv", "--against", "fusion-mini"), "names a model twice"),
    (("opinions.csv", "--by", "nope"), "no column 'nope'"),
    (("opinions.csv", "--format", "csv"), "--format is 'csv'; give one of table, json"),
]


@pytest.mark.parametrize(("given", "fact"), WRONG, ids=lambda value: str(value)[:50])
def test_what_does_not_go_together_is_refused_before_anything_is_measured(
    iq: Iq, given: tuple[str, ...], fact: str
) -> None:
    (iq.cwd / "photos" / "a.png").write_bytes(PHOTO)
    (iq.cwd / "opinions.csv").write_text("image,mos\nphotos/a.png,0.5\n")
    ran = iq("eval", *given)
    assert (ran.code, ran.out) == (2, b"")
    assert len(ran.lines) == 1 and fact in ran.err
    assert not iq.cache.exists()


@pytest.mark.slow
def test_two_models_a_rule_and_bursts_in_one_run(iq: Iq) -> None:
    lines = ["image,mos,burst"]
    for k in range(12):
        picture = cv2.GaussianBlur(photo("coffee.png")[:, k * 8 :], (0, 0), 0.3 + 2 * (k % 3))
        (iq.cwd / "photos" / f"{k}.png").write_bytes(encoded(picture))
        lines.append(f"photos/{k}.png,{0.9 - 0.3 * (k % 3) + k / 500},{k // 3}")
    (iq.cwd / "opinions.csv").write_text("\n".join(lines) + "\n")
    wanted = ("--groups", "burst", "--against", "brisque-refit", "--below", "9.9", "--good", "8")
    ran = iq("eval", "opinions.csv", *wanted)
    tables = [part.splitlines() for part in ran.out.decode().split("\n\n")]
    firsts = [" ".join(table[0].split()[:2]) for table in tables]
    assert ran.code == 0 and len(tables) == 7
    assert firsts == [
        *(*["photos of"] * 3, "bursts scored", "model minus", *["photos of"] * 2),
    ]
    assert tables[2][1].split()[:4] == ["12", "all", "fusion-mini", "brisque-refit"]
    named = [line.split()[2:4] for line in tables[5][1:]]
    # Photos of one ± stand together, so there may be fewer thirds.
    for name in ("fusion-mini", "brisque-refit"):
        thirds = [third for model, third in named if model == name]
        assert thirds[0] == "all" and 2 <= len(thirds) <= 4
    # Everything scores below 9.9; four photos are good, four of the twelve are bad.
    assert tables[6][1].split()[2:6] == ["fusion-mini", "12", "4", "0.333"]
    assert tables[6][1].split()[8] == "4" and tables[6][1].split()[9] == "1.000"
    record = json.loads(iq("eval", "opinions.csv", *wanted, "--format", "json").out)
    assert [*record] == [
        *("schema", "agreement", "differences", "bursts", "burst_differences", "uncertainty"),
        "rejects",
    ]
    first = record["agreement"][0]
    assert f"{first['srcc']['value']:.3f}" == tables[0][1].split()[3]
    assert f"{first['plcc_logistic_5']['value']:.3f}" == tables[1][1].split()[9]
    assert [each["third"] for each in record["uncertainty"]] == [third for _, third in named]
