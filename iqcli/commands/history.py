"""`iq history`: what was moved, when, and whether it went back."""

from __future__ import annotations

from datetime import datetime

from iqcli.commands.screen import say
from iqcli.culling.history import history as read_history
from iqcli.errors import Exit
from iqcli.outputs.names import shown
from iqcli.settings import load


def history() -> Exit:
    """List culls and undos, oldest first."""
    from iqcli.outputs import table

    rows = read_history(load({}, None).state_dir)
    if not rows:
        say("nothing has been moved yet")
        return Exit.DONE
    lines = [
        (
            each.run,
            _local(each.when),
            each.kind,
            each.shots,
            each.files,
            each.state.value,
            each.of or ", ".join(shown(root) for root in each.roots),
        )
        for each in rows
    ]
    table.show(table.plain_table(("run", "when", "what", "photos", "files", "state", "of"), lines))
    return Exit.DONE


def _local(when: str) -> str:
    return f"{datetime.fromisoformat(when).astimezone():%Y-%m-%d %H:%M:%S}"
