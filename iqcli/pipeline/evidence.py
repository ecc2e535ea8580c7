"""What photos of related names hold, from the cache where they are unchanged.

A warm run opens none of them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from iqcli.photos.names.evidence import UNKNOWN, Likeness
from iqcli.photos.names.reading import ReadEvidence

if TYPE_CHECKING:
    from pathlib import Path

    from iqcli.photos.names.evidence import Header
    from iqcli.pipeline.cache import Cache


class CachedEvidence(ReadEvidence):
    """Reads files that the cache does not know. Only for the thread that may write to the cache."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def header(self, path: Path) -> Header:
        """The header of a photo or a film; `UNKNOWN` where it cannot be read."""
        try:
            status = path.stat()
        except OSError:
            return UNKNOWN
        known = self._cache.header(path, status)
        if known is None:
            at_ns = time.time_ns()
            known = super().header(path)
            self._cache.remember_header(path, status, at_ns, known)
        return known

    def likeness(self, edit: Path, original: Path) -> Likeness:
        """How two pictures look beside each other."""
        try:
            one, other = edit.stat(), original.stat()
        except OSError:
            return Likeness.UNREADABLE
        known = self._cache.likeness(edit, one, original, other)
        if known is not None and known in set(Likeness):
            return Likeness(known)
        at_ns = time.time_ns()
        found = super().likeness(edit, original)
        self._cache.remember_likeness(edit, one, original, other, at_ns, found)
        return found
