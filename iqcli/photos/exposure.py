"""How much light a photo was given, by its EXIF tags."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# What a 16-bit field says where the sensitivity is higher; other fields then hold it.
FULL = 65535
SENSITIVITIES = ("EXIF ISOSpeedRatings", "EXIF RecommendedExposureIndex", "EXIF ISOSpeed")
# Beyond these no camera goes, in stops: what says more is garbage.
MOST_BIAS, MOST_EXPOSURE = 20.0, 40.0


def bias_of(tags: Mapping[str, Any]) -> float | None:
    """The exposure compensation in EV, None if it is not said."""
    return _within(number_of(tags.get("EXIF ExposureBiasValue")), MOST_BIAS)


def exposure_of(tags: Mapping[str, Any]) -> float | None:
    """The light let in, log2(seconds * ISO / 100 / aperture^2) in EV.

    None where the time, the aperture or the sensitivity is missing, not positive or not finite.
    Source: APEX, CIPA DC-008 annex C; the aperture value is 2 * log2 of the f-number.
    """
    seconds = _positive(number_of(tags.get("EXIF ExposureTime")))
    aperture = _positive(number_of(tags.get("EXIF FNumber"))) or _opening(tags)
    iso = _sensitivity(tags)
    if seconds is None or aperture is None or iso is None:
        return None
    return _within(
        math.log2(seconds) + math.log2(iso / 100) - 2 * math.log2(aperture), MOST_EXPOSURE
    )


def number_of(values: Any) -> float | None:
    """The first value of a tag, finite; None for anything else ("1/0" is how cameras say unknown).

    exifread gives integers and fractions.
    """
    first = values[0] if isinstance(values, list) and values else None
    top, bottom = getattr(first, "numerator", None), getattr(first, "denominator", None)
    if not isinstance(top, int) or not isinstance(bottom, int) or bottom == 0:
        return None
    return top / bottom


def _opening(tags: Mapping[str, Any]) -> float | None:
    value = _positive(_within(number_of(tags.get("EXIF ApertureValue")), MOST_BIAS))
    return None if value is None else 2 ** (value / 2)


def _sensitivity(tags: Mapping[str, Any]) -> float | None:
    said = (_positive(number_of(tags.get(name))) for name in SENSITIVITIES)
    return next((iso for iso in said if iso is not None and iso != FULL), None)


def _positive(value: float | None) -> float | None:
    return value if value is not None and value > 0 else None


def _within(value: float | None, most: float) -> float | None:
    return value if value is not None and abs(value) <= most else None
