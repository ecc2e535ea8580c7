"""Edits as journals record them, and what is found at the names: the old content, or the new."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from iqcli.errors import IqError, PlanConflict
from iqcli.fs import files
from iqcli.photos.folder import is_photo
from iqcli.text import display_path
from iqcli.transactions.jsonl import SHA256, Record, path_fields, path_of, want
from iqcli.transactions.plan import check_real, check_root

if TYPE_CHECKING:
    from collections.abc import Container, Iterable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class FileEdit:
    """One file: absolute, its folder link-free and in the root (absolute, link-free).

    `before` and `after` are the content's sha256 in hex, `before` None where there was no file.
    `part` is where the new content was ready when the run began, if it was.
    """

    root: Path
    path: Path
    before: str | None
    after: str
    part: Path | None = None

    @property
    def new_part(self) -> Path:
        """Where the new content lies until it becomes the file."""
        return self.part or files.part_of(self.path)

    @property
    def parts(self) -> tuple[Path, ...]:
        """Where unfinished contents may lie, beside the file."""
        own = files.part_of(self.path)
        return (own, self.part) if self.part else (own,)


def records(edited: Iterable[FileEdit]) -> list[Record]:
    """A record a file."""
    return [
        {
            **path_fields("root", each.root),
            **path_fields("path", each.path),
            "before": each.before,
            "after": each.after,
            **(path_fields("part", each.part) if each.part else {}),
        }
        for each in edited
    ]


def parse(found: list[object]) -> tuple[FileEdit, ...]:
    """The edited files of these records. Raises IqError for what `records` would not write."""
    return tuple(_read(each) for each in found)


def _read(found: object) -> FileEdit:
    if not isinstance(found, dict):
        raise IqError("an edit is no JSON object")
    root, path = path_of(found, "root"), path_of(found, "path")
    before = None if found.get("before") is None else want(found, "before", str)
    after = want(found, "after", str)
    part = path_of(found, "part") if "part" in found else None
    if not all(SHA256.fullmatch(each) for each in (before or after, after)):
        raise IqError("an edit has no sha256")
    if not root.is_absolute() or not path.is_relative_to(root) or ".." in path.parts:
        raise IqError("an edit lies outside its root")
    if part and not is_part(part, path):
        raise IqError("an edit has a part that is none")
    return FileEdit(root, path, before, after, part)


def is_part(part: Path, path: Path) -> bool:
    """Whether this is a name for what is to become `path`: one of ours, beside it."""
    return part.parent == path.parent and part.name.startswith(files.PART)


def check_edits(edited: Iterable[FileEdit]) -> None:
    """See that every file lies, links resolved, in its root, and is one that iq writes.

    Raises PlanConflict, naming it.
    """
    real: set[Path] = set()
    paths: set[Path] = set()
    for each in edited:
        check_root(each.root, real)
        check_real(each.path.parent, real)
        if not _is_ours_to_write(each):
            name = display_path(each.path)
            raise PlanConflict(f"{name} is no photo and no sidecar, and is not touched")
        if each.path in paths:
            raise PlanConflict(f"{display_path(each.path)} stands twice among the edits")
        paths.add(each.path)


def _is_ours_to_write(edit: FileEdit) -> bool:
    """Whether it is a sidecar, or a photo that was there: a journal may be forged."""
    if edit.path.suffix.lower() == ".xmp":
        return True
    status = files.lstat_or_none(edit.path)
    return edit.before is not None and (status is None or is_photo(edit.path, status))


class EditState(Enum):
    """What was found under the name of an edited file."""

    BEFORE = auto()
    AFTER = auto()
    CLAIM = auto()  # an empty file of ours, that held the name for the new content


def inspect_edit(edited: FileEdit, claims: Container[Path] = ()) -> EditState:
    """See what is there. Raises PlanConflict where it is neither old nor new, and OSError."""
    status = files.lstat_or_none(edited.path)
    if not status:
        if edited.before is None:
            return EditState.BEFORE
        raise PlanConflict(f"{display_path(edited.path)} is gone")
    if stat.S_ISREG(status.st_mode):
        digest = files.sha256(edited.path)
        if digest in (edited.before, edited.after):
            return EditState.BEFORE if digest == edited.before else EditState.AFTER
        if edited.before is None and not status.st_size and edited.path in claims:
            return EditState.CLAIM
    raise PlanConflict(f"{display_path(edited.path)} has changed since")
