"""Decisions on stdout, and their counts on stderr, which add up to the photos."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from iqcli.cli.console import warn
from iqcli.culling import disparity
from iqcli.culling.rules import BY_MARK, BY_MOMENT, BY_SET, CODES, UNCOUNTED
from iqcli.output import rows
from iqcli.output.stdout import write
from iqcli.records import BY_HAND, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from iqcli.output.rows import Row
    from iqcli.records import Decision

COLUMNS = ("score", "uncertainty", "issues", "reasons", "path")
# The most kinds of photo in a line.
MOST = 6
# What protects photos: its codes, what it is of one and of several, and the option that lifts it.
PROTECTED = (
    (BY_MARK, "has stars or a flag", "have stars or a flag", "--include-rated"),
    (
        BY_SET,
        "is in a bracket, panorama or time-lapse",
        "are in a bracket, panorama or time-lapse",
        "--include-sets",
    ),
    (BY_MOMENT, "is the best of its moment", "are the best of their moment", ""),
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
    table.show(table.score_table(wanted, columns))


def summary(decisions: Sequence[Decision]) -> Iterator[str]:
    """The counts by verdict, why fewer go than were due, and what each kind of photo loses."""
    counts = {v: sum(each.verdict is v for each in decisions) for v in Verdict}
    yield ", ".join(f"{verdict.value} {count:,}" for verdict, count in counts.items())
    yield from _shortfall(decisions, counts[Verdict.REJECT])
    unread = sum(each.verdict is Verdict.REVIEW and not each.photo.rating for each in decisions)
    if unread:
        yield f"{unread:,} without a score {_are(unread)} among those for review"
    left = sum(each.verdict is Verdict.REVIEW and UNCOUNTED in each.codes for each in decisions)
    if left:
        yield f"{left:,} that a person rejected already {_are(left)} left for review, not counted"
    found = disparity.losses(decisions)
    lost = [each for each in found if each.rejects and each.photos >= disparity.FEW][:MOST]
    if lost:
        parts = (f"{each.name} {each.rejects:,} of {each.photos:,}" for each in lost)
        yield f"rejected by kind: {', '.join(parts)}"


def _shortfall(decisions: Sequence[Decision], rejects: int) -> Iterator[str]:
    """How many photos were due, how many of them go, and which options lift what protects others.

    Nothing once a person chose by hand: then the counts are theirs.
    """
    if any(BY_HAND in each.codes for each in decisions):
        return
    spared = Counter(
        tuple(codes for codes, *_ in PROTECTED if any(code in each.codes for code in codes))
        for each in decisions
        # A protected photo has more codes only where the rule rejects it.
        if each.verdict is Verdict.KEEP
        and {*each.codes[:1]} & {*CODES}
        and {*each.codes} - {*CODES}
    )
    if spared:
        due, parts = rejects + spared.total(), (_spared(spared[why], why) for why in spared)
        yield (
            f"{due:,} {'was' if due == 1 else 'were'} due, {rejects:,} {_are(rejects)} rejected: "
            f"{', '.join(parts)}"
        )


def _spared(count: int, why: tuple[tuple[str, ...], ...]) -> str:
    """So many photos that all of these protect, and what lifts it."""
    of = [
        (one if count == 1 else many, option)
        for codes, one, many, option in PROTECTED
        if codes in why
    ]
    options = [option for _, option in of if option]
    lifts = f"{' and '.join(options)} {'lifts' if len(options) == 1 else 'lift'} that"
    way_out = lifts if options else "leave out --keep-moments to lift that"
    return f"{count:,} {' and '.join(words for words, _ in of)} ({way_out})"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def warn_of_losses(decisions: Sequence[Decision]) -> None:
    """Say which kind of photo loses far more than the others, if one does."""
    if far := disparity.lopsided(disparity.losses(decisions)):
        warn(f"{far}; look at them before you go on")
