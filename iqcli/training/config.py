"""All that can be set about the training of a backbone, and how a person sets it.

All that can be set about the training of a QualiCLIP; the standard depends on the start.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, TypeVar

from iqcli.errors import IqError
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from _typeshed import DataclassInstance

C = TypeVar("C", bound="DataclassInstance")

BACKBONE_LEAST = {
    "steps": 1,
    "photos": 1,
    "ladders": 1,
    "rungs": 2,
    "chunk": 1,
    "save_every": 1,
    "watch_every": 1,
    "watched_photos": 2,
}
LARGEST = 10**9


@dataclass(frozen=True)
class BackboneConfig:
    """All there is to set. Rates are those of AdamW; `slack` is in points."""

    seed: int = 2021
    steps: int = 4000
    photos: int = 24
    ladders: int = 5
    rungs: int = 4
    heads_alone: int = 150
    ramp: int = 100
    body_rate: float = 1.5e-4
    head_rate: float = 1e-3
    weight_decay: float = 0.02
    average: float = 0.998
    ladder_weight: float = 0.8
    view_weight: float = 0.5
    consistency_weight: float = 0.1
    slack: float = 1.0
    chunk: int = 8
    save_every: int = 100
    watch_every: int = 400
    watched_photos: int = 900
    loaders: int = 2


def read_config(file: Path | None) -> BackboneConfig:
    """What a TOML file sets for a backbone; see `read_values`."""
    return read_values(file, BackboneConfig(), BACKBONE_LEAST)


def read_values(file: Path | None, standard: C, least: Mapping[str, int]) -> C:
    """The `standard` values, with those of a TOML file in their place.

    `least` is what some may not fall below, the others 0. Raises IqError for a file that cannot be
    read, a name there is not, and a value of another kind or out of range.
    """
    if file is None:
        return standard
    try:
        told = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise IqError(f"cannot read {display_path(file)}: {error}; give a TOML file") from error
    kinds = {each.name: type(getattr(standard, each.name)) for each in fields(standard)}
    for name, value in told.items():
        if name not in kinds:
            raise IqError(f"{display_path(file)} sets {name!r}; there is {', '.join(kinds)}")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or (kinds[name] is int and not isinstance(value, int)):
            kind = "a whole number" if kinds[name] is int else "a number"
            raise IqError(f"{display_path(file)} sets {name} to {value!r}; give {kind}")
        low, most = least.get(name, 0), 1 if name == "average" else LARGEST
        if not low <= value <= most:
            raise IqError(f"{display_path(file)} sets {name} to {value!r}; give {low} to {most}")
    return replace(standard, **{name: kinds[name](value) for name, value in told.items()})


@dataclass(frozen=True)
class QualiclipConfig:
    """All there is to set; this is the standard for a tower that has learnt already.

    `photos` a step, of which `chunk` are computed at once; `side` of a crop in pixels of the head
    view; up to `composed` distortions at once. `rate` and `weight_decay` are those of AdamW, the
    rate rises over `ramp` steps and falls along half a cosine. `slack` and `margin` are the paper's
    m_c and m_r, in units of a cosine. `average` is the part of the moving average that stays at
    each step. `watched` held-out photos are looked at when all is done.

    The paper's rate is told to be 1e-9, over 87,500 steps. The standard here goes as far in 2,000
    steps: a rate so small would also be lost in the rounding of float32.
    """

    seed: int = 2021
    steps: int = 2000
    photos: int = 16
    chunk: int = 2
    side: int = 224
    composed: int = 1
    rate: float = 9e-8
    ramp: int = 50
    weight_decay: float = 0.01
    slack: float = 2.5e-3
    margin: float = 6.75e-2
    consistency_weight: float = 1.0
    positive_weight: float = 1.0
    negative_weight: float = 1.0
    average: float = 0.0
    save_every: int = 100
    watch_every: int = 100
    watched: int = 12
    loaders: int = 1


# A tower that begins with nothing: it learns at a rate that would ruin a CLIP.
QUALICLIP_TINY = QualiclipConfig(
    steps=1200, photos=6, chunk=6, side=96, rate=2e-3, average=0.98, composed=1
)
QUALICLIP_LEAST = {
    "steps": 1,
    "photos": 1,
    "chunk": 1,
    "side": 32,
    "composed": 1,
    "save_every": 1,
    "watch_every": 1,
    "watched": 1,
}
