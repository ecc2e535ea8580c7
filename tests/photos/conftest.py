"""Fixtures of the tests of photos."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.photo_folder import PhotoFolder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder_of(tmp_path: Path) -> PhotoFolder:
    """An empty folder to fill."""
    return PhotoFolder(tmp_path)
