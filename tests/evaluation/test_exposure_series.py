"""Exposure series: what is measured, in which order, and how contests are counted."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from PIL import Image
from support.drawn_scenes import photo

from iqcli.distortions.exposure import fuse
from iqcli.distortions.readers import (
    NOT_WELL_EXPOSED,
    ExposureReader,
    ScoringViewCache,
    ScoringViewReader,
)
from iqcli.errors import PhotoError
from iqcli.evaluation import exposure_series
from iqcli.evaluation.exposure_series import SERIES, contests, measure_series, score_series
from iqcli.evaluation.intervals import bootstrap, mean, mean_share
from iqcli.records import Photo, Rating, Shot

if TYPE_CHECKING:
    from pathlib import Path


def encoded(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


PHOTO = encoded(cv2.resize(photo("coffee.png"), (300, 200)))


# --- the pictures ---


def test_the_pictures_of_a_series_differ_in_light_alone() -> None:
    views = ScoringViewCache()
    plain = ScoringViewReader("jpeg", 0, views)(PHOTO, max_megapixels=9)[1].scoring
    copies = {
        stops: ExposureReader(stops, views)(PHOTO, max_megapixels=9)[1].scoring
        for stops in SERIES
        if stops != 0
    }
    means = [copies[stops].mean() if stops else plain.mean() for stops in range(-3, 4)]
    assert means == sorted(means) and means[0] < 0.5 * means[3]
    again = ExposureReader(-2, views)(PHOTO, max_megapixels=9)[1].scoring
    np.testing.assert_array_equal(again, copies[-2])
    # No finer than the dither: what is lighter in the photo is lighter in every copy.
    assert np.corrcoef(plain.ravel(), copies[-1].ravel())[0, 1] > 0.98
    fused = copies[None].astype(float)
    expected = fuse([copies[-2], plain, copies[2]]).astype(float)
    assert np.abs(fused - expected).mean() < 1  # other dither
    assert copies[-2].mean() < fused.mean() < copies[2].mean()


@pytest.mark.parametrize("factor", (0.2, 2.5))
def test_a_photo_that_is_dark_or_bright_itself_has_no_series(factor: float) -> None:
    data = encoded(np.clip(photo("coffee.png")[:200, :300] * factor, 0, 255).astype(np.uint8))
    for stops in (-1, 2, None):
        with pytest.raises(PhotoError, match=NOT_WELL_EXPOSED):
            ExposureReader(stops)(data, max_megapixels=9)


def test_every_picture_has_a_fingerprint_of_its_own() -> None:
    prints = {ExposureReader(stops).fingerprint for stops in SERIES if stops != 0}
    assert len(prints | {ScoringViewReader("jpeg", k).fingerprint for k in range(6)}) == 13


# --- the scores ---


class Judge:
    """Scores a photo by what its one block holds."""

    blocks = ()

    def rate(self, photos):
        return [Rating(float(each["score"]), 1, "judge") for each in photos]


@pytest.mark.parametrize("chunk", (1, 2, 64))
def test_every_photo_is_exposed_every_way(
    chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second photo of three is dark itself: it has no series."""
    monkeypatch.setattr(exposure_series, "CHUNK", chunk)
    shots = [Shot(tmp_path, tmp_path / f"{k}.jpg") for k in range(3)]

    def measured(blocks, shots, reader):
        for shot in shots:
            stops = reader.stops if isinstance(reader, ExposureReader) else 0
            score = int(shot.path.stem) + (5 if stops is None else 4 - abs(stops - 0.1))
            dark = shot.path.name == "1.jpg" and stops != 0
            yield Photo(shot, error="dark") if dark else Photo(shot, blocks={"score": score})

    scores = score_series(measure_series(shots, (), measured), 3, Judge())
    expected = np.array([5 if k is None else 4 - abs(k - 0.1) for k in SERIES])
    np.testing.assert_allclose(scores, [expected, expected + 2])


def test_contests_by_hand() -> None:
    """One photo is best in the middle, one has an equal to the darker by one, one likes light."""
    #         0  -1 -2 -3   1  2  3  fusion
    rows = [[9, 8, 7, 6, 7, 6, 5, 9.5], [5, 5, 4, 3, 4, 3, 2, 5], [3, 2, 1, 1, 4, 5, 6, 4]]
    one, two, three, fused = contests(np.array(rows, float))
    assert [(each.picture, each.stops, each.photos) for each in (one, two, three, fused)] == [
        *(("middle", stops, 3) for stops in (1, 2, 3)),
        ("fusion", 2, 3),
    ]
    assert one.both == mean_share(np.array([1, 0.5, 0]))
    assert one.darker == mean_share(np.array([1, 0.5, 1]))
    assert one.brighter == two.brighter == mean_share(np.array([1, 1, 0]))
    assert two.darker == mean_share(np.ones(3)) and three.both == two.both == two.brighter
    assert fused.both == mean_share(np.array([1, 1, 0])) and one.lead is None
    assert fused.lead == bootstrap(np.array([0.5, 0, 1]), mean)
    assert fused.lead.value == pytest.approx(0.5)


def test_no_series_no_figures() -> None:
    for each in contests(np.empty((0, len(SERIES)))):
        assert each.photos == 0 and math.isnan(each.both.value)
        assert each.lead is None or math.isnan(each.lead.value)
