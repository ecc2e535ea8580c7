from __future__ import annotations

import inspect
import os
import sys
import time
from pathlib import Path

import pytest

from iqcli.errors import IqError
from iqcli.photos.find import find_shots
from iqcli.records import Shot

from .conftest import Trip


def test_a_tree_is_walked_in_byte_order_of_its_components(trip: Trip) -> None:
    names = ["B/z.jpg", "a/2.jpg", "a/b/1.jpg", "a-b.jpg", "a.jpg", "c.heic", "é.jpg"]
    trip.put(*reversed(names), "notes.txt", "a/b/film.mov")
    assert trip.found() == names


def test_companions_travel_with_their_shot(trip: Trip) -> None:
    trip.put("d/IMG_1.HEIC", "d/IMG_1.MOV", "d/IMG_1.AAE", "d/IMG_1.HEIC.xmp", "e/IMG_1.xmp")
    (shot,) = trip.shots()
    assert shot.root == trip.root
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
def test_any_name_is_a_name(trip: Trip, name: str) -> None:
    trip.put(name)
    assert trip.found() == trip.found(name) == [name]


def test_a_missing_path_stops_everything_before_the_first_shot(trip: Trip) -> None:
    trip.put("a.jpg")
    with pytest.raises(IqError, match=r"no file or folder .*gone\.jpg; check the name"):
        next(find_shots([trip.root, trip.root / "gone.jpg"], on_problem=print))
    with pytest.raises(IqError, match="cannot look at"):
        next(find_shots([trip.root / "a.jpg" / "b.jpg"], on_problem=print))


def test_links_are_followed_only_on_request(
    trip: Trip, tmp_path_factory: pytest.TempPathFactory
) -> None:
    trip.put("real/a.jpg")
    (trip.root / "link.jpg").symlink_to(trip.root / "real" / "a.jpg")
    (trip.root / "other").symlink_to(trip.root / "real")
    (trip.root / "broken.jpg").symlink_to("nowhere")
    assert trip.found() == ["real/a.jpg"]
    assert trip.found(follow_links=True) == ["link.jpg", "other/a.jpg"]
    assert trip.found("other", "link.jpg") == ["other/a.jpg", "link.jpg"]  # named, so meant


def test_link_loops_end(trip: Trip) -> None:
    trip.put("d/a.jpg")
    (trip.root / "d" / "up").symlink_to(trip.root)
    (trip.root / "d" / "self").symlink_to("self")
    (trip.root / "d" / "self.jpg").symlink_to("self.jpg")
    assert trip.found(follow_links=True) == ["d/a.jpg"]


def test_overlapping_paths_yield_every_shot_once(trip: Trip) -> None:
    trip.put("a.jpg", "d/b.jpg", "d/b.dng", "d/e/c.jpg")
    for given in (("", "d", "d/b.jpg"), ("d/b.dng", "d/e", "", "d"), ("d", "", "a.jpg", "a.jpg")):
        assert sorted(trip.found(*given)) == ["a.jpg", "d/b.jpg", "d/e/c.jpg"]
    other_way = [trip.root / "d", trip.root / "d" / "e" / ".." / "b.dng"]
    assert len(list(find_shots(other_way, on_problem=print))) == 2


def test_the_root_is_the_path_as_given(trip: Trip, monkeypatch: pytest.MonkeyPatch) -> None:
    trip.put("d/a.jpg", "d/a.dng", "b.jpg")
    monkeypatch.chdir(trip.root)
    shots = list(find_shots([Path("b.jpg"), Path("d")], on_problem=print))
    assert shots == [
        Shot(Path(), Path("b.jpg")),
        Shot(Path("d"), Path("d/a.jpg"), (Path("d/a.dng"),)),
    ]
    assert list(find_shots([Path("d/a.dng")], on_problem=print)) == [
        Shot(Path("d"), Path("d/a.jpg"), (Path("d/a.dng"),))
    ]


def test_a_companion_brings_the_whole_shot_once(trip: Trip) -> None:
    trip.put("a.jpg", "a.dng", "a.xmp", "b.jpg")
    assert [len(shot.files) for shot in trip.shots("a.xmp", "a.dng", "a.jpg")] == [3]


def test_a_named_file_that_is_no_photo_is_still_a_shot(trip: Trip) -> None:
    trip.put("notes.txt", "film.mov", "a.jpg", data=b"text")
    assert trip.found("notes.txt", "film.mov") == ["notes.txt", "film.mov"]


def test_thousands_of_named_files_read_their_folder_once(
    trip: Trip, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"IMG_{n:04}.jpg" for n in range(2000)]
    trip.put(*names, data=b"")
    calls = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: calls.append(path) or real(path))
    begin = time.perf_counter()
    assert trip.found(*names) == names
    assert len(calls) == 1
    assert time.perf_counter() - begin < 2


def test_a_tree_deeper_than_the_stack_of_python(trip: Trip) -> None:
    here, limit = Path.cwd(), sys.getrecursionlimit()
    os.chdir(trip.root)
    try:
        for _ in range(400):
            Path("d").mkdir()
            os.chdir("d")
        Path("a.jpg").write_bytes(b"x")
        os.chdir(trip.root)
        sys.setrecursionlimit(len(inspect.stack()) + 200)
        assert [shot.path.name for shot in find_shots([Path()], on_problem=print)] == ["a.jpg"]
    finally:
        sys.setrecursionlimit(limit)
        remove_chain(trip.root)
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
