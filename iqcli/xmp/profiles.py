"""Which sidecars each photo program reads, and which file beside a photo is its sidecar.

    IMG_1.CR2.xmp   the full name: cannot belong to another photo
    IMG_1.xmp       the stem: Adobe's way for raw files; another IMG_1 may be meant

Where programs look: Lightroom Classic and Capture One take the stem beside raw files, and of other
photos they read the embedded packet alone. darktable, digiKam, Immich and geeqie take the full name
and fall back to the stem.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from iqcli.photos.formats import PHOTO, RAW, extension
from iqcli.photos.names.keys import normal
from iqcli.photos.xmp import GOOD, PICK, PICK_LABEL
from iqcli.xmp.write import SUBJECT, TAGS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from iqcli.records import Shot


@dataclass(frozen=True, slots=True)
class Profile:
    """What one program reads.

    `stem`: sidecars of raw files are `NAME.xmp`, and it reads none of other photos (DNG among
    them). `rejects`: it knows a rating of -1. `flags` and `lists` are the properties that it reads
    for picks and keywords.
    """

    program: str
    stem: bool = False
    rejects: bool = True
    flags: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset({SUBJECT})


PROFILES = {
    "generic": Profile("most programs"),
    "lightroom": Profile("Lightroom", stem=True, flags=frozenset({PICK, GOOD})),
    # Its ratings are 0 to 5: what is rejected has a flag of its own.
    "digikam": Profile(
        "digiKam", rejects=False, flags=frozenset({PICK_LABEL}), lists=frozenset({SUBJECT, TAGS})
    ),
    "darktable": Profile("darktable"),
    "captureone": Profile("Capture One", stem=True),
    "immich": Profile("Immich", lists=frozenset({SUBJECT, TAGS})),
}


@dataclass(frozen=True, slots=True)
class SidecarTarget:
    """The sidecar of one picture file: to be edited if it `exists`, else to be made.

    `extension` is the picture's where the sidecar has to name it; `is_read`: whether the program
    of the profile looks there.
    """

    picture: Path
    path: Path
    exists: bool
    extension: str | None = None
    is_read: bool = True


def is_raw(path: Path) -> bool:
    """Whether a file is raw and not written into, by its name: a DNG is made to be."""
    ext = extension(path.name)
    return ext in RAW and ext != "dng"


def pictures(shot: Shot) -> list[Path]:
    """The picture files of a shot: each may be a photo of its own to another program."""
    return [shot.path, *(each for each in shot.companions if extension(each.name) in PHOTO)]


def sidecar_targets(
    shot: Shot,
    profile: Profile,
    names: Collection[str],
    extension_in: Callable[[Path], str | None],
) -> Iterator[SidecarTarget]:
    """The sidecars to write for a shot: one for each picture, none twice.

    `names` are all names in its folders; `extension_in` gives the extension of the photo that a
    sidecar names. A sidecar that may be another photo's is never taken.
    """
    several = pictures(shot)
    raw = [each for each in several if is_raw(each)]
    done: set[Path] = set()
    # Programs that go by the stem take the JPEG beside a raw file for a part of it.
    for picture in raw if profile.stem and raw else several:
        target = _target(shot, picture, profile, names, extension_in)
        if target.path not in done:
            done.add(target.path)
            yield target


def _target(
    shot: Shot,
    picture: Path,
    profile: Profile,
    names: Collection[str],
    extension_in: Callable[[Path], str | None],
) -> SidecarTarget:
    ext = extension(picture.name)
    full, stem = (_existing(shot, picture, name) for name in (picture.name, picture.stem))
    if stem is not None:
        named = extension_in(stem)
        if named.lower() != ext if named else _is_shared(shot, picture, names):
            stem = None
    if profile.stem and is_raw(picture):
        own = stem or picture.with_name(f"{picture.stem}.xmp")
        return SidecarTarget(picture, own, stem is not None, ext.upper())
    found = full if profile.stem else full or stem
    own = found or picture.with_name(f"{picture.name}.xmp")
    return SidecarTarget(picture, own, found is not None, is_read=not profile.stem)


def _existing(shot: Shot, picture: Path, stem: str) -> Path | None:
    """The sidecar of that stem beside a picture, the exact one before one in another form."""
    name = f"{stem}.xmp"
    beside = (each for each in shot.companions if each.parent == picture.parent)
    found = [each for each in beside if normal(each.name) == normal(name)]
    return min(found, key=lambda each: each.name != name, default=None)


def _is_shared(shot: Shot, picture: Path, names: Collection[str]) -> bool:
    """Whether a photo of another shot has the same stem."""
    own = {each.name for each in shot.files}
    stem = normal(picture.stem)
    return any(
        name not in own and extension(name) in PHOTO and normal(name.rpartition(".")[0]) == stem
        for name in names
    )
