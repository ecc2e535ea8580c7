"""Which files of a folder belong to one shot, by their names and what speaks for or against it.

    IMG_1234.HEIC .JPG .DNG .MOV .AAE .xmp        one shot: the processed picture is the primary
    IMG_E1234.JPG, IMG_1234-edited.jpg, …         an edit leads its original, see `edit_marks`
    PXL_20230101_120000123.RAW-01.COVER.jpg       and .RAW-02.ORIGINAL.dng: the cover is primary
    IMG_1234.JPG.xmp, IMG_1234.JPG_original, …    see `companions`

A wrong join is worse than a missed one: files of one picture have one time and one camera, where
they tell any, and by a clock that stands still (see `clocks`) they look alike.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iqcli.photos.formats import HEIF, JPEG, PHOTO, PICTURE, RAW, extension
from iqcli.photos.names import companions, live
from iqcli.photos.names.clocks import Asked
from iqcli.photos.names.edit_marks import Mark, edits_of_originals, originals
from iqcli.photos.names.evidence import NoEvidence, are_of_one_shot, is_edit
from iqcli.photos.names.keys import key_of, stem_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from iqcli.photos.names.evidence import Evidence
    from iqcli.records import Shot

Group = tuple[str, tuple[str, ...]]
# JPEG before HEIC: a camera that writes both writes the same picture, and JPEG decodes fastest.
KINDS = {ext: rank for rank, exts in enumerate((JPEG, HEIF, PICTURE, RAW)) for ext in exts}
UNKNOWN_KIND, RAW_KIND = KINDS["png"], KINDS["dng"]
# Names that hold a time to the millisecond are no other camera's.
UNIQUE = "pxl_"


@dataclass(frozen=True, slots=True)
class _Photo:
    name: str
    stem: str
    key: str
    kind: int
    edited: bool
    original: bool

    @property
    def rank(self) -> tuple[bool, bool, bool, int, bytes]:
        """The smallest is primary: what its owner sees, else what is cheapest to decode."""
        raw = self.kind == RAW_KIND
        return raw, self.original, not self.edited, self.kind, os.fsencode(self.name)


def group(
    photos: Iterable[str],
    others: Iterable[str],
    folder: Path | None = None,
    evidence: Evidence | None = None,
) -> list[Group]:
    """Join the names of one folder into shots: (primary, companions), both in byte order.

    `photos` are the pictures; of `others` what belongs to a shot becomes its companion, the rest
    is left out. Names compare without case and in one form of Unicode; names that differ in that
    alone stay apart where both hold the same kind of picture. PNG, GIF, TIFF, … never join another
    picture of the same stem (a screenshot has the number of a photo by chance), except as its edit.
    A companion that fits several shots goes to the camera's. `evidence` reads the files in
    `folder`; without it the names alone decide, and only Apple's edits are joined.
    """
    place = folder or Path()
    known = [_photo(name) for name in photos]
    reader = Asked(evidence or NoEvidence())
    shots = _joined(known, place, reader)
    asked = {path.name for path in reader.moments}
    files = ([place / each.name for each in shot if each.name in asked] for shot in shots)
    if asked and (stopped := reader.stopped(files)):
        reader = Asked(reader, stopped)
        shots = _joined(known, place, reader)
    names = [[photo.name for photo in shot] for shot in shots]
    by_camera = {index for index, shot in enumerate(shots) if _by_camera(shot)}
    found = companions.assign(names, others, by_camera)
    for film, index in live.assign(names, found.films, by_camera, place, reader).items():
        found.taken[index].append(film)
    found.follow()
    groups = [
        (first, tuple(sorted([*rest, *extra], key=os.fsencode)))
        for (first, *rest), extra in zip(names, found.taken, strict=True)
    ]
    return sorted(groups, key=lambda each: os.fsencode(each[0]))


def stand_ins(shot: Shot) -> list[Path]:
    """The other pictures of a shot, in the order in which they lead it where its primary is broken.

    JPEG, HEIC, other pictures, raw files; those of one kind by name.
    """
    several = [each for each in shot.companions if extension(each.name) in PHOTO]
    return sorted(several, key=lambda each: KINDS[extension(each.name)])


def without_edits(group: Group, is_out: Callable[[str], bool]) -> Group | None:
    """A shot that an edit leads, led by its first picture that is not out; None if there is none.

    The edit stays a companion: it goes where its original goes.
    """
    photos = [_photo(name) for name in (group[0], *group[1]) if _is_photo(name)]
    by_stem: dict[str, list[int]] = defaultdict(list)
    for place, photo in enumerate(photos):
        for stem in {photo.stem, photo.key}:
            by_stem[stem].append(place)
    kept = edits_of_originals(by_stem)
    edits = [each for each in photos if each.edited or any(_candidates(each, by_stem, kept))]
    originals_of_it = sorted((e for e in photos if e not in edits), key=lambda each: each.rank)
    if photos[0] not in edits or not originals_of_it:
        return None
    order = [*sorted(edits, key=lambda each: -len(each.stem)), *originals_of_it]
    first = next((photo.name for photo in order if not is_out(photo.name)), None)
    if first is None:
        return None
    rest = {*group[1], group[0]} - {first}
    return first, tuple(sorted(rest, key=os.fsencode))


def _is_photo(name: str) -> bool:
    return extension(name) in PHOTO


def _joined(photos: list[_Photo], folder: Path, evidence: Evidence) -> list[list[_Photo]]:
    return _with_edits(list(_shots(photos, folder, evidence)), folder, evidence)


def _photo(name: str) -> _Photo:
    key, mark = key_of(name)
    kind = KINDS.get(extension(name), UNKNOWN_KIND)
    return _Photo(name, stem_of(name), key, kind, edited=mark == "e", original=mark == "original")


def _shots(photos: list[_Photo], folder: Path, evidence: Evidence) -> Iterator[list[_Photo]]:
    """Shots of equal keys as lists, the primary first."""
    by_key: dict[str, list[_Photo]] = defaultdict(list)
    for photo in photos:
        by_key[photo.key].append(photo)
    for same in by_key.values():
        if len(same) == 1:
            yield same
            continue
        for joined in _edits_joined(list(_split(same))):
            for shot in _without_doubles(sorted(joined, key=lambda photo: photo.rank)):
                yield from _without_strangers(shot, folder, evidence)


def _split(same: list[_Photo]) -> Iterator[list[_Photo]]:
    """Files of one key: the camera's together, first; other pictures one shot an extension."""
    parts: dict[str, list[_Photo]] = defaultdict(list)
    for photo in same:
        parts[extension(photo.name) if photo.kind == UNKNOWN_KIND else ""].append(photo)
    for part in sorted(parts):
        yield parts[part]


