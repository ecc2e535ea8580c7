"""One person's taste: adopted only where it beats the stock model on days it never saw."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from safetensors.numpy import load_file, save
from scipy.stats import spearmanr
from support import fake_pipeline
from support.cli_runner import Iq
from support.drawn_scenes import texture
from support.fake_heads import loaded
from support.images import encoded, exif_block

from iqcli.errors import IqError
from iqcli.evaluation import mos_csv
from iqcli.models import registry
from iqcli.models import taste as tastes
from iqcli.models.taste import TastePredictor
from iqcli.photos.xmp import IQ_NS
from iqcli.pipeline.cache import Cache
from iqcli.records import Facts, Marks, Photo, Shot
from iqcli.training import taste, taste_data
from iqcli.training.taste import TasteFit, TasteSamples, fits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

pytestmark = pytest.mark.slow

WIDTH = 60
DAYS = 12


def person(own: float, count: int = 240, seed: int = 0, stock: float = 1.0) -> TasteSamples:
    """Photos with six traits: the stock model sees the first, the person also the second."""
    random = np.random.default_rng(seed)
    traits = random.normal(0, 1, (count, 6))
    # The mix belongs to the features, not to the sample: unseen photos have the same.
    mix = np.random.default_rng(99).normal(0, 1, (6, WIDTH))
    liking = stock * traits[:, 0] + own * traits[:, 1] + random.normal(0, 0.7, count)
    stars = np.digitize(liking, np.quantile(liking, (0.2, 0.4, 0.6, 0.8))) + 1
    return TasteSamples(
        stock=5.5 + traits[:, 0] + random.normal(0, 0.3, count),
        inputs=np.clip(traits @ mix, -3, 3) / WIDTH**0.5,
        points=1 + 1.8 * stars,
        days=random.integers(0, DAYS, count),
    )


def srcc(a: np.ndarray, b: np.ndarray) -> float:
    return float(spearmanr(a, b).statistic)


# --- the fit and its proof ---


def test_a_taste_of_ones_own_is_adopted_and_holds_on_unseen_photos() -> None:
    known, unseen = person(own=1.5), person(own=1.5, seed=1)
    verdict = taste.compare_with_stock(known)
    assert verdict.adopted and (verdict.photos, verdict.days) == (240, DAYS)
    assert verdict.taste.srcc > verdict.stock.srcc + 0.15
    assert verdict.taste.pairs > verdict.stock.pairs + 0.05
    best = taste.fit(known)
    assert srcc(best.predict(unseen), unseen.points) > srcc(unseen.stock, unseen.points) + 0.15
    # The figure of the held-out days is what unseen photos then show.
    assert srcc(best.predict(unseen), unseen.points) == pytest.approx(verdict.taste.srcc, abs=0.08)
    error = np.sqrt(((best.predict(unseen) - unseen.points) ** 2).mean())
    assert error == pytest.approx(verdict.rmse, rel=0.2)


def test_who_likes_what_others_dislike_can_be_learnt() -> None:
    verdict = taste.compare_with_stock(person(own=0, stock=-2))
    assert verdict.adopted
    assert verdict.stock.srcc < -0.5 and verdict.taste.srcc > 0.5


def test_stars_that_mean_nothing_are_not_adopted() -> None:
    for seed in range(5):
        verdict = taste.compare_with_stock(person(own=0, stock=0, count=80, seed=seed))
        assert not verdict.adopted, verdict
        assert verdict.taste.srcc < 0.25


def test_the_strongest_shrinkage_ranks_as_the_stock_model() -> None:
    known = person(own=1.5, stock=-2)
    (least,) = fits(known, [np.inf])
    assert not least.weights.any() and least.slope > 0
    scores = least.predict(known)
    inside = (scores > 1) & (scores < 10)
    assert srcc(scores[inside], known.stock[inside]) == pytest.approx(1)
    (line,) = fits(person(own=0), [np.inf])
    line_of_stock = np.polyfit(person(own=0).stock, person(own=0).points, 1)
    np.testing.assert_allclose((line.slope, line.level), line_of_stock)


def test_both_ways_to_solve_agree() -> None:
    """Fewer photos than inputs and more take different roads to the same weights."""
    known = person(own=1.5, count=40)
    (wide,) = fits(known, [0.01])
    copies = TasteSamples(*(np.concatenate([each] * 3) for each in vars(known).values()))
    (tall,) = fits(copies, [0.01])
    np.testing.assert_allclose(wide.weights, tall.weights, atol=1e-6)
    assert wide.level == pytest.approx(tall.level)


def test_a_day_is_never_on_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither where the figures come from nor where the strength is chosen."""
    learnt: list[set[int]] = []
    asked: set[int] = set()
    predict = TasteFit.predict

    def learning(known: TasteSamples, strengths: Sequence[float]) -> Iterator[TasteFit]:
        learnt.append(set(known.days))
        yield from fits(known, strengths)

    def asking(fit: TasteFit, known: TasteSamples) -> np.ndarray:
        # A fit is asked before the next one is made.
        assert not set(known.days) & learnt[-1]
        asked.update(known.days)
        return predict(fit, known)

    monkeypatch.setattr(taste, "fits", learning)
    monkeypatch.setattr(TasteFit, "predict", asking)
    taste.holdout_scores(person(own=1.5))
    assert asked == set(range(DAYS))
    # In each of the outer folds, five inner fits and then the one that scores.
    assert len(learnt) == taste.FOLDS * (taste.FOLDS + 1)
    for k in range(0, len(learnt), taste.FOLDS + 1):
        *inner, outer = learnt[k : k + taste.FOLDS + 1]
        assert all(days < outer for days in inner) and outer < set(range(DAYS))


