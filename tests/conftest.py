"""Fixtures of the tests of the command line."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support import required_programs
from support.cli_runner import Iq
from support.fake_trash import Trash, a_trash
from support.http_hub import Hub
from support.images import encoded, noise, scene
from support.photo_trees import grow_shots
from support.weight_rows import DATA, MODEL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _pytest.terminal import TerminalReporter

MEMORY = Path("/dev/shm")
LONG_AGO = 1_600_000_000_123_456_789


def pytest_configure(config: pytest.Config) -> None:
    required_programs.register(config)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    required_programs.require(item)


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    required_programs.tell(terminalreporter)


@pytest.fixture
def iq(tmp_path: Path) -> Iq:
    """A command line whose current folder holds `photos/`, empty."""
    (tmp_path / "here" / "photos").mkdir(parents=True)
    (tmp_path / "home").mkdir()
    return Iq(tmp_path / "home", tmp_path / "here")


@pytest.fixture
def roll(iq: Iq) -> Path:
    """`photos/` filled with six photos in two folders, from noise to a flat picture."""
    folder = iq.cwd / "photos"
    (folder / "day").mkdir()
    pictures = {
        "IMG_1.jpg": scene(320, 240),
        "IMG_2.jpg": noise(320, 240),
        "IMG_3.jpg": scene(320, 240) // 8,
        "day/IMG_4.jpg": np.full((240, 320, 3), 90, np.uint8),
        "day/IMG_5.jpg": np.clip(scene(320, 240).astype(int) + noise(320, 240) // 4, 0, 255),
        "day/IMG_6.jpg": noise(400, 300) // 3,
    }
    for number, (name, picture) in enumerate(pictures.items()):
        path = folder / name
        path.write_bytes(encoded(picture.astype(np.uint8), "JPEG", quality=92))
        path.chmod((0o644, 0o600, 0o444)[number % 3])
        os.utime(path, ns=(LONG_AGO, LONG_AGO + number))
    return folder


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that the tests of a file share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def seen(iq: Iq, roll: Path, shared_cache: Path) -> Iq:
    """A command line that has measured and drawn the roll before: it needs to load little."""
    iq.changes["IQ_CACHE_DIR"] = str(shared_cache)
    if not any(shared_cache.iterdir()):
        assert iq("cull", "photos", "--html", "sheet.html").code == 0
        (iq.cwd / "sheet.html").unlink()
    return iq


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A model hub that holds `DATA`."""
    with Hub() as found:
        found.put(MODEL, "net.pth", DATA)
        yield found


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """A folder where fsync costs nothing, for thousands of runs; else the usual one."""
    if not MEMORY.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        yield Path(name).resolve()


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """torch on one thread: two that wait for a busy core are many times slower."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks compute in float32, whatever this machine is good at."""
    from iqcli.extractors import base
    from iqcli.runtime import library

    monkeypatch.setattr(base, "autocast_type", lambda device: None)
    monkeypatch.setattr(library, "has_bfloat16", lambda: False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with the shots of `photo_trees`."""
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
