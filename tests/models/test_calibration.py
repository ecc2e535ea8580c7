"""Calibrations: rising and within 1..10, honest about their error, damaged ones refused."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from scipy import stats
from support.cli_runner import FEW_RESAMPLES, Iq
from support.drawn_scenes import photo, plain, texture
from support.fake_heads import NOWHERE
from support.images import encoded

from iqcli.errors import IqError
from iqcli.models.calibration import SHIPPED, Calibration, calibration_of, own_file
from iqcli.training.calibration import CURVES, INSIDE, fit

if TYPE_CHECKING:
    from collections.abc import Mapping

SOUND = {"knots": [0.0, 0.5, 1.0], "points": [1.5, 4.0, 9.0], "sigma": 1.2, "source": "them"}


def opinions(seed: int, count: int = 400, bent: float = 3.0) -> tuple[np.ndarray, ...]:
    """Qualities, and opinions that follow them along a bend, with a known error of 0.8."""
    random = np.random.default_rng(seed)
    quality = random.beta(3, 2, count)
    told = 1 + 9 * quality**bent + random.normal(0, 0.8, count)
    return quality, np.clip(told, 1, 10)


def scenes(count: int) -> list[str]:
    return [str(k // 2) for k in range(count)]


# --- the fit ---


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bent", [0.3, 1.0, 6.0])
def test_a_calibration_rises_within_the_points(seed: int, bent: float) -> None:
    quality, told = opinions(seed, bent=bent)
    scale, curve = fit(quality, told, scenes(400), "x")
    assert curve in CURVES
    assert len(scale.knots) <= 12
    assert (np.diff(scale.knots) > 0).all() and (np.diff(scale.points) >= 0).all()
    assert scale.knots[0] == 0 and scale.knots[-1] == 1
    assert 1 <= scale.points[0] <= scale.points[-1] <= 10
    assert 0.55 < scale.sigma < 0.9  # less than was put in: the ends of the scale cut it off


@pytest.mark.parametrize("curve", CURVES)
def test_each_curve_finds_the_bend(curve: str) -> None:
    quality, told = opinions(1)
    knots, points = CURVES[curve](quality, told)
    at = np.linspace(*np.quantile(quality, (0.05, 0.95)), 50)
    assert np.abs(np.interp(at, knots, points) - (1 + 9 * at**3)).max() < 0.7
    assert (np.diff(points) >= 0).all()


@pytest.mark.parametrize("curve", CURVES)
def test_opinions_that_fall_with_quality_make_no_falling_curve(curve: str) -> None:
    """Fault: a logistic of free sign turned a method round that people disagree with."""
    quality, told = opinions(2)
    knots, points = CURVES[curve](quality, 11 - told)
    assert (np.diff(points) >= 0).all()
    assert 1 <= points.min() <= points.max() <= 10
    assert (np.diff(knots) > 0).all()


def test_the_line_keeps_the_order_of_photos_where_it_is_flat() -> None:
    """Fault: isotonic regression has steps, on which photos of different quality are equal."""
    random = np.random.default_rng(3)
    quality = random.uniform(0.1, 0.9, 500)
    knots, points = CURVES["line"](quality, 4 + random.normal(0, 1, 500))
    inside = (knots >= quality.min()) & (knots <= quality.max())
    assert (np.diff(points[inside]) > 0).all()


def test_few_distinct_qualities_are_enough() -> None:
    quality = np.repeat([0.2, 0.8], 100)
    told = np.repeat([3.0, 7.0], 100)
    scale, _ = fit(quality, told, scenes(200), "x")
    np.testing.assert_allclose(scale.apply(np.array([0.2, 0.8], np.float32)), [3, 7], atol=0.1)
    assert scale.sigma > 0


def test_the_error_is_of_scenes_not_seen() -> None:
    """Fault: the error on the very photos of the fit promises too much."""
    random = np.random.default_rng(4)
    told = random.uniform(1, 10, 24)
    quality = random.uniform(0, 1, 24)
    scale, _ = fit(quality, told, [str(k) for k in range(24)], "x")
    own = np.sqrt(((scale.apply(quality.astype(np.float32)) - told) ** 2).mean())
    assert scale.sigma > own


def test_a_calibration_moves_no_photo_in_the_order() -> None:
    quality, told = opinions(5)
    scale, _ = fit(quality, told, scenes(400), "x")
    points = scale.apply(quality.astype(np.float32))
    order = np.argsort(quality)
    assert (np.diff(points[order]) >= -1e-6).all()
    assert stats.spearmanr(points, quality)[0] > 0.999


def test_what_lies_beyond_the_photos_of_the_fit_still_has_an_order() -> None:
    quality, told = opinions(6)
    scale, _ = fit(0.4 + 0.2 * quality, told, scenes(400), "x")
    low, lower = scale.apply(np.array([0.38, 0.35], np.float32))
    assert low >= lower >= 1
    assert len(scale.knots) == INSIDE + 2


# --- the file ---


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Where the person's own calibration of `niqe` lies; not there yet."""
    found = own_file("niqe", tmp_path)
    found.parent.mkdir()
    return found


