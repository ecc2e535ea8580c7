"""From opinions and folders to weight files: what the `train` commands do."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save

from iqcli.distortions.ladders import blank_frames, margins, measure_ladders
from iqcli.errors import IqError, PhotoError
from iqcli.fs.files import write_atomic
from iqcli.models.fusion import FusionHead
from iqcli.models.gaussian_process import GaussianProcess
from iqcli.photos.find import find_shots
from iqcli.photos.read import read_photo
from iqcli.photos.views import views_of
from iqcli.pipeline.devices import measure_views
from iqcli.text import display_path
from iqcli.training import dataset, fusion, gaussian_process
from iqcli.training.backbone.data import MAX_MEGAPIXELS
from iqcli.training.backbone.init import initial_backbone
from iqcli.training.backbone.train import BackboneData, train_network, weight_file
from iqcli.training.holdout import evaluate_holdout, recentre_bias
from iqcli.training.run_state import RunFolder, digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from iqcli.distortions.ladders import Measure
    from iqcli.evaluation.mos_csv import Opinions
    from iqcli.extractors.base import AnyBlock
    from iqcli.records import Shot
    from iqcli.training.config import BackboneConfig
    from iqcli.training.holdout import HoldoutEvaluation

    Say = Callable[[str], None]


FEWEST = 50
LADDER_PHOTOS = 120
BLANK_FRAMES = 96


@dataclass(frozen=True, slots=True)
class FitReport:
    """How many photos and ladders taught, and how the model did on the held-out scenes."""

    photos: int
    ladders: int
    held: HoldoutEvaluation


def fit_fusion(
    told: Opinions,
    blocks: Sequence[AnyBlock],
    scene: str | None,
    ladders: Sequence[Path],
    output: Path,
    name: str,
    measure: Measure,
    device: str,
    say: Say,
) -> FitReport:
    """Measure the photos, fit the fusion head on their opinions, write it to `output`."""
    taught = _training_set(told, blocks, scene, ladders, measure, device, say)
    fitted = fusion.fit(taught, name, say)
    sizes = {block: values.shape[1] for block, values in taught.blocks.items()}
    head = FusionHead(sizes, fitted.tensors, fitted.info)
    recentre_bias(head, taught)
    held = evaluate_holdout(head, taught)
    _write(output, fitted.tensors, fitted.info, blocks, held, told.source)
    count = taught.margins.shape[0] * len(next(iter(taught.ladders.values())))
    return FitReport(len(taught.opinions) - len(held.scores), count, held)


def fit_dkl(
    told: Opinions,
    blocks: Sequence[AnyBlock],
    scene: str | None,
    output: Path,
    name: str,
    measure: Measure,
    device: str,
    say: Say,
) -> FitReport:
    """Measure the photos, fit a Gaussian process on their opinions, write it to `output`."""
    taught = _training_set(told, blocks, scene, None, measure, device, say)
    learnt = ~dataset.holdout_mask(taught.scenes)
    scenes = [label for label, taken in zip(taught.scenes, learnt, strict=True) if taken]
    vectors = {block: values[learnt] for block, values in taught.blocks.items()}
    fitted = gaussian_process.fit(vectors, taught.opinions[learnt], scenes, say, name)
    sizes = {block: values.shape[1] for block, values in vectors.items()}
    held = evaluate_holdout(GaussianProcess(sizes, fitted.tensors, fitted.info), taught)
    _write(output, fitted.tensors, fitted.info, blocks, held, told.source)
    return FitReport(int(learnt.sum()), 0, held)


def _write(
    output: Path,
    tensors: Mapping[str, NDArray[np.float32]],
    info: Mapping[str, object],
    blocks: Sequence[AnyBlock],
    held: HoldoutEvaluation,
    source: str,
) -> None:
    known_by = {block.name: block.known_by for block in blocks}
    account = {**info, "calibration": held.calibration, "held": source, "known_by": known_by}
    whole = {**tensors, **held.tensors()}
    write_atomic(output, save(whole, metadata={"iq": json.dumps(account)}))


def _training_set(
    told: Opinions,
    blocks: Sequence[AnyBlock],
    scene: str | None,
    ladders: Sequence[Path] | None,
    measure: Measure,
    device: str,
    say: Say,
) -> dataset.TrainingSet:
    """`ladders` None: none at all, nor worthless frames."""
    found = list(measure(blocks, [row.shot for row in told.rows]))
    kept = [k for k, each in enumerate(found) if each.blocks is not None]
    if len(kept) < FEWEST:
        raise IqError(f"{len(kept)} readable photos are too few to fit on; give at least {FEWEST}")
    measured = [each.blocks for each in found if each.blocks is not None]
    for block in blocks:
        if not any(np.isfinite(each[block.name]).all() for each in measured):
            raise IqError(f"the block {block.name} is defined for none of the photos; leave it out")
    opinions = np.array([told.rows[k].value for k in kept], np.float32)
    labels = told.column(scene) if scene else [row.shot.path.name for row in told.rows]
    scenes = [labels[k] for k in kept]
    held = dataset.holdout_mask(scenes)
    if len({label for label, out in zip(scenes, held, strict=True) if not out}) < dataset.MEMBERS:
        raise IqError(f"the column {scene!r} names too few scenes; give at least {dataset.MEMBERS}")
    if held.sum() < FEWEST // 10:
        raise IqError("too few scenes to hold some out; give more photos")
    bases = [told.rows[kept[k]].shot for k in _bases(opinions, held)]
    spoilt = [*bases, *_found(ladders, say)] if ladders is not None else []
    pockets = map(views_of, blank_frames(BLANK_FRAMES if spoilt else 0))
    frames = measure_views(pockets, blocks, device)
    return dataset.TrainingSet(
        blocks={b.name: np.stack([each[b.name] for each in measured]) for b in blocks},
        opinions=opinions,
        scenes=scenes,
        ladders=measure_ladders(spoilt, blocks, measure),
        margins=margins(),
        negatives={
            b.name: np.array([each[b.name] for each in frames], np.float32).reshape(-1, b.size)
            for b in blocks
        },
    )


def _bases(opinions: NDArray[np.float32], held: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Which photos get ladders: some of those that people liked, for a fault spoils only them."""
    liked = np.flatnonzero((opinions >= np.median(opinions)) & ~held)
    chosen = np.random.default_rng(dataset.SEED).permutation(liked)[:LADDER_PHOTOS]
    return np.sort(chosen)


