"""Unrelated photos of cameras that count alike are shots of their own. More in tests/bench."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from support.phone_files import jpeg
from support.unrelated import named

from iqcli.photos.names.shots import group

if TYPE_CHECKING:
    from pathlib import Path


def test_no_two_of_them_become_one(tmp_path: Path) -> None:
    photos = [tmp_path / f"{seed}.jpg" for seed in range(60)]
    for seed, path in enumerate(photos):
        path.write_bytes(jpeg(100 + seed, None, None))
    asked, chance = 0, random.Random(13)
    for _ in range(8):
        given = named(photos, chance)
        assert [names for names in group(given.photos, (), tmp_path, given) if names[1]] == []
        asked += given.asked
    assert asked > 50
