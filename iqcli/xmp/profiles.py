"""What each photo program reads of a sidecar, and which file beside a photo is its sidecar.

    IMG_1.CR2.xmp   the full name: cannot belong to another photo
    IMG_1.xmp       the stem: Adobe's way for raw files; another IMG_1 may be meant

Where programs look: Lightroom Classic and Capture One take the stem beside raw files and read other
photos' embedded packets alone; darktable, digiKam, Immich and geeqie take the full name and fall
back to the stem.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from iqcli.photos.formats import PHOTO, RAW, extension
from iqcli.photos.xmp import GOOD, PICK, PICK_LABEL
from iqcli.xmp.write import SUBJECT, TAGS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from iqcli.records import Shot


@dataclass(frozen=True, slots=True)
class Profile:
    """The ways of one program. `stem`: raw files' sidecars are `NAME.xmp`, and other photos (DNG,
    too) have none that it reads. `rejects`: it takes a rating of -1."""

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
class Home:
    """The sidecar of one picture file: to be edited if it `exists`, else to be made.

    `named` is the picture's extension where the sidecar has to say it, `read` whether the program
    looks there.
    """

    picture: Path
    path: Path
    exists: bool
    named: str | None = None
    read: bool = True


def is_raw(path: Path) -> bool:
    """Whether a file is raw and nobody writes into it, by its name: a DNG is made for that."""
    ext = extension(path.name)
    return ext in RAW and ext != "dng"


def pictures(shot: Shot) -> list[Path]:
    """The picture files of a shot: each may be a photo of its own to another program."""
    return [shot.path, *(each for each in shot.companions if extension(each.name) in PHOTO)]


def homes(
    shot: Shot,
    profile: Profile,
    beside: Collection[str],
    belongs: Callable[[Path], str | None],
) -> Iterator[Home]:
    """Where to write what is said of a shot, one home a picture, none twice.

    `beside` are the names in its folder; `belongs` tells which extension a sidecar says it is for.
    A sidecar that may be another photo's is never taken.
    """
    several = pictures(shot)
    raw = [each for each in several if is_raw(each)]
    done: set[Path] = set()
    # Programs that go by the stem take the JPEG beside a raw file for a part of it.
    for picture in raw if profile.stem and raw else several:
        home = _home(shot, picture, profile, beside, belongs)
        if home.path not in done:
            done.add(home.path)
            yield home


def _home(
    shot: Shot,
    picture: Path,
    profile: Profile,
    beside: Collection[str],
    belongs: Callable[[Path], str | None],
) -> Home:
    ext = extension(picture.name)
    full, stem = _existing(shot, f"{picture.name}.xmp"), _existing(shot, f"{picture.stem}.xmp")
    if stem is not None:
        claimed = belongs(stem)
        if claimed.lower() != ext if claimed else _is_shared(shot, picture, beside):
            stem = None
    if profile.stem and is_raw(picture):
        own = stem or picture.with_name(f"{picture.stem}.xmp")
        return Home(picture, own, stem is not None, ext.upper())
    found = full if profile.stem else full or stem
    own = found or picture.with_name(f"{picture.name}.xmp")
    return Home(picture, own, found is not None, read=not profile.stem)


def _existing(shot: Shot, name: str) -> Path | None:
    """The companion of that name, the exact one before one in another case."""
    found = [each for each in shot.companions if each.name.lower() == name.lower()]
    return min(found, key=lambda each: each.name != name, default=None)


def _is_shared(shot: Shot, picture: Path, beside: Collection[str]) -> bool:
    """Whether a photo of another shot has the same stem."""
    own = {each.name for each in shot.files}
    stem = picture.stem.lower()
    return any(
        name not in own and extension(name) in PHOTO and name.rpartition(".")[0].lower() == stem
        for name in beside
    )
