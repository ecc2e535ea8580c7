"""From labelled photos to the file of a hex head: measure, hold scenes out, fit, judge, write."""

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
from iqcli.training.dataset import MEMBERS, holdout_mask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from iqcli.distortions.ladders import Measure
    from iqcli.evaluation.issue_metrics import IssueMetrics
    from iqcli.evaluation.labels_csv import LabelledPhotos
    from iqcli.extractors.base import AnyBlock
    from iqcli.models.hex.graph import Graph
    from iqcli.training.hex_fit import HexFit, HexLoss, HexTrainingSet

    Say = Callable[[str], None]

FEWEST = 50
FEWEST_HELD = 5


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


@dataclass(frozen=True, slots=True, eq=False)
class HexReport:
    """How many photos taught, what the fit did, and how the head did on the held-out scenes."""

    photos: int
    fit: HexFit
    held: IssueMetrics


def block_of_tower(prompts: str, table: Mapping[str, AnyBlock]) -> ClipBlock:
    """The block of a CLIP by the name of its weights. Raises IqError for no such CLIP."""
    clips = [block for name, block in table.items() if name.startswith("clip:")]
    towers = {block.weights: block for block in clips if isinstance(block, ClipBlock)}
    if prompts not in towers:
        raise IqError(f"--prompts is {prompts!r}; give one of {', '.join(towers)}")
    return towers[prompts]


def fit_hex(
    told: LabelledPhotos,
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
    told.check()
    for label, levels in zip(told.graph.labels, told.levels.T, strict=True):
        if not (levels > 0).any():
            raise IqError(
                f"no photo says how bad {label.name} is; fill its column, or give --labels a graph "
                "without it"
            )
    pupils = _pupils(told, recipe.blocks, scene, measure)
    held = holdout_mask(pupils.scenes)
    _check_enough(told.graph, pupils, held, say)
    taught = _rows(pupils, ~held)
    check_defined(taught)
    if recipe.prompts is None:
        fitted = hex_fit.fit(told.graph, taught, recipe.hidden, recipe.loss)
    else:
        where = choose_device(device)
        clip = recipe.prompts.tower(where)
        fitted = coop.fit(told.graph, taught, clip, recipe.contexts, recipe.loss, where, say)
    sizes = {block: values.shape[1] for block, values in pupils.blocks.items()}
    info = {
        "format": FORMAT,
        "model": name,
        **fitted.info,
        "blocks": sizes,
        "known_by": {block.name: block.known_by for block in recipe.blocks},
        "graph": told.graph.account,
        "loss": [recipe.loss.name, recipe.loss.gamma, recipe.loss.alpha],
        "source": told.source,
    }
    head = HexHead(told.graph, sizes, fitted.tensors, info)
    verdicts = _judged(head, _rows(pupils, held))
    info["figures"] = _figures(verdicts)
    data = save(fitted.tensors, metadata={"iq": json.dumps(info, allow_nan=False)})
    return HexReport(int((~held).sum()), fitted, verdicts), data


def write_curve(fit: HexFit, title: str, output: Path) -> list[Path]:
    """The losses beside the model, as CSV, and drawn where matplotlib is installed."""
    lines = ["epoch,loss,held"]
    pairs = zip(fit.taught, fit.stopped, strict=True)
    lines += [f"{k},{one:.6f},{two:.6f}" for k, (one, two) in enumerate(pairs, 1)]
    files = {"csv": ("\n".join(lines) + "\n").encode()}
    if find_spec("matplotlib"):
        from iqcli.output.plots import learning

        losses = {"photos that teach": fit.taught, "photos that say when to stop": fit.stopped}
        drawn = learning(title, losses)
        files |= {name.rpartition(".")[2]: data for name, data in drawn.items()}
    written = []
    for suffix, data in files.items():
        written.append(output.with_suffix(f".curve.{suffix}"))
        write_atomic(written[-1], data)
    return written


def _pupils(
    told: LabelledPhotos, blocks: Sequence[AnyBlock], scene: str | None, measure: Measure
) -> HexTrainingSet:
    """The photos that could be measured and of which something is known."""
    labels = told.column(scene) if scene else [shot.path.name for shot in told.shots]
    found = list(measure(blocks, told.shots))
    known = np.flatnonzero((told.levels > 0).any(axis=1))
    seen = {k: found[k].blocks for k in known.tolist()}
    kept = [k for k, each in seen.items() if each is not None]
    photos = [each for each in seen.values() if each is not None]
    if len(kept) < FEWEST:
        raise IqError(
            f"{len(kept)} readable photos with labels are too few; give at least {FEWEST}"
        )
    vectors = {b.name: np.stack([each[b.name] for each in photos]) for b in blocks}
    return hex_fit.HexTrainingSet(vectors, told.levels[kept], [labels[k] for k in kept])


def _check_enough(graph: Graph, pupils: HexTrainingSet, held: NDArray[np.bool_], say: Say) -> None:
    scenes = {label for label, out in zip(pupils.scenes, held, strict=True) if not out}
    if len(scenes) < MEMBERS or held.sum() < FEWEST_HELD:
        raise IqError("the photos are of too few scenes to hold some out; give more photos")
    for label, levels in zip(graph.labels, pupils.levels[~held].T, strict=True):
        if not (levels > 1).any():
            say(f"no photo that teaches has {label.name}; the model will not see it")


def check_defined(pupils: HexTrainingSet) -> None:
    """Raise IqError for a block that says nothing of what teaches, or of what says when to stop."""
    for name, values in pupils.blocks.items():
        defined = np.isfinite(values).all(axis=1)
        if not all((defined & rows).any() for rows in pupils.parted()):
            raise IqError(f"the block {name} is defined for too few of the photos; leave it out")


def _rows(pupils: HexTrainingSet, rows: NDArray[np.bool_]) -> HexTrainingSet:
    return hex_fit.HexTrainingSet(
        {name: values[rows] for name, values in pupils.blocks.items()},
        pupils.levels[rows],
        [label for label, inside in zip(pupils.scenes, rows, strict=True) if inside],
    )


def _judged(head: HexHead, pupils: HexTrainingSet) -> IssueMetrics:
    chances = head.marginals(pupils.blocks)
    there = np.isfinite(chances).all(axis=1)
    if not there.any():
        raise IqError("the model says nothing of the photos held out; give other blocks")
    said = head.levels(pupils.blocks)
    return issue_metrics.compare_levels(
        head.graph, pupils.levels[there], said[there], chances[there]
    )


def _figures(verdicts: IssueMetrics) -> Mapping[str, Mapping[str, float | None]]:
    """Label -> measure -> value on the held-out scenes, None where it is not defined."""
    found = {}
    for each in verdicts.labels:
        told = each.figures | {"always none": each.always_none["accuracy"]}
        found[each.label] = {
            name: None if np.isnan(figure.value) else round(figure.value, 4)
            for name, figure in told.items()
        }
    return found
