"""What is measured of a picture: what the cache holds of it, and how a worker adds the rest."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Condition
from typing import TYPE_CHECKING

import numpy as np

from iqcli.errors import IqError, PhotoError, TooSlow
from iqcli.extractors import perceptual_hash
from iqcli.extractors.base import PhotoBlock
from iqcli.extractors.registry import BLOCKS
from iqcli.fs.read import read_bytes
from iqcli.photos.formats import decoder_fingerprint
from iqcli.photos.reading import (
    NO_PICTURE,
    WITH_CODE_POINTS,
    Reading,
    kind_of,
    reading_mark,
    reading_of,
    size_mark,
)
from iqcli.pipeline.cache_codec import UNASKED, Failure
from iqcli.pipeline.devices import one_line
from iqcli.records import Facts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from iqcli.extractors.base import AnyBlock
    from iqcli.fs.read import Stamp
    from iqcli.photos.read import PhotoReader
    from iqcli.pipeline.cache import Cache
    from iqcli.pipeline.thumbnails import ThumbnailSpec
    from iqcli.records import Vector, Views
    from iqcli.settings import Settings

# What each worker may take for decoding, in bytes: a HEIC of 12 megapixels. Where pictures are
# larger, they wait for each other.
WORKER_BYTES = 150 * 10**6
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

    `reading` is how it is read, None where only its bytes can tell. `inputs` wait for the device.
    `new_blocks` and `new_thumbnails` name what the cache lacks; it lacks the facts unless
    `facts_cached`. A thumbnail that cannot be made is empty.
    """

    sha256: str
    reading: Reading | None = None
    facts: Facts | Failure | None = None
    facts_cached: bool = False
    error: str | None = None
    blocks: dict[str, Vector] = field(default_factory=dict)
    inputs: dict[str, NDArray[np.generic]] = field(default_factory=dict)
    new_blocks: set[str] = field(default_factory=set)
    thumbnails: dict[str, bytes] = field(default_factory=dict)
    new_thumbnails: set[str] = field(default_factory=set)

    @property
    def is_unasked(self) -> bool:
        """Whether the facts are of a version that looked for a time in EXIF alone."""
        return isinstance(self.facts, Facts) and self.facts.taken_from == UNASKED

    def add_block(self, name: str, vector: Vector) -> None:
        """Add a block that was just computed."""
        self.blocks[name] = vector
        self.new_blocks.add(name)

    def add_thumbnail(self, name: str, picture: bytes) -> None:
        """Add a thumbnail that was just made."""
        self.thumbnails[name] = picture
        self.new_thumbnails.add(name)


