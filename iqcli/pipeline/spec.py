"""What is measured of a picture: what the cache holds of it, and how a worker adds the rest."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from iqcli.errors import IqError, PhotoError, TooLarge
from iqcli.extractors.base import PhotoBlock
from iqcli.photos.formats import decoder_fingerprint
from iqcli.pipeline.cache_codec import Failure
from iqcli.pipeline.devices import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from iqcli.extractors.base import AnyBlock
    from iqcli.photos.read import PhotoReader
    from iqcli.pipeline.cache import Cache
    from iqcli.pipeline.thumbnails import ThumbnailSpec
    from iqcli.records import Facts, Vector, Views

# Megapixels beyond which pictures are decoded one at a time: sixteen at once, of 250 each, would
# need 12 GB.
GIANT = 64.0
# Causes that lie with the machine, not with the picture: a failure not worth remembering.
_TRANSIENT = (MemoryError, ImportError)


class PlainReader:
    """Reads a photo as it is, with `photos.read.read_photo`."""

    @property
    def fingerprint(self) -> str:
        """That of the decoders."""
        return decoder_fingerprint()

    def __call__(self, data: bytes, *, max_megapixels: float) -> tuple[Facts, Views]:
        """Facts and views. Raises PhotoError."""
        from iqcli.photos.read import read_photo  # deferred: Pillow is not for a warm run

        return read_photo(data, max_megapixels=max_megapixels)


@dataclass(slots=True)
class Measurement:
    """What is known of one picture so far, whatever files hold it.

    `inputs` wait for the device. `new_blocks` and `new_thumbnails` name what the cache lacks; it
    lacks the facts unless `facts_cached`. A thumbnail that cannot be made is empty.
    """

    sha256: str
    facts: Facts | Failure | None = None
    facts_cached: bool = False
    error: str | None = None
    blocks: dict[str, Vector] = field(default_factory=dict)
    inputs: dict[str, NDArray[np.generic]] = field(default_factory=dict)
    new_blocks: set[str] = field(default_factory=set)
    thumbnails: dict[str, bytes] = field(default_factory=dict)
    new_thumbnails: set[str] = field(default_factory=set)

    def add_block(self, name: str, vector: Vector) -> None:
        """Add a block that was just computed."""
        self.blocks[name] = vector
        self.new_blocks.add(name)

    def add_thumbnail(self, name: str, picture: bytes) -> None:
        """Add a thumbnail that was just made."""
        self.thumbnails[name] = picture
        self.new_thumbnails.add(name)


class MeasureSpec:
    """The blocks and thumbnails wanted of every picture, how it is read, and the size limit."""

    def __init__(
        self,
        blocks: Sequence[AnyBlock],
        reader: PhotoReader,
        max_megapixels: float,
        thumbnails: Sequence[ThumbnailSpec] = (),
    ) -> None:
        self.blocks = tuple(blocks)
        self.thumbnails = tuple(thumbnails)
        self.fingerprint = reader.fingerprint
        self._read = reader
        self._limit = max_megapixels
        self._giants = Lock()
        self._keys = {
            each.name: f"{each.fingerprint}|{self.fingerprint}" for each in (*blocks, *thumbnails)
        }

    def load(self, cache: Cache, sha256: str) -> Measurement:
        """What the cache holds of a picture."""
        known = Measurement(sha256)
        facts = cache.facts(sha256, self.fingerprint)
        if isinstance(facts, Failure):
            if facts.max_megapixels == self._limit:
                known.error = facts.reason
            return known
        if facts and facts.width * facts.height <= self._limit * 1e6:
            known.facts, known.facts_cached = facts, True
        for block in self.blocks:
            vector = cache.block(
                sha256, self._keys[block.name], block.size, may_be_nan=block.may_be_nan
            )
            if vector is not None:
                known.blocks[block.name] = vector
        for thumbnail in self.thumbnails:
            picture = cache.thumbnail(sha256, self._keys[thumbnail.name])
            if picture is not None:
                known.thumbnails[thumbnail.name] = picture
        return known

    def save(self, cache: Cache, known: Measurement) -> None:
        """Store in the cache what it lacks."""
        if known.facts and not known.facts_cached:
            cache.remember_facts(known.sha256, self.fingerprint, known.facts)
        for name in known.new_blocks:
            cache.remember_block(known.sha256, self._keys[name], known.blocks[name])
        for name in known.new_thumbnails:
            cache.remember_thumbnail(known.sha256, self._keys[name], known.thumbnails[name])

    def carry_over(self, cache: Cache, before: str, after: str, facts: Facts) -> None:
        """Store what the cache holds of a picture for another sha256 that has the same pixels."""
        known = self.load(cache, before)
        known.sha256, known.facts, known.facts_cached = after, facts, False
        known.new_blocks = set(known.blocks)
        self.save(cache, known)

    def is_complete(self, known: Measurement) -> bool:
        """Whether nothing is left to do for a picture, or nothing can be done."""
        measured = known.facts is not None and len(known.blocks) == len(self.blocks)
        complete = measured and len(known.thumbnails) == len(self.thumbnails)
        return complete or known.error is not None

    def compute(self, known: Measurement, data: bytes) -> None:
        """Decode, compute the blocks that run here and prepare the others; failure is a value."""
        try:
            facts, views = self._decode(data)
        except PhotoError as error:
            known.error = str(error)
            if not isinstance(error.__cause__, _TRANSIENT):
                known.facts = Failure(known.error, self._limit)
            return
        except Exception as error:
            known.error = reason(error)
            return
        known.facts = facts
        for block in self.blocks:
            if block.name not in known.blocks:
                _compute_block(known, block, views)
        for thumbnail in self.thumbnails:
            if thumbnail.name not in known.thumbnails:
                is_giant = facts.width * facts.height > GIANT * 1e6
                with self._giants if is_giant else nullcontext():
                    self._make_thumbnail(known, thumbnail, facts, views, data)

    def _make_thumbnail(
        self,
        known: Measurement,
        thumbnail: ThumbnailSpec,
        facts: Facts,
        views: Views,
        data: bytes,
    ) -> None:
        """Add a thumbnail; a photo without it is not a failure."""
        try:
            picture = thumbnail.make(views, facts, data, self._limit)
        except Exception as error:
            if isinstance(error, _TRANSIENT) or isinstance(error.__cause__, _TRANSIENT):
                known.thumbnails[thumbnail.name] = b""
                return
            picture = b""
        known.add_thumbnail(thumbnail.name, picture)

    def _decode(self, data: bytes) -> tuple[Facts, Views]:
        if self._limit <= GIANT:
            return self._read(data, max_megapixels=self._limit)
        try:
            return self._read(data, max_megapixels=GIANT)
        except TooLarge:
            with self._giants:
                return self._read(data, max_megapixels=self._limit)


def _compute_block(known: Measurement, block: AnyBlock, views: Views) -> None:
    try:
        if not isinstance(block, PhotoBlock):
            known.inputs[block.name] = block.prepare(views)
            return
        vector = np.asarray(block.extract(views), np.float32)
        if vector.shape != (block.size,):
            raise ValueError(f"its result has the shape {vector.shape}")
        known.add_block(block.name, vector)
    except Exception as error:
        known.error = known.error or f"{block.name}: {reason(error)}"


def reason(error: Exception) -> str:
    """Why a photo could not be measured, in one line. Raises what concerns the whole run."""
    if isinstance(error, IqError) and not isinstance(error, PhotoError):
        raise error
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    return str(error) if isinstance(error, PhotoError) else one_line(error)
