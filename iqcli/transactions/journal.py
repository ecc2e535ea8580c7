"""The append-only record of a run: the whole intent is on the disk before the first change.

One file a run, JSON lines: the intent (with the edits, the plan, or the run that is undone), then
events:

    done      an item is done          claim     a name is about to be held by an empty file
    back      the run is being rolled back after an error
    sending   the folder of rejects is about to go to the system's trash
    finished | partial | aborted       the last line; without it the run was cut off

The items of a run are its edits, then the shots of its plan, numbered from 0. Runs that hold both
have schema 2, all others schema 1, which versions before 0.2 can undo.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iqcli.errors import IqError
from iqcli.fs import durable, files
from iqcli.text import display_path
from iqcli.transactions import edit_records
from iqcli.transactions.jsonl import Record, line, path_fields, path_of, record, want
from iqcli.transactions.plan import parse, records

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iqcli.transactions.edit_records import FileEdit
    from iqcli.transactions.plan import Plan

KIND = "iq-journal"
# Of a run that holds either edits or a plan, and of one that holds both.
SCHEMA, BOTH_SCHEMA = 1, 2


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """A run as its journal describes it.

    `plan` is that of a cull, `edits` are its edits or those of a run of edits alone; `of` is the
    run that an undo undoes. `linked_run`: before version 0.2 the edits of a cull were this run.
    `end` is "finished", "partial" (an undo that left some), "aborted" (rolled back) or None;
    `done` numbers the items that are done.
    """

    id: str
    kind: str
    when: str
    shots: int
    files: int
    of: str | None
    plan: Plan | None
    done: frozenset[int]
    claims: frozenset[Path]
    rolled_back: bool
    end: str | None
    edits: tuple[FileEdit, ...] = ()
    linked_run: str | None = None
    sending: bool = False

    @property
    def paths(self) -> frozenset[Path]:
        """Every name that the run gave, took or changed."""
        shots = self.plan.shots if self.plan else ()
        ends = {
            shot.root / end
            for shot in shots
            for each in shot.files
            for end in (each.source, each.target)
        }
        return frozenset(ends | {each.path for each in self.edits})

    @property
    def roots(self) -> tuple[Path, ...]:
        """The roots that it worked in, each once."""
        planned = self.plan.roots if self.plan else ()
        return tuple(sorted({*planned, *(each.root for each in self.edits)}))


@dataclass(frozen=True, slots=True)
class UnreadableJournal:
    """A journal that cannot be read, and the sentence about it."""

    path: Path
    message: str

    @property
    def run(self) -> str:
        """The id of its run, by the name of the file."""
        return self.path.stem


@dataclass(frozen=True, slots=True)
class JournalWriter:
    """A journal that is being written. Every method raises OSError.

    `subject` is the run whose photos move: this one, or the one that it undoes.
    """

    path: Path
    run: str
    when: str
    subject: str

    def done(self, item: int) -> None:
        """An item is done. A hint only, so it need not reach the disk before the next change."""
        durable.append_line(self.path, line({"event": "done", "shot": item}), sync=False)

    def claim(self, path: Path) -> None:
        """A name is about to be held by an empty file."""
        durable.append_line(self.path, line({"event": "claim", **path_fields("path", path)}))

    def note(self, event: str) -> None:
        """Another event: back, sending, or how it ended."""
        durable.append_line(self.path, line({"event": event}))


def begin(
    state_dir: Path, kind: str, plan: Plan | None, edits: Sequence[FileEdit]
) -> JournalWriter:
    """Write down what a run is about to do. Raises IqError if that cannot be kept."""
    count = len(edits)
    text: dict[str, Any] = {"edits": edit_records.records(edits)} if edits else {}
    text |= {"plan": list(records(plan))} if plan else {}
    text |= {"shots": len(plan.shots) if plan else count, "files": plan.files if plan else count}
    return _begin(state_dir, kind, text)


def begin_undo(state_dir: Path, of: str, shots: int, count: int) -> JournalWriter:
    """Write down that a run is about to be undone. Raises IqError if that cannot be kept."""
    return _begin(state_dir, "undo", {"of": of, "shots": shots, "files": count})


def _begin(state_dir: Path, what: str, text: dict[str, Any]) -> JournalWriter:
    now = datetime.now(UTC)
    run = f"{now:%Y%m%d-%H%M%S-%f}-{secrets.token_hex(2)}"
    when = now.isoformat(timespec="seconds")
    schema = BOTH_SCHEMA if "plan" in text and "edits" in text else SCHEMA
    intent = {"kind": KIND, "schema": schema, "run": run, "what": what, "when": when, **text}
    path = _folder(state_dir) / f"{run}.jsonl"
    try:
        files.make_folders(path.parent, 0o700)
        durable.create(path, line(intent) + b"\n", 0o600)
    except OSError as error:
        reason = f"{display_path(path.parent)}: {error.strerror}"
        raise IqError(f"cannot keep a journal in {reason}; nothing was moved") from error
    return JournalWriter(path, run, when, text.get("of", run))


def _folder(state_dir: Path) -> Path:
    return state_dir / "journal"


def finish(state_dir: Path, run: JournalRecord) -> None:
    """Write the last line of a run that was cut off after its last change. Raises IqError."""
    path = _folder(state_dir) / f"{run.id}.jsonl"
    try:
        JournalWriter(path, run.id, run.when, run.id).note("finished")
    except OSError as error:
        raise IqError(f"cannot write {display_path(path)}: {error.strerror}") from error


def read(state_dir: Path) -> tuple[list[JournalRecord], list[UnreadableJournal]]:
    """All runs, and the journals that cannot be read; both oldest first."""
    found = [_read(path) for path in sorted(_folder(state_dir).glob("*.jsonl"))]
    runs = [each for each in found if isinstance(each, JournalRecord)]
    return runs, [each for each in found if isinstance(each, UnreadableJournal)]


def _read(path: Path) -> JournalRecord | UnreadableJournal | None:
    try:
        status = path.stat()
    except OSError as error:
        return _unreadable(path, error.strerror or str(error))
    return _parsed(path, status.st_ino, status.st_size, status.st_mtime_ns)


def _unreadable(path: Path, why: str) -> UnreadableJournal:
    name = display_path(path)
    return UnreadableJournal(path, f"cannot read the journal {name}: {why}; move it elsewhere")


@lru_cache(maxsize=1000)
def _parsed(path: Path, *_: int) -> JournalRecord | UnreadableJournal | None:
    """Read a journal once, however often a command asks while it stays as it is."""
    try:
        first, *rest = path.read_bytes().split(b"\n")
        if not rest:  # cut off while the intent was written: nothing was changed
            return None
        intent = record(first) or {}
        if _is_newer(intent):
            return UnreadableJournal(
                path,
                f"the journal {display_path(path)} was written by a newer version of iq; update iq",
            )
        run = _run(intent, [found for each in rest if (found := record(each))])
        if run.id != path.stem:  # it names the folder of what was kept, too
            raise IqError("it is named after another run")
        return run
    except OSError as error:
        return _unreadable(path, error.strerror or str(error))
    except IqError as error:
        return _unreadable(path, str(error))


def _is_newer(intent: Record) -> bool:
    schema = intent.get("schema")
    return intent.get("kind") == KIND and type(schema) is int and schema > BOTH_SCHEMA


def _run(intent: Record, events: Sequence[Record]) -> JournalRecord:
    if intent.get("kind") != KIND or intent.get("schema") not in (SCHEMA, BOTH_SCHEMA):
        raise IqError("its first line is not one that iq writes")
    names = [each.get("event") for each in events]
    return JournalRecord(
        id=want(intent, "run", str),
        kind=want(intent, "what", str),
        when=want(intent, "when", str),
        shots=want(intent, "shots", int),
        files=want(intent, "files", int),
        of=intent.get("of"),
        plan=_plan(intent) if "plan" in intent else None,
        done=frozenset(want(each, "shot", int) for each in events if each.get("event") == "done"),
        claims=frozenset(path_of(each, "path") for each in events if each.get("event") == "claim"),
        rolled_back="back" in names,
        end=next((each for each in names if each in ("finished", "partial", "aborted")), None),
        edits=edit_records.parse(want(intent, "edits", list)) if "edits" in intent else (),
        linked_run=intent.get("along"),
        sending="sending" in names,
    )


def _plan(intent: Record) -> Plan:
    lines = want(intent, "plan", list)
    return parse([each if isinstance(each, dict) else None for each in lines])
