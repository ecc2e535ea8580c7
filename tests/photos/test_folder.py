from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.images import encoded, scene
from support.photo_folder import PhotoFolder

from iqcli.fs.read import is_in_cloud
from iqcli.photos import folder
from iqcli.photos.find import PassedOver
from iqcli.photos.names import headers, looks, read_evidence

PNG = encoded(scene(8, 8), "PNG")


def test_unknown_extensions_are_asked_and_known_ones_are_not(folder_of: PhotoFolder) -> None:
    folder_of.put("a.jpg", "b.mov", "b.xmp", "c.JSON")
    folder_of.put("d", "e.dat", data=PNG)
    folder_of.put("f.doc", data=b"text")
    folder_of.put("g.bin", data=b"")
    asked = []

    def ask(path: Path, status: os.stat_result) -> bool:
        asked.append((path.name, status.st_size))
        return path.name == "e.dat"

    assert folder_of.found(is_photo=ask) == ["a.jpg", "e.dat"]
    assert sorted(asked) == [("d", len(PNG)), ("e.dat", len(PNG)), ("f.doc", 4), ("g.bin", 0)]
    assert folder_of.found() == ["a.jpg", "d", "e.dat"]


@pytest.mark.parametrize(
    "where",
    [
        *["._IMG_1.jpg", ".hidden.jpg", ".thumbnails/a.jpg", "@eaDir/a.jpg", ".git/a.jpg"],
        *["node_modules/a.png", "System Volume Information/a.jpg", "$RECYCLE.BIN/a.jpg"],
        *[".Trash-1000/a.jpg", "Photos.photoslibrary/originals/a.jpg", "x.lrdata/a.jpg"],
        *["Photos.PhotosLibrary/a.jpg", "$Recycle.Bin/a.jpg", "CaptureOne/Cache/t/a.jpg"],
        *["#recycle/a.jpg", "S.cocatalog/a.jpg", "lost+found/a.jpg", "Temporary Items/a.jpg"],
    ],
)
def test_default_excludes(folder_of: PhotoFolder, where: str) -> None:
    folder_of.put(where)
    assert folder_of.found() == []
    assert folder_of.found(default_excludes=False) == [where]
    assert folder_of.found(where) == [where]  # a name that is given is meant
    if not where.startswith("CaptureOne"):
        assert folder_of.found(where.split("/")[0]) == [where]


def test_what_is_passed_over_is_counted(folder_of: PhotoFolder) -> None:
    library = "P.photoslibrary"
    folder_of.put("a.jpg", "a.mov", "film.mp4", "d/@eaDir/a.jpg", "e/@eaDir/a.jpg", ".x.jpg")
    folder_of.put(f"{library}/originals/b.jpg", "thumbs/c.jpg", "d/.private/d.jpg", "._a.jpg")
    folder_of.put("library/.immich", "library/upload/e.jpg", "e/talk.avi", "e/talk.xmp")
    folder_of.put("a.svg", "e/b.SVG", "e/logo.eps", ".icon.ico", "thumbs/i.xcf")
    (folder_of.root / "link.jpg").symlink_to("a.jpg")
    (folder_of.root / "more").symlink_to("thumbs")
    (folder_of.root / "lost.jpg").symlink_to("nowhere.jpg")
    (folder_of.root / "note").symlink_to("film.mp4")
    passed = PassedOver()
    assert folder_of.found(passed=passed) == ["a.jpg", "thumbs/c.jpg"]
    assert passed.programs == {"@eaDir": 2, library: 1, "library": 1}
    libraries = {folder.name: each.name for folder, each in passed.libraries.items()}
    assert libraries == {library: "Apple Photos", "library": "Immich"}
    assert (passed.hidden, passed.videos, passed.links) == ({".private": 1}, 2, 2)
    assert passed.pictures == {"SVG": 2, "EPS": 1, "XCF": 1}


def test_what_is_named_is_not_counted_as_passed_over(folder_of: PhotoFolder) -> None:
    folder_of.put("a.jpg", "P.photoslibrary/b.jpg", "P.photoslibrary/@eaDir/c.jpg", ".x/d.jpg")
    passed = PassedOver()
    found = folder_of.found("", "P.photoslibrary", ".x", passed=passed)
    assert found == ["a.jpg", "P.photoslibrary/b.jpg", ".x/d.jpg"]
    assert (passed.programs, passed.libraries, passed.hidden) == ({"@eaDir": 1}, {}, {})


def test_a_followed_link_into_a_library_is_passed_over(
    folder_of: PhotoFolder, tmp_path_factory: pytest.TempPathFactory
) -> None:
    originals = tmp_path_factory.mktemp("elsewhere") / "Photos.photoslibrary" / "originals"
    originals.mkdir(parents=True)
    (originals / "a.jpg").write_bytes(b"x")
    (folder_of.root / "mine").symlink_to(originals)
    passed = PassedOver()
    assert folder_of.found(follow_links=True, passed=passed) == []
    assert passed.programs == {"mine": 1}
    assert folder_of.found("mine") == ["mine/a.jpg"]  # named, so meant
    assert folder_of.found(follow_links=True, default_excludes=False) == ["mine/a.jpg"]


