"""Whether scores fall as faults grow: `python tests/bench/ladders.py FOLDER [MODEL]`.

Puts every synthetic fault at three strengths on each photo of FOLDER (good photos, none of them
used in training) and prints, a fault each: the share of neighbouring strengths in the right order
(the photo itself comes first), the share of photos that beat their own strongest
copy, and the share of copies that are named for the fault at each strength.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np

from iqcli.errors import PhotoError
from iqcli.models.registry import load
from iqcli.photos.find import find_shots
from iqcli.photos.read import read_photo
from iqcli.records import Rating
from iqcli.training.ladders import RUNGS, Spoilt


def main() -> int:
    """Measure and print; fails where there is no photo."""
    model = load(sys.argv[2] if len(sys.argv) > 2 else "fusion-mini")
    shots = list(find_shots([Path(sys.argv[1])], on_problem=print))
    ladders: dict[str, list[list[Rating]]] = {fault: [] for fault in RUNGS}
    for shot in shots:
        data = shot.path.read_bytes()
        try:
            for fault, found in ladders.items():
                readers = [read_photo, *(Spoilt(fault, rung) for rung in range(3))]
                views = [read(data, max_megapixels=250)[1] for read in readers]
                photos = [{b.name: b.extract(each) for b in model.blocks} for each in views]
                found.append(model.rate(photos))
        except PhotoError as error:
            print(f"{shot.path}: {error}")
    print(f"{len(shots)} photos: fault, pairs in order, beats its strongest copy, named at 1 2 3")
    for fault, found in ladders.items():
        scores = np.array([[rating.score for rating in ladder] for ladder in found])
        falls = np.mean([[high > low for high, low in pairwise(row)] for row in scores])
        named = np.array([[_named(rating, fault) for rating in ladder[1:]] for ladder in found])
        shares = " ".join(f"{share:.2f}" for share in named.mean(axis=0))
        print(f"{fault:11} {falls:.3f} {(scores[:, 0] > scores[:, 3]).mean():.3f}  {shares}")
    return 0 if shots else 1


def _named(rating: Rating, fault: str) -> bool:
    return any(issue.name == fault for issue in rating.issues)


if __name__ == "__main__":
    sys.exit(main())
