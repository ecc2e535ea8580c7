"""From opinions and folders to weight files: what the `train` commands do."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from safetensors.numpy import save
from scipy.stats import spearmanr

from iqcli.errors import IqError, NothingFound, PhotoError
from iqcli.files import write_atomic
from iqcli.models.registry import BLOCKS
from iqcli.outputs.names import shown
from iqcli.photos.find import find_shots
from iqcli.photos.read import read_photo
from iqcli.photos.views import views_of
from iqcli.training import fusion, lessons
from iqcli.training.issues import Thresholds, fit, measure_faults
from iqcli.training.ladders import RUNGS, climb, pocket_shots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from iqcli.features.extractor import PhotoBlock
    from iqcli.opinions import Opinions
    from iqcli.records import Measured, Pixels, Shot
    from iqcli.training.ladders import Spoilt

    Say = Callable[[str], None]


FEWEST = 50
LADDER_PHOTOS = 1000
POCKET_SHOTS = 96


class Measure(Protocol):
    """Shots to blocks, spoilt or as they are; what `Run.measured` does."""

    def __call__(
        self, blocks: Sequence[PhotoBlock], shots: Sequence[Shot], spoil: Spoilt | None = None
    ) -> Iterable[Measured]: ...


@dataclass(frozen=True, slots=True)
class Report:
    """Figures on held-out folds: rank correlation, and error in points."""

    photos: int
    ladders: int
    srcc: float
    rmse: float


def fit_fusion(
    told: Opinions,
    blocks: str,
    scene: str | None,
    output: Path,
    name: str,
    measure: Measure,
    say: Say,
) -> Report:
    """Measure the photos, fit the fusion head on their opinions, write it to `output`."""
    wanted = [each.strip() for each in blocks.split(",")]
    if unknown := [each for each in wanted if each not in BLOCKS]:
        raise IqError(f"there is no block {unknown[0]!r}; give some of {', '.join(BLOCKS)}")
    taught = _lessons(told, [BLOCKS[each] for each in wanted], scene, measure)
    fitted = fusion.fit(taught, name, say)
    write_atomic(output, save(fitted.tensors, metadata={"iq": json.dumps(fitted.info)}))
    error = fitted.scores - taught.opinions
    return Report(
        photos=len(taught.opinions),
        ladders=len(taught.bases) * len(RUNGS),
        srcc=float(spearmanr(fitted.scores, taught.opinions)[0]),
        rmse=float(np.sqrt((error**2).mean())),
    )


def _lessons(
    told: Opinions, blocks: Sequence[PhotoBlock], scene: str | None, measure: Measure
) -> lessons.Lessons:
    found = list(measure(blocks, [row.shot for row in told.rows]))
    kept = [k for k, each in enumerate(found) if each.blocks is not None]
    if len(kept) < FEWEST:
        raise IqError(f"{len(kept)} readable photos are too few to fit on; give at least {FEWEST}")
    measured = [each.blocks for each in found if each.blocks is not None]
    for block in blocks:
        if not any(np.isfinite(each[block.name]).all() for each in measured):
            raise IqError(f"the block {block.name} is defined for none of the photos; leave it out")
    opinions = np.array([told.rows[k].value for k in kept], np.float32)
    labels = told.column(scene) if scene else [str(k) for k in range(len(told.rows))]
    scenes = np.unique([labels[k] for k in kept], return_inverse=True)[1]
    if scenes.max() + 1 < lessons.MEMBERS:
        raise IqError(f"the column {scene!r} names too few scenes; give at least {lessons.MEMBERS}")
    bases = _bases(opinions)
    frames = [views_of(frame) for frame in pocket_shots(POCKET_SHOTS)]
    return lessons.Lessons(
        blocks={b.name: np.stack([each[b.name] for each in measured]) for b in blocks},
        opinions=opinions,
        scenes=scenes,
        bases=bases,
        ladders=climb([told.rows[kept[k]].shot for k in bases], blocks, measure),
        worthless={b.name: np.stack([b.extract(frame) for frame in frames]) for b in blocks},
    )


def _bases(opinions: NDArray[np.float32]) -> NDArray[np.int64]:
    """Which photos get ladders: some of those that people liked, for a fault spoils only them."""
    liked = np.flatnonzero(opinions >= np.median(opinions))
    chosen = np.random.default_rng(lessons.SEED).permutation(liked)[:LADDER_PHOTOS]
    return np.sort(chosen)


def fit_issues(folders: Sequence[Path], max_megapixels: float, say: Say) -> Thresholds:
    """Fit the thresholds on all good photos of the folders."""
    measured = measure_faults(_pictures(folders, max_megapixels, say), views_of)
    if not len(next(iter(measured.values()))):
        raise NothingFound(f"no photo in {', '.join(shown(folder) for folder in folders)}")
    return fit(measured)


def _pictures(folders: Sequence[Path], max_megapixels: float, say: Say) -> Iterator[Pixels]:
    def problem(path: Path, reason: str) -> None:
        say(f"iq: {shown(path)}: {reason}")

    for shot in find_shots(folders, on_problem=problem):
        try:
            data = shot.path.read_bytes()
            yield read_photo(data, max_megapixels=max_megapixels)[1].detail
        except (OSError, PhotoError) as error:
            problem(shot.path, str(error))
