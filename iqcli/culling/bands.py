"""What a score and its doubt say by themselves: the limit, and the bands."""

from __future__ import annotations

from iqcli.records import Verdict

# The middle of the scale 1..10.
MIDDLE = 5.5
# A score so many deviations from it is sure of its side in nine cases of ten, if they are normal.
_APART = 1.2815515655446004
SAID = {
    Verdict.KEEP: f": nine in ten like it are rated {MIDDLE} or more",
    Verdict.REJECT: f": nine in ten like it are rated under {MIDDLE}",
    Verdict.REVIEW: f" may lie on either side of {MIDDLE}",
}


def band(score: float, sigma: float) -> Verdict:
    """Where a score 1..10 with that deviation (points) lies if opinions are normal about it."""
    if score - MIDDLE >= _APART * sigma:
        return Verdict.KEEP
    return Verdict.REJECT if MIDDLE - score >= _APART * sigma else Verdict.REVIEW


def in_words(score: float, limit: float) -> str:
    """How a score compares with a limit, with the digits it takes to tell them apart."""
    rejected = score < limit
    digits = max(1, len(f"{limit:.9g}".partition(".")[2]))
    while rejected and f"{score:.{digits}f}" == f"{limit:.{digits}f}" and digits < 17:
        digits += 1  # "4.0 is below 4.0" would not convince anybody
    relation = "below" if rejected else "not below"
    return f"score {score:.{digits}f} is {relation} {limit:.{digits}f}"
