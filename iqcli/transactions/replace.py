"""Contents swapped file by file, the old ones kept aside first, so that each can come back."""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import TYPE_CHECKING

from iqcli.errors import IqError, PlanConflict
from iqcli.fs import durable, files
from iqcli.text import display_path
from iqcli.transactions.edit_records import Edited, EditState, inspect_edit

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Sequence
    from pathlib import Path

    from iqcli.transactions.journal import JournalWriter


class Backups:
    """The old contents of one run's files, by their numbers, in a folder of its own."""

    def __init__(self, state_dir: Path, run: str) -> None:
        self.folder = state_dir / "kept" / run

    def take(self, edited: Sequence[Edited]) -> None:
        """Copy all that will be replaced and see it on the disk. Raises PlanConflict, OSError."""
        files.make_folders(self.folder, 0o700)
        old = [(number, each.path) for number, each in enumerate(edited) if each.before]
        need, free = sum(path.lstat().st_size for _, path in old), durable.free_bytes(self.folder)
        if need > free:
            raise IqError(
                f"to keep what is replaced takes {need / 2**20:,.0f} MiB in "
                f"{display_path(self.folder.parent)}, and {free / 2**20:,.0f} are free; make room"
            )
        for number, path in old:
            held = durable.copied(path, self._of(number), path.lstat(), sync=False)
            if held != edited[number].before:
                raise PlanConflict(f"{display_path(path)} has changed since")
        durable.sync_files(self._of(number) for number, _ in old)
        durable.sync_folder(self.folder)

    def put(self, number: int, edited: Edited) -> None:
        """Give a file its old content, time and mode again. Raises OSError."""
        kept, part = self._of(number), files.part_of(edited.path)
        if durable.copied(kept, part, kept.lstat()) != edited.before:
            files.remove(part)
            raise OSError(errno.EIO, "what was kept of it is damaged", str(kept))
        files.rename_into_place(part, edited.path, sync=False)

    def drop(self, numbers: Collection[int]) -> None:
        """Forget these, and the folder with the last of them. Raises OSError."""
        for number in numbers:
            files.remove(self._of(number))
        files.remove_folder(self.folder)

    def _of(self, number: int) -> Path:
        return self.folder / str(number)


class FileEdits:
    """The edits of one run."""

    def __init__(self, log: JournalWriter, kept: Backups, edited: Sequence[Edited]) -> None:
        self._log, self._kept, self._edited = log, kept, edited
        self._parts: list[Path] = []
        self._begun: set[int] = set()
        self._claims: set[Path] = set()

    def prepare(self, after: Iterable[bytes | Path]) -> None:
        """Have every new content on the disk, beside its file. Raises OSError."""
        for edited, content in zip(self._edited, after, strict=True):
            try:
                self._parts.append(_part(edited.path, content))
            except OSError as error:
                raise _refused(edited, error) from error
        durable.sync_files(self._parts)

    def change(self, number: int) -> None:
        """Give one file its new content, having looked once more. Raises PlanConflict, IqError."""
        edited, part = self._edited[number], self._parts[number]
        if inspect_edit(edited) is not EditState.BEFORE:
            raise PlanConflict(f"{display_path(edited.path)} has changed since")
        self._begun.add(number)
        try:
            if edited.before:
                files.rename_into_place(part, edited.path, sync=False)
            else:
                files.place_new(part, edited.path, self._claim)
        except FileExistsError as error:
            taken = f"the name {display_path(edited.path)} was taken meanwhile"
            raise PlanConflict(taken) from error
        except OSError as error:
            raise _refused(edited, error) from error

    def _claim(self, path: Path) -> None:
        self._log.claim(path)
        self._claims.add(path)

    def back(self) -> list[str]:
        """Give back the old contents, the latest first, and say which could not be."""
        with suppress(OSError):
            self._log.note("back")
        stuck = []
        for number, edited in reversed(list(enumerate(self._edited))):
            try:
                if number in self._begun:
                    restore(number, edited, self._kept, self._claims)
                else:
                    _remove_parts(edited)
            except OSError as error:
                stuck.append(f"{display_path(edited.path)}: {error.strerror or error}")
            except IqError as error:
                stuck.append(str(error))
        return stuck


def _part(path: Path, content: bytes | Path) -> Path:
    """A file beside `path` with its new content, dressed like it. Raises OSError."""
    old = files.lstat_or_none(path)
    if isinstance(content, bytes):
        part = files.part_of(path)
        durable.write_part(part, (content,), old, sync=False)
        return part
    if old:
        durable.copy_mode(content, old)
    return content


def _refused(edited: Edited, error: OSError) -> IqError:
    return IqError(f"cannot write {display_path(edited.path)}: {error.strerror}")


def sync(edited: Iterable[Edited]) -> None:
    """See the names of all these files on the disk. Raises OSError."""
    for folder in sorted({each.path.parent for each in edited}):
        durable.sync_folder(folder)


def restore(number: int, edited: Edited, kept: Backups, claims: Container[Path]) -> None:
    """Bring one file back to what it was; see to `sync`. Raises PlanConflict where it has changed.

    Raises OSError, too; then it is either what it was or what it was edited to.
    """
    _remove_parts(edited)
    stand = inspect_edit(edited, claims)
    if stand is EditState.CLAIM:
        files.remove_claim(edited.path)
    elif stand is EditState.AFTER and edited.before is None:
        files.remove(edited.path)
    elif stand is EditState.AFTER:
        kept.put(number, edited)


def _remove_parts(edited: Edited) -> None:
    for part in edited.parts:
        files.remove(part)
