"""The person's rating in an XMP packet, embedded or beside the photo."""

from __future__ import annotations

from xml.etree.ElementTree import ParseError, XMLParser

MAX_BYTES = 4 * 2**20
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
RATING = "{http://ns.adobe.com/xap/1.0/}Rating"


def stars_of(packet: bytes) -> int | None:
    """`xmp:Rating` of a packet: -1 (rejected), 0..5, None if absent or beyond understanding.

    Any prefix, attribute or element, several descriptions, UTF-8 or UTF-16, with or without BOM.
    A packet with a DTD or above `MAX_BYTES` says nothing.
    Source: XMP specification part 1 (ISO 16684-1), 7.4 and 7.9.2.2.
    """
    if len(packet) > MAX_BYTES:
        return None
    target = _Ratings()
    parser = XMLParser(target=target)  # noqa: S314 (the target refuses any DTD)
    try:
        parser.feed(_text(packet))
        parser.close()
    except (ParseError, ValueError):
        return None
    return next((stars for text in target.found if (stars := _stars(text)) is not None), None)


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


def _stars(text: str) -> int | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return round(number) if -1 <= number <= 5 else None


class _Ratings:
    """Collects the ratings while the parser runs, so that no tree is ever built.

    Only a property of the photo itself counts (`rdf:RDF/rdf:Description/…`): histories and
    structures may hold ratings of other things.
    """

    def __init__(self) -> None:
        self.found: list[str] = []
        self._open: list[str] = []
        self._text: list[str] = []

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise ValueError("a packet has no business with a DTD")  # no entity is ever expanded

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == f"{RDF}Description" and self._open[-1:] == [f"{RDF}RDF"]:
            self.found += [attributes[RATING]] if RATING in attributes else []
        self._open.append(tag)
        self._text.clear()

    def data(self, text: str) -> None:
        if self._open[-1:] == [RATING]:
            self._text.append(text)

    def end(self, tag: str) -> None:
        self._open.pop()
        if tag == RATING and self._open[-2:] == [f"{RDF}RDF", f"{RDF}Description"]:
            self.found.append("".join(self._text))

    def close(self) -> None:
        self._text.clear()
