"""Scores and decisions written into an XMP packet, without replacing what a person set there.

A person's rating, label and flag are never replaced. Ours are recognised by what is noted in our
own namespace: a value that is no longer the one noted is a person's.

    iq:score, iq:model, iq:decision          what iq thinks
    iq:wroteRating, iq:previousRating        the xmp:Rating that we set, and the 0 that it replaced
    iq:wroteLabel                            the xmp:Label that we set
    iq:wrotePick, iq:previousPick            -1 or 1, set in the flags of the profile; and the 0
    iq:keywords, iq:tags                     what we added to dc:subject and to digiKam:TagsList
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from iqcli.photos.xmp import (
    FLAGS,
    GOOD,
    IQ_NS,
    IQ_PREFIX,
    LABEL,
    PICK,
    PICK_LABEL,
    PREVIOUS_PICK,
    PREVIOUS_RATING,
    RATING,
    WROTE_LABEL,
    WROTE_PICK,
    WROTE_RATING,
)
from iqcli.photos.xmp_packet import RDF
from iqcli.text import escape
from iqcli.xmp.edit import PacketEdit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

XMP = "{http://ns.adobe.com/xap/1.0/}"
IQ = f"{{{IQ_NS}}}"
CHANGED = f"{XMP}MetadataDate"
SUBJECT = "{http://purl.org/dc/elements/1.1/}subject"
TAGS = "{http://www.digikam.org/ns/1.0/}TagsList"
SIDECAR_FOR = "{http://ns.adobe.com/photoshop/1.0/}SidecarForExtension"
# Every list that we may add to: its kind, and where we note what we added.
LISTS = {SUBJECT: ("Bag", f"{IQ}keywords"), TAGS: ("Seq", f"{IQ}tags")}
# The texts for picked (1) and rejected (-1) of each flag that we may set.
PICKS = {
    PICK: {1: "1", -1: "-1"},
    GOOD: {1: "True", -1: "False"},
    PICK_LABEL: {1: "3", -1: "1"},
}
PREFIXES = {
    IQ: IQ_PREFIX,
    XMP: "xmp",
    RDF: "rdf",
    "{http://purl.org/dc/elements/1.1/}": "dc",
    "{http://ns.adobe.com/xmp/1.0/DynamicMedia/}": "xmpDM",
    "{http://www.digikam.org/ns/1.0/}": "digiKam",
    "{http://ns.adobe.com/photoshop/1.0/}": "photoshop",
}


@dataclass(frozen=True, slots=True)
class XmpUpdate:
    """What to write about one photo. What is None or absent is removed where we wrote it before.

    `stars` -1..5; `pick` -1 or 1, in the `flags` (of `PICKS`); `keywords` in the `lists` (of
    `LISTS`). `facts` are properties of our own namespace. `extension` is that of the photo, where
    the sidecar has to name the file it belongs to.
    """

    stars: int | None = None
    label: str | None = None
    pick: int | None = None
    flags: frozenset[str] = frozenset()
    keywords: tuple[str, ...] = ()
    lists: frozenset[str] = frozenset({SUBJECT})
    facts: Mapping[str, str | None] = field(default_factory=dict)
    extension: str | None = None


@dataclass(frozen=True, slots=True)
class EditedPacket:
    """A packet after the change; the old one where there was nothing to change.

    `kept`: a person's rating, label or flag stays where we had one to write.
    """

    packet: bytes
    kept: bool


@dataclass(frozen=True, slots=True)
class PendingEdit:
    """What is to become of a file; nothing is written yet.

    `before` is the sha256 of what it holds, None where there is no file. `after` is its new
    content, or a finished file that has it; None for no change. `kept`: see `EditedPacket`.
    """

    before: str | None
    after: bytes | Path | None
    kept: bool


def edit_packet(old: bytes | None, update: XmpUpdate, when: str) -> EditedPacket:
    """The packet `old` (None: a new one) with the `update`. `when` is ISO 8601.

    Every byte outside our properties stays. Raises BrokenPacket for what cannot be edited.
    """
    edit = PacketEdit(old, PREFIXES)
    kept = [_rate(edit, update.stars), _label(edit, update.label), _flag(edit, update)]
    for name in LISTS:
        _list(edit, name, update.keywords if name in update.lists else ())
    for name, value in update.facts.items():
        _set(edit, IQ + name, value)
    if update.extension and not edit.packet.values(SIDECAR_FOR):
        edit.put(SIDECAR_FOR, update.extension)
    if not edit.changed and old is not None:
        return EditedPacket(old, any(kept))
    edit.put(CHANGED, when)
    return EditedPacket(edit.done(), any(kept))


def _set(edit: PacketEdit, name: str, value: str | None) -> None:
    if value is None:
        edit.drop(name)
    else:
        edit.put(name, value)


def _rate(edit: PacketEdit, stars: int | None) -> bool:
    standing = edit.packet.values(RATING)
    noted = _number(edit.text(WROTE_RATING))
    ours = bool(standing) and noted is not None and all(_number(v) == noted for v in standing)
    unrated = all(v is not None and (not v.strip() or _number(v) == 0) for v in standing)
    before = edit.text(PREVIOUS_RATING) if ours else next(iter(standing), None)
    wanted = stars if ours or unrated else None
    if ours or wanted is not None:
        _set(edit, RATING, before if wanted is None else str(wanted))
    _set(edit, WROTE_RATING, None if wanted is None else str(wanted))
    _set(edit, PREVIOUS_RATING, None if wanted is None else before)
    return stars is not None and wanted is None


def _label(edit: PacketEdit, label: str | None) -> bool:
    standing, noted = edit.packet.values(LABEL), edit.text(WROTE_LABEL)
    ours = bool(standing) and noted is not None and all(v == noted for v in standing)
    free = ours or all(v is not None and not v.strip() for v in standing)
    wanted = label if free else None
    if ours or wanted is not None:
        _set(edit, LABEL, wanted)
    _set(edit, WROTE_LABEL, wanted)
    return label is not None and wanted is None


def _flag(edit: PacketEdit, update: XmpUpdate) -> bool:
    """One note serves all flags: each that says what we noted is ours.

    Where any is a person's we set none, as our note would then count for theirs, too.
    """
    noted = {"1": 1, "-1": -1}.get(edit.text(WROTE_PICK) or "")
    before = edit.text(PREVIOUS_PICK) if noted else None
    found = {
        name: [FLAGS[name].get((v or "?").strip().lower()) for v in edit.packet.values(name)]
        for name in PICKS
    }
    ours = {name for name, flags in found.items() if noted and {*flags} == {noted}}
    none = {name for name, flags in found.items() if {*flags} <= {0}}
    theirs = bool(found.keys() - ours - none)
    setting = () if theirs or update.pick is None else update.flags
    for name in PICKS:
        if update.pick is not None and name in setting:
            before = "0" if found[name] and name in none else before
            edit.put(name, PICKS[name][update.pick])
        elif name in ours:
            _set(edit, name, "0" if before is not None and name != GOOD else None)
    _set(edit, WROTE_PICK, str(update.pick) if setting else None)
    _set(edit, PREVIOUS_PICK, before if setting else None)
    return theirs and update.pick is not None and bool(update.flags)


def _list(edit: PacketEdit, name: str, wanted: tuple[str, ...]) -> None:
    kind, note = LISTS[name]
    wanted = tuple(escape(each) for each in wanted)
    if not edit.may_list(name):
        return  # a text, not a list: iq did not write it
    standing, ours = edit.packet.items(name), edit.packet.items(note)
    gone = {each for each in ours if each in standing} - set(wanted)
    added = [each for each in wanted if each not in standing]
    edit.put_items(name, kind, gone, added)
    noted = [each for each in wanted if each in added or each in ours]
    left = set(ours) - set(noted)
    edit.put_items(note, "Bag", left, [each for each in noted if each not in ours])


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None
