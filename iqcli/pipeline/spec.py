"""What is wanted of a picture, what the cache knows of it, and how a worker adds the rest."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Protocol

import numpy as np

from iqcli.errors import IqError, PhotoError, TooLarge
from iqcli.extractors.base import PhotoBlock
from iqcli.pipeline.cache_codec import Failure
from iqcli.pipeline.devices import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from iqcli.extractors.base import AnyBlock
    from iqcli.pipeline.cache import Cache
    from iqcli.pipeline.thumbnails import ThumbnailSpec
    from iqcli.records import Facts, Vector, Views

# Megapixels beyond which pictures are decoded one at a time: sixteen at once, of 250 each, would
# need 12 GB.
GIANT = 64.0
# Causes that lie with the machine, not with the picture: a failure not worth remembering.
_PASSING = (MemoryError, ImportError)


class Decode(Protocol):
    """The shape of `photos.read.read_photo`."""

    def __call__(self, data: bytes, *, max_megapixels: float) -> tuple[Facts, Views]: ...


@dataclass(slots=True)
class Content:
    """What is known of one picture so far, whatever files hold it.

    `inputs` wait for the device. `fresh` names the blocks, `drawn` the thumbnails, and `told` is
    False for facts, that the cache lacks. A thumbnail that cannot be had is empty.
    """

    sha256: str
    facts: Facts | Failure | None = None
    told: bool = False
    error: str | None = None
    blocks: dict[str, Vector] = field(default_factory=dict)
    inputs: dict[str, NDArray[np.generic]] = field(default_factory=dict)
    fresh: set[str] = field(default_factory=set)
    thumbnails: dict[str, bytes] = field(default_factory=dict)
    drawn: set[str] = field(default_factory=set)

    def add(self, name: str, vector: Vector) -> None:
        """Take a block that was just computed."""
        self.blocks[name] = vector
        self.fresh.add(name)


class Recipe:
    """What is wanted of every picture.

    `decode` is `read_photo`, `decoder` its fingerprint, `max_megapixels` its limit.
    """

    def __init__(
        self,
        blocks: Sequence[AnyBlock],
        decode: Decode,
        decoder: str,
        max_megapixels: float,
        thumbnails: Sequence[ThumbnailSpec] = (),
    ) -> None:
        self.blocks = tuple(blocks)
        self.thumbnails = tuple(thumbnails)
        self.decoder = decoder
        self._decode = decode
        self._limit = max_megapixels
        self._giants = Lock()
        self._keys = {each.name: f"{each.fingerprint}|{decoder}" for each in (*blocks, *thumbnails)}

    def recall(self, cache: Cache, sha256: str) -> Content:
        """What the cache holds of a picture."""
        content = Content(sha256)
        facts = cache.facts(sha256, self.decoder)
        if isinstance(facts, Failure):
            if facts.max_megapixels == self._limit:
                content.error = facts.reason
            return content
        if facts and facts.width * facts.height <= self._limit * 1e6:
            content.facts, content.told = facts, True
        for block in self.blocks:
            vector = cache.block(sha256, self._keys[block.name], block.size)
            if vector is not None:
                content.blocks[block.name] = vector
        for thumbnail in self.thumbnails:
            picture = cache.thumbnail(sha256, self._keys[thumbnail.name])
            if picture is not None:
                content.thumbnails[thumbnail.name] = picture
        return content

    def keep(self, cache: Cache, content: Content) -> None:
        """Give the cache what it lacks."""
        if content.facts and not content.told:
            cache.remember_facts(content.sha256, self.decoder, content.facts)
        for name in content.fresh:
            cache.remember_block(content.sha256, self._keys[name], content.blocks[name])
        for name in content.drawn:
            cache.remember_thumbnail(content.sha256, self._keys[name], content.thumbnails[name])

    def carry_over(self, cache: Cache, before: str, after: str, facts: Facts) -> None:
        """Keep what the cache holds of a picture for another sha256 that has the same pixels."""
        content = self.recall(cache, before)
        content.sha256, content.facts, content.told = after, facts, False
        content.fresh = set(content.blocks)
        self.keep(cache, content)

    def is_met(self, content: Content) -> bool:
        """Whether nothing is left to do for a picture, or nothing can be done."""
        measured = content.facts is not None and len(content.blocks) == len(self.blocks)
        complete = measured and len(content.thumbnails) == len(self.thumbnails)
        return complete or content.error is not None

    def fill(self, content: Content, data: bytes) -> None:
        """Decode, compute the blocks that run here and prepare the others; failure is a value."""
        try:
            facts, views = self._decoded(data)
        except PhotoError as error:
            content.error = str(error)
            if not isinstance(error.__cause__, _PASSING):
                content.facts = Failure(content.error, self._limit)
            return
        except Exception as error:
            content.error = reason(error)
            return
        content.facts = facts
        for block in self.blocks:
            if block.name not in content.blocks:
                _measure(content, block, views)
        for thumbnail in self.thumbnails:
            if thumbnail.name not in content.thumbnails:
                self._draw(content, thumbnail, facts, views, data)

    def _draw(
        self, content: Content, thumbnail: ThumbnailSpec, facts: Facts, views: Views, data: bytes
    ) -> None:
        """Add a thumbnail; a photo without it is none the worse."""
        giant = facts.width * facts.height > GIANT * 1e6
        try:
            with self._giants if giant else nullcontext():
                picture = thumbnail.make(views, facts, data, self._limit)
        except Exception as error:
            content.thumbnails[thumbnail.name] = b""
            if isinstance(error, _PASSING) or isinstance(error.__cause__, _PASSING):
                return
        else:
            content.thumbnails[thumbnail.name] = picture
        content.drawn.add(thumbnail.name)

    def _decoded(self, data: bytes) -> tuple[Facts, Views]:
        if self._limit <= GIANT:
            return self._decode(data, max_megapixels=self._limit)
        try:
            return self._decode(data, max_megapixels=GIANT)
        except TooLarge:
            with self._giants:
                return self._decode(data, max_megapixels=self._limit)


def _measure(content: Content, block: AnyBlock, views: Views) -> None:
    try:
        if not isinstance(block, PhotoBlock):
            content.inputs[block.name] = block.prepare(views)
            return
        vector = np.asarray(block.extract(views), np.float32)
        if vector.shape != (block.size,):
            raise ValueError(f"its result has the shape {vector.shape}")
        content.add(block.name, vector)
    except Exception as error:
        content.error = content.error or f"{block.name}: {reason(error)}"


def reason(error: Exception) -> str:
    """Why a photo could not be measured, in one line. Raises what concerns the whole run."""
    if isinstance(error, IqError) and not isinstance(error, PhotoError):
        raise error
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    return str(error) if isinstance(error, PhotoError) else one_line(error)
