"""What the training of the network minimises; all in points of 1..10."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

# Pairs of photos whose opinions differ by less than this need not be ordered.
CLEAR = 0.5


def opinion_loss(scores: torch.Tensor, opinions: torch.Tensor) -> torch.Tensor:
    """(n,) scores against (n,) opinions: Huber error, missing correlation, pairs out of order."""
    error = functional.huber_loss(scores, opinions)
    centred, wanted = scores - scores.mean(), opinions - opinions.mean()
    together = (centred * wanted).mean()
    correlation = together / (centred.square().mean() * wanted.square().mean() + 1e-4).sqrt()
    gap, lead = opinions[:, None] - opinions, scores[:, None] - scores
    clear = gap > CLEAR
    missing = functional.relu(CLEAR - lead) * clear
    return error + (1 - correlation) + missing.sum() / clear.sum().clamp(min=1)


def pairs_loss(better: torch.Tensor, worse: torch.Tensor, gaps: torch.Tensor) -> torch.Tensor:
    """Two photos of one scene, (n,) scores each: the better must lead by half of the gap."""
    missing = functional.relu(0.5 * gaps.clamp(max=2.0) - (better - worse))
    return missing.sum() / max(1, len(gaps))


def group_loss(
    scores: torch.Tensor, margins: torch.Tensor, slacks: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Groups (g, k) of scores; margins and slacks (g, k, k), NaN for no demand (see `Group`).

    Returns the points missing in leads, which is the margin ranking of QualiCLIP (Agnolucci et al.
    2024) with a margin a pair, and the points by which versions are too far apart.
    """
    lead = scores[:, :, None] - scores[:, None, :]
    return _missing(margins - lead, margins), _missing(lead.abs() - slacks, slacks)


def order_losses(
    scores: torch.Tensor, margins: torch.Tensor, kinds: Sequence[str]
) -> dict[str, float]:
    """The points missing in leads, as `group_loss` has them, of the groups of each kind alone."""
    lead = scores[:, :, None] - scores[:, None, :]
    found = {}
    for kind in dict.fromkeys(kinds):
        rows = torch.tensor([each == kind for each in kinds])
        found[kind] = float(_missing((margins - lead)[rows], margins[rows]).detach())
    return found


def doubt_loss(scores: torch.Tensor, doubts: torch.Tensor, opinions: torch.Tensor) -> torch.Tensor:
    """The negative log density of (n,) opinions, less a constant; scores are not moved by it."""
    error = (scores.detach() - opinions).square()
    return (0.5 * error * torch.exp(-2 * doubts) + doubts).mean()


def _missing(excess: torch.Tensor, demands: torch.Tensor) -> torch.Tensor:
    asked = torch.isfinite(demands)
    return functional.relu(torch.where(asked, excess, 0.0)).sum() / asked.sum().clamp(min=1)
