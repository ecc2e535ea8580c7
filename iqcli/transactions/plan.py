"""The plan of a cull: frozen records, the check that it stays within its roots, its JSON lines.

Also what became of a run, and the refusal of one that does not fit the disk.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from iqcli.errors import IqError, PlanConflict
from iqcli.fs import files, other_programs
from iqcli.photos.folder import MANIFEST, REJECTS
from iqcli.text import display_path, listed, shorten
from iqcli.transactions.jsonl import SHA256, Record, codes, path_fields, path_of, texts, want

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

# No run takes more shots or files: its journal is one file, which every undo reads.
MAX_SHOTS, MAX_FILES = 250_000, 750_000
# A folder for the trash has the microseconds of its time in its name, 20 digits.
_REJECTS = re.compile(rf"{REJECTS}(-[1-9][0-9]{{0,19}})?")
_LAYER = re.compile(r"again-[1-9][0-9]{0,19}")


class Action(StrEnum):
    """What becomes of rejected shots.

    `move` takes them to the folder of rejects, `copy` and `link` put copies of them or symbolic
    links to them there, `trash` moves them and sends that folder to the system's trash, `list`
    does nothing.
    """

    MOVE = "move"
    COPY = "copy"
    LINK = "link"
    TRASH = "trash"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One file: where it is and where it goes, relative to the root, and what it held.

    `size` in bytes, `mtime_ns` in nanoseconds, `sha256` in hex.
    """

    source: Path
    target: Path
    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PlannedShot:
    """All files of one shot, primary first; they move together. `root` is absolute, link-free.

    `reasons` and `codes` are those of its decision.
    """

    root: Path
    files: tuple[PlannedFile, ...]
    score: float | None
    reasons: tuple[str, ...]
    codes: tuple[str, ...]

    @property
    def rejects(self) -> Path:
        """The folder of rejects that the shot goes to, absolute."""
        return self.root / self.files[0].target.parts[0]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do and why; pure data. `created` is ISO 8601 in UTC, `rule` is for people.

    It was made of so many `judged` photos, of which the share `max_reject` (0..1) could be applied.
    Both are None in plans of versions before 0.3, which saved none that rejected more. One that
    comes `from_file` is compared with the disk by the bytes of every file.
    """

    created: str
    rule: str
    model: str
    shots: tuple[PlannedShot, ...]
    action: Action = Action.MOVE
    judged: int | None = None
    max_reject: float | None = None
    from_file: bool = field(default=False, compare=False)

    @property
    def roots(self) -> tuple[Path, ...]:
        """The roots that hold a shot, each once."""
        return tuple(sorted({shot.root for shot in self.shots}))

    @property
    def rejects(self) -> tuple[Path, ...]:
        """The folders of rejects, absolute, each once."""
        return tuple(sorted({shot.rejects for shot in self.shots}))

    @property
    def files(self) -> int:
        """The number of files of all shots."""
        return sum(len(shot.files) for shot in self.shots)


def folded(path: Path) -> str:
    """One key for all names that a file system blind to case and accents' form takes as one."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def check(plan: Plan) -> None:
    """See that every path lies, links resolved, in its root and every target in its rejects.

    Raises PlanConflict, naming the path; IqError for a trash of more than one folder.
    """
    if plan.action is Action.TRASH and len(plan.rejects) > 1:
        raise IqError(
            f"the trash takes all or nothing, so one folder at a time; trash "
            f"{display_path(plan.roots[0])} and {display_path(plan.roots[-1])} one after the other"
        )
    ends: set[Path] = set()
    real: set[Path] = set()
    for shot in plan.shots:
        check_root(shot.root, real)
        layer = _layer(shot.files[0])
        for file in shot.files:
            _check_names(file, layer)
            for end in (shot.root / file.source, shot.root / file.target):
                check_real(end.parent, real)
                if end in ends:
                    raise PlanConflict(f"{display_path(end)} stands twice in the plan")
                ends.add(end)


def check_size(shots: int, files: int) -> None:
    """Refuse more than one run takes. Raises IqError."""
    for count, what, most in ((shots, "photos", MAX_SHOTS), (files, "files", MAX_FILES)):
        if count > most:
            raise IqError(
                f"{count:,} {what} would be rejected, and one run takes {most:,}; "
                "cull folder by folder"
            )


def refuse_other_programs(plan: Plan) -> None:
    """Refuse a plan that changes anything in a folder of another program. Raises IqError.

    Not part of `check`: an undo takes back what was done there, whoever did it.
    """
    if plan.action is not Action.LIST:
        sources = (shot.root / each.source for shot in plan.shots for each in shot.files)
        other_programs.refuse_to_write([*plan.rejects, *(path.parent for path in sources)])


def below(root: Path, path: Path) -> Path:
    """A file's place counted from the root (link-free), the links of its folders resolved.

    Raises PlanConflict if it lies elsewhere.
    """
    real = path.parent.resolve() / path.name
    if not real.is_relative_to(root):
        raise PlanConflict(
            f"{display_path(path)} lies outside {display_path(root)}; cull it from its own folder"
        )
    return real.relative_to(root)


def check_root(root: Path, real: set[Path]) -> None:
    """See that a root is there and link-free. Raises PlanConflict; `real` are those seen before."""
    if root in real:
        return
    if not root.is_dir():
        raise PlanConflict(f"{display_path(root)} is not there; mount or restore it and try again")
    check_real(root, real)


