"""Settings of long trainings, and the TOML files that change them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from iqcli.errors import IqError
from iqcli.training.config import BACKBONE_FREE, BACKBONE_LEAST, BackboneConfig, read_config

if TYPE_CHECKING:
    from pathlib import Path


def read_backbone_config(file: Path | None) -> BackboneConfig:
    return read_config(file, BackboneConfig(), BACKBONE_LEAST)


def config_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return path


def test_a_config_stands_in_for_the_standard(tmp_path: Path) -> None:
    assert read_backbone_config(None) == BackboneConfig()
    found = read_backbone_config(config_file(tmp_path, "steps = 7\nbody_rate = 1\n"))
    assert found == replace(BackboneConfig(), steps=7, body_rate=1.0)
    assert type(found.body_rate) is float


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepps = 7", "sets 'stepps'; there is seed, steps, photos"),
        ("[steps]\nx = 1", "sets steps to {'x': 1}; give a whole number"),
        ("steps = 7.0", "sets steps to 7.0; give a whole number"),
        ("steps = true", "sets steps to True; give a whole number"),
        ("body_rate = 'much'", "sets body_rate to 'much'; give a number"),
        ("photos = -1", "sets photos to -1; give 1 to"),
        ("head_rate = -0.1", "sets head_rate to -0.1; give 0 to"),
        ("body_rate = nan", "sets body_rate to nan; give 0 to"),
        ("body_rate = inf", "sets body_rate to inf; give 0 to"),
        ("average = 1.5", "sets average to 1.5; give 0 to 1"),
        ("steps = ", "cannot read"),
        ("\x00", "cannot read"),
    ],
)
def test_a_config_that_makes_no_sense_is_reported(tmp_path: Path, text: str, message: str) -> None:
    path = config_file(tmp_path, text)
    with pytest.raises(IqError) as caught:
        read_backbone_config(path)
    assert message in str(caught.value) and str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", BACKBONE_LEAST)
def test_counts_that_would_divide_by_nothing_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        IqError, match=f"sets {name} to {BACKBONE_LEAST[name] - 1}; give {BACKBONE_LEAST[name]} to"
    ):
        read_backbone_config(config_file(tmp_path, f"{name} = {BACKBONE_LEAST[name] - 1}"))


def test_a_config_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b"steps = 7 # \xe9")
    for name in ("absent.toml", "latin.toml", "."):
        with pytest.raises(IqError, match="cannot read"):
            read_backbone_config(tmp_path / name)


def test_what_may_change_in_a_run_is_a_setting() -> None:
    assert {*BACKBONE_FREE} < {*vars(BackboneConfig())}
