"""Films that are parts of photos: by their identifier, else by their name and a plausible length.

IMG_1234.MOV, IMG_1234_HEVC.MOV, IMG_1234(1)_HEVC.MOV    of IMG_1234.HEIC, IMG_1234(1).HEIC
IMG_1234_1.mov                                           of IMG_1234.jpg
IMG_9.HEIC.MOV, IMG_9.MOV                                of IMG_9.HEIC.jpg
FullSizeRender_HEVC-4559592.MOV                          of FullSizeRender-2369959.jpg
PXL_20230101_120000123.MP                                of PXL_20230101_120000123.MP.jpg
any other                                                where the identifiers are equal
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from typing import TYPE_CHECKING

from iqcli.photos.names.companions import keys_of_missing
from iqcli.photos.names.evidence import is_live
from iqcli.photos.names.keys import key_of, normal, stem_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from iqcli.photos.names.evidence import Evidence

HEVC = re.compile(r"_hevc(?=$| ?\(\d+\)$|-\d+$)")
MARK = re.compile(r"(?:[-_ ](?:live|motion|video|\d))$")
# icloudpd puts the size of the file behind names that several files have.
SIZE = re.compile(r"-\d{5,}$")


def assign(
    shots: Sequence[Sequence[str]],
    films: Sequence[str],
    by_camera: Collection[int],
    folder: Path,
    evidence: Evidence,
) -> dict[str, int]:
    """The shot of each film that is part of a photo, by its place in `shots`.

    `by_camera` are the shots with a picture of a camera's format: a film beside a screenshot is a
    film. One without a name or identifier that fits is left out.
    """
    if not films:
        return {}
    places = _Places(shots, by_camera)
    found: dict[str, int] = {}
    loose: dict[str, list[str]] = defaultdict(list)
    for film in films:
        for index in places.of(film):
            photos = (folder / name for name in shots[index])
            verdicts = [is_live(folder / film, photo, evidence) for photo in photos]
            if True in verdicts or False not in verdicts:
                found[film] = index
                break
        else:
            loose[places.sized(film)].append(film)
    for key, several in loose.items():
        taken = set(found.values())
        free = [index for index in places.by_size.get(key, ()) if index not in taken]
        for film in several:
            fits = [each for each in free if _fits(shots[each], film, folder, evidence)]
            if len(several) == len(free) == len(fits) == 1:
                found[film] = fits[0]
    left = [film for film in films if film not in found]
    return found | _by_identifier(shots, left, by_camera, folder, evidence)


def _fits(shot: Sequence[str], film: str, folder: Path, evidence: Evidence) -> bool:
    return all(is_live(folder / film, folder / name, evidence) is not False for name in shot)


def _by_identifier(
    shots: Sequence[Sequence[str]],
    films: Sequence[str],
    by_camera: Collection[int],
    folder: Path,
    evidence: Evidence,
) -> dict[str, int]:
    """Films whose names say nothing. Photos are read only where a film has an identifier."""
    wanted = {}
    for film in films:
        if content_id := evidence.header(folder / film).content_id:
            wanted[film] = content_id.lower()
    if not wanted:
        return {}
    owners: dict[str, int] = {}
    for index in by_camera:
        for name in shots[index]:
            if content_id := evidence.header(folder / name).content_id:
                owners.setdefault(content_id.lower(), index)
    return {film: owners[each] for film, each in wanted.items() if each in owners}


class _Places:
    """The shots that a film may be part of, by its name."""

    def __init__(self, shots: Sequence[Sequence[str]], by_camera: Collection[int]) -> None:
        self._shots = shots
        self._by_key: dict[str, list[int]] = defaultdict(list)
        self.by_size: dict[str, list[int]] = defaultdict(list)
        for index in sorted(by_camera):
            names = shots[index]
            for key in dict.fromkeys(
                key for name in names for key in (stem_of(name), key_of(name)[0])
            ):
                self._by_key[key].append(index)
            for key in {SIZE.sub("", stem_of(name)) for name in names}:
                self.by_size[key].append(index)
        by_camera_alone = [names if k in by_camera else () for k, names in enumerate(shots)]
        for key, several in keys_of_missing(by_camera_alone, self._by_key).items():
            self._by_key[key] += several

    def of(self, film: str) -> Iterator[int]:
        """The places of the shots, the likeliest first, each once."""
        given = set()
        for key in _keys(film):
            for index in sorted(self._by_key.get(key, ()), key=lambda each: self._rank(each, film)):
                if index not in given:
                    given.add(index)
                    yield index

    def sized(self, film: str) -> str:
        """The name of a film without its size."""
        return SIZE.sub("", HEVC.sub("", stem_of(film)))

    def _rank(self, index: int, film: str) -> tuple[bool, bytes]:
        stem = film.rpartition(".")[0]
        names = self._shots[index]
        return stem not in (each.rpartition(".")[0] for each in names), os.fsencode(names[0])


def _keys(film: str) -> Iterator[str]:
    """What photos with this film may be called, the likeliest first."""
    yield normal(film)  # IMG_1.MP is of IMG_1.MP.jpg
    stem = stem_of(film)
    yield stem
    yield key_of(film)[0]
    yield HEVC.sub("", stem)
    yield MARK.sub("", HEVC.sub("", stem))
