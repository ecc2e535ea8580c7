"""An XMP packet as it stands: its properties, and where in the bytes each of them is.

Whoever edits a packet changes those places alone, so that what other programs wrote (histories,
structures, comments, prefixes, white space) stays byte for byte.
Source: XMP specification part 1 (ISO 16684-1), 7.4 (descriptions), 7.5-7.7 (values, arrays).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

from iqcli.photos.xmp import MAX_BYTES, RDF

ARRAYS = {f"{RDF}{kind}" for kind in ("Bag", "Seq", "Alt")}
BLANK = b" \t\r\n"
_ATTRIBUTE = re.compile(rb"""\s+([^\s=/>]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_NAME = re.compile(rb"<([^\s/>]+)")
_CLOSING = re.compile(rb"</[^>]*>")
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_BARE = ((b"<\0", "utf-16-le"), (b"\0<", "utf-16-be"))

Span = tuple[int, int]


class BrokenPacket(ValueError):
    """What should be XMP and cannot be edited; the message says why, without a path."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What lies round the XML of a packet, and how it is written."""

    bom: bytes
    codec: str
    lead: str
    tail: str

    def around(self, xml: bytes) -> bytes:
        """The packet again. `xml` is UTF-8."""
        return self.bom + (self.lead + xml.decode() + self.tail).encode(self.codec)


@dataclass(slots=True)
class Element:
    """One element: from `start` to `end`, its content in `inner`, or none where it is `empty`.

    `text` is its own text, None once it holds elements or RDF says that it is no plain text.
    """

    name: str
    tag: bytes
    start: int
    tag_end: int
    empty: bool
    text: str | None = ""
    inner: Span = (0, 0)
    end: int = 0
    parts: list[Element] = field(default_factory=list)

    @property
    def array(self) -> Element | None:
        """The array that is the value of a property."""
        return self.parts[0] if len(self.parts) == 1 and self.parts[0].name in ARRAYS else None


@dataclass(frozen=True, slots=True)
class Attribute:
    """A property in the short form: `whole` has the white space before it, `inner` the value."""

    name: str
    text: str
    whole: Span
    inner: Span


@dataclass(slots=True)
class Packet:
    """The XML of a packet (UTF-8) and what stands at the top level of it.

    `scope` is what each prefix means inside the first of the `blocks` (descriptions).
    """

    xml: bytes
    envelope: Envelope
    rdf: Element | None = None
    scope: dict[str, str] = field(default_factory=dict)
    blocks: list[Element] = field(default_factory=list)
    attributes: list[Attribute] = field(default_factory=list)

    def elements(self, name: str) -> list[Element]:
        """Where a property stands in the long form."""
        return [each for block in self.blocks for each in block.parts if each.name == name]

    def short(self, name: str) -> list[Attribute]:
        """Where a property stands in the short form."""
        return [each for each in self.attributes if each.name == name]

    def values(self, name: str) -> list[str | None]:
        """The values of a property, one for each time that it is there; None: no plain text."""
        found = [each.text for each in self.short(name)]
        return [*found, *(each.text for each in self.elements(name))]

    def items(self, name: str) -> list[str]:
        """The plain items of an array property, of all its arrays."""
        arrays = [each.array for each in self.elements(name)]
        return [item.text or "" for array in arrays if array for item in array.parts]


def read_packet(data: bytes) -> Packet:
    """Find every property. Raises BrokenPacket for what is not well-formed, has a DTD or no RDF."""
    if len(data) > MAX_BYTES:
        raise BrokenPacket(f"is larger than {MAX_BYTES >> 20} MiB")
    coat, xml = _undressed(data)
    reader = _Reader(Packet(xml, coat))
    try:
        reader.parser.Parse(xml, True)
    except expat.ExpatError as error:
        why = expat.errors.messages.get(error.code, "it is broken")
        raise BrokenPacket(f"is no well-formed XML ({why}, line {error.lineno})") from None
    if reader.packet.rdf is None:
        raise BrokenPacket("holds no XMP")
    return reader.packet


def _undressed(data: bytes) -> tuple[Envelope, bytes]:
    bom, codec = next((each for each in _BOMS if data.startswith(each[0])), (b"", ""))
    codec = codec or next((kind for start, kind in _BARE if data.startswith(start)), "utf-8")
    try:
        text = data[len(bom) :].decode(codec)
    except UnicodeDecodeError:
        raise BrokenPacket("is neither UTF-8 nor UTF-16") from None
    core = text.strip("\ufeff\0 \t\r\n")
    lead, _, tail = text.partition(core) if core else ("", "", "")
    return Envelope(bom, codec, lead, tail), core.encode()


class _Reader:
    """Builds a Packet while expat runs: elements down to the items of arrays, not deeper."""

    def __init__(self, packet: Packet) -> None:
        self.packet = packet
        # The encoding was settled already: what the packet claims of it cannot mislead expat.
        self.parser = expat.ParserCreate("utf-8", "}")
        self.parser.ordered_attributes = True
        self.parser.buffer_text = True  # else a text comes line by line
        self.parser.StartDoctypeDeclHandler = _refuse_doctype
        self.parser.StartNamespaceDeclHandler = self._bind
        self.parser.EndNamespaceDeclHandler = self._unbind
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self._bound: dict[str, list[str]] = {}
        self._open: list[Element | None] = []
        self._names: list[str] = []

    def _bind(self, prefix: str | None, uri: str | None) -> None:
        self._bound.setdefault(prefix or "", []).append(uri or "")

    def _unbind(self, prefix: str | None) -> None:
        self._bound[prefix or ""].pop()

    def _start(self, name: str, attributes: list[str]) -> None:
        name = _clark(name)
        element = self._wanted(name, attributes)
        self._names.append(name)
        self._open.append(element)

    def _wanted(self, name: str, attributes: list[str]) -> Element | None:
        parent = self._open[-1] if self._open else None
        block = name == f"{RDF}Description" and self._names[-1:] == [f"{RDF}RDF"]
        if parent is not None:
            parent.text = None
        inside = parent is not None and parent.name != f"{RDF}RDF" and self._depth() < 4
        if not (block or inside or name == f"{RDF}RDF"):
            return None
        element = self._element(name)
        if name == f"{RDF}RDF":
            self.packet.rdf = self.packet.rdf or element
        elif block:
            if not self.packet.blocks:
                self.packet.scope = {each: uris[-1] for each, uris in self._bound.items() if uris}
            self.packet.blocks.append(element)
            self.packet.attributes += self._short(element, attributes)
        elif parent:
            parent.parts.append(element)
            if any(_clark(each).startswith(RDF) for each in attributes[::2]):
                element.text = None
        return element

    def _depth(self) -> int:
        """How many kept elements are open, from the description on."""
        depth = 0
        for element in reversed(self._open):
            if element is None or element.name == f"{RDF}RDF":
                break
            depth += 1
        return depth

    def _element(self, name: str) -> Element:
        xml, start = self.packet.xml, self.parser.CurrentByteIndex
        tag = _NAME.match(xml, start)
        assert tag
        end = tag.end()
        while found := _ATTRIBUTE.match(xml, end):
            end = found.end()
        end = xml.index(b">", end) + 1
        empty = xml[end - 2 : end] == b"/>"
        return Element(name, tag[1], start, end, empty)

    def _short(self, element: Element, attributes: list[str]) -> list[Attribute]:
        """The attributes of a description, where they stand; expat tells their full names."""
        found, at = [], element.start + 1 + len(element.tag)
        names = iter(zip(attributes[::2], attributes[1::2], strict=True))
        while match := _ATTRIBUTE.match(self.packet.xml, at):
            at = match.end()
            if match[1] == b"xmlns" or match[1].startswith(b"xmlns:"):
                continue
            name, text = next(names)
            inner = match.span(2) if match[2] is not None else match.span(3)
            found.append(Attribute(_clark(name), text, match.span(), inner))
        return found

    def _end(self, _: str) -> None:
        self._names.pop()
        if (element := self._open.pop()) is None:
            return
        if element.empty:
            element.inner, element.end = (element.tag_end,) * 2, element.tag_end
            return
        at = self.parser.CurrentByteIndex
        closing = _CLOSING.match(self.packet.xml, at)
        assert closing
        element.inner, element.end = (element.tag_end, at), closing.end()

    def _text(self, text: str) -> None:
        element = self._open[-1]
        if element is not None and element.text is not None:
            element.text += text


def _clark(name: str) -> str:
    """`{uri}local`, as ElementTree spells it."""
    return "{" + name if "}" in name else name


def _refuse_doctype(*_: Any) -> None:
    raise BrokenPacket("has a DTD")  # no entity is ever expanded
