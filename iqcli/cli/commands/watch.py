"""The loop of `iq score --watch`: a row a photo, as soon as it has arrived whole."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from iqcli.cli.console import counted, info
from iqcli.errors import Exit, IqError
from iqcli.output import rows
from iqcli.output.stdout import exit_on_closed_pipe, write
from iqcli.photos.watch import Arrivals, Watched, is_passing
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from iqcli.cli.session import Session
    from iqcli.records import Photo, Shot

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


def watch(session: Session, pace: Pace, form: str, *, nul: bool) -> Exit:
    """Write a row for each photo that arrives, until SIGTERM, Ctrl-C, or until nobody reads.

    Raises IqError for what cannot be watched, KeyboardInterrupt after the counts.
    """
    if form not in rows.STREAMING:
        *first, last = rows.STREAMING
        names = f"{', '.join(first)} or {last}"
        raise IqError(f"--watch writes as photos come; give --format {names} with it")
    folders = _folders(session)
    done: dict[bool, int] = {True: 0, False: 0}
    try:
        with _until_terminated() as ended:
            _write([], form, nul)
            for photo in _arriving(session, folders, pace, ended):
                done[photo.rating is not None] += 1
                if photo.error:
                    info(f"iq: {display_path(photo.shot.path)}: {photo.error}")
                _write([photo], form, nul)
    except KeyboardInterrupt:
        _tell(done, quiet=session.quiet)
        raise
    _tell(done, quiet=session.quiet)
    return Exit.SOME_FAILED if done[False] else Exit.DONE


def _folders(session: Session) -> list[Path]:
    for given in session.given:
        if not Path(given).is_dir():
            what = "the list on stdin" if given == "-" else display_path(Path(given))
            raise IqError(f"{what} is no folder; --watch watches folders, so name those")
    return session.paths


def _arriving(
    session: Session, folders: list[Path], pace: Pace, ended: threading.Event
) -> Iterator[Photo]:
    """What arrives, judged, by one model that stays loaded."""
    _ = session.model  # one that cannot be loaded is refused before the wait
    walk = partial(session.walk, skip=is_passing)
    watched = Watched(folders, walk, lambda path, why: info(f"iq: {display_path(path)}: {why}"))
    arrivals = Arrivals(watched, pace.settle)
    if not pace.existing:
        arrivals.pass_over()
    if not session.quiet:
        info(f"watching {', '.join(map(display_path, folders))}; Ctrl-C ends it")
    while not ended.is_set():
        exit_on_closed_pipe()
        began = time.monotonic()
        shots = arrivals.settled()
        looked = time.monotonic() - began
        for photo in _rated(session, shots, ended):
            if arrivals.take(photo):
                yield photo
        ended.wait(max(pace.interval, (SHARE - 1) * looked))


def _rated(session: Session, shots: list[Shot], ended: threading.Event) -> Iterator[Photo]:
    from iqcli.models.scoring import judge

    for start in range(0, len(shots), CHUNK):
        if ended.is_set():
            return
        chunk = shots[start : start + CHUNK]
        photos = session.measure(session.model.blocks, chunk, tracked=False)
        yield from judge(photos, session.model)


def _write(judged: Sequence[Photo], form: str, nul: bool) -> None:
    """One row now, or what stands before all of them."""
    if form == "paths":
        write(rows.to_paths(judged, nul=nul))
        return
    lines = list(rows.to_text(form, (rows.row(each) for each in judged)))
    write(lines[-len(judged) :] if judged else lines)


def _tell(done: dict[bool, int], *, quiet: bool) -> None:
    if not quiet:
        failed = f", {done[False]:,} without a score" if done[False] else ""
        info(f"{counted(sum(done.values()), 'photo')} arrived: {done[True]:,} scored{failed}")


@contextmanager
def _until_terminated() -> Iterator[threading.Event]:
    """An event that SIGTERM sets: what was begun is finished, and the counts are told."""
    ended = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        yield ended
    finally:
        signal.signal(signal.SIGTERM, before)
