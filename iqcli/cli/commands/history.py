"""`iq history`: what was changed, when, and whether it was undone."""

from __future__ import annotations

from datetime import datetime

from iqcli.cli.console import info
from iqcli.errors import Exit
from iqcli.settings import load
from iqcli.text import display_path


def history() -> Exit:
    """List all culls, XMP edits and undos, oldest first."""
    from iqcli.output import table
    from iqcli.transactions.history import history as read_history
    from iqcli.transactions.history import unreadable

    state_dir = load({}, None).state_dir
    rows = read_history(state_dir)
    if not rows:
        info("nothing has been changed yet")
        return Exit.DONE
    lines = [
        (
            each.run,
            _local(each.when),
            each.kind,
            each.shots,
            each.files,
            each.state.value,
            each.of or ", ".join(display_path(root) for root in each.roots),
        )
        for each in rows
    ]
    table.show(table.plain_table(("run", "when", "what", "photos", "files", "state", "of"), lines))
    broken = unreadable(state_dir)
    for why in broken:
        info(f"iq: {why}")
    return Exit.SOME_FAILED if broken else Exit.DONE


def _local(when: str) -> str:
    if not when:
        return ""
    return f"{datetime.fromisoformat(when).astimezone():%Y-%m-%d %H:%M:%S}"
