from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from iqcli.photos.xmp import (
    BURST,
    IQ_NS,
    Marks,
    highest,
    is_panorama,
    marks_of,
    properties_of,
)
from iqcli.photos.xmp_packet import MAX_BYTES

XAP = "http://ns.adobe.com/xap/1.0/"
HEAD = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
)
TAIL = "</rdf:RDF></x:xmpmeta>"


SPACES = {
    "xmp": XAP,
    "dm": "http://ns.adobe.com/xmp/1.0/DynamicMedia/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "photomechanic": "http://ns.camerabits.com/photomechanic/1.0/",
    "iq": IQ_NS,
    "GCamera": "http://ns.google.com/photos/1.0/camera/",
    "GPano": "http://ns.google.com/photos/1.0/panorama/",
}


def stars_of(data: bytes) -> int | None:
    return marks_of(data).stars


def as_attributes(properties: dict[str, str]) -> bytes:
    spaces = "".join(f' xmlns:{prefix}="{space}"' for prefix, space in SPACES.items())
    values = "".join(f' {name}="{value}"' for name, value in properties.items())
    return packet(f"<rdf:Description{spaces}{values}/>").encode()


def as_elements(properties: dict[str, str]) -> bytes:
    spaces = "".join(f' xmlns:{prefix}="{space}"' for prefix, space in SPACES.items())
    values = "".join(f"\n <{name}>{value}</{name}>" for name, value in properties.items())
    return packet(f"<rdf:Description{spaces}>{values}</rdf:Description>").encode()


FORMS = pytest.mark.parametrize("form", [as_attributes, as_elements])


def attribute(value: str, prefix: str = "xmp") -> str:
    return f'<rdf:Description xmlns:{prefix}="{XAP}" {prefix}:Rating="{value}"/>'


def element(value: str) -> str:
    return f'<rdf:Description xmlns:q="{XAP}"><q:Rating>{value}</q:Rating></rdf:Description>'


def packet(*descriptions: str) -> str:
    return HEAD + "".join(descriptions) + TAIL


@pytest.mark.parametrize("form", [attribute, element])
@pytest.mark.parametrize(
    ("value", "stars"),
    [
        *[(str(n), n) for n in range(-1, 6)],
        *[("5.0", 5), (" 3 ", 3), ("2.6", 3), ("6", None), ("-2", None), ("5.4", None)],
        *[("nan", None), ("inf", None), ("", None), ("five", None), ("0x3", None)],
    ],
)
def test_value(form: Callable[[str], str], value: str, stars: int | None) -> None:
    assert stars_of(packet(form(value)).encode()) == stars


@pytest.mark.parametrize(
    "text",
    [
        packet(attribute("4", "xap")),
        packet("<rdf:Description/>", element("4")),
        packet(attribute("garbage"), attribute("4")),
        f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>{packet(attribute("4"))}\n'
        + " " * 2000
        + '<?xpacket end="w"?>\0\0',
        '<?xml version="1.0" encoding="UTF-16"?>' + packet(element("4")),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_envelope(text: str, encoding: str) -> None:
    assert stars_of(text.encode(encoding)) == 4


def test_a_rating_inside_a_history_is_not_the_photos() -> None:
    inner = f'<rdf:li xmlns:xmp="{XAP}"><rdf:Description xmp:Rating="2"/></rdf:li>'
    text = packet(f"<rdf:Description><rdf:Seq>{inner}</rdf:Seq></rdf:Description>")
    assert stars_of(text.encode()) is None


def test_a_rating_of_another_namespace_is_another_rating() -> None:
    text = '<rdf:Description xmlns:m="http://ns.example.com/photo/1.0/" m:Rating="4"/>'
    assert stars_of(packet(text).encode()) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        b"\xff\xfe",
        b"\0\0\0",
        b"<a",
        packet(attribute("3"))[:-9].encode(),
        b"<a/>",
        packet(attribute("3")).encode("utf-32"),
        packet(attribute("3")).encode("utf-32-le"),
    ],
)
def test_what_does_not_parse_says_nothing(data: bytes) -> None:
    assert stars_of(data) is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused_not_expanded(encoding: str) -> None:
    laughs = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(30))
    text = f'<!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]>' + packet(element("&l30;"))
    begin = time.process_time()
    assert stars_of(text.encode(encoding)) is None
    assert time.process_time() - begin < 0.5


