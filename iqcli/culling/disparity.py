"""Disparity: whether a rule rejects far more of one kind of photo (night, upright, one camera, …).

A class is held against the rest of the photos. Whether it loses more than chance would take from
it is Fisher's exact test, one-sided (R. A. Fisher, "The logic of inductive inference", J. R. Stat.
Soc. 98, 1935), its level shared out among the classes that are asked (Bonferroni). With many photos
a difference too small to matter passes any test: the shares must lie far apart, too. Frames of one
burst share their fate, which the test does not know: a warning asks to look, it proves nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import exp, lgamma
from typing import TYPE_CHECKING

from iqcli.culling.decide import COPY
from iqcli.culling.rules import is_scored
from iqcli.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from iqcli.records import Decision, Facts, Photo

# How often a warning may be wrong where all classes lose alike.
LEVEL = 0.01
# Fewer photos than that are no class to speak of, nor a rest to compare it with.
FEW = 10
# How much more of its photos (a share) a class must lose than the rest.
FAR = 0.2


@dataclass(frozen=True, slots=True)
class Loss:
    """Of the `photos` of a class so many are rejected, and of the `others` so many."""

    name: str
    photos: int
    rejects: int
    others: int
    others_rejects: int

    @property
    def share(self) -> float:
        """Of the class, 0..1."""
        return self.rejects / self.photos

    @property
    def excess(self) -> float:
        """How much larger that share is than that of the others, of which there must be some."""
        return self.share - self.others_rejects / self.others

    @property
    def chance(self) -> float:
        """The probability of as many rejects or more, if classes have no effect."""
        total, rejects = self.photos + self.others, self.rejects + self.others_rejects
        whole = _choices(total, self.photos)
        return sum(
            exp(_choices(rejects, lost) + _choices(total - rejects, self.photos - lost) - whole)
            for lost in range(self.rejects, min(self.photos, rejects) + 1)
        )

    def __str__(self) -> str:
        return (
            f"of {self.photos:,} photos of the kind {self.name!r} {self.share:.0%} are rejected, "
            f"of the others {self.share - self.excess:.0%}"
        )


def _choices(of: int, some: int) -> float:
    """The logarithm of the number of ways to choose some of them."""
    return lgamma(of + 1) - lgamma(some + 1) - lgamma(of - some + 1)


def losses(decisions: Sequence[Decision]) -> list[Loss]:
    """What each class loses that is neither empty nor all judged photos; the greatest share first.

    A photo that could not be scored is in no class, nor is a copy that goes because it is one.
    """
    scored = [each for each in decisions if is_scored(each.photo) and COPY not in each.codes]
    rejected = [each for each in scored if each.verdict is Verdict.REJECT]
    photos = Counter(name for each in scored for name in classes_of(each.photo))
    rejects = Counter(name for each in rejected for name in classes_of(each.photo))
    found = [
        Loss(name, count, rejects[name], len(scored) - count, len(rejected) - rejects[name])
        for name, count in photos.items()
        if count < len(scored)
    ]
    return sorted(found, key=lambda each: (-each.share, each.name))


def lopsided(found: Sequence[Loss]) -> Loss | None:
    """The class that loses far more than the rest, the one that is farthest off; None for none."""
    asked = [each for each in found if min(each.photos, each.others) >= FEW]
    far = [each for each in asked if each.excess >= FAR and each.chance <= LEVEL / len(asked)]
    return max(far, key=lambda each: each.excess, default=None)


def classes_of(photo: Photo) -> tuple[str, ...]:
    """The classes of a photo, each once: what is seen, camera, orientation, format."""
    seen = photo.descriptor.classes if photo.descriptor else ()
    facts = _classes_of_facts(photo.facts) if photo.facts else ()
    return tuple(dict.fromkeys((*seen, *facts)))


def _classes_of_facts(facts: Facts) -> Iterator[str]:
    yield facts.camera or "no camera"
    if facts.width != facts.height:
        yield "upright" if facts.height > facts.width else "wide"
    yield facts.format
