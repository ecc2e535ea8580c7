"""What an XMP packet says of its photo, embedded in it or beside it: ratings, flags, bursts.

A rating or flag that iq itself wrote is no person's: iq notes beside it what it wrote
(`WROTE_RATING`, `WROTE_PICK`) and what stood there before (`PREVIOUS_RATING`, `PREVIOUS_PICK`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from iqcli.records import Marks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Properties = Mapping[str, Sequence[str]]

T = TypeVar("T")

MAX_BYTES = 4 * 2**20
IQ_NS = "http://ns.iqcli.org/1.0/"
IQ_PREFIX = "iq"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
# Properties as `{namespace}name`.
RATING = "{http://ns.adobe.com/xap/1.0/}Rating"
PICK = "{http://ns.adobe.com/xmp/1.0/DynamicMedia/}pick"
GOOD = "{http://ns.adobe.com/xmp/1.0/DynamicMedia/}good"
PICK_LABEL = "{http://www.digikam.org/ns/1.0/}PickLabel"
TAGGED = "{http://ns.camerabits.com/photomechanic/1.0/}Tagged"
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
}
_KNOWN = {*FLAGS, RATING, WROTE_RATING, PREVIOUS_RATING, WROTE_PICK, PREVIOUS_PICK}
_KNOWN |= {BURST, VIEWER, PROJECTION}


def highest(marks: Iterable[Marks]) -> Marks:
    """The highest rating and the highest flag: who liked a photo anywhere wants it."""
    several = list(marks)
    stars = max((each.stars for each in several if each.stars is not None), default=None)
    pick = max((each.pick for each in several if each.pick is not None), default=None)
    return Marks(stars, pick)


def marks_of(packet: bytes) -> Marks:
    """The person's rating and flag in a packet: `marks` of `properties_of`."""
    return marks(properties_of(packet))


def marks(said: Properties) -> Marks:
    """The person's rating and flag.

    The rating is `xmp:Rating`. The flag is the highest that `xmpDM:pick`, `xmpDM:good`, digiKam's
    PickLabel and Photo Mechanic's Tagged give. Where iq wrote what stands there, what it found
    counts instead; what was changed since is a person's again.
    """
    return Marks(_stars(said), _pick(said))


def is_panorama(said: Properties) -> bool:
    """Whether the photo was stitched, by Google's tags for viewers of panoramas."""
    viewer = any(text.strip().lower() == "true" for text in said.get(VIEWER, ()))
    return viewer or any(text.strip() for text in said.get(PROJECTION, ()))


def properties_of(packet: bytes) -> Properties:
    """The properties of a photo that iq knows: `{namespace}name` to its texts, in their order.

    Any prefix, attribute or element, several descriptions, UTF-8 or UTF-16, with or without BOM.
    A packet with a DTD, above `MAX_BYTES` or not well-formed says nothing.
    Source: XMP specification part 1 (ISO 16684-1), 7.4 and 7.9.2.2.
    """
    from xml.etree.ElementTree import ParseError, XMLParser  # deferred: not for a warm run

    if len(packet) > MAX_BYTES:
        return {}
    target = _Collector()
    parser = XMLParser(target=target)  # noqa: S314 (the target refuses any DTD)
    try:
        parser.feed(_text(packet))
        parser.close()
    except (ParseError, ValueError):
        return {}
    return target.found


def _stars(said: Properties) -> int | None:
    wrote = _values(said, WROTE_RATING, _real)[:1]
    ratings = _values(said, RATING, _real)
    theirs = [each for each in ratings if each not in wrote]
    if ratings and not theirs:
        theirs = _values(said, PREVIOUS_RATING, _real)
    return round(theirs[0]) if theirs else None


def _pick(said: Properties) -> int | None:
    wrote = _values(said, WROTE_PICK, _NUMBERS.get)[:1]
    flags = [(name, flag) for name in FLAGS for flag in _values(said, name, FLAGS[name].get)]
    # iq never tags for Photo Mechanic: that is always a person's.
    theirs = [flag for name, flag in flags if flag not in wrote or name == TAGGED]
    if len(theirs) < len(flags):
        theirs += _values(said, PREVIOUS_PICK, _NUMBERS.get)
    return max(theirs, default=None)


def _values(said: Properties, name: str, meaning: Callable[[str], T | None]) -> list[T]:
    """What the texts of a property mean, in their order, without those that mean nothing."""
    values = (meaning(text.strip().lower()) for text in said.get(name, ()))
    return [value for value in values if value is not None]


def _real(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if -1 <= number <= 5 else None


def _text(packet: bytes) -> str:
    # As text, so that an encoding which the packet claims but does not have cannot mislead expat.
    if packet[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = packet.decode("utf-16", "replace")
    elif packet[:2] == b"<\0":
        text = packet.decode("utf-16-le", "replace")
    elif packet[:2] == b"\0<":
        text = packet.decode("utf-16-be", "replace")
    else:
        text = packet.decode("utf-8-sig", "replace")
    return text.strip("\ufeff\0 \t\r\n")


class _Collector:
    """Collects properties while the parser runs, so that no tree is ever built.

    Only those of the photo itself count (`rdf:RDF/rdf:Description/…`): histories and structures
    may hold ratings of other things.
    """

    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {}
        self._open: list[str] = []
        self._text: list[str] = []

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise ValueError("a packet has no business with a DTD")  # no entity is ever expanded

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == f"{RDF}Description" and self._open[-1:] == [f"{RDF}RDF"]:
            for name in attributes.keys() & _KNOWN:
                self._keep(name, attributes[name])
        self._open.append(tag)
        self._text.clear()

    def data(self, text: str) -> None:
        if self._open and self._open[-1] in _KNOWN:
            self._text.append(text)

    def end(self, tag: str) -> None:
        self._open.pop()
        if tag in _KNOWN and self._open[-2:] == [f"{RDF}RDF", f"{RDF}Description"]:
            self._keep(tag, "".join(self._text))

    def close(self) -> None:
        self._text.clear()

    def _keep(self, name: str, text: str) -> None:
        self.found.setdefault(name, []).append(text)
