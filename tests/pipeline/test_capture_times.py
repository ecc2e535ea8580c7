"""When photos were taken: by the file, by what lies beside it, by its name; and what is cached."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import astuple, replace
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image
from support.fake_pipeline import settings
from support.images import encoded, exif_block, noise

from iqcli.photos import read as read_module
from iqcli.photos.times import capture_time
from iqcli.photos.times.names import of_name
from iqcli.pipeline import cache as cache_module
from iqcli.pipeline import cache_codec
from iqcli.pipeline.cache import Cache
from iqcli.pipeline.measure import measure
from iqcli.records import Facts, Photo, Shot

PICTURE = noise(48, 32)
ORIGINAL = 0x9003


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files made just now that are old enough to be trusted."""
    monkeypatch.setattr(cache_module, "FINE_NS", 0)


def packet(name: str, when: str) -> bytes:
    """An XMP packet with one property, such as `exif:DateTimeOriginal`."""
    uri = {"exif": "exif/1.0/", "xmp": "xap/1.0/"}[name.partition(":")[0]]
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
        f'syntax-ns#"><rdf:Description xmlns:{name.partition(":")[0]}="http://ns.adobe.com/{uri}">'
        f"<{name}>{when}</{name}></rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def takeout(seconds: int) -> bytes:
    return json.dumps({"photoTakenTime": {"timestamp": str(seconds)}}).encode()


def film(seconds: int) -> bytes:
    """A film whose header tells so many seconds since 1970."""
    mvhd = struct.pack(">II", 0, seconds + 2082844800) + bytes(88)
    head = struct.pack(">I4s", 8 + len(mvhd), b"mvhd") + mvhd
    return struct.pack(">I4s", 8 + len(head), b"moov") + head


def iptc(**sets: bytes) -> bytes:
    """An APP13 segment with dates: `d55` is data set 2:55."""
    records = b"".join(
        struct.pack(">BBBH", 0x1C, 2, int(name[1:]), len(text)) + text
        for name, text in sets.items()
    )
    records += bytes(len(records) % 2)
    content = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(records)) + records
    return b"\xff\xed" + struct.pack(">H", 2 + len(content)) + content


def jpeg(segment: bytes = b"", **options: object) -> bytes:
    data = encoded(PICTURE, "JPEG", **options)
    return data[:2] + segment + data[2:]


def png(when: str = "", *, late: bool = False) -> bytes:
    """A PNG with a creation time, before its pixels or behind them."""
    text = b"tEXtCreation Time\0" + when.encode()
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    data = encoded(PICTURE, "PNG")
    at = data.index(b"IEND" if late else b"IDAT") - 4
    return data[:at] + chunk + data[at:] if when else data


