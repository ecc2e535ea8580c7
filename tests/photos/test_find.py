from __future__ import annotations

import inspect
import os
import sys
import time
from pathlib import Path

import pytest
from support.photo_folder import PhotoFolder

from iqcli.errors import IqError
from iqcli.photos.find import find_shots
from iqcli.records import Shot


def test_a_tree_is_walked_in_byte_order_of_its_components(folder_of: PhotoFolder) -> None:
    names = ["B/z.jpg", "a/2.jpg", "a/b/1.jpg", "a-b.jpg", "a.jpg", "c.heic", "é.jpg"]
    folder_of.put(*reversed(names), "notes.txt", "a/b/film.mov")
    assert folder_of.found() == names


def test_companions_travel_with_their_shot(folder_of: PhotoFolder) -> None:
    folder_of.put("d/IMG_1.HEIC", "d/IMG_1.MOV", "d/IMG_1.AAE", "d/IMG_1.HEIC.xmp", "e/IMG_1.xmp")
    (shot,) = folder_of.shots()
    assert shot.root == folder_of.root
    assert [path.name for path in shot.files] == [
        "IMG_1.HEIC",
        "IMG_1.AAE",
        "IMG_1.HEIC.xmp",
        "IMG_1.MOV",
    ]


@pytest.mark.parametrize(
    "name",
    [
        *["-rf.jpg", "=1.jpg", "[red]x.jpg", "a b.JPG"],
        *["new\nline.jpg", "\x1b[31m.jpg", "\udcff\udcfe.jpg"],
    ],
)
def test_any_name_is_a_name(folder_of: PhotoFolder, name: str) -> None:
    folder_of.put(name)
    assert folder_of.found() == folder_of.found(name) == [name]


def test_a_missing_path_stops_everything_before_the_first_shot(folder_of: PhotoFolder) -> None:
    folder_of.put("a.jpg")
    with pytest.raises(IqError, match=r"no file or folder .*gone\.jpg; check the name"):
        next(find_shots([folder_of.root, folder_of.root / "gone.jpg"], on_problem=print))
    with pytest.raises(IqError, match="cannot look at"):
        next(find_shots([folder_of.root / "a.jpg" / "b.jpg"], on_problem=print))


def test_links_are_followed_only_on_request(
    folder_of: PhotoFolder, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder_of.put("real/a.jpg")
    (folder_of.root / "link.jpg").symlink_to(folder_of.root / "real" / "a.jpg")
    (folder_of.root / "other").symlink_to(folder_of.root / "real")
    (folder_of.root / "broken.jpg").symlink_to("nowhere")
    assert folder_of.found() == ["real/a.jpg"]
    assert folder_of.found(follow_links=True) == ["link.jpg", "other/a.jpg"]
    assert folder_of.found("other", "link.jpg") == ["other/a.jpg", "link.jpg"]  # named, so meant


def test_link_loops_end(folder_of: PhotoFolder) -> None:
    folder_of.put("d/a.jpg")
    (folder_of.root / "d" / "up").symlink_to(folder_of.root)
    (folder_of.root / "d" / "self").symlink_to("self")
    (folder_of.root / "d" / "self.jpg").symlink_to("self.jpg")
    assert folder_of.found(follow_links=True) == ["d/a.jpg"]


def test_overlapping_paths_yield_every_shot_once(folder_of: PhotoFolder) -> None:
    folder_of.put("a.jpg", "d/b.jpg", "d/b.dng", "d/e/c.jpg")
    for given in (("", "d", "d/b.jpg"), ("d/b.dng", "d/e", "", "d"), ("d", "", "a.jpg", "a.jpg")):
        assert sorted(folder_of.found(*given)) == ["a.jpg", "d/b.jpg", "d/e/c.jpg"]
    other_way = [folder_of.root / "d", folder_of.root / "d" / "e" / ".." / "b.dng"]
    assert len(list(find_shots(other_way, on_problem=print))) == 2


def test_the_root_is_the_path_as_given(
    folder_of: PhotoFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_of.put("d/a.jpg", "d/a.dng", "b.jpg")
    monkeypatch.chdir(folder_of.root)
    shots = list(find_shots([Path("b.jpg"), Path("d")], on_problem=print))
    assert shots == [
        Shot(Path(), Path("b.jpg")),
        Shot(Path("d"), Path("d/a.jpg"), (Path("d/a.dng"),)),
    ]
    assert list(find_shots([Path("d/a.dng")], on_problem=print)) == [
        Shot(Path("d"), Path("d/a.jpg"), (Path("d/a.dng"),))
    ]


def test_a_companion_brings_the_whole_shot_once(folder_of: PhotoFolder) -> None:
    folder_of.put("a.jpg", "a.dng", "a.xmp", "b.jpg")
    assert [len(shot.files) for shot in folder_of.shots("a.xmp", "a.dng", "a.jpg")] == [3]


def test_a_named_file_that_is_no_photo_is_still_a_shot(folder_of: PhotoFolder) -> None:
    folder_of.put("notes.txt", "film.mov", "a.jpg", data=b"text")
    assert folder_of.found("notes.txt", "film.mov") == ["notes.txt", "film.mov"]


def test_thousands_of_named_files_read_their_folder_once(
    folder_of: PhotoFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"IMG_{n:04}.jpg" for n in range(2000)]
    folder_of.put(*names, data=b"")
    calls = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: calls.append(path) or real(path))
    begin = time.perf_counter()
    assert folder_of.found(*names) == names
    assert len(calls) == 1
    assert time.perf_counter() - begin < 2


def test_a_tree_deeper_than_the_stack_of_python(folder_of: PhotoFolder) -> None:
    here, limit = Path.cwd(), sys.getrecursionlimit()
    os.chdir(folder_of.root)
    try:
        for _ in range(400):
            Path("d").mkdir()
            os.chdir("d")
        Path("a.jpg").write_bytes(b"x")
        os.chdir(folder_of.root)
        sys.setrecursionlimit(len(inspect.stack()) + 200)
        assert [shot.path.name for shot in find_shots([Path()], on_problem=print)] == ["a.jpg"]
    finally:
        sys.setrecursionlimit(limit)
        remove_chain(folder_of.root)
        os.chdir(here)


def remove_chain(root: Path) -> None:
    """Take away folders too deep for those who clean up by recursion."""
    os.chdir(root)
    while Path("d").is_dir():
        os.chdir("d")
    Path("a.jpg").unlink()
    while not Path.cwd().samefile(root):
        os.chdir("..")
        Path("d").rmdir()
