"""What no rule rejects: photos that a person marked, and frames that are worth nothing in parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from iqcli.culling.finding import Finding
from iqcli.records import Verdict, Whole

if TYPE_CHECKING:
    from iqcli.records import Judged

# The codes of protected photos; of one that has several, the first that stands here counts.
CODES = ("rated", "flagged", "set_bracket", "set_panorama", "only_of_moment", "best_of_moment")


@dataclass(frozen=True, slots=True)
class Protect:
    """Whether marks protect a photo (stars, or a person's flag), and whether sets are kept whole.

    Members of sets that are not kept whole are treated as any other photos.
    """

    marked: bool = True
    sets: bool = True

    def why(self, judged: Judged) -> tuple[Finding, ...]:
        """What protects a shot, nothing for most."""
        found = []
        stars = judged.stars or 0
        if self.marked and stars >= 1:
            found.append(_kept("rated", f"rated {stars} star{'s' * (stars > 1)}"))
        if self.marked and (judged.pick or 0) >= 1:
            found.append(_kept("flagged", "flagged by a person"))
        if self.sets and judged.whole is not None:
            found.append(_kept(f"set_{judged.whole.value}", _SETS[judged.whole]))
        return tuple(found)


_SETS = {
    Whole.BRACKET: "one of a bracket, which is kept whole",
    Whole.PANORAMA: "one of a panorama, which is kept whole",
}


def _kept(code: str, words: str) -> Finding:
    return Finding(Verdict.KEEP, code, words)
