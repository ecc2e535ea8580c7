"""Decisions that a person looks through and changes by hand: pure data, no screen."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING

from iqcli.records import BY_HAND, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iqcli.records import Decision

REASONS, CODES = ("chosen by hand",), (BY_HAND,)


class ReviewList(StrEnum):
    """The lists that a review shows."""

    UNDECIDED = "undecided"
    REJECTS = "rejects"
    KEPT = "kept"
    ALL = "all"


_WANTED = {
    ReviewList.UNDECIDED: {Verdict.REVIEW},
    ReviewList.REJECTS: {Verdict.REJECT},
    ReviewList.KEPT: {Verdict.KEEP},
    ReviewList.ALL: set(Verdict),
}


class Choices:
    """The decisions as they stand, in the order they came, and the way back."""

    def __init__(self, decisions: Sequence[Decision]) -> None:
        self._decisions = list(decisions)
        self._before: list[tuple[int, Decision]] = []

    def __len__(self) -> int:
        return len(self._decisions)

    def __getitem__(self, index: int) -> Decision:
        return self._decisions[index]

    @property
    def decisions(self) -> list[Decision]:
        """All of them, as they stand."""
        return list(self._decisions)

    @property
    def changed(self) -> int:
        """How many steps there are to take back."""
        return len(self._before)

    def choose(self, index: int, verdict: Verdict) -> bool:
        """Set what becomes of a photo, by hand; choosing the same again is no step.

        Whether it may be: what could not be read cannot be rejected, for no plan can hold it.
        """
        old = self._decisions[index]
        if verdict is Verdict.REJECT and old.photo.sha256 is None:
            return False
        new = replace(old, verdict=verdict, reasons=REASONS, codes=CODES)
        if new != old:
            self._before.append((index, old))
            self._decisions[index] = new
        return True

    def undo(self) -> int | None:
        """Take the last step back; which photo it was, None where there was no step."""
        if not self._before:
            return None
        index, old = self._before.pop()
        self._decisions[index] = old
        return index

    def listed(self, which: ReviewList) -> list[int]:
        """The photos of a list, by index."""
        wanted = _WANTED[which]
        return [i for i, each in enumerate(self._decisions) if each.verdict in wanted]

    def count(self, verdict: Verdict) -> int:
        """How many photos stand so."""
        return sum(each.verdict is verdict for each in self._decisions)
