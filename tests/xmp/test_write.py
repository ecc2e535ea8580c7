from __future__ import annotations

import random
import tracemalloc
from unittest import mock
from xml.etree import ElementTree

import pytest
from support.xmp_sidecars import DARKTABLE, EMPTY, FORMS, LIGHTROOM, RDF, XAP, others, text_of

from iqcli.photos import xmp_packet as packets
from iqcli.photos.xmp import GOOD, PICK, PICK_LABEL, RATING, marks_of
from iqcli.photos.xmp_packet import MAX_BYTES, BrokenPacket, read_packet
from iqcli.records import Marks
from iqcli.xmp.write import (
    CHANGED,
    IQ,
    LABEL,
    LISTS,
    SIDECAR_FOR,
    SUBJECT,
    TAGS,
    EditedPacket,
    XmpUpdate,
    edit_packet,
)

WHEN, LATER = "2024-05-01T12:30:15+02:00", "2025-05-01T12:30:15+02:00"
FLAGS = (PICK, GOOD, PICK_LABEL)
FULL = XmpUpdate(
    stars=4,
    label="Select",
    pick=1,
    flags=frozenset({PICK_LABEL}),
    keywords=("iq/blurred", "iq/too dark"),
    lists=frozenset(LISTS),
    facts={"score": "7.12", "model": "fusion-mini", "decision": "keep"},
    extension="CR2",
)
SILENT = XmpUpdate(facts={"score": None, "model": None, "decision": None})


def packet(inside: str) -> bytes:
    spaces = (
        f'xmlns:xmp="{XAP}" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:iq="http://ns.iqcli.org/1.0/" xmlns:digiKam="http://www.digikam.org/ns/1.0/" '
        'xmlns:xmpDM="http://ns.adobe.com/xmp/1.0/DynamicMedia/"'
    )
    head = f'<rdf:RDF xmlns:rdf="{RDF}"><rdf:Description rdf:about="" {spaces} '
    return f"{head}{inside}</rdf:RDF>".encode()


def rated(value: str, more: str = "") -> bytes:
    return packet(f'xmp:Rating="{value}" {more}/>')


def values_of(data: bytes, name: str) -> list[str | None]:
    return read_packet(data).values(name)


def subject(data: bytes) -> list[str]:
    return read_packet(data).items(SUBJECT)


@pytest.mark.parametrize("form", FORMS)
def test_what_others_wrote_stays(form: str) -> None:
    old = FORMS[form]
    new = edit_packet(old, FULL, WHEN).packet
    assert others(new) == others(old)
    assert values_of(new, RATING) == ["4"]
    assert values_of(new, LABEL) == ["Select"]
    assert values_of(new, PICK_LABEL) == ["3"]
    assert subject(new)[-2:] == ["iq/blurred", "iq/too dark"]
    assert read_packet(new).items(TAGS)[-2:] == ["iq/blurred", "iq/too dark"]
    assert values_of(new, f"{IQ}score") == ["7.12"]
    assert values_of(new, CHANGED) == [WHEN]
    assert values_of(new, SIDECAR_FOR) == ["CR2"]
    assert not edit_packet(old, FULL, WHEN).kept


@pytest.mark.parametrize("form", FORMS)
def test_a_second_time_changes_no_byte(form: str) -> None:
    once = edit_packet(FORMS[form], FULL, WHEN)
    assert edit_packet(once.packet, FULL, LATER) == EditedPacket(once.packet, kept=False)


@pytest.mark.parametrize("form", FORMS)
def test_what_is_taken_back_leaves_no_trace_but_names(form: str) -> None:
    old = FORMS[form]
    back = edit_packet(edit_packet(old, FULL, WHEN).packet, SILENT, LATER).packet
    assert others(back) == others(old)
    assert subject(back) == subject(old)
    for name in (RATING, LABEL, *FLAGS):
        assert values_of(back, name) == values_of(old, name)
    ours = ("Rating<", "wrote", "previous", "iq/", "iq:score>", "keywords", "TagsList></")
    assert [word for word in ours if text_of(back).count(word) > text_of(old).count(word)] == []


