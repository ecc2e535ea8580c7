"""What one part of a rule says of one photo."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iqcli.records import Verdict

if TYPE_CHECKING:
    from iqcli.records import Judged


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict, its code for programs and its words for people.

    It is `relative` where other photos would have made it another.
    """

    verdict: Verdict
    code: str
    words: str
    relative: bool = False

    @property
    def rejects(self) -> bool:
        return self.verdict is Verdict.REJECT


def is_scored(judged: Judged) -> bool:
    """Whether a rule can say anything of a shot."""
    return judged.rating is not None and math.isfinite(judged.rating.score)


def score_of(judged: Judged) -> float:
    """The score of a scored shot."""
    assert judged.rating
    return judged.rating.score
