"""Shots to blocks: what the cache knows at once, the rest by decode workers and device batches.

Knows no model: it takes extractors. Workers read and decode; all else happens in the thread that
iterates, and it alone writes to the cache.

One shot on its way through the pipeline, and what has become of it at the end.
"""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

from iqcli.extractors.base import PhotoBlock
from iqcli.fs.read import read_bytes
from iqcli.fs.syscalls import keep_freed_memory
from iqcli.photos.filenames import is_panorama
from iqcli.photos.formats import decoder_fingerprint
from iqcli.photos.xmp import highest
from iqcli.pipeline.devices import DEVICE_BATCH, Batches, choose_device, keep_to_one_core
from iqcli.pipeline.sidecars import keep_marks, known_marks, read_marks, sidecars
from iqcli.pipeline.spec import Content, Recipe, reason
from iqcli.records import UNMARKED, Facts, Marks, Photo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from iqcli.extractors.base import AnyBlock
    from iqcli.fs.read import Stamp
    from iqcli.pipeline.cache import Cache
    from iqcli.pipeline.sidecars import Marked
    from iqcli.pipeline.spec import Content, Decode
    from iqcli.pipeline.thumbnails import ThumbnailSpec
    from iqcli.records import Facts, Photo, Shot, Vector, Views
    from iqcli.settings import Settings


@dataclass(frozen=True, slots=True)
class Found:
    """What a worker found in a file; `content` is None where `owner` is at the same picture."""

    stamp: Stamp
    sha256: str
    owner: Job
    content: Content | None


@dataclass(slots=True, eq=False)
class Job:
    """A shot on its way; `reading` and `marking` are None where there is nothing to wait for.

    `marks` are those of its sidecars.
    """

    shot: Shot
    reading: Future[Found] | None = None
    marking: Future[list[Marked]] | None = None
    content: Content | None = None
    marks: Marks = UNMARKED
    error: str | None = None

    @property
    def waits(self) -> bool:
        """Whether a worker is still at it."""
        return self.reading is not None or self.marking is not None


def measured(job: Job, blocks: Sequence[AnyBlock]) -> Photo:
    """The result of a job that waits for nothing, with these of the blocks."""
    content = job.content
    if content is None:
        return Photo(job.shot, marks=job.marks, error=job.error)
    facts = _facts(job.shot, content)
    marks = highest([job.marks, Marks(facts.stars, facts.pick)]) if facts else job.marks
    thumbnails = {name: each for name, each in content.thumbnails.items() if each}
    known = Photo(job.shot, content.sha256, facts, marks, thumbnails=thumbnails)
    if error := job.error or content.error:
        return replace(known, error=error)
    return replace(known, blocks={each.name: content.blocks[each.name] for each in blocks})


def _facts(shot: Shot, content: Content) -> Facts | None:
    """What the picture says of itself, and its name."""
    facts = content.facts if isinstance(content.facts, Facts) else None
    return replace(facts, panorama=True) if facts and is_panorama(shot.path.name) else facts


T = TypeVar("T")


def measure(
    shots: Iterable[Shot],
    blocks: Sequence[AnyBlock],
    cache: Cache,
    settings: Settings,
    *,
    thumbnails: Sequence[ThumbnailSpec] = (),
    decode: Decode | None = None,
    decoder: str | None = None,
) -> Iterator[Photo]:
    """Every shot with its blocks, or with the reason for none, in the order given.

    Looks ahead by a bounded window. What cannot be read or measured is a value; only an IqError
    that concerns the whole run (no such device, missing weights) is raised. `thumbnails` are made
    where they can be. `decode` stands in for `photos.read.read_photo`, `decoder` for its
    fingerprint.
    """
    fingerprint = decoder or decoder_fingerprint()
    limit = settings.max_megapixels
    recipe = Recipe(blocks, decode or _read_photo, fingerprint, limit, thumbnails)
    run = _Run(recipe, cache, settings)
    try:
        yield from run.results(shots)
    finally:
        run.stop()
        cache.flush()


def _read_photo(data: bytes, *, max_megapixels: float) -> tuple[Facts, Views]:
    from iqcli.photos.read import read_photo  # deferred: Pillow is not for a warm run

    return read_photo(data, max_megapixels=max_megapixels)


