"""Texts for people that need no photo."""

from __future__ import annotations

import pytest

from iqcli.models.registry import NAMES
from iqcli.settings import NAMES as SETTINGS
from iqcli.text import first_few, meant


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("fusion-mnii", "fusion-mini"),
        ("FUSION-MINI", "fusion-mini"),
        ("clip-iqa", "clipiqa"),
        ("musiq_ava", "musiq-ava"),
        ("xyz", None),
        ("", None),
        ("fusion.safetensors", None),
    ],
)
def test_a_mistyped_model_is_known(word: str, name: str | None) -> None:
    assert meant(word, NAMES) == (f" (did you mean {name}?)" if name else "")


def test_settings_are_near_to_themselves_alone() -> None:
    for name in SETTINGS:
        assert meant(f"{name}x", SETTINGS) == f" (did you mean {name}?)"


def test_of_many_texts_the_first_few_are_named_and_the_others_counted() -> None:
    assert first_few([]) == ""
    assert first_few(["a", "b", "c"]) == "a, b, c"
    assert first_few(["a", "b", "c", "d"], separator="; ") == "a; b; c and 1 more"
    assert first_few(["a"] * 1235, 1) == "a and 1,234 more"
