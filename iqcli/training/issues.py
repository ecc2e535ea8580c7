"""Fit `hex-mini` on good photos and on copies distorted at random by known faults.

A photo is held out with all its copies. As a last step the log odds of each issue are shifted until
few of the good photos are predicted to have it.
"""

from __future__ import annotations

import json
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save

from iqcli.distortions.synthesis import distort
from iqcli.errors import IqError, NothingFound
from iqcli.evaluation.issue_metrics import confusion, of_levels
from iqcli.extractors import photometry, tiles
from iqcli.models import issues as issue_model
from iqcli.models.hex.head import FORMAT, HexHead
from iqcli.photos.read import views_in
from iqcli.photos.views import limited, views_of
from iqcli.text import display_path
from iqcli.training.dataset import holdout_mask, stack_blocks
from iqcli.training.hex_fit import HexLoss, HexTrainingSet
from iqcli.training.hex_fit import fit as fit_head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from iqcli.models.hex.config import Graph
    from iqcli.models.hex.graph import Levels
    from iqcli.records import Array, Flags, Pixels, Vector

    Say = Callable[[str], None]

# Distorted copies of a photo of 512 pixels; a larger one, which is rare, has more, by that power.
COPIES = 5
MORE = 1.5
USUAL_SIDE = 512
FEWEST = 20
# No hidden layer: one of 64 does no better on photos held out.
HIDDEN: tuple[int, ...] = ()
# Each issue may be predicted on this share of the good photos of the fit: well under the 5 % that
# is promised, since the promise is for other photos.
FALSE_ALARMS = 0.01
# The most by which the log odds of an issue are raised where good photos would allow more.
MOST_SHIFT = 1.75
SEED = 5
THREADS = 2


@dataclass(frozen=True, eq=False)
class IssueSamples:
    """Measured pictures: (n, size) `blocks`, (n, labels) `levels`, (n,) `photos` by number.

    `good` (n,) marks the photos themselves, as they were found.
    """

    blocks: Mapping[str, Array]
    levels: Levels
    photos: NDArray[np.int64]
    good: Flags

    def of(self, rows: Flags) -> IssueSamples:
        """Those of these rows."""
        blocks = {name: values[rows] for name, values in self.blocks.items()}
        return IssueSamples(blocks, self.levels[rows], self.photos[rows], self.good[rows])


@dataclass(frozen=True, slots=True)
class IssueFigures:
    """How well a head predicts one issue on photos held out.

    `false_alarms` is the share of good photos predicted to have it, `found` the shares of slight,
    clear and severe faults that are predicted at any level, NaN where there were none; `balanced`
    and `kappa` as in `iqcli.evaluation.issue_metrics`.
    """

    name: str
    false_alarms: float
    found: tuple[float, float, float]
    balanced: float
    kappa: float


@dataclass(frozen=True, eq=False)
class IssueReport:
    """A fitted head as a `file`, and how it does on the `photos` held out; `any_false_alarm` is the
    share of good ones that are predicted to have any issue."""

    file: bytes
    photos: int
    any_false_alarm: float
    issues: tuple[IssueFigures, ...]


def fit_folders(
    folders: Sequence[Path], max_megapixels: float, say: Say, exclude: Sequence[str] = ()
) -> IssueReport:
    """Fit on all photos of the folders. Raises IqError like `fit`, NothingFound for no photo."""
    graph = issue_model.graph()
    found = views_in(folders, max_megapixels, say, exclude)
    samples = distort_and_measure(((name, views.detail) for name, views in found), graph)
    if samples is None:
        raise NothingFound(f"no photo in {', '.join(map(display_path, folders))}")
    return fit(graph, samples)


def distort_and_measure(
    pictures: Iterator[tuple[str, Pixels]], graph: Graph
) -> IssueSamples | None:
    """Distort and measure named pictures as decoded, upright, with a long side of at most 2048.

    A picture's copies depend on its name and on nothing else. None for no picture.
    """
    rows: list[tuple[list[Mapping[str, Vector]], list[list[int]]]] = []
    with ThreadPoolExecutor(THREADS) as pool:
        # As many at once as there are threads, so that only those are in memory.
        while pair := list(islice(pictures, THREADS)):
            rows += pool.map(lambda each: _copies(each[0], each[1], graph), pair)
    if not rows:
        return None
    counts = [len(levels) for _, levels in rows]
    measured = [each for found, _ in rows for each in found]
    starts = np.cumsum([0, *counts[:-1]])
    good = np.zeros(sum(counts), bool)
    good[starts] = True
    return IssueSamples(
        blocks=stack_blocks(measured, issue_model.BLOCKS),
        levels=np.array([row for _, levels in rows for row in levels]),
        photos=np.repeat(np.arange(len(rows)), counts),
        good=good,
    )


