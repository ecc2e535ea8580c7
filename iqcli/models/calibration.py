"""From a method's own quality to points of 1..10, by the opinions of people where they are known.

A calibration is a rising line of knots and one standard deviation, fitted by `iq train scale` on
opinions. Without one a quality q in 0..1 becomes 1 + 9 q, which orders photos as well but does not
predict opinions; the rating says so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from iqcli.errors import IqError
from iqcli.extractors.registry import EMBEDDED
from iqcli.text import display_path

if TYPE_CHECKING:
    from pathlib import Path

    from iqcli.records import Array


SHIPPED = EMBEDDED / "scales.json"
UNCALIBRATED = "{} was not calibrated to people's opinions here: 1 + 9 x its own quality"


@dataclass(frozen=True, slots=True)
class Calibration:
    """`points` (k,) of 1..10 at the rising `knots` (k,) of q; `sigma` in points; its data."""

    knots: tuple[float, ...]
    points: tuple[float, ...]
    sigma: float
    source: str

    def apply(self, quality: Array) -> Array:
        """(n,) own qualities to (n,) points; beyond the last knots the last points."""
        return np.interp(quality, self.knots, self.points).astype(np.float32)


def to_points(quality: Array, calibration: Calibration | None) -> Array:
    """(n,) qualities in 0..1 to (n,) points of 1..10; NaN stays."""
    if calibration:
        return calibration.apply(quality)
    points: Array = 1 + 9 * np.clip(quality, 0, 1)
    return points


def calibration_of(model: str, data_dir: Path) -> Calibration | None:
    """The person's own calibration of a model, else the shipped one, else None.

    Raises IqError for a damaged file.
    """
    for file in (own_file(model, data_dir), SHIPPED):
        if file.is_file():
            rows = _read(file)
            if model in rows:
                return _parsed(rows[model], file)
    return None


def own_file(model: str, data_dir: Path) -> Path:
    """Where `iq train scale` writes the calibration of a model."""
    return data_dir / "scales" / f"{model}.json"


def _read(file: Path) -> dict[str, Any]:
    try:
        rows = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        where = display_path(file)
        raise IqError(f"cannot read the calibration {where}: {error}; remove it") from error
    if not isinstance(rows, dict):
        raise _not_ours(file)
    return rows


def _parsed(row: object, file: Path) -> Calibration:
    match row:
        case {
            "knots": list(knots),
            "points": list(points),
            "sigma": float(s),
            "source": str(source),
        }:
            values = [*knots, *points]
            sound = all(isinstance(each, float) and np.isfinite(each) for each in values)
            if sound and len(knots) == len(points) > 1 and 0 < s < 10:
                rising = (np.diff(knots) > 0).all() and (np.diff(points) >= 0).all()
                if rising and points[0] >= 1 and points[-1] <= 10:
                    return Calibration(tuple(knots), tuple(points), s, source)
    raise _not_ours(file)


def _not_ours(file: Path) -> IqError:
    where = display_path(file)
    return IqError(f"{where} is no calibration of this iq; remove it, or run `iq train scale`")
