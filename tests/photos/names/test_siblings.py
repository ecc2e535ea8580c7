"""Raw files in a folder of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.images import exif_block
from support.phone_files import CAMERA, NOON, jpeg
from support.photo_trees import plan_for, tree

from iqcli.photos.find import find_again
from iqcli.transactions.apply import apply
from iqcli.transactions.undo import undo

if TYPE_CHECKING:
    from support.photo_folder import PhotoFolder


def raw(taken: str = NOON, camera: str = CAMERA) -> bytes:
    """A raw file as far as its header goes."""
    block = exif_block({272: camera}, {36867: taken}, "<")
    return block.removeprefix(b"Exif\0\0")


def files(folder_of: PhotoFolder, *names: str, **options: object) -> list[list[str]]:
    found = folder_of.shots(*names, **options)
    return [[str(path.relative_to(folder_of.root)) for path in shot.files] for shot in found]


@pytest.mark.parametrize(
    ("picture", "sensor"),
    [
        ("JPG/IMG_1.JPG", "RAW/IMG_1.CR2"),
        ("IMG_1.JPG", "RAW/IMG_1.CR2"),
        ("jpeg/IMG_1.jpg", "img_1.NEF"),
        ("day/HEIF/IMG_1.HIF", "day/raw files/IMG_1.CR2"),
        ("JPEGs/IMG_1.JPG", "NEF/IMG_1.NEF"),
    ],
)
def test_one_stem_and_moment_is_one_shot(folder_of: PhotoFolder, picture: str, sensor: str) -> None:
    folder_of.put(picture, data=jpeg(kind="HEIF" if picture.endswith("HIF") else "JPEG"))
    folder_of.put(sensor, data=raw())
    sidecar = sensor.rpartition(".")[0] + ".xmp"
    folder_of.put(sidecar)
    (names,) = files(folder_of)
    assert names == [picture, sensor, sidecar]
    # as a plan that is applied looks at it again
    for name in names:
        (shot,) = find_again([folder_of.root / name], [folder_of.root])
        assert len(shot.files) == 3


@pytest.mark.parametrize(
    "data", [raw("2024:05:04 10:11:19"), raw(camera="Pixel 8"), b"x", jpeg(1, None, None)]
)
def test_another_moment_or_camera_is_another_shot(folder_of: PhotoFolder, data: bytes) -> None:
    folder_of.put("JPG/IMG_1.JPG", data=jpeg())
    folder_of.put("RAW/IMG_1.CR2", data=data)
    assert files(folder_of) == [["JPG/IMG_1.JPG"], ["RAW/IMG_1.CR2"]]


def test_an_edit_that_leads_hides_no_raw_file(folder_of: PhotoFolder) -> None:
    folder_of.put("JPG/IMG_1.JPG", data=jpeg())
    folder_of.put("JPG/IMG_1-edited.JPG", data=jpeg(1, None, None, edited=True))
    folder_of.put("_RAW/IMG_1.CR2", data=raw())
    (names,) = files(folder_of)
    assert names == ["JPG/IMG_1-edited.JPG", "JPG/IMG_1.JPG", "_RAW/IMG_1.CR2"]


def test_other_folders_count_alike(folder_of: PhotoFolder) -> None:
    folder_of.put("JPG/IMG_1.JPG", "IMG_1.JPG", "Summer/IMG_1.JPG", data=jpeg())
    folder_of.put("RAW/IMG_1.CR2", data=raw())
    assert all(len(names) == 1 for names in files(folder_of))  # it fits two
    folder_of.put("IMG_1.JPG", data=jpeg(taken="2024:06:04 10:11:12"))
    assert ["JPG/IMG_1.JPG", "RAW/IMG_1.CR2"] in files(folder_of)


def test_no_file_outside_of_what_was_given(folder_of: PhotoFolder) -> None:
    folder_of.put("JPG/IMG_1.JPG", data=jpeg())
    folder_of.put("RAW/IMG_1.CR2", data=raw())
    both = [["JPG/IMG_1.JPG"], ["RAW/IMG_1.CR2"]]
    assert files(folder_of, "JPG") == both[:1]
    assert files(folder_of, "JPG", "RAW") == both
    assert files(folder_of, "JPG", "") == both  # walked before
    assert files(folder_of, "JPG/IMG_1.JPG") == both[:1]
    (shot,) = find_again([folder_of.root / "JPG/IMG_1.JPG"], [folder_of.root / "JPG"])
    assert shot.companions == ()
    # Files that were named one by one: the root of another photo says nothing about these.
    folder_of.put("IMG_2.JPG", data=jpeg(2))
    named = [folder_of.root / name for name in ("IMG_2.JPG", "JPG/IMG_1.JPG", "RAW/IMG_1.CR2")]
    alone = find_again(named, [path.parent for path in named])
    assert [shot.files for shot in alone] == [(path,) for path in named]


@pytest.mark.parametrize("rule", ["RAW/.nomedia", "RAW/.iqignore"])
def test_folders_that_are_passed_over_are_no_part(folder_of: PhotoFolder, rule: str) -> None:
    folder_of.put("JPG/IMG_1.JPG", data=jpeg())
    folder_of.put("RAW/IMG_1.CR2", data=raw())
    folder_of.put(rule, data=b"*.CR2\n")
    assert files(folder_of) == [["JPG/IMG_1.JPG"]]
    (folder_of.root / rule).unlink()
    assert files(folder_of, exclude=["RAW/"]) == [["JPG/IMG_1.JPG"]]
    assert len(files(folder_of)[0]) == 2


def test_they_move_and_come_back_together(folder_of: PhotoFolder) -> None:
    root, state = folder_of.root / "photos", folder_of.root / "state"
    folder_of.put("photos/JPG/IMG_1.JPG", "photos/JPG/IMG_2.JPG", data=jpeg())
    folder_of.put("photos/RAW/IMG_1.CR2", "photos/RAW/IMG_2.CR2", data=raw())
    before = tree(root)
    apply(plan_for(root, [["JPG/IMG_1.JPG", "RAW/IMG_1.CR2"]]), state)
    assert files(folder_of, "photos") == [["photos/JPG/IMG_2.JPG", "photos/RAW/IMG_2.CR2"]]
    undo(None, state)
    assert tree(root) == before


@pytest.mark.parametrize("alike", [True, False])
def test_at_a_clock_that_stands_still_they_have_to_look_alike(
    folder_of: PhotoFolder, alike: bool
) -> None:
    for number in range(3):
        folder_of.put(f"JPG/IMG_{number}.JPG", data=jpeg(number))
        other = jpeg(number if alike else number + 9, kind="TIFF")
        folder_of.put(f"RAW/IMG_{number}.CR2", data=other.removeprefix(b"Exif\0\0"))
    assert [len(names) for names in files(folder_of)] == [2] * 3 if alike else [1] * 6
