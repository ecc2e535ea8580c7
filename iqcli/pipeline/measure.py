"""Shots to blocks: what the cache knows at once, the rest by decode workers and device batches.

Knows no model: it takes extractors. Workers read and decode; all else happens in the thread that
iterates, and it alone writes to the cache.
"""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from io import BytesIO
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

from iqcli import interrupts
from iqcli.errors import IqError, PhotoError
from iqcli.extractors.base import PhotoBlock
from iqcli.extractors.perceptual_hash import likeness_of
from iqcli.fs.syscalls import keep_freed_memory
from iqcli.photos.names.burst_names import is_panorama_name
from iqcli.photos.names.shots import stand_ins
from iqcli.photos.time_limit import at_most
from iqcli.photos.times import capture_time
from iqcli.photos.times.capture_time import Taken
from iqcli.photos.times.names import of_name
from iqcli.photos.xmp import highest
from iqcli.pipeline.devices import DEVICE_BATCH, Batches, choose_device, keep_to_one_core
from iqcli.pipeline.picasa import PicasaStars
from iqcli.pipeline.sidecars import (
    NOTHING,
    Beside,
    film_time,
    keep_marks,
    known_marks,
    marks_in,
    read_marks,
    sidecars,
    time_in,
)
from iqcli.pipeline.spec import Measurement, MeasureSpec, PlainReader, reason
from iqcli.records import UNMARKED, BrokenFile, Facts, FileStamp, Marks, Photo
from iqcli.text import describe_loss

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from iqcli.extractors.base import AnyBlock
    from iqcli.fs.read import Stamp
    from iqcli.photos.read import PhotoReader
    from iqcli.pipeline.cache import Cache
    from iqcli.pipeline.kept import Kept
    from iqcli.pipeline.sidecars import SidecarMarks
    from iqcli.pipeline.thumbnails import ThumbnailSpec
    from iqcli.records import Shot, Vector
    from iqcli.settings import Settings

T = TypeVar("T")
# Sources of a time before which nothing beside a photo is believed.
FIRST_SOURCES = (capture_time.EXIF, capture_time.XMP)
# Seconds that a run which ends early waits for photos that are being measured.
PATIENCE = 0.3


class Readability(IntEnum):
    """How well a file can be judged; the smaller, the better."""

    WHOLE = 0
    DAMAGED = 1
    UNREADABLE = 2
    # A mark in it may be unseen: no other file is judged in its place.
    UNOPENED = 3


@dataclass(slots=True, eq=False)
class Task:
    """A shot on its way through the pipeline, led by a file that is judged for it.

    `tried` are the tasks of the files that should lead it and turned out broken. `reading` and
    `reading_marks` are None where there is nothing to wait for. `original` is the task that
    measures the same picture, where another one came first. `beside` is what the other files of the
    shot tell, or what an earlier run found in it; `own_marks` were read with it, and `starred` is
    Picasa's flag. `film` is the time in the live film. `is_asked`: the metadata were read anew
    beside the marks. `seen` is what the files of the shot were, where that can be trusted, and
    `known` the result that was kept.
    """

    shot: Shot
    tried: tuple[Task, ...] = ()
    reading: Future[Stamp] | None = None
    reading_marks: Future[list[SidecarMarks]] | None = None
    sha256: str = ""
    original: Task | None = None
    measurement: Measurement | None = None
    beside: Beside = NOTHING
    own_marks: Marks = UNMARKED
    starred: Marks = UNMARKED
    film: Taken | None = None
    is_asked: bool = False
    error: str | None = None
    file: FileStamp | None = None
    seen: bytes | None = None
    known: Photo | None = None

    @property
    def is_pending(self) -> bool:
        """Whether a worker is still at it."""
        return self.reading is not None or self.reading_marks is not None

    @property
    def readability(self) -> Readability:
        """What became of its file, once nothing is pending."""
        if self.measurement is None:
            return Readability.UNOPENED
        if self.measurement.error:
            return Readability.UNREADABLE
        facts = self.measurement.facts
        return (
            Readability.DAMAGED if isinstance(facts, Facts) and facts.damage else Readability.WHOLE
        )

    @property
    def broken(self) -> BrokenFile:
        """Its file, and what is wrong with it."""
        known = self.measurement
        assert known
        if known.error:
            return BrokenFile(self.shot.path, known.error, is_readable=False)
        assert isinstance(known.facts, Facts)
        return BrokenFile(self.shot.path, describe_loss(known.facts.damage), is_readable=True)

    @property
    def taken(self) -> Taken | None:
        """When the photo was taken, by the first source that tells it."""
        own = _own_time(self.measurement)
        if is_timed(self.measurement):
            return own
        named = of_name(self.shot.path.name)
        return capture_time.best([own, self.beside.taken, self.film, named])

    def photo(self, blocks: Sequence[AnyBlock]) -> Photo:
        """The result of a task that is not pending, with these of the blocks."""
        known = self.measurement
        marks = highest([self.beside.marks, self.own_marks, self.starred])
        broken = tuple(each.broken for each in self.tried)
        photo = Photo(self.shot, marks=marks, error=self.error, broken=broken, file=self.file)
        if known is None:
            return photo
        facts = known.facts if isinstance(known.facts, Facts) else None
        if facts:
            name, taken = self.shot.path.name, self.taken
            source = taken and taken.source
            facts = replace(
                facts,
                panorama=facts.panorama or is_panorama_name(name),
                taken=taken and taken.when,
                taken_from=capture_time.EXIF if source == capture_time.CHANGED else source,
            )
            marks = highest([marks, Marks(facts.stars, facts.pick)])
        thumbnails = {name: each for name, each in known.thumbnails.items() if each}
        photo = replace(photo, sha256=known.sha256, facts=facts, marks=marks, thumbnails=thumbnails)
        if error := self.error or known.error:
            return replace(photo, error=error)
        wanted = {each.name: known.blocks[each.name] for each in blocks}
        seen = self.seen if self._is_lasting else None
        return replace(photo, blocks=wanted, likeness=likeness_of(known.blocks), seen=seen)

    @property
    def _is_lasting(self) -> bool:
        """Whether the same files tell the same at any other time."""
        times = (_own_time(self.measurement), self.beside.taken)
        ahead = any(each and capture_time.is_ahead(each.when) for each in times)
        return not (self.tried or ahead or self.starred != UNMARKED)


