"""Fit `hex-mini`: good photos, spoilt at random by known faults, teach what each issue looks like.

A photo that was held out measures with all its copies. As a last step the
log odds of each issue are shifted until few of the good photos are called faulty.
"""

from __future__ import annotations

import json
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save

from iqcli.distortions.synthesis import distort
from iqcli.errors import IqError, NothingFound
from iqcli.evaluation.issue_metrics import confusion, of_levels
from iqcli.extractors import photometry, tiles
from iqcli.models import issues as seeing
from iqcli.models.hex.head import FORMAT, HexHead
from iqcli.photos.read import seen_in
from iqcli.photos.views import limited, views_of
from iqcli.text import display_path
from iqcli.training.dataset import holdout_mask
from iqcli.training.hex_fit import HexLoss, HexTrainingSet
from iqcli.training.hex_fit import fit as fit_head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from iqcli.models.hex.graph import Graph, Levels
    from iqcli.records import Array, Flags, Pixels, Vector

    Say = Callable[[str], None]

# Spoilt copies of a photo of 512 pixels; a larger one, which is rare, has more by that power of it.
COPIES = 5
MORE = 1.5
USUAL_SIDE = 512
FEWEST = 20
# No hidden layer: one of 64 does no better on photos held out.
HIDDEN: tuple[int, ...] = ()
# Each issue may be seen on this share of the good photos of the fit: well under the 5 % that is
# promised, since the promise is for other photos.
FALSE_ALARMS = 0.01
# The most by which the log odds of an issue are raised where good photos would allow more.
BOLDEST = 1.75
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
    """What a head sees of one issue on photos held out.

    `alarms` is the share of good photos said to have it, `found` the shares of slight, clear and
    severe faults that are named at all, NaN where there were none; `balanced` and `kappa` as in
    `iqcli.evaluation.issue_metrics`.
    """

    name: str
    alarms: float
    found: tuple[float, float, float]
    balanced: float
    kappa: float


@dataclass(frozen=True, eq=False)
class IssueReport:
    """A fitted head as a `file`, and what it finds on the `photos` held out; `any_alarm` is the
    share of good ones that are said to have any issue."""

    file: bytes
    photos: int
    any_alarm: float
    issues: tuple[IssueFigures, ...]


def fit_folders(folders: Sequence[Path], max_megapixels: float, say: Say) -> IssueReport:
    """Fit on all photos of the folders. Raises IqError like `fit`, NothingFound for no photo."""
    graph = seeing.graph()
    found = seen_in(folders, max_megapixels, say)
    lessons = distort_and_measure(((name, views.detail) for name, views in found), graph)
    if lessons is None:
        raise NothingFound(f"no photo in {', '.join(map(display_path, folders))}")
    return fit(graph, lessons)


def distort_and_measure(
    pictures: Iterator[tuple[str, Pixels]], graph: Graph
) -> IssueSamples | None:
    """Spoil and measure named pictures as decoded, upright, with a long side of at most 2048.

    A picture's copies depend on its name and on nothing else. None for no picture.
    """
    rows: list[tuple[list[Mapping[str, Vector]], list[list[int]]]] = []
    with ThreadPoolExecutor(THREADS) as pool:
        for pair in _pairs(pictures):
            rows += pool.map(lambda each: _copies(each[0], each[1], graph), pair)
    if not rows:
        return None
    counts = [len(levels) for _, levels in rows]
    measured = [each for found, _ in rows for each in found]
    starts = np.cumsum([0, *counts[:-1]])
    good = np.zeros(sum(counts), bool)
    good[starts] = True
    return IssueSamples(
        blocks={name: np.stack([each[name] for each in measured]) for name in seeing.BLOCKS},
        levels=np.array([row for _, levels in rows for row in levels]),
        photos=np.repeat(np.arange(len(rows)), counts),
        good=good,
    )


def fit(graph: Graph, lessons: IssueSamples) -> IssueReport:
    """Train on most of the photos, measure on the rest. Raises IqError for too few."""
    names = [str(each) for each in lessons.photos]
    held = holdout_mask(names)
    count = len(set(names))
    if count < FEWEST:
        raise IqError(f"{count} photos are too few to learn from; give {FEWEST} good ones at least")
    taught, rest = lessons.of(~held), lessons.of(held)
    pupils = HexTrainingSet(
        seeing.inputs(taught.blocks), taught.levels, [str(each) for each in taught.photos]
    )
    fitted = fit_head(graph, pupils, HIDDEN, HexLoss.of("nll", None, None))
    head = seeing.IssueHead(graph, seeing.SIZES, fitted.tensors, fitted.info)
    _calibrate_false_alarms(head, taught.of(taught.good))
    report = measure(head, rest)
    info = {
        "format": FORMAT,
        "model": "hex-mini",
        "blocks": seeing.SIZES,
        "known_by": seeing.known_by(),
        "graph": graph.account,
        "photos": count,
        "figures": {each.name: [each.alarms, *each.found] for each in report},
        **fitted.info,
    }
    file = save(fitted.tensors, metadata={"iq": json.dumps(info)})
    said = _said(head, rest.of(rest.good))
    return IssueReport(file, len(said), float((said > 1).any(axis=1).mean()), report)


def measure(head: HexHead, lessons: IssueSamples) -> tuple[IssueFigures, ...]:
    """What the head sees of each issue."""
    said, true, good = _said(head, lessons), lessons.levels, lessons.good
    rows = []
    for k, label in enumerate(head.graph.labels):
        figures = of_levels(confusion(true[:, k], said[:, k], label.levels))
        found = [_share(said[true[:, k] == level, k] > 1) for level in (2, 3, 4)]
        rows.append(
            IssueFigures(
                label.name,
                _share(said[good, k] > 1),
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
        bias[first] -= max(float(np.quantile(odds, 1 - FALSE_ALARMS, method="higher")), -BOLDEST)


def _said(head: HexHead, lessons: IssueSamples) -> Levels:
    return head.levels(lessons.blocks)


def _share(flags: Flags) -> float:
    return float(flags.mean()) if len(flags) else float("nan")


def _copies(
    name: str, picture: Pixels, graph: Graph
) -> tuple[list[Mapping[str, Vector]], list[list[int]]]:
    """Blocks and levels of a picture and of its spoilt copies."""
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


def _pairs(pictures: Iterator[tuple[str, Pixels]]) -> Iterator[list[tuple[str, Pixels]]]:
    """As many at once as there are threads, so that only those are held."""
    held = []
    for each in pictures:
        held.append(each)
        if len(held) == THREADS:
            yield held
            held = []
    yield held
