"""A plan as records of JSON lines, and back with nothing taken on trust."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from iqcli.errors import IqError
from iqcli.transactions.jsonl import SHA256, Record, codes, path_fields, path_of, texts, want
from iqcli.transactions.plan import Action, Plan, PlannedFile, PlannedShot

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KIND = "iq-plan"
SCHEMA = 1


def records(plan: Plan) -> Iterator[Record]:
    """A header, then one record a shot."""
    yield {
        "kind": KIND,
        "schema": SCHEMA,
        "created": plan.created,
        "action": plan.action.value,
        "rule": plan.rule,
        "model": plan.model,
        "shots": len(plan.shots),
    }
    yield from map(_shot, plan.shots)


def _shot(shot: PlannedShot) -> Record:
    return {
        **path_fields("root", shot.root),
        "score": shot.score,
        "reasons": list(shot.reasons),
        "codes": list(shot.codes),
        "files": [_file(file) for file in shot.files],
    }


def _file(file: PlannedFile) -> Record:
    return {
        **path_fields("from", file.source),
        **path_fields("to", file.target),
        "size": file.size,
        "mtime_ns": file.mtime_ns,
        "sha256": file.sha256,
    }


def parse(found: Sequence[Record | None]) -> Plan:
    """The plan of these records; None stands for a line that is no record.

    Raises IqError, naming the line, for whatever `records` would not have written. Says nothing
    of the disk: see `planned.check`.
    """
    header = found[0] if found else None
    if header is None or header.get("kind") != KIND:
        raise IqError("it is no plan of iq")
    if header.get("schema") != SCHEMA:
        raise IqError(f"it is of schema {header.get('schema')!r}, this iq reads {SCHEMA}")
    if want(header, "shots", int) != len(found) - 1:
        raise IqError(f"it holds {len(found) - 1} shots and should hold {header['shots']}")
    shots = tuple(_read_shot(each, number) for number, each in enumerate(found[1:], start=2))
    created, rule, model = (want(header, key, str) for key in ("created", "rule", "model"))
    return Plan(created, rule, model, shots, _action(header))


def _action(header: Record) -> Action:
    found = header.get("action", Action.MOVE.value)  # the first plans had none
    try:
        return Action(found)
    except ValueError:
        raise IqError(
            f"its action is {str(found)[:40]!r}, this iq knows {', '.join(Action)}"
        ) from None


def _read_shot(found: Record | None, number: int) -> PlannedShot:
    if found is None:
        raise IqError(f"line {number} is no JSON object")
    try:
        files = tuple(_read_file(each) for each in want(found, "files", list))
        told: Record = {"reasons": [], "codes": []} | found  # the first plans had no codes
        reasons, given = texts(told, "reasons"), codes(told)
        score = None if found.get("score") is None else want(found, "score", float)
        root = path_of(found, "root")
        if not files or not root.is_absolute() or not math.isfinite(score or 0):
            raise IqError("it has no file, no absolute root or no finite score")
    except (IqError, TypeError) as error:
        raise IqError(f"line {number}: {error}") from None
    return PlannedShot(root, files, score, reasons, given)


def _read_file(found: object) -> PlannedFile:
    if not isinstance(found, dict):
        raise IqError("a file is no JSON object")
    size, digest = want(found, "size", int), want(found, "sha256", str)
    if size < 0 or not SHA256.fullmatch(digest):
        raise IqError("a size or sha256 is none")
    source, target = path_of(found, "from"), path_of(found, "to")
    return PlannedFile(source, target, size, want(found, "mtime_ns", int), digest)
