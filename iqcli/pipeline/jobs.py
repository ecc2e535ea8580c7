"""One shot on its way through the pipeline, and what has become of it at the end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from iqcli.photos.filenames import is_panorama
from iqcli.photos.xmp import Marks, highest
from iqcli.records import Facts, Measured

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from iqcli.extractors.base import AnyBlock
    from iqcli.pipeline.sidecars import Marked, Stamp
    from iqcli.pipeline.spec import Content
    from iqcli.records import Shot


@dataclass(frozen=True, slots=True)
class Found:
    """What a worker found in a file; `content` is None where `owner` is at the same picture."""

    stamp: Stamp
    sha256: str
    owner: Job
    content: Content | None


@dataclass(slots=True, eq=False)
class Job:
    """A shot on its way; `reading` and `marking` are None where there is nothing to wait for.

    `marks` are those of its sidecars.
    """

    shot: Shot
    reading: Future[Found] | None = None
    marking: Future[list[Marked]] | None = None
    content: Content | None = None
    marks: Marks = field(default_factory=Marks)
    error: str | None = None

    @property
    def waits(self) -> bool:
        """Whether a worker is still at it."""
        return self.reading is not None or self.marking is not None


def measured(job: Job, blocks: Sequence[AnyBlock]) -> Measured:
    """The result of a job that waits for nothing, with these of the blocks."""
    content = job.content
    if content is None:
        return Measured(job.shot, stars=job.marks.stars, pick=job.marks.pick, error=job.error)
    facts = _facts(job.shot, content)
    marks = highest([job.marks, Marks(facts.stars, facts.pick)]) if facts else job.marks
    sights = {name: each for name, each in content.sights.items() if each}
    known = Measured(job.shot, content.sha256, facts, marks.stars, pick=marks.pick, sights=sights)
    if error := job.error or content.error:
        return replace(known, error=error)
    return replace(known, blocks={each.name: content.blocks[each.name] for each in blocks})


def _facts(shot: Shot, content: Content) -> Facts | None:
    """What the picture says of itself, and its name."""
    facts = content.facts if isinstance(content.facts, Facts) else None
    return replace(facts, panorama=True) if facts and is_panorama(shot.path.name) else facts