def test_a_trait_of_the_day_teaches_nothing_about_another_day() -> None:
    """Each day has stars and a mark of its own: within a day they would give all away."""
    random = np.random.default_rng(3)
    days = np.repeat(np.arange(8), 15)
    stars = np.clip(random.permutation(8)[days] % 5 + 1 + random.integers(-1, 2, 120), 1, 5)
    marks = np.eye(8)[days]
    known = TasteSamples(random.normal(5, 1, 120), marks, 1 + 1.8 * stars, days)
    assert srcc(taste.fit(known).predict(known), known.points) > 0.5
    verdict = taste.compare_with_stock(known)
    assert verdict.taste.srcc < 0.1 and not verdict.adopted


@pytest.mark.parametrize("count", [3, 4, 5, 30])
def test_folds_hold_whole_days_and_about_as_many_photos(count: int) -> None:
    days = np.random.default_rng(4).integers(0, count, 300)
    found = list(taste.folds(days))
    assert len(found) == min(count, taste.FOLDS)
    assert (np.sum(found, axis=0) == 1).all()
    for day in range(count):
        assert sum(held[days == day].any() for held in found) == 1
    if count == 30:
        assert np.ptp([held.sum() for held in found]) < 10
    again = list(taste.folds(days))
    np.testing.assert_array_equal(found, again)


def test_pairs_are_those_of_one_day_and_ties_count_half() -> None:
    points, days = np.array([1, 5, 5, 9, 1.0]), np.array([0, 0, 0, 1, 1])
    known = TasteSamples(np.zeros(5), np.zeros((5, 1)), points, days)
    # Day 0 has a pair in order and an equal one, day 1 a wrong one; other pairs do not count.
    found = taste.figures(np.array([2.0, 3, 2, 1, 4]), known)
    assert found.pairs == pytest.approx(1.5 / 3)
    alone = replace(known, days=np.arange(5))
    assert np.isnan(taste.figures(points, alone).pairs)
    assert np.isnan(taste.figures(known.stock, known).srcc)


def test_stars_that_never_differ_within_a_day_prove_nothing() -> None:
    known = person(own=2)
    stars = np.random.default_rng(5).integers(1, 6, DAYS)
    assert not taste.compare_with_stock(replace(known, points=1 + 1.8 * stars[known.days])).adopted


# --- what was rated ---


def measured(number: int, stars: int | None = 3, taken: str | None = None) -> Photo:
    folder = Path("roll", f"folder {number % 4}")
    blocks = {"a": np.full(2, number, np.float32)}
    facts = Facts(8, 8, "JPEG", taken=taken)
    return Photo(
        Shot(folder, folder / f"{number}.jpg"), f"{number:x}", facts, Marks(stars), blocks=blocks
    )


