"""From paths to shots: walk folders, group names, yield every shot once.

Opens only photos whose names alone do not say whether they belong together.

What a walk passes over is counted in a `PassedOver`, so that a person hears of it.
"""

from __future__ import annotations

import os
import stat
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from iqcli.errors import IqError
from iqcli.fs.other_programs import Kind, OtherProgram
from iqcli.fs.read import is_in_cloud
from iqcli.photos.folder import Folder, IsPhoto, Rules, looks_like_photo, read_folder
from iqcli.photos.formats import OTHER_PICTURE, extension
from iqcli.photos.ignore import NO_MEDIA, OPTION, Ignore, RuleSet
from iqcli.photos.names import siblings
from iqcli.photos.names.evidence import Evidence
from iqcli.photos.names.read_evidence import ReadEvidence
from iqcli.photos.names.shots import Group, without_edits
from iqcli.records import Shot
from iqcli.text import display_path

OnProblem = Callable[[Path, str], None]
Identity = tuple[int, int]
IN_CLOUD = "its content is in the cloud, not on this disk; download it first"


@dataclass
class PassedOver:
    """What walks passed over, by the reason.

    Folders of other `programs` are counted by their names, the `libraries` among them listed, too.
    Folders and photos that a person excluded are counted by what excludes them (`--exclude`,
    `.iqignore`, `.nomedia`). `videos` belong to no shot; `pictures` are counted by their format,
    which is none of photos; `links` are to folders and photos.
    """

    programs: Counter[str] = field(default_factory=Counter)
    libraries: dict[Path, OtherProgram] = field(default_factory=dict)
    hidden: Counter[str] = field(default_factory=Counter)
    folders: Counter[str] = field(default_factory=Counter)
    photos: Counter[str] = field(default_factory=Counter)
    videos: int = 0
    pictures: Counter[str] = field(default_factory=Counter)
    links: int = 0

    def add_program(self, folder: Path, program: OtherProgram) -> None:
        """Count a folder of another program."""
        self.programs[folder.name] += 1
        if program.kind is Kind.LIBRARY:
            self.libraries[folder] = program


def find_shots(
    paths: Iterable[Path],
    *,
    follow_links: bool = False,
    default_excludes: bool = True,
    exclude: Iterable[str] = (),
    is_photo: IsPhoto = looks_like_photo,
    evidence: Evidence | None = None,
    on_problem: OnProblem,
    passed: PassedOver | None = None,
) -> Iterator[Shot]:
    """Yield the shots of `paths` in the order given, inside a folder in byte order of the names.

    A folder is walked to the end, a file brings its whole shot; a file that is no photo is still
    yielded, so that reading it reports why. Names that a walk skips (folders of other programs,
    what is hidden, links, what `.nomedia` and `.iqignore` exclude) count where they are given
    themselves. `exclude` holds for files that are given, too; a shot goes by its primary file, so
    that none is torn apart, and where that is an edit, by its original. A shot reached twice is
    yielded once. `is_photo` decides on files of unknown extension, `evidence` (by default the files
    themselves) on names that may belong together; what cannot be listed or is not on this disk goes
    to `on_problem`, and what is passed over is counted in `passed`.
    Raises IqError for a path that does not exist, before anything is yielded, and for an
    `.iqignore` that cannot be used.
    """
    given = [(path, _status(path)) for path in paths]
    rules = Rules(follow_links, default_excludes, is_photo, tuple(exclude))
    counts = PassedOver() if passed is None else passed
    return _Finder(rules, evidence or ReadEvidence(), on_problem, counts).find(given)


def find_again(paths: Iterable[Path], roots: Sequence[Path] = ()) -> list[Shot]:
    """The shots of these paths as they are now, without the unlistable.

    `roots`, where given, are the roots of the shots that the paths were files of, one for each:
    files in another folder count where they lie under that root, as they did when it was walked.
    """
    given = [(path, _status(path)) for path in paths]
    within = dict(zip((path for path, _ in given), roots, strict=True)) if roots else {}
    rules = Rules(follow_links=False, default_excludes=True, is_photo=looks_like_photo)
    finder = _Finder(rules, ReadEvidence(), lambda _, __: None, PassedOver(), within)
    return list(finder.find(given))


def by_file(shots: Iterable[Shot]) -> dict[Path, Shot]:
    """The shot of each file."""
    return {path: shot for shot in shots for path in shot.files}


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
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
    in_cloud: set[str]


@dataclass(frozen=True, slots=True)
class _Subfolder:
    path: Path
    ignore: Ignore