def measure(
    shots: Iterable[Shot],
    blocks: Sequence[AnyBlock],
    cache: Cache,
    settings: Settings,
    *,
    thumbnails: Sequence[ThumbnailSpec] = (),
    reader: PhotoReader | None = None,
    kept: Kept | None = None,
) -> Iterator[Photo]:
    """Every shot with its blocks, or with the reason for none, in the order given.

    Looks ahead by a bounded window. What cannot be read or measured is a value; only an IqError
    that concerns the whole run (no such device, missing weights) is raised. `thumbnails` are made
    where they can be. Photos are read by `reader`, by default as they are, and then have their
    likeness, as far as it was ever measured. Those whose results are `kept` come with a rating and
    without blocks.
    """
    spec = MeasureSpec(blocks, reader or PlainReader(), settings, thumbnails)
    run = _Run(spec, cache, settings, kept)
    with interrupts.saving(cache.flush), at_most(settings.max_seconds):
        try:
            yield from run.results(shots)
        finally:
            run.stop()


class _Run:
    def __init__(
        self, spec: MeasureSpec, cache: Cache, settings: Settings, kept: Kept | None
    ) -> None:
        self._spec = spec
        self._cache = cache
        self._settings = settings
        self._kept = kept
        keep_freed_memory()
        self._pool = ThreadPoolExecutor(settings.workers, "iq-decode")
        self._begun: set[Future[Any]] = set()
        self._on_device = [block for block in spec.blocks if not isinstance(block, PhotoBlock)]
        self._batch = (settings.batch_size or DEVICE_BATCH) if self._on_device else 0
        self._window: deque[Task] = deque()
        # Equal pictures that are on their way at once are decoded once.
        self._originals: dict[str, Task] = {}
        self._stopped = Event()
        self._picasa = PicasaStars()
        self._marks_fingerprint = spec.fingerprint + ("|labels" if settings.protect_labels else "")

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
            seen, known = self._kept.find(shot) if self._kept else (None, None)
            if known and self._is_starred(shot):
                known = None
            elif known and not self._window:
                yield known
                continue
            self._window.append(Task(shot, known=known) if known else self._start(shot, seen=seen))
            while self._window and (len(self._window) >= ahead or not self._window[0].is_pending):
                yield self._finish()
        while self._window:
            yield self._finish()

    def _is_starred(self, shot: Shot) -> bool:
        """Whether Picasa's file says anything of a shot, or cannot be read."""
        try:
            return self._picasa.of(shot) != UNMARKED
        except PhotoError:
            return True

    def stop(self) -> None:
        """Give up what has not begun, keep what is measured, and wait, not long, for the rest."""
        self._stopped.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._keep_measured()
        # Not for the threads yet: Python 3.11 takes one for ended whose `join` a key press
        # interrupts, and then ends under it.
        if wait(list(self._begun), PATIENCE).not_done:
            interrupts.leave_threads()
            return
        self._keep_measured()
        self._pool.shutdown()

    def _keep_measured(self) -> None:
        for task in self._window:
            # An equal picture that came first has a place before it in the window, or is kept.
            if task.original is None and task.reading and task.reading.done():
                with suppress(IqError, CancelledError):  # it concerns a run that ends anyway
                    self._await(task)
        self._cache.flush()

    def _submit(self, work: Callable[..., T], *given: Any) -> Future[T]:
        future = self._pool.submit(work, *given)
        self._begun.add(future)
        future.add_done_callback(self._begun.discard)
        return future

    def _start(
        self, shot: Shot, tried: tuple[Task, ...] = (), *, seen: bytes | None = None
    ) -> Task:
        task, measured = Task(shot, tried, seen=seen), False
        try:
            stat = shot.path.stat()
            task.file = FileStamp(stat.st_size, stat.st_mtime_ns, stat.st_dev, stat.st_ino)
            sha256 = self._cache.content(shot.path, stat)
            known = self._spec.load(self._cache, sha256) if sha256 else None
            if known and self._spec.is_complete(known):
                task.measurement = known
                measured = not known.is_unasked
                if known.is_unasked:
                    task.reading = self._submit(self._ask, task)
            else:
                task.reading = self._submit(self._read, task)
            # Marks of an earlier version may be of fewer forms; what is read now has them with it.
            self._start_marks(task, own=measured)
        except Exception as error:
            task.error = reason(error)
        return task

    def _note_computing(self, known: Measurement) -> None:
        """Say that a photo that was measured is not measured for this model."""
        missing = [each.name for each in self._spec.blocks if each.name not in known.blocks]
        if self._kept and known.facts_cached and not known.error and missing:
            self._cache.note_computing(missing)

    def _start_marks(self, task: Task, *, own: bool) -> None:
        task.starred = self._picasa.of(task.shot)
        if paths := sidecars(task.shot, own=own):
            timed = not is_timed(task.measurement)
            known = known_marks(paths, self._cache, self._marks_fingerprint, timed=timed)
            if known is not None:
                task.beside = known
            else:
                task.reading_marks = self._submit(self._read_marks, task, paths)

    def _read_marks(self, task: Task, paths: Sequence[Path]) -> list[SidecarMarks]:
        """In a worker. What an earlier version took for the time may be that of a change."""
        found = read_marks(paths, labels=self._settings.protect_labels)
        own = next((each for each in found if each.path == task.shot.path), None)
        if own and not own.taken and _is_by_exif(task.measurement):
            with suppress(OSError, PhotoError):  # what is known stays
                self._ask(task)
                task.is_asked = True
        return found

    def _read(self, task: Task) -> Stamp:
        """In a worker: one read serves hash and decode."""
        data, stamp = self._spec.read(task.shot.path)
        task.sha256 = hashlib.sha256(data).hexdigest()
        task.own_marks = marks_in(BytesIO(data), labels=self._settings.protect_labels)
        original = self._originals.setdefault(task.sha256, task)
        if original is not task:
            task.original = original
            return stamp
        known = self._spec.load(self._cache, task.sha256, data)
        self._note_computing(known)
        if not self._spec.is_complete(known) and not self._stopped.is_set():
            self._spec.compute(known, data)
            if known.inputs and self._in_workers:
                self._forward_here(known)
        elif known.is_unasked or (_is_by_exif(known) and time_in(BytesIO(data)) is None):
            self._ask_again(known, data)
        task.measurement = known
        return stamp

    def _ask(self, task: Task) -> Stamp:
        """In a worker: read the metadata that an earlier version did not ask for."""
        data, stamp = self._spec.read(task.shot.path)
        task.sha256 = hashlib.sha256(data).hexdigest()
        task.own_marks = marks_in(BytesIO(data), labels=self._settings.protect_labels)
        if task.measurement and task.sha256 == task.measurement.sha256:
            self._ask_again(task.measurement, data)
        return stamp

    def _ask_again(self, known: Measurement, data: bytes) -> None:
        """In a worker: read the metadata of a photo that an earlier version may have measured."""
        before = _own_time(known)
        unasked = known.is_unasked
        self._spec.ask(known, data)
        if unasked or _own_time(known) != before:
            self._cache.note_reading_anew()

    def _finish(self) -> Photo:
        """The first shot of the window, led by its first whole file, or the least broken."""
        while True:
            task = self._window[0]
            if task.known:
                self._window.popleft()
                return task.known
            self._await(task)
            if task.measurement and task.measurement.inputs:
                self._forward()
            self._await_marks(task)
            if not self._is_passed_on(task):
                break
        task = min((*task.tried, task), key=lambda each: each.readability)
        if task.measurement and not is_timed(task.measurement) and task.beside.taken is None:
            task.film = film_time(task.shot, self._cache)
        self._window.popleft()
        return task.photo(self._spec.blocks)

    def _is_passed_on(self, first: Task) -> bool:
        """Whether the first shot of the window goes on with its next file.

        Others that are known to be broken go on as well: their next files are read meanwhile.
        """
        if _next_shot(first) is None:
            return False
        for place, task in enumerate(self._window):
            if task.reading is None or task.reading.done():
                self._await(task)
                if (shot := _next_shot(task)) is not None:
                    self._window[place] = self._start(shot, (*task.tried, task))
        return True

    def _await(self, task: Task) -> None:
        if task.reading is None:
            return
        try:
            at_ns, stat = task.reading.result()
        except Exception as error:
            task.reading = None
            if task.measurement is None:
                task.error = task.error or reason(error)
            return
        task.reading = None
        if stat:
            path, key = task.shot.path, self._marks_fingerprint
            self._cache.remember_content(path, stat, at_ns, task.sha256)
            self._cache.remember_marks(path, stat, at_ns, key, task.own_marks)
        if original := task.original:
            self._await(original)
            task.measurement, task.error = original.measurement, task.error or original.error
        elif task.measurement:
            self._save(task.measurement)
        if stat and not (task.measurement and task.measurement.error):
            # Should it be asked as the original of an edit; a broken file may have a whole header.
            self._cache.remember_time(path, stat, at_ns, _own_time(task.measurement))

    def _save(self, known: Measurement) -> None:
        if not known.inputs:
            self._spec.save(self._cache, known)
            self._originals.pop(known.sha256, None)

    def _forward(self) -> None:
        """Run the device on the next pictures of the window that wait for it."""
        waiting: dict[str, Measurement] = {}
        for task in self._window:
            self._await(task)
            if task.measurement and task.measurement.inputs:
                waiting[task.measurement.sha256] = task.measurement
            if len(waiting) == self._batch:
                break
        for block in self._on_device:
            several = [each for each in waiting.values() if block.name in each.inputs]
            inputs = [each.inputs.pop(block.name) for each in several]
            for known, result in zip(several, self._batches.run(block, inputs), strict=True):
                _add_result(known, block.name, result)
        for known in waiting.values():
            self._save(known)

    def _forward_here(self, known: Measurement) -> None:
        """In a worker: run the device blocks of one picture on this core."""
        single = Batches("cpu", 1)
        if any(block.needs_torch("cpu") for block in self._on_device if block.name in known.inputs):
            keep_to_one_core()
        for block in self._on_device:
            if block.name in known.inputs:
                (result,) = single.run(block, [known.inputs.pop(block.name)])
                _add_result(known, block.name, result)

    def _await_marks(self, task: Task) -> None:
        if task.reading_marks is None:
            return
        try:
            found = task.reading_marks.result()
        except Exception as error:
            task.error = task.error or reason(error)
            return
        task.beside = keep_marks(found, self._cache, self._marks_fingerprint)
        if task.measurement and task.is_asked:
            self._save(task.measurement)


def _next_shot(task: Task) -> Shot | None:
    """The shot led by the file to try where that of the task is broken, if there is one."""
    pending = task.measurement is not None and task.measurement.inputs
    if pending or task.readability not in (Readability.DAMAGED, Readability.UNREADABLE):
        return None
    others = stand_ins((*task.tried, task)[0].shot)[len(task.tried) :]
    return task.shot.led_by(others[0]) if others else None


def is_timed(known: Measurement | None) -> bool:
    """Whether a photo has a time that no file beside it and no name changes."""
    own = _own_time(known)
    if own is None or own.source not in FIRST_SOURCES or capture_time.is_doubtful(own.when):
        return False
    return capture_time.is_moment(own.when)


def _is_by_exif(known: Measurement | None) -> bool:
    own = _own_time(known)
    return own is not None and own.source == capture_time.EXIF


def _own_time(known: Measurement | None) -> Taken | None:
    facts = known.facts if known and isinstance(known.facts, Facts) else None
    if facts is None or not facts.taken or not facts.taken_from:
        return None
    return Taken(facts.taken, facts.taken_from)


def _add_result(known: Measurement, name: str, result: Vector | str) -> None:
    if isinstance(result, str):
        known.error = known.error or result
    else:
        known.add_block(name, result)
