"""Small pictures of photos for people: what there is, and where they wait until they are shown.

Loads no decoder: a warm run reads them from the cache.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version as package_version
from threading import Lock
from typing import TYPE_CHECKING, Self

from iqcli.errors import IqError
from iqcli.fs.durable import write_all
from iqcli.fs.files import anonymous_file
from iqcli.pipeline.cache_codec import is_thumbnail

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from iqcli.records import Facts, Photo, Views


@dataclass(frozen=True)
class ThumbnailSpec:
    """A kind of small picture (WebP, sRGB), made by the function of its name in `photos.small`."""

    name: str
    version: int

    @cached_property
    def fingerprint(self) -> str:
        """Changes whenever the same picture could give another one, beside the decoder's own."""
        # The library that writes WebP comes with Pillow.
        parts = [self.name, str(self.version), f"pillow={package_version('pillow')}"]
        return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]

    def make(self, views: Views, facts: Facts, data: bytes, max_megapixels: float) -> bytes:
        """The picture, from the views and facts of a decode and the bytes of the file."""
        from iqcli.photos import thumbnails  # deferred: Pillow is not for a warm run

        picture: bytes = getattr(thumbnails, self.name)(views, facts, data, max_megapixels)
        if not is_thumbnail(picture):
            raise ValueError(f"its {self.name} is no small picture")
        return picture


# The whole picture, and its sharpest spot pixel by pixel.
THUMB = ThumbnailSpec("thumb", 1)
CROP = ThumbnailSpec("crop", 1)


class ThumbnailStore:
    """The small pictures of one run, on disk: memory holds some hundred bytes a photo.

    `wanted` are those that a run over photos is to set down here. Closing it forgets them all.
    """

    def __init__(self, wanted: Sequence[ThumbnailSpec] = (THUMB, CROP)) -> None:
        self.wanted = tuple(wanted)
        self._places: dict[tuple[str, str], tuple[int, int]] = {}
        self._lock = Lock()
        try:
            self._file = anonymous_file()
        except OSError as error:
            raise _no_room(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the disk back."""
        self._file.close()

    def add(self, sha256: str, thumbnails: Mapping[str, bytes]) -> None:
        """Take the small pictures of a photo. Raises IqError where the disk is full."""
        with self._lock:
            for name, picture in thumbnails.items():
                if (sha256, name) not in self._places:
                    self._places[sha256, name] = self._append(picture), len(picture)

    def get(self, sha256: str | None, name: str) -> bytes | None:
        """The picture of that name, or None where there is none. Raises IqError as `add` does."""
        with self._lock:
            place = self._places.get((sha256 or "", name))
            if place is None:
                return None
            start, length = place
            try:
                self._file.seek(start)
                return self._file.read(length)
            except OSError as error:
                raise _no_room(error) from error

    def collect(self, measured: Iterable[Photo]) -> Iterator[Photo]:
        """Pass shots on, and take what they have of small pictures."""
        for each in measured:
            if each.sha256 and each.thumbnails:
                self.add(each.sha256, each.thumbnails)
            yield each

    def _append(self, picture: bytes) -> int:
        try:
            start = self._file.seek(0, os.SEEK_END)
            write_all(self._file.fileno(), picture)
        except OSError as error:
            raise _no_room(error) from error
        return start


def _no_room(error: OSError) -> IqError:
    why = error.strerror or type(error).__name__
    return IqError(f"no small pictures can be set down: {why}; point TMPDIR to a disk with room")
