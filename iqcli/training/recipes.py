"""From opinions and folders to weight files: what the `train` commands do."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save

from iqcli.distortions.ladders import blank_frames, margins, measure_ladders, thumbnails
from iqcli.errors import IqError, PhotoError
from iqcli.fs.files import write_atomic
from iqcli.fs.read import sha256
from iqcli.models.gaussian_process import GaussianProcess
from iqcli.photos.find import find_shots
from iqcli.photos.read import read_photo
from iqcli.photos.views import views_of
from iqcli.pipeline.devices import measure_views
from iqcli.text import display_path, first_few
from iqcli.training import fusion, gaussian_process
from iqcli.training.backbone.data import BackboneData
from iqcli.training.backbone.fold import weight_file
from iqcli.training.backbone.init import initial_network
from iqcli.training.backbone.train import train_network
from iqcli.training.backbone.view_store import ViewStore
from iqcli.training.config import BACKBONE_FREE
from iqcli.training.dataset import (
    FEWEST,
    MAX_MEGAPIXELS,
    SEED,
    TrainingSet,
    holdout_mask,
    measured_rows,
    scenes_of,
    split_scenes,
)
from iqcli.training.fusion import FusionConfig
from iqcli.training.holdout import evaluate_holdout, recentre_bias
from iqcli.training.run_state import RunFolder, digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from iqcli.distortions.ladders import Measure
    from iqcli.evaluation.mos_csv import Opinions
    from iqcli.extractors.base import AnyBlock
    from iqcli.models.fusion import FusionHead
    from iqcli.records import Pixels, Shot
    from iqcli.training.config import BackboneConfig
    from iqcli.training.holdout import HoldoutEvaluation

    Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class FitRequest:
    """Which model to fit on which opinions: on vectors of `blocks`, `scene` is a column.

    The model calls itself `name`; its file is `output`. `exclude` are patterns for the folders of
    ladders.
    """

    opinions: Opinions
    blocks: Sequence[AnyBlock]
    scene: str | None
    output: Path
    name: str
    exclude: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class FitReport:
    """How many photos and ladders were trained on, and how the model did on the held-out scenes."""

    photos: int
    ladders: int
    holdout: HoldoutEvaluation


def fit_fusion(
    request: FitRequest,
    ladders: Sequence[Path],
    measure: Measure,
    device: str,
    say: Say,
    config: FusionConfig | None = None,
) -> FitReport:
    """Measure the photos, fit the fusion head on their opinions, write its file.

    Some of the photos that people liked and all photos of the folders `ladders` get ladders. Raises
    IqError where the photos or their scenes are too few.
    """
    config = config or FusionConfig()
    blocks = request.blocks
    data, shots = _measured(request, measure)
    rows = _liked(data, config.ladder_photos)
    shots = [*(shots[k] for k in rows.tolist()), *_shots_in(ladders, say, request.exclude)]
    nothing = [
        *blank_frames(config.blank_frames if shots else 0),
        *thumbnails(_readable_views(shots[: config.thumbnails])),
    ]
    frames = measure_views(map(views_of, nothing), blocks, device)
    negatives = {
        block.name: np.array([each[block.name] for each in frames], np.float32).reshape(
            -1, block.size
        )
        for block in blocks
    }
    copies = measure_ladders(shots, blocks, measure)
    data = replace(data, ladders=copies, negatives=negatives)
    head = fusion.fit(data, request.name, say, config)
    recentre_bias(head, data)
    count = data.margins.shape[0] * len(next(iter(copies.values())))
    return _finish(request, head, data, count)


def _readable_views(shots: Sequence[Shot]) -> Iterator[Pixels]:
    """The scoring views of those that can be read; why others cannot, their ladders say."""
    for shot in shots:
        with suppress(OSError, PhotoError):
            yield read_photo(shot.path.read_bytes(), max_megapixels=MAX_MEGAPIXELS)[1].scoring


def fit_dkl(request: FitRequest, measure: Measure, say: Say) -> FitReport:
    """Measure the photos, fit a Gaussian process on their opinions, write its file.

    Raises IqError where the photos or their scenes are too few.
    """
    data, _ = _measured(request, measure)
    rows = ~holdout_mask(data.scenes)
    scenes = [scene for scene, inside in zip(data.scenes, rows, strict=True) if inside]
    vectors = {name: values[rows] for name, values in data.blocks.items()}
    fitted = gaussian_process.fit(vectors, data.opinions[rows], scenes, say, request.name)
    head = GaussianProcess(data.sizes, fitted.tensors, fitted.info)
    return _finish(request, head, data, 0)


def _measured(request: FitRequest, measure: Measure) -> tuple[TrainingSet, list[Shot]]:
    """The readable photos with their opinions, without ladders and negatives; and their shots."""
    shots = [row.shot for row in request.opinions.rows]
    names = [block.name for block in request.blocks]
    kept, vectors = measured_rows(measure(request.blocks, shots), names)
    if len(kept) < FEWEST:
        raise IqError(f"{len(kept)} readable photos are too few to fit on; give at least {FEWEST}")
    for name, values in vectors.items():
        if not np.isfinite(values).all(axis=1).any():
            raise IqError(f"the block {name} is defined for none of the photos; leave it out")
    scenes = scenes_of(request.opinions, shots, request.scene)
    scenes = [scenes[k] for k in kept]
    split_scenes(scenes, request.scene)
    opinions = np.array([request.opinions.rows[k].value for k in kept], np.float32)
    data = TrainingSet(vectors, opinions, scenes, ladders={}, margins=margins(), negatives={})
    return data, [shots[k] for k in kept]


def _liked(data: TrainingSet, count: int) -> NDArray[np.int64]:
    """Rows of the photos that get ladders: some that people liked, since a fault degrades only
    those."""
    liked = (data.opinions >= np.median(data.opinions)) & ~holdout_mask(data.scenes)
    chosen = np.random.default_rng(SEED).permutation(np.flatnonzero(liked))[:count]
    return np.sort(chosen)


def _finish(
    request: FitRequest,
    head: FusionHead | GaussianProcess,
    data: TrainingSet,
    ladders: int,
) -> FitReport:
    """Evaluate the head on the held-out scenes, and write it with what they show."""
    holdout = evaluate_holdout(head, data)
    metadata = {
        **head.info,
        **holdout.info(),
        "held": request.opinions.source,
        "known_by": {block.name: block.weights_fingerprint for block in request.blocks},
    }
    tensors = {**head.tensors, **holdout.tensors()}
    write_atomic(request.output, save(tensors, metadata={"iq": json.dumps(metadata)}))
    return FitReport(len(data.opinions) - len(holdout.scores), ladders, holdout)


def train_backbone(
    opinions: Opinions,
    scene: str | None,
    start: Path,
    ladders: Sequence[Path],
    output: Path,
    config: BackboneConfig,
    device: str,
    say: Say,
    exclude: Sequence[str] = (),
) -> None:
    """Train a backbone, or go on with the state in `OUTPUT.run`, and write it to `output`.

    `start` is a file of EfficientNet-Lite0, `ladders` are folders of pictures to degrade.
    """
    shots = [row.shot for row in opinions.rows]
    pristine = [[shot.path for shot in _shots_in([each], say, exclude)] for each in ladders]
    photos = [shot.path for shot in shots]
    _check_there([*photos, *(path for paths in pristine for path in paths)])
    folder = RunFolder(output.with_suffix(".run"))
    data = BackboneData(
        ViewStore(folder.path / "photos", photos),
        np.array([row.value for row in opinions.rows], np.float32),
        scenes_of(opinions, shots, scene),
        [ViewStore(folder.path / "photos", paths, small=True) for paths in pristine if paths],
    )
    data.check()
    network = initial_network(start, config.seed)
    settings = {
        **{name: value for name, value in asdict(config).items() if name not in BACKBONE_FREE},
        "start_known_by": sha256(start)[:16],
        "photos_known_by": digest([(row.shot.path.name, row.value) for row in opinions.rows]),
        "scenes_known_by": digest(data.scenes),
        "ladders_known_by": digest([[path.name for path in paths] for paths in pristine]),
    }
    folder.check(settings)
    for store in (data.photos, *data.good):
        store.fill(say)
    folder.open(settings)
    trained = train_network(network, data, config, folder, device, say)
    write_atomic(output, weight_file(trained, {"name": output.stem, "steps": config.steps}))


def _check_there(paths: Sequence[Path]) -> None:
    """Raise IqError before any work where a photo is not there."""
    absent = [f"there is no photo {display_path(path)}" for path in paths if not path.exists()]
    if absent:
        raise IqError(f"{first_few(absent, separator='; ')}; leave them out, or give --images")


def _shots_in(folders: Sequence[Path], say: Say, exclude: Sequence[str]) -> list[Shot]:
    def problem(path: Path, reason: str) -> None:
        say(f"iq: {display_path(path)}: {reason}")

    return list(find_shots(folders, on_problem=problem, exclude=exclude))
