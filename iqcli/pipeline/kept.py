"""Results that are kept of shots: while no file of one has changed, nothing is read or rated anew.

They lie in pages, each a value of the cache for neighbours in one folder, so that a run over many
unchanged photos asks for few. A page repeats what can be had of blocks; where it is gone, damaged
or of another model, its shots are measured and rated as ever.
"""

from __future__ import annotations

import os
import time
import zlib
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from iqcli.pipeline import kept_codec
from iqcli.pipeline.cache import is_settled
from iqcli.pipeline.cache_codec import stat_bytes
from iqcli.pipeline.kept_codec import MOST, KeptShot, Page
from iqcli.records import FileStamp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from iqcli.pipeline.cache import Cache
    from iqcli.records import FrameDescriptor, Photo, Shot

# A page begins where the hash of a name ends in so many zero bits, so that a photo more or less
# moves no other page. In the mean it has so many shots.
BITS = 8
# Fewer shots are no page: they are soon read by themselves.
LEAST = 8


@dataclass(slots=True, eq=False)
class _Open:
    """A page on its way: `count` shots were asked for, `entries` of those that arrived are kept.

    Those that were in the page as it `was` are their places in it.
    """

    folder: str
    first: str
    began_ns: int
    was: Page | None
    count: int = 0
    arrived: int = 0
    is_whole: bool = False
    entries: list[tuple[int, Shot] | KeptShot] = field(default_factory=list)

    def all(self) -> Iterator[KeptShot]:
        """What is to be kept."""
        for each in self.entries:
            if isinstance(each, KeptShot):
                yield each
            elif self.was:
                yield self.was.entry(*each)


class Kept:
    """The results for one model, `name`; the `fingerprint` is of all that they depend on besides.

    `find` is asked for each shot of a run in order, then `add` is given the result of each, in the
    same order; `finish` ends a run that came to its end.
    """

    def __init__(self, cache: Cache, name: str, fingerprint: str, *, grouped: bool = False) -> None:
        self._cache = cache
        self._name, self._fingerprint = name, fingerprint
        self._grouped = grouped
        self._pages: deque[_Open] = deque()

    def find(self, shot: Shot) -> tuple[bytes | None, Photo | None]:
        """What the files of a shot are, None where that cannot be trusted; and its result if kept.

        Without the marks that a file of the folder holds.
        """
        folder, name = os.path.split(str(shot.path))
        page = self._page(folder, name)
        page.count += 1
        try:
            status = os.stat(shot.path)  # noqa: PTH116  `Path.stat` takes twice as long
            seen, several = stat_bytes(status), [status]
            for path in shot.companions:
                several.append(path.stat())
                seen += _name_in(path, folder) + b"\0" + stat_bytes(several[-1])
        except OSError:
            return None, None
        place = page.was.place(name, seen) if page.was else None
        if page.was is None or place is None:
            settled = all(is_settled(each, page.began_ns) for each in several)
            return (seen if settled else None), None
        if self._grouped and not page.was.has_descriptor(place):
            return seen, None
        file = FileStamp(status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)
        page.entries.append((place, shot))
        return seen, page.was.photo(place, shot, file, grouped=self._grouped)

    def add(self, photo: Photo, descriptor: FrameDescriptor | None) -> None:
        """Keep the result of the next shot, with its descriptor, unless it is kept or may change.

        It may where `photo.seen` is None, and it does where a part was never measured.
        """
        page = self._pages[0]
        page.arrived += 1
        if photo.seen and photo.rating and photo.facts and not _is_half_known(photo):
            name, kept = photo.shot.path.name, replace(photo, descriptor=descriptor)
            page.entries.append(KeptShot(name, photo.seen, kept))
        self._write()

    def finish(self) -> None:
        """Keep the last page, too."""
        if self._pages:
            self._pages[-1].is_whole = True
            self._write()

    def _page(self, folder: str, name: str) -> _Open:
        last = self._pages[-1] if self._pages else None
        if last and last.folder == folder and not _begins_page(name) and last.count < MOST:
            return last
        if last:
            last.is_whole = True
            self._write()
        began_ns = time.time_ns()
        was = self._cache.page(folder, name, self._name, self._fingerprint)
        self._pages.append(_Open(folder, name, began_ns, was))
        return self._pages[-1]

    def _write(self) -> None:
        while self._pages and self._pages[0].is_whole:
            page = self._pages[0]
            if page.arrived < page.count:
                return
            self._pages.popleft()
            if page.count >= LEAST and any(isinstance(each, KeptShot) for each in page.entries):
                packed = kept_codec.pack(self._fingerprint, list(page.all()))
                self._cache.remember_page(page.folder, page.first, self._name, packed)


def _begins_page(name: str) -> bool:
    return zlib.crc32(os.fsencode(name)) >> 32 - BITS == 0


def _name_in(path: Path, folder: str) -> bytes:
    """The name of a file in a folder; of one that lies elsewhere the whole path."""
    at, name = os.path.split(path)
    return os.fsencode(name if at == folder else path.absolute())


def _is_half_known(photo: Photo) -> bool:
    likeness = photo.likeness
    return likeness is not None and (likeness.grey is None or likeness.colour is None)
