"""What is not finished goes with its process: at once, or by the next run where that was killed."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from iqcli.fs import files, scratch
from iqcli.fs.scratch import ScratchFolder, scratch_folder, sweep

if TYPE_CHECKING:
    from pathlib import Path


def work_in(shop: ScratchFolder, photo: Path) -> None:
    """Leave a file in the scratch folder, and one beside a photo."""
    (shop.folder / "old.jpg").write_bytes(b"photo")
    shop.part_beside(photo).write_bytes(b"part")


def killed(state: Path, photo: Path) -> None:
    pid = os.fork()
    if pid == 0:
        with scratch_folder(state) as shop:
            work_in(shop, photo)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)


@pytest.mark.parametrize("name", ["IMG_1.jpg", "new\nline.jpg", os.fsdecode(b"\xff.jpg")])
def test_what_a_killed_process_left_is_swept_away(tmp_path: Path, name: str) -> None:
    state, photos = tmp_path / "state", tmp_path / "photos"
    photos.mkdir()
    (photos / name).write_bytes(b"photo")
    killed(state, photos / name)
    assert len(list(photos.iterdir())) == 2
    assert len(list((state / "work").rglob("*"))) == 4
    sweep(state)
    assert [each.name for each in photos.iterdir()] == [name]
    assert list((state / "work").iterdir()) == []


def test_who_still_works_is_left_alone_and_leaves_nothing(tmp_path: Path) -> None:
    state, photo = tmp_path / "state", tmp_path / "IMG_1.jpg"
    with scratch_folder(state) as shop:
        work_in(shop, photo)
        with scratch_folder(state):
            sweep(state)
        assert {each.name for each in shop.folder.iterdir()} == {"old.jpg", "parts"}
        assert len(list(tmp_path.glob(f"{files.PART}*"))) == 1
    assert list((state / "work").iterdir()) == []
    assert list(tmp_path.iterdir()) == [state]


def test_a_sweep_between_the_lock_file_and_its_lock_harms_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = scratch.try_lock, []

    def swept_first(fd: int, *, alone: bool) -> bool:
        """As where another run takes the new file for that of a dead one."""
        asked.append(fd)
        if len(asked) == 1:
            for each in (tmp_path / "work").iterdir():
                each.unlink()
            return False
        return real(fd, alone=alone)

    monkeypatch.setattr(scratch, "try_lock", swept_first)
    with scratch_folder(tmp_path) as shop:
        work_in(shop, tmp_path / "IMG_1.jpg")
        sweep(tmp_path)
        assert shop.folder.with_suffix(scratch.LOCK).exists()
        assert (shop.folder / "old.jpg").exists()
    assert list((tmp_path / "work").iterdir()) == []
    assert list(tmp_path.iterdir()) == [tmp_path / "work"]


def test_only_parts_are_swept_away(tmp_path: Path) -> None:
    state, photo = tmp_path / "state", tmp_path / "IMG_1.jpg"
    photo.write_bytes(b"photo")
    killed(state, photo)
    (listed,) = (state / "work").rglob("parts")
    listed.write_bytes(listed.read_bytes() + f'"{photo}"\n5\n"a\\u0000b"\n"to'.encode())
    sweep(state)
    assert photo.read_bytes() == b"photo"
    assert {each.name for each in tmp_path.iterdir()} == {"state", "IMG_1.jpg"}
