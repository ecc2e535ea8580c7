"""What photos of related names hold, from the cache where they are unchanged.

A warm run opens none of them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from iqcli.photos.names.evidence import Look
from iqcli.photos.names.read_evidence import ReadEvidence

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from iqcli.photos.names.evidence import Header
    from iqcli.pipeline.cache import Cache


class CachedEvidence(ReadEvidence):
    """Reads files that the cache does not know. Only for the thread that may write to the cache."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def read_header(self, path: Path, status: os.stat_result) -> Header:
        """The header of a file, from the cache if it is unchanged."""
        known = self._cache.header(path, status)
        if known is None:
            at_ns = time.time_ns()
            known = super().read_header(path, status)
            self._cache.remember_header(path, status, at_ns, known)
        return known

    def read_likeness(
        self, edit: Path, one: os.stat_result, original: Path, other: os.stat_result
    ) -> Look:
        """How two pictures look, from the cache if they are unchanged."""
        known = self._cache.likeness(edit, one, original, other)
        if known is not None and known in set(Look):
            return Look(known)
        at_ns = time.time_ns()
        found = super().read_likeness(edit, one, original, other)
        self._cache.remember_likeness(edit, one, original, other, at_ns, found)
        return found
