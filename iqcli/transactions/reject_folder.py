"""The folder of rejects: its `MANIFEST.jsonl`, and its way to the system's trash.

The manifest is enough to put every photo back by hand. Lines are written before the moves and
removed after an undo, so a line may describe a file that is not here (it never came, or is home
again), but no reject is ever without its line. The trash takes the folder of one run as a whole, so
that it can be restored whole.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from iqcli.errors import IqError, PlanConflict
from iqcli.fs import durable, files
from iqcli.photos.folder import MANIFEST, REJECTS_KIND, is_reject_folder, read_manifest
from iqcli.text import display_path
from iqcli.transactions.jsonl import Record, line, path_fields, path_of, record
from iqcli.transactions.plan import Action

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from iqcli.transactions.journal import JournalRecord, JournalWriter
    from iqcli.transactions.plan import Plan, PlannedShot

_HEADER = {
    "kind": REJECTS_KIND,
    "schema": 1,
    "about": "Photos that iq moved here. To put one back by hand, move each file of its line from "
    "'to' to 'from'; both count from the folder that holds this one. A file that is not at 'to' "
    "was never moved or is back already. A line whose action is copy or link says what to do "
    "instead. 'iq undo' does all of this.",
}


_BY_HAND = {
    Action.COPY: "delete each 'to', having seen that 'from' is still there: these are copies",
    Action.LINK: "delete each 'to': these are links, the photos are at 'from'",
    Action.TRASH: "restore this folder from the trash to where it was, then move as 'about' says",
}


def is_ours(folder: Path) -> bool:
    """Whether iq made this folder, and it is a real one and no link."""
    return files.is_folder(folder) and is_reject_folder(folder)


def write_entries(plan: Plan, run: str, when: str) -> None:
    """Make the folders of rejects where needed and write a line a shot.

    Raises PlanConflict where a folder has come up that is not ours, and OSError.
    """
    for folder in plan.rejects:
        made = files.make_folders(folder, mode_like(folder.parent))
        shots = [shot for shot in plan.shots if shot.rejects == folder]
        text = b"\n".join(line(_entry(shot, plan.action, run, when)) for shot in shots)
        if made:
            files.write_atomic(folder / MANIFEST, line(_HEADER) + b"\n" + text + b"\n")
        elif is_ours(folder) and plan.action is not Action.TRASH:
            durable.append_line(folder / MANIFEST, text)
        else:
            raise PlanConflict(f"{display_path(folder)} is not a folder of iq; make a new plan")


def mode_like(folder: Path) -> int:
    """The mode for a folder that is to hold what this one held: never more open than it."""
    return files.lstat(folder).st_mode & 0o777 | 0o700


def _entry(shot: PlannedShot, action: Action, run: str, when: str) -> Record:
    moved = [
        {
            **path_fields("from", each.source),
            **path_fields("to", each.target),
            "sha256": each.sha256,
        }
        for each in shot.files
    ]
    reasons = list(shot.reasons)
    how = {"by_hand": _BY_HAND[action]} if action in _BY_HAND else {}
    return {
        "run": run,
        "when": when,
        "action": action.value,
        **how,
        "score": shot.score,
        "reasons": reasons,
        "files": moved,
    }


def clean_up(plan: Plan, run: str, shots: Collection[PlannedShot]) -> None:
    """Remove what shots that are home leave behind: lines, parts and empty folders.

    Can be run again after it was cut off. Raises OSError.
    """
    for folder in plan.rejects:
        if not files.lstat_or_none(folder):
            continue
        for name in files.names_in(folder):
            if name.startswith(files.PART):
                files.remove(folder / name)
        targets = [each.target for shot in shots if shot.rejects == folder for each in shot.files]
        if is_ours(folder):
            _remove_entries(folder / MANIFEST, run, set(targets))
            _remove_folders(folder, targets)
        _remove_if_empty(folder)


def _remove_folders(folder: Path, targets: Collection[Path]) -> None:
    parents = {parent for target in targets for parent in (folder.parent / target).parents}
    for parent in sorted(parents, reverse=True):  # what a folder holds comes before it
        if folder in parent.parents:
            files.remove_folder(parent)


def _remove_entries(manifest: Path, run: str, targets: Collection[Path]) -> None:
    old = read_manifest(manifest)
    kept = [each for each in old.split(b"\n") if not _speaks_of(each, run, targets)]
    if (new := b"\n".join(kept)) != old:
        files.write_atomic(manifest, new)


def _speaks_of(data: bytes, run: str, targets: Collection[Path]) -> bool:
    found = record(data)
    if found is None:
        return data.startswith(b"{")  # torn in a crash; a person's own notes begin otherwise
    if found.get("run") != run:
        return False
    try:
        return path_of(found["files"][0], "to") in targets
    except (IqError, LookupError, TypeError):
        return False


def _remove_if_empty(folder: Path) -> None:
    manifest = folder / MANIFEST
    ours = is_ours(folder)
    entries = read_manifest(manifest).split(b"\n")[1:] if ours else []
    if not any(entries) and set(files.names_in(folder)) <= {MANIFEST}:
        if ours:
            files.remove(manifest)
        files.remove_folder(folder)


def require_trash() -> None:
    """Raise IqError where nothing is installed that sends files to the trash."""
    if importlib.util.find_spec("send2trash") is None:
        raise IqError(
            "nothing is installed that sends photos to the trash; "
            "pip install 'iqcli[trash]', or move them instead"
        )


def send_to_trash(plan: Plan, log: JournalWriter) -> None:
    """Send the folder of rejects to the trash. Raises IqError while the folder is still there."""
    (folder,) = plan.rejects
    if not is_ours(folder):
        raise PlanConflict(f"{display_path(folder)} was replaced meanwhile")
    log.note("sending")
    try:
        files.trash(folder)
    except OSError as error:
        if files.lstat_or_none(folder):
            why = error.strerror or str(error)
            raise IqError(
                f"the trash does not take {display_path(folder)}: {why}; move instead"
            ) from error


def is_in_trash(run: JournalRecord) -> bool:
    """Whether the rejects of this run are in the trash, or were: neither here nor at home.

    What the run itself made may be gone already, as an undo takes it back.
    """
    plan = run.plan
    if not plan or plan.action is not Action.TRASH or not run.sending:
        return False
    made = {each.path for each in run.edits if each.before is None}
    home = {shot.root / each.source for shot in plan.shots for each in shot.files} - made
    gone = not files.lstat_or_none(plan.rejects[0])
    return gone and not all(files.lstat_or_none(path) for path in home)
