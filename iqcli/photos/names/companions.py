"""Which files beside a photo belong to it, by their names.

IMG_1.JPG.xmp, IMG_1.JPG.anything    the full name of the photo comes first
IMG_1.JPG_original, IMG_1.JPG~       backups, which are no photos of their own
IMG_1.xmp_original, IMG_1.MOV.xmp    so for the other files of the shot
IMG_1_01.JPG.xmp                     the second of a darktable duplicate
IMG_1.xmp, IMG_1.AAE, IMG_1.cos      the stem, and an extension that is known for it
IMG_1.MOV                            a film, see `live`
IMG_1-edited.jpg                     takes what IMG_1.jpg would, where that is not there
IMG_1.JPG.supplemental-me.json       Google Takeout, see `takeout`
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iqcli.photos.formats import PHOTO, PROJECT, SIDECAR, VIDEO, extension
from iqcli.photos.names import takeout
from iqcli.photos.names.edit_marks import edited_of
from iqcli.photos.names.keys import key_of, normal, stem_of, without_inner

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Iterator, Sequence

DUPLICATE = re.compile(r"(.+)_\d{2,3}(\.[^.]+)", re.DOTALL)
# What programs and people put behind a full name without a dot: exiftool, editors.
BEHIND = re.compile(
    r"(?P<whole>.+\.[^.]+?)(?:~|[-_ ](?:original|orig|exiftool_tmp|backup|bak|old|save|copy))",
    re.DOTALL | re.IGNORECASE,
)


def full_names(name: str) -> Iterator[str]:
    """Names of photos that this file may belong to by its full name, the likeliest first."""
    if takeout.is_numbered(name):  # not of the photo that its name begins with
        yield from takeout.full_names(name)
        return
    whole = name
    while backup := BEHIND.fullmatch(whole):
        whole = backup["whole"]
        yield whole
    whole = name
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


@dataclass(frozen=True, slots=True)
class Assigned:
    """The companions of each shot in their order, the films that are none by name, and the rest."""

    taken: list[list[str]]
    films: list[str]
    left: list[str]

    def follow(self) -> None:
        """Let files go with the companions after which they are named, such as IMG_1.MOV.xmp."""
        owner = {name: index for index, names in enumerate(self.taken) for name in names}
        while self.left and owner:
            full = FullNames(owner)
            found = {name: owner[first] for name in self.left if (first := full.photo_of(name))}
            for name, index in found.items():
                self.taken[index].append(name)
            self.left[:] = [name for name in self.left if name not in found]
            owner = found


def assign(
    shots: Sequence[Sequence[str]], others: Iterable[str], by_camera: Collection[int]
) -> Assigned:
    """Give each of `others` to the shot that it belongs to by its name.

    `by_camera` are the shots with a picture of a camera's format: what fits several goes there,
    and a film beside a screenshot is a film.
    """
    owner = {name: index for index, shot in enumerate(shots) for name in shot}
    full, cut = FullNames(owner), takeout.CutNames(owner)
    by_key = by_keys(shots)
    found = Assigned([[] for _ in shots], [], [])
    for name in others:
        ext = extension(name)
        photo = full.photo_of(name) or (cut.photo_of(name) if ext == "json" else None)
        if photo is not None and ext not in VIDEO:
            found.taken[owner[photo]].append(name)
        elif ext in VIDEO:
            found.films.append(name)
        elif ext in SIDECAR | PROJECT and (several := by_key.get(key_of(name)[0])):
            found.taken[_best(name, shots, several, by_camera)].append(name)
        else:
            found.left.append(name)
    if found.left and (missing := keys_of_missing(shots, by_key)):
        _give_to_edits(found, missing)
    return found


def by_keys(shots: Sequence[Sequence[str]]) -> dict[str, list[int]]:
    """The places of the shots by the keys of their pictures."""
    found: dict[str, list[int]] = defaultdict(list)
    for index, shot in enumerate(shots):
        for key in dict.fromkeys(key_of(name)[0] for name in shot):
            found[key].append(index)
    return found


def keys_of_missing(shots: Sequence[Sequence[str]], known: Container[str]) -> dict[str, list[int]]:
    """The places of edits, and of what was converted, by the keys of what is not there."""
    found: dict[str, list[int]] = defaultdict(list)
    for index, shot in enumerate(shots):
        for stem in dict.fromkeys(each for n in shot for each in (stem_of(n), key_of(n)[0])):
            original = stem if without_inner(stem) != stem else edited_of(stem)
            if original and original not in known and index not in found[original]:
                found[original].append(index)
    return found


def _give_to_edits(found: Assigned, missing: dict[str, list[int]]) -> None:
    for name in list(found.left):
        photos = [each for each in full_names(name) if extension(each) in PHOTO]
        stems = [stem for each in photos for stem in (normal(each), stem_of(each))]
        if extension(name) in SIDECAR:
            stems.append(key_of(name)[0])
        several = next((missing[each] for each in stems if each in missing), ())
        if len(several) == 1:
            found.taken[several[0]].append(name)
            found.left.remove(name)


def _best(
    name: str, shots: Sequence[Sequence[str]], places: Iterable[int], by_camera: Collection[int]
) -> int:
    """Of the shots that a file named after the stem may belong to, the likeliest."""
    stem = name.rpartition(".")[0]

    def rank(index: int) -> tuple[bool, bool, bytes]:
        exact = any(each.rpartition(".")[0] == stem for each in shots[index])
        return index not in by_camera, not exact, os.fsencode(shots[index][0])

    return min(places, key=rank)
