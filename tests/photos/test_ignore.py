"""What a person excludes: `--exclude`, `.iqignore` and `.nomedia`, by the rules of gitignore."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import partial
from typing import TYPE_CHECKING

import pytest
from support.images import exif_block
from support.phone_files import CAMERA, NOON, jpeg
from support.photo_folder import PhotoFolder

from iqcli.errors import IqError
from iqcli.photos.find import PassedOver
from iqcli.photos.ignore import FILE_BYTES, check_patterns

if TYPE_CHECKING:
    from pathlib import Path

TREE = (
    "a.jpg",
    "a.png",
    "drafts/b.jpg",
    "drafts/good/c.jpg",
    "2024/drafts/d.jpg",
    "2024/e_edit.jpg",
    "2024/[x].jpg",
    "2024/may/f.jpg",
    "2024/may/g h.jpg",
)
RULES = {
    "name": ["a.jpg"],
    "ending": ["*.png"],
    "folder everywhere": ["drafts/"],
    "folder at the top": ["/drafts/"],
    "path": ["2024/drafts"],
    "all in it": ["drafts/**"],
    "all in it but one": ["drafts/**", "!drafts/good/", "!drafts/good/c.jpg"],
    "children": ["drafts/*", "!drafts/good"],
    "deep": ["**/may/*"],
    "everything but": ["*", "!*/", "!*_edit.jpg"],
    "no file in an excluded folder": ["drafts/", "!drafts/b.jpg"],
    "escaped": ["2024/\\[x\\].jpg"],
    "range": ["[ab].???"],
    "blank": ["g h.jpg"],
    "trailing blank": ["a.jpg  "],
    "comment": ["# a.jpg", "", "*.png"],
    "a folder is no file": ["a.jpg/"],
}


@pytest.mark.skipif(not shutil.which("git"), reason="git is the judge here")
@pytest.mark.parametrize("patterns", RULES.values(), ids=RULES)
def test_the_rules_are_those_of_git(folder_of: PhotoFolder, patterns: list[str]) -> None:
    folder_of.put(*TREE)
    (folder_of.root / ".iqignore").write_text("\n".join(patterns))
    (folder_of.root / ".gitignore").write_text("\n".join(patterns))
    git = partial(subprocess.run, cwd=folder_of.root, capture_output=True, check=True)
    git(["git", "init", "-q"])
    listed = git(["git", "ls-files", "-z", "--others", "--exclude-standard", "*.jpg", "*.png"])
    left = {name for name in listed.stdout.decode().split("\0") if name}
    assert set(folder_of.found()) == left
    (folder_of.root / ".iqignore").unlink()
    assert set(folder_of.found(exclude=patterns)) == left


def test_a_deeper_file_counts_from_its_folder_and_decides(folder_of: PhotoFolder) -> None:
    folder_of.put(*TREE)
    folder_of.put(".iqignore", data=b"*.jpg\n")
    folder_of.put("2024/may/.iqignore", data=b"\xef\xbb\xbf!/f.jpg\r\n")
    assert folder_of.found() == ["2024/may/f.jpg", "a.png"]


def test_rules_of_photoprism_are_read_as_well(folder_of: PhotoFolder) -> None:
    """Where both files speak of a name, ours decides, also where a walk begins below them."""
    folder_of.put(*TREE)
    folder_of.put(".ppignore", data=b"drafts\n*.png\n")
    passed = PassedOver()
    assert folder_of.found(passed=passed) == [
        "2024/[x].jpg",
        "2024/e_edit.jpg",
        "2024/may/f.jpg",
        "2024/may/g h.jpg",
        "a.jpg",
    ]
    assert passed.folders == {".ppignore": 2} and passed.photos == {".ppignore": 1}
    folder_of.put(".iqignore", data=b"!drafts\nmay\n")
    found = [name for name in TREE if name.endswith(".jpg") and "may" not in name]
    assert folder_of.found() == sorted(found)
    below = sorted(name for name in found if name.startswith("2024/"))
    assert folder_of.found("2024") == below


def test_rules_hold_where_a_walk_begins_below_them(folder_of: PhotoFolder) -> None:
    folder_of.put(*TREE)
    folder_of.put(".iqignore", data=b"2024/drafts/\n*_edit.jpg\n")
    found = folder_of.found("2024")
    assert found == ["2024/[x].jpg", "2024/may/f.jpg", "2024/may/g h.jpg"]
    # What is named is meant, by whatever rule.
    assert folder_of.found("2024/drafts") == ["2024/drafts/d.jpg"]
    assert folder_of.found("2024/e_edit.jpg") == ["2024/e_edit.jpg"]
    assert "2024/e_edit.jpg" in folder_of.found("", "2024/e_edit.jpg")
    assert "2024/drafts/d.jpg" in folder_of.found("", "2024/drafts")
    folder_of.put(".iqignore", data=b"*\n")
    assert folder_of.found("2024/may") == ["2024/may/f.jpg", "2024/may/g h.jpg"]
    assert folder_of.found() == []


def test_an_option_holds_for_named_files_and_comes_before_all(folder_of: PhotoFolder) -> None:
    folder_of.put(*TREE)
    passed = PassedOver()
    names = ("a.jpg", "2024/e_edit.jpg")
    assert folder_of.found(*names, exclude=["*_edit.jpg"], passed=passed) == ["a.jpg"]
    assert passed.photos == {"--exclude": 1}
    folder_of.put(".iqignore", data=b"*.jpg\n")
    assert folder_of.found(exclude=["*.png", "!a.jpg"]) == ["a.jpg"]


def test_patterns_count_from_each_root(folder_of: PhotoFolder) -> None:
    folder_of.put("one/x/a.jpg", "one/y/x/b.jpg", "two/x/c.jpg", "two/d.jpg")
    assert folder_of.found("one", "two", exclude=["/x"]) == ["one/y/x/b.jpg", "two/d.jpg"]


def test_no_shot_is_torn_apart(folder_of: PhotoFolder) -> None:
    folder_of.put("a.jpg", "a.dng", "a.xmp", "b.jpg", "b.xmp")
    shots = folder_of.shots(exclude=["*.xmp", "*.dng"])
    assert [len(each.files) for each in shots] == [3, 2]
    assert folder_of.found(exclude=["a.jpg"]) == ["b.jpg"]  # nor is the raw file left alone


def test_an_edit_that_is_excluded_leaves_the_lead_to_its_original(folder_of: PhotoFolder) -> None:
    names = ["a.jpg", "a_edit.jpg", "a_edit-2.jpg", "a.jpg.xmp", "a_edit.jpg.xmp"]
    folder_of.put(*names[3:])
    for name in names[:3]:
        folder_of.put(name, data=jpeg(edited=name != "a.jpg"))
    folder_of.put("b_edit.jpg", data=jpeg(2))

    def leads(*given: str, **options: object) -> list[str]:
        shots = folder_of.shots(*given, **options)
        assert all(len(each.files) == 5 for each in shots if each.path.name[0] == "a")
        return [each.path.name for each in shots]

    assert leads() == ["a_edit-2.jpg", "b_edit.jpg"]
    assert leads(exclude=["*_edit.jpg"]) == ["a_edit-2.jpg"]
    assert leads(exclude=["*_edit*"]) == ["a.jpg"]
    assert leads("a_edit.jpg", exclude=["*_edit*"]) == ["a.jpg"]
    assert leads(exclude=["a*"]) == ["b_edit.jpg"]
    folder_of.put(".iqignore", data=b"*_edit*\n")
    assert leads() == ["a.jpg"]
    assert leads("a_edit.jpg") == ["a_edit-2.jpg"]


def test_a_raw_file_elsewhere_goes_with_the_original(folder_of: PhotoFolder) -> None:
    folder_of.put("JPG/a.jpg", data=jpeg())
    folder_of.put("JPG/a_edit.jpg", data=jpeg(edited=True))
    folder_of.put(
        "RAW/a.cr2", data=exif_block({272: CAMERA}, {36867: NOON}).removeprefix(b"Exif\0\0")
    )
    (shot,) = folder_of.shots(exclude=["*_edit.jpg"])
    assert [each.name for each in shot.files] == ["a.jpg", "a_edit.jpg", "a.cr2"]


def test_nomedia_closes_a_folder_and_all_below(folder_of: PhotoFolder) -> None:
    folder_of.put("a.jpg", "x/.nomedia", "x/b.jpg", "x/y/c.jpg", "z/d.jpg")
    passed = PassedOver()
    assert folder_of.found(passed=passed) == ["a.jpg", "z/d.jpg"]
    assert passed.folders == {".nomedia": 1}
    assert folder_of.found(default_excludes=False) == ["a.jpg", "z/d.jpg"]
    assert folder_of.found("x") == ["x/b.jpg", "x/y/c.jpg"]
    assert folder_of.found("", "x/b.jpg") == ["a.jpg", "z/d.jpg", "x/b.jpg"]
    again = PassedOver()
    assert len(folder_of.found("", "x", passed=again)) == 4
    assert not again.folders


def test_what_is_excluded_is_counted(folder_of: PhotoFolder) -> None:
    folder_of.put(*TREE, "2024/film.mp4", "2024/e_edit.mov")
    folder_of.put("2024/.iqignore", data=b"may/\n")
    passed = PassedOver()
    found = folder_of.found(exclude=["drafts/", "*.png"], passed=passed)
    assert found == ["2024/[x].jpg", "2024/e_edit.jpg", "a.jpg"]
    assert passed.folders == {"--exclude": 2, ".iqignore": 1}
    assert passed.photos == {"--exclude": 1}
    assert passed.videos == 1  # the other one is the live part of its photo


def write_fifo(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: path.write_bytes(b"#" * (FILE_BYTES + 1)), "it is larger than 64 KiB"),
        (lambda path: path.write_bytes(b"*.png\n!\n"), "Invalid git pattern"),
        (lambda path: path.write_bytes(b"*a*a*a*a*a*a*b\n"), "has more than 4 *"),
        (lambda path: path.mkdir(), "it is no plain file"),
        pytest.param(
            write_fifo,
            "it is no plain file",
            marks=pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here"),
        ),
        (lambda path: path.symlink_to("nowhere"), "No such file"),
    ],
    ids=["large", "no pattern", "slow", "folder", "FIFO", "lost link"],
)
@pytest.mark.parametrize("where", ["", "2024"])
def test_rules_that_cannot_be_used_stop_the_walk(
    folder_of: PhotoFolder, make: object, why: str, where: str
) -> None:
    folder_of.put(*TREE)
    make(folder_of.root / ".iqignore")  # type: ignore[operator]
    with pytest.raises(IqError, match=r"cannot use the rules in .*\.iqignore: ") as raised:
        folder_of.found(where)
    assert why in str(raised.value)
    assert str(raised.value).endswith("; mend or remove it")


def test_a_pattern_that_is_none() -> None:
    check_patterns(["*.png", "a/**", "[x", "# no", ""])
    with pytest.raises(ValueError, match=r"'!' is no pattern as in \.gitignore"):
        check_patterns(["*.png", "!"])


def test_names_of_any_bytes_are_matched(folder_of: PhotoFolder) -> None:
    folder_of.put("caf\udce9.jpg", "b.jpg")
    folder_of.put(".iqignore", data=b"caf\xe9.jpg\n")
    assert folder_of.found() == ["b.jpg"]
