"""What QualiCLIP is told is wrong with its cosines (Agnolucci et al. 2024, arXiv 2403.11176).

Of every photo there are two crops, each at rising levels of the same distortion. The cosines with a
good and with a bad text shall be alike for the two crops of a level; the one shall fall and the
other rise with the level. Means over all pairs stand where the paper's sums depend on their number.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional


class Losses(NamedTuple):
    """The three parts, each a number of at least 0 in units of a cosine."""

    consistency: torch.Tensor
    positive: torch.Tensor
    negative: torch.Tensor


def losses(toward: torch.Tensor, away: torch.Tensor, slack: float, margin: float) -> Losses:
    """The parts for cosines (photos, crops, levels, texts) with the good and with the bad texts.

    Levels only get worse. `slack` is what the two crops may differ by, m_c; `margin` is by how much
    each level must lose against every better one, m_r.
    """
    return Losses(
        _apart(toward, slack) + _apart(away, slack),
        _out_of_order(toward, margin),
        _out_of_order(-away, margin),
    )


def _apart(cosines: torch.Tensor, slack: float) -> torch.Tensor:
    """Mean over photos, levels and texts of what the crops differ by beyond `slack`."""
    return functional.relu((cosines[:, 0] - cosines[:, 1]).abs() - slack).mean()


def _out_of_order(falling: torch.Tensor, margin: float) -> torch.Tensor:
    """Mean over photos, crops, texts and pairs of levels i < j of max(0, s_j - s_i + margin)."""
    levels = falling.shape[2]
    better, worse = torch.triu_indices(levels, levels, 1)
    return functional.relu(falling[:, :, worse] - falling[:, :, better] + margin).mean()
