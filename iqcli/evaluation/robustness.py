"""Robustness: whether scores fall as distortions grow, for every photo and every distortion.

No opinion is needed: the copies differ in strength alone, so their order is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

from iqcli.distortions.bank import DISTORTIONS, LEVELS
from iqcli.distortions.readers import FULL_SIZE, FullSizeReader, ScoringViewCache, ScoringViewReader
from iqcli.errors import IqError
from iqcli.evaluation.intervals import UNDEFINED, mean_share, wilson, wins
from iqcli.models.scoring import judge
from iqcli.text import meant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from iqcli.distortions.ladders import Measure
    from iqcli.evaluation.intervals import Figure
    from iqcli.extractors.base import AnyBlock
    from iqcli.models.base import RatedModel
    from iqcli.records import Doubles, Flags, Photo, Rating, Shot

# The distortions made at full size that an issue has a name for.
FAULT_OF = {
    "gaussian_blur": "blurred",
    "motion_blur": "blurred",
    "sensor_noise": "noisy",
    "over_exposure": "overexposed",
    "under_exposure": "too_dark",
}
# Distortions that are alike; each is in one of these.
FAMILIES = {
    "blur": ("gaussian_blur", "lens_blur", "motion_blur", "shake"),
    "noise": ("white_noise", "color_noise", "impulse_noise", "speckle", "sensor_noise"),
    "compression": ("jpeg2000", "jpeg", "jpeg_twice"),
    "tone": ("brighten", "darken", "mean_shift", "contrast"),
    "light": ("under_exposure", "over_exposure", "tone_curve", "haze"),
    "colour": (
        *("color_diffusion", "color_shift", "desaturation", "oversaturation"),
        "white_balance",
    ),
    "structure": ("jitter", "patches", "pixelate", "quantization", "color_blocks"),
    "processing": ("sharpening", "over_sharpening", "beauty"),
}
# The level at which nobody takes a copy for the better photo.
CLEAR = 3
WEAK = 0.8
# What names a series of exposures among the distortions at the size of the scoring view.
EXPOSURE = "exposure"
# Photos whose scoring views are held at once, a megabyte each.
CHUNK = 64


@dataclass(frozen=True, slots=True, eq=False)
class Ladder:
    """Of one distortion the scores (photos, 6) at levels 0 (untouched) to 5.

    Only photos of which every copy could be measured. `named` (photos, 6): whether an issue names
    the fault.
    """

    name: str
    scores: Doubles
    named: Flags

    @property
    def orders(self) -> Doubles:
        """(photos,) rank correlations of score with -level; 0 where the score never moves."""
        ranks = rankdata(self.scores, axis=1) - (LEVELS + 2) / 2
        levels = LEVELS / 2 - np.arange(LEVELS + 1)
        spread = np.sqrt((ranks**2).sum(axis=1) * (levels**2).sum())
        orders: Doubles = ranks @ levels / np.where(spread == 0, 1, spread)
        return orders

    @property
    def order(self) -> float:
        """The median of `orders`; NaN of no photo."""
        return float(np.median(self.orders)) if len(self.scores) else float("nan")

    @property
    def whole(self) -> float:
        """The share of photos whose score falls at every level."""
        return _mean(np.diff(self.scores, axis=1).max(axis=1) < 0)

    @property
    def wins(self) -> Doubles:
        """(photos,) 1 where the untouched photo beats its own level 3, 0.5 for equal scores."""
        return wins(self.scores[:, 0] - self.scores[:, CLEAR])

    @property
    def won(self) -> Figure:
        """The share of clear pairs won: the mean of `wins`, with Wilson's interval."""
        return mean_share(self.wins)

    @property
    def lost(self) -> list[float]:
        """The mean points lost at levels 1..5."""
        return [_mean(self.scores[:, 0] - self.scores[:, level]) for level in range(1, LEVELS + 1)]

    @property
    def named_from(self) -> int | None:
        """The first level, 0 included, at which half of the photos are named for the fault."""
        shares = self.named.mean(axis=0) if len(self.named) else np.zeros(LEVELS + 1)
        return next((level for level, share in enumerate(shares) if share >= 0.5), None)


