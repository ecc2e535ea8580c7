"""From decisions to XMP edits: what is written about each photo, and into which of its files.

Nothing is written here: `XmpWriter` collects edits, which `iqcli.transactions.edits` carries out.
Only the changed photos of an `Embedder` lie on the disk already, in files of ours beside them.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from iqcli.errors import IqError, PhotoError, PlanConflict
from iqcli.fs import files
from iqcli.fs.anchors import anchored
from iqcli.fs.files import require_writable
from iqcli.fs.read import read_regular
from iqcli.photos.xmp_packet import MAX_BYTES, BrokenPacket, read_packet
from iqcli.records import Verdict
from iqcli.settings import QUANTILES
from iqcli.transactions.edits import Edit
from iqcli.transactions.plan import below
from iqcli.xmp.profiles import sidecar_targets
from iqcli.xmp.write import SIDECAR_FOR, PendingEdit, XmpUpdate, edit_packet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from iqcli.records import Decision, Photo
    from iqcli.xmp.embed import Embedder
    from iqcli.xmp.profiles import Profile, SidecarTarget

    MakeEdit = Callable[[Path, XmpUpdate, str], PendingEdit]

# The best tenth has five stars, the next fifth four, two fifths three, a fifth two, the rest one.
SHARES = (0.1, 0.3, 0.7, 0.9)

# Folders whose names are kept: a shot may lie in two.
MOST_FOLDERS = 4
# Words, not colours: Lightroom shows a colour only where the text is in its label set, in its own
# language. "Select" and "Review" are of Bridge's set, and no set of colours has any of them.
LABELS = {Verdict.KEEP: "Select", Verdict.REVIEW: "Review", Verdict.REJECT: "Reject"}
PICKS = {Verdict.KEEP: 1, Verdict.REJECT: -1}
KEYWORD = "iq/"

# The lowest scores of 2, 3, 4 and 5 stars; None: by rank, see `SHARES`.
Thresholds = tuple[float, ...] | None


def parse_thresholds(text: str) -> Thresholds:
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
    """Stars for each score, 1..5. Equal scores have equal stars, by the rank of the best."""
    if thresholds is not None:
        return [1 + sum(score >= least for least in thresholds) for score in scores]
    ranks = {score: rank for rank, score in reversed(list(enumerate(sorted(scores)[::-1])))}
    return [5 - sum(ranks[score] >= share * len(scores) for share in SHARES) for score in scores]


def xmp_updates(
    decisions: Sequence[Decision], profile: Profile, thresholds: Thresholds
) -> Iterator[tuple[Decision, XmpUpdate]]:
    """The scored photos, each with what is to be written about it.

    Stars are given by the scores of all of them. A decision without codes is none: its photo gets
    stars alone. A reject gets no stars but -1. A photo to be reviewed gets no stars, nor does one
    that a person rated or flagged.
    """
    scored = [each for each in decisions if each.photo.rating]
    given = stars([each.photo.rating.score for each in scored if each.photo.rating], thresholds)
    for each, count in zip(scored, given, strict=True):
        yield each, _update(each, count, profile)


def _update(decision: Decision, count: int, profile: Profile) -> XmpUpdate:
    photo, decided = decision.photo, bool(decision.codes)
    rating, verdict = photo.rating, decision.verdict
    assert rating
    free = not photo.marks.stars and not photo.marks.pick
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


@dataclass
class XmpWriter:
    """Collects the edits of a run: of sidecars, and of photos where there is an `embedder`.

    `when` is ISO 8601. `kept` are photos where a person's rating, label or flag stays, `changed`
    those with an edit, `problems` the files that cannot be edited, with the reason, and `failed`
    their photos. `unread` counts sidecars that the program of the profile does not read,
    `raw_skipped` raw files that are not written into.
    """

    profile: Profile
    when: str
    embedder: Embedder | None = None
    edits: list[Edit] = field(default_factory=list)
    kept: set[Path] = field(default_factory=set)
    changed: set[Path] = field(default_factory=set)
    problems: list[tuple[Path, str]] = field(default_factory=list)
    failed: set[Path] = field(default_factory=set)
    unread: int = 0
    raw_skipped: int = 0
    _used: set[Path] = field(default_factory=set)
    _listed: dict[Path, frozenset[str]] = field(default_factory=dict)

    def annotate(self, photo: Photo, update: XmpUpdate) -> None:
        """Collect the edits of every picture file of a shot."""
        shot = photo.shot
        if photo.marks.stars or photo.marks.pick:
            self.kept.add(shot.path)
        folders = {each.parent for each in shot.files}
        names = frozenset[str]().union(*map(self._names, folders))
        for target in sidecar_targets(shot, self.profile, names, _extension_in):
            inside = self.embedder is not None and self.embedder.accepts(target.picture)
            self.raw_skipped += self.embedder is not None and not inside
            for edit in self._edits(photo, target, update, inside):
                self.edits.append(edit)
                self.changed.add(shot.path)

    def _edits(
        self, photo: Photo, target: SidecarTarget, update: XmpUpdate, inside: bool
    ) -> Iterator[Edit]:
        if inside and self.embedder:
            yield from self._edit(photo, target.picture, update, self.embedder.edit)
        if target.exists or not inside:
            self.unread += not target.is_read and not inside
            make = _edit_sidecar if target.exists else _new_sidecar
            update = replace(update, extension=target.extension)
            yield from self._edit(photo, target.path, update, make)

    def _edit(self, photo: Photo, path: Path, update: XmpUpdate, make: MakeEdit) -> Iterator[Edit]:
        """The edit of one file; none where nothing changes or it cannot be edited."""
        shot = photo.shot
        try:
            if path in self._used:
                raise PhotoError("is the sidecar of another photo, too")
            self._used.add(path)
            root = shot.root.resolve()
            inside = root / below(root, path)
            with anchored([root]):
                pending = make(inside, update, self.when)
        except (BrokenPacket, PhotoError, PlanConflict) as error:
            return self._leave(shot.path, path, str(error))
        except OSError as error:
            return self._leave(shot.path, path, error.strerror or "it cannot be read")
        if pending.kept:
            self.kept.add(shot.path)
        if pending.after is not None:
            yield Edit(shot.root, path, pending.before, pending.after, shot.path)

    def _leave(self, photo: Path, path: Path, why: str) -> None:
        self.problems.append((path, why))
        self.failed.add(photo)

    def _names(self, folder: Path) -> frozenset[str]:
        """The names in a folder, listed once for consecutive shots of it."""
        if folder not in self._listed:
            if len(self._listed) >= MOST_FOLDERS:
                self._listed.clear()
            names: set[str] = set()
            with suppress(OSError):  # reported for each of its files
                names.update(each.name for each in folder.iterdir())
            self._listed[folder] = frozenset(names)
        return self._listed[folder]


def _new_sidecar(path: Path, update: XmpUpdate, when: str) -> PendingEdit:
    """Raises PhotoError and OSError."""
    if files.lstat_or_none(path):
        raise PhotoError("exists, but not as a sidecar of this photo")
    require_writable(path)
    new = edit_packet(None, update, when)
    return PendingEdit(None, new.packet, new.kept)


def _edit_sidecar(path: Path, update: XmpUpdate, when: str) -> PendingEdit:
    """Raises BrokenPacket, PhotoError and OSError."""
    old = read_regular(path, MAX_BYTES)
    new = edit_packet(old, update, when)
    if new.packet == old:
        return PendingEdit(None, None, new.kept)
    require_writable(path)
    return PendingEdit(hashlib.sha256(old).hexdigest(), new.packet, new.kept)


def _extension_in(path: Path) -> str | None:
    """The extension of the photo that a sidecar names; None where there is none or it is broken."""
    try:
        values = read_packet(read_regular(path, MAX_BYTES)).values(SIDECAR_FOR)
    except (BrokenPacket, PhotoError, OSError):
        return None
    return next((value for value in values if value), None)
