"""Made-up frames of a roll: what grouping sees of photos, without files."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iqcli.culling.grouping.group import group
from iqcli.records import Facts, FrameDescriptor, Photo, Rating, Shot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iqcli.records import Pixels

ROOT = Path("/photos")
NOON = datetime(2024, 5, 1, 12, 0, 7)


def light_of(thing: int) -> np.ndarray:
    """(144,) where the light falls on a thing; two things have nothing to do with each other."""
    return np.random.default_rng(thing).uniform(30, 220, 144)


def look(thing: int, sharpness: float | None = 5.0, brighter: float = 1.0) -> FrameDescriptor:
    """How a thing looks; another content for each, the same at any brightness."""
    content = np.random.default_rng(1000 + thing).normal(size=96)
    light = np.clip(light_of(thing) * brighter, 0, 255)
    return FrameDescriptor(content.astype(np.float16), light.astype(np.uint8), sharpness)


def frame(
    name: str,
    after: float | None = 0.0,
    thing: int | None = 0,
    *,
    score: float | None = 5.0,
    camera: str | None = "Apple iPhone 12",
    exact: bool = True,
    taken: str | None = None,
    light: Pixels | None = None,
    brighter: float = 1.0,
    sharpness: float | None = 5.0,
    sha256: str | None = None,
    **facts: Any,
) -> Photo:
    """A photo of a `thing` so many seconds `after` the first; None: no time, or not seen."""
    when = taken
    if taken is None and after is not None:
        moment = NOON + timedelta(seconds=after)
        when = moment.isoformat(timespec="milliseconds" if exact else "seconds")
    seen = None if thing is None else look(thing, sharpness, brighter)
    if seen and light is not None:
        seen = FrameDescriptor(seen.embedding, light, sharpness)
    return Photo(
        Shot(ROOT, ROOT / name),
        sha256 or name,
        Facts(4000, 3000, "JPEG", taken=when, camera=camera, **facts),
        rating=None if score is None else Rating(score, 1.0, "m"),
        error="cannot be decoded" if score is None else None,
        descriptor=seen,
    )


def groups(frames: Sequence[Photo]) -> list[list[str]]:
    """The names in each burst or set, in the order of their numbers."""
    return _by([(each.group, each) for each in group(frames)])


def scenes(frames: Sequence[Photo]) -> list[list[str]]:
    """The names in each scene, in the order of their numbers."""
    return _by([(each.scene, each) for each in group(frames)])


def _by(named: Sequence[tuple[str | None, Photo]]) -> list[list[str]]:
    found: dict[str, list[str]] = {}
    for key, each in named:
        if key is not None:
            found.setdefault(key, []).append(each.shot.path.relative_to(ROOT).as_posix())
    return [sorted(found[key]) for key in sorted(found)]
