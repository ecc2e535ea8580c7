"""Films that are parts of photos."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from support.phone_files import CAMERA, film, jpeg

if TYPE_CHECKING:
    from support.photo_folder import PhotoFolder

ONE, TWO = "11111111-AAAA", "22222222-BBBB"
MADE = int(datetime(2024, 5, 4, 8, 11, 12, tzinfo=UTC).timestamp())
NAMES = [
    ("IMG_1234.jpg", "IMG_1234.MOV"),
    ("IMG_1234.HEIC", "IMG_1234.mp4"),
    ("IMG_5.jpg", "IMG_5_HEVC.MOV"),
    ("IMG_6(1).jpg", "IMG_6(1).MOV"),
    ("IMG_6(1).jpg", "IMG_6_HEVC(1).MOV"),
    ("IMG_7 (1).jpg", "IMG_7 (1).mov"),
    ("IMG_8_edited.jpg", "IMG_8_edited.mov"),
    ("IMG_1234.jpg", "IMG_1234_1.mov"),
    ("IMG_1234.jpg", "IMG_1234_live.mp4"),
    ("IMG_9.HEIC.jpg", "IMG_9.MOV"),
    ("IMG_9.HEIC.jpg", "IMG_9.HEIC.MOV"),
    ("IMG_E1234.jpg", "IMG_1234.MOV"),
    ("FullSizeRender-2369959.jpg", "FullSizeRender_HEVC-4559592.MOV"),
    ("PXL_20240504_101112123.MP.jpg", "PXL_20240504_101112123.MP"),
    ("MVIMG_20240504_101112.jpg", "MVIMG_20240504_101112.mp4"),
    ("Cafe\u0301.jpg", "Café.mov"),
]


def pairs(folder_of: PhotoFolder) -> list[list[str]]:
    return [[path.name for path in shot.files] for shot in folder_of.shots()]


@pytest.mark.parametrize(("photo", "name"), NAMES)
@pytest.mark.parametrize("data", [film(), film(3, made=MADE), film(3, ONE), b"", b"unknown"])
def test_a_short_film_of_the_name(
    folder_of: PhotoFolder, photo: str, name: str, data: bytes
) -> None:
    folder_of.put(photo, data=jpeg())
    folder_of.put(name, data=data)
    assert pairs(folder_of) == [[photo, name]]


@pytest.mark.parametrize(("photo", "name"), NAMES)
@pytest.mark.parametrize(
    "data",
    [film(1200), film(None), film(3, made=MADE + 40 * 86_400), film(3, TWO)],
    ids=["long", "without an index", "of another day", "of another photo"],
)
def test_another_film_stays_where_it_is(
    folder_of: PhotoFolder, photo: str, name: str, data: bytes
) -> None:
    folder_of.put(photo, data=jpeg(content_id=ONE))
    folder_of.put(name, data=data)
    assert pairs(folder_of) == [[photo]]


def test_the_identifier_joins_whatever_the_names(folder_of: PhotoFolder) -> None:
    folder_of.put("IMG_1.jpg", data=jpeg(content_id=ONE))
    folder_of.put("IMG_2.HEIC", data=jpeg(content_id=TWO, kind="HEIF"))
    folder_of.put("3F2A.MOV", data=film(90, TWO.lower()))
    folder_of.put("IMG_2.MOV", data=film(3, ONE))
    folder_of.put("other.MOV", data=film(3, "33333333-CCCC"))
    assert pairs(folder_of) == [["IMG_1.jpg", "IMG_2.MOV"], ["IMG_2.HEIC", "3F2A.MOV"]]


@pytest.mark.parametrize(
    ("inside", "joins"),
    [
        ({"model": CAMERA, "creationdate": "2024-05-04T10:11:11+0200"}, True),
        ({"creationdate": "2024-05-04T08:11:13+0000"}, True),
        ({"model": "Pixel 8"}, False),
        ({"creationdate": "2024-05-04T10:14:40+0200"}, False),
    ],
)
def test_a_short_film_of_another_camera_or_moment(
    folder_of: PhotoFolder, inside: dict[str, str], joins: bool
) -> None:
    folder_of.put("IMG_1.jpg", data=jpeg())
    folder_of.put("IMG_1.MOV", data=film(3, made=MADE, **inside))
    assert pairs(folder_of) == [["IMG_1.jpg", "IMG_1.MOV"][: 1 + joins]]


def test_films_that_fit_several_photos_go_to_none(folder_of: PhotoFolder) -> None:
    for size in (2369959, 2369960):
        folder_of.put(f"FullSizeRender-{size}.jpg", data=jpeg())
        folder_of.put(f"FullSizeRender_HEVC-{2 * size}.MOV", data=film())
    assert [len(shot.files) for shot in folder_of.shots()] == [1, 1]
    folder_of.put("FullSizeRender-2369959.jpg", data=jpeg(content_id=ONE))
    folder_of.put("FullSizeRender_HEVC-4739918.MOV", data=film(3, ONE))
    assert [len(shot.files) for shot in folder_of.shots()] == [2, 1]


def test_an_old_avi_tells_its_length(folder_of: PhotoFolder) -> None:
    def avi(frames: int) -> bytes:
        header = b"avih" + (56).to_bytes(4, "little") + (66_666).to_bytes(4, "little")
        header += bytes(12) + frames.to_bytes(4, "little") + bytes(40)
        return b"RIFF\0\0\0\0AVI LIST\0\0\0\0hdrl" + header

    for number, frames in ((1, 45), (2, 4500)):
        folder_of.put(f"DSC_{number}.jpg", data=jpeg())
        folder_of.put(f"DSC_{number}.avi", data=avi(frames))
    assert pairs(folder_of) == [["DSC_1.jpg", "DSC_1.avi"], ["DSC_2.jpg"]]
