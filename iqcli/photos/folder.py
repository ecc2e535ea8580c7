"""One folder: its shots, its subfolders, and what is left alone."""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from iqcli.photos.filenames import Group, group
from iqcli.photos.formats import HEAD_BYTES, PHOTO, SIDECAR, VIDEO, extension, sniff

IsPhoto = Callable[[Path, os.stat_result], bool]

EXCLUDED = re.compile(
    r"\..*|@eaDir|node_modules|System Volume Information|\$RECYCLE\.BIN|.*\.(photoslibrary|lrdata)",
    re.IGNORECASE | re.DOTALL,
)
REJECTS, MANIFEST, REJECTS_KIND = "_Rejected", "MANIFEST.jsonl", "iq-rejects"
MANIFEST_HEAD = 2**16

# A file of a cloud drive that is not on this disk: opening it would download it.
DATALESS = 0x40000000  # macOS, sys/stat.h: SF_DATALESS
RECALL = 0x00400000 | 0x00001000  # Windows: FILE_ATTRIBUTE_RECALL_ON_DATA_ACCESS, _OFFLINE
MAY_BE_IN_CLOUD = hasattr(os.stat_result, "st_flags") or hasattr(
    os.stat_result, "st_file_attributes"
)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a walk takes for photos, and what it skips."""

    follow_links: bool
    default_excludes: bool
    is_photo: IsPhoto

    def excludes(self, name: str) -> bool:
        """Whether a walk skips this name."""
        return self.default_excludes and EXCLUDED.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Folder:
    """Names inside one folder. `in_cloud` are those whose content is not on this disk."""

    shots: list[Group]
    folders: list[str]
    in_cloud: frozenset[str]


def read_folder(folder: Path, rules: Rules) -> Folder:
    """List and group one folder; no file of a known extension is opened. Raises OSError."""
    names: dict[_Role, list[str]] = {role: [] for role in _Role}
    in_cloud: set[str] = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            # What disappears or cannot be read meanwhile is no photo.
            with contextlib.suppress(OSError):
                if role := _role(entry, rules):
                    names[role].append(entry.name)
                    if MAY_BE_IN_CLOUD and is_in_cloud(entry.stat()):
                        in_cloud.add(entry.name)
    shots = group(names[_Role.PHOTO], names[_Role.OTHER])
    return Folder(shots, names[_Role.FOLDER], frozenset(in_cloud))


class _Role(Enum):
    FOLDER = auto()
    PHOTO = auto()
    OTHER = auto()


def _role(entry: os.DirEntry[str], rules: Rules) -> _Role | None:
    if rules.excludes(entry.name) or (entry.is_symlink() and not rules.follow_links):
        return None
    if entry.is_dir():
        return None if is_reject_folder(Path(entry.path)) else _Role.FOLDER
    if not entry.is_file():
        return None
    kind = extension(entry.name)
    if kind in PHOTO:
        return _Role.PHOTO
    if kind in VIDEO or kind in SIDECAR:
        return _Role.OTHER
    status = entry.stat()
    known = not is_in_cloud(status) and rules.is_photo(Path(entry.path), status)
    return _Role.PHOTO if known else None


def looks_like_photo(path: Path, status: os.stat_result) -> bool:
    """Whether the first bytes are those of a picture that iq reads."""
    if not status.st_size:
        return False
    try:
        with path.open("rb") as file:
            return sniff(file.read(HEAD_BYTES)) is not None
    except OSError:
        return False


def is_in_cloud(status: os.stat_result) -> bool:
    """Whether a file is a placeholder, by the flags of macOS or Windows."""
    flags: int = getattr(status, "st_flags", 0)
    attributes: int = getattr(status, "st_file_attributes", 0)
    return bool(flags & DATALESS or attributes & RECALL)


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
