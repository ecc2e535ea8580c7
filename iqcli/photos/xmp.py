"""Ratings, flags, bursts and panoramas in the XMP packet of a photo, embedded in it or beside it.

A rating or flag that iq itself wrote is no person's: iq notes beside it what it wrote
(`WROTE_RATING`, `WROTE_PICK`) and what it replaced (`PREVIOUS_RATING`, `PREVIOUS_PICK`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from iqcli.records import Marks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Properties = Mapping[str, Sequence[str]]

T = TypeVar("T")

IQ_NS = "http://ns.iqcli.org/1.0/"
IQ_PREFIX = "iq"
# Properties as `{namespace}name`.
RATING = "{http://ns.adobe.com/xap/1.0/}Rating"
PICK = "{http://ns.adobe.com/xmp/1.0/DynamicMedia/}pick"
GOOD = "{http://ns.adobe.com/xmp/1.0/DynamicMedia/}good"
PICK_LABEL = "{http://www.digikam.org/ns/1.0/}PickLabel"
TAGGED = "{http://ns.camerabits.com/photomechanic/1.0/}Tagged"
# Photo Mechanic in one text: tagged, colour, rating and number of the frame, "1:0:4:001".
PREFERENCES = "{http://ns.camerabits.com/photomechanic/1.0/}Prefs"
# Windows, in percent (the last two as old versions wrote them), and ACDSee; F-Stop.
PERCENTS = tuple(
    f"{{http://ns.microsoft.com/photo/{space}}}{name}"
    for space in ("1.0/", "1.0", "1.0#")
    for name in ("Rating", "RatingPercent")
)
ACDSEE_RATING = "{http://ns.acdsee.com/iptc/1.0/}rating"
ACDSEE_TAGGED = "{http://ns.acdsee.com/iptc/1.0/}tagged"
FSTOP_FAVOURITE = "{http://www.fstopapp.com/xmp/}favorite"
LABEL = "{http://ns.adobe.com/xap/1.0/}Label"
WROTE_LABEL = f"{{{IQ_NS}}}wroteLabel"
COLOURS = (
    "{http://ns.adobe.com/photoshop/1.0/}LabelColor",
    "{http://www.digikam.org/ns/1.0/}ColorLabel",
    "{http://ns.camerabits.com/photomechanic/1.0/}ColorClass",
)
# Texts that are no label, and labels that are no praise.
NO_LABEL = {"", "0", "none", "no", "no label", "reject", "rejected"}
WROTE_RATING, PREVIOUS_RATING = f"{{{IQ_NS}}}wroteRating", f"{{{IQ_NS}}}previousRating"
WROTE_PICK, PREVIOUS_PICK = f"{{{IQ_NS}}}wrotePick", f"{{{IQ_NS}}}previousPick"
BURST = "{http://ns.google.com/photos/1.0/camera/}BurstID"
VIEWER = "{http://ns.google.com/photos/1.0/panorama/}UsePanoramaViewer"
PROJECTION = "{http://ns.google.com/photos/1.0/panorama/}ProjectionType"

# What each program's flag means by its text, in lower case.
_NUMBERS = {"-1": -1, "0": 0, "1": 1}
FLAGS = {
    PICK: _NUMBERS,
    GOOD: {"true": 1, "false": -1},
    PICK_LABEL: {"0": 0, "1": -1, "2": 0, "3": 1},
    TAGGED: {"true": 1, "false": 0},
    ACDSEE_TAGGED: {"true": 1, "false": 0},
    FSTOP_FAVOURITE: {"1": 1, "true": 1, "0": 0},
}
# Those that iq never writes: they are always a person's.
_OTHERS = {TAGGED, ACDSEE_TAGGED, FSTOP_FAVOURITE}
_KNOWN = {
    *FLAGS,
    *PERCENTS,
    ACDSEE_RATING,
    PREFERENCES,
    RATING,
    WROTE_RATING,
    PREVIOUS_RATING,
    WROTE_PICK,
    PREVIOUS_PICK,
}
_KNOWN |= {BURST, VIEWER, PROJECTION, LABEL, WROTE_LABEL, *COLOURS}
# When the picture was taken, or made digital; the dates of changes tell nothing of that.
TIMES = (
    "{http://ns.adobe.com/exif/1.0/}DateTimeOriginal",
    "{http://cipa.jp/exif/1.0/}DateTimeOriginal",
    "{http://ns.adobe.com/photoshop/1.0/}DateCreated",
    "{http://ns.adobe.com/exif/1.0/}DateTimeDigitized",
    "{http://ns.adobe.com/xap/1.0/}CreateDate",
)
_KNOWN |= set(TIMES)


def highest(marks: Iterable[Marks]) -> Marks:
    """The highest rating and the highest flag: liked anywhere is liked."""
    several = list(marks)
    stars = max((each.stars for each in several if each.stars is not None), default=None)
    pick = max((each.pick for each in several if each.pick is not None), default=None)
    return Marks(stars, pick)


def first_rating(found: Iterable[int | None]) -> int | None:
    """The first rating that says anything: programs write 0 where they know of none."""
    known = [each for each in found if each is not None]
    return next((each for each in known if each), 0 if known else None)


def marks_of(packet: bytes, *, labels: bool = False) -> Marks:
    """The person's rating and flag in a packet: `marks` of `properties_of`."""
    return marks(properties_of(packet), labels=labels)


