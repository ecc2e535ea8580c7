"""Edits and their originals: names, and what the files hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.phone_files import CAMERA, NOON, jpeg

from iqcli.photos.names.edit_marks import Mark, originals
from iqcli.photos.names.evidence import Header, Look, is_edit

if TYPE_CHECKING:
    from support.photo_folder import PhotoFolder

LONG = "20190605_151329_family_at_the_lake_with_dogs"
LATER = "2024:05:04 10:11:19"
# (original, edit): names that only an editor writes
WORDS = [
    ("IMG_1234.HEIC", "IMG_E1234.JPG"),
    ("IMG_20240504_101112.jpg", "IMG_20240504_101112-edited.jpg"),
    ("IMG_5.jpg", "IMG_5-bearbeitet.jpg"),
    ("IMG_5.jpg", "IMG_5-modifié.jpg"),
    ("IMG_5.jpg", "IMG_5-modifie\u0301.jpg"),
    ("IMG_5.jpg", "IMG_5-編集済み.jpg"),
    ("IMG_5.jpg", "IMG_5-ha editado.jpg"),
    ("IMG_5(1).jpg", "IMG_5-edited(1).jpg"),
    ("PXL_20240504_101112123.jpg", "PXL_20240504_101112123~2.jpg"),
    ("PXL_20240504_101112123.MP.jpg", "PXL_20240504_101112123.MP~3.jpg"),
    ("20240504_101112.jpg", "20240504_101112~2.jpg"),
    ("IMG_20240504_101112.jpg", "IMG_20240504_101112_edit_1714817472123.jpg"),
    ("IMG_1234.jpg", "IMG_1234_edited.jpg"),
    ("IMG_1234.jpg", "IMG_1234 (Edited).jpeg"),
    ("IMG_1234.jpg", "IMG_1234-Edit.jpg"),
    ("IMG_1234.jpg", "IMG_1234-Edit-2.tif"),
    ("IMG_1234.png", "IMG_1234-edited.png"),
    ("DSC_0001.jpg", "DSC_0001_DxO.jpg"),
    ("DSC_0001.jpg", "DSC_0001-topaz-denoise-sharpen.jpg"),
    ("DSC_0001.jpg", "DSC_0001_snapseed.jpg"),
    ("IMG_5.jpg", "IMG_5-редактировано.jpg"),
    ("IMG_5.jpg", "IMG_5-modificada.jpg"),
    ("DSC_0001.jpg", "DSC_0001-CR3_DxO_DeepPRIME.jpg"),
    # what is between the marks is gone
    ("PXL_20240504_101112123.jpg", "PXL_20240504_101112123~2-edited(1).jpg"),
    ("IMG_1234.HEIC", "IMG_E1234-edited.JPG"),
    # cut at 47 characters
    (f"{LONG}.jpg", f"{LONG}-be.jpg"),
    # the other way round
    ("IMG_1234_original.jpg", "IMG_1234.jpg"),
    ("IMG_1234 (Original).HEIC", "IMG_1234.jpg"),
]
# names that file managers write, too
COPIES = [
    ("IMG_1234.jpg", "IMG_1234(1).jpg"),
    ("IMG_1234.jpg", "IMG_1234 (2).jpg"),
    ("IMG_1234.jpg", "IMG_1234 2.jpg"),
    ("IMG_1234.jpg", "IMG_1234 copy.jpg"),
    ("IMG_1234.jpg", "IMG_1234 - Copy (2).jpg"),
    ("IMG_1234.jpg", "IMG_1234 Kopie.jpg"),
    ("IMG_1234.jpg", "IMG_1234のコピー.jpg"),
    ("IMG_1234.jpg", "Copy of IMG_1234.jpg"),
    ("IMG_1234.jpg", "IMG_1234 — копия (2).jpg"),
    ("IMG_1234.jpg", "IMG_1234 (another copy).jpg"),
    ("IMG_1234.jpg", "IMG_1234的副本.jpg"),
    ("IMG_1234.jpg", "Copie (2) de IMG_1234.jpg"),
]
# names that cameras write, too, or people
NUMBERS = [
    ("IMG_1234.jpg", "IMG_1234_01.jpg"),
    ("IMG_1234.jpg", "IMG_1234-01.jpeg"),
    ("IMG_1234.jpg", "IMG_1234-2.jpg"),
    ("20240504_101112.jpg", "20240504_101112(1).jpg"),
    ("2024-05-04 10.11.12.jpg", "2024-05-04 10.11.12 2.jpg"),
    ("photo_2024-05-04_10-11-12.jpg", "photo_2024-05-04_10-11-12 (2).jpg"),
    ("20240504_101112.jpg", "20240504_101112_B.jpg"),
    ("IMG_20240504_101112.jpg", "IMG_20240504_101112__01.jpg"),
]
OTHERS = [
    ("IMG_1234.jpg", "IMG_1234_warm.jpg"),
    ("IMG_1234.jpg", "IMG_1234-bw-print.jpg"),
    ("IMG_1234.jpg", "IMG_1234_v1.jpg"),
    ("IMG_20240504_101112.jpg", "IMG_20240504_101112_HDR.jpg"),
    ("IMG_1234.jpg", "IMG_1234.tif"),
]


def kind(name: str) -> str:
    endings = {"HEIC": "HEIF", "png": "PNG", "tif": "TIFF"}
    return endings.get(name.rpartition(".")[2], "JPEG")


def put(folder_of: PhotoFolder, original: str, edit: str, first: dict, second: dict) -> list[str]:
    """The primaries that are found where the files are these."""
    folder_of.put(original, data=jpeg(**first, kind=kind(original)))
    folder_of.put(edit, data=jpeg(**second, kind=kind(edit)))
    return folder_of.found()


def alone(*names: str) -> list[str]:
    return sorted(names, key=str.encode)


@pytest.mark.parametrize(("original", "edit"), [*WORDS, *COPIES])
def test_the_edit_leads(folder_of: PhotoFolder, original: str, edit: str) -> None:
    assert put(folder_of, original, edit, {}, {"edited": True}) == [edit]
    (shot,) = folder_of.shots()
    assert [path.name for path in shot.companions] == [original]


@pytest.mark.parametrize(("original", "edit"), [*NUMBERS, *COPIES[:2], *WORDS[:2]])
def test_another_program_than_the_cameras_makes_an_edit(
    folder_of: PhotoFolder, original: str, edit: str
) -> None:
    program = {"edited": True, "software": "darktable 4.8"}
    assert put(folder_of, original, edit, {"software": "HDR+ 1.0"}, program) == [edit]


@pytest.mark.parametrize(("original", "edit"), NUMBERS)
def test_the_next_frame_of_a_camera_is_no_edit(
    folder_of: PhotoFolder, original: str, edit: str
) -> None:
    second = {"brighter": True}
    assert put(folder_of, original, edit, {}, second) == alone(original, edit)


@pytest.mark.parametrize(("original", "edit"), NUMBERS)
def test_a_frame_of_a_camera_has_no_size_of_its_own(
    folder_of: PhotoFolder, original: str, edit: str
) -> None:
    assert put(folder_of, original, edit, {}, {"edited": True}) == [edit]


@pytest.mark.parametrize(("original", "edit"), OTHERS)
def test_any_word_is_a_mark_of_the_same_picture_and_moment(
    folder_of: PhotoFolder, original: str, edit: str
) -> None:
    assert put(folder_of, original, edit, {}, {"edited": True}) == [edit]


@pytest.mark.parametrize(("original", "edit"), OTHERS)
def test_any_word_is_no_mark_where_a_time_is_missing(
    folder_of: PhotoFolder, original: str, edit: str
) -> None:
    first, second = {"taken": None}, {"taken": None, "edited": True}
    assert put(folder_of, original, edit, first, second) == alone(original, edit)


@pytest.mark.parametrize(("original", "edit"), WORDS)
@pytest.mark.parametrize("tagged", [{"taken": None}, {"taken": None, "camera": None}])
def test_a_word_needs_looks_where_there_is_no_time(
    folder_of: PhotoFolder, original: str, edit: str, tagged: dict
) -> None:
    assert put(folder_of, original, edit, {}, tagged | {"edited": True}) == [edit]
    assert put(folder_of, original, edit, {}, tagged | {"seed": 2}) == alone(original, edit)


@pytest.mark.parametrize(("original", "edit"), [*WORDS, *COPIES, *NUMBERS, *OTHERS])
@pytest.mark.parametrize("other", [{"taken": LATER}, {"camera": "Pixel 8"}])
def test_two_cameras_that_count_alike_are_two_photos(
    folder_of: PhotoFolder, original: str, edit: str, other: dict
) -> None:
    """However alike they look, and whatever wrote them last."""
    given = {"edited": True, "software": "GIMP"} | other
    assert put(folder_of, original, edit, {}, given) == alone(original, edit)


@pytest.mark.parametrize(("original", "edit"), [*COPIES, *NUMBERS, *OTHERS])
def test_frames_of_one_second_that_differ_are_no_edits(
    folder_of: PhotoFolder, original: str, edit: str
) -> None:
    found = put(folder_of, original, edit, {}, {"seed": 2, "software": "GIMP"})
    assert found == alone(original, edit)
    split = [{"fraction": "10"}, {"fraction": "60", "edited": True, "software": "GIMP"}]
    assert put(folder_of, original, edit, *split) == alone(original, edit)


@pytest.mark.parametrize(("original", "edit"), COPIES)
def test_a_plain_copy_is_no_edit(folder_of: PhotoFolder, original: str, edit: str) -> None:
    assert put(folder_of, original, edit, {}, {}) == alone(original, edit)
    # recompressed
    folder_of.put(edit, data=jpeg(kind="WEBP"))
    assert folder_of.found() == alone(original, edit)


def test_edits_of_edits_go_together_and_the_last_leads(folder_of: PhotoFolder) -> None:
    names = ["IMG_1.jpg", "IMG_1~2.jpg", "IMG_1~3.jpg", "IMG_1-edited.jpg", "IMG_1-edited(1).jpg"]
    for name in names:
        folder_of.put(name, data=jpeg(edited=name != "IMG_1.jpg", software=name))
    folder_of.put("IMG_1.jpg.xmp", "IMG_1.MOV", "IMG_1~3.jpg.xmp")
    (shot,) = folder_of.shots()
    assert shot.path.name == "IMG_1-edited(1).jpg"
    assert len(shot.companions) == 7


def test_an_edit_leads_the_raw_file_and_its_jpeg(folder_of: PhotoFolder) -> None:
    folder_of.put("DSC_1.NEF", "DSC_1.xmp")
    folder_of.put("DSC_1.JPG", data=jpeg())
    folder_of.put("DSC_1-Edit.tif", data=jpeg(edited=True, kind="TIFF"))
    (shot,) = folder_of.shots()
    assert [path.name for path in shot.files] == [
        *("DSC_1-Edit.tif", "DSC_1.JPG", "DSC_1.NEF", "DSC_1.xmp")
    ]


def test_an_edit_that_cannot_be_read_is_apples_or_none(folder_of: PhotoFolder) -> None:
    for name in ("IMG_1234.JPG", "IMG_E1234.JPG", "IMG_1234-edited.JPG", "IMG_1234~2.JPG"):
        folder_of.put(name, data=name.encode())
    assert folder_of.found() == ["IMG_1234-edited.JPG", "IMG_1234~2.JPG", "IMG_E1234.JPG"]


def test_cameras_that_count_alike_share_no_shot_by_format(folder_of: PhotoFolder) -> None:
    """IMG_1.JPG of one camera, IMG_1.HEIC of another; of one camera they belong together."""
    folder_of.put("IMG_1.JPG", data=jpeg())
    folder_of.put("IMG_1.HEIC", data=jpeg(2, LATER, "iPhone 15", kind="HEIF"))
    folder_of.put("IMG_2.JPG", data=jpeg())
    folder_of.put("IMG_2.HEIC", data=jpeg(kind="HEIF"))
    folder_of.put("IMG_3.JPG", data=jpeg())
    folder_of.put("IMG_3.HEIC", data=jpeg(taken="2024:08:04 10:11:12", kind="HEIF"))
    assert [[path.name for path in shot.files] for shot in folder_of.shots()] == [
        *(["IMG_1.HEIC"], ["IMG_1.JPG"], ["IMG_2.JPG", "IMG_2.HEIC"]),
        *(["IMG_3.HEIC"], ["IMG_3.JPG"]),
    ]


@pytest.mark.parametrize("camera", [CAMERA, "Pixel 8"])
def test_frames_of_one_scene_share_no_shot_by_format(folder_of: PhotoFolder, camera: str) -> None:
    """They look alike. What is the same picture may have another camera's name, or a set clock."""
    folder_of.put("IMG_1.JPG", data=jpeg())
    folder_of.put("IMG_1.HEIC", data=jpeg(1, LATER, camera, kind="HEIF", brighter=True))
    assert folder_of.found() == ["IMG_1.HEIC", "IMG_1.JPG"]
    folder_of.put("IMG_1.HEIC", data=jpeg(1, LATER, camera, kind="HEIF"))
    assert folder_of.found() == ["IMG_1.JPG"]
    folder_of.put("IMG_1.HEIC", data=jpeg(1, "2024:05:04 12:11:12", kind="HEIF", brighter=True))
    assert folder_of.found() == ["IMG_1.JPG"]  # of another zone


