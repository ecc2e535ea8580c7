"""Monitor the training of a backbone on photos, ladders and exposure series it does not learn from.

The views of all versions are made once and kept on disk, a file a picture.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.stats import spearmanr

from iqcli.distortions.bank import DISTORTIONS, LEVELS
from iqcli.distortions.exposure import Response, expose, fuse, is_well_exposed
from iqcli.extractors.base import autocast_type
from iqcli.training.backbone.framing import CENTRED, views_of
from iqcli.training.backbone.quality_network import points
from iqcli.training.backbone.view_store import read_array, read_facts, write_arrays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from iqcli.records import Array, Pixels
    from iqcli.training.backbone.data import BackboneData
    from iqcli.training.backbone.quality_network import QualityNetwork

# The ladders that are made of all pictures; the others of every `SPARSE`th.
TONE = ("brighten", "darken", "mean_shift", "contrast")
SPARSE = 8
STOPS = (-3, -2, -1, 0, 1, 2, 3)
CHUNK = 4
# Photos whose views are in memory at once.
READ = 64
# Photos that are scored in float32 as well.
COMPARED = 48
# Photos of one scene are compared where their opinions differ by this much.
PAIR_GAP = 0.9


@dataclass(frozen=True)
class Scorer:
    """Scores views with a network on a device, `workers` threads at once."""

    network: QualityNetwork
    device: str
    workers: int

    def __call__(
        self, views: Pixels, *, short: bool = True, long_start: bool = True
    ) -> tuple[Array, Array]:
        """(n, 2, side, side, 3) views to (n,) scores and (n,) deviations.

        `short` computes in bfloat16 where the device has it, but for the first maps with
        `long_start`.
        """
        kind = autocast_type(self.device) if short else None
        autocast = torch.device(self.device).type, kind or torch.bfloat16

        def score(start: int) -> tuple[torch.Tensor, torch.Tensor]:
            part = torch.from_numpy(np.ascontiguousarray(views[start : start + CHUNK]))
            with torch.inference_mode(), torch.autocast(*autocast, enabled=kind is not None):
                logits, doubt = self.network(part.to(self.device), long_start)
                return points(logits[:, 0]).cpu(), doubt.exp().cpu()

        self.network.eval()
        with ThreadPoolExecutor(self.workers) as pool:
            found = list(pool.map(score, range(0, len(views), CHUNK)))
        scores, doubts = (torch.cat([each[k] for each in found]) for k in range(2))
        return np.asarray(scores), np.asarray(doubts)


@dataclass(frozen=True)
class MonitorBank:
    """The versions of held-out pictures, in files: views (n, 2, side, side, 3) and their names,
    `untouched/0`, `DISTORTION/LEVEL`, `stops/STOPS` and `fusion/0`."""

    files: Sequence[Path]

    @classmethod
    def open(cls, folder: Path, data: BackboneData, say: Callable[[str], None]) -> MonitorBank:
        """From the disk; what is not there is made."""
        pictures = data.watched()
        files = [folder / f"{k:03}.safetensors" for k in range(len(pictures))]
        if not all(file.exists() for file in files):
            say(f"making versions of {len(files)} pictures that are held out")
        for k, (file, picture) in enumerate(zip(files, pictures, strict=True)):
            if not file.exists():
                made = dict(versions(k, picture))
                views = np.stack([views_of(each, CENTRED) for each in made.values()])
                write_arrays(file, {"views": views}, list(made))
        return cls(files)

    def scores(self, scorer: Scorer) -> list[dict[str, float]]:
        """Of each picture, the score of each version by its name."""
        return [
            dict(
                zip(
                    read_facts(file),
                    scorer(read_array(file, "views"))[0].tolist(),
                    strict=True,
                )
            )
            for file in self.files
        ]


def versions(k: int, picture: Pixels) -> Iterator[tuple[str, Pixels]]:
    """The versions of the `k`th picture, by name."""
    yield "untouched/0", picture
    for name, distort in DISTORTIONS.items():
        if name in TONE or k % SPARSE == 0:
            for level in range(1, LEVELS + 1):
                yield f"{name}/{level}", distort(picture, level, k)
    if not is_well_exposed(picture):
        return
    random, plain = np.random.default_rng(k), Response()
    series = {stops: expose(picture, stops, plain, random) for stops in STOPS}
    for stops, version in series.items():
        if stops:
            yield f"stops/{stops}", version
    yield "fusion/0", fuse([series[-2], series[0], series[2]])


def evaluate(scorer: Scorer, data: BackboneData, bank: MonitorBank) -> dict[str, float]:
    """The figures of a network, a line of the curve.

    Rank correlations of score (`srcc`) and of deviation with the error (`doubt_rank`); how often of
    two photos of a scene the better one leads (`pairs_right`); of ladders the median rank
    correlation with the level, and how often the picture beats its level 3 (`…_rank`, `…_wins`); of
    exposure series how often the middle beats both ends, or one, and the fusion both; and by how
    many points bfloat16 moves a score: throughout (`short_mean`, `short_most`), and but for the
    first maps (`mixed_most`).
    """
    rows = np.flatnonzero(data.held_out).tolist()
    scores, doubts, moves = [], [], {}
    for start in range(0, len(rows), READ):
        some = rows[start : start + READ]
        views = np.stack([views_of(data.photos[row], CENTRED) for row in some])
        found = scorer(views)
        scores.append(found[0])
        doubts.append(found[1])
        if start == 0:
            exact = scorer(views[:COMPARED], short=False)[0]
            moved = np.abs(scorer(views[:COMPARED], long_start=False)[0] - exact)
            moves = {
                "short_mean": float(moved.mean()),
                "short_most": float(moved.max()),
                "mixed_most": float(np.abs(found[0][:COMPARED] - exact).max()),
            }
    score, doubt = np.concatenate(scores), np.concatenate(doubts)
    scenes = [data.scenes[row] for row in rows]
    copies = bank.scores(scorer)
    return {
        **_opinion_figures(score, doubt, data.opinions[rows], scenes),
        **_ladder_figures(copies),
        **_series_figures(copies),
        **moves,
    }


def _opinion_figures(
    score: Array, doubt: Array, wanted: Array, scenes: Sequence[str]
) -> dict[str, float]:
    named = np.array(scenes)
    same = (named[:, None] == named) & (wanted[:, None] - wanted >= PAIR_GAP)
    first, second = np.nonzero(same)
    return {
        "srcc": _rank(score, wanted),
        "rmse": float(np.sqrt(np.square(score - wanted).mean())),
        "bias": float((score - wanted).mean()),
        "doubt_rank": _rank(doubt, np.abs(score - wanted)),
        "pairs_right": _share(score[first] > score[second]),
    }


def _ladder_figures(pictures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    levels = -np.arange(LEVELS + 1.0, dtype=np.float32)
    figures, medians, wins = {}, [], []
    for name in DISTORTIONS:
        ladders = [
            [scores["untouched/0"], *(scores[f"{name}/{n}"] for n in range(1, LEVELS + 1))]
            for scores in pictures
            if f"{name}/1" in scores
        ]
        medians.append(float(np.median([_rank(np.array(each), levels) for each in ladders])))
        won = [each[0] > each[3] for each in ladders]
        if name in TONE:
            figures[f"{name}_rank"], figures[f"{name}_wins"] = medians[-1], _share(won)
        else:
            wins += won
    figures["ladders"], figures["ladders_least"] = float(np.median(medians)), min(medians)
    figures["ladder_wins"] = _share(wins)
    return figures


def _series_figures(pictures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    series = [scores for scores in pictures if "fusion/0" in scores]

    def of(name: str) -> Array:
        return np.array([scores[name] for scores in series], np.float32)

    middle, fused, figures = of("untouched/0"), of("fusion/0"), {}
    for stops in (1, 2, 3):
        under, over = of(f"stops/{-stops}"), of(f"stops/{stops}")
        figures[f"beats_{stops}"] = _share((middle > under) & (middle > over))
        if stops == 2:
            figures["under_2"], figures["over_2"] = _share(middle > under), _share(middle > over)
            figures["fusion_2"] = _share((fused > under) & (fused > over))
    return figures


def _share(found: Sequence[bool] | np.ndarray) -> float:
    return float(np.mean(found)) if len(found) else float("nan")


def _rank(first: Array, second: Array) -> float:
    """The rank correlation; 0 of what is all alike."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(spearmanr(first, second)[0])