class _Run:
    def __init__(self, recipe: Recipe, cache: Cache, settings: Settings) -> None:
        self._recipe = recipe
        self._cache = cache
        self._settings = settings
        keep_freed_memory()
        self._pool = ThreadPoolExecutor(settings.workers, "iq-decode")
        self._begun: set[Future[Any]] = set()
        self._on_device = [block for block in recipe.blocks if not isinstance(block, PhotoBlock)]
        self._batch = (settings.batch_size or DEVICE_BATCH) if self._on_device else 0
        self._window: deque[Job] = deque()
        # Equal pictures that are on their way at once are decoded once.
        self._owners: dict[str, Job] = {}
        self._stopped = Event()

    @cached_property
    def _batches(self) -> Batches:
        return Batches(choose_device(self._settings.device), self._settings.batch_size)

    @cached_property
    def _in_workers(self) -> bool:
        """On a CPU a batch is no faster than its pictures one by one, and every worker has a core.

        Unless a person asks for batches of some size.
        """
        return self._settings.batch_size == 0 and self._batches.device == "cpu"

    def results(self, shots: Iterable[Shot]) -> Iterator[Photo]:
        ahead = 2 * self._settings.workers + self._batch
        for shot in shots:
            self._window.append(self._start(shot))
            while self._window and (len(self._window) >= ahead or not self._window[0].waits):
                yield self._finish()
        while self._window:
            yield self._finish()

    def stop(self) -> None:
        """Give up what has not begun and wait, not long, for what has."""
        self._stopped.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        # Not for the threads yet: Python 3.11 takes one for ended whose `join` a key press
        # interrupts, and then ends under it.
        wait(list(self._begun))
        self._pool.shutdown()

    def _submit(self, work: Callable[..., T], *given: Any) -> Future[T]:
        future = self._pool.submit(work, *given)
        self._begun.add(future)
        future.add_done_callback(self._begun.discard)
        return future

    def _start(self, shot: Shot) -> Job:
        job = Job(shot)
        try:
            sha256 = self._cache.content(shot.path, shot.path.stat())
            content = self._recipe.recall(self._cache, sha256) if sha256 else None
            if content and self._recipe.is_met(content):
                job.content = content
            else:
                job.reading = self._submit(self._read, job)
            self._start_marking(job)
        except Exception as error:
            job.error = reason(error)
        return job

    def _start_marking(self, job: Job) -> None:
        if paths := sidecars(job.shot):
            known = known_marks(paths, self._cache, self._recipe.decoder)
            if known is not None:
                job.marks = known
            else:
                job.marking = self._submit(read_marks, paths)

    def _read(self, job: Job) -> Found:
        """In a worker: one read serves hash and decode."""
        data, stamp = read_bytes(job.shot.path)
        sha256 = hashlib.sha256(data).hexdigest()
        owner = self._owners.setdefault(sha256, job)
        if owner is not job:
            return Found(stamp, sha256, owner, None)
        content = self._recipe.recall(self._cache, sha256)
        if not self._recipe.is_met(content) and not self._stopped.is_set():
            self._recipe.fill(content, data)
            if content.inputs and self._in_workers:
                self._forward_here(content)
        return Found(stamp, sha256, job, content)

    def _finish(self) -> Photo:
        job = self._window[0]
        self._await(job)
        if job.content and job.content.inputs:
            self._forward()
        self._await_marks(job)
        self._window.popleft()
        return measured(job, self._recipe.blocks)

    def _await(self, job: Job) -> None:
        if (reading := job.reading) is None:
            return
        job.reading = None
        try:
            found = reading.result()
        except Exception as error:
            job.error = job.error or reason(error)
            return
        at_ns, stat = found.stamp
        if stat:
            self._cache.remember_content(job.shot.path, stat, at_ns, found.sha256)
        if found.content is None:
            self._await(found.owner)
            job.content, job.error = found.owner.content, job.error or found.owner.error
        else:
            job.content = found.content
            self._keep(found.content)

    def _keep(self, content: Content) -> None:
        if not content.inputs:
            self._recipe.keep(self._cache, content)
            self._owners.pop(content.sha256, None)

    def _forward(self) -> None:
        """Run the device on the next pictures of the window that wait for it."""
        waiting: dict[str, Content] = {}
        for job in self._window:
            self._await(job)
            if job.content and job.content.inputs:
                waiting[job.content.sha256] = job.content
            if len(waiting) == self._batch:
                break
        for block in self._on_device:
            several = [each for each in waiting.values() if block.name in each.inputs]
            inputs = [each.inputs.pop(block.name) for each in several]
            for content, result in zip(several, self._batches.run(block, inputs), strict=True):
                _take(content, block.name, result)
        for content in waiting.values():
            self._keep(content)

    def _forward_here(self, content: Content) -> None:
        """In a worker: run the device blocks of one picture on this core."""
        alone = Batches("cpu", 1)
        keep_to_one_core()
        for block in self._on_device:
            if block.name in content.inputs:
                (result,) = alone.run(block, [content.inputs.pop(block.name)])
                _take(content, block.name, result)

    def _await_marks(self, job: Job) -> None:
        if job.marking is None:
            return
        try:
            marked = job.marking.result()
        except Exception as error:
            job.error = job.error or reason(error)
            return
        job.marks = keep_marks(marked, self._cache, self._recipe.decoder)


def _take(content: Content, name: str, result: Vector | str) -> None:
    if isinstance(result, str):
        content.error = content.error or result
    else:
        content.add(name, result)
