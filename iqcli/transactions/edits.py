"""Files beside photos, or photos, given a new content: all of them or none, and with a way back."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iqcli.errors import Interrupted, IqError, PlanConflict
from iqcli.fs import files, locks
from iqcli.text import display_path
from iqcli.transactions import history, journal
from iqcli.transactions.edit_records import Edited, EditState, check, inspect_edit, is_part
from iqcli.transactions.plan import Outcome, below, refuse
from iqcli.transactions.replace import Backups, FileEdits, restore, sync
from iqcli.transactions.rollback import rollback_on_error

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

    from iqcli.transactions.history import RunHistory

_NOTHING = "nothing was written"


@dataclass(frozen=True, slots=True)
class Edit:
    """A new content for one file under a root, both as a `Shot` has them.

    `expect` is the hex sha256 of the content that the new one was made from, None where there must
    be no file. `after` is the new content, or a finished file with it: beside `path`, its name
    beginning with `files.PART`. Such a part becomes the file; it is gone when `write` returns.
    """

    root: Path
    path: Path
    expect: str | None
    after: bytes | Path


def write(edits: Iterable[Edit], state_dir: Path, kind: str = "xmp") -> Outcome:
    """Give every file its new content, or none; `undo` gives the old ones back, with their times.

    A file that is replaced keeps its mode. An edit that changes nothing is passed over. Raises
    PlanConflict where a file is another than expected, is no plain file, or lies outside its root;
    IqError where the system refuses or another process is at work.
    """
    given = list(edits)
    try:
        meant = [(each, _edited(each)) for each in given]
        todo = [(each.after, edited) for each, edited in meant if edited.before != edited.after]
        if not todo:
            return Outcome("", kind, 0, 0, what=kind)
        return _write([after for after, _ in todo], [edited for _, edited in todo], state_dir, kind)
    except OSError as error:
        name = display_path(error.filename) if error.filename else "a file to edit"
        raise IqError(f"cannot read {name}: {error.strerror}; {_NOTHING}") from error
    finally:
        for each in given:
            with suppress(OSError):
                if isinstance(each.after, Path):
                    files.remove(each.after)


def _edited(edit: Edit) -> Edited:
    root = edit.root.resolve()
    path = root / below(root, edit.path)
    if isinstance(edit.after, bytes):
        return Edited(root, path, edit.expect, hashlib.sha256(edit.after).hexdigest())
    part = edit.after.parent.resolve() / edit.after.name
    assert is_part(part, path)
    return Edited(root, path, edit.expect, files.sha256(part), part)


def _write(
    after: Sequence[bytes | Path], edited: Sequence[Edited], state_dir: Path, kind: str
) -> Outcome:
    check(edited)
    with locks.hold({each.root for each in edited}, state_dir):
        refuse([why for each in edited if (why := _obstacle(each))], "run again", _NOTHING)
        log = journal.begin_edits(state_dir, kind, edited)
        kept = Backups(state_dir, log.run)
        swaps = FileEdits(log, kept, edited)
        with rollback_on_error(swaps, log, lambda: kept.drop(range(len(edited)))):
            kept.take(edited)
            swaps.prepare(after)
            for number in range(len(edited)):
                swaps.change(number)
                log.done(number)
            sync(edited)
            log.note("finished")
    return Outcome(log.run, kind, len(edited), len(edited), what=kind)


def _obstacle(edited: Edited) -> str | None:
    try:
        stand = inspect_edit(edited)
    except PlanConflict as error:
        return str(error)
    return None if stand is EditState.BEFORE else f"{display_path(edited.path)} has changed since"


def take_back(past: RunHistory, state_dir: Path, partly: bool) -> Outcome:
    """Give the files of a run their old contents again; see `apply.undo`.

    An error of the system leaves it half done, and says that the same undo goes on from there.
    """
    edited = past.run.edits
    check(edited)
    left = {
        number: why
        for number, each in enumerate(edited)
        if (why := _blocked(each, past.claims)) is not None
    }
    if history.must_refuse(past, len(left), len(edited), partly):
        hint = history.way_out(state_dir, past, {edited[number].path for number in left})
        refuse(list(left.values()), hint, "nothing was changed back")
    going = [number for number in range(len(edited)) if number not in left]
    log = journal.begin_undo(state_dir, past.run.id, len(going), len(going))
    kept = Backups(state_dir, past.run.id)
    with _can_go_on(past.run.id):
        for number in reversed(going):
            restore(number, edited[number], kept, past.claims)
            log.done(number)
        sync(edited[number] for number in going)
        kept.drop(going)
        log.note("partial" if left else "finished")
    return Outcome(
        log.run,
        "undo",
        len(going),
        len(going),
        of=past.run.id,
        left=tuple(left.values()),
        what=past.run.kind,
    )


def _blocked(edited: Edited, claims: Container[Path]) -> str | None:
    try:
        inspect_edit(edited, claims)
    except PlanConflict as error:
        return str(error)
    except OSError as error:
        return f"cannot look at {display_path(edited.path)}: {error.strerror}"
    return None


@contextmanager
def _can_go_on(run: str) -> Iterator[None]:
    way = f"mend that, then run iq undo {run} again to finish"
    try:
        yield
    except PlanConflict as error:
        raise PlanConflict(f"{error}; {way}") from error
    except OSError as error:
        name = display_path(error.filename) if error.filename else "the journal"
        raise IqError(f"cannot write {name}: {error.strerror}; {way}") from error
    except KeyboardInterrupt as error:
        raise Interrupted(f"interrupted; run iq undo {run} again to finish") from error
