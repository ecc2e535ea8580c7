"""From a method's own scale to points of 1..10, by what people said of photos where that is known.

A calibration is a rising line of knots and one standard deviation, fitted by `iq train scale` on
opinions. Without one a quality q in 0..1 becomes 1 + 9 q, which orders photos as well but says
nothing of what people would say; the rating tells so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iqcli import settings
from iqcli.errors import IqError

if TYPE_CHECKING:
    from iqcli.records import Array


EMBEDDED = Path(__file__).parent.parent / "data" / "scales.json"
UNKNOWN = "{} was not calibrated to people's opinions here: 1 + 9 x its own quality"


@dataclass(frozen=True, slots=True)
class Scale:
    """`points` (k,) of 1..10 at the rising `knots` (k,) of q; `sigma` in points; who said so."""

    knots: tuple[float, ...]
    points: tuple[float, ...]
    sigma: float
    source: str

    def apply(self, quality: Array) -> Array:
        """(n,) own qualities to (n,) points; beyond the last knots the last points."""
        return np.interp(quality, self.knots, self.points).astype(np.float32)


def scale_of(model: str) -> Scale | None:
    """The person's own calibration of a model, else the shipped one, else None.

    Raises IqError for a file that is none.
    """
    for file in (own_file(model), EMBEDDED):
        if file.is_file():
            told = _read(file)
            if model in told:
                return _scale(told[model], file)
    return None


def own_file(model: str) -> Path:
    """Where `iq train scale` writes the calibration of a model."""
    return settings.load({}, None).data_dir / "scales" / f"{model}.json"


def _read(file: Path) -> dict[str, Any]:
    try:
        told = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise IqError(f"cannot read the calibration {file}: {error}; remove it") from error
    if not isinstance(told, dict):
        raise IqError(f"{file} is no calibration of this iq; remove it, or run `iq train scale`")
    return told


def _scale(told: object, file: Path) -> Scale:
    match told:
        case {"knots": list(knots), "points": list(points), "sigma": float(s), "source": str(who)}:
            values = [*knots, *points]
            sound = all(isinstance(each, float) and np.isfinite(each) for each in values)
            if sound and len(knots) == len(points) > 1 and 0 < s < 10:
                rising = (np.diff(knots) > 0).all() and (np.diff(points) >= 0).all()
                if rising and points[0] >= 1 and points[-1] <= 10:
                    return Scale(tuple(knots), tuple(points), s, who)
    raise IqError(f"{file} is no calibration of this iq; remove it, or run `iq train scale`")
