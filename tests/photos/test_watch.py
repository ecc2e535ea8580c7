"""When a photo has arrived: on real folders, by a clock that the test turns."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.images import encoded, noise

from iqcli.photos.find import find_shots
from iqcli.photos.watch import ABSENT, PATIENCE, FolderScanner, WatchFolder, is_temporary
from iqcli.records import BrokenFile, Facts, Photo, Shot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from iqcli.photos.find import OnProblem

JPEG, OTHER = encoded(noise(64, 48), "JPEG"), encoded(noise(80, 48), "JPEG")
SETTLE = 2.0


class Scene:
    """A watched folder, what is accepted of it, and the hour."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now = folder, 0.0
        self.reported: list[tuple[Path, str]] = []
        scanner = FolderScanner(
            [folder], self._walk, lambda path, why: self.reported.append((path, why))
        )
        self.watch = WatchFolder(scanner, SETTLE, lambda: self.now)

    def _walk(self, folders: list[Path], on_problem: OnProblem) -> Iterator[Shot]:
        return find_shots(folders, follow_links=True, on_problem=on_problem)

    def put(self, name: str, data: bytes = JPEG) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def settled(self, after: float = 0.0) -> list[str]:
        """The names that may be read after so many seconds."""
        self.now += after
        return [shot.path.name for shot in self.watch.settled()]

    def accepted(
        self,
        after: float = SETTLE,
        readable: Callable[[Path], bool] = Path.exists,
        damage: float = 0.0,
    ) -> list[str]:
        """The names that are accepted after so many seconds, in two looks."""
        self.watch.settled()
        self.now += after
        names = []
        for shot in self.watch.settled():
            sha256 = hashlib.sha256(shot.path.read_bytes()).hexdigest()
            error = None if readable(shot.path) else "JPEG data ends early"
            facts = Facts(8, 8, "jpeg", damage=damage)
            if self.watch.accept(shot, Photo(shot, sha256, facts, error=error)):
                names.append(shot.path.name)
        return names


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    folder = tmp_path / "photos"
    folder.mkdir()
    return Scene(folder)


def test_a_damaged_photo_may_still_be_being_written(scene: Scene) -> None:
    scene.put("a.jpg")
    assert scene.accepted(damage=0.5) == []
    assert scene.accepted(damage=0.5) == []
    assert scene.accepted(PATIENCE * SETTLE, damage=0.5) == ["a.jpg"]
    scene.put("b.jpg")
    assert scene.accepted(damage=0.5) == []
    scene.put("b.jpg", JPEG + b"the rest")
    assert scene.accepted() == ["b.jpg"]


def test_a_photo_settles_once(scene: Scene) -> None:
    scene.put("a.jpg")
    assert scene.settled() == []
    assert scene.settled(SETTLE - 0.1) == []
    assert scene.accepted(0.1) == ["a.jpg"]
    assert scene.accepted(100) == []


@pytest.mark.parametrize("change", ["grows", "is touched", "is replaced"])
def test_each_change_begins_the_wait_anew(scene: Scene, change: str) -> None:
    path = scene.put("a.jpg")
    assert scene.settled() == []
    if change == "grows":
        path.write_bytes(JPEG + b"\0")
    elif change == "is touched":
        os.utime(path, ns=(1, 1))
    else:
        status = path.stat()
        other = scene.put("b.part")
        os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
        other.rename(path)
    assert scene.settled(SETTLE) == []
    assert scene.settled(SETTLE) == ["a.jpg"]


def test_another_file_of_the_shot_may_lead_only_until_the_first_is_written(scene: Scene) -> None:
    first, raw = scene.put("a.jpg", b""), scene.put("a.dng")
    scene.settled()
    given = Shot(scene.folder, first, (raw,))
    broken = (BrokenFile(first, "empty file", is_readable=False),)
    by_raw = Photo(given.led_by(raw), "0" * 64, broken=broken)
    assert scene.settled(SETTLE) == ["a.jpg"]
    assert not scene.watch.accept(given, by_raw)
    assert scene.settled(SETTLE) == []
    scene.now += PATIENCE * SETTLE
    assert [each.path for each in scene.watch.settled()] == [first]
    assert scene.watch.accept(given, by_raw)
    scene.put("a.jpg")
    assert scene.accepted() == ["a.jpg"]


def test_all_files_of_a_shot_have_to_be_quiet(scene: Scene) -> None:
    scene.put("a.jpg")
    scene.settled()
    scene.put("a.dng", b"1")
    assert scene.settled(SETTLE) == []
    scene.put("a.dng", b"12")
    assert scene.settled(SETTLE) == []
    assert scene.accepted() == ["a.jpg"]


def test_a_companion_that_comes_late_changes_nothing(scene: Scene) -> None:
    scene.put("a.jpg")
    assert scene.accepted() == ["a.jpg"]
    scene.put("a.dng", b"raw")
    scene.put("a.jpg.xmp", b"<x/>")
    assert scene.accepted(100) == []


def test_a_jpeg_that_comes_after_its_raw_leads_and_is_reported(scene: Scene) -> None:
    scene.put("a.dng")
    assert scene.accepted() == ["a.dng"]
    scene.put("a.jpg")
    assert scene.accepted() == ["a.jpg"]


