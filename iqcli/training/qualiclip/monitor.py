"""Monitor a QualiCLIP: how well it orders distorted copies of photos that are held out.

A ladder is a photo and its copies at levels 1..5 of one distortion, each seen as the block sees a
photo. Two rank correlations of quality and level: of each ladder by itself, its median over photos
and distortions; and pooled, over all copies of all photos at once, which also asks that the same
level of different distortions and photos be worth the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from scipy.stats import spearmanr

from iqcli.extractors.clip import CHUNK, STRIDE, enlarge_to, normalise, share_of_good
from iqcli.extractors.clip_model import embed_whole
from iqcli.training.qualiclip.data import GROUPS, head_of, ladder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import open_clip
    from numpy.typing import NDArray

    from iqcli.records import Array, Pixels


class RankCorrelations(NamedTuple):
    """Rank correlations of -level and quality: the median ladder's, and the pooled one."""

    median: float
    pooled: float


def rank_correlations_by_group(
    clip: open_clip.CLIP, texts: torch.Tensor, photos: Sequence[Path], device: str
) -> dict[str, RankCorrelations]:
    """By group of `GROUPS`, and of all as `all`."""
    found = {group: qualities(clip, texts, photos, group, device) for group in GROUPS}
    found["all"] = np.concatenate(list(found.values()))
    return {group: rank_correlations(rows) for group, rows in found.items()}


def qualities(
    clip: open_clip.CLIP, texts: torch.Tensor, photos: Sequence[Path], group: str, device: str
) -> Array:
    """(photos x distortions of the group, LEVELS + 1) qualities of each ladder, level 0 first."""
    rows = []
    for seed, path in enumerate(photos):
        head = enlarge_to(head_of(path), STRIDE)
        for name in GROUPS[group]:
            copies = np.concatenate([head[None], ladder(head, [name], seed)])
            rows.append(share_of_good(embed(clip, copies, device), texts.cpu().numpy()))
    return np.stack(rows)


@torch.inference_mode()
def embed(clip: open_clip.CLIP, pictures: Pixels, device: str) -> Array:
    """(n, h, w, 3) pictures to (n, size) embeddings, as the block `qualiclip` gives them."""
    parts = [
        embed_whole(clip, normalise(pictures[k : k + CHUNK], device)).float().cpu()
        for k in range(0, len(pictures), CHUNK)
    ]
    return torch.cat(parts).numpy()


def rank_correlations(rows: Array) -> RankCorrelations:
    """The two correlations of (ladders, levels) qualities; a ladder without any order counts 0."""
    levels = np.arange(rows.shape[1])
    each = [_rank(row, levels) for row in rows]
    return RankCorrelations(float(np.median(each)), _rank(rows.ravel(), np.tile(levels, len(rows))))


def _rank(qualities: Array, levels: NDArray[np.int64]) -> float:
    return float(spearmanr(qualities, -levels)[0]) if np.ptp(qualities) > 0 else 0.0
