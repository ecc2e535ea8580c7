"""One run over photos: find, measure, rate and report, with the counts of what became of each."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from iqcli import interrupts
from iqcli.cli.console import counted, info, problem, progress, warn
from iqcli.errors import Exit, IqError, NothingFound
from iqcli.records import is_damaged
from iqcli.text import display_path, escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from iqcli.extractors.base import AnyBlock
    from iqcli.models.base import RatedModel
    from iqcli.models.registry import Registry
    from iqcli.photos.find import OnProblem, PassedOver
    from iqcli.photos.read import PhotoReader
    from iqcli.pipeline.cache import Cache
    from iqcli.pipeline.kept import Kept
    from iqcli.pipeline.thumbnails import ThumbnailSpec, ThumbnailStore
    from iqcli.records import Photo, Shot
    from iqcli.settings import Settings


@dataclass
class Counts:
    """What became of the photos of a run. `done`, `failed` and `unscored` add up to all of them.

    `unlisted` are paths that could not be looked at, `unwritten` files that could not be edited.
    `damaged` are those of `done` of which a part is missing, `by_stand_in` those judged by another
    file than the one that should lead the shot; `unreadable` are such files that are no pictures at
    all. With `ignores_unreadable` what could not be read is no reason for an exit code of its own.
    """

    done: int = 0
    damaged: int = 0
    by_stand_in: int = 0
    unreadable: dict[Path, str] = field(default_factory=dict)
    failed: dict[Path, str] = field(default_factory=dict)
    unscored: dict[Path, str] = field(default_factory=dict)
    unlisted: int = 0
    unwritten: int = 0
    ignores_unreadable: bool = False

    def add_measured(self, photo: Photo) -> None:
        """Count a photo that was measured, or could not be."""
        if photo.blocks is None and photo.rating is None:
            self.failed[photo.shot.path] = photo.error or "no reason known"
        else:
            self._add(photo, 1)
        if photo.broken:
            self.unreadable |= unreadable_files(photo)

    def add_rated(self, photo: Photo) -> None:
        """Move a photo that was measured, but got no score, from `done` to `unscored`."""
        if photo.error and photo.shot.path not in self.failed:
            self._add(photo, -1)
            self.unscored[photo.shot.path] = photo.error

    def add_arrived(self, photo: Photo) -> None:
        """Count a photo that was measured and rated, or could not be."""
        if photo.error:
            self.unscored[photo.shot.path] = photo.error
        else:
            self._add(photo, 1)
        if photo.broken:
            self.unreadable |= unreadable_files(photo)

    def _add(self, photo: Photo, count: int) -> None:
        self.done += count
        self.damaged += count * is_damaged(photo)
        self.by_stand_in += count * bool(photo.broken)

    def add_unlisted(self) -> None:
        """Count a path that could not be looked at."""
        self.unlisted += 1

    def add_unwritten(self, files: int) -> None:
        """Count files that could not be edited."""
        self.unwritten += files

    @property
    def is_complete(self) -> bool:
        """Whether nothing was left out."""
        unread = self.failed or self.unscored or self.unreadable
        return not (unread or self.unlisted or self.unwritten)

    @property
    def exit_code(self) -> Exit:
        """The exit code of the run."""
        if self.ignores_unreadable and not (self.unlisted or self.unwritten):
            return Exit.DONE
        return Exit.DONE if self.is_complete else Exit.SOME_FAILED

    def describe(self, verb: str, came: str = "") -> str:
        """The counts in one line; `verb` is what was done with the photos, `came` what they did."""
        total = counted(self.done + len(self.failed) + len(self.unscored), "photo") + came
        failed = f", {len(self.failed):,} could not be read" if self.failed else ""
        unscored = f", {len(self.unscored):,} without a score" if self.unscored else ""
        skipped = f"; {counted(self.unlisted, 'path')} passed over" if self.unlisted else ""
        which = [f"{self.damaged:,} damaged"] if self.damaged else []
        which += [f"{self.by_stand_in:,} by another file of their shot"] if self.by_stand_in else []
        of_them = f" ({', '.join(which)})" if which else ""
        return f"{total}: {self.done:,} {verb}{of_them}{failed}{unscored}{skipped}"


def unreadable_files(photo: Photo) -> dict[Path, str]:
    """The files in whose place another one of the shot is judged, and why; not the damaged ones."""
    instead = escape(photo.shot.path.name)
    return {
        each.path: f"{each.why}; {instead} is judged in its place"
        for each in photo.broken
        if not each.is_readable
    }


@dataclass
class Session:
    """The settings and the photos that a command line asks for, and the counts of the run.

    Shots come from `find` and flow through the generators `measure` and `rate`; `photos` is all.
    `origins` says where each setting comes from.
    """

    settings: Settings
    given: tuple[str, ...]
    from0: bool
    follow_links: bool
    default_excludes: bool
    use_cache: bool
    quiet: bool
    origins: Mapping[str, str] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)

    @cached_property
    def cache(self) -> Cache:
        """The cache of this run, which `close` closes."""
        from iqcli.pipeline.cache import Cache

        if not self.use_cache:
            interrupts.keep_nothing()
        return Cache(self.settings.cache_dir if self.use_cache else None, warn)

    @cached_property
    def passed(self) -> PassedOver:
        """What the run passed over so far."""
        from iqcli.photos.find import PassedOver

        return PassedOver()

    @cached_property
    def registry(self) -> Registry:
        """The models and weights that the settings point to."""
        from iqcli.models.registry import Registry

        return Registry.of(self.settings)

    @cached_property
    def model(self) -> RatedModel:
        """The model of the settings. Raises IqError where it cannot be loaded."""
        return self.registry.load(self.settings.model)

    def close(self) -> None:
        """Close the cache, if it was opened."""
        if "cache" in vars(self):
            self.cache.close()

    def photos(
        self, *, grouped: bool = False, store: ThumbnailStore | None = None
    ) -> Iterator[Photo]:
        """Every photo of the paths with its rating or the reason for none, in path order.

        With `grouped` each has the descriptor that `culling.grouping.group` needs. The
        thumbnails that `store` wants are made along the way and kept there.
        """
        from iqcli.models.scoring import blocks_for, kept_for

        blocks = blocks_for(self.model, grouped=grouped)
        if store:
            pictures = self.measure(blocks, self.find(), thumbnails=store.wanted)
            yield from self.rate(store.collect(pictures), grouped=grouped)
            return
        kept = kept_for(self.model, self.cache, self.settings, grouped=grouped)
        measured = self.measure(blocks, self.find(), kept=kept)
        yield from self.rate(measured, grouped=grouped, kept=kept)

    def find(self, paths: Sequence[Path] | None = None) -> list[Shot]:
        """The shots of these paths, by default of those given; what cannot be listed is counted.

        Raises NothingFound where there is none and nothing says why.
        """
        shots = list(
            self.walk(self.paths if paths is None else paths, self.skip, passed=self.passed)
        )
        if not shots and not self.counts.unlisted:
            names = self.given if paths is None else tuple(map(str, paths))
            links, self.passed.links = self.passed.links, 0
            self.report_passed()
            way = f", but {counted(links, 'link')}; give -L to follow links" if links else ""
            raise NothingFound(f"no photo in {_places(names)}{way}")
        return shots

    def walk(
        self,
        paths: Iterable[Path],
        on_problem: OnProblem,
        *,
        skip: Callable[[str], bool] = lambda _: False,
        passed: PassedOver | None = None,
    ) -> Iterator[Shot]:
        """The shots of these paths by the rules of the shared options, problems to `on_problem`.

        No file of an unknown extension is opened whose name `skip` holds for. What is passed over
        is counted in `passed`.
        """
        from iqcli.photos.find import find_shots
        from iqcli.photos.folder import looks_like_photo
        from iqcli.pipeline.cached_evidence import CachedEvidence

        def is_photo(path: Path, status: os.stat_result) -> bool:
            return not skip(path.name) and self.cache.is_photo(path, status, looks_like_photo)

        return find_shots(
            paths,
            follow_links=self.follow_links,
            default_excludes=self.default_excludes,
            exclude=self.settings.exclude,
            is_photo=is_photo,
            evidence=CachedEvidence(self.cache),
            on_problem=on_problem,
            passed=passed,
        )

    def measure(
        self,
        blocks: Sequence[AnyBlock],
        shots: Sequence[Shot],
        distorted: PhotoReader | None = None,
        *,
        thumbnails: Sequence[ThumbnailSpec] = (),
        tracked: bool = True,
        kept: Kept | None = None,
    ) -> Iterator[Photo]:
        """Every shot with these blocks and thumbnails, counted, under a progress bar.

        Read by `distorted` they have a fault, and are not counted: they are not a person's photos.
        If not `tracked` there are neither counts nor a bar.
        """
        from iqcli.pipeline.measure import measure

        photos = measure(
            shots,
            blocks,
            self.cache,
            self.settings,
            thumbnails=thumbnails,
            reader=distorted,
            kept=kept,
        )
        for photo in progress(photos, len(shots), quiet=self.quiet or not tracked):
            if tracked and distorted is None:
                self.counts.add_measured(photo)
            yield photo

    def rate(
        self, photos: Iterable[Photo], *, grouped: bool = False, kept: Kept | None = None
    ) -> Iterator[Photo]:
        """Rate photos with the blocks of the model; those without a score are counted."""
        from iqcli.models.scoring import judge

        for photo in judge(photos, self.model, grouped=grouped, kept=kept):
            self.counts.add_rated(photo)
            yield photo

    def report(self, verb: str = "scored") -> Exit:
        """Show which photos failed, and the counts; the exit code of the run."""
        counts = self.counts
        for path, reason in (counts.failed | counts.unscored | counts.unreadable).items():
            problem(path, reason)
        self.report_passed()
        if not self.quiet:
            info(self.counts.describe(verb))
        return self.counts.exit_code

    def report_passed(self, passed: PassedOver | None = None) -> None:
        """Show what was passed over, by default in all of the run."""
        if not self.quiet:
            from iqcli.cli.passed_over import lines

            for line in lines(passed or self.passed):
                info(line)

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
                self.skip(path, "there is no such file")
        return [path for path in found if os.path.lexists(path)]

    def skip(self, path: Path, reason: str) -> None:
        """Show why a path is passed over, and count it."""
        self.counts.add_unlisted()
        problem(path, reason)


def _places(given: Sequence[str]) -> str:
    names = ["the list on stdin" if each == "-" else display_path(Path(each)) for each in given]
    more = f" and {counted(len(names) - 3, 'other path')}" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