def test_the_own_calibration_comes_before_the_shipped_one(own: Path) -> None:
    shipped = calibration_of("niqe", own.parent.parent)
    assert shipped and shipped.source == "BIQ2021"
    own.write_text(json.dumps({"niqe": SOUND}))
    assert calibration_of("niqe", own.parent.parent) == Calibration(
        (0.0, 0.5, 1.0), (1.5, 4.0, 9.0), 1.2, "them"
    )
    assert calibration_of("something else", own.parent.parent) is None
    np.testing.assert_allclose(
        calibration_of("niqe", own.parent.parent).apply(
            np.array([-1, 0.25, 2, np.nan], np.float32)
        ),
        [1.5, 2.75, 9.0, np.nan],
    )


HOSTILE: dict[str, object] = {
    "no object": [1, 2],
    "nothing in it": {},
    "falling points": SOUND | {"points": [4.0, 1.5, 9.0]},
    "falling knots": SOUND | {"knots": [0.5, 0.0, 1.0]},
    "equal knots": SOUND | {"knots": [0.5, 0.5, 1.0]},
    "one knot": SOUND | {"knots": [0.5], "points": [4.0]},
    "no knots": SOUND | {"knots": [], "points": []},
    "unequal": SOUND | {"knots": [0.0, 1.0]},
    "below 1": SOUND | {"points": [0.5, 4.0, 9.0]},
    "above 10": SOUND | {"points": [1.5, 4.0, 10.5]},
    "no number": SOUND | {"points": [1.5, "4", 9.0]},
    "not finite": SOUND | {"points": [1.5, float("nan"), 9.0]},
    "endless": SOUND | {"knots": [0.0, 0.5, float("inf")]},
    "nested": SOUND | {"knots": [[0.0], 0.5, 1.0]},
    "certain": SOUND | {"sigma": 0.0},
    "sigma no number": SOUND | {"sigma": "1"},
    "sigma not finite": SOUND | {"sigma": float("nan")},
    "no source": SOUND | {"source": None},
}


@pytest.mark.parametrize("how", HOSTILE)
def test_a_hostile_calibration_is_refused(own: Path, how: str) -> None:
    told = HOSTILE[how]
    own.write_text(json.dumps({"niqe": told} if how != "no object" else told))
    with pytest.raises(IqError, match="calibration"):
        calibration_of("niqe", own.parent.parent)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_refused(own: Path, data: bytes) -> None:
    own.write_bytes(data)
    with pytest.raises(IqError, match="remove it"):
        calibration_of("niqe", own.parent.parent)


def test_the_shipped_calibrations_are_sound() -> None:
    for name in json.loads(SHIPPED.read_text()):
        found = calibration_of(name, NOWHERE)
        assert found and found.sigma < 2.6  # a constant errs by less than that


# --- the command ---


@cache
def spoilt() -> list[tuple[bytes, float]]:
    """100 photos, better the less they are spoilt, and what people say of them; one is flat."""
    names = ("astronaut.png", "coffee.png", "chelsea.png")
    random = np.random.default_rng(0)
    found = []
    for k in range(100):
        top, left = random.integers(0, 100, 2)
        cut = photo(names[k % 3])[top : top + 192, left : left + 288]
        blur = random.uniform(0.01, 4)
        picture = cv2.GaussianBlur(cut, (0, 0), blur) if k else plain(80, 192, 288)
        mos = float(np.clip(0.9 - 0.18 * blur + random.normal(0, 0.04), 0, 1))
        found.append((encoded(picture, "PNG", compress_level=1), mos))
    return found


@pytest.fixture
def told(iq: Iq) -> Path:
    """A CSV of those photos, in 50 scenes."""
    lines = ["image,mos,scene"]
    for k, (data, mos) in enumerate(spoilt()):
        (iq.cwd / f"photos/{k}.png").write_bytes(data)
        lines.append(f"{k}.png,{mos:.3f},{k // 2}")
    file = iq.cwd / "told.csv"
    file.write_text("\n".join(lines))
    return file


