"""Scratch folders for unfinished files; what a crash leaves in one, a later run removes.

`<state>/work/NAME` is the folder. `NAME.lock` beside it is locked while its process lives. `parts`
in it lists the unfinished files that lie elsewhere, beside photos: a path a line, as JSON.
"""

from __future__ import annotations

import json
import os
import secrets
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iqcli.fs import durable, files
from iqcli.fs.locks import try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK, PARTS = ".lock", "parts"


@dataclass(frozen=True, slots=True)
class ScratchFolder:
    """A folder of one process, removed with all its files in the end."""

    folder: Path

    def part_beside(self, path: Path) -> Path:
        """A free name beside a file, for its new content; removed in the end. Raises OSError."""
        part = path.with_name(files.PART + secrets.token_hex(8))
        durable.append_line(self.folder / PARTS, json.dumps(str(part)).encode())
        return part


@contextmanager
def scratch_folder(state_dir: Path) -> Iterator[ScratchFolder]:
    """A scratch folder; removes those of crashed runs first. Raises OSError."""
    sweep(state_dir)
    fd, folder = _claimed(state_dir / "work")
    try:
        files.make_folders(folder, 0o700)
        durable.create(folder / PARTS, b"", 0o600)
        yield ScratchFolder(folder)
    finally:
        os.close(fd)
        sweep(state_dir)


def _claimed(work: Path) -> tuple[int, Path]:
    """An open file that is locked, and the folder to be made for it. Raises OSError."""
    files.make_folders(work, 0o700)
    while True:
        folder = work / secrets.token_hex(8)
        lock = folder.with_suffix(LOCK)
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        if try_lock(fd, alone=True) and files.lstat_or_none(lock):
            return fd, folder
        os.close(fd)  # another run removed the new file as one of a dead process


def sweep(state_dir: Path) -> None:
    """Remove the scratch folders of dead processes; what cannot be removed stays for later."""
    files.refuse_foreign_links(state_dir)
    for lock in (state_dir / "work").glob(f"*{LOCK}"):
        with suppress(OSError):
            fd = os.open(lock, os.O_RDWR)
            try:
                free = try_lock(fd, alone=True)
                if free:
                    _clear(lock.with_suffix(""))
            finally:
                os.close(fd)
            if free:
                files.remove(lock)


def _clear(folder: Path) -> None:
    parts = folder / PARTS
    for line in parts.read_bytes().splitlines() if files.lstat_or_none(parts) else ():
        with suppress(TypeError, ValueError):  # cut off in a crash: that part was never begun
            part = Path(json.loads(line))
            if part.name.startswith(files.PART):
                files.remove(part)
    for each in sorted(folder.glob("*"), key=parts.__eq__):  # the list goes last
        files.remove(each)
    files.remove_folder(folder)
