"""Edits: files beside photos, or photos, are given a new content; the old one is kept for an undo.

An edit is a step like a move (see `steps`). Cut off, the file holds its old content or its new one,
or there is an empty claim where there was no file (journalled before).
"""

from __future__ import annotations

import errno
import hashlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iqcli.errors import IqError, PlanConflict
from iqcli.fs import durable, files
from iqcli.text import display_path
from iqcli.transactions.edit_records import EditState, FileEdit, inspect_edit, is_part
from iqcli.transactions.plan import below
from iqcli.transactions.steps import FileState, JournalState, OnClaim, Step

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    Content = bytes | Path


@dataclass(frozen=True, slots=True)
class Edit:
    """A new content for one file under a root, both as a `Shot` has them.

    `expect` is the hex sha256 of the content that the new one was made from, None where there must
    be no file. `after` is the new content, or a finished file with it: beside `path`, its name
    beginning with `files.PART`. Such a part becomes the file; it is gone when the run has ended.
    `shot` is the primary file of the shot that the file belongs to, None where it moves with none.
    """

    root: Path
    path: Path
    expect: str | None
    after: Content
    shot: Path | None = None


@contextmanager
def checked(edits: Sequence[Edit]) -> Iterator[list[tuple[FileEdit, Content]]]:
    """The edits that change something, each with its new content; their parts go in the end.

    Raises PlanConflict for a file outside its root, IqError where a part cannot be read.
    """
    try:
        try:
            found = [(_file_edit(each), each.after) for each in edits]
        except OSError as error:
            name = display_path(error.filename) if error.filename else "a file to edit"
            why = f"cannot read {name}: {error.strerror}; nothing was written"
            raise IqError(why) from error
        yield [(edit, after) for edit, after in found if edit.before != edit.after]
    finally:
        for each in edits:
            with suppress(OSError):
                if isinstance(each.after, Path):
                    files.remove(each.after)


def _file_edit(edit: Edit) -> FileEdit:
    root = edit.root.resolve()
    path = root / below(root, edit.path)
    if isinstance(edit.after, bytes):
        return FileEdit(root, path, edit.expect, hashlib.sha256(edit.after).hexdigest())
    part = edit.after.parent.resolve() / edit.after.name
    assert is_part(part, path)
    return FileEdit(root, path, edit.expect, files.sha256(part), part)


class Backups:
    """The old contents of one run's edited files, by their numbers, in a folder of their own."""

    def __init__(self, state_dir: Path, run: str) -> None:
        self.folder = state_dir / "kept" / run

    def path(self, number: int) -> Path:
        """Where the old content of an edit is kept."""
        return self.folder / str(number)

    def take(self, edits: Sequence[FileEdit]) -> None:
        """Copy all that will be replaced and see it on the disk. Raises PlanConflict, OSError."""
        files.make_folders(self.folder, 0o700)
        old = [(number, each.path) for number, each in enumerate(edits) if each.before]
        need, free = (
            sum(files.lstat(path).st_size for _, path in old),
            durable.free_bytes(self.folder),
        )
        if need > free:
            raise IqError(
                f"to keep what is replaced takes {need / 2**20:,.0f} MiB in "
                f"{display_path(self.folder.parent)}, and {free / 2**20:,.0f} are free; make room"
            )
        for number, path in old:
            digest = durable.copied(path, self.path(number), files.lstat(path), sync=False)
            if digest != edits[number].before:
                raise PlanConflict(f"{display_path(path)} has changed since")
        durable.sync_files(self.path(number) for number, _ in old)
        durable.sync_folder(self.folder)

    def drop(self, numbers: Collection[int]) -> None:
        """Remove these, and the folder with the last of them. Raises OSError."""
        for number in numbers:
            files.remove(self.path(number))
        files.remove_folder(self.folder)


@dataclass(frozen=True, slots=True)
class _EditStep(Step):
    """A step of an edit; `source` and `target` are the file. `backup` has its old content."""

    edit: FileEdit
    backup: Path

    verb = "write"

    @property
    def leftovers(self) -> tuple[Path, ...]:
        return self.edit.parts


@dataclass(frozen=True, slots=True)
class WriteFile(_EditStep):
    """A file is given its new content, which lies finished beside it."""

    def inverse(self) -> RestoreFile:
        return RestoreFile(self.source, self.target, self.edit, self.backup)

    def inspect(self, known: JournalState) -> FileState:
        state = inspect_edit(self.edit, known.claims)
        if known.settled and state is not EditState.BEFORE:
            raise PlanConflict(f"{display_path(self.target)} has changed since")
        return {
            EditState.BEFORE: FileState.AT_SOURCE,
            EditState.AFTER: FileState.AT_TARGET,
            EditState.CLAIM: FileState.CLAIMED,
        }[state]

    def apply(self, state: FileState, on_claim: OnClaim) -> None:
        if state is FileState.CLAIMED:
            files.remove_claim(self.target)
        if state in (FileState.AT_SOURCE, FileState.CLAIMED):
            if self.edit.before:
                files.rename_into_place(self.edit.new_part, self.target, sync=False)
            else:
                files.place_new(self.edit.new_part, self.target, on_claim)


@dataclass(frozen=True, slots=True)
class RestoreFile(_EditStep):
    """A file is given its old content, time and mode again, or removed if there was none."""

    def inverse(self) -> WriteFile:
        return WriteFile(self.source, self.target, self.edit, self.backup)

    def inspect(self, known: JournalState) -> FileState:
        state = inspect_edit(self.edit, known.claims)
        needed = state is EditState.AFTER and self.edit.before
        if needed and not files.lstat_or_none(self.backup):
            raise PlanConflict(f"what was kept of {display_path(self.target)} is gone")
        return {
            EditState.BEFORE: FileState.AT_TARGET,
            EditState.AFTER: FileState.AT_SOURCE,
            EditState.CLAIM: FileState.SPARE,
        }[state]

    def is_damaged(self) -> bool:
        """Whether an old content was kept that is not what it was."""
        try:
            kept = self.edit.before and files.lstat_or_none(self.backup)
            return bool(kept) and files.sha256(self.backup) != self.edit.before
        except OSError:
            return True

    def apply(self, state: FileState, on_claim: OnClaim) -> None:
        if state is FileState.SPARE:
            files.remove_claim(self.target)
        elif state is FileState.AT_SOURCE and self.edit.before is None:
            files.remove(self.target)
        elif state is FileState.AT_SOURCE:
            part = files.part_of(self.target)
            if durable.copied(self.backup, part, files.lstat(self.backup)) != self.edit.before:
                files.remove(part)
                raise OSError(errno.EIO, "what was kept of it is damaged", str(self.backup))
            files.rename_into_place(part, self.target, sync=False)


def edit_steps(edits: Sequence[FileEdit], backups: Backups) -> list[WriteFile]:
    """A step for each edit."""
    return [
        WriteFile(each.path, each.path, each, backups.path(number))
        for number, each in enumerate(edits)
    ]


def write_parts(edits: Sequence[FileEdit], contents: Sequence[Content], parts: list[Path]) -> None:
    """Have every new content on the disk, beside its file; lists them in `parts`.

    Raises IqError and OSError.
    """
    for edit, content in zip(edits, contents, strict=True):
        parts.append(edit.new_part)
        try:
            old = files.lstat_or_none(edit.path)
            if isinstance(content, bytes):
                durable.write_part(edit.new_part, (content,), old, sync=False)
            elif old:
                durable.copy_mode(edit.new_part, old)
        except OSError as error:
            name = display_path(edit.path)
            raise IqError(f"cannot write {name}: {error.strerror}") from error
    durable.sync_files(parts)