def train_backbone(
    told: Opinions,
    scene: str | None,
    start: str,
    ladders: Sequence[Path],
    output: Path,
    config: BackboneConfig,
    device: str,
    say: Say,
) -> None:
    """Train a backbone, or go on with what lies in `OUTPUT.run`, and write it to `output`."""
    photos = [row.shot.path for row in told.rows]
    pristine = [shot.path for shot in _found(ladders, say)]
    scenes = told.column(scene) if scene else [path.name for path in photos]
    _check_readable([*photos, *pristine])
    network = initial_backbone(start, config.seed)
    folder = RunFolder(output.with_suffix(".run"))
    folder.open(
        {
            **asdict(config),
            "start": start,
            "start_known_by": digest([network.stem.weight.detach().sum(dim=(1, 2, 3)).tolist()]),
            "photos_known_by": digest([(each.shot.path.name, each.value) for each in told.rows]),
            "scenes_known_by": digest(scenes),
            "pristine_known_by": digest([path.name for path in pristine]),
        }
    )
    material = BackboneData(
        photos,
        np.array([row.value for row in told.rows], np.float32),
        scenes,
        pristine,
    )
    trained = train_network(network, material, config, folder, device, say)
    write_atomic(output, weight_file(trained, {"name": output.stem, "steps": config.steps}))


def _check_readable(paths: Sequence[Path]) -> None:
    """Raise IqError now, not after hours, where photos cannot be read."""
    bad = []
    for path in paths:
        try:
            read_photo(path.read_bytes(), max_megapixels=MAX_MEGAPIXELS)
        except FileNotFoundError:
            bad.append(f"there is no photo {display_path(path)}")
        except (OSError, PhotoError) as error:
            bad.append(f"{display_path(path)}: {error}")
    if bad:
        more = f", and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise IqError(f"{'; '.join(bad[:3])}{more}; leave them out, or give --images")


def _found(folders: Sequence[Path], say: Say) -> list[Shot]:
    def problem(path: Path, reason: str) -> None:
        say(f"iq: {display_path(path)}: {reason}")

    return list(find_shots(folders, on_problem=problem))
