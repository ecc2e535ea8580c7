"""A person's marks, wherever they are kept besides the photo itself."""

from __future__ import annotations

import os
import time
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.fake_pipeline import Reader, block, settings
from support.images import encoded, exif_block
from support.phone_files import jpeg, shown

from iqcli.errors import PhotoError
from iqcli.photos.read import read_photo
from iqcli.pipeline.cache import Cache
from iqcli.pipeline.measure import measure
from iqcli.pipeline.picasa import PicasaStars, starred
from iqcli.pipeline.sidecars import marks_in, read_marks, sidecars
from iqcli.records import Facts, Marks, Shot, Views

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

RATED = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"/></rdf:RDF></x:xmpmeta>'
)


def shot_of(folder: Path, name: str, data: bytes) -> Shot:
    (folder / "IMG_1-edited.jpg").write_bytes(jpeg(edited=True))
    (folder / name).write_bytes(data)
    return Shot(folder, folder / "IMG_1-edited.jpg", (folder / name,))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("IMG_1.jpg", jpeg(stars=4)),
        ("IMG_1.heic", jpeg(stars=4, kind="HEIF")),
        ("IMG_1.jpg", encoded(shown(1), "JPEG", xmp=RATED)),
        ("IMG_1.png", encoded(shown(1), "PNG") + RATED),
        ("IMG_1.dng", b"II*\0" + bytes(2**20) + RATED),
        ("IMG_1.jpg.xmp", RATED),
        ("IMG_1.jpg", encoded(shown(1), "JPEG", exif=exif_block({0x4746: 0, 0x4749: 75}, {}))),
    ],
)
def test_stars_in_any_file_of_the_shot(tmp_path: Path, name: str, data: bytes) -> None:
    shot = shot_of(tmp_path, name, data)
    (found,) = read_marks(sidecars(shot))
    assert found.marks == Marks(stars=4)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    ("tags", "stars"),
    [
        ({0x4746: 3}, 3),
        ({0x4746: 0}, 0),
        ({0x4746: 6}, None),
        ({0x4749: 50}, 3),
        ({0x4746: 0, 0x4749: 75}, 4),
        ({0x4746: 2, 0x4749: 99}, 2),
        ({0x4746: 9, 0x4749: 99}, 5),
        ({0x4749: 101}, None),
    ],
)
def test_stars_of_exif_are_the_same_in_a_photo_and_beside_one(
    order: str, tags: dict[int, int], stars: int | None
) -> None:
    data = encoded(shown(1), "JPEG", exif=exif_block(tags, {}, order))
    assert read_photo(data, max_megapixels=9)[0].stars == stars
    assert marks_in(BytesIO(data)) == Marks(stars)


@pytest.mark.parametrize(
    ("ending", "text", "marks"),
    [
        ("pp3", "[General]\nRank=3\nColorLabel=0\n", Marks(3)),
        ("arp", "[General]\r\nRank=5\r\n", Marks(5)),
        ("pp3", "[General]\nRank=0\nColorLabel=2\n[Sharpening]\nRanking=4\n", Marks()),
        ("dop", "Items = {\n{\nRating = 4,\n}\n{\nRating = 2,\n}\n}", Marks(4)),
        ("dop", "Rating = 0,\nChannelRating = 3,\n", Marks()),
        ("cos", '<DL><E K="Basic_Rating" V="4"/></DL>', Marks(4)),
        ("cos", '<DL><E K="Basic_Rating" V="0"/></DL>', Marks()),
        ("yml", "UID: p1\nFavorite: true\n", Marks(pick=1)),
        ("yml", "Favorite: false\nTitle: 'Favorite: true'\n", Marks()),
        ("nksc", RATED.decode(), Marks(4)),
    ],
)
def test_marks_in_files_of_other_programs(
    tmp_path: Path, ending: str, text: str, marks: Marks
) -> None:
    shot = shot_of(tmp_path, f"IMG_1.jpg.{ending}", text.encode())
    (found,) = read_marks(sidecars(shot))
    assert found.marks == marks


@pytest.mark.parametrize(("ending", "colour"), [("pp3", "ColorLabel=2"), ("arp", "ColorLabel=5")])
def test_colour_labels_of_other_programs(tmp_path: Path, ending: str, colour: str) -> None:
    shot = shot_of(tmp_path, f"IMG_1.jpg.{ending}", f"[General]\n{colour}\n".encode())
    (found,) = read_marks(sidecars(shot), labels=True)
    assert found.marks == Marks(pick=1)


@pytest.mark.parametrize("data", [b"", b"x", b"\xff\xd8\xff\xe1", b"II*\0\xff\xff\xff\xff", jpeg()])
def test_a_picture_without_marks(tmp_path: Path, data: bytes) -> None:
    (found,) = read_marks(sidecars(shot_of(tmp_path, "IMG_1.jpg", data)))
    assert found.marks == Marks()


def test_json_of_another_program_is_not_read(tmp_path: Path) -> None:
    shot = shot_of(tmp_path, "IMG_1-edited.jpg.other.json", b"{")
    assert sidecars(shot) == []


PICASA = (
    "[Picasa]\nname=Summer\n[IMG_1.jpg]\nstar=yes\nbackuphash=1\n[IMG_2.jpg]\nstar=no\n"
    "[Cafe\u0301.jpg]\r\nrotate=rotate(1)\r\nSTAR = yes\r\n"
)