@pytest.mark.slow
def test_a_calibration_is_made_used_and_said(iq: Iq, told: Path) -> None:
    before = iq("rank", "photos", "-m", "niqe", "-f", "jsonl").rows
    words = ("train", "scale", "niqe", "told.csv", "--images", "photos", "--scene", "scene")
    made = iq(*words)
    assert made.code == 0, made.err
    assert "1 photo left out: niqe has no score for them" in made.err
    assert "held out: SRCC 0." in made.err and "in the 90 % interval" in made.err
    assert "no --scene" not in made.err
    kept = iq.home / "data/scales/niqe.json"
    assert f"wrote {kept}" in made.err
    scale = json.loads(kept.read_text())["niqe"]
    assert scale["source"] == "told" and len(scale["knots"]) <= 12
    after = iq("rank", "photos", "-m", "niqe", "-f", "jsonl").rows
    sigmas = {row["uncertainty"] for row in after if not row.get("error")}
    assert [*sigmas] == [pytest.approx(scale["sigma"], abs=1e-3)]
    calibrated = {row["path"]: row["score"] for row in after}
    places = [calibrated[path] for path in _places(before) if calibrated[path] is not None]
    # Nobody overtakes anybody, but for those that the digits shown did not tell apart.
    assert places == pytest.approx(sorted(places, reverse=True), abs=0.01)
    assert _scores(before) != _scores(after)
    # The same photos, the same calibration, and the one elsewhere is not used.
    assert iq(*words, "-o", "other.json").code == 0
    assert (iq.cwd / "other.json").read_bytes() == kept.read_bytes()


def _scores(rows: list[Mapping[str, object]]) -> list[object]:
    return [row["score"] for row in rows if not row.get("error")]


def _places(rows: list[Mapping[str, object]]) -> list[object]:
    return [row["path"] for row in rows if not row.get("error")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("niqe",), "one CSV file"),
        (("niqe", "told.csv", "more.csv"), "one CSV file"),
        (("fusion-mini", "told.csv"), "already scores in points"),
        (("nobody", "told.csv"), "no model"),
        (("niqe", "told.csv", "-o", "x.txt"), "ends in .json"),
        (("niqe", "told.csv", "-o", "no/x.json"), "no folder"),
        (("niqe", "told.csv", "--where", "scene=3"), "too few"),
        (("niqe", "told.csv", "--scene", "place"), "no column"),
    ],
)
def test_a_calibration_that_cannot_be_is_refused(
    iq: Iq, told: Path, words: tuple[str, ...], said: str
) -> None:
    ran = iq("train", "scale", *words, "--images", "photos")
    assert ran.code == 2 and said in ran.lines[-1]
    assert not (iq.home / "data/scales").exists() and not list(iq.cwd.glob("*.json"))


# --- what a study says of a model without an uncertainty ---


@pytest.mark.slow
def test_a_study_checks_no_uncertainty_that_is_not_said(iq: Iq, told: Path) -> None:
    """Fault: an empty table, errors in points of no scale, and NaN drawn as an interval."""
    iq.changes["IQ_TEST_PATCH"] = FEW_RESAMPLES
    good = iq.cwd / "good"
    good.mkdir()
    for k in range(20):
        (good / f"{k}.png").write_bytes(encoded(texture(k), "PNG", compress_level=1))
    assert iq("train", "niqe", "good", "-o", "my.safetensors").code == 0
    words = ("eval", "told.csv", "--images", "photos", "--model", "my.safetensors")
    ran = iq(*words, "--plots", "drawn", "--worst", "20%", "--against", "niqe")
    assert ran.code == 0, ran.err
    assert "1 photo left out: not every model has a score for them" in ran.err
    assert "my.safetensors gives no uncertainty" in ran.err
    assert "niqe says no" not in ran.err
    text = ran.out.decode()
    agreement, _, leads, doubts, rejects = text.split("\n\n")
    line = next(each for each in agreement.splitlines() if "my.safetensors" in each)
    assert line.split()[-2:] == ["–", "–"] and line.split()[0] == "99"
    assert leads.splitlines()[1].split()[-2:] == ["–", "–"]
    assert "niqe" in doubts and "my.safetensors" not in doubts
    assert "my.safetensors" in rejects
    assert {path.name for path in (iq.cwd / "drawn").iterdir()} == {"scatter.png", "scatter.svg"}
    alone = iq(*words).out.decode()
    assert "90 % interval" not in alone