def test_only_our_places_change() -> None:
    """Byte for byte: the wrapper, its padding, line ends and the white space inside tags."""
    old = FORMS["lightroom"]
    new = edit_packet(old, XmpUpdate(stars=3), WHEN).packet
    lost = [line for line in old.split(b"\n") if line not in new.split(b"\n")]
    starts = (b"xmlns:crs=", b"<xap:MetadataDate>", b"<xap:Rating>")
    assert len(lost) == 3
    assert all(line.strip().startswith(start) for line, start in zip(lost, starts, strict=True))
    assert new.endswith(old[old.index(b"</x:xmpmeta>") :])
    windows = edit_packet(FORMS["digikam"], FULL, WHEN).packet
    assert windows.count(b"\n") == windows.count(b"\r\n")


@pytest.mark.parametrize(("form", "start"), [("bom", b"\xef\xbb\xbf<"), ("utf-16", b"\xff\xfe<\0")])
def test_the_encoding_stays(form: str, start: bytes) -> None:
    assert edit_packet(FORMS[form], FULL, WHEN).packet.startswith(start)
    assert marks_of(edit_packet(FORMS[form], FULL, WHEN).packet).stars is None


def test_a_new_sidecar_says_it_all() -> None:
    new = edit_packet(None, FULL, WHEN).packet
    tree = ElementTree.fromstring(new)  # a strict parser
    (block,) = tree.iter(f"{{{RDF}}}Description")
    assert block.attrib == {f"{{{RDF}}}about": ""}
    assert block.findtext(RATING) == "4"
    (bag,) = block.findall(f"{SUBJECT}/{{{RDF}}}Bag")
    assert [each.text for each in bag] == ["iq/blurred", "iq/too dark"]
    assert len(block.findall(f"{TAGS}/{{{RDF}}}Seq")) == 1
    assert marks_of(new) == Marks(None, None)


@pytest.mark.parametrize("value", ["1", "5", "-1", "3.0", " 2 ", "-2", "six", "NaN"])
def test_a_persons_rating_stays(value: str) -> None:
    done = edit_packet(rated(value), XmpUpdate(stars=4), WHEN)
    assert done.kept
    assert values_of(done.packet, RATING) == [value]
    assert values_of(done.packet, f"{IQ}wroteRating") == []


@pytest.mark.parametrize("value", ["0", "", "0.0", " "])
def test_zero_is_no_rating(value: str) -> None:
    done = edit_packet(rated(value), XmpUpdate(stars=4), WHEN)
    assert (values_of(done.packet, RATING), done.kept) == (["4"], False)
    assert values_of(done.packet, f"{IQ}previousRating") == [value]
    assert values_of(edit_packet(done.packet, XmpUpdate(), LATER).packet, RATING) == [value]


def test_a_rating_changed_by_hand_after_ours_is_a_persons() -> None:
    ours = edit_packet(None, FULL, WHEN).packet
    theirs = ours.replace(b"<xmp:Rating>4<", b"<xmp:Rating>2<")
    assert marks_of(theirs).stars == 2
    done = edit_packet(theirs, XmpUpdate(stars=5), LATER)
    assert (values_of(done.packet, RATING), done.kept) == (["2"], True)
    assert marks_of(done.packet).stars == 2
    again = edit_packet(done.packet, XmpUpdate(stars=2), LATER).packet
    assert marks_of(again).stars == 2


def test_ours_is_replaced_by_ours() -> None:
    done = edit_packet(
        edit_packet(None, FULL, WHEN).packet, XmpUpdate(stars=-1, label="Reject"), LATER
    )
    assert (values_of(done.packet, RATING), values_of(done.packet, LABEL)) == (["-1"], ["Reject"])
    assert values_of(done.packet, PICK_LABEL) == []
    assert marks_of(done.packet) == Marks(None, None)


def test_two_ratings_are_ours_only_if_both_are() -> None:
    both = packet('xmp:Rating="4" iq:wroteRating="4"><xmp:Rating>3</xmp:Rating></rdf:Description>')
    assert values_of(edit_packet(both, XmpUpdate(stars=5), WHEN).packet, RATING) == ["4", "3"]