@dataclass(frozen=True, slots=True)
class LadderSummary:
    """Ladders of several distortions: their median order, and the share of clear pairs won.

    The pairs of one photo are not independent: the interval is that of as many trials as `photos`.
    """

    name: str
    distortions: int
    photos: int
    ladders: int
    order: float
    won: Figure


def chosen_distortions(names: Sequence[str], *, full_size: bool) -> list[str]:
    """The distortions asked for, all of them if none is; `EXPOSURE` counts as one.

    Raises IqError for one there is not.
    """
    known = [*FULL_SIZE] if full_size else [*DISTORTIONS, EXPOSURE]
    for name in names:
        if name not in known:
            size = " at full size" if full_size else ""
            near = meant(name, known)
            raise IqError(
                f"there is no distortion {name!r}{size}{near}; give one of {', '.join(known)}"
            )
    return list(dict.fromkeys(names)) or known


def count_copies(count: int, names: Sequence[str]) -> int:
    """How many copies of `count` photos are measured, the untouched ones counted once."""
    return count * (1 + LEVELS * len(names))


def measure_copies(
    shots: Sequence[Shot],
    names: Sequence[str],
    blocks: Sequence[AnyBlock],
    measure: Measure,
    *,
    full_size: bool,
) -> Iterator[Photo]:
    """Every copy of every photo with these blocks, in the order that `score_ladders` takes."""
    for start in range(0, len(shots), CHUNK):
        views, chunk = ScoringViewCache(), shots[start : start + CHUNK]
        for name, level in [(names[0], 0), *((n, k) for n in names for k in range(1, LEVELS + 1))]:
            yield from measure(
                blocks,
                chunk,
                FullSizeReader(name, level) if full_size else ScoringViewReader(name, level, views),
            )


def score_ladders(
    copies: Iterable[Photo], count: int, names: Sequence[str], model: RatedModel
) -> list[Ladder]:
    """Score the copies of `count` photos, as `measure_copies` gives them: a ladder a distortion."""
    scores = np.full((len(names), count, LEVELS + 1), np.nan)
    named = np.zeros(scores.shape, bool)
    places = _places(count, len(names))
    for (which, row, level), photo in zip(places, judge(copies, model), strict=True):
        if photo.rating is not None:
            scores[which, row, level] = photo.rating.score
            for k in range(len(names))[which]:
                named[k, row, level] = _is_named(photo.rating, names[k])
    whole = np.isfinite(scores).all(axis=2)
    return [Ladder(name, scores[k][whole[k]], named[k][whole[k]]) for k, name in enumerate(names)]


def _places(photos: int, names: int) -> Iterator[tuple[slice, int, int]]:
    """The (distortions, photo, level) of each copy in the order of `measure_copies`."""
    for start in range(0, photos, CHUNK):
        chunk = range(start, min(start + CHUNK, photos))
        yield from ((slice(None), photo, 0) for photo in chunk)
        for k in range(names):
            for level in range(1, LEVELS + 1):
                yield from ((slice(k, k + 1), photo, level) for photo in chunk)


def _is_named(rating: Rating, distortion: str) -> bool:
    return FAULT_OF.get(distortion) in {issue.name for issue in rating.issues}


def summaries(ladders: Sequence[Ladder]) -> list[LadderSummary]:
    """The ladders of each of `FAMILIES` of which there is one, then all of them together."""
    families = {
        family: [each for each in ladders if each.name in names]
        for family, names in FAMILIES.items()
    }
    return [_summary(name, found) for name, found in (families | {"all": ladders}).items() if found]


def _summary(name: str, ladders: Sequence[Ladder]) -> LadderSummary:
    orders = np.concatenate([each.orders for each in ladders])
    won = np.concatenate([each.wins for each in ladders])
    photos = max(len(each.scores) for each in ladders)
    return LadderSummary(
        name=name,
        distortions=len(ladders),
        photos=photos,
        ladders=len(orders),
        order=float(np.median(orders)) if len(orders) else float("nan"),
        won=wilson(float(won.mean()), photos) if photos else UNDEFINED,
    )


def weak(ladders: Sequence[Ladder]) -> tuple[str, ...]:
    """The distortions whose order is under `WEAK`, or not known."""
    return tuple(each.name for each in ladders if not each.order >= WEAK)


def _mean(values: Doubles | Flags) -> float:
    return float(values.mean()) if len(values) else float("nan")