def test_stars_become_points_and_none_is_unrated() -> None:
    points = [taste_data.points(stars) for stars in (-1, 0, None, 1, 2, 3, 4, 5)]
    assert points == pytest.approx([1, None, None, 2.8, 4.6, 6.4, 8.2, 10])
    found = taste_data.by_stars(measured(k, (-1, 0, None, 1, 5)[k % 5]) for k in range(100))
    assert len(found.photos) == 60 and sorted({*found.points}) == pytest.approx([1, 2.8, 10])


def test_a_flag_counts_where_there_are_no_stars() -> None:
    flagged = (
        *((5, -1), (0, -1), (None, -1), (None, 1), (0, 1)),
        *((1, 1), (None, 0), (0, 0), (0, None), (None, None)),
    )
    shots = [replace(measured(k), marks=Marks(*flagged[k % 10])) for k in range(100)]
    found = taste_data.by_stars(shots)
    assert [round(value, 1) for value in found.points[:6]] == [10, 1, 1, 8.2, 8.2, 2.8]
    assert len(found.photos) == 60


@pytest.mark.parametrize(
    ("wrote", "previous", "says"),
    [
        (True, None, "0 readable photos with stars are too few"),
        (True, 3, "all photos have the same stars"),
        (False, 3, None),
    ],
)
def test_what_iq_wrote_teaches_nothing(
    tmp_path: Path, wrote: bool, previous: int | None, says: str | None
) -> None:
    """What it had found there does, and so does what a person wrote in its place."""
    shots = []
    for number, shot in enumerate(
        fake_pipeline.photos(tmp_path / "p", [f"tiny {k}" for k in range(60)])
    ):
        stars = number % 5 + 1
        ours = f'xmlns:iq="{IQ_NS}" iq:wroteRating="{stars if wrote else stars % 5 + 1}" '
        ours += f'iq:previousRating="{previous}" ' if previous else ""
        sidecar = shot.path.with_suffix(".xmp")
        sidecar.write_text(XMP.format(stars).replace("xmlns:xmp=", f"{ours}xmlns:xmp="))
        found = Facts(8, 8, "tiny", taken=f"2024-05-{number % 7 + 1:02}T12:00:00")
        shots.append((Shot(shot.root, shot.path, (sidecar,)), found))
    seen = fake_pipeline.run(
        (shot for shot, _ in shots), Cache(None, pytest.fail), fake_pipeline.settings(tmp_path)
    )
    dated = [replace(each, facts=found) for each, (_, found) in zip(seen, shots, strict=True)]
    if says is None:
        assert len(taste_data.by_stars(dated).photos) == 60
    else:
        with pytest.raises(IqError, match=says):
            taste_data.by_stars(dated)


def test_the_day_is_that_of_the_photo_else_its_folder() -> None:
    shots = [measured(k, k % 5 + 1, f"2024-05-{k % 9 + 1:02}T23:59:59+02:00") for k in range(40)]
    assert {*taste_data.by_stars(shots).days} == {f"2024-05-{k:02}" for k in range(1, 10)}
    undated = taste_data.by_stars(measured(k, k % 5 + 1) for k in range(40))
    assert {*undated.days} == {str(Path("roll", f"folder {k}")) for k in range(4)}


def test_copies_of_one_picture_count_once() -> None:
    """One of them in another folder would tell what is held out."""
    shots = [measured(k, k % 5 + 1) for k in range(45)]
    moved = [replace(each, shot=Shot(Path(), Path(f"copy {k}"))) for k, each in enumerate(shots)]
    assert len(taste_data.by_stars([*shots, *moved]).photos) == 45


