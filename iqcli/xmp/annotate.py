"""Edits that write remarks into sidecars, and into the photos where that is asked for.

What iq says of a judged photo, as the profile of a program lets it be said in XMP.

Scores as stars 1..5: by their place among the photos of a run, or by thresholds.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from iqcli.errors import IqError, PhotoError, PlanConflict
from iqcli.fs import files
from iqcli.fs.files import require_writable
from iqcli.fs.read import read_regular
from iqcli.photos.xmp import MAX_BYTES
from iqcli.records import Verdict
from iqcli.settings import QUANTILES
from iqcli.transactions.edits import Edit
from iqcli.transactions.plan import below
from iqcli.xmp.packet import BrokenPacket, read_packet
from iqcli.xmp.profiles import homes
from iqcli.xmp.write import SIDECAR_FOR, PendingEdit, XmpUpdate, edited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from iqcli.records import Decision, Photo
    from iqcli.xmp.embed import Embedder
    from iqcli.xmp.profiles import Home, Profile

    Make = Callable[[Path, XmpUpdate, str], PendingEdit]


@dataclass
class XmpWriter:
    """Collects the edits of a run; nothing is written yet but parts of what `embedder` makes.

    `when` is ISO 8601. `kept` are photos where a person's rating, label or flag stands, `troubles`
    the files that cannot be edited, with the reason, `unread` the sidecars that the program passes
    over, `beside` the raw files that are not embedded into.
    """

    profile: Profile
    when: str
    embedder: Embedder | None = None
    edits: list[Edit] = field(default_factory=list)
    kept: set[Path] = field(default_factory=set)
    changed: set[Path] = field(default_factory=set)
    troubles: list[tuple[Path, str]] = field(default_factory=list)
    unread: int = 0
    beside: int = 0
    _taken: set[Path] = field(default_factory=set)
    _beside: tuple[Path, frozenset[str]] | None = None

    def annotate(self, judged: Photo, remark: XmpUpdate) -> None:
        """Say it of every picture file of a shot."""
        shot = judged.shot
        if judged.stars or judged.pick:
            self.kept.add(shot.path)
        for home in homes(shot, self.profile, self._names(shot.path.parent), _named_for):
            inside = self.embedder is not None and self.embedder.takes(home.picture)
            self.beside += self.embedder is not None and not inside
            for edit in self._tried(judged, home, remark, inside):
                self.edits.append(edit)
                self.changed.add(shot.path)

    def _tried(self, judged: Photo, home: Home, remark: XmpUpdate, inside: bool) -> Iterator[Edit]:
        if inside and self.embedder:
            yield from self._one(judged, home.picture, remark, self.embedder.edit)
        if home.exists or not inside:
            self.unread += not home.read and not inside
            make = _edited if home.exists else _made
            yield from self._one(judged, home.path, replace(remark, extension=home.named), make)

    def _names(self, folder: Path) -> frozenset[str]:
        """What lies in a folder, listed once while shots of it come."""
        if self._beside is None or self._beside[0] != folder:
            names: set[str] = set()
            with suppress(OSError):  # what is wrong with the folder shows at each file of it
                names.update(each.name for each in folder.iterdir())
            self._beside = folder, frozenset(names)
        return self._beside[1]

    def _one(self, judged: Photo, path: Path, remark: XmpUpdate, make: Make) -> Iterator[Edit]:
        """The edit of one file, unless nothing is to be changed or it cannot be edited."""
        shot = judged.shot
        try:
            if path in self._taken:
                raise PhotoError("is the sidecar of another photo, too")
            self._taken.add(path)
            below(shot.root.resolve(), path)
            made = make(path, remark, self.when)
        except (BrokenPacket, PhotoError, PlanConflict) as error:
            self.troubles.append((path, str(error)))
            return
        except OSError as error:
            self.troubles.append((path, error.strerror or "it cannot be read"))
            return
        if made.kept:
            self.kept.add(shot.path)
        if made.after is not None:
            yield Edit(shot.root, path, made.before, made.after)


def _made(path: Path, remark: XmpUpdate, when: str) -> PendingEdit:
    """A new sidecar with the remark. Raises PhotoError and OSError."""
    if files.seen(path):
        raise PhotoError("is there, but not as a sidecar of this photo")
    require_writable(path)
    written = edited(None, remark, when)
    return PendingEdit(None, written.packet, written.kept)


def _edited(path: Path, remark: XmpUpdate, when: str) -> PendingEdit:
    """A sidecar with the remark. Raises BrokenPacket, PhotoError and OSError."""
    old = read_regular(path, MAX_BYTES)
    written = edited(old, remark, when)
    if written.packet == old:
        return PendingEdit(None, None, written.kept)
    require_writable(path)
    return PendingEdit(hashlib.sha256(old).hexdigest(), written.packet, written.kept)


def _named_for(path: Path) -> str | None:
    """The extension that a sidecar says it is for; None where it says nothing, or is broken."""
    try:
        values = read_packet(read_regular(path, MAX_BYTES)).values(SIDECAR_FOR)
    except (BrokenPacket, PhotoError, OSError):
        return None
    return next((value for value in values if value), None)


# The best tenth has five stars, the next fifth four, two fifths three, a fifth two, the rest one.
SHARES = (0.1, 0.3, 0.7, 0.9)

# The lowest scores of 2, 3, 4 and 5 stars; None: by place.
Thresholds = tuple[float, ...] | None


def parse(text: str) -> Thresholds:
    """`quantiles`, or four rising scores as `4,5,6,7`. Raises IqError for anything else."""
    if text == QUANTILES:
        return None
    try:
        found = tuple(float(each) for each in text.split(","))
    except ValueError:
        found = ()
    if len(found) != 4 or not 0 < found[0] < found[1] < found[2] < found[3]:
        raise IqError(
            f"--stars is {text!r}; give {QUANTILES}, or four rising scores for 2 to 5 stars, "
            "as in 4,5,6,7"
        )
    return found


def stars(scores: Sequence[float], thresholds: Thresholds) -> list[int]:
    """Stars for each score, 1..5. Equal scores have equal stars, by the place of the best."""
    if thresholds is not None:
        return [1 + sum(score >= least for least in thresholds) for score in scores]
    places = {score: place for place, score in reversed(list(enumerate(sorted(scores)[::-1])))}
    return [5 - sum(places[score] >= share * len(scores) for share in SHARES) for score in scores]


# Words, not colours: Lightroom shows a colour only where the text is in its label set, in its own
# language. "Select" and "Review" are of Bridge's set, and no set of colours has any of them.
LABELS = {Verdict.KEEP: "Select", Verdict.REVIEW: "Review", Verdict.REJECT: "Reject"}
PICKS = {Verdict.KEEP: 1, Verdict.REJECT: -1}
KEYWORD = "iq/"


def remarks(
    decisions: Sequence[Decision], profile: Profile, thresholds: Thresholds
) -> Iterator[tuple[Decision, XmpUpdate]]:
    """The scored photos, each with what is to be said of it.

    Stars are given by the scores of all of them. A decision without codes is none: then there are
    stars alone. A reject has no stars but -1, what is to be reviewed has none, and neither has what
    a person rated or flagged.
    """
    scored = [each for each in decisions if each.photo.rating]
    given = stars([each.photo.rating.score for each in scored if each.photo.rating], thresholds)
    for each, count in zip(scored, given, strict=True):
        yield each, _remark(each, count, profile)


def _remark(decision: Decision, count: int, profile: Profile) -> XmpUpdate:
    judged, decided = decision.photo, bool(decision.codes)
    rating, verdict = judged.rating, decision.verdict
    assert rating
    free = not judged.stars and not judged.pick
    by_verdict = {Verdict.KEEP: count, Verdict.REJECT: -1 if profile.rejects else None}
    return XmpUpdate(
        stars=(by_verdict.get(verdict) if decided else count) if free else None,
        label=LABELS[verdict] if decided and free else None,
        pick=PICKS.get(verdict) if decided and free else None,
        flags=profile.flags,
        keywords=tuple(KEYWORD + issue.name for issue in rating.issues),
        lists=profile.lists,
        facts={
            "score": f"{rating.score:.2f}",
            "model": rating.model,
            "decision": verdict.value if decided else None,
        },
    )
