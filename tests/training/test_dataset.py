"""Which photos are held out, and when there are too few of them."""

from __future__ import annotations

import numpy as np
import pytest

from iqcli.errors import IqError
from iqcli.training.dataset import MEMBERS, holdout_mask, split_scenes

NAMES = [f"scene {k}" for k in range(60)]
OUT = [name for name, out in zip(NAMES, holdout_mask(NAMES), strict=True) if out]
IN = [name for name in NAMES if name not in OUT]


def test_five_photos_must_be_held_out() -> None:
    for held_out in (OUT[:5], OUT[:1] * 5):
        mask = split_scenes([*IN, *held_out], "scene")
        assert mask.tolist() == [False] * len(IN) + [True] * 5
    for held_out in (OUT[:4], []):
        with pytest.raises(IqError, match="too few scenes to hold some out"):
            split_scenes([*IN, *held_out], "scene")


def test_each_member_of_a_model_needs_a_scene_of_its_own() -> None:
    scenes = [*np.repeat(IN[: MEMBERS - 1], 30).tolist(), *OUT[:5]]
    with pytest.raises(IqError, match="'scene' names too few scenes; give at least 5"):
        split_scenes(scenes, "scene")
    assert split_scenes([*scenes, IN[MEMBERS]], "scene").sum() == 5


def test_what_is_held_out_never_changes() -> None:
    """Models name the figures of photos that no model of iq has learnt from."""
    assert OUT[:6] == ["scene 0", "scene 3", "scene 11", "scene 13", "scene 19", "scene 26"]
    assert holdout_mask(["", "été/ü.jpg", "1"]).tolist() == [True, True, False]
