"""From paths to shots: walk folders, group names, yield every shot once. Opens no photo."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from iqcli.errors import IqError
from iqcli.photos.filenames import Group
from iqcli.photos.folder import Folder, IsPhoto, Rules, is_in_cloud, looks_like_photo, read_folder
from iqcli.records import Shot
from iqcli.text import display_path

OnProblem = Callable[[Path, str], None]
Identity = tuple[int, int]
IN_CLOUD = "its content is in the cloud, not on this disk; download it first"


def find_shots(
    paths: Iterable[Path],
    *,
    follow_links: bool = False,
    default_excludes: bool = True,
    is_photo: IsPhoto = looks_like_photo,
    on_problem: OnProblem,
) -> Iterator[Shot]:
    """Yield the shots of `paths` in the order given, inside a folder in byte order of the names.

    A folder is walked to the end, a file brings its whole shot; a file that is no photo is still
    yielded, so that reading it reports why. Names that a walk skips (excludes, links) count where
    they are given themselves. A shot reached twice is yielded once. `is_photo` decides on files of
    unknown extension; what cannot be listed or is not on this disk goes to `on_problem`.
    Raises IqError for a path that does not exist, before anything is yielded.
    """
    given = [(path, _mode(path)) for path in paths]
    rules = Rules(follow_links, default_excludes, is_photo)
    return _Finder(rules, on_problem).find(given)


def find_again(paths: Iterable[Path]) -> dict[Path, Shot]:
    """The shots of these paths as they are now, by their primary files, without the unlistable."""
    return {shot.path: shot for shot in find_shots(paths, on_problem=lambda _, __: None)}


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        raise IqError(f"there is no file or folder {display_path(path)}; check the name") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise IqError(
            f"cannot look at {display_path(path)}: {why}; check the name and your rights"
        ) from None


@dataclass(frozen=True, slots=True)
class _Siblings:
    """A folder of which single files are given."""

    identity: Identity
    groups: dict[str, Group]
    in_cloud: frozenset[str]


class _Finder:
    def __init__(self, rules: Rules, on_problem: OnProblem) -> None:
        self._rules = rules
        self._on_problem = on_problem
        self._walked: set[Identity] = set()
        self._named: dict[Identity, set[str]] = defaultdict(set)
        self._siblings: dict[tuple[Path, bool], _Siblings] = {}

    def find(self, given: list[tuple[Path, int]]) -> Iterator[Shot]:
        for path, mode in given:
            if stat.S_ISDIR(mode):
                yield from self._walk(path)
            elif stat.S_ISREG(mode):
                yield from self._file(path)
            else:
                self._on_problem(path, "it is neither a file nor a folder")

    def _walk(self, root: Path) -> Iterator[Shot]:
        # An explicit stack: a tree may be deeper than Python's recursion limit.
        stack = [self._inside(root, root)]
        while stack:
            item = next(stack[-1], None)
            if item is None:
                stack.pop()
            elif isinstance(item, Shot):
                yield item
            else:
                stack.append(self._inside(item, root))

    def _inside(self, path: Path, root: Path) -> Iterator[Shot | Path]:
        """The shots and subfolders of a folder that was not walked before, in byte order."""
        try:
            identity = _identity(path)
            if identity in self._walked:
                return
            self._walked.add(identity)
            folder = read_folder(path, self._rules)
        except OSError as error:
            self._on_problem(path, f"it cannot be listed: {error.strerror}")
            return
        groups = {shot[0]: shot for shot in folder.shots}
        for name in sorted([*groups, *folder.folders], key=os.fsencode):
            if name not in groups:
                yield path / name
            elif name not in self._named.get(identity, ()):
                yield from self._shot(root, path, groups[name], folder.in_cloud)

    def _file(self, path: Path) -> Iterator[Shot]:
        parent, name = path.parent, path.name
        siblings = self._beside(parent, self._rules.excludes(name))
        shot = siblings.groups.get(name, (name, ()))
        done = self._named[siblings.identity]
        walked = siblings.identity in self._walked and name in siblings.groups
        if shot[0] in done or (walked and not self._rules.excludes(shot[0])):
            return
        done.add(shot[0])
        in_cloud = siblings.in_cloud | ({name} if is_in_cloud(path.stat()) else set())
        yield from self._shot(parent, parent, shot, in_cloud)

    def _beside(self, parent: Path, hidden: bool) -> _Siblings:
        """The shots of a folder by every name in them, read once however many files are given."""
        key = (parent, hidden)
        if key not in self._siblings:
            rules = replace(self._rules, default_excludes=False) if hidden else self._rules
            try:
                folder = read_folder(parent, rules)
            except OSError as error:
                why = f"it cannot be listed, companions in it are not seen: {error.strerror}"
                self._on_problem(parent, why)
                folder = Folder([], [], frozenset())
            groups = {name: shot for shot in folder.shots for name in (shot[0], *shot[1])}
            self._siblings[key] = _Siblings(_identity(parent), groups, folder.in_cloud)
        return self._siblings[key]

    def _shot(
        self, root: Path, folder: Path, shot: Group, in_cloud: frozenset[str]
    ) -> Iterator[Shot]:
        primary, companions = shot
        if in_cloud and not in_cloud.isdisjoint((primary, *companions)):
            self._on_problem(folder / primary, IN_CLOUD)
            return
        yield Shot(root, folder / primary, tuple(folder / name for name in companions))


def _identity(folder: Path) -> Identity:
    status = folder.stat()
    return status.st_dev, status.st_ino
