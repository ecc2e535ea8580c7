"""The append-only record of a run: the whole intent is on the disk before the first change.

One file a run, JSON lines: the intent (with the edits, the plan, or the run that is undone), then
events:

    done      an item is done          claim     a name is about to be held by an empty file
    back      the run is being rolled back after an error
    sending   the folder of rejects is about to go to the system's trash
    finished | partial | aborted       the last line; without it the run was cut off

An undo that ends as partial has left some on the person's word, and closes the run that it undoes.

The items of a run are its edits, then the shots of its plan, numbered from 0. Runs that hold both
have schema 2, all others schema 1, which versions before 0.2 can undo.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iqcli.errors import IqError
from iqcli.fs import durable, files
from iqcli.fs.read import read_bytes
from iqcli.photos.folder import MANIFEST, REJECTS, is_reject_folder, read_manifest
from iqcli.text import display_path
from iqcli.transactions import edit_records
from iqcli.transactions.jsonl import Record, line, path_fields, path_of, record, want
from iqcli.transactions.plan import parse, records

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from iqcli.transactions.edit_records import FileEdit
    from iqcli.transactions.plan import Plan

KIND = "iq-journal"
# Of a run that holds either edits or a plan, and of one that holds both.
SCHEMA, BOTH_SCHEMA = 1, 2
# Seconds after which an intent that is not finished is one of a process that was killed.
STALE = 86_400.0
# No journal is larger; an intent leaves room for the events.
JOURNAL_BYTES, INTENT_BYTES = 512 << 20, 448 << 20
_ROOT = re.compile(r'"root": (?=")')


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
    def sources(self) -> frozenset[Path]:
        """Every file that the run moved or changed, by its name before it."""
        shots = self.plan.shots if self.plan else ()
        moved = {shot.root / each.source for shot in shots for each in shot.files}
        return frozenset(moved | {each.path for each in self.edits})

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
    """A journal that cannot be read, why, and the `manifests` that list what its run moved.

    `newer`: it is of a later version of iq, and nothing is wrong with it.
    """

    path: Path
    why: str
    manifests: tuple[Path, ...] = ()
    newer: bool = False

    @property
    def run(self) -> str:
        """The id of its run, by the name of the file."""
        return self.path.stem

    @property
    def message(self) -> str:
        """The sentence about it, and how a person can do without it."""
        if self.newer:
            return f"the journal {display_path(self.path)} {self.why}"
        lists = ", ".join(map(display_path, self.manifests)) or f"{MANIFEST} beside its rejects"
        return (
            f"cannot read the journal {display_path(self.path)}: {self.why}; move it elsewhere; "
            f"see {lists} for how to put its photos back by hand"
        )


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
    first = line(intent)
    if len(first) > INTENT_BYTES:
        raise IqError(
            f"the journal of this run would be larger than {INTENT_BYTES >> 20:,} MiB; nothing was "
            "moved, cull folder by folder"
        )
    path = _folder(state_dir) / f"{run}.jsonl"
    part = path.with_name(files.PART + run)
    try:
        files.make_folders(path.parent, 0o700)
        _remove_stale(path.parent)
        # The name appears with the whole intent: a journal whose first line is cut is damaged.
        durable.create_of(part, (first, b"\n"), 0o600)
        files.rename_into_place(part, path)
    except BaseException as error:  # an interrupt, too
        with suppress(OSError):
            files.remove(part)
        if not isinstance(error, OSError):
            raise
        reason = f"{display_path(path.parent)}: {error.strerror}"
        raise IqError(f"cannot keep a journal in {reason}; nothing was moved") from error
    return JournalWriter(path, run, when, text.get("of", run))


def _remove_stale(folder: Path) -> None:
    for part in folder.glob(f"{files.PART}*"):
        with suppress(OSError):
            if time.time() - part.lstat().st_mtime > STALE:
                files.remove(part)


def _folder(state_dir: Path) -> Path:
    files.refuse_foreign_links(state_dir)
    return state_dir / "journal"


def finish(state_dir: Path, run: JournalRecord) -> None:
    """Write the last line of a run that was cut off after its last change. Raises IqError."""
    path = _folder(state_dir) / f"{run.id}.jsonl"
    try:
        JournalWriter(path, run.id, run.when, run.id).note("finished")
    except OSError as error:
        raise IqError(f"cannot write {display_path(path)}: {error.strerror}") from error


def read(state_dir: Path) -> tuple[list[JournalRecord], list[UnreadableJournal]]:
    """All runs, and the journals that cannot be read; both oldest first.

    Raises IqError where their folder cannot be read.
    """
    found = [_read(path) for path in _paths(_folder(state_dir))]
    runs = [each for each in found if isinstance(each, JournalRecord)]
    # Most runs work in the same few folders: a journal that names none may have worked there.
    roots = {root for run in runs for root in run.roots}
    broken = [each for each in found if isinstance(each, UnreadableJournal)]
    return runs, [
        each if each.manifests or each.newer else replace(each, manifests=_listing(each.run, roots))
        for each in broken
    ]


def _paths(folder: Path) -> list[Path]:
    try:
        return sorted(each for each in folder.iterdir() if each.suffix == ".jsonl")
    except FileNotFoundError:
        return []
    except OSError as error:
        why = f"cannot read the journals in {display_path(folder)}: {error.strerror}"
        raise IqError(f"{why}; mend that and try again") from error


def _read(path: Path) -> JournalRecord | UnreadableJournal:
    if path.is_symlink():
        return UnreadableJournal(path, "it is a link, and iq makes none there")
    try:
        status = path.stat()
    except OSError as error:
        return UnreadableJournal(path, error.strerror or str(error))
    return _parsed(path, status.st_ino, status.st_size, status.st_mtime_ns)


def _named_roots(data: bytes) -> set[Path]:
    """The roots that a damaged journal still names."""
    text = data.decode(errors="replace")
    roots: set[Path] = set()
    for match in _ROOT.finditer(text):
        with suppress(ValueError):
            roots.add(Path(json.JSONDecoder().raw_decode(text, match.end())[0]))
    return roots


def _listing(run: str, roots: Iterable[Path]) -> tuple[Path, ...]:
    """The manifests in these roots that list what a run moved."""
    found = []
    for root in sorted(root for root in roots if root.is_absolute()):
        with suppress(OSError, ValueError):
            for folder in sorted(root.glob(f"{REJECTS}*")):
                manifest = folder / MANIFEST
                if is_reject_folder(folder) and run.encode() in read_manifest(manifest):
                    found.append(manifest)
    return tuple(found)


@lru_cache(maxsize=1000)
def _parsed(path: Path, *_: int) -> JournalRecord | UnreadableJournal:
    """Read a journal once, however often a command asks while it stays as it is."""
    data = b""
    try:
        data, _stamp = read_bytes(path, JOURNAL_BYTES)  # which waits for no named pipe
        first, *rest = data.split(b"\n")
        if not rest:
            raise IqError("it is cut off in its first line")
        intent = record(first) or {}
        if _is_newer(intent):
            why = "was written by a newer version of iq; update iq"
            return UnreadableJournal(path, why, newer=True)
        run = _run(intent, [found for each in rest if (found := record(each))])
        if run.id != path.stem:  # it names the folder of what was kept, too
            raise IqError("it is named after another run")
        return run
    except OSError as error:
        return UnreadableJournal(path, error.strerror or str(error))
    except IqError as error:
        return UnreadableJournal(path, str(error), _listing(path.stem, _named_roots(data)))


def _is_newer(intent: Record) -> bool:
    schema = intent.get("schema")
    return intent.get("kind") == KIND and type(schema) is int and schema > BOTH_SCHEMA


def _run(intent: Record, events: Sequence[Record]) -> JournalRecord:
    if intent.get("kind") != KIND or intent.get("schema") not in (SCHEMA, BOTH_SCHEMA):
        raise IqError("its first line is not one that iq writes")
    if ("plan" in intent or "edits" in intent) is (intent.get("of") is not None):
        raise IqError("it does not say what was changed")
    names = [each.get("event") for each in events]
    return JournalRecord(
        id=want(intent, "run", str),
        kind=want(intent, "what", str),
        when=_when(intent),
        shots=want(intent, "shots", int),
        files=want(intent, "files", int),
        of=_run_named(intent, "of"),
        plan=_plan(intent) if "plan" in intent else None,
        done=frozenset(want(each, "shot", int) for each in events if each.get("event") == "done"),
        claims=frozenset(path_of(each, "path") for each in events if each.get("event") == "claim"),
        rolled_back="back" in names,
        end=next((each for each in names if each in ("finished", "partial", "aborted")), None),
        edits=edit_records.parse(want(intent, "edits", list)) if "edits" in intent else (),
        linked_run=_run_named(intent, "along"),
        sending="sending" in names,
    )


def _when(intent: Record) -> str:
    """The time of the run, ISO 8601 in UTC."""
    text = want(intent, "when", str)
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        raise IqError("its date is none") from None


def _run_named(intent: Record, key: str) -> str | None:
    return None if intent.get(key) is None else want(intent, key, str)


def _plan(intent: Record) -> Plan:
    lines = want(intent, "plan", list)
    return parse([each if isinstance(each, dict) else None for each in lines])
