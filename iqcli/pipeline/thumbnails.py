"""Thumbnails of photos for people: their kinds, and where they are stored until they are shown.

Loads no decoder: a warm run reads them from the cache.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Self

from iqcli.errors import IqError
from iqcli.extractors.base import hash_of, versions
from iqcli.fs.durable import write_all
from iqcli.fs.files import anonymous_file
from iqcli.pipeline.cache_codec import is_thumbnail

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from iqcli.records import Facts, Photo, Views


@dataclass(frozen=True)
class ThumbnailSpec:
    """A kind of thumbnail (WebP, sRGB), made by the function of its name in `photos.thumbnails`."""

    name: str
    version: int

    @cached_property
    def fingerprint(self) -> str:
        """Changes whenever the same picture could give another one, beside the decoder's own."""
        # The library that writes WebP comes with Pillow.
        return hash_of(self.name, str(self.version), *versions("pillow"))

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
    """The thumbnails of one run, on disk: memory holds some hundred bytes a photo.

    `wanted` are the kinds that a run over photos should add. Closing it deletes them all.
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
        """Free the disk."""
        self._file.close()

    def add(self, sha256: str, thumbnails: Mapping[str, bytes]) -> None:
        """Add the thumbnails of a photo. Raises IqError where the disk is full."""
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

    def collect(self, photos: Iterable[Photo]) -> Iterator[Photo]:
        """Pass photos on, and add the thumbnails that they have."""
        for photo in photos:
            if photo.sha256 and photo.thumbnails:
                self.add(photo.sha256, photo.thumbnails)
            yield photo

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
