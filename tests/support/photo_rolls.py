"""Photo rolls without files: what a rule sees of photos, made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from iqcli.culling.rules import Quota, Rule
from iqcli.records import Facts, FrameDescriptor, FrameSet, Marks, Photo, Rating, Shot

ROOT = Path("/photos")


def photo(
    name: str,
    score: float | None = 5.0,
    *,
    taken: str | None = None,
    group: str | None = None,
    scene: str | None = None,
    frame_set: FrameSet | None = None,
    stars: int | None = None,
    pick: int | None = None,
    sharpness: float | None = None,
    classes: tuple[str, ...] = (),
    camera: str | None = None,
    size: tuple[int, int] = (4000, 3000),
) -> Photo:
    """One shot as it comes out of judging and grouping."""
    look = FrameDescriptor(np.zeros(2, np.float16), np.zeros(4, np.uint8), sharpness, classes)
    return Photo(
        Shot(ROOT, ROOT / name),
        facts=Facts(*size, "JPEG", taken=taken, camera=camera),
        marks=Marks(stars, pick),
        rating=None if score is None else Rating(score, 0.5, "fusion-mini"),
        error="cannot be decoded" if score is None else None,
        group=group,
        scene=scene,
        day=taken and taken[:10],
        frame_set=frame_set,
        descriptor=look,
    )


def burst(name: str, *scores: float | None, scene: str | None = None) -> list[Photo]:
    """The frames of a burst, named after it."""
    return [
        photo(f"{name}-{k}.jpg", each, group=name, scene=scene) for k, each in enumerate(scores)
    ]


def keep(text: str, per: str | None = None, **more: float) -> Rule:
    """The rule `--keep TEXT --per PER`."""
    return Rule(keep=Quota.parse(text), per=per, **more)
