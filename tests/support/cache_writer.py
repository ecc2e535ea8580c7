"""A process that writes many blocks into a cache; what it runs must be importable there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from iqcli.pipeline.cache import Cache

if TYPE_CHECKING:
    from pathlib import Path

VECTOR = np.array([1.5, -7, 1e5, 0], np.float32)


def write_many(root: Path, offset: int) -> None:
    """Write 300 blocks from `offset` on; the exit code is the number of warnings."""
    warnings: list[str] = []
    cache = Cache(root, warnings.append)
    for number in range(offset, offset + 300):
        cache.remember_block(f"{number:064x}", "b", VECTOR)
        if number % 20 == 0:
            cache.flush()
    cache.close()
    sys.exit(len(warnings))
