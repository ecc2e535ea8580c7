"""Steps that succeed together: whatever goes wrong, what was done can be taken back."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from iqcli.errors import Interrupted, IqError, PlanConflict
from iqcli.fs import durable, files
from iqcli.text import display_path
from iqcli.transactions.reject_folder import mode_like
from iqcli.transactions.steps import FileState, JournalState, Link

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from iqcli.transactions.journal import JournalWriter
    from iqcli.transactions.steps import Step


class Reversible(Protocol):
    """What can be taken back."""

    def back(self) -> list[str]:
        """Return what was done, the latest first, and say what could not be returned."""


class Transaction:
    """The steps of one run. `claims` are the names that earlier runs were about to hold."""

    def __init__(self, log: JournalWriter, claims: Iterable[Path] = ()) -> None:
        self._log = log
        self._claims = set(claims)
        self._begun: list[Step] = []
        self._made: list[Path] = []

    def carry(self, steps: Iterable[Step], known: JournalState) -> None:
        """Bring one shot where it should be, having looked at all its files once more.

        Raises PlanConflict for a late change and IqError where the system refuses.
        """
        for step, place in [(step, step.look(known)) for step in steps]:
            try:
                if not known.settled:
                    _remove_parts(step)
                self._bring(step, place)
            except FileExistsError as error:
                self._forget(step)
                raise PlanConflict(step.late) from error
            except OSError as error:
                raise IqError(_refused(step, error)) from error

    def _bring(self, step: Step, place: FileState) -> None:
        if place in (FileState.AT_SOURCE, FileState.CLAIMED):
            mode = mode_like(step.source.parent)
            self._made += files.make_folders(step.target.parent, mode)
            self._begun.append(step)
        step.bring(place, self._claim)

    def _forget(self, step: Step) -> None:
        """Where another came first nothing was done: what stands there is not ours to take back."""
        with suppress(OSError):
            _remove_parts(step)
            self._begun = [each for each in self._begun if each is not step]

    def _claim(self, path: Path) -> None:
        self._log.claim(path)
        self._claims.add(path)

    def sync(self) -> None:
        """See every changed name on the disk. Raises OSError."""
        for folder in sorted(
            {end.parent for step in self._begun for end in (step.source, step.target)}
        ):
            durable.sync_folder(folder)

    def back(self) -> list[str]:
        """Return what has moved, the latest first, and say what could not be returned."""
        with suppress(OSError):
            self._log.note("back")
        known = JournalState(settled=False, at_source=False, claims=self._claims)
        stuck = []
        for step in reversed(self._begun):
            try:
                _remove_parts(step)
                step.back().bring(step.back().look(known), self._claim)
            except OSError as error:
                stuck.append(f"{display_path(step.target)}: {_why(error)}")
            except IqError as error:
                stuck.append(str(error))
        for folder in reversed(self._made):
            with suppress(OSError):
                files.remove_folder(folder)
        return stuck


def _remove_parts(step: Step) -> None:
    files.remove(files.part_of(step.source))
    files.remove(files.part_of(step.target))


def _refused(step: Step, error: OSError) -> str:
    said = f"cannot {step.verb} {display_path(step.source)}: {_why(error)}"
    hint = "; this disk may know no links, copy or move instead"
    return said + (hint if isinstance(step, Link) else "")


def _why(error: OSError) -> str:
    return error.strerror or str(error)


@contextmanager
def rollback_on_error(
    trip: Reversible, log: JournalWriter, tidy: Callable[[], None]
) -> Iterator[None]:
    """Take the whole trip back if anything goes wrong within, an interrupt included.

    `tidy` clears up behind it. Raises the same error, which then says what stands: everything is
    back, or which files are not; then the journal stays open, so that an undo goes on from there.
    """
    try:
        yield
    except BaseException as error:
        stuck = trip.back()
        if not stuck:
            with suppress(OSError):  # then the journal stays open too, and an undo clears up
                tidy()
                log.note("aborted")
        if isinstance(error, OSError):
            name = display_path(error.filename) if error.filename else "the journal or manifest"
            raise IqError(f"cannot write {name}: {_why(error)}; {_standing(stuck, log)}") from error
        if isinstance(error, IqError):
            kind = IqError if stuck else type(error)
            raise kind(f"{error}; {_standing(stuck, log)}") from error
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted(f"interrupted; {_standing(stuck, log)}") from error
        raise


def _standing(stuck: list[str], log: JournalWriter) -> str:
    if not stuck:
        return "all files are where they were"
    more = f" (and {len(stuck) - 1} more)" if len(stuck) > 1 else ""
    return f"not put back: {stuck[0]}{more}; mend that, then run iq undo {log.subject}"
