"""Folders held open: no link leads a change elsewhere, and one that was replaced is noticed."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from unittest import mock

import pytest

from iqcli.fs import anchors, durable, files
from iqcli.fs.anchors import anchored, at


@pytest.fixture(params=[True, False], ids=["open folders", "stand-in"])
def held(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A root with `a/b/photo`, whose `link` leads to `elsewhere`, which has the same."""
    if request.param and not anchors.DESCRIPTORS:
        pytest.skip("this system holds no folders open")
    monkeypatch.setattr(anchors, "DESCRIPTORS", request.param)
    for place in ("root", "elsewhere"):
        (tmp_path / place / "a/b").mkdir(parents=True)
        (tmp_path / place / "a/b/photo").write_bytes(b"photo")
    (tmp_path / "root/link").symlink_to(tmp_path / "elsewhere")
    return tmp_path / "root"


def nothing(_: Path) -> None:
    """No claim is journalled here."""


CHANGES = {
    "look": lambda root: files.lstat_or_none(root / "link/a/b/photo"),
    "list": lambda root: files.names_in(root / "link"),
    "read": lambda root: files.sha256(root / "link/a/b/photo"),
    "move there": lambda root: files.move(root / "a/b/photo", root / "link/new", nothing),
    "move from there": lambda root: files.move(root / "link/a/b/photo", root / "new", nothing),
    "copy": lambda root: files.copy(root / "a/b/photo", root / "link/new", nothing),
    "link": lambda root: files.make_link(root / "link/new", "text"),
    "make": lambda root: files.make_folders(root / "link/new/er"),
    "remove": lambda root: files.remove(root / "link/a/b/photo"),
    "remove a folder": lambda root: files.remove_folder(root / "link/a/b"),
    "write": lambda root: files.write_atomic(root / "link/new", b"x"),
    "create": lambda root: durable.write_part(root / "link/new", [b"x"], None),
    "append": lambda root: durable.append_line(root / "link/a/b/photo", b"x"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_no_change_goes_through_a_link(held: Path, change: str) -> None:
    before = sorted(held.parent.rglob("*"))
    with anchored([held]), pytest.raises(OSError, match="root/link leads elsewhere through a link"):
        CHANGES[change](held)
    assert sorted(held.parent.rglob("*")) == before
    CHANGES[change](held)  # which a path alone does not see


@pytest.mark.parametrize("change", ["read", "append", "write"])
def test_a_file_that_is_a_link_is_not_followed(held: Path, change: str) -> None:
    (held / "file").symlink_to(held.with_name("elsewhere") / "a/b/photo")
    how = {
        "read": lambda path: files.sha256(path),
        "append": lambda path: durable.append_line(path, b"x"),
        "write": lambda path: files.write_atomic(path, b"x"),
    }[change]
    with anchored([held]):
        if change == "write":  # it replaces the link
            how(held / "file")
        else:
            with pytest.raises(OSError):
                how(held / "file")
    assert (held.with_name("elsewhere") / "a/b/photo").read_bytes() == b"photo"


@pytest.mark.parametrize("end", ["a/b/photo", "to/new"])
def test_a_move_while_a_folder_is_replaced_goes_back(held: Path, end: str) -> None:
    """The folder of either end, by a link, between the last look and the rename."""
    (held / "to").mkdir()
    swapped = (held / end).parent
    real = files.rename_new

    def late(*given: object) -> None:
        if not (held / "away").exists():
            swapped.rename(held / "away")
            swapped.symlink_to(held.with_name("elsewhere") / "a")
        real(*given)

    with (
        mock.patch.object(files, "rename_new", late),
        anchored([held]),
        pytest.raises(OSError) as caught,
    ):
        files.move(held / "a/b/photo", held / "to/new", nothing)
    assert anchors.DESCRIPTORS is False or str(swapped) in str(caught.value)
    found = [path for path in held.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path.name for path in found] == ["photo"]
    assert [path.name for path in (held.with_name("elsewhere")).rglob("*") if path.is_file()] == [
        "photo"
    ]


def test_another_file_than_was_looked_at_goes_back(held: Path, tmp_path: Path) -> None:
    source, real = held / "a/b/photo", files.rename_new

    def late(*given: object) -> None:
        if not (held / "away").exists():
            source.rename(held / "away")
            source.symlink_to(tmp_path / "elsewhere/a/b/photo")
        real(*given)

    with (
        mock.patch.object(files, "rename_new", late),
        anchored([held]),
        pytest.raises(OSError, match="it was replaced meanwhile"),
    ):
        files.move(source, held / "new", nothing)
    assert source.is_symlink()
    assert (held / "away").read_bytes() == b"photo"
    assert not os.path.lexists(held / "new")


def test_links_may_lead_to_a_folder_of_our_own_but_not_below_it(held: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").symlink_to(tmp_path / "elsewhere")
    with anchored([held], [tmp_path / "kept"]):
        files.make_folders(tmp_path / "kept/run")
        (tmp_path / "elsewhere/link").symlink_to(held)
        with pytest.raises(OSError, match="link leads elsewhere"):
            files.make_folders(tmp_path / "kept/link/new")
    assert (tmp_path / "elsewhere/run").is_dir()


def test_a_root_below_a_link_that_came_later_is_refused(held: Path, tmp_path: Path) -> None:
    inner = held / "a"
    with anchored([inner]):
        assert files.lstat_or_none(inner / "b/photo")
        held.rename(tmp_path / "moved")
        held.symlink_to(tmp_path / "elsewhere")
        if anchors.DESCRIPTORS:
            with pytest.raises(OSError, match="leads elsewhere through a link"):
                files.remove(inner / "b/photo")
    assert (tmp_path / "elsewhere/a/b/photo").exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts in /proc")
def test_few_folders_stay_open_and_none_in_the_end(quick_path: Path) -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = count()
    with anchored([quick_path]):
        for number in range(300):
            files.make_folders(quick_path / f"{number}/er")
            assert count() < before + 80
        for _ in range(200):
            (quick_path / "swapped").mkdir()
            assert files.lstat_or_none(quick_path / "swapped/file") is None
            (quick_path / "swapped").rmdir()
            assert count() < before + 80
        deep = quick_path / "/".join(["d"] * 200)
        files.make_folders(deep)
        with at(deep / "file") as place:
            assert place.dir_fd is not None
    assert count() == before
