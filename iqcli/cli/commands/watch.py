"""The loop of `iq score --watch`: a row for each photo as soon as it is fully written."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from iqcli import interrupts
from iqcli.cli.console import info, problem
from iqcli.cli.session import unreadable_files
from iqcli.errors import IqError
from iqcli.output import rows
from iqcli.output.stdout import exit_on_closed_pipe, write
from iqcli.photos.find import PassedOver
from iqcli.photos.watch import FolderScanner, WatchFolder, is_temporary
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from iqcli.cli.session import Session
    from iqcli.errors import Exit
    from iqcli.photos.find import OnProblem
    from iqcli.records import Photo, Shot

# Photos rated before their rows are written.
CHUNK = 16
# Seconds between two looks at the folders: at most, and at least, for a short settling time.
SLOWEST, FASTEST = 1.0, 0.05
# Looking takes at most this part (1/n) of the time, however large the folders are.
SHARE = 4


def watch(session: Session, form: str, *, settle: float, existing: bool, nul: bool) -> Exit:
    """Write a row for each photo that arrives, until SIGTERM, Ctrl-C or a closed pipe.

    A file is complete after `settle` seconds without a change. With `existing` photos that are
    there at the start count as arriving. Raises IqError for what cannot be watched,
    KeyboardInterrupt after the counts, but not for SIGTERM, the way to end it.
    """
    if form not in rows.STREAMING:
        *first, last = rows.STREAMING
        names = f"{', '.join(first)} or {last}"
        raise IqError(f"--watch writes as photos come; give --format {names} with it")
    folders = _folders(session)
    counts = session.counts
    try:
        _write([], form, nul)
        for photo in _arriving(session, folders, settle, existing):
            counts.add_arrived(photo)
            if photo.error:
                problem(photo.shot.path, photo.error)
            for path, reason in unreadable_files(photo).items():
                problem(path, reason)
            _write([photo], form, nul)
    except KeyboardInterrupt:
        if not session.quiet:
            info(counts.describe("scored", " arrived"))
        if interrupts.received() != signal.SIGTERM:
            raise
        interrupts.dismiss()
    return counts.exit_code


def _folders(session: Session) -> list[Path]:
    for given in session.given:
        if not Path(given).is_dir():
            what = "the list on stdin" if given == "-" else display_path(Path(given))
            raise IqError(f"{what} is no folder; --watch watches folders, so name those")
    return session.paths


def _arriving(
    session: Session,
    folders: list[Path],
    settle: float,
    existing: bool,
) -> Iterator[Photo]:
    """The photos that arrive, rated by one model that stays loaded."""
    _ = session.model  # one that cannot be loaded is refused before the wait
    scanner = FolderScanner(folders, _Walk(session), problem)
    folder = WatchFolder(scanner, settle)
    if not existing:
        folder.mark_seen()
    if not session.quiet:
        info(f"watching {', '.join(map(display_path, folders))}; Ctrl-C ends it")
    pause = min(max(settle / 2, FASTEST), SLOWEST)
    while True:
        exit_on_closed_pipe()
        began = time.monotonic()
        shots = folder.settled()
        looked = time.monotonic() - began
        for shot, photo in zip(shots, _rated(session, shots), strict=True):
            if folder.accept(shot, photo):
                yield photo
        time.sleep(max(pause, (SHARE - 1) * looked))


class _Walk:
    """Walks the folders, again and again; what is passed over is shown once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._shown = False

    def __call__(self, folders: list[Path], on_problem: OnProblem) -> Iterator[Shot]:
        passed = PassedOver()
        yield from self._session.walk(folders, on_problem, skip=is_temporary, passed=passed)
        if not self._shown:
            self._session.report_passed(passed)
        self._shown = True


def _rated(session: Session, shots: list[Shot]) -> Iterator[Photo]:
    from iqcli.models.scoring import judge

    for start in range(0, len(shots), CHUNK):
        chunk = shots[start : start + CHUNK]
        photos = session.measure(session.model.blocks, chunk, tracked=False)
        yield from judge(photos, session.model)


def _write(photos: Sequence[Photo], form: str, nul: bool) -> None:
    """The rows of these photos; without any, what stands above all rows."""
    if form == "paths":
        write(rows.to_paths(photos, nul=nul))
        return
    lines = list(rows.to_text(form, map(rows.row, photos)))
    write(lines[-len(photos) :] if photos else lines)