def test_a_rating_that_is_no_plain_text_stays() -> None:
    odd = packet(
        '><xmp:Rating rdf:parseType="Resource"><rdf:value>5</rdf:value></xmp:Rating>'
        "</rdf:Description>"
    )
    done = edit_packet(odd, XmpUpdate(stars=1), WHEN)
    assert done.kept
    assert b"<rdf:value>5</rdf:value></xmp:Rating>" in done.packet


def test_a_persons_label_and_flags_stay() -> None:
    old = packet('xmp:Label="Red" xmpDM:good="False" digiKam:PickLabel="1" xmpDM:pick="0"/>')
    done = edit_packet(old, XmpUpdate(label="Select", pick=1, flags=frozenset(FLAGS)), WHEN)
    assert done.kept
    assert [values_of(done.packet, name) for name in (LABEL, GOOD, PICK_LABEL)] == [
        ["Red"],
        ["False"],
        ["1"],
    ]
    assert values_of(done.packet, PICK) == ["0"]
    assert marks_of(done.packet).pick == marks_of(old).pick == 0


@pytest.mark.parametrize("pick", [1, -1])
def test_a_persons_flag_that_says_what_we_say_stays_a_persons(pick: int) -> None:
    old = packet('xmpDM:pick="1"/>')
    once = edit_packet(old, XmpUpdate(pick=pick, flags=frozenset({PICK, GOOD})), WHEN)
    twice = edit_packet(once.packet, XmpUpdate(pick=-1, flags=frozenset(FLAGS)), WHEN)
    for done in (once, twice):
        assert done.kept
        assert [values_of(done.packet, name) for name in FLAGS] == [["1"], [], []]
        assert marks_of(done.packet).pick == 1


def test_another_profile_takes_its_flags_back_and_no_persons() -> None:
    first = edit_packet(None, XmpUpdate(pick=1, flags=frozenset({PICK, GOOD})), WHEN).packet
    second = edit_packet(first, XmpUpdate(pick=1, flags=frozenset({PICK_LABEL})), WHEN).packet
    assert [values_of(second, name) for name in FLAGS] == [[], [], ["3"]]
    assert marks_of(second).pick is None


def test_keywords_of_a_person_stay_and_ours_are_replaced() -> None:
    old = LIGHTROOM.replace("<rdf:li>\u732b", "<rdf:li>iq/noisy</rdf:li>\n<rdf:li>\u732b").encode()
    once = edit_packet(old, XmpUpdate(keywords=("iq/noisy", "iq/blurred")), WHEN).packet
    assert subject(once) == ["Krak\u00f3w", "iq/noisy", "\u732b", "iq/blurred"]
    twice = edit_packet(once, XmpUpdate(keywords=("iq/too dark",)), WHEN).packet
    assert subject(twice) == ["Krak\u00f3w", "iq/noisy", "\u732b", "iq/too dark"]
    assert subject(edit_packet(twice, XmpUpdate(), WHEN).packet) == [
        "Krak\u00f3w",
        "iq/noisy",
        "\u732b",
    ]


def test_keywords_that_are_no_list_are_left_alone() -> None:
    old = packet('dc:subject="holiday"/>')
    assert values_of(edit_packet(old, FULL, WHEN).packet, SUBJECT) == ["holiday"]
    old = packet('><dc:subject rdf:parseType="Literal"><b>x</b></dc:subject></rdf:Description>')
    assert subject(edit_packet(old, FULL, WHEN).packet) == []
    assert values_of(edit_packet(old, FULL, WHEN).packet, SUBJECT) == [None]


@pytest.mark.parametrize(
    "blank",
    [
        'dc:subject=""/>',
        "><dc:subject/></rdf:Description>",
        "><dc:subject> </dc:subject></rdf:Description>",
    ],
)
def test_a_blank_list_gives_way_to_one(blank: str) -> None:
    done = edit_packet(packet(blank), FULL, WHEN).packet
    assert values_of(done, SUBJECT) == [None]
    assert subject(done) == list(FULL.keywords)
    assert edit_packet(done, FULL, LATER).packet == done
    assert values_of(edit_packet(done, SILENT, LATER).packet, SUBJECT) == []