@pytest.mark.parametrize(
    ("shots", "says"),
    [
        ([], "0 readable photos with stars are too few to learn a taste from; give at least 40"),
        ([measured(k) for k in range(39)], "39 readable photos with stars are too few"),
        ([measured(k, 0) for k in range(90)], "0 readable photos with stars are too few"),
        (
            [measured(k, k % 5 + 1, f"2024-05-0{k % 2 + 1}T10:00:00") for k in range(90)],
            "are of 2 days",
        ),
        ([measured(k) for k in range(90)], "all photos have the same stars"),
    ],
)
def test_what_tells_no_taste(shots: list[Photo], says: str) -> None:
    with pytest.raises(IqError, match=says) as caught:
        taste_data.by_stars(shots)
    assert "\n" not in str(caught.value)


def listed(folder: Path, text: str, scale: str | None = None) -> taste_data.RatedPhotos:
    file = folder / "stars.csv"
    file.write_text(text)
    opinions = mos_csv.read(file, None, scale, None, usual=taste_data.STARS)
    shots = [measured(int(Path(row.row["image"]).stem)) for row in opinions.rows]
    return taste_data.by_opinions(opinions, shots, stars=scale is None)


def lines(stars: Callable[[int], object], day: Callable[[int], str]) -> str:
    return "".join(f"{k}.jpg,{stars(k)},{day(k)}\n" for k in range(70))


@pytest.mark.parametrize("column", ["day", "Taken", " DATE"])
def test_a_list_of_stars_and_days(tmp_path: Path, column: str) -> None:
    stars = (-1, 0, "", 1, 3, 4, 5)
    text = lines(lambda k: stars[k % 7], lambda k: f"2024:05:{k % 4 + 1:02} 10:{k % 60:02}:00")
    found = listed(tmp_path, f"image,stars,{column}\n{text}")
    assert len(found.photos) == 50
    assert sorted({*found.points}) == pytest.approx([1, 2.8, 6.4, 8.2, 10])
    assert {*found.days} == {f"2024-05-{k:02}" for k in range(1, 5)}


def test_a_list_on_another_scale_has_a_zero(tmp_path: Path) -> None:
    text = lines(lambda k: k % 5 * 25, lambda k: f"trip {k % 3}")
    found = listed(tmp_path, f"image,rating,day\n{text}", "0:100")
    assert len(found.photos) == 70 and sorted({*found.points})[:2] == pytest.approx([1, 3.25])
    assert {*found.days} == {"trip 0", "trip 1", "trip 2"}


def test_a_list_whose_days_are_blank_asks_the_photo(tmp_path: Path) -> None:
    text = lines(lambda k: k % 5 + 1, lambda k: "" if k % 2 else "2024-05-01")
    days = listed(tmp_path, f"image,stars,day\n{text}").days
    assert {*days} == {"2024-05-01", *(str(Path("roll", f"folder {k}")) for k in (1, 3))}


@pytest.mark.parametrize(
    ("stars", "says"), [("3.5", "gives 3.5 stars; give whole stars"), ("7", "go from 1 to 7")]
)
def test_stars_come_whole_and_up_to_five(tmp_path: Path, stars: str, says: str) -> None:
    text = lines(lambda k: stars if k == 5 else k % 3 + 1, lambda k: f"trip {k % 3}")
    with pytest.raises(IqError, match=says):
        listed(tmp_path, f"image,stars,day\n{text}")


# --- weight files ---

STOCK = registry.STOCK
SIZES = loaded(STOCK).predictor.sizes


def line(folder: Path, seed: int = 0) -> Path:
    """A taste file with random weights."""
    random = np.random.default_rng(seed)
    width = sum(size + 1 for size in SIZES.values())
    best = TasteFit(1.0, 0.8, random.normal(0, 0.1, width))
    figures = (taste.TasteFigures(0.4, 0.6), taste.TasteFigures(0.5, 0.7))
    verdict = taste.TasteComparison(200, 9, *figures, higher=0.9, positive=1.0, rmse=1.7)
    path = folder / "mine.safetensors"
    path.write_bytes(taste.weight_file(best, verdict, STOCK, SIZES)[1])
    return path


def vectors(count: int) -> list[dict[str, np.ndarray]]:
    random = np.random.default_rng(6)
    blocks = loaded(STOCK).blocks
    return [
        {each.name: random.normal(0, 2, each.size).astype(np.float32) for each in blocks}
        for _ in range(count)
    ]


