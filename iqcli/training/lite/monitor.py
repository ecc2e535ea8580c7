"""Figures of a network on photos, ladders and exposure series that it does not learn from.

The views of all of them are made once and kept on disk.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.stats import spearmanr

from iqcli.distortions.bank import DISTORTIONS, LEVELS
from iqcli.distortions.exposure import Response, expose, fuse, is_well_exposed
from iqcli.extractors.base import autocast_type
from iqcli.training.lite.network import points
from iqcli.training.lite.views import CENTRED, views_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from iqcli.records import Array, Pixels
    from iqcli.training.lite.network import Judge
    from iqcli.training.lite.sources import Sources

# The ladders that issue 14 names, on all pictures; the others on every eighth.
TONE = ("brighten", "darken", "mean_shift", "contrast")
SPARSE = 8
STOPS = (-3, -2, -1, 0, 1, 2, 3)
CHUNK = 4
WORKERS = 2
# Photos that are scored in float32 as well.
COMPARED = 48


@dataclass(frozen=True)
class MonitorBank:
    """Views (n, 2, side, side, 3) of distorted copies, and which copy each is."""

    views: Pixels
    names: Sequence[str]

    @classmethod
    def open(cls, folder: Path, sources: Sources, side: int) -> MonitorBank:
        """From the disk; made first where it is not there."""
        if not (folder / "names.json").exists():
            folder.mkdir(parents=True, exist_ok=True)
            _make(folder, sources.watched(), side)
        names = json.loads((folder / "names.json").read_text())
        return cls(np.load(folder / "views.npy", mmap_mode="r"), names)


def _make(folder: Path, pictures: Sequence[Pixels], side: int) -> None:
    found = [
        (name, views_of(version, CENTRED, side))
        for k, picture in enumerate(pictures)
        for name, version in _versions(k, picture)
    ]
    np.save(folder / "views.part.npy", np.stack([views for _, views in found]))
    (folder / "views.part.npy").replace(folder / "views.npy")
    (folder / "names.json").write_text(json.dumps([name for name, _ in found]))


def _versions(k: int, picture: Pixels) -> Iterator[tuple[str, Pixels]]:
    yield f"{k}/untouched/0", picture
    for name, distort in DISTORTIONS.items():
        if name in TONE or k % SPARSE == 0:
            for level in range(1, LEVELS + 1):
                yield f"{k}/{name}/{level}", distort(picture, level, k)
    if not is_well_exposed(picture):
        return
    random, plain = np.random.default_rng(k), Response()
    series = {stops: expose(picture, stops, plain, random) for stops in STOPS}
    for stops, version in series.items():
        if stops:
            yield f"{k}/stops/{stops}", version
    yield f"{k}/fusion/0", fuse([series[-2], series[0], series[2]])


def score_views(
    network: Judge, views: Pixels, *, short: bool = True, long_start: bool = True
) -> tuple[Array, Array]:
    """(n, 2, side, side, 3) views to (n,) scores and (n,) deviations."""
    kind = autocast_type("cpu") if short else None

    def score(start: int) -> tuple[torch.Tensor, torch.Tensor]:
        part = torch.from_numpy(np.ascontiguousarray(views[start : start + CHUNK]))
        enabled = kind is not None
        with torch.inference_mode(), torch.autocast("cpu", kind or torch.bfloat16, enabled=enabled):
            logits, doubt = network(part, long_start)
            return points(logits[:, 0]), doubt.exp()

    with ThreadPoolExecutor(WORKERS) as pool:
        found = list(pool.map(score, range(0, len(views), CHUNK)))
    scores, doubts = (torch.cat([each[k] for each in found]) for k in range(2))
    return np.asarray(scores), np.asarray(doubts)


def evaluate(
    network: Judge, sources: Sources, bank: MonitorBank, side: int
) -> tuple[dict[str, float], Array]:
    """The figures of a network; and the scores of the held-out photos, for the averages of runs."""
    network.eval()
    rows = np.flatnonzero(sources.held_out)
    scores, doubts = [], []
    for k in range(0, len(rows), 64):
        views = np.stack(
            [views_of(sources.photos.views[r], CENTRED, side) for r in rows[k : k + 64]]
        )
        found = score_views(network, views)
        scores.append(found[0])
        doubts.append(found[1])
        if k == 0:
            exact, _ = score_views(network, views[:COMPARED], short=False)
            moved = np.abs(score_views(network, views[:COMPARED], long_start=False)[0] - exact)
            mixed = np.abs(found[0][:COMPARED] - exact)
    score, doubt = np.concatenate(scores), np.concatenate(doubts)
    figures = _opinion_figures(score, doubt, sources, rows)
    figures |= _copy_figures(
        dict(zip(bank.names, score_views(network, bank.views)[0].tolist(), strict=True))
    )
    figures |= {
        "bf16_mean": float(moved.mean()),
        "bf16_max": float(moved.max()),
        "mixed_max": float(mixed.max()),
    }
    return figures, score


def _opinion_figures(
    score: Array, doubt: Array, sources: Sources, rows: np.ndarray
) -> dict[str, float]:
    wanted = sources.opinions[rows]
    figures = {"srcc": _rank(score, wanted)}
    subsets = np.array(sources.subsets)[rows]
    for name in ("ss01", "ss02", "ss03"):
        figures[name] = _rank(score[subsets == name], wanted[subsets == name])
    figures["rmse"] = float(np.sqrt(np.square(score - wanted).mean()))
    figures["bias"] = float((score - wanted).mean())
    figures["doubt"] = _rank(doubt, np.abs(score - wanted))
    scenes = np.array(sources.scenes)[rows]
    same = (scenes[:, None] == scenes) & (wanted[:, None] - wanted >= 0.9)
    first, second = np.nonzero(same)
    figures["mates"] = float((score[first] > score[second]).mean()) if len(first) else float("nan")
    return figures


def _copy_figures(scores: Mapping[str, float]) -> dict[str, float]:
    pictures = sorted({int(name.split("/")[0]) for name in scores})
    figures, medians, wins = {}, {}, []
    for name in DISTORTIONS:
        ladders = [
            [scores[f"{k}/untouched/0"], *(scores[f"{k}/{name}/{n}"] for n in range(1, LEVELS + 1))]
            for k in pictures
            if f"{k}/{name}/1" in scores
        ]
        ranks = [
            -_rank(np.array(each), np.arange(LEVELS + 1.0, dtype=np.float32)) for each in ladders
        ]
        won = [each[0] > each[3] for each in ladders]
        medians[name] = float(np.median(ranks))
        if name in TONE:
            figures[f"{name}_rank"], figures[f"{name}_wins"] = medians[name], float(np.mean(won))
        else:
            wins += won
    figures["ladders"] = float(np.median(list(medians.values())))
    figures["ladders_least"] = min(medians.values())
    figures["ladder_wins"] = float(np.mean(wins))
    series = [k for k in pictures if f"{k}/fusion/0" in scores]
    middle = np.array([scores[f"{k}/untouched/0"] for k in series])
    for stops in (1, 2, 3):
        ends = [np.array([scores[f"{k}/stops/{s * stops}"] for k in series]) for s in (-1, 1)]
        figures[f"beats_{stops}"] = float(((middle > ends[0]) & (middle > ends[1])).mean())
        fused = np.array([scores[f"{k}/fusion/0"] for k in series])
        if stops == 2:
            figures["under_2"], figures["over_2"] = (float((middle > e).mean()) for e in ends)
            figures["fusion_2"] = float(((fused > ends[0]) & (fused > ends[1])).mean())
            figures["fusion_lead"] = float((fused - middle).mean())
    return figures


def _rank(first: Array, second: Array) -> float:
    return float(spearmanr(first, second)[0])
