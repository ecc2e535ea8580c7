"""A transaction: steps that succeed together, or are all rolled back."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from iqcli.errors import Interrupted, IqError, PlanConflict
from iqcli.fs import durable, files, locks
from iqcli.fs.anchors import anchored
from iqcli.text import display_path
from iqcli.transactions.reject_folder import mode_like
from iqcli.transactions.steps import FileState, JournalState, Link

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from pathlib import Path

    from iqcli.transactions.journal import JournalWriter
    from iqcli.transactions.steps import Step


@contextmanager
def held(roots: Collection[Path], state_dir: Path) -> Iterator[None]:
    """Lock these roots for the block, and hold their folders open while it changes them.

    Raises IqError where another process is at work.
    """
    own = (state_dir / name for name in ("journal", "kept"))
    with locks.hold(roots, state_dir), anchored(roots, own):
        yield


@contextmanager
def named_errors() -> Iterator[None]:
    """What cannot be looked at before or after the changes, such as a folder gone meanwhile.

    Its OSError becomes an IqError that names it.
    """
    try:
        yield
    except OSError as error:
        name = display_path(error.filename) if error.filename else "a folder of photos"
        raise IqError(f"cannot look at {name}: {_reason(error)}; run again") from error


class Transaction:
    """The steps of one run. `claims` are the names that earlier runs were about to hold."""

    def __init__(self, log: JournalWriter, claims: Iterable[Path] = ()) -> None:
        self._log = log
        self._claims = set(claims)
        self._begun: list[Step] = []
        self._made: list[Path] = []
        self.parts: list[Path] = []  # finished contents that wait for their step

    def execute(self, steps: Iterable[Step], known: JournalState) -> None:
        """Make the steps of one shot or edit, having inspected all its files once more.

        Raises PlanConflict for a late change and IqError where the system refuses.
        """
        for step, state in [(step, step.inspect(known)) for step in steps]:
            try:
                if not known.settled:
                    _remove_leftovers(step)
                self._apply(step, state)
            except FileExistsError as error:
                self._discard(step)
                raise PlanConflict(step.conflict_message) from error
            except OSError as error:
                raise IqError(_refused(step, error)) from error

    def _apply(self, step: Step, state: FileState) -> None:
        if state in (FileState.AT_SOURCE, FileState.CLAIMED):
            mode = mode_like(step.source.parent)
            self._made += files.make_folders(step.target.parent, mode)
            self._begun.append(step)
        step.apply(state, self._claim)

    def _discard(self, step: Step) -> None:
        """Another program took the name first: what stands there is not rolled back."""
        with suppress(OSError):
            _remove_leftovers(step)
            self._begun = [each for each in self._begun if each is not step]

    def _claim(self, path: Path) -> None:
        self._log.claim(path)
        self._claims.add(path)

    def sync(self, folders: Iterable[Path] = ()) -> None:
        """See every changed name on the disk, and all those in `folders`. Raises OSError."""
        changed = {end.parent for step in self._begun for end in (step.source, step.target)}
        for folder in sorted(changed.union(folders)):
            durable.sync_folder(folder)

    def rollback(self) -> list[str]:
        """Take back what was begun, the latest first, and name what could not be taken back.

        A file that stays moved or copied keeps its edit: an undo compares it as it was then.
        """
        with suppress(OSError):
            self._log.note("back")
        known = JournalState(settled=False, at_source=False, claims=self._claims)
        stuck: list[str] = []
        stay: set[Path] = set()
        for step in reversed(self._begun):
            if step.source in stay:
                continue
            left = len(stuck)
            try:
                _remove_leftovers(step)
                step.inverse().apply(step.inverse().inspect(known), self._claim)
            except OSError as error:
                stuck.append(f"{display_path(step.target)}: {_reason(error)}")
            except IqError as error:
                stuck.append(str(error))
            if len(stuck) > left:
                stay.add(step.source)
        for part in self.parts:
            try:
                files.remove(part)
            except OSError as error:
                stuck.append(f"{display_path(part)}: {_reason(error)}")
        for folder in reversed(self._made):
            with suppress(OSError):
                files.remove_folder(folder)
        return stuck


def _remove_leftovers(step: Step) -> None:
    for part in step.leftovers:
        files.remove(part)


def _refused(step: Step, error: OSError) -> str:
    hint = "; this disk may know no links, copy or move instead" if isinstance(step, Link) else ""
    return f"cannot {step.verb} {display_path(step.source)}: {_reason(error)}{hint}"


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


@contextmanager
def rollback_on_error(
    transaction: Transaction, log: JournalWriter, clean_up: Callable[[], None]
) -> Iterator[None]:
    """Roll the whole transaction back if anything goes wrong within, an interrupt included.

    `clean_up` runs after the rollback. Raises the same error, which then says what stands: every
    file is back, or which are not; then the journal stays open, so that an undo can go on.
    """
    try:
        yield
    except BaseException as error:
        stuck = transaction.rollback()
        if not stuck:
            with suppress(OSError):  # then the journal stays open too, and an undo cleans up
                clean_up()
                log.note("aborted")
        if isinstance(error, OSError):
            name = display_path(error.filename) if error.filename else "the journal or manifest"
            why = f"cannot write {name}: {_reason(error)}"
            raise IqError(f"{why}; {_standing(stuck, log)}") from error
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
