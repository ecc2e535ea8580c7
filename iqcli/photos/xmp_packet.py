"""An XMP packet as it stands: its properties, and where in the bytes each of them is.

Whoever edits a packet changes those places alone, so that what other programs wrote (histories,
structures, comments, prefixes, white space) stays byte for byte.
Source: XMP specification part 1 (ISO 16684-1), 7.4 (descriptions), 7.5-7.7 (values, arrays).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

if TYPE_CHECKING:
    from collections.abc import Container

MAX_BYTES = 4 * 2**20
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
ARRAYS = {f"{RDF}{kind}" for kind in ("Bag", "Seq", "Alt")}
BLANK = b" \t\r\n"
# The depths of what a packet holds below its root; arrays are between properties and items.
DESCRIPTION, PROPERTY, ITEM = 1, 2, 4
# expat has checked the syntax already, so none of these ever has to step back.
_START = re.compile(rb"""<([^\s/>]+)(?:[^"'>]++|"[^"]*+"|'[^']*+')*+>""")
_ATTRIBUTE = re.compile(rb"""\s+([^\s=/>]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_CLOSING = re.compile(rb"</[^>]*>")
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_BARE = ((b"<\0", "utf-16-le"), (b"\0<", "utf-16-be"))

Span = tuple[int, int]


class BrokenPacket(ValueError):
    """Data that should be XMP and cannot be read or edited; the reason, without a path."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What surrounds the XML of a packet, and its encoding."""

    bom: bytes
    codec: str
    lead: str
    tail: str

    def around(self, xml: bytes) -> bytes:
        """The whole packet again. `xml` is UTF-8."""
        return self.bom + (self.lead + xml.decode() + self.tail).encode(self.codec)


@dataclass(slots=True)
class Element:
    """One element: from `start` to `end`, its start tag up to `tag_end`, its content in `inner`.

    `tag` is its name as written, `depth` counts from the root. It is `empty` where it has no
    closing tag. `text` is its own text, None once it holds elements; `is_plain` is False where RDF
    attributes make it more than a text.
    """

    name: str
    depth: int
    tag: bytes
    start: int
    tag_end: int
    empty: bool
    text: str | None = ""
    is_plain: bool = True
    inner: Span = (0, 0)
    end: int = 0
    parts: list[Element] = field(default_factory=list)

    @property
    def value(self) -> str | None:
        """The plain text of a property or item, None if it is none."""
        return self.text if self.is_plain else None

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
    """The XML of a packet (UTF-8) and its top-level properties.

    `scope` maps each prefix to its namespace inside the first of the `blocks` (descriptions).
    """

    xml: bytes
    envelope: Envelope
    rdf: Element | None = None
    scope: dict[str, str] = field(default_factory=dict)
    blocks: list[Element] = field(default_factory=list)
    attributes: list[Attribute] = field(default_factory=list)

    def elements(self, name: str) -> list[Element]:
        """The elements of a property, its long form."""
        return [each for block in self.blocks for each in block.parts if each.name == name]

    def short(self, name: str) -> list[Attribute]:
        """The attributes of a property, its short form."""
        return [each for each in self.attributes if each.name == name]

    def values(self, name: str) -> list[str | None]:
        """The values of a property, attributes first; None for what is no plain text."""
        found = [each.text for each in self.short(name)]
        return [*found, *(each.value for each in self.elements(name))]

    def items(self, name: str) -> list[str]:
        """The plain items of an array property, of all its arrays."""
        arrays = [each.array for each in self.elements(name)]
        return [item.value or "" for array in arrays if array for item in array.parts]


def read_packet(data: bytes) -> Packet:
    """A packet in UTF-8 or UTF-16, with or without BOM, to be edited.

    Raises BrokenPacket for what is larger than `MAX_BYTES`, in another encoding, not well-formed,
    or has a DTD or no RDF.
    """
    return _read(data, "strict", ITEM)


def read_texts(data: bytes, names: Container[str]) -> dict[str, list[str]]:
    """The texts of the properties of these `names`, in the order of the packet.

    Those of an array are its items, that of a structure its `rdf:value`. Bytes of another encoding
    are replaced; otherwise raises BrokenPacket as `read_packet` does.
    """
    packet = _read(data, "replace", ITEM)
    found = [(each.whole[0], each.name, each.text) for each in packet.attributes]
    for block in packet.blocks:
        for each in block.parts:
            found += [(each.start, each.name, text) for text in _texts(each)]
    texts: dict[str, list[str]] = {}
    for _, name, text in sorted(each for each in found if each[1] in names):
        texts.setdefault(name, []).append(text)
    return texts


def _texts(element: Element) -> list[str]:
    if element.array:
        return [item.text or "" for item in element.array.parts]
    inside = element.parts
    if len(inside) == 1 and inside[0].name == f"{RDF}Description":
        inside = inside[0].parts
    values = [each.text or "" for each in inside if each.name == f"{RDF}value"]
    return values or [element.text or ""]


def _read(data: bytes, errors: str, deepest: int) -> Packet:
    if len(data) > MAX_BYTES:
        raise BrokenPacket(f"is larger than {MAX_BYTES >> 20} MiB")
    envelope, xml = _open(data, errors)
    reader = _Reader(Packet(xml, envelope), deepest)
    try:
        reader.parser.Parse(xml, True)
    except expat.ExpatError as error:
        why = expat.errors.messages.get(error.code, "it is broken")
        raise BrokenPacket(f"is no well-formed XML ({why}, line {error.lineno})") from None
    if reader.packet.rdf is None:
        raise BrokenPacket("holds no XMP")
    return reader.packet


def _open(data: bytes, errors: str) -> tuple[Envelope, bytes]:
    """The envelope of a packet, and its XML as UTF-8."""
    bom, codec = next((each for each in _BOMS if data.startswith(each[0])), (b"", ""))
    codec = codec or next((kind for start, kind in _BARE if data.startswith(start)), "utf-8")
    try:
        text = data[len(bom) :].decode(codec, errors)
    except UnicodeDecodeError:
        raise BrokenPacket("is neither UTF-8 nor UTF-16") from None
    core = text.strip("\ufeff\0 \t\r\n")
    if "\0" in core:  # UTF-32, read as UTF-16: expat would take it for another encoding again
        raise BrokenPacket("is neither UTF-8 nor UTF-16")
    lead, _, tail = text.partition(core) if core else ("", "", "")
    return Envelope(bom, codec, lead, tail), core.encode()


class _Reader:
    """Builds a Packet while expat runs: the elements down to the depth `deepest`."""

    def __init__(self, packet: Packet, deepest: int) -> None:
        self.packet = packet
        self._deepest = deepest
        # As UTF-8, whatever encoding the packet declares: a wrong one cannot mislead expat.
        self.parser = expat.ParserCreate("utf-8", "}")
        self.parser.ordered_attributes = True
        self.parser.buffer_text = True  # otherwise a text comes line by line
        self.parser.StartDoctypeDeclHandler = _refuse_doctype
        self.parser.StartNamespaceDeclHandler = self._bind
        self.parser.EndNamespaceDeclHandler = self._unbind
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self._bound: dict[str, list[str]] = {}
        self._open: list[Element | None] = [None]

    def _bind(self, prefix: str | None, uri: str | None) -> None:
        self._bound.setdefault(prefix or "", []).append(uri or "")

    def _unbind(self, prefix: str | None) -> None:
        self._bound[prefix or ""].pop()

    def _start(self, name: str, attributes: list[str]) -> None:
        name = _clark(name)
        parent = self._open[-1]
        element = None
        if parent is not None:
            parent.text = None
        if name == f"{RDF}RDF":
            element = self._element(name, 0)
            self.packet.rdf = self.packet.rdf or element
        elif parent is None or parent.depth == self._deepest:
            pass
        elif parent.depth > 0:
            element = self._element(name, parent.depth + 1)
            element.is_plain = not any(_clark(each).startswith(RDF) for each in attributes[::2])
            parent.parts.append(element)
        elif name == f"{RDF}Description":
            element = self._element(name, DESCRIPTION)
            self._add_block(element, attributes)
        self._open.append(element)

    def _element(self, name: str, depth: int) -> Element:
        xml, start = self.packet.xml, self.parser.CurrentByteIndex
        tag = _START.match(xml, start)
        assert tag
        end = tag.end()
        return Element(name, depth, tag[1], start, end, empty=xml[end - 2 : end] == b"/>")

    def _add_block(self, element: Element, attributes: list[str]) -> None:
        """Keep a description, and where its attributes are; expat gives their full names."""
        packet = self.packet
        if not packet.blocks:
            packet.scope = {each: uris[-1] for each, uris in self._bound.items() if uris}
        packet.blocks.append(element)
        at = element.start + 1 + len(element.tag)
        names = iter(zip(attributes[::2], attributes[1::2], strict=True))
        while match := _ATTRIBUTE.match(packet.xml, at):
            at = match.end()
            if match[1] == b"xmlns" or match[1].startswith(b"xmlns:"):
                continue
            name, text = next(names)
            inner = match.span(2) if match[2] is not None else match.span(3)
            packet.attributes.append(Attribute(_clark(name), text, match.span(), inner))

    def _end(self, _: str) -> None:
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
