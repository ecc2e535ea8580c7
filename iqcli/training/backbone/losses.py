"""What the backbone is told is wrong with its scores, in points of 1..10."""

from __future__ import annotations

import torch
from torch.nn import functional

# Pairs that people told apart by less than this need not be told apart.
CLEAR = 0.5


def opinion_loss(scores: torch.Tensor, opinions: torch.Tensor) -> torch.Tensor:
    """(n,) scores against (n,) opinions: Huber error, missing correlation, pairs out of order."""
    error = functional.huber_loss(scores, opinions)
    centred, wanted = scores - scores.mean(), opinions - opinions.mean()
    together = (centred * wanted).mean()
    correlation = together / (centred.square().mean() * wanted.square().mean() + 1e-4).sqrt()
    return error + (1 - correlation) + _pair_loss(scores, opinions)


def _pair_loss(scores: torch.Tensor, opinions: torch.Tensor) -> torch.Tensor:
    gap = opinions[:, None] - opinions
    lead = scores[:, None] - scores
    clear = gap > CLEAR
    missing = functional.relu(CLEAR - lead) * clear
    return missing.sum() / clear.sum().clamp(min=1)


def ladder_loss(scores: torch.Tensor, levels: torch.Tensor, costs: torch.Tensor) -> torch.Tensor:
    """Ladders (n, rungs) of scores: each rung must lose its cost against every one above it.

    The margin ranking of QualiCLIP with margins in proportion to the difference of `levels`
    (n, rungs) times `costs` (n,), in points a level.
    """
    first, second = torch.triu_indices(levels.shape[1], levels.shape[1], 1)
    due = (levels[:, second] - levels[:, first]) * costs[:, None]
    return functional.relu(due - (scores[:, first] - scores[:, second])).mean()


def consistency_loss(first: torch.Tensor, second: torch.Tensor, slack: float) -> torch.Tensor:
    """Two views of one picture may differ by `slack` points."""
    return functional.relu((first - second).abs() - slack).mean()