def test_even_a_harmless_dtd_is_refused() -> None:
    assert stars_of(b"<!DOCTYPE x>" + packet(attribute("3")).encode()) is None


def test_size_is_capped() -> None:
    text = packet(attribute("3")).encode()
    assert stars_of(text.ljust(MAX_BYTES)) == 3
    assert stars_of(text.ljust(MAX_BYTES + 1)) is None


def test_deep_nesting_does_no_harm() -> None:
    assert stars_of(b"<a>" * 200_000 + b"</a>" * 200_000) is None


@FORMS
@pytest.mark.parametrize(
    ("properties", "pick"),
    [
        ({}, None),
        *[({"dm:pick": text}, pick) for text, pick in (("-1", -1), ("0", 0), (" 1 ", 1))],
        *[({"dm:pick": text}, None) for text in ("2", "", "true", "1.0", "٣")],
        *[({"dm:good": text}, pick) for text, pick in (("True", 1), ("false", -1), ("1", None))],
        *[({"digiKam:PickLabel": f"{n}"}, pick) for n, pick in enumerate((0, -1, 0, 1, None))],
        ({"photomechanic:Prefs": "1:0:0:001"}, 1),
        ({"photomechanic:Prefs": "0:2:0:-00001"}, None),
        *[({"photomechanic:Tagged": text}, pick) for text, pick in (("True", 1), ("False", 0))],
        ({"dm:pick": "-1", "dm:good": "false"}, -1),
        ({"dm:pick": "-1", "digiKam:PickLabel": "3"}, 1),
        ({"dm:pick": "garbage", "digiKam:PickLabel": "1"}, -1),
    ],
)
def test_flags_of_every_program(form, properties: dict[str, str], pick: int | None) -> None:
    assert marks_of(form(properties)) == Marks(None, pick)


@FORMS
@pytest.mark.parametrize(
    ("properties", "marks"),
    [
        # iq's own rating is nobody's; what it found before is the person's.
        ({"xmp:Rating": "4", "iq:wroteRating": "4"}, Marks()),
        ({"xmp:Rating": "4.0", "iq:wroteRating": "4"}, Marks()),
        ({"xmp:Rating": "-1", "iq:wroteRating": "-1", "iq:previousRating": "3"}, Marks(3)),
        ({"xmp:Rating": "-1", "iq:wroteRating": "-1", "iq:previousRating": "x"}, Marks()),
        # Changed since, taken away since, or never ours: the person's counts.
        ({"xmp:Rating": "5", "iq:wroteRating": "4", "iq:previousRating": "2"}, Marks(5)),
        ({"iq:wroteRating": "4", "iq:previousRating": "2"}, Marks()),
        ({"xmp:Rating": "4.4", "iq:wroteRating": "4"}, Marks(4)),
        ({"xmp:Rating": "4", "iq:wroteRating": "five"}, Marks(4)),
        ({"xmp:Rating": "4", "iq:previousRating": "2"}, Marks(4)),
        # Flags likewise, one by one.
        ({"dm:pick": "-1", "dm:good": "false", "iq:wrotePick": "-1"}, Marks()),
        ({"dm:pick": "-1", "iq:wrotePick": "-1", "iq:previousPick": "1"}, Marks(None, 1)),
        ({"dm:pick": "1", "iq:wrotePick": "-1", "iq:previousPick": "0"}, Marks(None, 1)),
        ({"dm:pick": "1", "digiKam:PickLabel": "1", "iq:wrotePick": "1"}, Marks(None, -1)),
        ({"dm:pick": "1", "photomechanic:Tagged": "True", "iq:wrotePick": "1"}, Marks(None, 1)),
        ({"iq:wrotePick": "1", "iq:previousPick": "1"}, Marks()),
        # A rating of iq leaves a person's flag alone, and the other way round.
        ({"xmp:Rating": "4", "iq:wroteRating": "4", "dm:pick": "1"}, Marks(None, 1)),
        ({"xmp:Rating": "4", "iq:wrotePick": "1", "dm:pick": "1"}, Marks(4)),
    ],
)
def test_what_iq_wrote_is_no_persons(form, properties: dict[str, str], marks: Marks) -> None:
    assert marks_of(form(properties)) == marks