class MeasureSpec:
    """The blocks and thumbnails wanted of every picture, how it is read, and the limits.

    The blocks `along`, of which copies are known, are taken where they are cached; no photo is
    decoded for them. Of what is decoded anyhow, the small grey picture is kept.
    """

    def __init__(
        self,
        blocks: Sequence[AnyBlock],
        reader: PhotoReader,
        settings: Settings,
        thumbnails: Sequence[ThumbnailSpec] = (),
    ) -> None:
        self.blocks = tuple(blocks)
        own = {each.name for each in self.blocks}
        names = [each for each in perceptual_hash.BLOCKS if each not in own]
        is_plain = isinstance(reader, PlainReader)
        self.along = tuple(BLOCKS[name] for name in names) if is_plain else ()
        self.thumbnails = tuple(thumbnails)
        self.fingerprint = reader.fingerprint
        self._read = reader
        self._limit, self._seconds = settings.max_megapixels, settings.max_seconds
        self._memory = _Memory(settings)

    def load(self, cache: Cache, sha256: str, data: bytes | None = None) -> Measurement:
        """What the cache holds of a picture; its bytes settle how it is read."""
        if data is not None:
            with cache.several():
                return self._load(cache, sha256, reading_of(data))
        for reading in Reading:
            facts = cache.facts(sha256, self._facts_key(reading))
            if facts and (reading is not Reading.PLAIN or not _may_be_new(facts)):
                return self._load(cache, sha256, reading)
        return Measurement(sha256)

    def _load(self, cache: Cache, sha256: str, reading: Reading) -> Measurement:
        known = Measurement(sha256, reading)
        facts, marked = cache.facts(sha256, self._facts_key(reading)), True
        if facts is None and reading is Reading.CHECKED:
            facts, marked = cache.facts(sha256, self._facts_key(Reading.PLAIN)), False
        if isinstance(facts, Failure):
            enough = facts.max_seconds is None or self._seconds <= facts.max_seconds
            if facts.max_megapixels == self._limit and enough:
                known.error = facts.reason
            return known
        if facts and facts.width * facts.height <= self._limit * 1e6:
            known.facts, known.facts_cached = facts, marked
        for block in (*self.blocks, *self.along):
            key, may_be_nan = self._key(block, reading, facts), block.may_be_nan
            vector = cache.block(
                sha256, key, block.size, within=block.within, may_be_nan=may_be_nan
            )
            if vector is not None:
                known.blocks[block.name] = vector
        for thumbnail in self.thumbnails:
            picture = cache.thumbnail(sha256, self._key(thumbnail, reading, facts))
            if picture is not None:
                known.thumbnails[thumbnail.name] = picture
        return known

    def save(self, cache: Cache, known: Measurement) -> None:
        """Store in the cache what it lacks."""
        reading = known.reading
        assert reading is not None
        if known.facts and not known.facts_cached:
            cache.remember_facts(known.sha256, self._facts_key(reading), known.facts)
        if not isinstance(known.facts, Facts):
            return
        for block in (*self.blocks, *self.along):
            if block.name in known.new_blocks:
                key = self._key(block, reading, known.facts)
                cache.remember_block(known.sha256, key, known.blocks[block.name])
        for thumbnail in self.thumbnails:
            if thumbnail.name in known.new_thumbnails:
                key = self._key(thumbnail, reading, known.facts)
                cache.remember_thumbnail(known.sha256, key, known.thumbnails[thumbnail.name])

    def _facts_key(self, reading: Reading) -> str:
        return self.fingerprint + reading_mark(reading)

    def _key(self, each: AnyBlock | ThumbnailSpec, reading: Reading, facts: Facts | None) -> str:
        # A CHECKED picture is read as a PLAIN one: only its facts are marked.
        mark = "" if reading is Reading.CHECKED else reading_mark(reading)
        mark += size_mark(facts.width, facts.height) if facts else ""
        return f"{each.fingerprint}|{self.fingerprint}{mark}"

    def carry_over(self, cache: Cache, before: str, after: str, facts: Facts) -> None:
        """Store what the cache holds of a picture for another sha256 that has the same pixels."""
        known = self.load(cache, before)
        if known.reading is None:
            return
        known.sha256, known.facts, known.facts_cached = after, facts, False
        known.new_blocks = set(known.blocks)
        self.save(cache, known)

    def is_complete(self, known: Measurement) -> bool:
        """Whether nothing is left to do for a picture, or nothing can be done."""
        measured = all(each.name in known.blocks for each in self.blocks)
        measured &= known.facts is not None
        complete = measured and len(known.thumbnails) == len(self.thumbnails)
        return complete or known.error is not None

    def compute(self, known: Measurement, data: bytes) -> None:
        """Decode, compute the blocks that run here and prepare the others; failure is a value."""
        try:
            with self._memory.taken_by(data):
                facts, views = self._read(data, max_megapixels=self._limit)
        except PhotoError as error:
            known.error = str(error)
            if not isinstance(error.__cause__, _TRANSIENT):
                seconds = self._seconds if isinstance(error, TooSlow) else None
                known.facts = Failure(known.error, self._limit, seconds)
            return
        except Exception as error:
            known.error = reason(error)
            return
        # Those of an earlier version may not know of any damage.
        is_new = known.facts is None
        known.facts, known.facts_cached = facts, known.facts_cached and known.facts == facts
        if is_new and size_mark(facts.width, facts.height):
            # What the cache holds of a picture of unknown size is not of a panorama.
            known.blocks.clear()
            known.thumbnails.clear()
        for block in self.blocks:
            if block.name not in known.blocks:
                _compute_block(known, block, views)
        if self.along and perceptual_hash.NAME not in known.blocks:
            known.add_block(perceptual_hash.NAME, perceptual_hash.extract(views))
        for thumbnail in self.thumbnails:
            if thumbnail.name not in known.thumbnails:
                with self._memory.taken_by(data, whole=True):
                    self._make_thumbnail(known, thumbnail, facts, views, data)

    def ask(self, known: Measurement, data: bytes) -> None:
        """Read the metadata anew, without decoding a pixel; what fails leaves the facts."""
        from iqcli.photos.read import read_facts  # deferred: Pillow is not for a warm run

        assert isinstance(known.facts, Facts)
        try:
            facts = read_facts(data, known.facts)
        except PhotoError:
            facts = replace(known.facts, taken_from=None)
        known.facts, known.facts_cached = facts, False

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
            reason(error)  # raises what concerns the whole run
            if isinstance(error, _TRANSIENT) or isinstance(error.__cause__, _TRANSIENT):
                known.thumbnails[thumbnail.name] = b""
                return
            picture = b""
        known.add_thumbnail(thumbnail.name, picture)

    def read(self, path: Path) -> tuple[bytes, Stamp]:
        """The bytes of a photo. Raises OSError, and PhotoError for what is larger than a photo.

        A large file that is no picture is not read to its end.
        """
        from iqcli.photos.limits import file_limit

        most = file_limit(self._limit)
        return read_bytes(path, most, kind_of, way_out="raise max_megapixels")


class _Memory:
    """What all decodes take together: a picture waits until there is room for it beside the others.

    Headers tell how much that is. There is room for the largest picture alone, and for
    `WORKER_BYTES` for each worker.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._taken = 0
        self._changed = Condition()

    @contextmanager
    def taken_by(self, data: bytes, *, whole: bool = False) -> Iterator[None]:
        """Take what decoding a file needs, `whole` for all its pixels, and give it back."""
        from iqcli.photos.limits import memory_limit, memory_of

        alone = memory_limit(self._settings.max_megapixels)
        most = max(alone, self._settings.workers * WORKER_BYTES)
        needed = min(most, memory_of(data, whole=whole))
        with self._changed:
            self._changed.wait_for(lambda: self._taken + needed <= most)
            self._taken += needed
        try:
            yield
        finally:
            with self._changed:
                self._taken -= needed
                self._changed.notify_all()


def _may_be_new(facts: Facts | Failure) -> bool:
    """Whether a file may be read in a new way that was measured in the old one."""
    if isinstance(facts, Failure):
        return facts.reason.startswith(NO_PICTURE)
    return facts.format in WITH_CODE_POINTS


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
