from __future__ import annotations

import pytest

from iqcli.photos.formats import PHOTO, extension
from iqcli.photos.names.shots import Group, group


def grouped(*names: str) -> list[Group]:
    photos = [name for name in names if extension(name) in PHOTO]
    return group(photos, [name for name in names if name not in photos])


@pytest.mark.parametrize(
    "names",
    [
        # the first is the primary, the others its companions in byte order
        ("IMG_1.JPG", "IMG_1.CR2"),
        ("IMG_1.jpg", "IMG_1.DNG", "img_1.xmp"),
        ("IMG_1.HEIC", "IMG_1.ARW"),
        ("IMG_1.JPG", "IMG_1.HEIC"),
        ("IMG_1.CR2", "IMG_1.DNG"),
        ("IMG_1.HIF", "IMG_1.NEF"),
        ("IMG_1234.HEIC", "IMG_1234.MOV"),
        ("IMG_1234.HEIC", "IMG_1234_HEVC.MOV"),
        ("IMG_1234.DNG", "IMG_1234.MOV"),
        ("IMG_E1234.JPG", "IMG_1234.AAE", "IMG_1234.HEIC", "IMG_1234.MOV", "IMG_O1234.AAE"),
        ("IMG_E1234.HEIC", "IMG_1234.JPG"),
        ("IMG_E1234.JPG", "IMG_1234.DNG"),
        ("IMG_E1234.JPG", "IMG_1234.PNG"),
        ("IMG_E1234.PNG", "IMG_1234.PNG"),
        ("IMG_E1234.PNG", "IMG_1234.HEIC", "IMG_1234.MOV"),
        ("PXL_20230101_120000123.RAW-01.COVER.jpg", "PXL_20230101_120000123.RAW-02.ORIGINAL.dng"),
        ("PXL_20230101_120000123.MP.jpg", "PXL_20230101_120000123.MP"),
        ("PXL_20230101_120000123.MP.jpg", "PXL_20230101_120000123.dng"),
        (
            "PXL_20230101_120000123.PORTRAIT-01.COVER.jpg",
            "PXL_20230101_120000123.PORTRAIT-02.ORIGINAL.jpg",
        ),
        ("IMG_1.JPG", "IMG_1.JPG.xmp", "IMG_1_01.JPG.xmp"),
        ("IMG_1.CR2", "IMG_1.CR2.dop", "IMG_1.CR2.pp3", "IMG_1.THM", "IMG_1.WAV", "IMG_1.pp3"),
        ("IMG_1.JPG", "IMG_1.JPG.json"),
        ("IMG_1.JPG", "IMG_1.JPG.supplemental-metadata.json"),
        ("IMG_1.JPG", "IMG_1.JPG.supplemental-me.json"),
        ("IMG_1(2).JPG", "IMG_1.JPG(2).json"),
        ("IMG_1(2).JPG", "IMG_1.JPG.supplemental-metadata(2).json"),
        ("shot.png", "shot.xmp"),
        ("a\udcff\n[red].jpg", "a\udcff\n[red].JPG.XMP", "a\udcff\n[red].dng"),
        ("-rf.jpg", "-rf.xmp"),
        ("=1+1.heic", "=1+1.mov"),
        ("no stem", "no stem.xmp"),
    ],
)
def test_one_shot(names: tuple[str, ...]) -> None:
    photos = [name for name in names if extension(name) in PHOTO or name == "no stem"]
    others = [name for name in names if name not in photos]
    companions = tuple(sorted(names[1:], key=lambda name: name.encode("utf-8", "surrogateescape")))
    assert group(photos, others) == [(names[0], companions)]
    assert group(photos[::-1], others[::-1]) == [(names[0], companions)]


@pytest.mark.parametrize(
    "names",
    [
        ("IMG_1.HEIC", "IMG_1.PNG"),
        ("IMG_1.HEIC", "IMG_1.webp"),
        ("IMG_1.gif", "IMG_1.png"),
        ("IMG_1.CR2", "IMG_1.tif"),
        ("IMG_1234.JPG", "IMG_1234~2.JPG"),
        ("IMG_1234.JPG", "IMG_12345.JPG"),
        ("IMG_1.JPG", "IMG_1.jpeg"),
        ("IMG_1.JPG", "img_1.jpg"),
        ("00000IMG_00000_BURST2017_COVER.jpg", "00001IMG_00001_BURST2017.jpg"),
        ("PXL_20230101_120000123.MP.jpg", "PXL_20230101_120000123.MP~2.jpg"),
        ("PXL_20230101_120000123.jpg", "PXL_20230101_120000124.jpg"),
    ],
)
def test_shots_of_their_own(names: tuple[str, ...]) -> None:
    assert grouped(*names) == [(name, ()) for name in names]
    assert grouped(*reversed(names)) == [(name, ()) for name in names]


@pytest.mark.parametrize(
    "name",
    ["film.mov", "notes.xmp", "IMG_2.JPG.xmp", "data.json", "IMG_1.json"],
)
def test_what_belongs_to_no_photo_is_left_out(name: str) -> None:
    assert grouped("IMG_1.JPG", name) == [("IMG_1.JPG", ())]


def test_a_companion_of_several_shots_stays_with_the_camera() -> None:
    names = ("IMG_7.HEIC", "IMG_7.PNG", "IMG_7.AAE", "IMG_7.MOV", "IMG_7.xmp")
    assert grouped(*names) == [
        ("IMG_7.HEIC", ("IMG_7.AAE", "IMG_7.MOV", "IMG_7.xmp")),
        ("IMG_7.PNG", ()),
    ]


def test_a_full_name_beats_the_camera() -> None:
    assert grouped("IMG_7.HEIC", "IMG_7.PNG", "IMG_7.PNG.xmp") == [
        ("IMG_7.HEIC", ()),
        ("IMG_7.PNG", ("IMG_7.PNG.xmp",)),
    ]


def test_a_film_beside_a_screenshot_is_a_film() -> None:
    assert grouped("IMG_7.PNG", "IMG_7.MOV") == [("IMG_7.PNG", ())]


def test_names_that_differ_in_case_keep_their_own_companions() -> None:
    names = ("IMG_1.JPG", "img_1.jpg", "IMG_1.CR2", "img_1.cr2", "IMG_1.xmp", "img_1.xmp")
    assert grouped(*names) == [
        ("IMG_1.JPG", ("IMG_1.CR2", "IMG_1.xmp")),
        ("img_1.jpg", ("img_1.cr2", "img_1.xmp")),
    ]


def test_a_darktable_duplicate_does_not_take_the_sidecar_of_a_real_photo() -> None:
    assert grouped("IMG_1.JPG", "IMG_1_01.JPG", "IMG_1_01.JPG.xmp") == [
        ("IMG_1.JPG", ()),
        ("IMG_1_01.JPG", ("IMG_1_01.JPG.xmp",)),
    ]


def test_an_edit_beside_a_screenshot_of_the_same_number_goes_to_the_photo() -> None:
    assert grouped("IMG_1234.PNG", "IMG_1234.HEIC", "IMG_E1234.JPG") == [
        ("IMG_1234.PNG", ()),
        ("IMG_E1234.JPG", ("IMG_1234.HEIC",)),
    ]


def test_shots_come_in_byte_order() -> None:
    names = ["b.jpg", "B.jpg", "a.jpg", "\udcff.jpg", "é.jpg", "a b.jpg"]
    assert [primary for primary, _ in grouped(*names)] == sorted(
        names, key=lambda name: name.encode("utf-8", "surrogateescape")
    )
