"""From labelled photos to the file of a hex head: measure, hold scenes out, fit, evaluate."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save

from iqcli.errors import IqError
from iqcli.evaluation import issue_metrics
from iqcli.extractors.clip import ClipBlock
from iqcli.fs.files import write_atomic
from iqcli.models.hex.head import FORMAT, HexHead
from iqcli.pipeline.devices import choose_device
from iqcli.training import coop, hex_fit
from iqcli.training.dataset import FEWEST, measured_rows, scenes_of, split_scenes
from iqcli.training.hex_fit import HexTrainingSet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from iqcli.distortions.ladders import Measure
    from iqcli.evaluation.issue_metrics import IssueMetrics
    from iqcli.evaluation.labels_csv import LabelledPhotos
    from iqcli.extractors.base import AnyBlock
    from iqcli.training.hex_fit import HexFit, HexLoss

    Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class HexRecipe:
    """How to fit: layers of `hidden` sizes over `blocks`, or `contexts` words over text `prompts`.

    `prompts` is the block of the CLIP whose text tower is used; it must then be the only one.
    """

    blocks: tuple[AnyBlock, ...]
    hidden: tuple[int, ...]
    loss: HexLoss
    prompts: ClipBlock | None
    contexts: int


def block_of_tower(prompts: str, table: Mapping[str, AnyBlock]) -> ClipBlock:
    """The block of a CLIP by the name of its weights. Raises IqError for no such CLIP."""
    clips = [block for name, block in table.items() if name.startswith("clip:")]
    towers = {block.weights: block for block in clips if isinstance(block, ClipBlock)}
    if prompts not in towers:
        raise IqError(f"--prompts is {prompts!r}; give one of {', '.join(towers)}")
    return towers[prompts]


@dataclass(frozen=True, slots=True, eq=False)
class HexReport:
    """How many photos were trained on, the fit, and how the head did on the held-out scenes."""

    photos: int
    fit: HexFit
    holdout: IssueMetrics


def fit_hex(
    photos: LabelledPhotos,
    recipe: HexRecipe,
    scene: str | None,
    name: str,
    measure: Measure,
    device: str,
    say: Say,
) -> tuple[HexReport, bytes]:
    """Measure the photos, fit a head on their levels; the report, and the file to be written.

    Raises IqError where the photos or their labels are too few, or contradict the graph.
    """
    photos.check()
    graph = photos.graph
    for label, levels in zip(graph.labels, photos.levels.T, strict=True):
        if not (levels > 0).any():
            raise IqError(
                f"{label.name} has no level for any photo; fill its column, or give --labels a "
                "graph without it"
            )
    data = _measured(photos, recipe.blocks, scene, measure)
    holdout = split_scenes(data.scenes, scene)
    for label, levels in zip(graph.labels, data.levels[~holdout].T, strict=True):
        if not (levels > 1).any():
            say(f"no photo trained on has {label.name}; the model will not predict it")
    train = data.of(~holdout)
    check_defined(train)
    if recipe.prompts is None:
        fitted = hex_fit.fit(graph, train, recipe.hidden, recipe.loss)
    else:
        where = choose_device(device)
        clip = recipe.prompts.tower(where)
        fitted = coop.fit(graph, train, clip, recipe.contexts, recipe.loss, where, say)
    info = {
        "format": FORMAT,
        "model": name,
        **fitted.info,
        "blocks": data.sizes,
        "known_by": {block.name: block.weights_fingerprint for block in recipe.blocks},
        "graph": graph.metadata,
        "loss": [recipe.loss.name, recipe.loss.gamma, recipe.loss.alpha],
        "source": photos.source,
    }
    head = HexHead(graph, data.sizes, fitted.tensors, info)
    metrics = _evaluate(head, data.of(holdout))
    info["figures"] = _figures(metrics)
    file = save(fitted.tensors, metadata={"iq": json.dumps(info, allow_nan=False)})
    return HexReport(int((~holdout).sum()), fitted, metrics), file


def write_curve(fit: HexFit, title: str, output: Path) -> list[Path]:
    """The losses beside the model, as CSV, and drawn where matplotlib is installed."""
    lines = ["epoch,loss,held"]
    pairs = zip(fit.train_losses, fit.stop_losses, strict=True)
    lines += [f"{k},{one:.6f},{two:.6f}" for k, (one, two) in enumerate(pairs, 1)]
    files = {"csv": ("\n".join(lines) + "\n").encode()}
    if find_spec("matplotlib"):
        from iqcli.output.plots import learning

        losses = {"trained on": fit.train_losses, "early stopping": fit.stop_losses}
        drawn = learning(title, losses)
        files |= {name.rpartition(".")[2]: data for name, data in drawn.items()}
    written = []
    for suffix, data in files.items():
        written.append(output.with_suffix(f".curve.{suffix}"))
        write_atomic(written[-1], data)
    return written


def check_defined(data: HexTrainingSet) -> None:
    """Raise IqError for a block that is defined for no photo of either part of the split."""
    for name, values in data.blocks.items():
        defined = np.isfinite(values).all(axis=1)
        if not all((defined & rows).any() for rows in data.split()):
            raise IqError(f"the block {name} is defined for too few of the photos; leave it out")


def _measured(
    photos: LabelledPhotos, blocks: Sequence[AnyBlock], scene: str | None, measure: Measure
) -> HexTrainingSet:
    """The photos that could be measured and have a known level."""
    scenes = scenes_of(photos, photos.shots, scene)
    kept, vectors = measured_rows(measure(blocks, photos.shots), [each.name for each in blocks])
    data = HexTrainingSet(vectors, photos.levels[kept], [scenes[k] for k in kept])
    data = data.of(np.asarray((data.levels > 0).any(axis=1)))
    if len(data.scenes) < FEWEST:
        raise IqError(
            f"{len(data.scenes)} readable photos with labels are too few; give at least {FEWEST}"
        )
    return data


def _evaluate(head: HexHead, data: HexTrainingSet) -> IssueMetrics:
    chances = head.marginals(data.blocks)
    defined = np.isfinite(chances).all(axis=1)
    if not defined.any():
        raise IqError("the model is defined for none of the held-out photos; give other blocks")
    predicted = head.levels(data.blocks)
    return issue_metrics.compare_levels(
        head.graph, data.levels[defined], predicted[defined], chances[defined]
    )


def _figures(metrics: IssueMetrics) -> Mapping[str, Mapping[str, float | None]]:
    """Label -> measure -> value on the held-out scenes, None where it is not defined."""
    found = {}
    for label in metrics.labels:
        figures = label.figures | {"always none": label.always_none["accuracy"]}
        found[label.label] = {
            name: None if np.isnan(figure.value) else round(figure.value, 4)
            for name, figure in figures.items()
        }
    return found
