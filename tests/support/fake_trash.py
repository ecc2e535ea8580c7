"""A system's trash as freedesktop.org has it, in a home of our own, and a person who restores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Trash:
    """The trash of a home folder."""

    home: Path

    @property
    def folder(self) -> Path:
        return self.home / ".local/share/Trash"

    @property
    def things(self) -> list[Path]:
        """What was thrown away."""
        return sorted((self.folder / "files").glob("*"))

    def restore(self) -> None:
        """Put back everything where its note says that it was."""
        for thing in self.things:
            note = self.folder / "info" / f"{thing.name}.trashinfo"
            [line] = [each for each in note.read_text().splitlines() if each.startswith("Path=")]
            path = unquote(line.removeprefix("Path="), errors="surrogateescape")
            thing.rename(self.home / ".local/share" / path)
            note.unlink()


def a_trash(home: Path, patch: pytest.MonkeyPatch) -> Trash:
    """Make this folder the home of whoever throws something away."""
    other = pytest.importorskip("send2trash.plat_other")
    trash = Trash(home)
    home.mkdir(parents=True, exist_ok=True)
    patch.setenv("HOME", str(home))
    patch.setattr(other, "XDG_DATA_HOME", bytes(home / ".local/share"))
    patch.setattr(other, "HOMETRASH_B", bytes(trash.folder))
    patch.setattr("send2trash.send2trash", other.send2trash)
    return trash
