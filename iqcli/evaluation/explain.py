"""Why a photo got its score: the effect of each block, what stands out, where it is sharp.

The folder's median is put in the place of one block at a time: what the score loses by that is the
effect of the photo's own block. Blocks work together, so the effects need not add up; and the
median of many numbers is no photo: a method may rate it better than any.

What stands out in a photo beside others is its light, colour, sharpness and noise, in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erf, sqrt
from typing import TYPE_CHECKING

import numpy as np

from iqcli.extractors.schema import GRID, PHOTOMETRY, layer
from iqcli.models.fusion import KNOTS, normal_scores
from iqcli.models.scoring import can_be_seen, rank
from iqcli.records import Rating

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iqcli.models.base import RatedModel
    from iqcli.records import Array, Doubles, Photo, Vector

    BlocksByName = Mapping[str, Vector]

# Below this many others a median depends on chance more than on the folder.
FEW = 5
# Points that the order of summation alone can make: no effect.
ROUNDING = 1e-4
# The share of their range, a knot, by which the fit sets quantiles apart so that equal ones rise.
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
HEIGHTS, SIDES = ("upper", "", "lower"), ("left", "", "right")


@dataclass(frozen=True, slots=True)
class BlockEffect:
    """By how many points a block moved the score, and the parts that the model has.

    `defined` is False where the photo is too flat or tiny for the block.
    """

    name: str
    score: float
    technical: float | None
    aesthetic: float | None
    defined: bool


@dataclass(frozen=True, slots=True)
class Feature:
    """A number of the block `photometry`, the median beside it, and the share (%) below it."""

    name: str
    value: float
    median: float
    percentile: float

    @property
    def words(self) -> tuple[str, float]:
        """The word for this photo, and the share (%) of the others that it is true against."""
        less, more = WORDS[self.name]
        return (more, self.percentile) if self.percentile >= 50 else (less, 100 - self.percentile)


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
class IssueChances:
    """The probabilities (0..1) that an issue has level 2, 3, … or more; they never rise."""

    issue: str
    at_least: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known of a score.

    `against` is what the blocks and the features were compared with: "folder", "training" or None.
    `rank` counts from 1 among `of` photos with a score; `percentile` is the share (%) below it.
    """

    photo: Photo
    rank: int
    of: int
    percentile: float
    against: str | None
    effects: tuple[BlockEffect, ...]
    features: tuple[Feature, ...]
    chances: tuple[IssueChances, ...]
    tile: Tile | None


def explain(
    model: RatedModel,
    blocks: BlocksByName,
    others: Sequence[BlocksByName],
    photo: Photo,
    peers: Sequence[Photo],
) -> Explanation:
    """Explain the score of a rated photo with these blocks, beside its rated peers.

    `others` are the blocks of the peers that could be measured; all hold the model's blocks, and
    `photometry` and `tiles`.
    """
    assert isinstance(photo.rating, Rating)
    ranked = rank([photo, *peers])
    own = next(each for each in ranked if each.photo is photo)
    quantiles = model.predictor.quantiles
    enough = len(others) >= FEW
    return Explanation(
        photo=photo,
        rank=own.rank,
        of=len(ranked),
        percentile=own.percentile,
        against="folder" if enough else "training" if quantiles else None,
        effects=_effects(model, blocks, _medians(others, quantiles, enough), photo.rating),
        features=_features(blocks, others, _photometry(model), enough),
        chances=tuple(c for c in _chances(model, blocks) if can_be_seen(c.issue, photo.facts)),
        tile=_sharpest(blocks, others, enough),
    )


def _photometry(model: RatedModel) -> Array | None:
    """Quantiles of the photometry: where the score does not read it, those of the issues."""
    quantiles = model.predictor.quantiles
    if quantiles and "photometry" not in quantiles:
        quantiles = model.labels.quantiles
    return quantiles.get("photometry")


# --- the effects of blocks ---


