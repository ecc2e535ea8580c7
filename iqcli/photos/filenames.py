"""What the names of files mean: which of a folder belong to one shot, bursts and panoramas.

Phones and cameras write several files for one press of the button. Files that belong together
share a key: the stem in lower case, without the marks of the parts of a shot.

    IMG_1234.HEIC .JPG .DNG .MOV .AAE .xmp        one shot: the processed picture is the primary
    IMG_E1234.JPG, IMG_O1234.AAE                  the edited picture is primary to its original
    IMG_1234_HEVC.MOV                             the live part of IMG_1234
    PXL_20230101_120000123.RAW-01.COVER.jpg       and .RAW-02.ORIGINAL.dng: the cover is primary
    IMG_1234.JPG.xmp, IMG_1234_01.JPG.xmp         sidecars, the second of a darktable duplicate
    IMG_1234.JPG.supplemental-metadata.json       Google Takeout

Bursts and panoramas (equal burst keys mean one burst only inside one folder):

    IMG_20231014_183246_BURST001_COVER.jpg            Huawei, Honor, Xiaomi, HTC, Motorola, …:
                                                      what stands before BURST is the same
    00015IMG_00015_BURST20171111030039_COVER.jpg      Nexus, Pixel
    DSC_0052_BURST20230709220904977_COVER.JPG         Sony Xperia: what stands behind it is
    20231207_101605_001.jpg                           Samsung
    PXL_20230330_184138390.PANO.jpg, PANO_20170505_120000.jpg
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iqcli.photos.formats import HEIF, JPEG, PICTURE, RAW, VIDEO, extension

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Group = tuple[str, tuple[str, ...]]
EDITED = re.compile(r"img_([eo])(?=\d{4})")
PIXEL = re.compile(r"(pxl_\d{8}_\d{9})((?:\.[a-z_]+(?:-\d\d)?)+)(.*)")
# JPEG before HEIC: a camera that writes both writes the same picture, and JPEG decodes fastest.
KINDS = {ext: rank for rank, exts in enumerate((JPEG, HEIF, PICTURE, RAW)) for ext in exts}
UNKNOWN_KIND, RAW_KIND = KINDS["png"], KINDS["dng"]

DUPLICATE = re.compile(r"(.+)_\d\d(\.[^.]+)")
TAKEOUT = re.compile(r"(?P<stem>.+?)(?P<ext>\.[^.]+?)(?:\.(?P<word>[a-z-]+))?(?P<number>\(\d+\))?")
# Google cuts the name of the whole file at 46 characters, so any beginning of the word occurs.
TAKEOUT_WORD = "supplemental-metadata"

_DAY = r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_TIME = r"(?:[01]\d|2[0-3])[0-5]\d[0-5]\d"
_FLAGS = re.ASCII | re.IGNORECASE
# "BURST" that is no part of a word, and the number behind it; what follows is of one frame.
BURST = re.compile(r"(?P<head>.*?(?<![a-z])BURST)(?P<number>\d+).*", _FLAGS)
# So many digits are a time that all frames of the burst have; fewer count them.
STAMP_DIGITS = 8
NUMBERED = re.compile(rf"(?P<key>{_DAY}_{_TIME})_\d{{3}}", _FLAGS)
PANORAMA = re.compile(rf"PXL_{_DAY}_{_TIME}\d{{3}}\.PANO(\..+)?|PANO_{_DAY}_{_TIME}.*", _FLAGS)


@dataclass(frozen=True, slots=True)
class _Photo:
    name: str
    key: str
    kind: int
    edited: bool
    original: bool

    @property
    def stem(self) -> str:
        return self.name.rpartition(".")[0]

    @property
    def rank(self) -> tuple[bool, bool, bool, int, bytes]:
        """The smallest is primary: what its owner sees, else what is cheapest to decode."""
        raw = self.kind == RAW_KIND
        return raw, self.original, not self.edited, self.kind, os.fsencode(self.name)


def group(photos: Iterable[str], others: Iterable[str]) -> list[Group]:
    """Join the names of one folder into shots: (primary, companions), both in byte order.

    `photos` are the pictures; of `others` what belongs to a shot becomes its companion, the rest
    is left out. Names compare without case; names that differ in case alone stay apart where both
    hold the same kind of picture. PNG, GIF, TIFF, … never join another picture of the same stem
    (a screenshot has the number of a photo by chance), except as an edit of its only namesake.
    A companion that fits several shots goes to the camera's.
    """
    shots = list(_shots([_photo(name) for name in photos]))
    companions = _assign(shots, others)
    groups = []
    for shot, extra in zip(shots, companions, strict=True):
        rest = [*(photo.name for photo in shot[1:]), *extra]
        groups.append((shot[0].name, tuple(sorted(rest, key=os.fsencode))))
    return sorted(groups, key=lambda each: os.fsencode(each[0]))


def _photo(name: str) -> _Photo:
    key, mark = key_of(name)
    kind = KINDS.get(extension(name), UNKNOWN_KIND)
    return _Photo(name, key, kind, edited=mark == "e", original=mark == "original")


def key_of(name: str) -> tuple[str, str]:
    """The key of a file name, and the mark taken off it: "e", "o", "original" or nothing."""
    stem = name.rpartition(".")[0].lower() if extension(name) else name.lower()
    if edited := EDITED.match(stem):
        return "img_" + stem[edited.end() :], edited[1]
    if pixel := PIXEL.fullmatch(stem):
        return pixel[1] + pixel[3], "original" if pixel[2].endswith(".original") else ""
    if extension(name) in VIDEO:
        stem = stem.removesuffix("_hevc")
    return stem, ""


def _shots(photos: list[_Photo]) -> Iterator[list[_Photo]]:
    """Shots as lists, the primary first."""
    by_key: dict[str, list[_Photo]] = defaultdict(list)
    for photo in photos:
        by_key[photo.key].append(photo)
    for same in by_key.values():
        if len(same) == 1:
            yield same
        else:
            for shot in _edits_joined(list(_split(same))):
                yield from _without_doubles(sorted(shot, key=lambda photo: photo.rank))


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
        exact = [other for other in fits if other[0].stem == photo.stem]
        if fits:
            (exact or fits)[0].append(photo)
        else:
            shots.append([photo])
    yield from shots


def _same_part(one: _Photo, other: _Photo) -> bool:
    # Raw files may be several: a converter writes a DNG beside the CR2.
    return (one.kind, one.edited, one.original) == (other.kind, other.edited, other.original) and (
        one.kind != RAW_KIND or extension(one.name) == extension(other.name)
    )


def _by_camera(shot: list[_Photo]) -> bool:
    return any(photo.kind != UNKNOWN_KIND for photo in shot)


def _assign(shots: list[list[_Photo]], others: Iterable[str]) -> list[list[str]]:
    """The companions of each shot, in the order of `shots`."""
    by_name: dict[str, int] = {}
    by_exact: dict[str, int] = {}
    by_key: dict[str, list[int]] = defaultdict(list)
    for index, shot in enumerate(shots):
        by_exact |= {photo.name: index for photo in shot}
        for photo in shot:
            by_name.setdefault(photo.name.lower(), index)
        by_key[shot[0].key].append(index)
    taken: list[list[str]] = [[] for _ in shots]
    for name in others:
        owners = [by_exact[full] for full in full_names(name) if full in by_exact]
        owners += [by_name[full.lower()] for full in full_names(name) if full.lower() in by_name]
        owners += _by_stem(name, shots, by_key.get(key_of(name)[0], []))
        if owners:
            taken[owners[0]].append(name)
    return taken


def _by_stem(name: str, shots: list[list[_Photo]], candidates: list[int]) -> list[int]:
    """Indices of the shots that a file named after the stem may belong to, the best first."""
    if extension(name) == "json":
        return []  # a NAME.json belongs to some program, not to the photo
    if extension(name) in VIDEO:
        # The live part of a camera's picture. A film beside a screenshot is a film.
        candidates = [index for index in candidates if _by_camera(shots[index])]
    stem = name.rpartition(".")[0]

    def rank(index: int) -> tuple[bool, bool, bytes]:
        shot = shots[index]
        exact = any(photo.stem == stem for photo in shot)
        return not _by_camera(shot), not exact, os.fsencode(shot[0].name)

    return sorted(candidates, key=rank)


def full_names(name: str) -> Iterator[str]:
    """Names of photos that this file may belong to by its full name, the likeliest first."""
    stem, dot, ext = name.rpartition(".")
    if not dot:
        return
    yield stem
    if ext.lower() == "xmp" and (duplicate := DUPLICATE.fullmatch(stem)):
        yield duplicate[1] + duplicate[2]
    takeout = TAKEOUT.fullmatch(stem) if ext.lower() == "json" else None
    if takeout and TAKEOUT_WORD.startswith(takeout["word"] or ""):
        yield takeout["stem"] + (takeout["number"] or "") + takeout["ext"]


def burst_of_name(name: str) -> str | None:
    """A key that the frames of a burst share, such as "name:burst20171111030039"; None for none."""
    stem = _stem_of(name)
    if numbered := NUMBERED.fullmatch(stem):
        return f"name:{numbered['key']}"
    burst = BURST.fullmatch(stem)
    if burst and len(burst["number"]) >= STAMP_DIGITS:
        return f"name:burst{burst['number']}"
    return f"name:{burst['head'].lower()}" if burst else None


def is_weak_mark(mark: str) -> bool:
    """Whether a key of a burst has no number, so that all bursts of a folder may have it."""
    return mark.startswith("name:") and not any(each.isdigit() for each in mark)


def is_panorama_name(name: str) -> bool:
    """Whether the phone calls this file a panorama that it stitched."""
    return PANORAMA.fullmatch(_stem_of(name)) is not None


def _stem_of(name: str) -> str:
    return name.rpartition(".")[0] or name
