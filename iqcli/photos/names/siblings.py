"""Raw files in a folder of their own beside the JPEGs of the same press of the button.

    RAW/IMG_1.CR2, JPG/IMG_1.JPG     folders named after the formats, side by side
    RAW/IMG_1.CR2, IMG_1.JPG         or one of them inside the other

Stem, camera and moment have to agree: other folders count alike, too. So have looks where the clock
stands still.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from iqcli.photos.formats import HEIF, JPEG, PHOTO, RAW, extension
from iqcli.photos.names.clocks import Asked, moment_of
from iqcli.photos.names.evidence import Look, are_of_one_moment
from iqcli.photos.names.keys import key_of, normal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from iqcli.photos.names.evidence import Evidence
    from iqcli.photos.names.shots import Group

_FORMS = ("{0}", "{0}s", "_{0}", "{0} files", "{0}-files", "{0}_files", "{0}-dateien")
RAW_FOLDERS = frozenset(form.format(each) for each in ("raw", *RAW) for form in _FORMS)
PICTURE_FOLDERS = frozenset(form.format(each) for each in (*JPEG, *HEIF) for form in _FORMS)


def is_raw_folder(name: str) -> bool:
    """Whether a folder is called after raw files."""
    return normal(name) in RAW_FOLDERS


def is_picture_folder(name: str) -> bool:
    """Whether a folder is called after JPEG or HEIC."""
    return normal(name) in PICTURE_FOLDERS


def is_sibling(name: str) -> bool:
    """Whether a folder is called after any of them."""
    return is_raw_folder(name) or is_picture_folder(name)


def join(
    pictures: Mapping[Path, Sequence[Group]],
    raws: Mapping[Path, Sequence[Group]],
    evidence: Evidence,
) -> dict[Path, Path]:
    """The primary files of raw shots to the primary files of the pictures that they belong to.

    Both are shots by their folders. A raw shot that fits two pictures, and a picture that has a raw
    file already, or that two would fit, are left as they are.
    """
    by_key: dict[str, list[tuple[Path, Path]]] = defaultdict(list)
    for folder, shots in pictures.items():
        for shot in shots:
            for name in _pictures(shot):
                by_key[key_of(name)[0]].append((folder / name, folder / shot[0]))
    found: dict[Path, list[tuple[Path, Path]]] = defaultdict(list)
    asked = Asked(evidence)
    for folder, shots in raws.items():
        for shot in shots:
            if not _is_raw(shot):
                continue
            raw = folder / shot[0]
            fits = {
                primary: picture
                for picture, primary in by_key.get(key_of(shot[0])[0], ())
                if picture.parent != folder and are_of_one_moment(picture, raw, asked)
            }
            if len(fits) == 1:
                ((primary, picture),) = fits.items()
                found[primary].append((raw, picture))
    single = {primary: several[0] for primary, several in found.items() if len(several) == 1}
    stopped = asked.stopped(single.values())
    return {
        raw: primary
        for primary, (raw, picture) in single.items()
        if moment_of(evidence.header(raw)) not in stopped
        or evidence.likeness(picture, raw) >= Look.ALIKE
    }


def _photos(shot: Group) -> list[str]:
    return [name for name in (shot[0], *shot[1]) if extension(name) in PHOTO]


def _is_raw(shot: Group) -> bool:
    return all(extension(name) in RAW for name in _photos(shot))


def _pictures(shot: Group) -> list[str]:
    """The JPEG and HEIC files of a shot without a raw file; an edit may lead them."""
    photos = _photos(shot)
    if any(extension(name) in RAW for name in photos):
        return []
    return [name for name in photos if extension(name) in JPEG | HEIF]
