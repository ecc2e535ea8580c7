"""From opinions and folders to weight files: what the `train` commands do."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
from iqcli.training import fusion
from iqcli.training.issues import Thresholds, fit, measure_faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from iqcli.opinions import Opinions
    from iqcli.records import Pixels
    from iqcli.studying import Measure

    Say = Callable[[str], None]

FEWEST = 50


@dataclass(frozen=True, slots=True)
class Report:
    """Figures on held-out folds: rank correlation, error in points, share within 90 % interval."""

    photos: int
    srcc: float
    rmse: float
    covered: float


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
    found = list(measure([BLOCKS[each] for each in wanted], [row.shot for row in told.rows]))
    kept = [k for k, each in enumerate(found) if each.blocks is not None]
    if len(kept) < FEWEST:
        raise IqError(f"{len(kept)} readable photos are too few to fit on; give at least {FEWEST}")
    measured = [each.blocks for each in found if each.blocks is not None]
    vectors = {name: np.stack([each[name] for each in measured]) for name in wanted}
    opinions = np.array([told.rows[k].value for k in kept], np.float32)
    labels = told.column(scene) if scene else [str(k) for k in range(len(told.rows))]
    scenes = np.unique([labels[k] for k in kept], return_inverse=True)[1]
    fitted = fusion.fit(vectors, opinions, scenes, name, say)
    info = json.dumps(fitted.info)
    write_atomic(output, save(fitted.tensors, metadata={"iq": info}))
    error = fitted.scores - opinions
    return Report(
        photos=len(kept),
        srcc=float(spearmanr(fitted.scores, opinions)[0]),
        rmse=float(np.sqrt((error**2).mean())),
        covered=float((np.abs(error) <= 1.645 * fitted.sigmas).mean()),
    )


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