def test_a_hidden_file_that_is_named_brings_its_companions(folder_of: PhotoFolder) -> None:
    folder_of.put(".a.jpg", ".a.xmp", "b.jpg")
    assert [len(shot.files) for shot in folder_of.shots("", ".a.jpg", ".a.xmp")] == [1, 2]


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
def test_a_reject_folder_is_ours_by_its_manifest(
    folder_of: PhotoFolder, first: str | None, ours: bool
) -> None:
    folder_of.put("_Rejected 2/a.jpg", "Rejected/b.jpg")
    if first is not None:
        folder_of.put("_Rejected 2/MANIFEST.jsonl", data=first.encode())
    assert folder_of.found() == ["Rejected/b.jpg"] + ([] if ours else ["_Rejected 2/a.jpg"])
    assert "_Rejected 2/a.jpg" in folder_of.found("_Rejected 2")


def test_a_manifest_in_a_folder_of_another_name_hides_nothing(folder_of: PhotoFolder) -> None:
    folder_of.put("x/a.jpg")
    folder_of.put("x/MANIFEST.jsonl", data=b'{"kind": "iq-rejects"}\n')
    assert folder_of.found() == ["x/a.jpg"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_what_is_no_regular_file_never_blocks(folder_of: PhotoFolder) -> None:
    folder_of.put("a.jpg", "_Rejected/b.jpg")
    os.mkfifo(folder_of.root / "pipe.jpg")
    os.mkfifo(folder_of.root / "pipe")
    os.mkfifo(folder_of.root / "_Rejected" / "MANIFEST.jsonl")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(folder_of.root)  # the path of a socket must be short
        try:
            server.bind("sock.jpg")
        finally:
            os.chdir(here)
        assert folder_of.found() == ["_Rejected/b.jpg", "a.jpg"]
        assert folder_of.problems == []
        assert folder_of.found("pipe.jpg", "sock.jpg", "a.jpg") == ["a.jpg"]
    assert [name for name, _ in folder_of.problems] == ["pipe.jpg", "sock.jpg"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root lists everything")
def test_a_folder_that_cannot_be_listed_is_reported_with_the_reason(
    folder_of: PhotoFolder,
) -> None:
    folder_of.put("a/x.jpg", "b.jpg")
    (folder_of.root / "a").chmod(0)
    try:
        assert folder_of.found() == ["b.jpg"]
    finally:
        (folder_of.root / "a").chmod(0o700)
    assert folder_of.problems[0][0] == "a"


def test_a_folder_that_cannot_be_listed_is_reported_and_skipped(
    folder_of: PhotoFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_of.put("a/x.jpg", "b.jpg", "c/y.jpg")
    real = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert folder_of.found() == ["b.jpg", "c/y.jpg"]
    assert folder_of.problems == [("a", "it cannot be listed: Permission denied")]
    assert folder_of.found("a/x.jpg") == ["a/x.jpg"]
    assert "companions in it are not seen" in folder_of.problems[-1][1]


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
    assert is_in_cloud(SimpleNamespace(**flags)) is away  # type: ignore[arg-type]


def test_a_placeholder_is_reported_and_never_opened(
    folder_of: PhotoFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_of.put("a.jpg", "b.jpg", "c.jpg", "c.mov")
    folder_of.put("d", data=PNG)
    away = {(folder_of.root / name).stat().st_ino for name in ("a.jpg", "c.mov", "d")}
    monkeypatch.setattr(folder, "MAY_BE_IN_CLOUD", True)
    monkeypatch.setattr(folder, "is_in_cloud", lambda status: status.st_ino in away)
    assert folder_of.found(is_photo=lambda path, status: pytest.fail(f"{path} was opened")) == [
        "b.jpg"
    ]
    assert [name for name, _ in folder_of.problems] == ["a.jpg", "c.jpg"]
    assert all("download it" in why for _, why in folder_of.problems)
    assert folder_of.found("a.jpg") == []


def test_placeholders_are_not_opened_to_see_what_they_belong_to(
    folder_of: PhotoFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = ("a.jpg", "b.jpg", "c.jpg", "JPG/d.jpg")
    away = ("a.mov", "b.heic", "c-edited.jpg", "d.cr2")
    folder_of.put(*there, *away)
    placeholders = {(folder_of.root / name).stat().st_ino for name in away}
    monkeypatch.setattr(folder, "MAY_BE_IN_CLOUD", True)
    for module in (folder, read_evidence):
        monkeypatch.setattr(module, "is_in_cloud", lambda status: status.st_ino in placeholders)
    opened: set[str] = set()
    read, decoded = headers.read_header, looks.likeness

    def read_header(path: Path) -> Any:
        opened.add(path.name)
        return read(path)

    def likeness(*paths: Path) -> Any:
        opened.update(path.name for path in paths)
        return decoded(*paths)

    monkeypatch.setattr(headers, "read_header", read_header)
    monkeypatch.setattr(looks, "likeness", likeness)
    assert folder_of.found() == ["JPG/d.jpg", "c.jpg"]
    assert {name for name, _ in folder_of.problems} == {"a.jpg", "b.jpg", "c-edited.jpg", "d.cr2"}
    assert "c.jpg" in opened and not opened & set(away)
