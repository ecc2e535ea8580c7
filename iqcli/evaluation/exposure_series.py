"""Exposure: whether the well exposed picture of a series beats those with more or less light.

Series are made of well exposed photos, see `distortions.exposure`; no opinion is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iqcli.distortions.bank import DISTORTIONS
from iqcli.distortions.readers import FUSED, ExposureReader, ScoringViewCache, ScoringViewReader
from iqcli.evaluation.intervals import UNDEFINED, bootstrap, mean, mean_share, wins
from iqcli.evaluation.robustness import CHUNK
from iqcli.models.scoring import judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from iqcli.distortions.ladders import Measure
    from iqcli.evaluation.intervals import Figure
    from iqcli.extractors.base import AnyBlock
    from iqcli.models.base import RatedModel
    from iqcli.records import Doubles, Photo, Shot

STOPS = (1, 2, 3)
# The pictures of a series, in stops; 0 is the photo as it is, None the fusion.
SERIES = (0, *(-stops for stops in STOPS), *STOPS, None)
MIDDLE, FUSION = "middle", "fusion"


@dataclass(frozen=True, slots=True)
class ExposureContest:
    """How often a `picture` beats those of `stops` less and more light, equal scores half.

    `lead` are the mean points of a fusion over the middle; of the middle itself it is None.
    """

    picture: str
    stops: int
    photos: int
    both: Figure
    darker: Figure
    brighter: Figure
    lead: Figure | None


def measure_series(
    shots: Sequence[Shot], blocks: Sequence[AnyBlock], measure: Measure
) -> Iterator[Photo]:
    """Every picture of every series with these blocks, in the order that `score_series` takes."""
    for start in range(0, len(shots), CHUNK):
        views, chunk = ScoringViewCache(), shots[start : start + CHUNK]
        for stops in SERIES:
            reader = (
                ScoringViewReader(next(iter(DISTORTIONS)), 0, views)
                if stops == 0
                else ExposureReader(stops, views)
            )
            yield from measure(blocks, chunk, reader)


def score_series(copies: Iterable[Photo], count: int, model: RatedModel) -> Doubles:
    """Scores (series, pictures of `SERIES`) of those of `count` photos that have every picture."""
    scores = np.full((count, len(SERIES)), np.nan)
    places = (
        (photo, picture)
        for start in range(0, count, CHUNK)
        for picture in range(len(SERIES))
        for photo in range(start, min(start + CHUNK, count))
    )
    for place, photo in zip(places, judge(copies, model), strict=True):
        if photo.rating is not None:
            scores[place] = photo.rating.score
    whole: Doubles = scores[np.isfinite(scores).all(axis=1)]
    return whole


def contests(scores: Doubles) -> list[ExposureContest]:
    """The middle against each of `STOPS`, and the fusion against the ends it is made of."""
    of = {stops: scores[:, k] for k, stops in enumerate(SERIES)}
    fused = round(max(FUSED))
    return [
        *(_contest(MIDDLE, of[0], stops, of[-stops], of[stops], None) for stops in STOPS),
        _contest(FUSION, of[None], fused, of[-fused], of[fused], of[None] - of[0]),
    ]


def _contest(
    picture: str, own: Doubles, stops: int, darker: Doubles, brighter: Doubles, lead: Doubles | None
) -> ExposureContest:
    return ExposureContest(
        picture=picture,
        stops=stops,
        photos=len(own),
        both=mean_share(wins(own - np.maximum(darker, brighter))),
        darker=mean_share(wins(own - darker)),
        brighter=mean_share(wins(own - brighter)),
        lead=None if lead is None else bootstrap(lead, mean) if len(lead) else UNDEFINED,
    )
