"""What a model is: a predictor, joined with a calibration, issues and parts into ratings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from iqcli.errors import IqError
from iqcli.extractors.registry import EMBEDDED
from iqcli.fs.files import sha256
from iqcli.models.calibration import UNCALIBRATED, to_points
from iqcli.records import NoRating, Rating
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from iqcli.extractors.base import AnyBlock
    from iqcli.models.calibration import Calibration
    from iqcli.records import Array, Doubles, HoldoutSample, Issue, Vector
    from iqcli.weights.store import WeightStore

    # (n, size) vectors by block.
    Blocks = Mapping[str, Array]
    # (n, size) vectors by block to (n,) qualities in 0..1, NaN for none.
    Quality = Callable[[Blocks], Array]
    # (n, size) vectors by block to n points of 1..10, None where there is none.
    Points = Callable[[Blocks], list[float | None]]

UNDEFINED = "too even or too small for {}, so judged without it"
NO_RATING = "too even or too small for {}; try another model"


@dataclass(frozen=True, slots=True)
class Entry:
    """A model as `iq models` lists it.

    `weights` is a safetensors file of ours, `card` a Markdown one; `needs` are rows of the manifest
    of `iqcli.weights`. `module` (of `iqcli.models`) offers `predictor(source) -> Predictor`.
    """

    name: str
    summary: str
    licence: str
    weights: Path | None = None
    card: Path | None = None
    needs: tuple[str, ...] = ()
    module: str = "fusion"

    @property
    def called(self) -> str:
        """What a rating and a calibration name it by: what a person trained, by its content too.

        So no calibration of another model is used for it. Raises IqError for a file that cannot be
        read.
        """
        if self.weights is None or self.weights.parent == EMBEDDED:
            return self.name
        try:
            return f"{self.name}-{sha256(self.weights)[:8]}"
        except OSError as error:
            why = error.strerror or error
            raise IqError(f"cannot read the model {display_path(self.weights)}: {why}") from error


@dataclass(frozen=True)
class Source:
    """What a predictor is made from: its entry, the installed weights and the table of blocks."""

    entry: Entry
    weights: WeightStore
    blocks: Mapping[str, AnyBlock]

    @property
    def file(self) -> Path:
        """The entry's own file; asked for where every entry of the module has one."""
        assert self.entry.weights
        return self.entry.weights


class Predictor(ABC):
    """The arithmetic of a model. Below `predict` is what only some predictors have."""

    # Whether `predict` gives points of 1..10 and their deviations, not a quality of its own.
    in_points = False

    @property
    @abstractmethod
    def reads(self) -> tuple[str, ...]:
        """The blocks that `predict` reads."""

    @abstractmethod
    def predict(self, blocks: Blocks) -> tuple[Array, Array | Doubles | None]:
        """(n, size) vectors by block to (n,) points of 1..10 and (n,) standard deviations.

        Or, unless `in_points`, to (n,) qualities in 0..1, NaN for none, and None.
        """

    @property
    def name(self) -> str | None:
        """What calibrations and refusals name the model by, if not by its entry."""
        return None

    @property
    def version(self) -> str | None:
        """The id that a trained file gives itself; it stands in the ratings."""
        return None

    @property
    def part(self) -> str | None:
        """Which part of a rating the score is: "technical", "aesthetic", or None for the whole."""
        return None

    def own_blocks(self, table: Mapping[str, AnyBlock]) -> tuple[AnyBlock, ...]:
        """The extractors of `reads`."""
        return tuple(table[name] for name in self.reads)

    @property
    def takes_aesthetic(self) -> bool:
        """Whether LAION's aesthetic part, where it is installed, is given beside the score."""
        return self.part != "aesthetic"

    @property
    def labels(self) -> Labels | None:
        """What gives the issues where they are its own, not those of `hex-mini`."""
        return None

    @property
    def technical(self) -> Points | None:
        """What gives the technical part where it is another number than the score."""
        return None

    @property
    def holdout(self) -> HoldoutSample | None:
        """How it did on photos that it had not learnt from; None where the file does not say."""
        return None

    @property
    def quantiles(self) -> Mapping[str, Array]:
        """(size, KNOTS) quantiles of the training photos by block, as far as they are known."""
        return {}

    def describe(self) -> str | None:
        """What a person's own file says of itself, for `iq models info`."""
        return None


@dataclass(frozen=True, kw_only=True)
class Method(Predictor):
    """A method with a quality of its own: `quality` of the blocks `reads`."""

    quality: Quality
    reads: tuple[str, ...] = ()
    name: str | None = None
    part: str | None = None
    technical: Points | None = None

    def predict(self, blocks: Blocks) -> tuple[Array, None]:
        return self.quality(blocks), None


