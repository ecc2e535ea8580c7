from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from iqcli.errors import IqError
from iqcli.photos import folder
from iqcli.photos.find import find_shots
from iqcli.photos.folder import is_away
from iqcli.records import Shot

from .make import encoded, scene

PNG = encoded(scene(8, 8), "PNG")


class Trip:
    """A folder of files, and what finding in it said."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems: list[tuple[str, str]] = []

    def put(self, *names: str, data: bytes = b"x") -> None:
        for name in names:
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def shots(self, *names: str, **options: Any) -> list[Shot]:
        def note(path: Path, why: str) -> None:
            self.problems.append((str(path.relative_to(self.root)), why))

        given = [self.root / name for name in names or ("",)]
        return list(find_shots(given, on_problem=note, **options))

    def found(self, *names: str, **options: Any) -> list[str]:
        shots = self.shots(*names, **options)
        return [str(shot.path.relative_to(self.root)) for shot in shots]


@pytest.fixture
def trip(tmp_path: Path) -> Trip:
    return Trip(tmp_path)


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


def test_unknown_extensions_are_asked_and_known_ones_are_not(trip: Trip) -> None:
    trip.put("a.jpg", "b.mov", "b.xmp", "c.JSON")
    trip.put("d", "e.dat", data=PNG)
    trip.put("f.txt", data=b"text")
    trip.put("g.bin", data=b"")
    asked = []

    def ask(path: Path, status: os.stat_result) -> bool:
        asked.append((path.name, status.st_size))
        return path.name == "e.dat"

    assert trip.found(is_photo=ask) == ["a.jpg", "e.dat"]
    assert sorted(asked) == [("d", len(PNG)), ("e.dat", len(PNG)), ("f.txt", 4), ("g.bin", 0)]
    assert trip.found() == ["a.jpg", "d", "e.dat"]


@pytest.mark.parametrize(
    "where",
    [
        *["._IMG_1.jpg", ".hidden.jpg", ".thumbnails/a.jpg", "@eaDir/a.jpg", ".git/a.jpg"],
        *["node_modules/a.png", "System Volume Information/a.jpg", "$RECYCLE.BIN/a.jpg"],
        *[".Trash-1000/a.jpg", "Photos.photoslibrary/originals/a.jpg", "x.lrdata/a.jpg"],
        *["Photos.PhotosLibrary/a.jpg", "$Recycle.Bin/a.jpg"],
    ],
)
def test_default_excludes(trip: Trip, where: str) -> None:
    trip.put(where)
    assert trip.found() == []
    assert trip.found(default_excludes=False) == [where]
    assert trip.found(where) == [where]  # a name that is given is meant
    assert trip.found(where.split("/")[0]) == [where]


def test_a_hidden_file_that_is_named_brings_its_companions(trip: Trip) -> None:
    trip.put(".a.jpg", ".a.xmp", "b.jpg")
    assert [len(shot.files) for shot in trip.shots("", ".a.jpg", ".a.xmp")] == [1, 2]


@pytest.mark.parametrize(
    ("first", "ours"),
    [
        (json.dumps({"kind": "iq-rejects", "schema": 1}) + '\n{"path": "a.jpg"}\n', True),
        ('{"kind": "something"}\n', False),
        ('["iq-rejects"]\n', False),
        ("not json\n", False),
        ("[" * 60_000 + "\n", False),
        ("", False),
        (None, False),
    ],
)
def test_a_reject_folder_is_ours_by_its_manifest(trip: Trip, first: str | None, ours: bool) -> None:
    trip.put("_Rejected 2/a.jpg", "Rejected/b.jpg")
    if first is not None:
        trip.put("_Rejected 2/MANIFEST.jsonl", data=first.encode())
    assert trip.found() == ["Rejected/b.jpg"] + ([] if ours else ["_Rejected 2/a.jpg"])
    assert "_Rejected 2/a.jpg" in trip.found("_Rejected 2")


def test_a_manifest_in_a_folder_of_another_name_hides_nothing(trip: Trip) -> None:
    trip.put("x/a.jpg")
    trip.put("x/MANIFEST.jsonl", data=b'{"kind": "iq-rejects"}\n')
    assert trip.found() == ["x/a.jpg"]


def test_a_missing_path_stops_everything_before_the_first_shot(trip: Trip) -> None:
    trip.put("a.jpg")
    with pytest.raises(IqError, match=r"no file or folder .*gone\.jpg; check the name"):
        next(find_shots([trip.root, trip.root / "gone.jpg"], on_problem=print))
    with pytest.raises(IqError, match="cannot look at"):
        next(find_shots([trip.root / "a.jpg" / "b.jpg"], on_problem=print))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_what_is_no_regular_file_never_blocks(trip: Trip) -> None:
    trip.put("a.jpg", "_Rejected/b.jpg")
    os.mkfifo(trip.root / "pipe.jpg")
    os.mkfifo(trip.root / "pipe")
    os.mkfifo(trip.root / "_Rejected" / "MANIFEST.jsonl")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(trip.root)  # the path of a socket must be short
        try:
            server.bind("sock.jpg")
        finally:
            os.chdir(here)
        assert trip.found() == ["_Rejected/b.jpg", "a.jpg"]
        assert trip.problems == []
        assert trip.found("pipe.jpg", "sock.jpg", "a.jpg") == ["a.jpg"]
    assert [name for name, _ in trip.problems] == ["pipe.jpg", "sock.jpg"]


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


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root lists everything")
def test_a_folder_that_cannot_be_listed_is_told_as_the_system_tells_it(trip: Trip) -> None:
    trip.put("a/x.jpg", "b.jpg")
    (trip.root / "a").chmod(0)
    try:
        assert trip.found() == ["b.jpg"]
    finally:
        (trip.root / "a").chmod(0o700)
    assert trip.problems[0][0] == "a"


def test_a_folder_that_cannot_be_listed_is_told_and_passed_over(
    trip: Trip, monkeypatch: pytest.MonkeyPatch
) -> None:
    trip.put("a/x.jpg", "b.jpg", "c/y.jpg")
    real = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert trip.found() == ["b.jpg", "c/y.jpg"]
    assert trip.problems == [("a", "it cannot be listed: Permission denied")]
    assert trip.found("a/x.jpg") == ["a/x.jpg"]
    assert "companions in it are not seen" in trip.problems[-1][1]


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
    here = Path.cwd()
    os.chdir(trip.root)
    try:
        for _ in range(1500):
            Path("d").mkdir()
            os.chdir("d")
        Path("a.jpg").write_bytes(b"x")
        os.chdir(trip.root)
        assert [shot.path.name for shot in find_shots([Path()], on_problem=print)] == ["a.jpg"]
    finally:
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


@pytest.mark.parametrize(
    ("flags", "away"),
    [
        ({"st_flags": 0x40000000}, True),
        ({"st_flags": 0x20}, False),
        ({"st_file_attributes": 0x00400000 | 0x20}, True),
        ({"st_file_attributes": 0x1000}, True),
        ({"st_file_attributes": 0x20}, False),
        ({}, False),
    ],
)
def test_placeholders_are_known_by_their_flags(flags: dict[str, int], away: bool) -> None:
    assert is_away(SimpleNamespace(**flags)) is away  # type: ignore[arg-type]


def test_a_placeholder_is_told_and_never_opened(
    trip: Trip, monkeypatch: pytest.MonkeyPatch
) -> None:
    trip.put("a.jpg", "b.jpg", "c.jpg", "c.mov")
    trip.put("d", data=PNG)
    away = {(trip.root / name).stat().st_ino for name in ("a.jpg", "c.mov", "d")}
    monkeypatch.setattr(folder, "MAY_BE_AWAY", True)
    monkeypatch.setattr(folder, "is_away", lambda status: status.st_ino in away)
    assert trip.found(is_photo=lambda path, status: pytest.fail(f"{path} was opened")) == ["b.jpg"]
    assert [name for name, _ in trip.problems] == ["a.jpg", "c.jpg"]
    assert all("download it" in why for _, why in trip.problems)
    assert trip.found("a.jpg") == []