def marks(properties: Properties, *, labels: bool = False) -> Marks:
    """The person's rating and flag; with `labels` a colour label is as good as a flag.

    The rating is `xmp:Rating`, else Windows' or ACDSee's. The flag is the highest that
    `xmpDM:pick`, `xmpDM:good`, digiKam's PickLabel, Tagged of Photo Mechanic and ACDSee, and
    F-Stop's favourite give. What iq wrote does not count, but the value that it replaced; what was
    changed since is a person's again.
    """
    found = Marks(_stars(properties), _pick(properties))
    return highest([found, Marks(pick=1)]) if labels and is_labelled(properties) else found


def is_labelled(properties: Properties) -> bool:
    """Whether a person gave the photo a colour label; what iq wrote is none."""
    wrote = properties.get(WROTE_LABEL, ())
    texts = [text for text in properties.get(LABEL, ()) if text not in wrote]
    texts += [text for name in COLOURS for text in properties.get(name, ())]
    return any(text.strip().lower() not in NO_LABEL for text in texts)


def is_panorama(properties: Properties) -> bool:
    """Whether the photo was stitched, by Google's tags for viewers of panoramas."""
    viewer = any(text.strip().lower() == "true" for text in properties.get(VIEWER, ()))
    return viewer or any(text.strip() for text in properties.get(PROJECTION, ()))


def properties_of(packet: bytes) -> Properties:
    """The properties of a photo that iq knows: `{namespace}name` to its texts, in their order.

    Only those of the photo itself count (`rdf:RDF/rdf:Description/…`): histories and structures may
    hold ratings of other things. A broken packet (see `xmp_packet.read_packet`) has none.
    """
    from iqcli.photos.xmp_packet import BrokenPacket, read_texts  # deferred: not for a warm run

    try:
        return read_texts(packet, _KNOWN)
    except BrokenPacket:
        return {}


def _stars(properties: Properties) -> int | None:
    wrote = _values(properties, WROTE_RATING, _real)[:1]
    ratings = _values(properties, RATING, _real)
    theirs = [each for each in ratings if each not in wrote]
    if ratings and not theirs:
        theirs = _values(properties, PREVIOUS_RATING, _real)
    others = [each for name in PERCENTS for each in _values(properties, name, _percent)]
    others += [round(each) for each in _values(properties, ACDSEE_RATING, _real)]
    others += [stars for _, stars in _values(properties, PREFERENCES, _preferences)]
    # Their 0 is of programs that write every form.
    return first_rating([*(round(each) for each in theirs[:1]), *(each or None for each in others)])


def _pick(properties: Properties) -> int | None:
    wrote = _values(properties, WROTE_PICK, _NUMBERS.get)[:1]
    flags = [(name, flag) for name in FLAGS for flag in _values(properties, name, FLAGS[name].get)]
    theirs = [flag for name, flag in flags if flag not in wrote or name in _OTHERS]
    if len(theirs) < len(flags):
        theirs += _values(properties, PREVIOUS_PICK, _NUMBERS.get)
    theirs += [1 for tagged, _ in _values(properties, PREFERENCES, _preferences) if tagged]
    return max(theirs, default=None)


def _values(properties: Properties, name: str, parse: Callable[[str], T | None]) -> list[T]:
    """The parsed texts of a property, in their order, without those that mean nothing."""
    values = (parse(text.strip().lower()) for text in properties.get(name, ()))
    return [value for value in values if value is not None]


def _real(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if -1 <= number <= 5 else None


def _preferences(text: str) -> tuple[bool, int] | None:
    """Whether Photo Mechanic tagged a photo, and its stars."""
    found = re.fullmatch(r"([01]):\d:([0-5]):-?\d+", text)
    return (found[1] == "1", int(found[2])) if found else None


def _percent(text: str) -> int | None:
    try:
        return stars_of_percent(float(text))
    except ValueError:
        return None


def stars_of_percent(percent: float) -> int | None:
    """Stars of a rating in percent; Windows writes 1, 25, 50, 75 and 99. None beyond 0..100."""
    if not 0 <= percent <= 100:
        return None
    return 0 if percent < 1 else 1 + sum(percent >= each for each in (13, 38, 63, 88))