def test_an_empty_list_is_filled() -> None:
    for empty in ("<rdf:Bag/>", "<rdf:Bag></rdf:Bag>", "<rdf:Bag>\n  </rdf:Bag>"):
        old = packet(f"><dc:subject>{empty}</dc:subject></rdf:Description>")
        assert subject(edit_packet(old, XmpUpdate(keywords=("a", "b")), WHEN).packet) == ["a", "b"]


@pytest.mark.parametrize("text", ["a<b>&\"'", "]]>", "\x1b[31m\n", "\ud800", "\u202e", "&amp;"])
def test_no_value_breaks_out(text: str) -> None:
    update = XmpUpdate(facts={"model": text}, keywords=(text,))
    for old in (None, packet('iq:model="x" />'), packet("iq:model='x' />")):
        new = edit_packet(old, update, WHEN).packet
        ElementTree.fromstring(new)
        assert edit_packet(new, update, LATER).packet == new


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no well-formed XML"),
        (b"\0" * 50, "no well-formed XML"),
        (b"<x", "no well-formed XML"),
        (DARKTABLE[:900].encode(), "no well-formed XML"),
        (b"<svg/>", "holds no XMP"),
        (b"\xff\xfe\0\0<\0\0\0", "no well-formed XML"),
        (DARKTABLE.encode("latin-1"), "neither UTF-8 nor UTF-16"),
        (DARKTABLE.encode("utf-32"), "neither UTF-8 nor UTF-16"),
        (DARKTABLE.replace("rdf", "r\0f").encode(), "neither UTF-8 nor UTF-16"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "has a DTD"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "has a DTD"),
        (b"<a:b/>", "no well-formed XML"),
        (b" " * (MAX_BYTES + 1), "larger than 4 MiB"),
    ],
)
def test_what_is_broken_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(BrokenPacket, match=why):
        edit_packet(data, FULL, WHEN)


def test_a_packet_without_a_description_gets_one() -> None:
    for old in (
        EMPTY,
        EMPTY.replace("> </rdf:RDF>", "/>"),
        EMPTY.replace("rdf:", "").replace(":rdf", ""),
    ):
        assert values_of(edit_packet(old.encode(), FULL, WHEN).packet, RATING) == ["4"]


def test_depth_is_no_trouble() -> None:
    deep = packet("><iq:x>" + "<iq:y>" * 50_000 + "</iq:y>" * 50_000 + "</iq:x></rdf:Description>")
    assert values_of(edit_packet(deep, FULL, WHEN).packet, RATING) == ["4"]


def test_many_namespaces_cost_no_more_than_their_bytes() -> None:
    spaces = "".join(f' xmlns:a{n}="a"' for n in range(1000))
    head = f'<rdf:RDF xmlns:rdf="{RDF}"{spaces}><rdf:Description rdf:about="">'
    packet = f"{head}{'<a1:b/>' * 1000}</rdf:Description></rdf:RDF>".encode()
    tracemalloc.start()
    try:
        read_packet(packet)
        assert tracemalloc.get_traced_memory()[1] < 50 * len(packet)
    finally:
        tracemalloc.stop()


def test_a_text_of_many_lines_does_not_come_line_by_line() -> None:
    lines = "one\n" * 10_000
    take = packets._Reader._text
    with mock.patch.object(packets._Reader, "_text", autospec=True, side_effect=take) as took:
        assert values_of(packet(f"><xmp:Label>{lines}</xmp:Label></rdf:Description>"), LABEL) == [
            lines
        ]
    assert took.call_count < 100


def test_damage_is_refused_or_nothing_else_is_lost() -> None:
    """Bytes cut, doubled and changed at random: an edit stays well-formed, or is refused."""
    chance = random.Random(5)
    for form in ("darktable", "lightroom", "digikam", "tiny", "utf-16"):
        for _ in range(150):
            data = bytearray(FORMS[form])
            for _ in range(chance.randint(1, 3)):
                at = chance.randrange(len(data))
                data[at : at + chance.randint(0, 3)] = chance.choice(
                    [b"", b"<", b">", b"/", b'"', b" ", b"x", bytes(data[at - 20 : at])]
                )
            try:
                new = edit_packet(bytes(data), FULL, WHEN).packet
            except BrokenPacket:
                continue
            assert others(new) == others(bytes(data))
            assert edit_packet(new, FULL, LATER).packet == new
