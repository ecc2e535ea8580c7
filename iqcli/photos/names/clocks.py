"""Clocks that stand still: files of several pictures with one time, which then tells nothing.

A camera without a battery gives every photo the same time, and may count from the beginning, too:
names and times of unrelated files agree. Several frames of one second look the same to this; their
files are joined by what they show.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Set
    from pathlib import Path

    from iqcli.photos.names.evidence import Evidence, Header, Look

    Moment = tuple[str, str, str | None]

# So many pictures of one camera and moment.
SEVERAL = 3


def moment_of(header: Header) -> Moment | None:
    """Camera and time of a photo where both are known."""
    if header.camera is None or header.taken is None:
        return None
    return header.camera.lower(), header.taken, header.fraction


class Asked:
    """Evidence that remembers the headers it was asked for.

    The camera is hidden where its clock `stopped`: only camera and time together are evidence.
    `moments` are those of the files that tell camera and time.
    """

    def __init__(self, evidence: Evidence, stopped: Set[Moment] = frozenset()) -> None:
        self._evidence, self._stopped = evidence, stopped
        self.moments: dict[Path, Moment] = {}

    def header(self, path: Path) -> Header:
        """The header of a photo or film."""
        found = self._evidence.header(path)
        if moment := moment_of(found):
            self.moments[path] = moment
        return replace(found, camera=None) if moment in self._stopped else found

    def likeness(self, edit: Path, original: Path) -> Look:
        """How two pictures look beside each other."""
        return self._evidence.likeness(edit, original)

    def stopped(self, pictures: Iterable[Iterable[Path]]) -> set[Moment]:
        """The moments that several of these pictures have, of which each is some files."""
        counts = Counter(
            moment
            for files in pictures
            for moment in {self.moments[each] for each in files if each in self.moments}
        )
        return {moment for moment, count in counts.items() if count >= SEVERAL}