def test_ratings_are_the_stock_models_but_for_the_score(tmp_path: Path) -> None:
    photos = vectors(20)
    name = next(iter(SIZES))
    photos[3][name] = np.full_like(photos[3][name], np.nan)
    model, stock = loaded(line(tmp_path)), loaded(STOCK)
    assert isinstance(model.predictor, TastePredictor)
    assert [each.name for each in model.blocks] == [each.name for each in stock.blocks]
    mine, theirs = model.rate(photos), stock.rate(photos)
    for one, other in zip(mine, theirs, strict=True):
        assert (one.issues, one.reasons, one.technical) == (
            other.issues,
            other.reasons,
            other.technical,
        )
        assert one.uncertainty == 1.7 and one.model.startswith("taste/") and 1 <= one.score <= 10
    scores, stock_scores = ([each.score for each in ratings] for ratings in (mine, theirs))
    assert mine[3].reasons and np.std(np.subtract(scores, stock_scores)) > 0.01
    head = model.predictor.head
    stacked = {name: np.stack([each[name] for each in photos]) for name in SIZES}
    inputs = tastes.inputs_of(stock.predictor, stacked).astype(float)
    weights = np.random.default_rng(0).normal(0, 0.1, inputs.shape[1])
    known = TasteSamples(np.array(stock_scores), inputs, np.zeros(20), np.zeros(20, int))
    fitted = TasteFit(1.0, 0.8, weights).predict(known)
    np.testing.assert_allclose(scores, fitted, atol=1.2e-3)
    assert model.predictor.describe().startswith(
        f"{head.info['model']}: learnt from the stars of 200 "
    )


def test_equal_fits_have_the_same_name_and_others_another(tmp_path: Path) -> None:
    names = [tastes.load(line(tmp_path, seed)).info["model"] for seed in (0, 0, 1)]
    assert names[0] == names[1] != names[2]


def refused(path: Path) -> str:
    """The one sentence that a taste file is refused with."""
    with pytest.raises(IqError) as caught:
        tastes.load(path)
        loaded(path)
    text = str(caught.value)
    assert "\n" not in text and not text.endswith(".") and path.name in text
    assert "train it again with `iq train taste`" in text
    return text


def rewrite(path: Path, info: object = None, **tensors: np.ndarray | None) -> Path:
    """The file with another account or with some tensors changed or left out."""
    metadata = tastes.load(path).info if info is None else info
    chosen = {**load_file(path), **{name.replace("__", "."): v for name, v in tensors.items()}}
    kept = {name: value for name, value in chosen.items() if value is not None}
    text = metadata if isinstance(metadata, str) else json.dumps(metadata)
    path.write_bytes(save(kept, metadata={"iq": text}))
    return path


ACCOUNTS = {
    "another format": {"format": "iq-taste-2"},
    "a foreign name": {"model": "fusion-mini/1"},
    "a name that steers": {"model": "taste/\x1b[2J"},
    "no stock": {"stock": None},
    "a stock that is a path": {"stock": {"name": "../x", "sha256": "0"}},
    "a file known by a path": {"stock": {"name": "x.safetensors", "sha256": "../../x"}},
    "a stock without a file": {"stock": {"name": "fusion", "sha256": "0" * 64}},
    "an unknown block": {"blocks": {"clip": 3}},
    "no block": {"blocks": {}},
    "a block of another size": {"blocks": {**SIZES, "photometry": 3}},
    "a block of a million": {"blocks": {"photometry": 10**9}},
    "error zero": {"rmse": 0.0},
    "error NaN": {"rmse": float("nan")},
    "error as text": {"rmse": "1"},
    "figures of another kind": {"figures": {"srcc": "x"}},
    "figures NaN": {"figures": dict.fromkeys(tastes.FIGURES, float("nan"))},
}


@pytest.mark.parametrize("name", ACCOUNTS)
def test_an_account_that_is_not_ours_is_refused(tmp_path: Path, name: str) -> None:
    path = line(tmp_path)
    assert "is no taste of this iq" in refused(
        rewrite(path, {**tastes.load(path).info, **ACCOUNTS[name]})
    )


