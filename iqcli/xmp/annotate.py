"""Edits that write remarks into sidecars, and into the photos where that is asked for."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from iqcli.errors import PhotoError, PlanConflict
from iqcli.fs import files
from iqcli.photos.xmp import MAX_BYTES
from iqcli.pipeline.sidecars import read_bytes
from iqcli.transactions.edits import Edit
from iqcli.transactions.plan import below
from iqcli.xmp.packet import BrokenPacket, read_packet
from iqcli.xmp.profiles import homes
from iqcli.xmp.write import SIDECAR_FOR, edited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from iqcli.records import Judged
    from iqcli.xmp.embed import Embedder
    from iqcli.xmp.profiles import Home, Profile
    from iqcli.xmp.write import Remark

    Make = Callable[[Path, Remark, str], "Made"]


@dataclass(frozen=True, slots=True)
class Made:
    """What is to become of a file: the sha256 of what it holds, None if there is none yet; its new
    content, or the part that has it, None for no change; whether a person's word stands."""

    before: str | None
    after: bytes | Path | None
    kept: bool


@dataclass
class Annotator:
    """Collects the edits of a run; nothing is written yet but parts of what `embedder` makes.

    `when` is ISO 8601. `kept` are photos where a person's rating, label or flag stands, `troubles`
    the files that cannot be edited, with the reason, `unread` the sidecars that the program passes
    over, `beside` the raw files that are not embedded into.
    """

    profile: Profile
    when: str
    embedder: Embedder | None = None
    edits: list[Edit] = field(default_factory=list)
    kept: set[Path] = field(default_factory=set)
    changed: set[Path] = field(default_factory=set)
    troubles: list[tuple[Path, str]] = field(default_factory=list)
    unread: int = 0
    beside: int = 0
    _taken: set[Path] = field(default_factory=set)
    _beside: tuple[Path, frozenset[str]] | None = None

    def annotate(self, judged: Judged, remark: Remark) -> None:
        """Say it of every picture file of a shot."""
        shot = judged.shot
        if judged.stars or judged.pick:
            self.kept.add(shot.path)
        for home in homes(shot, self.profile, self._names(shot.path.parent), _named_for):
            inside = self.embedder is not None and self.embedder.takes(home.picture)
            self.beside += self.embedder is not None and not inside
            for edit in self._tried(judged, home, remark, inside):
                self.edits.append(edit)
                self.changed.add(shot.path)

    def _tried(self, judged: Judged, home: Home, remark: Remark, inside: bool) -> Iterator[Edit]:
        if inside and self.embedder:
            yield from self._one(judged, home.picture, remark, self.embedder.edit)
        if home.exists or not inside:
            self.unread += not home.read and not inside
            make = _edited if home.exists else _made
            yield from self._one(judged, home.path, replace(remark, extension=home.named), make)

    def _names(self, folder: Path) -> frozenset[str]:
        """What lies in a folder, listed once while shots of it come."""
        if self._beside is None or self._beside[0] != folder:
            names: set[str] = set()
            with suppress(OSError):  # what is wrong with the folder shows at each file of it
                names.update(each.name for each in folder.iterdir())
            self._beside = folder, frozenset(names)
        return self._beside[1]

    def _one(self, judged: Judged, path: Path, remark: Remark, make: Make) -> Iterator[Edit]:
        """The edit of one file, unless nothing is to be changed or it cannot be edited."""
        shot = judged.shot
        try:
            if path in self._taken:
                raise PhotoError("is the sidecar of another photo, too")
            self._taken.add(path)
            below(shot.root.resolve(), path)
            made = make(path, remark, self.when)
        except (BrokenPacket, PhotoError, PlanConflict) as error:
            self.troubles.append((path, str(error)))
            return
        except OSError as error:
            self.troubles.append((path, error.strerror or "it cannot be read"))
            return
        if made.kept:
            self.kept.add(shot.path)
        if made.after is not None:
            yield Edit(shot.root, path, made.before, made.after)


def _made(path: Path, remark: Remark, when: str) -> Made:
    """A new sidecar with the remark. Raises PhotoError and OSError."""
    if files.seen(path):
        raise PhotoError("is there, but not as a sidecar of this photo")
    require_leave(path)
    written = edited(None, remark, when)
    return Made(None, written.packet, written.kept)


def _edited(path: Path, remark: Remark, when: str) -> Made:
    """A sidecar with the remark. Raises BrokenPacket, PhotoError and OSError."""
    old = read_plain(path, MAX_BYTES)
    written = edited(old, remark, when)
    if written.packet == old:
        return Made(None, None, written.kept)
    require_leave(path)
    return Made(hashlib.sha256(old).hexdigest(), written.packet, written.kept)


def read_plain(path: Path, limit: int) -> bytes:
    """A regular file, no link. Raises PhotoError and OSError."""
    status = files.seen(path)
    if status is None or not stat.S_ISREG(status.st_mode):
        raise PhotoError("is no plain file")
    return read_bytes(path, limit)[0]


def require_leave(path: Path) -> None:
    """See that a file may be written or made. Raises PhotoError.

    Replacing it would need no leave but its folder's: who made it read-only means it to stay.
    """
    if not os.access(path.parent, os.W_OK):
        raise PhotoError("its folder is read-only")
    if files.seen(path) and not os.access(path, os.W_OK):
        raise PhotoError("is read-only")


def _named_for(path: Path) -> str | None:
    """The extension that a sidecar says it is for; None where it says nothing, or is broken."""
    try:
        values = read_packet(read_plain(path, MAX_BYTES)).values(SIDECAR_FOR)
    except (BrokenPacket, PhotoError, OSError):
        return None
    return next((value for value in values if value), None)
