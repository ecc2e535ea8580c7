"""Which files beside a photo belong to it, by their names.

IMG_1.JPG.xmp, IMG_1.JPG.anything    the full name of the photo comes first
IMG_1.JPG_original, IMG_1.JPG~       backups, which are no photos of their own
IMG_1_01.JPG.xmp                     the second of a darktable duplicate
IMG_1.xmp, IMG_1.AAE, IMG_1.cos      the stem, and an extension that is known for it
IMG_1.MOV                            a film, see `live`
IMG_1.JPG.supplemental-me.json       Google Takeout, see `takeout`
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from typing import TYPE_CHECKING

from iqcli.photos.formats import SIDECAR, VIDEO, extension
from iqcli.photos.names import takeout
from iqcli.photos.names.keys import key_of, normal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

DUPLICATE = re.compile(r"(.+)_\d\d(\.[^.]+)", re.DOTALL)
# What programs put behind a full name without a dot: exiftool, editors.
BEHIND = ("_original", "_exiftool_tmp", "_backup", "~")


def full_names(name: str) -> Iterator[str]:
    """Names of photos that this file may belong to by its full name, the likeliest first."""
    whole = name
    for ending in BEHIND:
        if len(whole) > len(ending) and whole.endswith(ending):
            yield whole.removesuffix(ending)
    while (at := whole.rfind(".")) > 0:
        whole = whole[:at]
        yield whole
    stem, dot, ext = name.rpartition(".")
    if dot and ext.lower() == "xmp" and (duplicate := DUPLICATE.fullmatch(stem)):
        yield duplicate[1] + duplicate[2]
    yield from takeout.full_names(name)


class FullNames:
    """Finds the photos whose full names other files begin with."""

    def __init__(self, photos: Iterable[str]) -> None:
        self._exact = set(photos)
        self._normal: dict[str, str] = {}
        for photo in sorted(self._exact):
            self._normal.setdefault(normal(photo), photo)

    def photo_of(self, name: str) -> str | None:
        """The photo that a file belongs to by its full name; an exact one before any other."""
        several = list(full_names(name))
        exact = next((each for each in several if each in self._exact), None)
        if exact is not None or not several:
            return exact
        return next(
            (self._normal[n] for each in several if (n := normal(each)) in self._normal), None
        )


def assign(
    shots: Sequence[Sequence[str]], others: Iterable[str], by_camera: Collection[int]
) -> tuple[list[list[str]], list[str]]:
    """The companions of each shot in the order of `shots`, and the films that are none by name.

    `by_camera` are the shots with a picture of a camera's format: what fits several goes there,
    and a film beside a screenshot is a film.
    """
    owner = {name: index for index, shot in enumerate(shots) for name in shot}
    full, cut = FullNames(owner), takeout.CutNames(owner)
    by_key: dict[str, list[int]] = defaultdict(list)
    for name, index in owner.items():
        if index not in by_key[key := key_of(name)[0]]:
            by_key[key].append(index)
    taken: list[list[str]] = [[] for _ in shots]
    films = []
    for name in others:
        ext = extension(name)
        photo = full.photo_of(name) or (cut.photo_of(name) if ext == "json" else None)
        if photo is not None and ext not in VIDEO:
            taken[owner[photo]].append(name)
        elif ext in VIDEO:
            films.append(name)
        elif ext in SIDECAR and (several := by_key.get(key_of(name)[0])):
            taken[_best(name, shots, several, by_camera)].append(name)
    return taken, films


def _best(
    name: str, shots: Sequence[Sequence[str]], places: Iterable[int], by_camera: Collection[int]
) -> int:
    """Of the shots that a file named after the stem may belong to, the likeliest."""
    stem = name.rpartition(".")[0]

    def rank(index: int) -> tuple[bool, bool, bytes]:
        exact = any(each.rpartition(".")[0] == stem for each in shots[index])
        return index not in by_camera, not exact, os.fsencode(shots[index][0])

    return min(places, key=rank)
