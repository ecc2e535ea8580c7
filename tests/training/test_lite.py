"""The parts of the long training: the quick gradient, the views, groups, losses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from iqcli.extractors import mini_crops
from iqcli.training.lite.depthwise import depthwise
from iqcli.training.lite.groups import COUNT, draw_group
from iqcli.training.lite.losses import doubt_loss, group_loss
from iqcli.training.lite.network import LITE0, Judge, Trunk
from iqcli.training.lite.views import CENTRED, views_of


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_quick_gradient_is_the_gradient(kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    pad = kernel // 2 if stride == 1 else 0
    side = 14 if stride == 1 else 14 + kernel - 2
    given = [torch.randn(2, 6, side, side), torch.randn(6, 1, kernel, kernel), torch.randn(6)]
    found = []
    for convolve in (
        lambda x, w, b: functional.conv2d(x, w, b, stride, pad, groups=6),
        lambda x, w, b: depthwise(x, w, b, stride, pad),
    ):
        inputs = [each.clone().requires_grad_() for each in given]
        out = convolve(*inputs)
        slope = torch.linspace(-1, 1, out.numel()).view_as(out)
        found.append([out, *torch.autograd.grad(out, inputs, slope)])
    for wanted, got in zip(*found, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


def test_views_are_those_of_the_block_mini() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (512, 640, 3), np.uint8)
    whole, mosaic = views_of(picture, CENTRED, mini_crops.SIDE)
    places = np.full((mini_crops.GRID, mini_crops.GRID, 2), 0.5, np.float32)
    assert np.array_equal(whole, mini_crops.whole(picture))
    assert np.array_equal(mosaic, mini_crops.mosaic(picture, places))


def test_groups_demand_no_more_than_they_allow() -> None:
    random = np.random.default_rng(2)
    picture = random.integers(60, 190, (160, 200, 3), np.uint8)
    kinds = set()
    for _ in range(60):
        group = draw_group(lambda: picture, 32, random)
        kinds.add(group.kind)
        assert group.views.shape == (COUNT, 2, 32, 32, 3)
        both = np.isfinite(group.margins) & np.isfinite(group.slacks)
        assert (group.margins[both] < group.slacks[both]).all()
        assert not (np.isfinite(group.margins) & np.isfinite(group.margins.T)).any()
    assert {"bracket", "under", "over"} <= kinds


def test_a_lead_that_is_large_enough_costs_nothing() -> None:
    margins = torch.tensor([[[np.nan, 1.0], [np.nan, np.nan]]])
    slacks = torch.tensor([[[np.nan, 3.0], [np.nan, np.nan]]])
    order, apart = group_loss(torch.tensor([[5.0, 3.5]]), margins, slacks)
    assert (float(order), float(apart)) == (0, 0)
    order, apart = group_loss(torch.tensor([[5.0, 4.5]]), margins, slacks)
    assert (float(order), float(apart)) == (0.5, 0)
    order, apart = group_loss(torch.tensor([[9.0, 4.5]]), margins, slacks)
    assert (float(order), float(apart)) == (0, 1.5)


def test_doubt_does_not_move_scores() -> None:
    scores = torch.tensor([4.0, 5.0], requires_grad=True)
    doubts = torch.zeros(2, requires_grad=True)
    doubt_loss(scores, doubts, torch.tensor([5.0, 5.0])).backward()
    assert scores.grad is None
    assert doubts.grad is not None


def test_the_mosaic_does_not_reach_the_last_stages() -> None:
    torch.manual_seed(0)
    network = Judge(Trunk(LITE0, cut=1)).eval()
    for each in network.trunk.convolutions():
        torch.nn.init.normal_(each.weight, std=0.1)
    views = torch.randint(0, 256, (2, 2, 64, 64, 3), dtype=torch.uint8)
    whole, parts = network.trunk(views)
    assert (whole.shape[1], parts.shape[1]) == network.trunk.taps
    changed = views.clone()
    changed[:, 1] = 255 - changed[:, 1]
    assert torch.equal(network.trunk(changed)[0], whole)
    assert network(views)[0].shape == (2, 3)