@pytest.mark.parametrize(
    "data",
    [
        "\ufeff[Café.jpg]\r\nstar=yes\r\n".encode(),
        "[Café.jpg]\r\nstar=yes\r\n".encode("cp1252"),
        "[Café.jpg]\r\nstar=yes\r\n".encode("utf-16"),
        b" [caf\xc3\xa9.JPG]\n star = 1\n",
    ],
)
def test_stars_in_any_encoding(tmp_path: Path, data: bytes) -> None:
    (tmp_path / ".picasa.ini").write_bytes(data)
    assert PicasaStars().of(Shot(tmp_path, tmp_path / "Café.jpg")) == Marks(pick=1)
    assert PicasaStars().of(Shot(tmp_path, tmp_path / "Cafe.jpg")) == Marks()


def test_stars_of_picasa() -> None:
    assert starred(PICASA) == {"img_1.jpg", "café.jpg"}
    assert starred("star=yes\n[]\nstar=yes\n[unfinished\nstar=yes") == set()


@pytest.mark.parametrize("name", [".picasa.ini", "Picasa.ini"])
def test_a_star_on_any_file_of_the_shot(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(PICASA.encode())
    stars = PicasaStars()
    shot = Shot(tmp_path, tmp_path / "IMG_1-edited.jpg", (tmp_path / "IMG_1.jpg",))
    assert stars.of(shot) == Marks(pick=1)
    assert stars.of(Shot(tmp_path, tmp_path / "Café.jpg")) == Marks(pick=1)
    assert stars.of(Shot(tmp_path, tmp_path / "IMG_2.jpg")) == Marks()
    assert stars.of(Shot(tmp_path, tmp_path / "none" / "IMG_1.jpg")) == Marks()


def test_stars_that_cannot_be_read_do_not_count_as_none(tmp_path: Path) -> None:
    (tmp_path / ".picasa.ini").mkdir()
    shot = Shot(tmp_path, tmp_path / "IMG_1.jpg")
    shot.path.write_bytes(jpeg())
    with pytest.raises(PhotoError, match=r"its sidecar .*picasa.ini cannot be read"):
        PicasaStars().of(shot)
    cache = Cache(tmp_path / "cache", pytest.fail)
    (photo,) = measure([shot], [], cache, settings(tmp_path))
    cache.close()
    assert photo.error
    assert "picasa.ini" in photo.error


@pytest.mark.parametrize(
    ("inside", "protects"),
    [
        ('xmp:Label="Red"', True),
        ('xmp:Label="Gelb"', True),
        ('xmp:Label=""', False),
        ('xmp:Label="Reject"', False),
        ('xmp:Label="Select" iq:wroteLabel="Select"', False),
        ('xmp:Label="Green" iq:wroteLabel="Select"', True),
        ('photoshop:LabelColor="blue"', True),
        ('digiKam:ColorLabel="3"', True),
        ('digiKam:ColorLabel="0" photomechanic:ColorClass="0"', False),
        ('photomechanic:ColorClass="1"', True),
    ],
)
@pytest.mark.parametrize("embedded", [True, False])
def test_a_colour_label_is_as_good_as_a_flag_on_request(
    tmp_path: Path, inside: str, protects: bool, embedded: bool
) -> None:
    spaces = (
        'xmlns:iq="http://ns.iqcli.org/1.0/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" '
        'xmlns:digiKam="http://www.digikam.org/ns/1.0/" '
        'xmlns:photomechanic="http://ns.camerabits.com/photomechanic/1.0/" '
    )
    data = RATED.replace(b'xmp:Rating="4"', (spaces + inside).encode())
    photo = encoded(shown(1), "JPEG", xmp=data if embedded else b"")
    (tmp_path / "IMG_1.jpg").write_bytes(photo)
    (tmp_path / "IMG_1.jpg.xmp").write_bytes(RATED[:-100] if embedded else data)
    shot = Shot(tmp_path, tmp_path / "IMG_1.jpg", (tmp_path / "IMG_1.jpg.xmp",))
    found = read_marks(sidecars(shot, own=True), labels=True)
    assert any(each.marks.pick == 1 for each in found) is protects
    assert not any(each.marks.pick for each in read_marks(sidecars(shot)))


def test_marks_that_an_earlier_version_did_not_know_are_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the metadata alone: what was measured stays, and no pixel is decoded again."""
    decoded: list[int] = []
    opened: list[object] = []

    def decode(data: bytes, *, max_megapixels: float) -> tuple[Facts, Views]:
        decoded.append(len(data))
        plain = np.zeros((8, 8, 3), np.uint8)
        return Facts(8, 8, "jpeg"), Views(plain, plain)

    def stars() -> tuple[int | None, int]:
        opened.clear()
        cache = Cache(tmp_path / "cache", pytest.fail)
        given = settings(tmp_path)
        (photo,) = measure([shot], [block()], cache, given, reader=Reader(decode))
        cache.close()
        return photo.marks.stars, len(opened)

    def reads(file: BinaryIO, *, labels: bool = False) -> Marks:
        opened.append(file)
        return marks_in(file, labels=labels)

    shot = Shot(tmp_path, tmp_path / "IMG_1.jpg")
    shot.path.write_bytes(encoded(shown(1), "JPEG", xmp=RATED))
    os.utime(shot.path, ns=(10**18, 10**18))
    time.sleep(0.1)  # a file as young as its row is read again
    with monkeypatch.context() as earlier:
        earlier.setattr("iqcli.pipeline.cache.MARKS", b"m")
        earlier.setattr("iqcli.pipeline.measure.marks_in", lambda file, labels: Marks())
        assert stars() == (None, 0)
    monkeypatch.setattr("iqcli.pipeline.sidecars.marks_in", reads)
    assert stars() == (4, 1)
    assert stars() == (4, 0)
    assert len(decoded) == 1
