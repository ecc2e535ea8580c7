"""Monitor the training of a backbone on photos and ladders that it does not learn from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.stats import spearmanr

from iqcli.distortions.bank import DISTORTIONS, LEVELS
from iqcli.extractors.base import autocast_type
from iqcli.extractors.mini_crops import GRID, mosaic, whole
from iqcli.extractors.schema import KINDS
from iqcli.training.backbone.data import head_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from iqcli.extractors.backbone import Backbone
    from iqcli.records import Array, Pixels


MIDDLE = np.full((GRID, GRID, 2), 0.5, np.float32)
CHUNK = 64


@dataclass(frozen=True)
class MonitorFigures:
    """Rank correlations with people, and with the level of each distortion (median over pictures):
    the median over distortions, and the lowest."""

    srcc: float
    ladders: float
    worst: float
    worst_name: str

    def numbers(self) -> dict[str, float]:
        """A line of the curve."""
        return {name: value for name, value in asdict(self).items() if isinstance(value, float)}


@dataclass(frozen=True)
class MonitorSet:
    """Photos, their (n,) opinions in 1..10, and pictures to distort."""

    photos: Sequence[Path]
    opinions: Array
    pristine: Sequence[Path]


@torch.inference_mode()
def evaluate(network: Backbone, monitor_set: MonitorSet, device: str) -> MonitorFigures:
    """Score all of it with the middle mosaic, as the block `mini` does."""
    network.eval()

    def scores(heads: Iterator[Pixels]) -> Array:
        views = np.stack([np.stack([whole(head), mosaic(head, MIDDLE)]) for head in heads])
        logits = logits_of(network, views, 8, device).mean(dim=1)
        return np.asarray(points(logits).cpu(), np.float32)

    predicted = np.concatenate(
        [
            scores(head_of(path) for path in monitor_set.photos[k : k + CHUNK])
            for k in range(0, len(monitor_set.photos), CHUNK)
        ]
    )
    correlations: dict[str, list[float]] = {name: [] for name in DISTORTIONS}
    for seed, path in enumerate(monitor_set.pristine):
        head = head_of(path)
        for name, distort in DISTORTIONS.items():
            ladder = scores(distort(head, level, seed) for level in range(LEVELS + 1))
            correlations[name].append(float(spearmanr(-ladder, range(LEVELS + 1))[0]))
    medians = {name: float(np.median(found)) for name, found in correlations.items()}
    worst = min(medians, key=lambda name: medians[name])
    return MonitorFigures(
        srcc=float(spearmanr(predicted, monitor_set.opinions)[0]),
        ladders=float(np.median([each for found in correlations.values() for each in found])),
        worst=medians[worst],
        worst_name=worst,
    )


def logits_of(network: Backbone, views: Pixels, chunk: int, device: str) -> torch.Tensor:
    """(n, kind, side, side, 3) views to (n, kind) logits; small chunks stay in the caches."""
    kind = autocast_type(device)
    columns = []
    with torch.autocast(device, kind or torch.bfloat16, enabled=kind is not None):
        for k, name in enumerate(KINDS):
            plane = torch.from_numpy(np.ascontiguousarray(views[:, k]))
            parts = [network(part.to(device), name)[1].float() for part in plane.split(chunk)]
            columns.append(torch.cat(parts))
    return torch.stack(columns, dim=1)


def points(logits: torch.Tensor) -> torch.Tensor:
    """Logits to scores 1..10."""
    return 1 + 9 * torch.sigmoid(logits)
