"""Changes to an XMP packet, collected and then made at once; all other bytes stay."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax import saxutils

from iqcli.photos.xmp_packet import BLANK, RDF, Element, Packet, read_packet
from iqcli.text import escape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from iqcli.photos.xmp_packet import Span

NEW = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
    ' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
    '  <rdf:Description rdf:about="">\n'
    "  </rdf:Description>\n"
    " </rdf:RDF>\n"
    "</x:xmpmeta>\n"
    '<?xpacket end="w"?>\n'
).encode()


class PacketEdit:
    """A packet and the changes to it. Setting a value that it has already is no change.

    `prefixes` are the names of our namespaces where the packet has none for them yet.
    Raises BrokenPacket for a packet that cannot be edited.
    """

    def __init__(self, old: bytes | None, prefixes: dict[str, str]) -> None:
        self.packet = _with_description(read_packet(NEW if old is None else old))
        self._prefixes = prefixes
        self._spans: list[tuple[Span, bytes]] = []
        self._new: list[bytes] = []
        self._declared: dict[str, str] = {}

    @property
    def changed(self) -> bool:
        """Whether there are changes."""
        return bool(self._spans or self._new)

    def text(self, name: str) -> str | None:
        """The value of a property that occurs with this one text only, else None."""
        values = set(self.packet.values(name))
        return values.pop() if len(values) == 1 else None

    def put(self, name: str, value: str) -> None:
        """Set a property wherever it occurs; add it if it does not."""
        value = escape(value)
        text = _xml(value)
        for each in self.packet.short(name):
            if each.text != value:
                self._spans.append((each.inner, text))
        elements = self.packet.elements(name)
        for element in elements:
            if element.text != value:
                self._fill(element, text)
        if not elements and not self.packet.short(name):
            tag = self._tag(name)
            self._new.append(b"<%b>%b</%b>" % (tag, text, tag))

    def drop(self, name: str) -> None:
        """Remove a property wherever it occurs."""
        self._spans += [(each.whole, b"") for each in self.packet.short(name)]
        for element in self.packet.elements(name):
            self._remove(element)

    def may_list(self, name: str) -> bool:
        """Whether a property is an array, blank or missing."""
        texts = [each.text for each in self.packet.elements(name) if each.array is None]
        texts += [each.text for each in self.packet.short(name)]
        return all(text is not None and not text.strip() for text in texts)

    def put_items(self, name: str, kind: str, gone: set[str], added: list[str]) -> None:
        """Remove items of an array property and add others at its end.

        An array that loses its last item is removed. Where there is none it is made, of `kind` Bag
        or Seq, and replaces a blank value (see `may_list`).
        """
        arrays = [(each, each.array) for each in self.packet.elements(name)]
        for element, array in arrays:
            if array is None:
                continue
            removed = [item for item in array.parts if item.text in gone]
            fresh, added = added, []
            self._append(array, fresh)
            if removed and len(removed) == len(array.parts) and not fresh:
                self._remove(element)
            else:
                for item in removed:
                    self._remove(item)
        if added:
            self.drop(name)
            self._new_array(name, kind, added)

    def done(self) -> bytes:
        """The packet with every change made."""
        self._declare()
        self._insert()
        xml = self.packet.xml
        for (start, end), text in sorted(self._spans, key=lambda each: each[0], reverse=True):
            xml = xml[:start] + text + xml[end:]
        return self.packet.envelope.around(xml)

    @property
    def _block(self) -> Element:
        return self.packet.blocks[0]

    def _tag(self, name: str) -> bytes:
        """The name of a new element inside the first description."""
        uri, local = name[1:].split("}")
        scope = {prefix: bound for prefix, bound in self.packet.scope.items() if prefix}
        scope |= self._declared
        prefix = next((each for each, bound in scope.items() if bound == uri), None)
        if prefix is None:
            prefix = self._prefixes[f"{{{uri}}}"]
            while prefix in scope:
                prefix += "_"
            self._declared[prefix] = uri
        return f"{prefix}:{local}".encode()

    def _new_array(self, name: str, kind: str, items: Iterable[str]) -> None:
        tag, array, item = (self._tag(each) for each in (name, f"{RDF}{kind}", f"{RDF}li"))
        one, two, three = (self._indent(self._block, depth) for depth in (1, 2, 3))
        text = b"".join(b"%b<%b>%b</%b>" % (three, item, _xml(i), item) for i in items)
        inside = b"%b<%b>%b%b</%b>%b" % (two, array, text, two, array, one)
        self._new.append(b"<%b>%b</%b>" % (tag, inside, tag))

    def _append(self, array: Element, items: list[str]) -> None:
        if not items:
            return
        prefix, colon, _ = array.tag.rpartition(b":")
        tag = prefix + colon + b"li"
        before = self._before(array.parts[0]) if array.parts else self._indent(array, 1)
        text = b"".join(b"%b<%b>%b</%b>" % (before, tag, _xml(i), tag) for i in items)
        if array.empty or not array.parts:
            self._fill(array, text + (self._indent(array, 0) if before else b""))
        else:
            end = array.parts[-1].end
            self._spans.append(((end, end), text))

    def _fill(self, element: Element, content: bytes) -> None:
        if element.empty:
            span = (element.tag_end - 2, element.tag_end)
            self._spans.append((span, b">%b</%b>" % (content, element.tag)))
        else:
            self._spans.append((element.inner, content))

    def _remove(self, element: Element) -> None:
        start = element.start - len(self._before(element))
        self._spans.append(((start, element.end), b""))

    def _before(self, element: Element) -> bytes:
        """The white space before an element."""
        xml = self.packet.xml[: element.start]
        return xml[len(xml.rstrip(BLANK)) :]

    def _indent(self, element: Element, depth: int) -> bytes:
        """A line break and the indent for `depth` levels deeper; nothing in a one-line packet."""
        before = self._before(element)
        at = before.rfind(b"\n")
        if at < 0:
            return b""
        return before[at - 1 if before[at - 1 : at] == b"\r" else at :] + b" " * depth

    def _declare(self) -> None:
        if self._declared:
            block = self._block
            at = block.tag_end - (2 if block.empty else 1)
            spaces = self._indent(block, 2) or b" "
            text = b"".join(
                b'%bxmlns:%b="%b"' % (spaces, prefix.encode(), _xml(uri))
                for prefix, uri in self._declared.items()
            )
            self._spans.append(((at, at), text))

    def _insert(self) -> None:
        if not self._new:
            return
        block = self._block
        text = b"".join(self._indent(block, 1) + each for each in self._new)
        if block.empty:
            self._fill(block, text + self._indent(block, 0))
        else:
            at = len(self.packet.xml[: block.inner[1]].rstrip(BLANK))
            self._spans.append(((at, at), text))


def _xml(value: str) -> bytes:
    return saxutils.escape(value, {'"': "&quot;", "'": "&apos;"}).encode()


def _with_description(packet: Packet) -> Packet:
    """The packet, with an empty description added if it has none."""
    rdf = packet.rdf
    if packet.blocks or rdf is None:
        return packet
    tag = rdf.tag.removesuffix(b"RDF") + b"Description"
    block = b'<%b xmlns:rdf_="%b" rdf_:about=""/>' % (tag, RDF[1:-1].encode())
    if rdf.empty:
        head, tail = packet.xml[: rdf.tag_end - 2], packet.xml[rdf.tag_end :]
        xml = head + b">" + block + b"</" + rdf.tag + b">" + tail
    else:
        xml = packet.xml[: rdf.inner[1]] + block + packet.xml[rdf.inner[1] :]
    return read_packet(packet.envelope.around(xml))
