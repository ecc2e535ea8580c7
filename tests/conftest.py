"""Fixtures of the tests of the command line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import programs
import pytest
from hub import Hub
from photos.make import encoded, noise, scene
from pulls import DATA, MODEL
from shell import Iq

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from _pytest.terminal import TerminalReporter

LONG_AGO = 1_600_000_000_123_456_789


def pytest_configure(config: pytest.Config) -> None:
    programs.register(config)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    programs.require(item)


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    programs.tell(terminalreporter)


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
    """A model hub that holds `DATA`, see `pulls.ON_HUB`."""
    with Hub() as found:
        found.put(MODEL, "net.pth", DATA)
        yield found