def test_what_iq_wrote_is_known_across_descriptions() -> None:
    ours = '<rdf:Description xmlns:z="http://ns.iqcli.org/1.0/" z:wroteRating="2"/>'
    assert marks_of(packet(attribute("2"), ours).encode()) == Marks()
    assert marks_of(packet(attribute("2"), ours, element("5")).encode()) == Marks(5)
    inner = f"<rdf:Description><rdf:Seq><rdf:li>{ours}</rdf:li></rdf:Seq></rdf:Description>"
    assert marks_of(packet(attribute("2"), inner).encode()) == Marks(2)


def test_the_highest_of_each() -> None:
    assert highest([]) == highest([Marks()]) == Marks()
    assert highest([Marks(-1, 1), Marks(3), Marks(None, -1)]) == Marks(3, 1)
    assert highest([Marks(-1), Marks(None, -1)]) == Marks(-1, -1)


@FORMS
def test_bursts_and_panoramas(form) -> None:
    properties = properties_of(
        form({"GCamera:BurstID": "8bafacec-2d9c", "GCamera:BurstPrimary": "1"})
    )
    assert properties == {BURST: ["8bafacec-2d9c"]}
    for name, value, stitched in (
        ("UsePanoramaViewer", "True", True),
        ("UsePanoramaViewer", "False", False),
        ("ProjectionType", "cylindrical", True),
        ("ProjectionType", " ", False),
        ("CaptureSoftware", "any", False),
    ):
        assert is_panorama(properties_of(form({f"GPano:{name}": value}))) is stitched


@pytest.mark.parametrize(
    ("inside", "stars", "pick"),
    [
        ("<xmp:Rating><rdf:Bag><rdf:li>4</rdf:li></rdf:Bag></xmp:Rating>", 4, None),
        ("<xmp:Rating><rdf:Seq><rdf:li>-1</rdf:li></rdf:Seq></xmp:Rating>", -1, None),
        ('<xmp:Rating rdf:parseType="Resource"><rdf:value>3</rdf:value></xmp:Rating>', 3, None),
        (
            "<xmp:Rating><rdf:Description><rdf:value>2</rdf:value></rdf:Description></xmp:Rating>",
            2,
            None,
        ),
        ("<ms:Rating>75</ms:Rating>", 4, None),
        ("<old:Rating>99</old:Rating>", 5, None),
        ("<ms:RatingPercent>1</ms:RatingPercent>", 1, None),
        ("<ms:Rating>0</ms:Rating>", None, None),
        ("<ms:Rating>700</ms:Rating>", None, None),
        ("<acdsee:rating>2</acdsee:rating>", 2, None),
        ("<xmp:Rating>0</xmp:Rating><acdsee:rating>5</acdsee:rating>", 5, None),
        ("<xmp:Rating>-1</xmp:Rating><ms:Rating>50</ms:Rating>", -1, None),
        ("<photomechanic:Prefs>0:0:4:007</photomechanic:Prefs>", 4, None),
        ("<acdsee:tagged>True</acdsee:tagged>", None, 1),
        ("<fstop:favorite>1</fstop:favorite>", None, 1),
        # iq rejected it, a person had rated it elsewhere
        (
            "<xmp:Rating>2</xmp:Rating><iq:wroteRating>2</iq:wroteRating><ms:Rating>50</ms:Rating>",
            3,
            None,
        ),
    ],
)  # fmt: skip
def test_ratings_of_other_programs_and_in_other_forms(
    inside: str, stars: int | None, pick: int | None
) -> None:
    spaces = SPACES | {
        "ms": "http://ns.microsoft.com/photo/1.0/",
        "old": "http://ns.microsoft.com/photo/1.0",
        "acdsee": "http://ns.acdsee.com/iptc/1.0/",
        "fstop": "http://www.fstopapp.com/xmp/",
    }
    names = "".join(f' xmlns:{prefix}="{space}"' for prefix, space in spaces.items())
    data = packet(f"<rdf:Description{names}>{inside}</rdf:Description>").encode()
    assert marks_of(data) == Marks(stars, pick)
