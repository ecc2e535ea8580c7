"""Why a photo got its score: what each block did, what stands out, where it is sharp.

The folder's median is put in the place of one block at a time: what the score loses by that is what
the photo's own block was worth. Blocks work together, so the changes need not add up; and
the median of many numbers is no photo: a method may find it better than any.

What stands out in a photo beside others: light, colour, sharpness and noise, in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erf, sqrt
from typing import TYPE_CHECKING

import numpy as np

from iqcli.extractors.schema import GRID, PHOTOMETRY, layer
from iqcli.models.fusion import KNOTS, normal_scores
from iqcli.models.scoring import rank
from iqcli.records import Rating

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iqcli.models.base import RatedModel
    from iqcli.records import Array, Doubles, Photo, Vector

    BlocksByName = Mapping[str, Vector]

# By which share of their range, a knot, the fit sets quantiles apart so that equal ones rise, too.
APART = 1e-4
# What a photo is called that has less of a feature than the others, and more.
WORDS = {
    "luma_mean": ("darker", "brighter"),
    "luma_std": ("lower in contrast", "higher in contrast"),
    "luma_white": ("with less pure white", "with more pure white"),
    "luma_black": ("with less pure black", "with more pure black"),
    "tile_luma_std": ("more evenly lit", "less evenly lit"),
    "colourfulness": ("less colourful", "more colourful"),
    "cast_a": ("greener", "more magenta"),
    "cast_b": ("bluer", "yellower"),
    "tile_sharp_p90": ("softer", "sharper"),
    "tile_noise_p10": ("cleaner", "noisier"),
    "block_x": ("with fewer JPEG blocks", "with more JPEG blocks"),
}


@dataclass(frozen=True, slots=True)
class Feature:
    """A number of the block `photometry`: here, in the middle, and the share (%) that has less."""

    name: str
    value: float
    median: float
    percentile: float

    @property
    def words(self) -> tuple[str, float]:
        """What this photo is called, and more so than how many per cent."""
        less, more = WORDS[self.name]
        return (more, self.percentile) if self.percentile >= 50 else (less, 100 - self.percentile)


def among(own: Array, others: Array) -> tuple[Feature, ...]:
    """The features of a block (94,) beside (n, 94) others, n >= 1, the most telling first."""
    return _told(own, np.median(others, axis=0), shares(own, others))


def among_training(own: Array, knots: Array) -> tuple[Feature, ...]:
    """The same beside the photos that a model learnt from, known by their (94, KNOTS) quantiles."""
    step = APART * np.ptp(knots, axis=1)
    quantiles = np.maximum.accumulate(knots - step[:, None] * np.arange(KNOTS), axis=1)
    # On both sides of a value that many have, as of no pure white at all: equal ones count half.
    beside = np.stack([own - step / 2, own + step / 2])
    low, high = normal_scores(beside, quantiles)[:, :-1]
    beaten = np.array([_beaten(a) / 2 + _beaten(b) / 2 for a, b in zip(low, high, strict=True)])
    return _told(own, quantiles[:, KNOTS // 2], beaten)


def _beaten(score: float) -> float:
    """The share (%) below a normal score."""
    return 50 * (1 + erf(score / sqrt(2)))


def shares(own: Array, others: Array) -> Doubles:
    """The share (%) of (n, size) `others` that are less than (size,) `own`; equal ones half."""
    found: Doubles = 100 * ((others < own) + 0.5 * (others == own)).mean(axis=0)
    return found


def _told(own: Array, medians: Array, beaten: Doubles) -> tuple[Feature, ...]:
    found = (
        Feature(name, float(own[i]), float(medians[i]), float(beaten[i]))
        for name, i in ((name, PHOTOMETRY.index(name)) for name in WORDS)
    )
    return tuple(sorted(found, key=lambda each: -abs(each.percentile - 50)))


# Below so many others a median says more of chance than of the folder.
FEW = 5
# Points that the order of summation alone can make: no effect.
ROUNDING = 1e-4
HEIGHTS, SIDES = ("upper", "", "lower"), ("left", "", "right")


@dataclass(frozen=True, slots=True)
class Moved:
    """By how many points a block moved the score, and the parts that the model has.

    `defined` is False where the photo is too flat or tiny for the block.
    """

    block: str
    score: float
    technical: float | None
    aesthetic: float | None
    defined: bool


@dataclass(frozen=True, slots=True)
class Tile:
    """The sharpest of `GRID` x `GRID` tiles, counted from 1 at the upper left.

    `sharpness` is the mean absolute Laplacian in levels; `percentile` the share (%) of the other
    photos whose sharpest tile is less sharp, None where there are too few.
    """

    row: int
    column: int
    sharpness: float
    percentile: float | None

    @property
    def place(self) -> str:
        """The place in words, as in "upper left"."""
        height, side = HEIGHTS[(self.row - 1) * 3 // GRID], SIDES[(self.column - 1) * 3 // GRID]
        if not height and not side:
            return "centre"
        return " ".join(word for word in (height, side or "middle") if word) if height else side


@dataclass(frozen=True, slots=True)
class Chance:
    """The probabilities (0..1) that an issue has level 2, 3, … or more; they never rise."""

    issue: str
    at_least: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known of a score. `against` is "folder", "training" or None: what the blocks and the
    features were held against. `rank` counts from 1 among `of` photos with a score.
    """

    photo: Photo
    rank: int
    of: int
    percentile: float
    against: str | None
    moved: tuple[Moved, ...]
    features: tuple[Feature, ...]
    chances: tuple[Chance, ...]
    tile: Tile | None


