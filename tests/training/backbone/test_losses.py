"""What the training minimises, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from iqcli.training.backbone.losses import (
    CLEAR,
    doubt_loss,
    group_loss,
    opinion_loss,
    order_losses,
    pairs_loss,
)


def test_opinion_loss_by_hand() -> None:
    """Huber 1/2 * 1^2 beyond nothing; two pairs, in order, one of them by too little."""
    opinions = torch.tensor([2.0, 4.0])
    assert opinion_loss(opinions, opinions) == pytest.approx(0, abs=1e-4)
    # error 0.5 each -> Huber 0.125; correlation 1; the pair is 2 apart
    assert opinion_loss(opinions + 0.5, opinions) == pytest.approx(0.125, abs=1e-4)
    # error 3 and 3 -> Huber 2.5; correlation -1 -> 2; the lead is -4 -> 4.5
    turned = torch.tensor([5.0, 1.0])
    assert opinion_loss(turned, opinions) == pytest.approx(2.5 + 2 + 4.5, abs=1e-3)
    # a pair closer than CLEAR asks for nothing: error 0.2 and 0.2 -> 0.02, correlation -1 -> 2,
    # as far as the deviations of 0.1 stand out of the guard of 1e-4
    near = torch.tensor([3.0, 3.0 + 0.4 * CLEAR])
    guarded = 1 + 0.01 / (0.01**2 + 1e-4) ** 0.5
    assert opinion_loss(near.flip(0), near) == pytest.approx(0.02 + guarded, abs=1e-3)


def test_opinion_loss_of_scores_without_an_order_can_be_learnt_from() -> None:
    for wanted in (torch.tensor([2.0, 7.0, 9.0]), torch.full((3,), 4.0), torch.tensor([5.0])):
        scores = torch.full_like(wanted, 5.5, requires_grad=True)
        loss = opinion_loss(scores, wanted)
        loss.backward()
        assert torch.isfinite(loss) and torch.isfinite(scores.grad).all()


def test_a_lead_that_is_large_enough_costs_nothing() -> None:
    margins = torch.tensor([[[np.nan, 1.0], [np.nan, np.nan]]])
    slacks = torch.tensor([[[np.nan, 3.0], [np.nan, np.nan]]])
    for scores, wanted in (([5.0, 3.5], (0, 0)), ([5.0, 4.5], (0.5, 0)), ([9.0, 4.5], (0, 1.5))):
        order, apart = group_loss(torch.tensor([scores]), margins, slacks)
        assert (float(order), float(apart)) == wanted


def test_the_order_of_each_kind_is_that_of_its_groups_alone() -> None:
    margins = torch.tensor([[[np.nan, 1.0], [np.nan, np.nan]]]).repeat(3, 1, 1)
    scores = torch.tensor([[5.0, 4.5], [5.0, 6.0], [5.0, 3.0]])
    found = order_losses(scores, margins, ["haze", "over", "haze"])
    assert found == {"haze": 0.25, "over": 2.0}


def test_the_better_of_two_photos_must_lead_by_half_the_gap() -> None:
    better, worse = torch.tensor([6.0, 6.0, 9.0]), torch.tensor([5.0, 5.0, 3.0])
    # due 0.5, 1 (a gap counts up to 2), 1; given 1, 1, 6
    assert pairs_loss(better, worse, torch.tensor([1.0, 4.0, 2.0])) == 0
    assert pairs_loss(worse, better, torch.tensor([1.0, 4.0, 2.0])) == pytest.approx(10.5 / 3)
    none = torch.zeros(0)
    assert pairs_loss(none, none, none) == 0


def test_doubt_does_not_move_scores_and_is_least_at_the_error() -> None:
    scores = torch.tensor([4.0, 5.0], requires_grad=True)
    opinions = torch.tensor([6.0, 7.0])
    doubts = torch.full((2,), math.log(2.0), requires_grad=True)
    doubt_loss(scores, doubts, opinions).backward()
    assert scores.grad is None
    assert doubts.grad is not None and doubts.grad.abs().max() < 1e-6
