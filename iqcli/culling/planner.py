"""Make a plan of decisions, and keep plans in files.

Rejects go to `<root>/_Rejected/<path from the root>`. Where one of a shot's names is taken there,
the whole shot goes to a conflict folder, `<root>/_Rejected/again-2/<path from the root>` (or 3, 4,
...), under its own names, so that its files still pair by every rule of names.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count, takewhile
from typing import TYPE_CHECKING

from iqcli.errors import IqError, PlanConflict
from iqcli.fs import files
from iqcli.photos.find import by_file, find_again
from iqcli.photos.folder import MANIFEST, REJECTS, is_photo
from iqcli.records import Verdict
from iqcli.text import display_path, escape
from iqcli.transactions.jsonl import first_record, line, read_records
from iqcli.transactions.plan import (
    KIND,
    MAX_FILES,
    MAX_SHOTS,
    Action,
    Plan,
    PlannedFile,
    PlannedShot,
    below,
    check,
    check_size,
    folded,
    parse,
    records,
    refuse_other_programs,
)
from iqcli.transactions.reject_folder import is_ours
from iqcli.transactions.rollback import named_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from iqcli.records import Decision, Photo
    from iqcli.transactions.edits import Edit


@named_errors()
def make(decisions: Iterable[Decision], rule: str, model: str, action: str = Action.MOVE) -> Plan:
    """The plan that moves every rejected shot, or does another `Action`; its files are hashed now.

    Raises PlanConflict where a file changed since it was judged, is no plain file, or lies outside
    its root through a link; IqError where one cannot be read, or lies in a folder of another
    program, and for more than one run takes.
    """
    chosen, now = Action(action), datetime.now(UTC)
    rejects = [each for each in decisions if each.verdict is Verdict.REJECT]
    check_size(len(rejects), sum(len(each.photo.shot.files) for each in rejects))
    # What goes to the trash gets a folder of its own, whose name meets no other that is there, nor
    # one that is in the trash and may come back.
    number = int(f"{now:%Y%m%d%H%M%S%f}") if chosen is Action.TRASH else 1
    folders: dict[Path, RejectFolder] = {}
    shots = []
    for decision in rejects:
        root = decision.photo.shot.root.resolve()
        if root not in folders:
            folders[root] = RejectFolder(root, _reject_folder(root, number))
        shots.append(_planned(decision, root, folders[root]))
    plan = Plan(now.isoformat(timespec="seconds"), rule, model, tuple(shots), chosen)
    check(plan)
    refuse_other_programs(plan)
    return plan


def _planned(decision: Decision, root: Path, folder: RejectFolder) -> PlannedShot:
    photo = decision.photo
    sources = [below(root, path) for path in photo.shot.files]
    into = folder.place_for(sources)
    held = tuple(_measured(root, source, into / source) for source in sources)
    if photo.sha256 not in (None, held[0].sha256):
        raise PlanConflict(
            f"{display_path(photo.shot.path)} changed while it was judged; run again"
        )
    return PlannedShot(root, held, _score(photo), decision.reasons, decision.codes)


def _score(photo: Photo) -> float | None:
    return float(photo.rating.score) if photo.rating else None


def with_edits(plan: Plan, edits: Iterable[Edit]) -> Plan:
    """The plan of the same shots as they will be once these edits are made.

    Edited files have their new size and hash, new sidecars go where their shot goes. The time of a
    content that is not written yet is 0, so that its hash tells whether it is there. Raises
    PlanConflict where an edit was made from another content than the plan has.
    """
    changes: dict[tuple[Path, Path], dict[Path, Edit]] = {}
    for edit in edits:
        if edit.shot is not None:
            root = edit.root.resolve()
            own = changes.setdefault((root, below(root, edit.shot)), {})
            own[below(root, edit.path)] = edit
    folders: dict[Path, RejectFolder] = {}
    shots = []
    for shot in plan.shots:
        folder = folders.setdefault(shot.root, RejectFolder(shot.root, shot.rejects))
        shots.append(_edited(shot, changes.get((shot.root, shot.files[0].source), {}), folder))
    return replace(plan, shots=tuple(shots))


def _edited(shot: PlannedShot, edits: Mapping[Path, Edit], folder: RejectFolder) -> PlannedShot:
    planned = {each.source: each for each in shot.files}
    first = shot.files[0].source
    sources = [first, *sorted({*edits, *planned} - {first}, key=os.fsencode)]
    into = folder.place_for(sources)
    held = []
    for source in sources:
        if (edit := edits.get(source)) is None:
            held.append(replace(planned[source], target=into / source))
        elif edit.expect == (planned[source].sha256 if source in planned else None):
            held.append(_after(edit, source, into / source))
        else:
            raise PlanConflict(
                f"{display_path(edit.path)} changed while its XMP was prepared; run again"
            )
    return replace(shot, files=tuple(held))


def _after(edit: Edit, source: Path, target: Path) -> PlannedFile:
    if isinstance(edit.after, bytes):
        digest = hashlib.sha256(edit.after).hexdigest()
        return PlannedFile(source, target, len(edit.after), 0, digest)
    status = edit.after.lstat()
    return PlannedFile(source, target, status.st_size, status.st_mtime_ns, files.sha256(edit.after))


@named_errors()
def check_files(decisions: Iterable[Decision]) -> None:
    """Raise what `make` would of where the files lie and what they are, without reading them."""
    for decision in decisions:
        if decision.verdict is Verdict.REJECT:
            root = decision.photo.shot.root.resolve()
            for path in decision.photo.shot.files:
                _check_plain(root / below(root, path))


def _check_plain(path: Path) -> None:
    if path.is_symlink():
        raise PlanConflict(
            f"{display_path(path)} is a link, and a link is never culled; cull the folder of "
            "the photo that it points to, or leave out -L"
        )
    if not path.is_file():
        raise PlanConflict(f"{display_path(path)} is no plain file; leave it out")


def _measured(root: Path, source: Path, target: Path) -> PlannedFile:
    path = root / source
    try:
        before = path.lstat()
        _check_plain(path)
        digest = files.sha256(path)
        after = path.lstat()
    except OSError as error:
        raise IqError(f"cannot read {display_path(path)}: {error.strerror}") from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise PlanConflict(f"{display_path(path)} is being written; run again when that is done")
    return PlannedFile(source, target, after.st_size, after.st_mtime_ns, digest)


def _reject_folder(root: Path, number: int) -> Path:
    """The first folder of rejects from this number on that may be used."""
    names = (REJECTS if each == 1 else f"{REJECTS}-{each}" for each in count(number))
    free = (root / name for name in names)
    alone = number > 1  # then not even a folder of iq will do
    return next(
        path for path in free if not files.lstat_or_none(path) or (is_ours(path) and not alone)
    )


class RejectFolder:
    """The free names in one root's folder of rejects, on the disk and in this plan.

    Names that differ only in case or accents' form count as one: the disk may be exFAT or APFS.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self._root, self._folder = root, folder
        self._files = {folded(self._folder / MANIFEST)}
        self._folders: set[str] = set()

    def place_for(self, sources: Sequence[Path]) -> Path:
        """The folder, relative to the root, where all these names are free; takes them.

        It is the folder of rejects, or the first of its conflict folders.
        """
        places = (self._folder / (f"again-{n}" if n > 1 else "") for n in count(1))
        place = next(each for each in places if all(self._is_free(each, path) for path in sources))
        for source in sources:
            self._files.add(folded(place / source))
            self._folders.update(folded(folder) for folder in self._between(place / source))
        return place.relative_to(self._root)

    def _between(self, path: Path) -> list[Path]:
        return list(takewhile(lambda each: each != self._folder, path.parents))

    def _is_free(self, place: Path, source: Path) -> bool:
        path = place / source
        key = folded(path)
        if key in self._files or key in self._folders or files.lstat_or_none(path):
            return False
        return all(
            folded(each) not in self._files and (not files.lstat_or_none(each) or _is_folder(each))
            for each in self._between(path)
        )


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def save(plan: Plan, path: Path) -> None:
    """Write the plan as JSON lines; replaces no file but an older plan. Raises IqError."""
    check_name(path)
    with files.writing(path, "give another name"):
        files.write_atomic(path, b"".join(line(each) + b"\n" for each in records(plan)))