@pytest.mark.parametrize("text", ["", "[1]", "null", "{", '{"a":' * 5000, "9" * 5000])
def test_an_account_that_is_no_account_is_refused(tmp_path: Path, text: str) -> None:
    refused(rewrite(line(tmp_path), text or "{}"))


@pytest.mark.parametrize(
    "value",
    [
        None,
        np.ones(3, np.float32),
        np.ones((2, 1), np.float32),
        np.ones(2),
        np.array([1, np.nan], np.float32),
        np.array([1, np.inf], np.float32),
        np.array([1, -1e5], np.float32),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused(tmp_path: Path, value: np.ndarray | None) -> None:
    assert "is no taste of this iq" in refused(rewrite(line(tmp_path), line=value))


def test_a_tensor_too_many_is_refused(tmp_path: Path) -> None:
    refused(rewrite(line(tmp_path), more=np.ones(2, np.float32)))


@pytest.mark.parametrize("data", [b"", b"\x80\x04K\x01.", bytes(4096), None])
def test_a_file_that_is_no_taste_is_refused(tmp_path: Path, data: bytes | None) -> None:
    path = line(tmp_path)
    path.write_bytes(path.read_bytes()[:-9] if data is None else data)
    assert "cannot read the model" in refused(path)


def test_a_changed_stock_head_asks_for_a_new_taste(tmp_path: Path) -> None:
    path = line(tmp_path)
    stock = {"name": STOCK, "sha256": "0" * 64}
    text = refused(rewrite(path, {**tastes.load(path).info, "stock": stock}))
    assert f"stands on another {STOCK} than this iq has" in text


def test_a_stock_head_of_ones_own_that_is_gone_asks_for_a_new_taste(tmp_path: Path) -> None:
    path = line(tmp_path)
    stock = {"name": "mine.safetensors", "sha256": "0" * 64}
    assert "which is gone" in refused(rewrite(path, {**tastes.load(path).info, "stock": stock}))


def test_blocks_that_are_not_the_stock_heads_are_refused(tmp_path: Path) -> None:
    path = line(tmp_path)
    info = {**tastes.load(path).info, "blocks": {**SIZES, "brisque": 36}}
    more = np.zeros(37, np.float32)
    assert "has other blocks than its stock model" in refused(
        rewrite(path, info, weights__brisque=more)
    )


# --- from stars to ratings ---

COUNT = 48
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    'syntax-ns#"><rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="{}"/>'
    "</rdf:RDF></x:xmpmeta>"
)


def stars_for(light: float) -> int:
    """Who likes dark pictures: five stars for the darkest, rejected are the brightest."""
    return (5, 4, 3, 2, 1, -1)[int(light * 6)]


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Iq:
    """Photos of six days by someone who likes them dark, with stars in sidecars and in a file.

    Each also blurred by chance, which the stock model minds and this person does not. `fresh/` has
    unrated ones; `all.csv` and `dice.csv` list stars, the latter drawn by lot.
    """
    home = tmp_path_factory.mktemp("home")
    cwd = tmp_path_factory.mktemp("here")
    random = np.random.default_rng(8)
    (cwd / "rated").mkdir()
    (cwd / "fresh").mkdir()
    rows = []
    for k in range(COUNT + 12):
        light = random.random()
        picture = texture(k, 64, 80).astype(np.float32) * (0.25 + 0.75 * light)
        picture = cv2.GaussianBlur(picture, (0, 0), 0.01 + 2 * random.random()).astype(np.uint8)
        fresh = k >= COUNT
        path = cwd / ("fresh" if fresh else "rated") / f"{k:02}-{light:.3f}.jpg"
        exif = exif_block({}, {36867: f"2024:05:{k % 6 + 1:02} 12:00:{k % 60:02}"})
        path.write_bytes(encoded(picture, "JPEG", quality=92, exif=exif))
        if not fresh:
            path.with_suffix(".xmp").write_text(XMP.format(stars_for(light)))
            rows.append((path.name, stars_for(light)))
    (cwd / "rated" / "all.csv").write_text(
        "image,stars\n" + "".join(f"{name},{stars}\n" for name, stars in rows)
    )
    dice = [random.integers(1, 6) for _ in rows]
    (cwd / "rated" / "dice.csv").write_text(
        "image,stars\n" + "".join(f"{r[0]},{n}\n" for r, n in zip(rows, dice, strict=True))
    )
    return Iq(home, cwd)


def darkness_found(iq: Iq, model: str) -> float:
    """How well scores of the fresh photos fall with their light."""
    ran = iq("score", "fresh", "--model", model, "--format", "jsonl")
    assert ran.code == 0, ran.err
    light = [-float(Path(row["path"]).stem.split("-")[1]) for row in ran.rows]
    return srcc(np.array([row["score"] for row in ran.rows]), np.array(light))


def test_from_stars_in_sidecars_to_ratings_of_new_photos(album: Iq) -> None:
    missing = album("score", "fresh", "--model", "taste")
    assert missing.code == 2 and "you have no taste yet" in missing.err
    ran = album("train", "taste", "rated")
    assert ran.code == 0 and ran.out == b"", ran.err
    place = album.home / "data" / "taste.safetensors"
    assert f"{COUNT} photos with stars of 6 days" in ran.err
    assert "stock model (fusion-mini) on held-out days: SRCC " in ran.err
    assert "adopted taste/" in ran.err and str(place) in ran.err
    assert darkness_found(album, "taste") > max(0.7, darkness_found(album, STOCK) + 0.2)
    row = album("score", "fresh", "-m", "taste", "-f", "jsonl").rows[0]
    assert row["model"] == tastes.load(place).info["model"]
    assert (
        "learnt from the stars of 48 photos of 6 days"
        in album("models", "info", "taste").out.decode()
    )
    # Stars by lot teach nothing, and what was adopted stays.
    before = place.read_bytes()
    ran = album("train", "taste", "rated/dice.csv")
    assert ran.code == 0 and "not adopted" in ran.err
    assert f"{row['model']}, adopted earlier, stays in {place}" in ran.err
    assert place.read_bytes() == before


def test_from_a_list_to_a_file_of_ones_own(album: Iq) -> None:
    ran = album("train", "taste", "rated/all.csv", "-o", "own.safetensors")
    assert ran.code == 0 and "use it with --model ./own.safetensors" in ran.err, ran.err
    assert darkness_found(album, "own.safetensors") > 0.7
    # A taste may be learnt anew while another is in use, and never stands on itself.
    ran = album("train", "taste", "rated", "-o", "own.safetensors", IQ_MODEL="taste")
    assert ran.code == 0 and "stock model (fusion-mini)" in ran.err


def test_photos_that_are_not_there_are_named(album: Iq) -> None:
    ran = album("train", "taste", "rated/all.csv", "--images", "fresh")
    assert ran.code == 2 and "cannot be read: No such file" in ran.lines[0]
    assert ran.lines[-2] == f"{COUNT} photos: 0 read, {COUNT} could not be read"
    assert "0 readable photos with stars are too few" in ran.lines[-1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("fresh",), "0 readable photos with stars are too few"),
        (("rated", "--where", "a=b"), "--where goes with one CSV file"),
        (("rated", "-o", "own.bin"), "give a name that ends in .safetensors"),
        (("rated", "-o", "no/own.safetensors"), "there is no folder ./no"),
        (("rated", "-o", "other.safetensors"), "exists and is no taste; give another name"),
        (("rated", "-m", "line.safetensors"), "a taste cannot be fitted on 'line.safetensors'"),
        (("rated", "-m", "no-such"), "there is no model 'no-such'"),
    ],
)
def test_a_wrong_word_changes_nothing(album: Iq, tmp_path: Path, words, says: str) -> None:
    (album.cwd / "line.safetensors").write_bytes(line(tmp_path).read_bytes())
    (album.cwd / "other.safetensors").write_bytes((registry.ENTRIES[STOCK].weights).read_bytes())
    before = {path: path.read_bytes() for path in album.cwd.rglob("*.safetensors")}
    ran = album("train", "taste", *words, IQ_DATA_DIR=str(album.home / "none"))
    assert ran.code == 2 and says in ran.err and "a fault of iq" not in ran.err
    assert {path: path.read_bytes() for path in album.cwd.rglob("*.safetensors")} == before
    assert not (album.home / "none").exists()
