"""A head (fusion network or Gaussian process) and the issues joined into ratings.

A method with a quality of its own, joined with its scale and the issues into ratings.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from iqcli.errors import IqError
from iqcli.extractors.registry import BLOCKS
from iqcli.models import aesthetic, fusion, gaussian_process, issues
from iqcli.models.calibration import UNKNOWN, Scale, scale_of
from iqcli.models.registry import format_of
from iqcli.records import NoRating, Rating

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from iqcli.extractors.base import AnyBlock
    from iqcli.models.registry import Entry
    from iqcli.records import Array, HoldoutSample, Issue, Vector


# Blocks that do not know what is in a picture.
STATISTICS = frozenset({"brisque", "photometry", "tiles"})
Head = fusion.FusionHead | gaussian_process.GaussianProcess
UNDEFINED = "{} is not defined for this picture (flat or tiny); judged without it"


def make(entry: Entry) -> HeadModel:
    """The model of a head's own file."""
    assert entry.weights
    return HeadModel(entry.weights)


class HeadModel:
    """Ratings from the file of a head. Reads the file once, at the first need."""

    def __init__(self, weights: Path) -> None:
        self.weights = weights

    @cached_property
    def head(self) -> Head:
        """The loaded head. Raises IqError for a missing, foreign or unknown file."""
        of_process = format_of(self.weights) == gaussian_process.FORMAT
        head = gaussian_process.load(self.weights) if of_process else fusion.load(self.weights)
        known_by = head.info.get("known_by", {})
        for name, size in head.sizes.items():
            if name not in BLOCKS or BLOCKS[name].size != size:
                raise IqError(f"{self.weights} needs a block {name!r}, which this iq has not")
            if known_by.get(name, BLOCKS[name].known_by) != BLOCKS[name].known_by:
                raise IqError(
                    f"{self.weights} was trained on another block {name!r} than this iq has; "
                    "train it again"
                )
        return head

    @property
    def blocks(self) -> Sequence[AnyBlock]:
        """The head's blocks, then those that only the issues or the aesthetic part read."""
        beside = [self.beside.block] if self.beside else []
        return [BLOCKS[name] for name in dict.fromkeys([*self.head.sizes, *issues.BLOCKS, *beside])]

    @cached_property
    def beside(self) -> aesthetic.Aesthetic | None:
        """What gives the aesthetic part, if it is installed."""
        return aesthetic.installed(self.head.sizes)

    @property
    def holdout(self) -> HoldoutSample | None:
        """See `registry.Model`. Raises IqError like `head`."""
        return self.head.held

    def rate(self, photos: Sequence[Mapping[str, Vector]]) -> list[Rating]:
        """See `registry.Model`. A score that rests on statistics alone is its technical part."""
        if not photos:
            return []
        stacked = {b.name: np.stack([each[b.name] for each in photos]) for b in self.blocks}
        scores, sigmas = self.head.predict(stacked)
        blind = STATISTICS.issuperset(self.head.sizes)
        pleasing = self.beside.points(stacked) if self.beside else [None] * len(photos)
        return [
            Rating(
                score=float(score),
                uncertainty=float(sigma),
                model=self.head.info["model"],
                technical=float(score) if blind else None,
                aesthetic=pleases,
                issues=seen,
                reasons=self._missing(photo),
            )
            for score, sigma, pleases, seen, photo in zip(
                scores, sigmas, pleasing, issues.see(stacked), photos, strict=True
            )
        ]

    def _missing(self, photo: Mapping[str, Vector]) -> tuple[str, ...]:
        undefined = [name for name in self.head.sizes if not np.isfinite(photo[name]).all()]
        return tuple(UNDEFINED.format(name) for name in undefined)


NO_RATING = "{} is not defined for this picture (flat or tiny); try another model"


class Quality(Protocol):
    """A method's arithmetic: (n, size) vectors by block to (n,) qualities in 0..1, NaN for none."""

    def __call__(self, blocks: Mapping[str, Array]) -> Array: ...


@dataclass(frozen=True)
class ScoredModel:
    """Ratings of a method that brings its own quality; see `registry.Model`.

    `reads` are the blocks that `quality` reads; `part` is which part of the rating the score is.
    """

    name: str
    reads: tuple[str, ...]
    quality: Quality
    part: str | None = None

    @property
    def blocks(self) -> Sequence[AnyBlock]:
        """Those the method reads, then those that only the issues or the aesthetic part read."""
        beside = [self.beside.block] if self.beside else []
        return [BLOCKS[name] for name in dict.fromkeys([*self.reads, *issues.BLOCKS, *beside])]

    @property
    def holdout(self) -> HoldoutSample | None:
        """None: nothing is promised from a method's own scale."""
        return None

    @cached_property
    def scale(self) -> Scale | None:
        """The calibration to points, if there is one. Raises IqError for a damaged one."""
        return scale_of(self.name)

    @cached_property
    def beside(self) -> aesthetic.Aesthetic | None:
        """What gives the aesthetic part, if it is installed and the score is not that part."""
        return None if self.part == "aesthetic" else aesthetic.installed(self.reads)

    def rate(self, photos: Sequence[Mapping[str, Vector]]) -> Sequence[Rating | NoRating]:
        """See `registry.Model`. A photo that the method is not defined for has no score."""
        if not photos:
            return []
        stacked = {b.name: np.stack([each[b.name] for each in photos]) for b in self.blocks}
        quality = self.quality({name: stacked[name] for name in self.reads})
        points = self.scale.apply(quality) if self.scale else 1 + 9 * np.clip(quality, 0, 1)
        pleasing = self.beside.points(stacked) if self.beside else [None] * len(photos)
        return [
            self._rating(float(score), pleases, seen) if np.isfinite(score) else self._none()
            for score, pleases, seen in zip(points, pleasing, issues.see(stacked), strict=True)
        ]

    def _rating(self, score: float, pleases: float | None, seen: tuple[Issue, ...]) -> Rating:
        return Rating(
            score=score,
            uncertainty=self.scale.sigma if self.scale else None,
            model=self.name,
            technical=score if self.part == "technical" else None,
            aesthetic=score if self.part == "aesthetic" else pleases,
            issues=seen,
            reasons=() if self.scale else (UNKNOWN.format(self.name),),
        )

    def _none(self) -> NoRating:
        return NoRating(NO_RATING.format(self.name))
