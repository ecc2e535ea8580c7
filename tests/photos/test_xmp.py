from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from iqcli.photos.xmp import MAX_BYTES, stars_of

XAP = "http://ns.adobe.com/xap/1.0/"
HEAD = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
)
TAIL = "</rdf:RDF></x:xmpmeta>"


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
def test_coat(text: str, encoding: str) -> None:
    assert stars_of(text.encode(encoding)) == 4


def test_a_rating_inside_a_history_is_not_the_photos() -> None:
    inner = f'<rdf:li xmlns:xmp="{XAP}"><rdf:Description xmp:Rating="2"/></rdf:li>'
    text = packet(f"<rdf:Description><rdf:Seq>{inner}</rdf:Seq></rdf:Description>")
    assert stars_of(text.encode()) is None


def test_a_rating_of_another_namespace_is_another_rating() -> None:
    text = '<rdf:Description xmlns:m="http://ns.microsoft.com/photo/1.0/" m:Rating="4"/>'
    assert stars_of(packet(text).encode()) is None


@pytest.mark.parametrize(
    "data",
    [b"", b"garbage", b"\xff\xfe", b"\0\0\0", b"<a", packet(attribute("3"))[:-9].encode(), b"<a/>"],
)
def test_what_does_not_parse_says_nothing(data: bytes) -> None:
    assert stars_of(data) is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused_not_expanded(encoding: str) -> None:
    laughs = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(30))
    text = f'<!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]>' + packet(element("&l30;"))
    begin = time.perf_counter()
    assert stars_of(text.encode(encoding)) is None
    assert time.perf_counter() - begin < 0.5


def test_even_a_harmless_dtd_is_refused() -> None:
    assert stars_of(b"<!DOCTYPE x>" + packet(attribute("3")).encode()) is None


def test_size_is_capped() -> None:
    text = packet(attribute("3")).encode()
    assert stars_of(text.ljust(MAX_BYTES)) == 3
    assert stars_of(text.ljust(MAX_BYTES + 1)) is None


def test_deep_nesting_does_no_harm() -> None:
    assert stars_of(b"<a>" * 200_000 + b"</a>" * 200_000) is None