def _medians(
    others: Sequence[BlocksByName], quantiles: Mapping[str, Array], enough: bool
) -> BlocksByName:
    """The median of each number of each block: of the others, else of the training."""
    if not enough:
        return {name: each[:, KNOTS // 2] for name, each in quantiles.items()}
    medians = {}
    for name in others[0]:
        stacked = np.stack([each[name] for each in others])
        defined = stacked[np.isfinite(stacked).all(axis=1)]
        if len(defined):
            medians[name] = np.median(defined, axis=0).astype(np.float32)
    return medians


def _effects(
    model: RatedModel, blocks: BlocksByName, medians: BlocksByName, rating: Rating
) -> tuple[BlockEffect, ...]:
    """The largest first. A block without effect is read by the issues alone, and left out."""
    names = [block.name for block in model.blocks if block.name in medians]
    without = model.rate([{**blocks, name: medians[name]} for name in names])
    effects = [
        BlockEffect(
            name,
            rating.score - other.score,
            _minus(rating.technical, other.technical),
            _minus(rating.aesthetic, other.aesthetic),
            bool(np.isfinite(blocks[name]).all()),
        )
        for name, other in zip(names, without, strict=True)
        if isinstance(other, Rating)
    ]
    seen = (
        each
        for each in effects
        if max(map(abs, (each.score, each.technical or 0, each.aesthetic or 0))) > ROUNDING
    )
    return tuple(sorted(seen, key=lambda each: -abs(each.score)))


def _minus(own: float | None, other: float | None) -> float | None:
    return None if own is None or other is None else own - other


# --- what stands out ---


def _features(
    blocks: BlocksByName, others: Sequence[BlocksByName], quantiles: Array | None, enough: bool
) -> tuple[Feature, ...]:
    """Those of the block `photometry`, beside the others, else beside the training."""
    own, beside = blocks["photometry"], [each["photometry"] for each in others]
    beside = [each for each in beside if np.isfinite(each).all()]
    if not np.isfinite(own).all():
        return ()
    if enough and beside:
        stacked = np.stack(beside)
        return _outstanding(own, np.median(stacked, axis=0), shares_below(own, stacked))
    return () if enough or quantiles is None else features_among_training(own, quantiles)


def features_among_training(own: Array, knots: Array) -> tuple[Feature, ...]:
    """The features of a block (94,) beside the training photos of (94, KNOTS) quantiles."""
    step = APART * np.ptp(knots, axis=1)
    quantiles = np.maximum.accumulate(knots - step[:, None] * np.arange(KNOTS), axis=1)
    # On both sides of a value that many have, as of no pure white at all: equal ones count half.
    beside = np.stack([own - step / 2, own + step / 2])
    low, high = normal_scores(beside, quantiles)[:, :-1]
    below = [_percentile(a) / 2 + _percentile(b) / 2 for a, b in zip(low, high, strict=True)]
    return _outstanding(own, quantiles[:, KNOTS // 2], np.array(below))


def _percentile(score: float) -> float:
    """The share (%) below a normal score."""
    return 50 * (1 + erf(score / sqrt(2)))


def shares_below(own: Array, others: Array) -> Doubles:
    """The share (%) of (n, size) `others` that are less than (size,) `own`; equal ones half."""
    shares: Doubles = 100 * ((others < own) + 0.5 * (others == own)).mean(axis=0)
    return shares


def _outstanding(own: Array, medians: Array, percentiles: Doubles) -> tuple[Feature, ...]:
    """The features that have words, the most outstanding first."""
    places = {name: PHOTOMETRY.index(name) for name in WORDS}
    features = (
        Feature(name, float(own[k]), float(medians[k]), float(percentiles[k]))
        for name, k in places.items()
    )
    return tuple(sorted(features, key=lambda each: -abs(each.percentile - 50)))


# --- issues and sharpness ---


def _chances(model: RatedModel, blocks: BlocksByName) -> tuple[IssueChances, ...]:
    """Of the issues that the rating names, by the head that predicts them; the likeliest first."""
    stacked = {name: vector[None] for name, vector in blocks.items()}
    (probabilities,) = model.labels.probabilities(stacked)
    chances = (IssueChances(name, at_least) for name, at_least in probabilities.items())
    return tuple(sorted(chances, key=lambda each: tuple(-p for p in each.at_least)))


def _sharpest(blocks: BlocksByName, others: Sequence[BlocksByName], enough: bool) -> Tile | None:
    """None for a picture too small to have tiles, or without anything in any."""
    fine = layer(blocks["tiles"][None], "fine")[0]
    if not np.isfinite(fine).all() or not fine.any():
        return None
    at, percentile = int(fine.argmax()), None
    if enough:
        best = layer(np.stack([each["tiles"] for each in others]), "fine").max(axis=1)
        best = best[np.isfinite(best)]
        percentile = float(shares_below(fine.max(), best)) if len(best) else None
    return Tile(at // GRID + 1, at % GRID + 1, float(fine.max()), percentile)
