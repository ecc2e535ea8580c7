"""How two pictures look beside each other."""

from __future__ import annotations

import numpy as np
import pytest
from support.drawn_scenes import plain
from support.phone_files import edit, shown

from iqcli.photos.names.evidence import Look
from iqcli.photos.names.looks import Small, compare

SIDES = (4000, 3000)


def small(pixels: np.ndarray) -> Small:
    return Small(pixels[::5, ::5].copy(), SIDES)


@pytest.mark.parametrize("level", [0, 3, 128, 255])
def test_a_plain_picture_is_like_no_other(level: int) -> None:
    blank = small(plain(level, 240, 360))
    photo = small(shown(1))
    assert compare(blank, photo) is compare(photo, blank) is Look.UNLIKE
    assert compare(blank, blank) is Look.SMALLER


def test_an_edit_is_like_its_original_and_like_no_other() -> None:
    assert compare(small(edit(shown(1))), small(shown(1))) is Look.ALIKE
    assert compare(small(edit(shown(1))), small(shown(2))) is Look.UNLIKE