def _edits_joined(parts: list[list[_Photo]]) -> Iterator[list[_Photo]]:
    """An edit whose original is of another kind joins it: the camera's, else its only namesake."""
    edits = [part for part in parts if all(photo.edited for photo in part)]
    originals = [part for part in parts if part not in edits]
    camera = originals and originals[0][0].kind != UNKNOWN_KIND
    if edits and (camera or len(originals) == 1):
        yield sum(edits, originals[0])
        yield from originals[1:]
    else:
        yield from parts


def _without_doubles(shot: list[_Photo]) -> Iterator[list[_Photo]]:
    """Two pictures of one kind are not one shot: a second JPEG is the primary of its own."""
    shots: list[list[_Photo]] = []
    for photo in shot:
        fits = [other for other in shots if not any(_same_part(photo, each) for each in other)]
        exact = [other for other in fits if _plain_stem(other[0]) == _plain_stem(photo)]
        if fits:
            (exact or fits)[0].append(photo)
        else:
            shots.append([photo])
    yield from shots


def _plain_stem(photo: _Photo) -> str:
    return photo.name.rpartition(".")[0]


def _same_part(one: _Photo, other: _Photo) -> bool:
    # Raw files may be several: a converter writes a DNG beside the CR2.
    return (one.kind, one.edited, one.original) == (other.kind, other.edited, other.original) and (
        one.kind != RAW_KIND or extension(one.name) == extension(other.name)
    )


