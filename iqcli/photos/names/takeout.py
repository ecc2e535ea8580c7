"""The JSON files of Google Takeout: which photo each of them is about, by their names.

    IMG_1.JPG.json, IMG_1.JPG.supplemental-metadata.json     the whole name of the photo
    IMG_1.JPG.supplemental-me.json, IMG_1.JPG..json          cut: 46 characters and ".json"
    A_very_long_app_na.json                                  cut inside the name of the photo
    IMG_1.JPG(2).json, ….supplemental-metadata(2).json       of IMG_1(2).JPG

Source: what exports of 2018 to 2026 hold, as Immich-go and gphotos-sync describe them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from iqcli.photos.names.keys import normal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WORD = ".supplemental-metadata"
NUMBERED = re.compile(r"(?P<stem>.+)(?P<number>\(\d+\))", re.DOTALL)
FULL = re.compile(
    r"(?P<stem>.+?)(?P<ext>\.[^.]+?)(?:\.(?P<word>[a-z-]*))?(?P<number>\(\d+\))?", re.DOTALL
)
# Google counts UTF-16 units or characters; the photo itself is cut at 47 before its extension.
CUT = (46, 47)


def full_names(name: str) -> Iterator[str]:
    """The name of the photo that a JSON file holds as a whole, if it does."""
    stem, _, ext = name.rpartition(".")
    found = FULL.fullmatch(stem) if ext.lower() == "json" else None
    if found and WORD[1:].startswith(found["word"] or ""):
        yield found["stem"] + (found["number"] or "") + found["ext"]


def is_numbered(name: str) -> bool:
    """Whether the number of a JSON file says which of several photos of one name it is about."""
    return name.lower().endswith(").json") and any(full_names(name))


def is_takeout(name: str) -> bool:
    """Whether a JSON file that belongs to a photo may be of Takeout, by its name."""
    stem = normal(name).rpartition(".")[0]
    found = NUMBERED.fullmatch(stem)
    return len(found["stem"] if found else stem) in CUT or any(full_names(name))


class CutNames:
    """Finds the photos of JSON files whose names were cut inside the name of the photo."""

    def __init__(self, photos: Iterable[str]) -> None:
        self._by_cut: dict[str, list[str]] = defaultdict(list)
        for photo in photos:
            if len(photo) >= CUT[0] - len(WORD):
                base, number = _without_number(normal(photo))
                for length in CUT:
                    self._by_cut[(base + WORD)[:length] + number].append(photo)

    def photo_of(self, name: str) -> str | None:
        """The one photo whose name, cut, is that of this JSON file; None for none or several."""
        stem, _, ext = normal(name).rpartition(".")
        found = NUMBERED.fullmatch(stem)
        base, number = (found["stem"], found["number"]) if found else (stem, "")
        if ext != "json" or len(base) not in CUT:
            return None
        several = self._by_cut.get(base + number, [])
        # An edit begins like its original, whose name is shorter.
        shortest = [each for each in several if len(each) == min(map(len, several))]
        return shortest[0] if len(shortest) == 1 else None


def _without_number(photo: str) -> tuple[str, str]:
    """`IMG_1.JPG` and `(2)` of IMG_1(2).JPG."""
    stem, dot, ext = photo.rpartition(".")
    found = NUMBERED.fullmatch(stem)
    return (found["stem"] + dot + ext, found["number"]) if found else (photo, "")
