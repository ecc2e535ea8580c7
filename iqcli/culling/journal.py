"""The append-only record of a run: the whole intent is on the disk before the first move.

One file a run, JSON lines: the intent (with the plan, or with the run that is undone), then events:

    done      a shot has arrived       claim     a name is about to be held by an empty file
    back      the run is being taken back after an error
    finished | aborted                 the last line; without it the run was cut off
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iqcli import durable, files
from iqcli.culling.lines import Record, line, path_fields, path_of, record, want
from iqcli.culling.planlines import parse, records
from iqcli.errors import IqError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iqcli.culling.planned import Plan

KIND = "iq-journal"
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Run:
    """A run as its journal tells it. `plan` is that of a cull; `of` is the run that an undo undoes.

    `end` is "finished", "partial" (an undo that left some), "aborted" (all taken back) or None;
    `done` numbers the shots that arrived.
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
    turned_back: bool
    end: str | None


@dataclass(frozen=True, slots=True)
class Log:
    """A journal that is being written. Every method raises OSError.

    `subject` is the run whose photos move: this one, or the one that it undoes.
    """

    path: Path
    run: str
    when: str
    subject: str

    def done(self, shot: int) -> None:
        """A shot has arrived. A hint only, so it need not reach the disk before the next move."""
        durable.append_line(self.path, line({"event": "done", "shot": shot}), sync=False)

    def claim(self, path: Path) -> None:
        """A name is about to be held by an empty file."""
        durable.append_line(self.path, line({"event": "claim", **path_fields("path", path)}))

    def note(self, event: str) -> None:
        """Another event: back, finished or aborted."""
        durable.append_line(self.path, line({"event": event}))


def begin(state_dir: Path, plan: Plan) -> Log:
    """Write down what a cull is about to do. Raises IqError if that cannot be kept."""
    text = {"plan": list(records(plan)), "shots": len(plan.shots), "files": plan.files}
    return _begin(state_dir, "cull", text)


def begin_undo(state_dir: Path, of: str, shots: int, count: int) -> Log:
    """Write down that a run is about to be undone. Raises IqError if that cannot be kept."""
    return _begin(state_dir, "undo", {"of": of, "shots": shots, "files": count})


def _begin(state_dir: Path, what: str, text: dict[str, Any]) -> Log:
    now = datetime.now(UTC)
    run = f"{now:%Y%m%d-%H%M%S-%f}-{secrets.token_hex(2)}"
    when = now.isoformat(timespec="seconds")
    intent = {"kind": KIND, "schema": SCHEMA, "run": run, "what": what, "when": when, **text}
    path = _folder(state_dir) / f"{run}.jsonl"
    try:
        files.make_folders(path.parent, 0o700)
        durable.create(path, line(intent) + b"\n", 0o600)
    except OSError as error:
        reason = f"{files.shown(path.parent)}: {error.strerror}"
        raise IqError(f"cannot keep a journal in {reason}; nothing was moved") from error
    return Log(path, run, when, text.get("of", run))


def _folder(state_dir: Path) -> Path:
    return state_dir / "journal"


def runs(state_dir: Path) -> list[Run]:
    """All runs, oldest first. Raises IqError for a journal that cannot be read."""
    found = (_read(path) for path in sorted(_folder(state_dir).glob("*.jsonl")))
    return [run for run in found if run]


def _read(path: Path) -> Run | None:
    try:
        first, *rest = path.read_bytes().split(b"\n")
        if not rest:  # cut off while the intent was written: nothing was moved
            return None
        return _run(record(first), [found for each in rest if (found := record(each))])
    except OSError as error:
        reason = error.strerror
    except IqError as error:
        reason = str(error)
    raise IqError(f"cannot read the journal {files.shown(path)}: {reason}; move it elsewhere")


def _run(intent: Record | None, events: Sequence[Record]) -> Run:
    if not intent or intent.get("kind") != KIND or intent.get("schema") != SCHEMA:
        raise IqError("its first line is none that this iq writes")
    names = [each.get("event") for each in events]
    return Run(
        id=want(intent, "run", str),
        kind=want(intent, "what", str),
        when=want(intent, "when", str),
        shots=want(intent, "shots", int),
        files=want(intent, "files", int),
        of=intent.get("of"),
        plan=parse(intent["plan"]) if "plan" in intent else None,
        done=frozenset(want(each, "shot", int) for each in events if each.get("event") == "done"),
        claims=frozenset(path_of(each, "path") for each in events if each.get("event") == "claim"),
        turned_back="back" in names,
        end=next((each for each in names if each in ("finished", "partial", "aborted")), None),
    )
