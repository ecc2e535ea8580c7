"""The loop of `iq score --watch`: a row a photo, as soon as it has arrived whole."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iqcli.cli.console import counted, say, warn
from iqcli.cli.output import WRITERS
from iqcli.errors import Exit, IqError
from iqcli.output import rows
from iqcli.output.stdout import end_unheard, write
from iqcli.photos.watch import Arrivals, Watched, is_passing
from iqcli.text import display_path

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from iqcli.cli.session import Run
    from iqcli.models.registry import Model
    from iqcli.photos.find import OnProblem
    from iqcli.photos.watch import Walk
    from iqcli.pipeline.cache import Cache
    from iqcli.records import Photo, Shot

FORMATS = ("jsonl", "csv", "paths")
# Photos judged before their rows are written.
CHUNK = 16
# Looking takes at most one part in so many of the time, however large the folders are.
SHARE = 4


@dataclass(frozen=True, slots=True)
class Pace:
    """How to watch: seconds between looks, seconds of quiet that make a file whole, and whether
    what is there at the start counts as arriving."""

    interval: float
    settle: float
    existing: bool


def watch(run: Run, pace: Pace, form: str, *, nul: bool) -> Exit:
    """Write a row for each photo that arrives, until SIGTERM, Ctrl-C, or until nobody reads.

    Raises IqError for what cannot be watched, KeyboardInterrupt after the counts.
    """
    if form not in FORMATS:
        raise IqError("--watch writes as photos come; give --format jsonl, csv or paths with it")
    folders = _folders(run)
    done: dict[bool, int] = {True: 0, False: 0}
    try:
        with _until_terminated() as ended:
            _write([], form, nul)
            for judged in _arriving(run, folders, pace, ended):
                done[judged.rating is not None] += 1
                if judged.error:
                    say(f"iq: {display_path(judged.shot.path)}: {judged.error}")
                _write([judged], form, nul)
    except KeyboardInterrupt:
        _tell(done, quiet=run.quiet)
        raise
    _tell(done, quiet=run.quiet)
    return Exit.SOME_FAILED if done[False] else Exit.DONE


def _folders(run: Run) -> list[Path]:
    for given in run.given:
        if not Path(given).is_dir():
            what = "the list on stdin" if given == "-" else display_path(Path(given))
            raise IqError(f"{what} is no folder; --watch watches folders, so name those")
    return run.paths


def _arriving(run: Run, folders: list[Path], pace: Pace, ended: threading.Event) -> Iterator[Photo]:
    """What arrives, judged, by one model that stays loaded."""
    from iqcli.models.registry import load
    from iqcli.pipeline.cache import Cache

    model = load(run.settings.model)
    cache = Cache(run.settings.cache_dir if run.use_cache else None, warn)
    watched = Watched(
        folders, _walk(run, cache), lambda path, why: say(f"iq: {display_path(path)}: {why}")
    )
    arrivals = Arrivals(watched, pace.settle)
    try:
        if not pace.existing:
            arrivals.pass_over()
        if not run.quiet:
            say(f"watching {', '.join(map(display_path, folders))}; Ctrl-C ends it")
        while not ended.is_set():
            end_unheard()
            began = time.monotonic()
            shots = arrivals.settled()
            looked = time.monotonic() - began
            for judged in _judged(shots, model, cache, run, ended):
                if arrivals.take(judged):
                    yield judged
            ended.wait(max(pace.interval, (SHARE - 1) * looked))
    finally:
        cache.close()


def _walk(run: Run, cache: Cache) -> Walk:
    from iqcli.photos.find import find_shots
    from iqcli.photos.folder import looks_like_photo

    def is_photo(path: Path, status: os.stat_result) -> bool:
        return not is_passing(path.name) and cache.is_photo(path, status, looks_like_photo)

    def walk(folders: list[Path], on_problem: OnProblem) -> Iterator[Shot]:
        return find_shots(
            folders,
            follow_links=run.follow_links,
            default_excludes=run.default_excludes,
            is_photo=is_photo,
            on_problem=on_problem,
        )

    return walk


def _judged(
    shots: list[Shot], model: Model, cache: Cache, run: Run, ended: threading.Event
) -> Iterator[Photo]:
    from iqcli.models.scoring import judge
    from iqcli.pipeline.measure import measure

    for start in range(0, len(shots), CHUNK):
        if ended.is_set():
            return
        chunk = shots[start : start + CHUNK]
        yield from judge(measure(chunk, model.blocks, cache, run.settings), model)


def _write(judged: Sequence[Photo], form: str, nul: bool) -> None:
    """One row now, or what stands before all of them."""
    if form == "paths":
        write(rows.to_paths(judged, nul=nul))
        return
    lines = list(WRITERS[form](rows.row(each) for each in judged))
    write(lines[-len(judged) :] if judged else lines)


def _tell(done: dict[bool, int], *, quiet: bool) -> None:
    if not quiet:
        failed = f", {done[False]:,} without a score" if done[False] else ""
        say(f"{counted(sum(done.values()), 'photo')} arrived: {done[True]:,} scored{failed}")


@contextmanager
def _until_terminated() -> Iterator[threading.Event]:
    """An event that SIGTERM sets: what was begun is finished, and the counts are told."""
    ended = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        yield ended
    finally:
        signal.signal(signal.SIGTERM, before)
