"""Fixtures of the culling tests."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .trashes import Trash, a_trash
from .trees import grow_shots

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY = Path("/dev/shm")


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """A folder where fsync costs nothing, for thousands of runs; else the usual one."""
    if not MEMORY.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        yield Path(name).resolve()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with the shots of `trees`."""
    folder = tmp_path / "photos"
    folder.mkdir()
    grow_shots(folder)
    return folder


@pytest.fixture
def bin_(quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trash:
    """A trash of our own on the disk of `quick_path`, and `quick_path/home` for a home."""
    return a_trash(quick_path / "home", monkeypatch)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where journals and locks go."""
    return tmp_path / "state"
