from __future__ import annotations

from pathlib import Path

import pytest

from iqcli.photos.names.shots import group
from iqcli.records import Shot
from iqcli.settings import PROFILES as NAMES
from iqcli.xmp.profiles import PROFILES, sidecar_targets

FOLDER = Path("photos")


def found(profile: str, names: str, claimed: str | None = None) -> dict[str, list[str]]:
    """By primary of each shot of a folder: its sidecars, `+` before those that would be made."""
    listed = names.split()
    photos = [name for name in listed if not name.lower().endswith((".xmp", ".mov"))]
    shots = group(photos, [name for name in listed if name not in photos])
    return {
        primary: [
            ("" if target.exists else "+") + target.path.name
            for target in sidecar_targets(shot, PROFILES[profile], listed, lambda _: claimed)
        ]
        for primary, companions in shots
        for shot in [Shot(FOLDER, FOLDER / primary, tuple(FOLDER / each for each in companions))]
    }


def test_every_profile_of_the_settings_is_there() -> None:
    assert tuple(PROFILES) == NAMES


@pytest.mark.parametrize("profile", ["generic", "darktable", "digikam", "immich"])
def test_the_full_name_is_the_way_of_most(profile: str) -> None:
    assert found(profile, "a.jpg") == {"a.jpg": ["+a.jpg.xmp"]}
    assert found(profile, "a.jpg a.jpg.xmp") == {"a.jpg": ["a.jpg.xmp"]}
    assert found(profile, "a.JPG a.jpg.XMP") == {"a.JPG": ["a.jpg.XMP"]}


def test_a_sidecar_by_the_stem_is_edited_in_place() -> None:
    assert found("generic", "a.cr2 a.xmp") == {"a.cr2": ["a.xmp"]}
    assert found("generic", "a.cr2 a.cr2.xmp a.xmp") == {"a.cr2": ["a.cr2.xmp"]}


def test_every_picture_of_a_shot_has_a_sidecar_and_no_film() -> None:
    names = "a.jpg a.cr2 a.mov"
    assert found("darktable", names) == {"a.jpg": ["+a.jpg.xmp", "+a.cr2.xmp"]}
    assert found("darktable", f"{names} a.xmp") == {"a.jpg": ["a.xmp"]}
    assert found("darktable", f"{names} a.xmp", "CR2") == {"a.jpg": ["+a.jpg.xmp", "a.xmp"]}


@pytest.mark.parametrize("profile", ["lightroom", "captureone"])
def test_raw_files_have_sidecars_by_the_stem(profile: str) -> None:
    assert found(profile, "a.cr2") == {"a.cr2": ["+a.xmp"]}
    assert found(profile, "a.cr2 a.xmp") == {"a.cr2": ["a.xmp"]}
    assert found(profile, "a.cr2 a.cr2.xmp") == {"a.cr2": ["+a.xmp"]}
    assert found(profile, "a.jpg a.cr2") == {"a.jpg": ["+a.xmp"]}
    assert found(profile, "a.dng") == {"a.dng": ["+a.dng.xmp"]}


def test_another_photos_sidecar_is_never_taken() -> None:
    apart = "a.png a.jpg a.xmp"
    assert found("generic", apart) == {"a.jpg": ["+a.jpg.xmp"], "a.png": ["+a.png.xmp"]}
    assert found("generic", apart, "JPG") == {"a.jpg": ["a.xmp"], "a.png": ["+a.png.xmp"]}
    assert found("generic", "a.jpg a.xmp", "cr2") == {"a.jpg": ["+a.jpg.xmp"]}
    # Its name is taken: this target stands for a file that must not be there.
    assert found("lightroom", "a.cr2 a.xmp", "NEF") == {"a.cr2": ["+a.xmp"]}
    # A darktable duplicate's.
    assert found("darktable", "a.jpg a_01.jpg.xmp") == {"a.jpg": ["+a.jpg.xmp"]}