def test_a_picture_as_small_as_the_preview_of_its_raw_file_is_its_edit() -> None:
    class Smaller:
        def header(self, path: Path) -> Header:
            return Header(NOON, camera=CAMERA, software=path.suffix)

        def likeness(self, edit: Path, original: Path) -> Look:
            return Look.SMALLER

    for mark in (Mark.COPY, Mark.NUMBER, Mark.OTHER):
        assert is_edit(mark, Path("DSC_1_01.jpg"), Path("DSC_1.NEF"), Smaller())
        assert not is_edit(mark, Path("DSC_1_01.jpg"), Path("DSC_1.jpg"), Smaller())


def test_only_names_that_are_there_are_candidates() -> None:
    known = {"img_1", "img_1-edited", "a"}
    assert list(originals("img_1-edited", known)) == [("img_1", Mark.WORD)]
    assert list(originals("img_2-edited", known)) == []
    assert list(originals("img_1", known)) == []
    assert dict(originals("img_1-edited(1)", known)) == {
        "img_1-edited": Mark.COPY,
        "img_1": Mark.WORD,
    }


@pytest.mark.parametrize("name", ["a_BURST001", "a-hdr", "a_pano", "a-1024x768", "a_thumb", "a"])
def test_no_mark(name: str) -> None:
    assert list(originals(name.lower(), {"a"})) == []


def test_names_of_thousands_of_photos_cost_little(folder_of: PhotoFolder) -> None:
    names = [f"IMG_{n:05}.jpg" for n in range(3000)]
    folder_of.put(*names, data=b"")
    evidence = Counting()
    assert folder_of.found(evidence=evidence) == names
    assert evidence.read == []


class Counting:
    """Notes what is read."""

    def __init__(self) -> None:
        self.read: list[object] = []

    def header(self, path: object) -> None:
        self.read.append(path)

    likeness = header
