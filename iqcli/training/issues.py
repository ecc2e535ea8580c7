"""Fit the issue thresholds: synthetic faults of known strength against the good photos they mar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iqcli.errors import IqError
from iqcli.features import photometry, tiles
from iqcli.models.issues import measures
from iqcli.training.faults import FAULTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from iqcli.records import Pixels, Views

    Measures = NDArray[np.float64]

# Each issue may be seen on this share of the good photos: less than the 5 % that is promised, since
# the promise is for photos not used here.
FALSE_ALARMS = 0.035
SEED = 5


@dataclass(frozen=True, slots=True)
class Thresholds:
    """For each issue the thresholds of levels 2..4, and what they find on the photos of the fit.

    `false_alarms` is the share of the good photos that are called faulty; `found` the share of the
    faults of each strength that are called at least slight.
    """

    levels: dict[str, tuple[float, float, float]]
    false_alarms: dict[str, float]
    found: dict[str, tuple[float, float, float]]


def measure_faults(
    pictures: Iterable[Pixels], views: Callable[[Pixels], Views]
) -> dict[str, Measures]:
    """For each issue (n, 4): its measure on each good picture, then with its fault at 3 strengths.

    The pictures are as decoded (long side <= 2048); `views` makes the views of a picture.
    """
    random = np.random.default_rng(SEED)
    rows: dict[str, list[list[float]]] = {name: [] for name in FAULTS}
    for picture in pictures:
        good = _measure(views(picture))
        for name, (spoil, strengths) in FAULTS.items():
            scale = max(picture.shape) / 2048 if name == "blurred" else 1.0
            spoilt = [views(spoil(picture, strength * scale, random)) for strength in strengths]
            rows[name].append([good[name], *(_measure(each)[name] for each in spoilt)])
    return {name: np.array(found) for name, found in rows.items()}


def _measure(views: Views) -> Mapping[str, float]:
    blocks = {"photometry": photometry.extract(views)[None], "tiles": tiles.extract(views)[None]}
    return {name: float(value[0]) for name, value in measures(blocks).items()}


def fit(measured: Mapping[str, Measures]) -> Thresholds:
    """Thresholds from what `measure_faults` found."""
    levels, alarms, found = {}, {}, {}
    for name, rows in measured.items():
        # A picture on which a measure is not defined (tiny, even) tells nothing of the fault.
        table = rows[np.isfinite(rows).all(axis=1)]
        if not len(table):
            raise IqError(f"{name} can be measured on none of these photos; give larger ones")
        slight = float(np.quantile(table[:, 0], 1 - FALSE_ALARMS, method="higher"))
        clear = max(_parting(table[:, 1], table[:, 2]), slight)
        severe = max(_parting(table[:, 2], table[:, 3]), clear)
        levels[name] = (slight, clear, severe)
        alarms[name] = float((table[:, 0] > slight).mean())
        shares = (table[:, 1:] > slight).mean(axis=0)
        found[name] = (float(shares[0]), float(shares[1]), float(shares[2]))
    return Thresholds(levels, alarms, found)


def _parting(lower: Measures, upper: Measures) -> float:
    """The value that parts two samples with the best balanced accuracy."""
    values = np.sort(np.concatenate([lower, upper]))
    below = np.searchsorted(np.sort(lower), values, side="right") / len(lower)
    above = 1 - np.searchsorted(np.sort(upper), values, side="right") / len(upper)
    return float(values[np.argmax(below + above)])
