"""Decisions on stdout, and their counts on stderr, which add up to the photos."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from iqcli.cli.console import warn
from iqcli.culling import disparity
from iqcli.culling.rules import CODES
from iqcli.output import rows
from iqcli.output.stdout import write
from iqcli.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from iqcli.output.rows import Row
    from iqcli.records import Decision

COLUMNS = ("score", "uncertainty", "issues", "reasons", "path")
# On a narrow terminal the reasons hold the uncertainty, too.
NARROW = {"issues": 14, "why": 26}
# The most kinds of photo in a line.
MOST = 6
PROTECTED = dict(
    zip(
        CODES,
        (
            "rated",
            "flagged",
            "in a bracket",
            "in a panorama",
            "alone in its moment",
            "best of its moment",
        ),
        strict=True,
    )
)


def show(decisions: Sequence[Decision], form: str, *, nul: bool) -> None:
    """Write the decisions to stdout.

    Paths are those of the rejects; a table shows the rejects, then what is left for review; the
    other formats show every decision in its place.
    """
    with suppress(SystemExit):  # a reader that went away must not stop what was asked for
        if form in rows.WRITERS:
            write(rows.to_text(form, map(_row, decisions)))
        elif form == "paths":
            rejects = (each.photo for each in decisions if each.verdict is Verdict.REJECT)
            write(rows.to_paths(rejects, nul=nul, unscored=True))
        else:
            _table(decisions)


def _row(decision: Decision) -> Row:
    added = {"decision": decision.verdict.value, "reasons": decision.reasons}
    return rows.row(decision.photo, added | {"codes": list(decision.codes)})


def _table(decisions: Sequence[Decision]) -> None:
    from iqcli.output import table

    wanted = [
        _row(each)
        for verdict in (Verdict.REJECT, Verdict.REVIEW)
        for each in decisions
        if each.verdict is verdict and (each.photo.rating or verdict is Verdict.REJECT)
    ]
    if not wanted:
        return
    columns = list(COLUMNS)
    if any(row["group"] for row in wanted):
        columns.insert(0, "group")
    if len({row["decision"] for row in wanted}) > 1 or wanted[0]["decision"] != "reject":
        columns.insert(0, "decision")
    table.show(table.score_table(wanted, columns), NARROW)


def summary(decisions: Sequence[Decision]) -> Iterator[str]:
    """The counts by verdict, what protected photos, and what each kind of photo loses."""
    counts = {v: sum(each.verdict is v for each in decisions) for v in Verdict}
    yield ", ".join(f"{verdict.value} {count:,}" for verdict, count in counts.items())
    kept = (each for each in decisions if each.verdict is Verdict.KEEP and each.codes)
    spared = Counter(each.codes[0] for each in kept if each.codes[0] in PROTECTED)
    if spared:
        parts = (f"{PROTECTED[code]} {spared[code]:,}" for code in CODES if spared[code])
        verb = "is" if spared.total() == 1 else "are"
        yield f"of those kept, {spared.total():,} {verb} protected: {', '.join(parts)}"
    found = disparity.losses(decisions)
    lost = [each for each in found if each.rejects and each.photos >= disparity.FEW][:MOST]
    if lost:
        parts = (f"{each.name} {each.rejects:,} of {each.photos:,}" for each in lost)
        yield f"rejected by kind: {', '.join(parts)}"


def warn_of_losses(decisions: Sequence[Decision]) -> None:
    """Say which kind of photo loses far more than the others, if one does."""
    if far := disparity.lopsided(disparity.losses(decisions)):
        warn(f"{far}; look at them before you go on")
