"""Photos that one person rated: by stars in the photos or their sidecars, or in a CSV file.

Stars become points of the common 1..10 scale: rejected (-1) is 1, and one to five stars are 2.8,
4.6, 6.4, 8.2 and 10. No stars (0) means "not said"; then a flag counts, "rejected" as that and
"picked" like four stars, and a photo without a flag teaches nothing. What iq itself wrote is
neither stars nor flag.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iqcli.errors import IqError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from iqcli.evaluation.mos_csv import Opinion, Opinions
    from iqcli.records import Doubles, Photo, Vector

# Worst and best stars a file may hold; 0 between them is none.
STARS = (-1.0, 5.0)
DAY = ("day", "taken", "date")
DATE = re.compile(r"\s*(\d{4})[-:/.](\d\d)[-:/.](\d\d)")
STARS_OF_PICK = {-1: -1, 1: 4}
FEWEST_PHOTOS = 40
FEWEST_DAYS = 3


@dataclass(frozen=True)
class RatedPhotos:
    """The blocks of n photos, their points (n,) on 1..10, and the day (n,) each was taken on.

    Each picture is in it once, however many copies there are: a copy on another day would tell
    what is held out. A photo that has no date counts to its folder, as if that were a day.
    """

    photos: Sequence[Mapping[str, Vector]]
    points: Doubles
    days: Sequence[str]


def by_stars(found: Iterable[Photo]) -> RatedPhotos:
    """The photos that carry stars, or a flag, themselves or in a sidecar.

    Raises IqError: see `_checked`.
    """
    starred = (
        (each, each.marks.stars or STARS_OF_PICK.get(each.marks.pick or 0)) for each in found
    )
    return _checked((each, points(stars), _day(each)) for each, stars in starred)


def by_opinions(told: Opinions, found: Iterable[Photo], *, stars: bool) -> RatedPhotos:
    """The photos of a CSV file, measured in its order; `stars` if its scale is that of `STARS`.

    A column day, taken or date says the day; else the photo does. Raises IqError: see `_checked`.
    """
    rows = zip(told.rows, found, strict=True)
    valued = ((row, each, _told(row, told) if stars else row.value) for row, each in rows)
    return _checked(
        (each, value, _day_told(row) or _day(each))
        for row, each, value in valued
        if value is not None
    )


def points(stars: float | None) -> float | None:
    """Stars on the 1..10 scale; None for none."""
    return 1 + 1.8 * max(stars, 0) if stars else None


def _told(row: Opinion, told: Opinions) -> float | None:
    low, high = told.scale
    stars = low + (row.value - 1) / 9 * (high - low)
    if abs(stars - round(stars)) > 1e-6:
        raise IqError(
            f"the file gives {stars:g} stars; give whole stars from -1 (rejected) to 5, or the "
            "ends of another scale, worst first, as --mos-range 0:1"
        )
    return points(round(stars))


def _day_told(row: Opinion) -> str:
    named = {str(key).strip().lower(): value for key, value in row.row.items()}
    text = next((named[name] for name in DAY if (named.get(name) or "").strip()), "")
    date = DATE.match(text)
    return "-".join(date.groups()) if date else text.strip()


def _day(measured: Photo) -> str:
    taken = measured.facts.taken if measured.facts else None
    return taken[:10] if taken else str(measured.shot.path.parent)


def _checked(found: Iterable[tuple[Photo, float | None, str]]) -> RatedPhotos:
    """Raises IqError where the ratings are too few or too much alike to learn from."""
    kept: dict[str, tuple[Mapping[str, Vector], float, str]] = {}
    for measured, value, day in found:
        if measured.blocks is not None and measured.sha256 and value is not None:
            kept.setdefault(measured.sha256, (measured.blocks, value, day))
    photos, values, days = zip(*kept.values(), strict=True) if kept else ((), (), ())
    if len(photos) < FEWEST_PHOTOS:
        raise IqError(
            f"{len(photos)} readable photos with stars are too few to learn a taste from; "
            f"give at least {FEWEST_PHOTOS}"
        )
    if len(set(days)) < FEWEST_DAYS:
        raise IqError(
            f"the photos with stars are of {len(set(days))} days (one without a date counts to "
            f"its folder); give at least {FEWEST_DAYS}, or a CSV file with a column day"
        )
    if len(set(values)) < 2:
        raise IqError("all photos have the same stars, which tells no taste; rate some otherwise")
    return RatedPhotos(photos, np.array(values), days)