def fit(graph: Graph, samples: IssueSamples) -> IssueReport:
    """Train on most of the photos, evaluate on the rest. Raises IqError for too few."""
    names = [str(each) for each in samples.photos]
    holdout = holdout_mask(names)
    count = len(set(names))
    if count < FEWEST:
        raise IqError(f"{count} photos are too few to learn from; give {FEWEST} good ones at least")
    train, rest = samples.of(~holdout), samples.of(holdout)
    data = HexTrainingSet(
        issue_model.inputs(train.blocks), train.levels, [str(each) for each in train.photos]
    )
    fitted = fit_head(graph, data, HIDDEN, HexLoss.of("nll", None, None))
    head = issue_model.IssueHead(graph, issue_model.SIZES, fitted.tensors, fitted.info)
    _calibrate_false_alarms(head, train.of(train.good))
    figures = evaluate(head, rest)
    info = {
        "format": FORMAT,
        "model": "hex-mini",
        "blocks": issue_model.SIZES,
        "known_by": issue_model.fingerprints(),
        "graph": graph.metadata,
        "photos": count,
        "figures": {each.name: [each.false_alarms, *each.found] for each in figures},
        **fitted.info,
    }
    file = save(fitted.tensors, metadata={"iq": json.dumps(info)})
    predicted = head.levels(rest.of(rest.good).blocks)
    share = float((predicted > 1).any(axis=1).mean())
    return IssueReport(file, len(predicted), share, figures)


def evaluate(head: HexHead, samples: IssueSamples) -> tuple[IssueFigures, ...]:
    """How well the head predicts each issue."""
    predicted, true, good = head.levels(samples.blocks), samples.levels, samples.good
    rows = []
    for k, label in enumerate(head.graph.labels):
        figures = of_levels(confusion(true[:, k], predicted[:, k], label.levels))
        found = [_share(predicted[true[:, k] == level, k] > 1) for level in (2, 3, 4)]
        rows.append(
            IssueFigures(
                label.name,
                _share(predicted[good, k] > 1),
                (found[0], found[1], found[2]),
                figures["balanced accuracy"],
                figures["kappa"],
            )
        )
    return tuple(rows)


def _calibrate_false_alarms(head: HexHead, good: IssueSamples) -> None:
    """Shift the bias of each issue's first node so that few of these good photos pass a half."""
    chances = head.marginals(good.blocks)
    bias = head.tensors[f"layer.{len(HIDDEN)}.bias"]
    for first, *_ in head.graph.groups:
        likely = np.clip(chances[:, first], 1e-12, 1 - 1e-12)
        # Adding to the bias adds as much to the log odds against every state without the issue.
        odds = np.log(likely / (1 - likely))
        bias[first] -= max(float(np.quantile(odds, 1 - FALSE_ALARMS, method="higher")), -MOST_SHIFT)


def _share(flags: Flags) -> float:
    return float(flags.mean()) if len(flags) else float("nan")


def _copies(
    name: str, picture: Pixels, graph: Graph
) -> tuple[list[Mapping[str, Vector]], list[list[int]]]:
    """Blocks and levels of a picture and of its distorted copies."""
    random = np.random.default_rng([SEED, zlib.crc32(name.encode("utf-8", "surrogateescape"))])
    blocks, levels = [_measured(picture)], [[1] * len(graph.labels)]
    for _ in range(round(COPIES * max(1.0, max(picture.shape) / USUAL_SIDE) ** MORE)):
        example = distort(picture, random)
        blocks.append(_measured(example.picture))
        levels.append([example.levels[label.name] for label in graph.labels])
    return blocks, levels


def _measured(picture: Pixels) -> Mapping[str, Vector]:
    views = views_of(limited(picture))
    return {"photometry": photometry.extract(views), "tiles": tiles.extract(views)}
