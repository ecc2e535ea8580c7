"""Do unrelated photos become one shot? `python tests/bench/unrelated.py FOLDER [COUNT]`.

The photos under FOLDER, no two of one subject, get names and times that cameras which count alike
would give them, again and again until COUNT names (12,000) were tried. Every join is wrong, and is
listed. There must be none.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.unrelated import named

from iqcli.photos.find import find_shots
from iqcli.photos.names.shots import group

SIZE = 400


def main(folder: Path, count: int) -> int:
    """Try the names; the number of joins."""
    shots = find_shots([folder], on_problem=lambda *_: None)
    photos = [shot.path for shot in shots if not shot.companions]
    chance, tried, asked, wrong = random.Random(13), 0, 0, 0
    begin = time.perf_counter()
    while tried < count:
        chance.shuffle(photos)
        for at in range(0, min(len(photos), count - tried), SIZE):
            given = named(photos[at : at + SIZE], chance)
            for primary, companions in group(given.photos, (), folder, given):
                for other in companions:
                    wrong += 1
                    print(f"{given.photos[primary]} as {primary}, {given.headers[primary]}")
                    print(f"  with {given.photos[other]} as {other}, {given.headers[other]}")
            tried, asked = tried + len(given.photos), asked + given.asked
    took = time.perf_counter() - begin
    print(f"{tried} names of {len(photos)} photos in {took:.0f} s")
    print(f"{asked} pairs looked at, {wrong} joined")
    return wrong


if __name__ == "__main__":
    sys.exit(bool(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 12_000)))
