"""What `hex-mini` is fitted on, and how its false alarms are set."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from iqcli.models.issues import graph
from iqcli.training import issues
from iqcli.training.issues import FALSE_ALARMS, MOST_SHIFT, IssueSamples

if TYPE_CHECKING:
    from iqcli.records import Pixels


@pytest.mark.parametrize(
    ("shape", "copies"), [((400, 512, 3), 5), ((90, 120, 3), 5), ((2048, 900, 3), 40)]
)
def test_a_larger_photo_has_more_copies(
    shape: tuple[int, int, int], copies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the power 1.5 of its long side beside one of 512 pixels."""
    labels = [each.name for each in graph().labels]
    made = SimpleNamespace(picture=np.ones((1, 1, 3), np.uint8), levels=dict.fromkeys(labels, 2))

    def measured(picture: Pixels) -> Any:
        return {name: np.array([picture.mean()]) for name in ("photometry", "tiles")}

    monkeypatch.setattr(issues, "distort", lambda picture, random: made)
    monkeypatch.setattr(issues, "_measured", measured)
    pictures = [("a.jpg", np.zeros(shape, np.uint8)), ("b.jpg", np.zeros((8, 8, 3), np.uint8))]
    found = issues.distort_and_measure(iter(pictures), graph())
    assert found is not None
    assert found.photos.tolist() == [0] * (1 + copies) + [1] * 6
    assert np.flatnonzero(found.good).tolist() == [0, 1 + copies]
    assert (found.levels == np.where(found.good, 1, 2)[:, None]).all()
    assert np.array_equal(found.blocks["tiles"][:, 0] == 0, found.good)


def test_few_good_photos_are_predicted_to_have_an_issue() -> None:
    odds = np.stack([np.linspace(-3, 3, 1001), np.linspace(-9, -5, 1001)], axis=1)
    head = SimpleNamespace(
        graph=SimpleNamespace(groups=[(0, 2), (1,)]),
        marginals=lambda blocks: 1 / (1 + np.exp(-odds)),
        tensors={"layer.0.bias": np.array([0.5, 0.25, 7.0])},
    )
    good = IssueSamples({}, np.ones((1001, 2)), np.arange(1001), np.ones(1001, bool))
    before = head.tensors["layer.0.bias"].copy()
    issues._calibrate_false_alarms(head, good)
    first, second, third = head.tensors["layer.0.bias"] - before
    assert (odds[:, 0] + first > 0).mean() == pytest.approx(FALSE_ALARMS, abs=0.002)
    assert (second, third) == (MOST_SHIFT, 0)