def _without_strangers(
    shot: list[_Photo], folder: Path, evidence: Evidence
) -> Iterator[list[_Photo]]:
    """Files of the same number that another camera took are shots of their own."""
    left = shot
    while left:
        first, *rest = left
        own = [each for each in rest if _is_of(first, each, folder, evidence)]
        yield [first, *own]
        left = [each for each in rest if each not in own]


def _is_of(first: _Photo, other: _Photo, folder: Path, evidence: Evidence) -> bool:
    if first.key.startswith(UNIQUE):
        return True
    one, two = folder / first.name, folder / other.name
    if first.edited and not other.edited:
        return is_edit(Mark.APPLE, one, two, evidence)
    return are_of_one_shot(one, two, evidence)


def _with_edits(shots: list[list[_Photo]], folder: Path, evidence: Evidence) -> list[list[_Photo]]:
    """Join edits with their originals; an edit of an edit goes with both."""
    by_stem: dict[str, list[int]] = defaultdict(list)
    for index, shot in enumerate(shots):
        for stem in dict.fromkeys(stem for each in shot for stem in (each.stem, each.key)):
            by_stem[stem].append(index)
    kept = edits_of_originals(by_stem)
    parent: dict[int, int] = {}
    for index in range(len(shots)):
        found = _original(index, shots, by_stem, kept, folder, evidence)
        if found is not None and _root(found, parent) != index:
            parent[index] = found
    if not parent:
        return shots
    edits: dict[int, list[list[_Photo]]] = defaultdict(list)
    for index in parent:
        edits[_root(index, parent)].append(shots[index])
    return [
        _led(edits[index], shot) if index in edits else shot
        for index, shot in enumerate(shots)
        if index not in parent
    ]


def _original(
    index: int,
    shots: list[list[_Photo]],
    by_stem: dict[str, list[int]],
    kept: dict[str, str],
    folder: Path,
    evidence: Evidence,
) -> int | None:
    """The place of the shot that this one is an edit of; `kept` are names of originals by edits."""
    photo = shots[index][0]
    for stem, mark in _candidates(photo, by_stem, kept):
        several = sorted(by_stem[stem], key=lambda each: not _by_camera(shots[each]))
        for place in several:
            original = folder / shots[place][0].name
            if place != index and is_edit(mark, folder / photo.name, original, evidence):
                return place
    return None


def _candidates(
    photo: _Photo, by_stem: dict[str, list[int]], kept: dict[str, str]
) -> Iterator[tuple[str, Mark]]:
    """The stems of what a photo may be an edit of; a TIFF may have the name of its raw file."""
    if photo.stem in kept:
        yield kept[photo.stem], Mark.WORD
    if photo.kind == UNKNOWN_KIND and len(by_stem[photo.stem]) > 1:
        yield photo.stem, Mark.OTHER
    yield from originals(photo.stem, by_stem)
    if photo.key != photo.stem:
        yield from originals(photo.key, by_stem)


def _root(index: int, parent: dict[int, int]) -> int:
    while index in parent:
        index = parent[index]
    return index


def _led(edits: list[list[_Photo]], original: list[_Photo]) -> list[_Photo]:
    """The files of a shot, the last edit first: ~3 after ~2. A raw file leads none but raw ones."""

    def order(edit: list[_Photo]) -> tuple[bool, int, str]:
        return edit[0].kind != RAW_KIND, len(edit[0].stem), edit[0].name

    several = sorted(edits, key=order, reverse=True)
    if several[0][0].kind == RAW_KIND and original[0].kind != RAW_KIND:
        several.insert(0, original)
    else:
        several.append(original)
    return [photo for shot in several for photo in shot]


def _by_camera(shot: Sequence[_Photo]) -> bool:
    return any(photo.kind != UNKNOWN_KIND for photo in shot)