def explain(
    model: RatedModel,
    photo: BlocksByName,
    others: Sequence[BlocksByName],
    judged: Photo,
    peers: Sequence[Photo],
) -> Explanation:
    """Explain the score of a judged photo, beside the judged others of its folder.

    `others` are the blocks of those that could be measured; all hold the model's blocks, and
    `photometry` and `tiles`.
    """
    assert isinstance(judged.rating, Rating)
    ranked = rank([judged, *peers])
    own = next(each for each in ranked if each.photo is judged)
    knots = model.predictor.quantiles
    enough = len(others) >= FEW
    against = "folder" if enough else "training" if knots else None
    return Explanation(
        photo=judged,
        rank=own.rank,
        of=len(ranked),
        percentile=own.percentile,
        against=against,
        moved=_moved(model, photo, _middles(others, knots, enough), judged.rating),
        features=_features(photo, others, knots.get("photometry"), enough),
        chances=_chances(model, photo),
        tile=_sharpest(photo, others, enough),
    )


def _middles(
    others: Sequence[BlocksByName], knots: Mapping[str, Array], enough: bool
) -> BlocksByName:
    """The median of each number of each block: of the others, else of the training."""
    if not enough:
        return {name: quantiles[:, KNOTS // 2] for name, quantiles in knots.items()}
    found = {}
    for name in others[0]:
        stacked = np.stack([each[name] for each in others])
        defined = stacked[np.isfinite(stacked).all(axis=1)]
        if len(defined):
            found[name] = np.median(defined, axis=0).astype(np.float32)
    return found


def _moved(
    model: RatedModel, photo: BlocksByName, middles: BlocksByName, rating: Rating
) -> tuple[Moved, ...]:
    """The most moving block first. One that moves nothing is read by the issues alone."""
    names = [block.name for block in model.blocks if block.name in middles]
    without = model.rate([{**photo, name: middles[name]} for name in names])
    found = [
        Moved(
            name,
            rating.score - other.score,
            _less(rating.technical, other.technical),
            _less(rating.aesthetic, other.aesthetic),
            bool(np.isfinite(photo[name]).all()),
        )
        for name, other in zip(names, without, strict=True)
        if isinstance(other, Rating)
    ]
    moving = (
        each
        for each in found
        if max(map(abs, (each.score, each.technical or 0, each.aesthetic or 0))) > ROUNDING
    )
    return tuple(sorted(moving, key=lambda each: -abs(each.score)))


def _less(own: float | None, other: float | None) -> float | None:
    return None if own is None or other is None else own - other


def _features(
    photo: BlocksByName, others: Sequence[BlocksByName], knots: Array | None, enough: bool
) -> tuple[Feature, ...]:
    """Those of the block `photometry`, beside the others, else beside the training."""
    own, beside = photo["photometry"], [each["photometry"] for each in others]
    beside = [each for each in beside if np.isfinite(each).all()]
    if not np.isfinite(own).all():
        return ()
    if enough and beside:
        return among(own, np.stack(beside))
    return () if enough or knots is None else among_training(own, knots)


def _chances(model: RatedModel, photo: BlocksByName) -> tuple[Chance, ...]:
    """Of the issues that the rating names, by the head that sees them; the likeliest first."""
    stacked = {name: vector[None] for name, vector in photo.items()}
    (found,) = model.labels.probabilities(stacked)
    chances = (Chance(name, at_least) for name, at_least in found.items())
    return tuple(sorted(chances, key=lambda each: tuple(-p for p in each.at_least)))


def _sharpest(photo: BlocksByName, others: Sequence[BlocksByName], enough: bool) -> Tile | None:
    """None for a picture too small to have tiles, or without anything in any."""
    fine = layer(photo["tiles"][None], "fine")[0]
    if not np.isfinite(fine).all() or not fine.any():
        return None
    at, share = int(fine.argmax()), None
    if enough:
        best = layer(np.stack([each["tiles"] for each in others]), "fine").max(axis=1)
        best = best[np.isfinite(best)]
        share = float(shares(fine.max(), best)) if len(best) else None
    return Tile(at // GRID + 1, at % GRID + 1, float(fine.max()), share)
