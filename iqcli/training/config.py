"""Settings of the trainings that take hours, and how a TOML file changes them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, TypeVar

from iqcli.errors import IqError
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

C = TypeVar("C", bound="TrainConfig")

LARGEST = 10**9
# The lowest value of settings that may not be 0.
LEAST = {"steps": 1, "photos": 1, "chunk": 1, "save_every": 1, "watch_every": 1}
BACKBONE_LEAST = {**LEAST, "groups": 1, "ramp": 1, "fall": 1, "short_every": 1}
BACKBONE_LEAST |= {"shards": 1, "shard": 1, "refresh": 1}
QUALICLIP_LEAST = {**LEAST, "side": 32, "composed": 1, "watched": 1}
# Settings of a backbone that may change while a run goes on.
BACKBONE_FREE = ("steps", "fall", "chunk", "workers", "save_every", "watch_every")


@dataclass(frozen=True)
class TrainConfig:
    """What the training loop itself needs.

    `photos` a step; `chunk` pictures are computed at once. Rates are those of AdamW: they rise over
    `ramp` steps. `average` is the part of the moving average of the weights that stays at each
    step. The state is saved every `save_every` steps, a line of the curve written every
    `watch_every`.
    """

    seed: int = 2021
    steps: int = 4000
    photos: int = 24
    chunk: int = 8
    ramp: int = 100
    weight_decay: float = 0.02
    average: float = 0.998
    save_every: int = 100
    watch_every: int = 400


@dataclass(frozen=True)
class BackboneConfig(TrainConfig):
    """Settings of a backbone.

    Each step sees `photos` with opinions, `pairs` of photos of one scene, and `groups` of four
    versions of a good picture. For `heads_alone` steps the trunk does not learn. The rates are
    constant until the last `fall` steps, in which they go along half a cosine to nothing: the end
    may be put off or brought forward while a run goes on. Every `short_every` steps the scores of
    some pictures in bfloat16 are compared with those in float32. `shards` of `shard` groups lie on
    disk, one of which is made anew every `refresh` steps. `workers` is the number of threads, 0 for
    one a core.
    """

    steps: int = 9000
    photos: int = 18
    chunk: int = 4
    ramp: int = 150
    average: float = 0.9985
    save_every: int = 30
    watch_every: int = 500
    pairs: int = 1
    groups: int = 6
    workers: int = 0
    heads_alone: int = 100
    fall: int = 2500
    body_rate: float = 1e-4
    head_rate: float = 6e-4
    view_weight: float = 0.5
    order_weight: float = 0.8
    apart_weight: float = 0.3
    pairs_weight: float = 0.3
    doubt_weight: float = 0.1
    short_weight: float = 1.0
    short_every: int = 4
    shards: int = 48
    shard: int = 64
    refresh: int = 40


@dataclass(frozen=True)
class QualiclipConfig(TrainConfig):
    """Settings of a QualiCLIP; the values are for an image tower that is already trained.

    `side` of a crop in pixels of the scoring view; up to `composed` distortions at once. Rates fall
    along half a cosine. `slack` and `margin` are the paper's m_c and m_r, in units of a cosine.
    `loaders` threads make the crops. `watched` held-out photos are evaluated at the end.

    The paper's rate is 1e-9, over 87,500 steps. The value here goes as far in 2,000 steps: a rate
    so small would also be lost in the rounding of float32.
    """

    steps: int = 2000
    photos: int = 16
    chunk: int = 2
    ramp: int = 50
    weight_decay: float = 0.01
    average: float = 0.0
    slack: float = 2.5e-3
    consistency_weight: float = 1.0
    watch_every: int = 100
    loaders: int = 1
    side: int = 224
    composed: int = 1
    rate: float = 9e-8
    margin: float = 6.75e-2
    positive_weight: float = 1.0
    negative_weight: float = 1.0
    watched: int = 12


# For a randomly drawn tower: its rate would ruin a trained CLIP.
QUALICLIP_TINY = QualiclipConfig(
    steps=1200, photos=6, chunk=6, side=96, rate=2e-3, average=0.98, composed=1
)


def read_config(file: Path | None, standard: C, least: Mapping[str, int]) -> C:
    """The `standard` values, replaced by those that a TOML file sets.

    `least` are lower limits; without one the limit is 0. Raises IqError for a file that cannot be
    read, an unknown name, and a value of another type or out of range.
    """
    if file is None:
        return standard
    try:
        values = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise IqError(f"cannot read {display_path(file)}: {error}; give a TOML file") from error
    kinds = {each.name: type(getattr(standard, each.name)) for each in fields(standard)}
    for name, value in values.items():
        if name not in kinds:
            raise IqError(f"{display_path(file)} sets {name!r}; there is {', '.join(kinds)}")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or (kinds[name] is int and not isinstance(value, int)):
            kind = "a whole number" if kinds[name] is int else "a number"
            raise IqError(f"{display_path(file)} sets {name} to {value!r}; give {kind}")
        low, most = least.get(name, 0), 1 if name == "average" else LARGEST
        if not low <= value <= most:
            raise IqError(f"{display_path(file)} sets {name} to {value!r}; give {low} to {most}")
    return replace(standard, **{name: kinds[name](value) for name, value in values.items()})
