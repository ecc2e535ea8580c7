"""One folder: its shots, its subfolders, and what is left alone."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum, auto
from pathlib import Path
from typing import TYPE_CHECKING

from iqcli.errors import PhotoError
from iqcli.fs.other_programs import OtherProgram, Ownership, owner_by_mark, owner_by_name
from iqcli.fs.read import MAY_BE_IN_CLOUD, is_in_cloud, read_regular
from iqcli.photos.formats import (
    HEAD_BYTES,
    OTHER_PICTURE,
    PHOTO,
    SIDECAR,
    VIDEO,
    extension,
    sniff,
)
from iqcli.photos.ignore import IGNORE_FILES, NO_MEDIA
from iqcli.photos.names.companions import FullNames
from iqcli.photos.names.shots import Group, group

if TYPE_CHECKING:
    from iqcli.photos.names.evidence import Evidence

IsPhoto = Callable[[Path, os.stat_result], bool]

REJECTS, MANIFEST, REJECTS_KIND = "_Rejected", "MANIFEST.jsonl", "iq-rejects"
# No manifest is larger: its lines are those of the runs that wait to be undone.
MANIFEST_BYTES = 1 << 30
MANIFEST_HEAD = 2**16


@dataclass(frozen=True, slots=True)
class Rules:
    """What a walk takes for photos, and what it skips; `exclude` are patterns as in .gitignore."""

    follow_links: bool
    default_excludes: bool
    is_photo: IsPhoto
    exclude: tuple[str, ...] = ()

    def hides(self, name: str) -> bool:
        """Whether a walk skips a file of this name."""
        return self.default_excludes and name.startswith(".")


@dataclass(slots=True)
class Folder:
    """Names inside one folder. `in_cloud` are those whose content is not on this disk.

    `owned` are the subfolders of other programs, `hidden` other hidden ones, `videos` those that
    belong to no shot, `pictures` those of no format of photos, `links` those to folders and photos
    that are not followed. The whole folder belongs to the program `owner` if a file in it proves
    that; `no_media` and `has_rules` tell whether a file in it says to pass it over, and one what to
    pass over in it.
    """

    shots: list[Group] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    in_cloud: set[str] = field(default_factory=set)
    owned: dict[str, OtherProgram] = field(default_factory=dict)
    hidden: list[str] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    links: int = 0
    owner: OtherProgram | None = None
    no_media: bool = False
    rules: tuple[str, ...] = ()


def read_folder(folder: Path, rules: Rules, evidence: Evidence | None = None) -> Folder:
    """List and group one folder. Raises OSError.

    No file of a known extension is opened but by `evidence`, for names that may belong together.
    """
    found = Folder()
    names: dict[_Role, list[str]] = {role: [] for role in _Role}
    unknown: list[os.DirEntry[str]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                role = _role(entry, rules)
                if role is None:
                    continue
                if isinstance(role, OtherProgram):
                    found.owned[entry.name] = role
                    continue
                if role is _Role.UNKNOWN:
                    unknown.append(entry)
                names[role].append(entry.name)
                if MAY_BE_IN_CLOUD and is_in_cloud(entry.stat()):
                    found.in_cloud.add(entry.name)
            except OSError:  # what disappears or cannot be read meanwhile is no photo
                continue
    _look_at(unknown, names, rules)
    videos, pictures = names[_Role.VIDEO], names[_Role.PICTURE]
    others = [*videos, *names[_Role.SIDECAR], *pictures, *names[_Role.UNKNOWN]]
    found.shots = group(names[_Role.PHOTO], others, folder, evidence)
    found.folders, found.hidden = names[_Role.FOLDER], names[_Role.HIDDEN]
    found.links = len(names[_Role.LINK])
    if videos or pictures:
        taken = {name for _, companions in found.shots for name in companions}
        found.videos = [name for name in videos if name not in taken]
        found.pictures = [name for name in pictures if name not in taken]
    if marks := names[_Role.MARK]:
        found.no_media = NO_MEDIA in marks
        found.rules = tuple(name for name in IGNORE_FILES if name in marks)
        if rules.default_excludes:
            found.owner = next((each for each in map(owner_by_mark, marks) if each), None)
    return found


def _look_at(entries: list[os.DirEntry[str]], names: dict[_Role, list[str]], rules: Rules) -> None:
    """Find photos among files of unknown extensions by their first bytes.

    What is named after a photo is its companion: a backup would be taken for a photo.
    """
    owners = FullNames(names[_Role.PHOTO])
    photos = set()
    for entry in entries:
        try:
            if owners.photo_of(entry.name) is None and _is_photo(entry, rules):
                photos.add(entry.name)
        except OSError:
            continue
    names[_Role.PHOTO] += sorted(photos)
    names[_Role.UNKNOWN] = [name for name in names[_Role.UNKNOWN] if name not in photos]


def _is_photo(entry: os.DirEntry[str], rules: Rules) -> bool:
    status = entry.stat()
    return not is_in_cloud(status) and rules.is_photo(Path(entry.path), status)


class _Role(StrEnum):
    FOLDER = auto()
    HIDDEN = auto()  # a folder
    PHOTO = auto()
    VIDEO = auto()
    PICTURE = auto()
    SIDECAR = auto()
    UNKNOWN = auto()  # a file of another extension, or of none
    LINK = auto()
    MARK = auto()  # a file that says what the folder is


def _role(entry: os.DirEntry[str], rules: Rules) -> _Role | OtherProgram | None:
    name = entry.name
    hidden = name.startswith(".")
    if hidden and (name in (NO_MEDIA, *IGNORE_FILES) or owner_by_mark(name)):
        return _Role.MARK
    kind = extension(name)
    if entry.is_symlink() and not rules.follow_links:
        leads = entry.is_dir() or (kind in PHOTO and entry.is_file())
        return _Role.LINK if leads and not rules.hides(name) else None
    if entry.is_dir():
        return _folder_role(entry, rules, hidden)
    if (hidden and rules.default_excludes) or not entry.is_file():
        return None
    if kind in PHOTO:
        return _Role.PHOTO
    if kind in VIDEO:
        return _Role.VIDEO
    if kind in SIDECAR or kind == "json":
        return _Role.SIDECAR
    if kind in OTHER_PICTURE:
        return _Role.PICTURE
    return _Role.MARK if owner_by_mark(name) else _Role.UNKNOWN


def _folder_role(
    entry: os.DirEntry[str], rules: Rules, hidden: bool
) -> _Role | OtherProgram | None:
    if rules.default_excludes:
        owner = owner_by_name(entry.name, entry.path)
        if not owner and entry.is_symlink():
            inside = Ownership().of(Path(entry.path))
            owner = inside[1] if inside else None
        if owner or hidden:
            return owner or _Role.HIDDEN
    return None if is_reject_folder(Path(entry.path)) else _Role.FOLDER


def is_photo(path: Path, status: os.stat_result) -> bool:
    """Whether a file is taken for a photo, by its name or else by its first bytes."""
    if not stat.S_ISREG(status.st_mode):
        return False
    return extension(path.name) in PHOTO or looks_like_photo(path, status)


def looks_like_photo(path: Path, status: os.stat_result) -> bool:
    """Whether the first bytes are those of a photo, of a format that iq reads or names."""
    if not status.st_size:
        return False
    try:
        with path.open("rb") as file:
            return sniff(file.read(HEAD_BYTES)) is not None
    except OSError:
        return False


def is_reject_folder(folder: Path) -> bool:
    """Whether iq made this folder of rejects: it has a manifest, not only the name."""
    if not folder.name.startswith(REJECTS):
        return False
    manifest = folder / MANIFEST
    try:
        if not stat.S_ISREG(manifest.lstat().st_mode):
            return False
        with manifest.open("rb") as file:
            first = json.loads(file.readline(MANIFEST_HEAD))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(first, dict) and first.get("kind") == REJECTS_KIND


def read_manifest(manifest: Path) -> bytes:
    """The content of a manifest. Raises OSError, also for what is no plain file or too large."""
    try:
        return read_regular(manifest, MANIFEST_BYTES)
    except PhotoError as error:
        raise OSError(errno.EFBIG, f"it {error}", str(manifest)) from error