def check_real(folder: Path, real: set[Path]) -> None:
    """See that no link leads to a folder. Raises PlanConflict; `real` are those seen before."""
    if folder in real:
        return
    try:
        resolved = folder.resolve()
    except (OSError, RuntimeError, ValueError):
        resolved = None
    if resolved != folder:
        raise PlanConflict(
            f"{display_path(folder)} leads elsewhere through a link; give the real folder"
        )
    real.add(folder)


def _layer(file: PlannedFile) -> tuple[str, ...]:
    return file.target.parts[: len(file.target.parts) - len(file.source.parts)]


def _check_names(file: PlannedFile, layer: tuple[str, ...]) -> None:
    names = file.source.parts
    plain = names and not (file.source.drive or file.source.root) and ".." not in names
    ours = names and (names[-1].startswith(files.PART) or names[-1] == MANIFEST)
    into = bool(layer) and _REJECTS.fullmatch(layer[0]) and len(layer) <= 2
    into = into and all(_LAYER.fullmatch(name) for name in layer[1:])
    if not plain or ours or "\0" in str(file.source) or names[0] in layer:
        raise PlanConflict(f"{display_path(file.source)} is no photo that a plan may move")
    if not into or file.target.parts != layer + names:
        raise PlanConflict(f"{display_path(file.target)} lies outside the folder of rejects")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did. `run` is "" if there was nothing to do; `of` is the run that was undone.

    `kind` is "cull", "undo" or that of edits ("xmp"); `what` the action of the cull, or the kind of
    the edits, that was done or undone. `shots` and `files` count what the plan rejects, or the
    edits if there is no plan; `edited` counts the edits beside a plan. `rejects` are the folders
    that the photos went to or came from. `left` are sentences about shots and edited files that an
    undo had to leave as they are; `closed`: with that the run is closed, so that the next undo
    takes the run before it.
    """

    run: str
    kind: str
    shots: int
    files: int
    rejects: tuple[Path, ...] = ()
    of: str | None = None
    left: tuple[str, ...] = ()
    what: str = "move"
    edited: int = 0
    closed: bool = False


def refuse(conflicts: Sequence[str], way_out: str, nothing: str = "nothing was moved") -> None:
    """Raise PlanConflict if there is any conflict, naming the first."""
    if conflicts:
        more = f" (and {len(conflicts) - 1} more)" if len(conflicts) > 1 else ""
        raise PlanConflict(f"{conflicts[0]}{more}; {nothing}, {way_out}")


def refuse_each(conflicts: Sequence[str], way_out: str, nothing: str) -> None:
    """As `refuse`; where there are several conflicts, the `details` name each of them."""
    if len(conflicts) < 2:
        refuse(conflicts, way_out, nothing)
        return
    error = PlanConflict(f"{len(conflicts):,} files stand in the way; {nothing}, {way_out}")
    error.details = listed(conflicts)
    raise error


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
        "judged": plan.judged,
        "max_reject": plan.max_reject,
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


def parse(found: Iterable[Record | None], most_files: float = math.inf) -> Plan:
    """The plan of these records; None stands for a line that is no record.

    Raises IqError, naming the line, for whatever `records` would not have written, and for too many
    files. Says nothing of the disk: see `check`.
    """
    lines = iter(found)
    header = next(lines, None)
    if header is None or header.get("kind") != KIND:
        raise IqError("it is no plan of iq")
    if header.get("schema") != SCHEMA:
        raise IqError(f"it is of schema {shorten(header.get('schema'))}, this iq reads {SCHEMA}")
    count = want(header, "shots", int)
    shots, files_so_far = [], 0
    for number, each in enumerate(lines, start=2):
        shots.append(_read_shot(each, number))
        files_so_far += len(shots[-1].files)
        if files_so_far > most_files:
            raise IqError(f"one run takes {most_files:,} files, and it has more; cull by folder")
    if count != len(shots):
        raise IqError(f"it holds {len(shots)} shots and should hold {count}")
    created, rule, model = (want(header, key, str) for key in ("created", "rule", "model"))
    return Plan(created, rule, model, tuple(shots), _action(header), *_guard(header))


def _action(header: Record) -> Action:
    found = header.get("action", Action.MOVE.value)  # the first plans had none
    try:
        return Action(found)
    except ValueError:
        raise IqError(
            f"its action is {str(found)[:40]!r}, this iq knows {', '.join(Action)}"
        ) from None


def _guard(header: Record) -> tuple[int | None, float | None]:
    if header.get("judged") is None or header.get("max_reject") is None:
        return None, None
    judged, share = want(header, "judged", int), want(header, "max_reject", float)
    if judged < 0 or not 0 <= share <= 1:
        raise IqError("it is of less than no photos, or may reject no share of them")
    return judged, share


def _read_shot(found: Record | None, number: int) -> PlannedShot:
    if found is None:
        raise IqError(f"line {number} is no JSON object")
    try:
        files = tuple(_read_file(each) for each in want(found, "files", list))
        filled: Record = {"reasons": [], "codes": []} | found  # the first plans had no codes
        reasons, given = texts(filled, "reasons"), codes(filled)
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