class _Finder:
    def __init__(
        self,
        rules: Rules,
        evidence: Evidence,
        on_problem: OnProblem,
        passed: PassedOver,
        within: Mapping[Path, Path] | None = None,
    ) -> None:
        self._rules = rules
        self._evidence = evidence
        self._on_problem = on_problem
        self._passed = passed
        self._asked = RuleSet(rules.exclude, OPTION) if rules.exclude else None
        self._roots: set[Identity] = set()
        self._walked: set[Identity] = set()
        self._ignored: dict[Identity, set[str]] = defaultdict(set)
        self._named: dict[Identity, set[str]] = defaultdict(set)
        self._siblings: dict[tuple[Path, bool], _Siblings] = {}
        self._within = within or {}
        # Raw files in folders of their own: the files that go with each picture, and its picture.
        self._joined: dict[Path, tuple[Path, ...]] = {}
        self._absorbed: dict[Path, Path] = {}
        self._ahead: dict[Path, Folder] = {}

    def find(self, given: list[tuple[Path, os.stat_result]]) -> Iterator[Shot]:
        folders = [each for _, each in given if stat.S_ISDIR(each.st_mode)]
        self._roots = {(each.st_dev, each.st_ino) for each in folders}
        for path, status in given:
            if stat.S_ISDIR(status.st_mode):
                yield from self._walk(path)
            elif stat.S_ISREG(status.st_mode):
                yield from self._file(path)
            else:
                self._on_problem(path, "it is neither a file nor a folder")

    def _walk(self, root: Path) -> Iterator[Shot]:
        # An explicit stack: a tree may be deeper than Python's recursion limit.
        stack = [self._inside(_Subfolder(root, Ignore.at(root, self._asked)), root)]
        while stack:
            item = next(stack[-1], None)
            if item is None:
                stack.pop()
            elif isinstance(item, Shot):
                yield item
            else:
                stack.append(self._inside(item, root))

    def _inside(self, place: _Subfolder, root: Path) -> Iterator[Shot | _Subfolder]:
        """The shots and subfolders of a folder that was not walked before, in byte order."""
        path, ignore = place.path, place.ignore
        try:
            identity = _identity(path)
            if identity in self._walked:
                return
            folder = self._ahead.pop(path, None) or self._read(path)
        except OSError as error:
            self._on_problem(path, f"it cannot be listed: {error.strerror}")
            return
        if identity not in self._roots and self._passes(path, folder):
            return
        self._walked.add(identity)
        self._count(path, folder)
        for name in folder.rules:
            ignore = ignore.joined(path / name)
        self._join(path, folder, ignore)
        shots = folder.shots
        if self._absorbed:
            shots = [shot for shot in shots if path / shot[0] not in self._absorbed]
        if ignore.sets:
            shots = [
                self._led(path, shot, lambda name: bool(ignore.source(name))) for shot in shots
            ]
        groups = {shot[0]: shot for shot in shots}
        for name in sorted([*groups, *folder.folders], key=os.fsencode):
            is_folder = name not in groups
            if ignore.sets and self._is_ignored(path, name, ignore, identity, is_folder):
                continue
            if is_folder:
                yield _Subfolder(path / name, ignore.inside(name))
            elif name not in self._named.get(identity, ()):
                yield from self._shot(root, path, groups[name], folder.in_cloud)

    def _led(self, path: Path, shot: Group, is_out: Callable[[str], bool]) -> Group:
        """A shot whose edit is excluded is led by its original."""
        other = without_edits(shot, is_out) if is_out(shot[0]) else None
        if other is None:
            return shot
        if joined := self._joined.get(path / shot[0]):
            self._joined[path / other[0]] = joined
        return other

    def _read(self, path: Path) -> Folder:
        return read_folder(path, self._rules, self._evidence)

    def _join(self, path: Path, folder: Folder, ignore: Ignore | None) -> None:
        """See which raw files in subfolders, or in this folder, go with pictures in the others.

        Folders that the walk will not enter from here, or that say what to pass over, are no part.
        """
        pictures, raws = {path: folder.shots}, {path: folder.shots}
        for name in folder.folders:
            is_raw = siblings.is_raw_folder(name)
            if not is_raw and not siblings.is_picture_folder(name):
                continue
            if inside := self._read_ahead(path / name, name, ignore):
                (raws if is_raw else pictures)[path / name] = inside.shots
        if len(pictures) == len(raws) == 1:
            return
        files = {
            place / shot[0]: tuple(place / name for name in (shot[0], *shot[1]))
            for place, shots in raws.items()
            for shot in shots
        }
        for raw, picture in siblings.join(pictures, raws, self._evidence).items():
            self._joined[picture] = files[raw]
            self._absorbed[raw] = picture

    def _read_ahead(self, path: Path, name: str, ignore: Ignore | None) -> Folder | None:
        """A subfolder that will be walked, read already; None for any other."""
        try:
            if path.is_symlink() or _identity(path) in self._walked | self._roots:
                return None
            if ignore and ignore.sets and ignore.source(f"{name}/") is not None:
                return None
            found = self._ahead[path] = self._read(path)
        except OSError:
            return None
        others = found.owner or found.no_media or found.rules or found.in_cloud
        return None if others else found

    def _passes(self, path: Path, folder: Folder) -> bool:
        """Whether a folder that was not given is passed over because of a file in it."""
        if folder.owner:
            self._passed.add_program(path, folder.owner)
        elif folder.no_media:
            self._passed.folders[NO_MEDIA] += 1
        return folder.owner is not None or folder.no_media

    def _count(self, path: Path, folder: Folder) -> None:
        """Count what `read_folder` left out, but for folders that were given themselves."""
        self._passed.videos += len(folder.videos)
        self._passed.pictures.update(OTHER_PICTURE[extension(name)] for name in folder.pictures)
        self._passed.links += folder.links
        for name, program in folder.owned.items():
            if not self._is_root(path / name):
                self._passed.add_program(path / name, program)
        self._passed.hidden.update(name for name in folder.hidden if not self._is_root(path / name))

    def _is_ignored(
        self, path: Path, name: str, ignore: Ignore, identity: Identity, is_folder: bool
    ) -> bool:
        source = ignore.source(f"{name}/" if is_folder else name)
        if source is None or (is_folder and self._is_root(path / name)):
            return source is not None
        if not is_folder:
            self._ignored[identity].add(name)
        (self._passed.folders if is_folder else self._passed.photos)[source] += 1
        return True

    def _is_root(self, folder: Path) -> bool:
        try:
            return _identity(folder) in self._roots
        except OSError:
            return False

    def _file(self, path: Path, within: Path | None = None) -> Iterator[Shot]:
        parent, name = path.parent, path.name
        within = within or self._within.get(path)
        beside = self._beside(parent, self._rules.hides(name))
        shot = beside.groups.get(name, (name, ()))
        picture = self._absorbed.get(parent / shot[0])
        if picture and within and picture.is_relative_to(within):
            yield from self._file(picture, within)
            return
        done = self._named[beside.identity]
        walked = beside.identity in self._walked and name in beside.groups
        walked = walked and shot[0] not in self._ignored[beside.identity]
        if shot[0] in done or (walked and not self._rules.hides(shot[0])):
            return
        done.add(shot[0])
        if self._asked:
            asked = self._asked
            shot = self._led(parent, shot, lambda name: bool(asked.verdict(name)))
            if asked.verdict(shot[0]):
                self._passed.photos[OPTION] += 1
                return
        in_cloud = beside.in_cloud | ({name} if is_in_cloud(path.stat()) else set())
        yield from self._shot(within or parent, parent, shot, in_cloud)

    def _beside(self, parent: Path, hidden: bool) -> _Siblings:
        """The shots of a folder by every name in them, read once however many files are given."""
        key = (parent, hidden)
        if key not in self._siblings:
            rules = replace(self._rules, default_excludes=False) if hidden else self._rules
            try:
                folder = read_folder(parent, rules, self._evidence)
            except OSError as error:
                why = f"it cannot be listed, companions in it are not seen: {error.strerror}"
                self._on_problem(parent, why)
                folder = Folder()
            self._join(parent, folder, None)
            if self._within and siblings.is_sibling(parent.name):
                with suppress(OSError):
                    self._join(parent.parent, self._read(parent.parent), None)
            groups = {name: shot for shot in folder.shots for name in (shot[0], *shot[1])}
            self._siblings[key] = _Siblings(_identity(parent), groups, folder.in_cloud)
        return self._siblings[key]

    def _shot(self, root: Path, folder: Path, shot: Group, in_cloud: set[str]) -> Iterator[Shot]:
        primary, companions = shot
        first, files = folder / primary, [folder / name for name in companions]
        if self._joined and (joined := self._joined.get(first)):
            files += [each for each in joined if each.is_relative_to(root)]
            files.sort(key=os.fsencode)
        if in_cloud and not in_cloud.isdisjoint((primary, *companions)):
            self._on_problem(first, IN_CLOUD)
            return
        yield Shot(root, first, tuple(files))


def _identity(folder: Path) -> Identity:
    status = folder.stat()
    return status.st_dev, status.st_ino