class Labels(Protocol):
    """What gives the issues of a photo: levels of labels that a graph binds."""

    @property
    def reads(self) -> tuple[str, ...]: ...

    @property
    def quantiles(self) -> Mapping[str, Array]:
        """(size, KNOTS) quantiles of the training photos by block, as far as they are known."""
        ...

    def marginals(self, blocks: Blocks) -> Doubles:
        """(n, size) vectors by block to the (n, nodes) probabilities that each node is on."""
        ...

    def probabilities(self, blocks: Blocks) -> list[dict[str, tuple[float, ...]]]:
        """For each of n photos and each label the probabilities of level 2 and up, or more."""
        ...

    def issues(self, blocks: Blocks) -> list[tuple[Issue, ...]]:
        """(n, size) vectors by block to the issues of each of n photos, the worst first."""
        ...


# Of a score behind its point, as rows show them. The seventh depends on how many photos are rated
# at once, so that equal pictures would be in another order each time.
DIGITS = 3


@dataclass(frozen=True, kw_only=True)
class RatedModel:
    """A model ready to rate: what it needs was read and checked.

    `blocks` are what the pipeline must measure for it. `aesthetic` gives the aesthetic part of a
    rating where the score is not that part itself. Without a `calibration` a quality q becomes
    1 + 9 q, and the rating says so. `fingerprint` changes whenever the same blocks could give
    another rating; None where that is unknown.
    """

    name: str
    blocks: tuple[AnyBlock, ...]
    predictor: Predictor
    labels: Labels
    calibration: Calibration | None = None
    aesthetic: Points | None = None
    fingerprint: str | None = None

    @property
    def holdout(self) -> HoldoutSample | None:
        """How it did on photos that it had not learnt from; None where it does not say."""
        return self.predictor.holdout

    def rate(self, photos: Sequence[Mapping[str, Vector]]) -> list[Rating | NoRating]:
        """One rating a photo, from its blocks by name, or why there is none."""
        if not photos:
            return []
        blocks = {b.name: np.stack([each[b.name] for each in photos]) for b in self.blocks}
        scores, sigmas = self._scores(blocks)
        issues = self.labels.issues(blocks)
        parts = self._part("technical", self.predictor.technical, scores, blocks)
        aesthetic = self._part("aesthetic", self.aesthetic, scores, blocks)
        return [
            Rating(
                score=round(float(scores[k]), DIGITS),
                uncertainty=_rounded(sigmas[k]),
                model=self.predictor.version or self.name,
                technical=_rounded(parts[k]),
                aesthetic=_rounded(aesthetic[k]),
                issues=issues[k],
                reasons=self._reasons(photo),
            )
            if np.isfinite(scores[k])
            else NoRating(NO_RATING.format(self.name))
            for k, photo in enumerate(photos)
        ]

    def _scores(self, blocks: Blocks) -> tuple[Array, list[float | None]]:
        """(n,) points, NaN for none, and n standard deviations."""
        values, sigmas = self.predictor.predict(
            {name: blocks[name] for name in self.predictor.reads}
        )
        if sigmas is not None:
            return values, [float(each) for each in sigmas]
        sigma = self.calibration.sigma if self.calibration else None
        return to_points(values, self.calibration), [sigma] * len(values)

    def _part(
        self, part: str, points: Points | None, scores: Array, blocks: Blocks
    ) -> Sequence[float | None]:
        if self.predictor.part == part:
            return [float(each) for each in scores]
        return points(blocks) if points else [None] * len(scores)

    def _reasons(self, photo: Mapping[str, Vector]) -> tuple[str, ...]:
        if not self.predictor.in_points:
            return () if self.calibration else (UNCALIBRATED.format(self.name),)
        undefined = [n for n in self.predictor.reads if not np.isfinite(photo[n]).all()]
        return tuple(UNDEFINED.format(name) for name in undefined)


def check_blocks(
    file: Path,
    sizes: Mapping[str, int],
    fingerprints: Mapping[str, Any],
    table: Mapping[str, AnyBlock],
    again: str,
) -> None:
    """Raise IqError where a trained file reads other blocks than this iq measures.

    `fingerprints` is what the file recorded of the blocks that it learnt from, by name.
    """
    for name, size in sizes.items():
        if name not in table or table[name].size != size:
            raise IqError(
                f"{display_path(file)} needs a block {name!r} of size {size}, which this iq has "
                f"not; {again}"
            )
        if name in fingerprints and fingerprints[name] != table[name].weights_fingerprint:
            raise IqError(
                f"{display_path(file)} was trained on another block {name!r} than this iq has; "
                f"{again}"
            )


def dense(tensors: Mapping[str, Array], layer: str, x: Array) -> Array:
    """(n, inputs) through the linear layer of that name: (n, outputs)."""
    y: Array = x @ tensors[f"{layer}.weight"].T + tensors[f"{layer}.bias"]
    return y


def relu(x: Array) -> Array:
    """max(x, 0), by element."""
    return np.maximum(x, 0)


def _rounded(points: float | None) -> float | None:
    return None if points is None else round(points, DIGITS)
