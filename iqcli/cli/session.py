"""One run over photos: from the paths on the command line to judged shots and honest counts."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from iqcli.cli.console import counted, progress, say, warn
from iqcli.errors import Exit, IqError, NothingFound
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from iqcli.distortions.ladders import DistortedReader
    from iqcli.extractors.base import AnyBlock
    from iqcli.pipeline.cache import Cache
    from iqcli.pipeline.thumbnails import ThumbnailSpec, ThumbnailStore
    from iqcli.records import Photo, Shot
    from iqcli.settings import Settings


@dataclass
class Run:
    """What the shared options ask for, and what became of each shot so far."""

    settings: Settings
    given: tuple[str, ...]
    from0: bool
    follow_links: bool
    default_excludes: bool
    use_cache: bool
    quiet: bool
    done: int = 0
    failed: dict[Path, str] = field(default_factory=dict)
    unscored: dict[Path, str] = field(default_factory=dict)
    unlisted: int = 0
    unwritten: int = 0

    def judged(
        self, *, grouped: bool = False, store: ThumbnailStore | None = None
    ) -> Iterator[Photo]:
        """Every shot with its rating or the reason for none, in path order.

        With `grouped` each has the look that `iqcli.culling.grouping.group` asks for. What
        `store` wants of small pictures is made along, and set down there.
        small pictures is made along, and set down there.
        """
        from iqcli.models.registry import load
        from iqcli.models.scoring import blocks_for, judge

        model = load(self.settings.model)
        blocks = blocks_for(model, grouped=grouped)
        measured = self.measured(blocks, thumbnails=store.wanted if store else ())
        passing = store.collect(measured) if store else measured
        for each in judge(passing, model, grouped=grouped):
            if each.error and each.shot.path not in self.failed:  # measured, but without a score
                self.done -= 1
                self.unscored[each.shot.path] = each.error
            yield each

    def measured(
        self,
        blocks: Sequence[AnyBlock],
        shots: Sequence[Shot] | None = None,
        spoil: DistortedReader | None = None,
        thumbnails: Sequence[ThumbnailSpec] = (),
    ) -> Iterator[Photo]:
        """Every shot (those of the paths, unless given) with these blocks and thumbnails, counted.

        With `spoil` they are measured as if they had that fault, and not counted: they are not the
        person's photos. Raises NothingFound where the paths hold no shot.
        """
        from iqcli.photos.formats import decoder_fingerprint
        from iqcli.pipeline.cache import Cache
        from iqcli.pipeline.measure import measure

        cache = Cache(self.settings.cache_dir if self.use_cache else None, warn)
        try:
            wanted = self._shots(cache) if shots is None else shots
            decoder = decoder_fingerprint() + (spoil.fingerprint if spoil else "")
            told = (wanted, blocks, cache, self.settings)
            found = measure(*told, thumbnails=thumbnails, decoder=decoder, decode=spoil)
            for each in progress(found, len(wanted), quiet=self.quiet):
                if spoil:
                    pass
                elif each.blocks is None:
                    self.failed[each.shot.path] = each.error or "no reason known"
                else:
                    self.done += 1
                yield each
        finally:
            cache.close()

    def finish(self, verb: str = "scored") -> Exit:
        """Say which photos failed and the counts, which add up; the exit code of the run."""
        for path, reason in (self.failed | self.unscored).items():
            say(f"iq: {display_path(path)}: {reason}")
        total = self.done + len(self.failed) + len(self.unscored)
        if not self.quiet:
            failed = f", {len(self.failed):,} could not be read" if self.failed else ""
            failed += f", {len(self.unscored):,} without a score" if self.unscored else ""
            over = f"; {counted(self.unlisted, 'path')} passed over" if self.unlisted else ""
            say(f"{counted(total, 'photo')}: {self.done:,} {verb}{failed}{over}")
        wanting = self.failed or self.unscored or self.unlisted or self.unwritten
        return Exit.SOME_FAILED if wanting else Exit.DONE

    @cached_property
    def paths(self) -> list[Path]:
        """The paths given, with `-` replaced by the list on stdin, which can be read only once."""
        if not self.given:
            raise IqError("no path is given; name a folder or photos, or - for a list on stdin")
        if "" in self.given:  # not "here": a script's variable is not set
            raise IqError("a path is empty; name a folder or photos, or . for this folder")
        found: list[Path] = []
        for each in self.given:
            found += self._listed() if each == "-" else [Path(each)]
        return found

    @property
    def folders(self) -> list[Path]:
        """The folders that the paths are, or lie in."""
        return [path if path.is_dir() else path.parent for path in self.paths]

    def _listed(self) -> list[Path]:
        names = sys.stdin.buffer.read().split(b"\0" if self.from0 else b"\n")
        found = [Path(os.fsdecode(name)) for name in names if name]
        for path in found:
            if not os.path.lexists(path):  # gone since the list was made
                self._unlisted(path, "there is no such file")
        return [path for path in found if os.path.lexists(path)]

    def _shots(self, cache: Cache) -> list[Shot]:
        from iqcli.photos.find import find_shots
        from iqcli.photos.folder import looks_like_photo

        shots = list(
            find_shots(
                self.paths,
                follow_links=self.follow_links,
                default_excludes=self.default_excludes,
                is_photo=lambda path, stat: cache.is_photo(path, stat, looks_like_photo),
                on_problem=self._unlisted,
            )
        )
        if not shots and not self.unlisted:
            raise NothingFound(f"no photo in {self._places()}")
        return shots

    def _places(self) -> str:
        names = ["the list on stdin" if p == "-" else display_path(Path(p)) for p in self.given]
        more = f" and {counted(len(names) - 3, 'other path')}" if len(names) > 3 else ""
        return ", ".join(names[:3]) + more

    def _unlisted(self, path: Path, reason: str) -> None:
        self.unlisted += 1
        say(f"iq: {display_path(path)}: {reason}")