def test_only_another_content_is_reported_again(scene: Scene) -> None:
    path = scene.put("a.jpg")
    assert scene.accepted() == ["a.jpg"]
    os.utime(path, ns=(1, 1))
    assert scene.accepted() == []
    path.write_bytes(OTHER)
    assert scene.accepted() == ["a.jpg"]


def test_what_cannot_be_read_gets_more_time(scene: Scene) -> None:
    path = scene.put("a.jpg", JPEG[:500])

    def whole(path: Path) -> bool:
        return path.read_bytes() == JPEG

    assert scene.accepted(readable=whole) == []
    assert scene.settled(SETTLE * (PATIENCE - 1) - 0.1) == []
    path.write_bytes(JPEG)
    assert scene.accepted(readable=whole) == ["a.jpg"]


def test_what_stays_broken_is_reported_once(scene: Scene) -> None:
    path = scene.put("a.jpg", JPEG[:500])
    assert scene.accepted(readable=lambda path: False) == []
    assert scene.accepted(SETTLE * PATIENCE, lambda path: False) == ["a.jpg"]
    assert scene.accepted(SETTLE * PATIENCE, lambda path: False) == []
    path.write_bytes(JPEG)
    assert scene.accepted() == ["a.jpg"]


def test_what_was_there_is_passed_over_until_it_changes(scene: Scene) -> None:
    scene.put("a.jpg")
    path = scene.put("growing.jpg", JPEG[:500])
    scene.watch.mark_seen()
    path.write_bytes(JPEG)
    scene.put("a.dng", b"raw")
    assert scene.accepted() == ["growing.jpg"]


def test_a_photo_that_was_taken_away_arrives_when_it_comes_back(scene: Scene) -> None:
    path = scene.put("sub/a.jpg")
    assert scene.accepted() == ["a.jpg"]
    path.rename(scene.folder.parent / "kept.jpg")
    path.parent.rmdir()
    assert scene.accepted() == []
    path.parent.mkdir()
    (scene.folder.parent / "kept.jpg").rename(path)
    assert scene.accepted() == ["a.jpg"]


def test_a_folder_that_goes_and_comes_back(scene: Scene) -> None:
    scene.put("a.jpg")
    assert scene.accepted() == ["a.jpg"]
    aside = scene.folder.rename(scene.folder.with_name("aside"))
    assert scene.accepted() == []
    assert scene.accepted() == []
    aside.rename(scene.folder)
    scene.put("b.jpg", OTHER)
    assert scene.accepted() == ["b.jpg"]
    assert [why for _, why in scene.reported] == [
        "is not there any more; waiting for it",
        "is back",
    ]


OTHER_DISK = Path("/dev/shm")


@pytest.mark.skipif(
    not OTHER_DISK.is_dir() or OTHER_DISK.stat().st_dev == Path("/tmp").stat().st_dev,
    reason="needs a second file system",
)
def test_a_card_inside_the_folder_that_goes_and_comes_back(
    scene: Scene, request: pytest.FixtureRequest
) -> None:
    card = OTHER_DISK / f"iq-card-{os.getpid()}"
    card.mkdir()
    (card / "a.jpg").write_bytes(JPEG)
    request.addfinalizer(lambda: ((card / "a.jpg").unlink(), card.rmdir()))
    mount = scene.folder / "card"
    for accepted in (["a.jpg"], [], []):
        mount.symlink_to(card)
        assert scene.accepted() == accepted
        mount.unlink()
        assert scene.accepted() == []


def test_photos_on_disks_that_are_away_are_not_remembered_for_ever(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ABSENT >= 10_000
    monkeypatch.setattr("iqcli.photos.watch.ABSENT", 2)
    for name in "abc":
        scene.put(f"{name}.jpg")
    assert len(scene.accepted()) == 3
    aside = scene.folder.rename(scene.folder.with_name("aside"))
    assert scene.accepted() == []
    aside.rename(scene.folder)
    assert len(scene.accepted()) == 3


def test_a_problem_is_reported_once_until_it_is_over(scene: Scene) -> None:
    problems = ["cannot be listed"]
    path = scene.folder / "sub"

    def walk(folders: list[Path], on_problem: OnProblem) -> list[Shot]:
        for why in problems:
            on_problem(path, why)
        return []

    reported: list[str] = []
    scanner = FolderScanner([scene.folder], walk, lambda path, why: reported.append(why))
    scanner.scan()
    scanner.scan()
    assert reported == ["cannot be listed"]
    problems.clear()
    scanner.scan()
    problems.append("cannot be listed")
    scanner.scan()
    assert len(reported) == 2


@pytest.mark.parametrize(
    "name",
    [".a.jpg.Xa81", "a.jpg.part", "a.JPG.CRDOWNLOAD", "a.tmp", ".iq-part-a.jpg", "a.jpg~"],
)
def test_names_of_what_is_not_finished(scene: Scene, name: str) -> None:
    assert is_temporary(name)
    scene.put(name)
    assert scene.accepted() == []


@pytest.mark.parametrize("name", ["a.jpg", "a.tmp.jpg", "part", "a"])
def test_names_of_photos(name: str) -> None:
    assert not is_temporary(name)
