"""Files that belong to photos by their names alone."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import pytest
from support.phone_files import film, jpeg

from iqcli.photos.names.shots import group

if TYPE_CHECKING:
    from support.photo_folder import PhotoFolder

LONG = "20190605_151329_HDR_family_lake_edited_x12345"  # 45 characters


@pytest.mark.parametrize(
    "name",
    [
        *("IMG_1.JPG.xmp", "IMG_1.JPG.anything", "IMG_1.jpg.pp3", "IMG_1.JPG.jpg.xmp"),
        *("IMG_1.JPG_original", "IMG_1.JPG_exiftool_tmp", "IMG_1.JPG~", "IMG_1.JPG.bak"),
        *("IMG_1.acr", "IMG_1.arp", "IMG_1.VRD", "IMG_1.dr4", "IMG_1.cos", "IMG_1.yml"),
        *("IMG_1.jpg_ORIG", "IMG_1.jpg copy", "IMG_1.JPG_original_original", "IMG_1_100.JPG.xmp"),
        *("IMG_1.exv", "IMG_1.ogg", "IMG_1.xcf", "IMG_1.afphoto"),
        *("IMG_1.lrf", "IMG_1.srt", "IMG_1.mie", "IMG_1.gqv", "IMG_1.nksc", "IMG_1.JPG.xcf"),
    ],
)
def test_it_belongs_to_the_photo(folder_of: PhotoFolder, name: str) -> None:
    """Also where its content is that of a photo."""
    folder_of.put("IMG_1.JPG", "IMG_2.JPG", "IMG_1.pdf", "IMG_1", data=b"x")
    folder_of.put(name, data=jpeg())
    first, second = folder_of.shots()
    assert [path.name for path in first.files] == ["IMG_1.JPG", name]
    assert len(second.files) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("IMG_1.xmp", "IMG_1.xmp_original"),
        ("IMG_1.AAE", "IMG_1.aae.bak"),
        ("IMG_1.MOV", "IMG_1.MOV.xmp"),
        ("IMG_1.MP4", "IMG_1.MP4.supplemental-metadata.json"),
        ("IMG_1.mov", "IMG_1.mov_original"),
    ],
)
def test_files_of_a_companion_go_with_it(first: str, second: str) -> None:
    assert group(["IMG_1.HEIC"], [first, second]) == [("IMG_1.HEIC", (first, second))]
    assert group(["IMG_1.HEIC"], [second]) == [("IMG_1.HEIC", ())]


def test_files_of_a_long_film_stay_with_it(folder_of: PhotoFolder) -> None:
    folder_of.put("IMG_1.HEIC", data=jpeg(kind="HEIF"))
    folder_of.put("IMG_1.MOV", data=film(1200))
    folder_of.put("IMG_1.MOV.xmp")
    (shot,) = folder_of.shots()
    assert shot.companions == ()


@pytest.mark.parametrize(
    ("edit", "name"),
    [
        ("IMG_5-edited.jpg", "IMG_5.jpg.supplemental-metadata.json"),
        ("IMG_5-bearbeitet(1).jpg", "IMG_5.HEIC.supplemental-metadata(1).json"),
        ("IMG_5-edited.jpg", "IMG_5.MP4"),
        ("IMG_5_edited.jpg", "IMG_5.AAE"),
        ("PXL_20240504_101112123.MP~2.jpg", "PXL_20240504_101112123.MP"),
        ("IMG_5.HEIC.jpg", "IMG_5.HEIC.json"),
    ],
)
def test_an_edit_stands_for_an_original_that_is_gone(edit: str, name: str) -> None:
    assert group([edit], [name]) == [(edit, (name,))]
    camera = {"IMG_5.jpg": (name,), edit: ()}
    if name.startswith("IMG_5.jpg"):
        assert dict(group(list(camera), [name])) == camera


def test_a_film_of_a_marked_name(folder_of: PhotoFolder) -> None:
    folder_of.put("PXL_20240504_101112123.MP~2.jpg", data=jpeg())
    folder_of.put("PXL_20240504_101112123.MP~2", data=film())
    (shot,) = folder_of.shots()
    assert len(shot.companions) == 1


def test_a_backup_whose_photo_is_gone_is_a_photo(folder_of: PhotoFolder) -> None:
    folder_of.put("IMG_1.jpg_original", data=jpeg())
    assert folder_of.found() == ["IMG_1.jpg_original"]


@pytest.mark.parametrize("photo", ["NFC", "NFD"])
@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC"])
@pytest.mark.parametrize(
    "ending", [".jpg.xmp", ".xmp", ".aae", ".jpg_original", ".jpg.json", ".mov"]
)
def test_composed_and_decomposed_names_are_equal(photo: str, form: str, ending: str) -> None:
    name = unicodedata.normalize(photo, "Café ü Ångström.jpg")
    other = unicodedata.normalize(form, "Café ü Ångström" + ending)
    assert group([name], [other]) == [(name, (other,))]


def test_two_photos_whose_names_differ_in_form_keep_their_own() -> None:
    forms = [unicodedata.normalize(form, "é.jpg") for form in ("NFC", "NFD")]
    found = group(forms, [f"{each}.xmp" for each in forms])
    assert sorted(found) == sorted((each, (f"{each}.xmp",)) for each in forms)


@pytest.mark.parametrize(
    ("photo", "name"),
    [
        # the name of the JSON has 46 characters
        (f"{LONG[:-4]}.jpg", f"{LONG[:-4]}.jpg..json"),
        (f"{LONG}.jpg", f"{LONG}..json"),
        (f"{LONG}6.jpg", f"{LONG}6.json"),
        (f"{LONG}67.jpg", f"{LONG}6.json"),
        (f"{LONG}6(2).jpg", f"{LONG}6(2).json"),
        (
            "00100lPORTRAIT_00100_BURST20190512105520444_COV.jpg",
            "00100lPORTRAIT_00100_BURST20190512105520444_CO.json",
        ),
        ("IMG_20190605_151329_family.jpg", "IMG_20190605_151329_family.jpg.supplemental-me.json"),
    ],
)
def test_takeout_cuts_names(photo: str, name: str) -> None:
    assert group([photo, "IMG_1.jpg"], [name]) == sorted([(photo, (name,)), ("IMG_1.jpg", ())])


@pytest.mark.parametrize("word", ["", ".suppl", ".supplemental-metadata"])
def test_the_number_says_which_photo(word: str) -> None:
    names = [f"IMG_1.jpg{word}.json", f"IMG_1.jpg{word}(1).json"]
    assert dict(group(["IMG_1.jpg", "IMG_1(1).jpg"], names)) == {
        "IMG_1.jpg": (names[0],),
        "IMG_1(1).jpg": (names[1],),
    }
    assert group(["IMG_1.jpg"], names) == [("IMG_1.jpg", (names[0],))]


@pytest.mark.parametrize("photo", ["NFC", "NFD"])
@pytest.mark.parametrize("json", ["NFC", "NFD"])
def test_names_are_cut_as_they_are_composed(photo: str, json: str) -> None:
    name = "Fête à la plage été énorme, Ängström et Zoë à l'île"[:47]
    first = unicodedata.normalize(photo, f"{name}.jpg")
    second = unicodedata.normalize(json, f"{name[:46]}.json")
    assert group([first], [second]) == [(first, (second,))]


def test_a_cut_name_that_fits_two_photos_is_of_neither() -> None:
    photos = [f"{LONG}67.jpg", f"{LONG}68.jpg"]
    assert group(photos, [f"{LONG}6.json"]) == [(each, ()) for each in photos]


def test_a_cut_name_is_of_the_original_not_of_its_edit() -> None:
    photos = [f"{LONG}6-edited.jpg", f"{LONG}6.jpg"]
    assert dict(group(photos, [f"{LONG}6.json"])) == {
        photos[0]: (),
        photos[1]: (f"{LONG}6.json",),
    }
