"""What a run did, and the refusal of one that would not fit the disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from iqcli.errors import PlanConflict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did. `run` is "" if there was nothing to do; `of` is the run that was undone.

    `kind` is "cull", "undo" or that of edits ("xmp"); `what` the action of the cull, or the kind of
    the edits, that was done or undone. `rejects` are the folders that the photos went to or came
    from. `left` says, a shot or edited file each, what an undo had to leave as it is. `along` tells
    of the edits that were undone with a cull.
    """

    run: str
    kind: str
    shots: int
    files: int
    rejects: tuple[Path, ...] = ()
    of: str | None = None
    left: tuple[str, ...] = ()
    what: str = "move"
    along: Outcome | None = None


def refuse(conflicts: Sequence[str], way_out: str, nothing: str = "nothing was moved") -> None:
    """Raise PlanConflict if there is any conflict, naming the first."""
    if conflicts:
        more = f" (and {len(conflicts) - 1} more)" if len(conflicts) > 1 else ""
        raise PlanConflict(f"{conflicts[0]}{more}; {nothing}, {way_out}")
