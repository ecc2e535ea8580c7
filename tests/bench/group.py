"""How fast photos are grouped: `python tests/bench/group.py`.

50,000 made-up photos: bursts, brackets, panoramas, single ones, two cameras, some without a time.
The floor, measured in the same run, is one sort of them and one new record each.
"""

from __future__ import annotations

import random
import sys
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median

import numpy as np

from iqcli.culling.grouping.group import group
from iqcli.records import Facts, FrameDescriptor, Photo, Rating, Shot, best_first

COUNT = 50_000
ROUNDS = 3
LIMIT = 3.0
ROOT = Path("/photos")


def roll(seed: int = 0) -> list[Photo]:
    """The photos, in no order."""
    chance, numbers = random.Random(seed), np.random.default_rng(seed)
    when, found = datetime(2024, 1, 1), []
    while len(found) < COUNT:
        when += timedelta(seconds=chance.choice((3, 20, 90, 4000)))
        light = numbers.integers(20, 236, 144)
        content, camera = numbers.normal(size=96), chance.choice(("A", "B"))
        ev = chance.choice(((0.0,), (0.0,), (0.0,) * 6, (0.0, -2.0, 2.0)))
        for bias in ev:
            when += timedelta(milliseconds=200)
            facts = Facts(
                *(4000, 3000, "JPEG"),
                taken=when.isoformat() if chance.random() < 0.9 else None,
                camera=camera,
                bias=bias,
                exposure=3.0 + bias,
            )
            seen = np.clip(light * 1.3**bias + numbers.normal(0, 3, 144), 0, 255)
            look = FrameDescriptor(
                content.astype(np.float16), seen.astype(np.uint8), chance.random()
            )
            path = ROOT / f"{len(found) // 999:03}" / f"IMG_{len(found):05}.JPG"
            rating = Rating(chance.uniform(1, 10), 1.0, "m")
            found.append(Photo(Shot(ROOT, path), path.name, facts, rating=rating, descriptor=look))
    chance.shuffle(found)
    return found


def seconds(work: object, photos: list[Photo]) -> float:
    """Wall time of one pass."""
    assert callable(work)
    start = time.perf_counter()
    work(photos)
    return time.perf_counter() - start


def floor(photos: list[Photo]) -> list[Photo]:
    """What any grouping must do."""
    return [replace(each, group="b0001") for each in sorted(photos, key=best_first)]


def main() -> int:
    """Measure in turns, print, and fail above the limit."""
    photos = roll()
    found = [each.group for each in group(photos)]
    pairs = [(seconds(floor, photos), seconds(group, photos)) for _ in range(ROUNDS)]
    least, ours = (median(column) for column in zip(*pairs, strict=True))
    print(f"{len(photos):,} photos, {len({*found}) - 1:,} groups of {sum(map(bool, found)):,}")
    print(f"sort and copy {least:.2f} s, group {ours:.2f} s, ratio {ours / least:.1f}")
    print(f"limit {LIMIT:.0f} s")
    return int(ours > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