def check_name(path: Path) -> None:
    """Refuse a name that is taken by what is no plan. Raises IqError."""
    files.require_output(path, may_replace=_is_plan, kind="plan of iq")


def _is_plan(path: Path) -> bool:
    if not path.is_file():
        return False
    return first_record(path).get("kind") == KIND


@named_errors()
def load(path: Path) -> Plan:
    """Read a plan, trusting nothing in it.

    Raises IqError if it is no plan or changes a folder of another program, PlanConflict if it does
    not fit the disk or leaves its roots.
    """
    try:
        plan = replace(parse(read_records(path, MAX_SHOTS + 1), MAX_FILES), from_file=True)
    except OSError as error:
        raise IqError(f"cannot read {display_path(path)}: {error.strerror}") from error
    except IqError as error:
        raise IqError(f"cannot use the plan {display_path(path)}: {error}") from error
    check(plan)
    refuse_other_programs(plan)
    _check_shots(plan)
    return plan


def _check_shots(plan: Plan) -> None:
    """See that what is there are photos, each with its own companions. Raises PlanConflict.

    A companion leads its shot where the primary is broken, and goes with it. What is gone is named
    where the plan is applied.
    """
    there = []
    for shot in plan.shots:
        path = shot.root / shot.files[0].source
        if status := files.lstat_or_none(path):
            there.append((shot, path, status))
    roots = [shot.root for shot, _, _ in there]
    found = by_file(find_again((path for _, path, _ in there), roots))
    for shot, path, status in there:
        now = found.get(path)
        planned = [shot.root / each.source for each in shot.files]
        if not now or now.path not in planned or not is_photo(path, status):
            raise PlanConflict(f"{display_path(path)} is no photo that a plan may move")
        for each in planned:
            if each not in now.files and files.lstat_or_none(each):
                raise PlanConflict(
                    f"{display_path(each)} is no companion of {escape(path.name)}; make a new plan"
                )
