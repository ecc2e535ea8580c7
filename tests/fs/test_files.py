"""The module that moves, on real files: it never overwrites, on any kind of disk."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import sys
from pathlib import Path
from unittest import mock

import pytest

from iqcli.errors import IqError
from iqcli.fs import durable, files, syscalls
from iqcli.text import display_path

LINK = os.link
MEMORY = Path("/dev/shm")


def nothing(_: Path) -> None:
    """No claim is journalled here."""


def fail(code: int) -> mock.Mock:
    return mock.Mock(side_effect=OSError(code, os.strerror(code)))


@pytest.fixture(params=["native", "links", "claims"])
def disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param != "native":
        monkeypatch.setattr(files, "rename_new", fail(errno.EINVAL))
    if request.param == "claims":
        monkeypatch.setattr(os, "link", fail(errno.EPERM))
    return str(request.param)


def test_a_move_keeps_bytes_mode_and_times(tmp_path: Path, disk: str) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"photo")
    source.chmod(0o640)
    os.utime(source, ns=(1_111, 2_222))
    before = source.stat()
    files.move(source, target, nothing)
    after = target.stat()
    assert not source.exists()
    assert target.read_bytes() == b"photo"
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
    assert after.st_ino == before.st_ino


@pytest.mark.parametrize("taken", ["file", "empty", "folder", "dangling link", "second link"])
def test_a_move_never_overwrites(tmp_path: Path, disk: str, taken: str) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"photo")
    match taken:
        case "file":
            target.write_bytes(b"other")
        case "empty":
            target.touch()
        case "folder":
            target.mkdir()
        case "dangling link":
            target.symlink_to(tmp_path / "nowhere")
        case _:
            LINK(source, target)
    before = target.lstat()
    with pytest.raises(FileExistsError):
        files.move(source, target, nothing)
    assert source.read_bytes() == b"photo"
    assert os.path.samestat(target.lstat(), before)
    assert target.lstat().st_size == before.st_size


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a call of Linux")
@pytest.mark.parametrize("code", [None, errno.ENOSYS, errno.EIO])
def test_a_disk_is_synced_where_there_is_such_a_call(tmp_path: Path, code: int | None) -> None:
    def failing(_: int) -> int:
        ctypes.set_errno(code or 0)
        return -1

    library = mock.Mock(syncfs=failing) if code else object()
    with mock.patch.object(ctypes, "CDLL", return_value=library):
        if code == errno.EIO:
            with pytest.raises(OSError, match=os.strerror(code)):
                syscalls.sync_disk(tmp_path)
        else:
            assert not syscalls.sync_disk(tmp_path)
    assert syscalls.sync_disk(tmp_path)


def test_a_claim_is_announced_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "rename_new", fail(errno.ENOSYS))
    monkeypatch.setattr(os, "link", fail(errno.ENOTSUP))
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"photo")
    claimed: list[tuple[Path, bool]] = []
    files.move(source, target, lambda path: claimed.append((path, path.exists())))
    assert claimed == [(target, False)]


@pytest.mark.skipif(
    not MEMORY.is_dir() or MEMORY.stat().st_dev == Path("/tmp").stat().st_dev,
    reason="no second file system at hand",
)
def test_a_move_to_another_file_system_is_a_verified_copy(tmp_path: Path) -> None:
    source = tmp_path / "caf\udce9.jpg"
    source.write_bytes(os.urandom(3 << 20))
    source.chmod(0o400)
    os.utime(source, ns=(1_500_000_000_000_000_001, 1_600_000_000_000_000_002))
    digest, before = files.sha256(source), source.stat()
    target = MEMORY / f"iq-test-{os.getpid()}-{source.name}"
    try:
        files.move(source, target, nothing)
        after = target.stat()
        assert not source.exists()
        assert files.sha256(target) == digest
        assert (after.st_mode, after.st_mtime_ns, after.st_atime_ns, after.st_uid) == (
            before.st_mode,
            before.st_mtime_ns,
            before.st_atime_ns,
            before.st_uid,
        )
        assert not files.part_of(target).exists()
        source.write_bytes(b"again")
        with pytest.raises(FileExistsError):
            files.move(source, target, nothing)
        assert source.read_bytes() == b"again"
    finally:
        target.unlink(missing_ok=True)
        files.part_of(target).unlink(missing_ok=True)


def test_a_copy_that_differs_keeps_the_original(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "rename_new", fail(errno.EXDEV))
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"photo")
    monkeypatch.setattr(files, "sha256", lambda _: "0" * 64)
    with pytest.raises(OSError, match="differs from the original"):
        files.move(source, target, nothing)
    assert source.read_bytes() == b"photo"
    assert not target.exists()


def test_the_last_copy_is_never_spare(tmp_path: Path) -> None:
    one, two = tmp_path / "a", tmp_path / "b"
    one.write_bytes(b"photo")
    two.write_bytes(b"other")
    with pytest.raises(FileExistsError):
        files.remove_spare(one, two)
    with pytest.raises(FileExistsError):
        files.remove_spare(one, one)  # one link under two names, as by a bind mount
    assert one.exists()
    two.write_bytes(b"photo")
    files.remove_spare(one, two)
    assert not one.exists()
    one.hardlink_to(two)
    files.remove_spare(one, two)
    assert two.read_bytes() == b"photo"


def test_a_claim_that_holds_something_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(FileExistsError):
        files.remove_claim(tmp_path / "a")


def test_a_copy_is_verified_and_never_overwrites(tmp_path: Path, disk: str) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"photo")
    source.chmod(0o440)
    os.utime(source, ns=(1_111, 2_222))
    with pytest.raises(OSError, match="differs from the original"):
        files.copy(source, target, nothing, "0" * 64)
    assert not target.exists()
    files.part_of(target).unlink()
    files.copy(source, target, nothing, files.sha256(source))
    one, two = source.stat(), target.stat()
    assert (one.st_mode, one.st_mtime_ns, one.st_size) == (two.st_mode, two.st_mtime_ns, 5)
    assert one.st_ino != two.st_ino
    source.chmod(0o640)
    source.write_bytes(b"other")
    with pytest.raises(FileExistsError):
        files.copy(source, target, nothing)
    assert target.read_bytes() == b"photo"


def test_a_link_is_removed_only_while_it_reads_as_it_did(tmp_path: Path) -> None:
    path = tmp_path / "link"
    files.make_link(path, "a/b")
    assert files.link_reads(path, "a/b") and not files.link_reads(path, "a/c")
    with pytest.raises(FileExistsError):
        files.make_link(path, "a/c")
    with pytest.raises(FileExistsError, match="no link of iq"):
        files.remove_link(path, "a/c")
    files.remove_link(path, "a/b")
    assert not files.link_reads(path, "a/b")
    path.write_bytes(b"a photo")
    with pytest.raises(FileExistsError):
        files.remove_link(path, "a/b")
    assert path.read_bytes() == b"a photo"


def test_write_atomic_keeps_mode_and_link_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.xmp"
    files.write_atomic(path, b"one")
    path.chmod(0o640)
    (tmp_path / "link").symlink_to(path)
    files.write_atomic(tmp_path / "link", b"two")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"two", 0o640)
    assert (tmp_path / "link").is_symlink()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("call", ["write", "fsync", "replace", "open"])
def test_write_atomic_changes_nothing_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "a.xmp"
    path.write_bytes(b"one")
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(os, call, fail(errno.ENOSPC))
        files.write_atomic(path, b"two")
    assert path.read_bytes() == b"one"
    assert len(list(tmp_path.iterdir())) == 1


def test_an_append_mends_a_torn_line_and_fails_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    path.write_bytes(b'{"a": 1}\n{"b"')
    durable.append_line(path, b'{"c": 3}')
    assert path.read_bytes() == b'{"a": 1}\n{"b"\n{"c": 3}\n'
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(os, "fsync", fail(errno.ENOSPC))
        durable.append_line(path, b"x" * 100)
    assert path.read_bytes() == b'{"a": 1}\n{"b"\n{"c": 3}\n'


def test_folders_are_made_and_removed_only_if_empty(tmp_path: Path) -> None:
    made = files.make_folders(tmp_path / "a/b/c", 0o700)
    assert made == (tmp_path / "a", tmp_path / "a/b", tmp_path / "a/b/c")
    assert made[0].stat().st_mode & 0o777 == 0o700
    assert files.make_folders(tmp_path / "a/b/c") == ()
    for name in ("a", "a/b/c", "a/b/c", "a/b"):
        files.remove_folder(tmp_path / name)
    assert list(tmp_path.rglob("*")) == [tmp_path / "a"]


def test_make_folders_leaves_none_when_it_fails(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long"):
        files.make_folders(tmp_path / "a" / ("x" * 300))
    assert not (tmp_path / "a").exists()


def test_nothing_has_a_name_that_is_too_long(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 300)
    assert files.lstat_or_none(path) is None
    assert files.lstat_or_none(path / "b") is None
    files.remove_folder(path)  # as after a run that could not make it


def test_folders_that_another_process_makes_at_once_are_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.mkdir

    def late(path: Path, mode: int = 0o777, **folder: int | None) -> None:
        if path.name == "b":
            real(path, mode)
        real(path, mode, **folder)

    monkeypatch.setattr(os, "mkdir", late)
    assert files.make_folders(tmp_path / "a/b/c") == (tmp_path / "a", tmp_path / "a/b/c")


def test_quarantine_never_replaces(tmp_path: Path) -> None:
    (tmp_path / "cache.damaged-1").mkdir()
    (tmp_path / "cache.damaged-1/kept").touch()
    (tmp_path / "cache.damaged-2").touch()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/db").write_bytes(b"x")
    assert files.quarantine(tmp_path / "cache") == tmp_path / "cache.damaged-3"
    assert (tmp_path / "cache.damaged-1/kept").exists()
    assert (tmp_path / "cache.damaged-3/db").exists()
    with pytest.raises(NotADirectoryError):
        files.quarantine(tmp_path / "cache.damaged-2")


def test_hashing_is_sha256_and_leaves_the_access_time(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"photo")
    os.utime(path, ns=(5, 10**18))
    assert files.sha256(path) == hashlib.sha256(b"photo").hexdigest()
    if hasattr(os, "O_NOATIME"):
        assert path.stat().st_atime_ns == 5


def test_display_path_is_one_harmless_line() -> None:
    text = display_path(Path("a\nb\x1b[31m\udce9é\u202e.jpg"))
    assert text == "./a\\nb\\x1b[31m\\xe9é\\u202e.jpg"


def test_a_result_may_get_a_free_name_or_that_of_its_kind(tmp_path: Path) -> None:
    free, taken = tmp_path / "new.json", tmp_path / "old.json"
    taken.write_text("{}")
    files.require_output(free, suffixes=(".json",))
    files.require_output(taken, suffixes=(".json",), may_replace=Path.is_file)
    refusals = {
        "give a name that ends in .csv or .json": {"path": tmp_path / "a.txt"},
        "exists and is not overwritten; give another name": {"path": taken},
        "exists and is no plan; give another name": {"path": taken, "may_replace": Path.is_dir},
        "there is no folder .*none for a.json; make it first": {"path": tmp_path / "none/a.json"},
    }
    for sentence, given in refusals.items():
        with pytest.raises(IqError, match=sentence):
            files.require_output(**{"suffixes": (".csv", ".json"), "kind": "plan"} | given)


def test_a_failed_write_names_the_file_and_a_way_out(tmp_path: Path) -> None:
    with (
        pytest.raises(IqError, match=r"cannot write .*none/a: No such file.*; give another place"),
        files.writing(tmp_path / "none" / "a", "give another place"),
    ):
        (tmp_path / "none" / "a").write_bytes(b"")
