"""Photos that one person rated: by stars in the photos or their sidecars, or in a CSV file.

Stars become points of the common 1..10 scale: rejected (-1) is 1, and one to five stars are 2.8,
4.6, 6.4, 8.2 and 10. No stars (0) means unrated; then a flag counts, "rejected" as that and
"picked" like four stars, and a photo without a flag is left out. What iq itself wrote is neither
stars nor flag.
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

    Each picture is in it once, however many copies there are: a copy on another day would leak what
    is held out. A photo that has no date counts to its folder, as if that were a day.
    """

    photos: Sequence[Mapping[str, Vector]]
    points: Doubles
    days: Sequence[str]


def by_stars(photos: Iterable[Photo]) -> RatedPhotos:
    """The photos that carry stars, or a flag, themselves or in a sidecar.

    Raises IqError: see `_checked`.
    """
    starred = (
        (photo, photo.marks.stars or STARS_OF_PICK.get(photo.marks.pick or 0)) for photo in photos
    )
    return _checked((photo, points(stars), _day(photo)) for photo, stars in starred)


def by_opinions(opinions: Opinions, photos: Iterable[Photo], *, stars: bool) -> RatedPhotos:
    """The photos of a CSV file, measured in its order; `stars` if its scale is that of `STARS`.

    The day is that of a column day, taken or date; else that of the photo. Raises IqError like
    `_checked`.
    """
    rows = zip(opinions.rows, photos, strict=True)
    valued = (
        (row, photo, _points_of_row(row, opinions) if stars else row.value) for row, photo in rows
    )
    return _checked(
        (photo, value, _day_of_row(row) or _day(photo))
        for row, photo, value in valued
        if value is not None
    )


def points(stars: float | None) -> float | None:
    """Stars on the 1..10 scale; None for none."""
    return 1 + 1.8 * max(stars, 0) if stars else None


def _points_of_row(row: Opinion, opinions: Opinions) -> float | None:
    low, high = opinions.scale
    stars = low + (row.value - 1) / 9 * (high - low)
    if abs(stars - round(stars)) > 1e-6:
        raise IqError(
            f"the file gives {stars:g} stars; give whole stars from -1 (rejected) to 5, or the "
            "ends of another scale, worst first, as --mos-range 0:1"
        )
    return points(round(stars))


def _day_of_row(row: Opinion) -> str:
    named = {str(key).strip().lower(): value for key, value in row.row.items()}
    text = next((named[name] for name in DAY if (named.get(name) or "").strip()), "")
    date = DATE.match(text)
    return "-".join(date.groups()) if date else text.strip()


def _day(photo: Photo) -> str:
    taken = photo.facts.taken if photo.facts else None
    return taken[:10] if taken else str(photo.shot.path.parent)


def _checked(rated: Iterable[tuple[Photo, float | None, str]]) -> RatedPhotos:
    """Raises IqError where the ratings are too few or too similar to learn from."""
    kept: dict[str, tuple[Mapping[str, Vector], float, str]] = {}
    for photo, value, day in rated:
        if photo.blocks is not None and photo.sha256 and value is not None:
            kept.setdefault(photo.sha256, (photo.blocks, value, day))
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
        raise IqError("all photos have the same stars, which shows no taste; rate some differently")
    return RatedPhotos(photos, np.array(values), days)