def measured(
    folder: Path, files: dict[str, bytes], cache: Cache | None = None
) -> tuple[str | None, str | None]:
    """`taken` and `taken_from` of a shot; the first of the files is its picture."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_bytes() != data:
            path.write_bytes(data)
    first, *others = (folder / name for name in files)
    facts = one(Shot(folder, first, tuple(others)), folder, cache).facts
    assert facts
    return facts.taken, facts.taken_from


def one(shot: Shot, folder: Path, cache: Cache | None = None) -> Photo:
    (photo,) = measure([shot], [], cache or Cache(None, pytest.fail), settings(folder))
    assert photo.error is None
    return photo


AT_3, AT_3_UTC = "2020-01-02T03:04:05", "2020-01-02T03:04:05Z"
ORIGINALLY, CREATED = packet("exif:DateTimeOriginal", AT_3), packet("xmp:CreateDate", AT_3_UTC)
MODIFIED, DATED = packet("xmp:ModifyDate", AT_3), packet("exif:DateTimeOriginal", "2020-01-02")
RATED = packet("xmp:Rating", "4")
TO_THE_MINUTE = packet("exif:DateTimeOriginal", AT_3[:16])
EXIF = {"exif": exif_block({}, {ORIGINAL: "2020:01:02 03:04:05"})}
CHANGED = {"exif": exif_block({306: "2021:01:01 00:00:00"})}
UNSET = {"exif": exif_block({}, {ORIGINAL: "1970:01:01 00:00:00"})}
IPTC, IPTC_DAY = iptc(d55=b"20200102", d60=b"030405+0100"), iptc(d62=b"20200102")
SECONDS = 1577934245
GPS = Image.Exif()
GPS.get_ifd(0x8825).update({29: "2020:01:02", 7: (3.0, 4.0, 5.0)})
PLAIN = jpeg()


@pytest.mark.parametrize(
    ("files", "taken", "source"),
    [
        ({"a.jpg": jpeg(**EXIF)}, AT_3, "exif"),
        ({"a.jpg": jpeg(**EXIF), "a.xmp": CREATED, "a.mov": film(1)}, AT_3, "exif"),
        ({"a.jpg": jpeg(xmp=ORIGINALLY)}, AT_3, "xmp"),
        ({"a.jpg": jpeg(xmp=TO_THE_MINUTE)}, "2020-01-02T03:04:00", "xmp"),
        ({"a.jpg": jpeg(xmp=CREATED)}, AT_3_UTC, "xmp"),
        ({"a.jpg": jpeg(xmp=MODIFIED)}, None, None),
        ({"a.jpg": jpeg(xmp=ORIGINALLY, **CHANGED)}, AT_3, "xmp"),
        ({"a.jpg": jpeg(**CHANGED)}, "2021-01-01T00:00:00", "exif"),
        ({"a.jpg": jpeg(**CHANGED), "a.jpg.xmp": ORIGINALLY}, AT_3, "xmp"),
        ({"a.jpg": jpeg(**CHANGED), "a.jpg.json": takeout(SECONDS)}, AT_3_UTC, "takeout"),
        ({"20240108_120000.jpg": jpeg(**CHANGED)}, "2024-01-08T12:00:00", "name"),
        ({"IMG-20210101-WA0001.jpg": jpeg(**CHANGED)}, "2021-01-01T00:00:00", "exif"),
        # An edit without the time of its original.
        ({"a-edited.jpg": jpeg(**CHANGED), "a.jpg": jpeg(**EXIF)}, AT_3, "exif"),
        ({"20240108_120000.jpg": jpeg(**UNSET)}, "2024-01-08T12:00:00", "name"),
        ({"a.jpg": jpeg(**UNSET)}, "1970-01-01T00:00:00", "exif"),
        ({"a.jpg": PLAIN, "a.jpg.xmp": ORIGINALLY}, AT_3, "xmp"),
        ({"a.jpg": jpeg(IPTC), "a.xmp": CREATED}, AT_3_UTC, "xmp"),
        ({"a.jpg": jpeg(IPTC), "a.json": takeout(SECONDS)}, f"{AT_3}+01:00", "iptc"),
        ({"a.jpg": jpeg(IPTC, **CHANGED)}, f"{AT_3}+01:00", "iptc"),
        ({"a.jpg": jpeg(IPTC_DAY)}, "2020-01-02", "iptc"),
        ({"20200102_040506.jpg": jpeg(IPTC_DAY)}, "2020-01-02T04:05:06", "name"),
        ({"20200103_040506.jpg": jpeg(IPTC_DAY)}, "2020-01-02", "iptc"),
        ({"a.jpg": jpeg(iptc(d55=b"\xff" * 8, d60=b"x"))}, None, None),
        ({"a.jpg": jpeg(b"\xff\xed\x00\x10Photoshop 3.0\0")}, None, None),
        ({"a.png": png("2020:01:02 03:04:05")}, AT_3, "png"),
        ({"a.png": png("Thu, 02 Jan 2020 03:04:05 +0000", late=True)}, AT_3_UTC, "png"),
        ({"a.png": png("yesterday")}, None, None),
        ({"a.jpg": PLAIN, "a.mov": film(SECONDS)}, AT_3_UTC, "quicktime"),
        ({"a.jpg": PLAIN, "a.mov": b"no film"}, None, None),
        ({"20240108.jpg": PLAIN, "a.jpg.json": takeout(SECONDS)}, AT_3_UTC, "takeout"),
        ({"a.jpg": PLAIN, "a.jpg.json": b'{"title": "x"}'}, None, None),
        ({"Screenshot_20240105-120000.png": png()}, "2024-01-05T12:00:00", "name"),
        ({"IMG-20240101-WA0001.jpg": PLAIN}, "2024-01-01", "name"),
        ({"IMG-20200102-WA0001.jpg": jpeg(exif=GPS)}, AT_3_UTC, "gps"),
        ({"IMG-20200105-WA0001.jpg": jpeg(exif=GPS)}, "2020-01-05", "name"),
        ({"a.jpg": jpeg(exif=GPS)}, AT_3_UTC, "gps"),
        ({"a.jpg": PLAIN}, None, None),
    ],
)
def test_the_first_source_that_tells_it(
    tmp_path: Path, files: dict[str, bytes], taken: str | None, source: str | None
) -> None:
    cache = Cache(tmp_path / "cache", pytest.fail)
    for _ in range(2):
        assert measured(tmp_path / "p", files, cache) == (taken, source)
    cache.close()


def test_a_sidecar_that_changes_is_read_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", pytest.fail)
    for seconds in (1577934245, 1577934246):
        files = {"a.jpg": PLAIN, "a.jpg.json": takeout(seconds), "a.mov": b"no film"}
        when = f"2020-01-02T03:04:{seconds % 10:02}Z"
        assert measured(tmp_path / "p", files, cache) == (when, "takeout")
    files = {"a.jpg": jpeg(), "a.mov": film(1577934249)}
    assert measured(tmp_path / "p", files, cache) == ("2020-01-02T03:04:09Z", "quicktime")
    cache.close()


def test_a_film_that_is_gone_fails_no_photo(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg())
    shot = Shot(tmp_path, tmp_path / "a.jpg", (tmp_path / "a.mov",))
    assert one(shot, tmp_path).facts is not None


# --- a cache of an earlier version ---


def old_row(facts: Facts) -> bytes:
    """Facts as versions up to 0.3 kept them: with the time of EXIF alone, and no source."""
    by_exif = facts.taken if facts.taken_from in ("exif", "changed") else None
    values = astuple(replace(facts, taken=by_exif))[:-2]
    return cache_codec.seal(cache_codec.FACTS, json.dumps(values).encode())


@pytest.mark.parametrize("renamed", ["", "other "])
@pytest.mark.parametrize(
    ("data", "name", "taken", "source"),
    [
        (jpeg(IPTC), "a.jpg", f"{AT_3}+01:00", "iptc"),
        (png("2020:01:02 03:04:05", late=True), "a.png", AT_3, "png"),
        (jpeg(), "20240108_120000.jpg", "2024-01-08T12:00:00", "name"),
        (jpeg(**EXIF), "a.jpg", AT_3, "exif"),
        (jpeg(**CHANGED), "20240108_120000.jpg", "2024-01-08T12:00:00", "name"),
        (jpeg(xmp=RATED, **CHANGED), "20240108_120000.jpg", "2024-01-08T12:00:00", "name"),
        (encoded(PICTURE, "TIFF"), "20240108.tif", "2024-01-08", "name"),
        (encoded(PICTURE, "WEBP", xmp=DATED), "a.webp", "2020-01-02", "xmp"),
        (encoded(PICTURE, "HEIF", xmp=DATED), "a.heic", "2020-01-02", "xmp"),
    ],
)
def test_what_an_earlier_version_measured_is_not_decoded_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    data: bytes,
    name: str,
    taken: str,
    source: str,
    renamed: str,
) -> None:
    path = tmp_path / "p" / name
    path.parent.mkdir()
    path.write_bytes(data)
    shot, says = Shot(path.parent, path), []
    with monkeypatch.context() as earlier:
        earlier.setattr(cache_codec, "pack_facts", old_row)
        earlier.setattr(cache_module, "MARKS", b"m")
        cache = Cache(tmp_path / "cache", pytest.fail)
        one(shot, tmp_path, cache)
        cache.close()
    if renamed:  # its content is known, and neither its place nor how it is read
        shot = Shot(path.parent, path.rename(path.parent / f"{renamed}{name}"))
    monkeypatch.setattr(read_module, "read_photo", lambda *_, **__: pytest.fail("decoded"))
    for _ in range(2):
        cache = Cache(tmp_path / "cache", says.append)
        facts = one(shot, tmp_path, cache).facts
        assert facts
        assert (facts.taken, facts.taken_from) == (taken, source)
        assert (facts.width, facts.height, facts.damage) == (48, 32, 0)
        cache.close()
    # Once, in the first of both runs, and not where nothing was to be read.
    assert len(says) == (source != "exif")


def test_a_photo_that_can_no_longer_be_read_keeps_what_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "20240108_120000.jpg"
    path.write_bytes(jpeg())
    with monkeypatch.context() as earlier:
        earlier.setattr(cache_codec, "pack_facts", old_row)
        cache = Cache(tmp_path / "cache", pytest.fail)
        one(Shot(tmp_path, path), tmp_path, cache)
        cache.close()
    monkeypatch.setattr(
        "iqcli.pipeline.spec.read_bytes", lambda *_, **__: (_ for _ in ()).throw(OSError(5, "bad"))
    )
    cache = Cache(tmp_path / "cache", lambda _: None)
    photo = one(Shot(tmp_path, path), tmp_path, cache)
    cache.close()
    assert photo.facts
    assert (photo.facts.taken, photo.facts.taken_from) == ("2024-01-08T12:00:00", "name")


# --- whatever stands there ---

NUMBERS = some.text("0123456789", max_size=8)
PARTS = NUMBERS | some.sampled_from([*"-:/._ TZ+", "2020", "01", "02", "13", "IMG_", "PM", "GMT"])
TEXTS = some.lists(PARTS, max_size=14).map("".join) | some.text(max_size=40)


@pytest.mark.slow
@given(TEXTS, TEXTS)
def test_any_text_gives_a_time_that_the_cache_keeps_or_none(text: str, other: str) -> None:
    times = [
        capture_time.parse(text),
        capture_time.parse_mail(text),
        capture_time.of_iptc(text, other),
        (named := of_name(text + other)) and named.when,
    ]
    for when in filter(None, times):
        assert datetime.fromisoformat(when)
        facts = Facts(8, 8, "jpeg", taken=when, taken_from="xmp")
        assert cache_codec.unpack_facts(cache_codec.pack_facts(facts)) == facts
        status = Path(__file__).stat()
        for taken in (capture_time.Taken(when, "takeout"), None):
            kept = cache_codec.pack_stat(status, cache_codec.time_bytes(taken))
            assert cache_codec.unpack_time(kept, status) == (taken,)
    capture_time.timeline([*times, text])


@pytest.mark.parametrize("payload", [b"exif", b"exif ", b" 2020-01-02", b"me 2020-01-02", b"\xff"])
def test_a_time_of_a_wrong_sort_is_a_miss(payload: bytes) -> None:
    status = Path(__file__).stat()
    with pytest.raises(ValueError):
        cache_codec.unpack_time(cache_codec.pack_stat(status, payload), status)
