"""Decisions as lines of a file, which a person may have changed; read as untrusted input."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from iqcli.errors import IqError, PlanConflict
from iqcli.fs import files
from iqcli.photos.find import by_file, find_again
from iqcli.photos.folder import is_photo
from iqcli.records import Decision, Photo, Rating, Shot, Verdict
from iqcli.text import display_path, shorten
from iqcli.transactions import jsonl
from iqcli.transactions.jsonl import SHA256, Record, path_fields, path_of, want
from iqcli.transactions.plan import below, check_root

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

KIND = "iq-decisions"
SCHEMA = 1
# A sheet holds the photos that stay, too.
MAX_DECISIONS, MAX_DECIDED_FILES = 500_000, 1_500_000


def is_ours(path: Path) -> bool:
    """Whether the first line says that this file holds decisions; no, if it cannot be read."""
    try:
        return jsonl.first_record(path).get("kind") == KIND
    except OSError:
        return False


def header(model: str) -> Record:
    """The first line of the file."""
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return {"kind": KIND, "schema": SCHEMA, "created": created, "model": model}


def record(decision: Decision) -> Record:
    """One line a shot: what it is, as it was judged, and what was decided.

    The root is absolute and link-free; the other paths count from it. Raises PlanConflict for a
    shot that is not in its root.
    """
    photo = decision.photo
    shot = photo.shot
    return {
        **path_fields("root", shot.root.resolve()),
        **path_fields("path", _inside(shot.root, shot.path)),
        "sha256": photo.sha256,
        "companions": [path_fields("path", _inside(shot.root, each)) for each in shot.companions],
        "decision": decision.verdict.value,
        "score": float(photo.rating.score) if photo.rating else None,
        "reasons": list(decision.reasons),
        "codes": list(decision.codes),
    }


def _inside(root: Path, path: Path) -> Path:
    try:
        return path.relative_to(root)
    except ValueError:
        return below(root.resolve(), path)


def load(path: Path) -> list[Decision]:
    """The decisions of a file, in its order, their shots found again on the disk.

    A rating has the score and the model's name alone. Raises IqError if it is no such file;
    PlanConflict where a photo or its companions are others than were decided on, or lie elsewhere.
    """
    try:
        return _read(_records(path))
    except OSError as error:
        raise IqError(f"cannot read {display_path(path)}: {error.strerror}") from error
    except PlanConflict:
        raise
    except IqError as error:
        raise IqError(f"cannot use the decisions {display_path(path)}: {error}") from error


def roots(path: Path) -> set[Path]:
    """The folders that decisions are of, before it is checked whether their photos are there.

    Raises IqError for what is no such file.
    """
    found = set()
    try:
        for each in jsonl.read_records(path, MAX_DECISIONS + 1):
            with suppress(IqError):
                found.add(path_of(each or {}, "root"))
    except OSError as error:
        raise IqError(f"cannot read {display_path(path)}: {error.strerror}") from error
    except IqError as error:
        raise IqError(f"cannot use the decisions {display_path(path)}: {error}") from error
    return {each for each in found if each.is_absolute()}


def _records(path: Path) -> Iterator[Record]:
    for number, each in enumerate(jsonl.read_records(path, MAX_DECISIONS + 1), start=1):
        if each is None:
            raise IqError(f"line {number} is no JSON object")
        yield each


def _read(found: Iterator[Record]) -> list[Decision]:
    first = next(found, {})
    if first.get("kind") != KIND:
        raise IqError("it holds no decisions of iq")
    if first.get("schema") != SCHEMA:
        raise IqError(f"it is of schema {shorten(first.get('schema'))}, this iq reads {SCHEMA}")
    model = want(first, "model", str)
    decisions: list[Decision] = []
    files_so_far = 0
    for number, each in enumerate(found, start=2):
        try:
            decisions.append(_decision(each, model))
            files_so_far += len(decisions[-1].photo.shot.files)
            if files_so_far > MAX_DECIDED_FILES:
                raise IqError(f"one run takes {MAX_DECIDED_FILES:,} files; cull folder by folder")
        except PlanConflict:
            raise
        except (IqError, TypeError) as error:
            raise IqError(f"shot {number - 1}: {error}") from None
    _check(decisions)
    return decisions


def _decision(found: Record, model: str) -> Decision:
    root = path_of(found, "root")
    if not root.is_absolute():
        raise IqError("its root is not absolute")
    companions = tuple(root / _plain(each) for each in want(found, "companions", list))
    shot = Shot(root, root / _plain(found), companions)
    digest, verdict = found.get("sha256"), _verdict(found.get("decision"))
    if digest is None and verdict is Verdict.REJECT:
        raise IqError("it has no sha256, and what could not be read cannot be rejected")
    if digest is not None and not SHA256.fullmatch(want(found, "sha256", str)):
        raise IqError("its sha256 is none")
    rating = None if (score := _score(found)) is None else Rating(score, None, model)
    photo = Photo(shot, digest, rating=rating)
    return Decision(photo, verdict, jsonl.texts(found, "reasons"), jsonl.codes(found))


def _plain(found: object) -> Path:
    if not isinstance(found, dict):
        raise IqError("a companion is no JSON object")
    path = path_of(found, "path")
    if not path.name or path.is_absolute() or path.drive or ".." in path.parts or "\0" in str(path):
        raise IqError(f"{display_path(path)} is no place in its root")
    return path


def _verdict(found: object) -> Verdict:
    if found in tuple(Verdict):
        return Verdict(str(found))
    raise IqError(f"its decision is {str(found)[:40]!r}; give one of {', '.join(Verdict)}")


def _score(found: Record) -> float | None:
    score = found.get("score")
    if score is None:
        return None
    # A browser writes 4.0 as 4.
    if type(score) not in (int, float) or abs(score) > 100 or not math.isfinite(score):
        raise IqError("its score is none")
    return float(score)


def _check(decisions: Sequence[Decision]) -> None:
    """See that every shot is on the disk as it was decided on. Raises PlanConflict."""
    real: set[Path] = set()
    seen: set[Path] = set()
    for each in decisions:
        shot = each.photo.shot
        check_root(shot.root, real)
        for path in shot.files:
            _check_file(shot.root, path)
            if path in seen:
                raise PlanConflict(f"{display_path(path)} stands twice among the decisions")
            seen.add(path)
    shots = [each.photo.shot for each in decisions]
    found = by_file(find_again((each.path for each in shots), [each.root for each in shots]))
    for each in decisions:
        _check_shot(each.photo, found)


def _check_file(root: Path, path: Path) -> None:
    try:
        below(root, path)
        there = files.lstat_or_none(path)
    except (OSError, RuntimeError, ValueError) as error:
        raise PlanConflict(f"cannot look at {display_path(path)}: {error}") from None
    if not there:
        raise PlanConflict(f"{display_path(path)} is gone; decide again")


def _check_shot(photo: Photo, found: Mapping[Path, Shot]) -> None:
    path = photo.shot.path
    now = found.get(path)
    if now is None:
        raise PlanConflict(f"{display_path(path)} is of no shot here; decide again")
    if not is_photo(path, files.lstat(path)):
        raise PlanConflict(f"{display_path(path)} is no photo; leave it out")
    if others := {*now.files} ^ {*photo.shot.files}:
        raise PlanConflict(
            f"{display_path(min(others))} was decided on as a file of another shot, or came or "
            "went since; decide again"
        )
    try:
        same = photo.sha256 in (None, files.sha256(path))
    except OSError as error:
        raise PlanConflict(f"cannot read {display_path(path)}: {error.strerror}") from error
    if not same:
        raise PlanConflict(
            f"{display_path(path)} has changed since it was decided on; decide again"
        )
