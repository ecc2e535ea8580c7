"""The rejects of one run sent to the system's trash, as one folder that can be restored whole."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from iqcli.errors import IqError
from iqcli.fs import files
from iqcli.transactions.plan import Action

if TYPE_CHECKING:
    from iqcli.transactions.journal import Log, Run
    from iqcli.transactions.plan import Plan


def check_there() -> None:
    """Raise IqError where nothing is installed that sends files to the trash."""
    if importlib.util.find_spec("send2trash") is None:
        raise IqError(
            "nothing is installed that sends photos to the trash; "
            "pip install 'iqcli[trash]', or move them instead"
        )


def send(plan: Plan, log: Log) -> None:
    """Send the folder of rejects to the trash. Raises IqError while the folder is still there."""
    (folder,) = plan.rejects
    log.note("sending")
    try:
        files.trash(folder)
    except OSError as error:
        if files.seen(folder):
            why = error.strerror or str(error)
            raise IqError(
                f"the trash does not take {files.shown(folder)}: {why}; move instead"
            ) from error


def has_taken(run: Run) -> bool:
    """Whether the rejects of this run are in the trash, or were: neither here nor at home."""
    plan = run.plan
    if not plan or plan.action is not Action.TRASH or not run.sending:
        return False
    home = (shot.root / each.source for shot in plan.shots for each in shot.files)
    return not files.seen(plan.rejects[0]) and not all(files.seen(path) for path in home)
