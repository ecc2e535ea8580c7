"""Writing, moving, linking and removing files: the only module that renames, links or unlinks.

Only `write_atomic` and `write_stream` replace a file that is not our own. A move that is cut off
leaves one of a few states behind, which `iqcli.transactions.steps` tells apart. A symbolic link is
removed only while it reads as it was made. Where folders are held (see `anchors`), every change is
made in them, and one that ended up elsewhere is taken back.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import secrets
import stat
import sys
import tempfile
from typing import TYPE_CHECKING, BinaryIO

from iqcli.errors import IqError, PhotoError
from iqcli.fs.anchors import at, is_anchored
from iqcli.fs.durable import NEW, copied, sync_folder, write_part
from iqcli.fs.read import sha256 as sha256
from iqcli.text import display_path, escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from iqcli.fs.anchors import Place

PART = ".iq-part-"
# The user who may do anything.
ROOT = 0
# Unix keeps temporary files here that are large; the usual folder is often in memory.
LARGE = "/var/tmp"  # noqa: S108  # nothing there is opened by a name
_NO_CALL = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_NO_LINKS = {errno.EPERM, errno.EMLINK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
# No file has a name that is too long for the disk.
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}
_NOT_EMPTY = {errno.ENOTEMPTY, errno.EEXIST, *_NOT_THERE}
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}


def lstat_or_none(path: Path) -> os.stat_result | None:
    """The stat of this name (links not followed), None if it is free. Raises other OSErrors."""
    try:
        with at(path, check=False) as place:
            return place.stat()
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise


def refuse_foreign_links(folder: Path) -> None:
    """Raise IqError where a folder of ours, or a name in it, is a link that another user made.

    Links that the person or root made are followed: what iq keeps may lie on another disk.
    """
    if not hasattr(os, "geteuid"):  # Windows, where only an administrator makes links
        return
    inside = sorted(folder.iterdir()) if folder.is_dir() else ()
    for path in (folder, *inside):
        status = lstat_or_none(path)
        if status and stat.S_ISLNK(status.st_mode) and status.st_uid not in (ROOT, os.geteuid()):
            raise IqError(
                f"{display_path(path)} is a link that another user made, and is not followed; "
                "look who writes there, and remove it"
            )


def lstat(path: Path) -> os.stat_result:
    """The stat of this name, no link followed. Raises OSError, also where there is none."""
    with at(path, check=False) as place:
        return place.stat()


def names_in(folder: Path) -> list[str]:
    """The names in a folder, no link to it followed. Raises OSError."""
    with at(folder / PART) as inside:
        if inside.dir_fd is None:
            return os.listdir(folder)
        fd = os.open(".", os.O_RDONLY, dir_fd=inside.dir_fd)
        try:
            return os.listdir(fd)
        finally:
            os.close(fd)


def require_output(
    path: Path,
    *,
    suffixes: Sequence[str] = (),
    may_replace: Callable[[Path], bool] | None = None,
    kind: str = "file",
) -> None:
    """Check, before the work for it begins, that a result may get this name. Raises IqError.

    The name ends in one of `suffixes`, if there are any, and its folder exists, is writable and
    belongs to no other program. A file of that name is replaced only where `may_replace` says that
    it is a `kind`.
    """
    if suffixes and path.suffix not in suffixes:
        endings = " or ".join(suffixes)
        raise IqError(f"cannot write {display_path(path)}; give a name that ends in {endings}")
    if not path.absolute().parent.is_dir():
        folder = display_path(path.parent)
        raise IqError(f"there is no folder {folder} for {escape(path.name)}; make it first")
    from iqcli.fs.other_programs import refuse_to_write  # deferred: not for `iq --help`

    refuse_to_write([path.resolve().parent])
    if not os.access(path.resolve().parent, os.W_OK):
        raise IqError(
            f"cannot write {display_path(path)}: its folder is not writable; give another place"
        )
    try:
        free = not lstat_or_none(path) or (may_replace is not None and may_replace(path))
    except OSError as error:
        raise IqError(f"cannot read {display_path(path)}: {error.strerror}") from error
    if not free:
        why = "is not overwritten" if may_replace is None else f"is no {kind}"
        raise IqError(f"{display_path(path)} exists and {why}; give another name")


@contextlib.contextmanager
def writing(path: Path, way_out: str) -> Iterator[None]:
    """Write a file in here: an OSError becomes an IqError that names it and a way out."""
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        raise IqError(f"cannot write {display_path(path)}: {why}; {way_out}") from error


def require_writable(path: Path) -> None:
    """Check that a file may be written or made. Raises PhotoError.

    Replacing it would need no permission but its folder's: a read-only file is meant to stay.
    """
    if not os.access(path.parent, os.W_OK):
        raise PhotoError("its folder is read-only")
    if lstat_or_none(path) and not os.access(path, os.W_OK):
        raise PhotoError("is read-only")


def write_atomic(path: Path, data: bytes) -> None:
    """Replace the content whole: at any instant the name holds the old bytes or the new.

    Mode and owner of an existing file stay; a link keeps pointing. Raises OSError, nothing changed.
    """
    write_stream(path, (data,))


def write_stream(path: Path, pieces: Iterable[bytes]) -> None:
    """As `write_atomic`, from pieces that need not be in memory together."""
    if not is_anchored(path):  # there a link leads nowhere
        path = path.resolve()
    part = path.with_name(PART + secrets.token_hex(8))
    old = lstat_or_none(path)
    try:
        write_part(part, pieces, old)
        _replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            remove(part)
        raise
    sync_folder(path.parent)


def anonymous_file() -> BinaryIO:
    """An empty temporary file without a name, on the disk that `TMPDIR` names. Raises OSError.

    No other process sees it, and closing it, or a crash, frees the disk.
    """
    chosen = any(os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    on_disk = not chosen and os.access(LARGE, os.W_OK)
    return tempfile.TemporaryFile(prefix=PART, buffering=0, dir=LARGE if on_disk else None)


def rename_into_place(part: Path, target: Path, *, sync: bool = True) -> None:
    """Give a finished part its name, replacing what we wrote there before, and sync its folder.

    Without `sync` the caller syncs. Raises OSError; the part then keeps its own name, unless its
    folder was replaced meanwhile.
    """
    _replace(part, target)
    if sync:
        sync_folder(target.parent)


def _replace(part: Path, target: Path) -> None:
    with at(part) as old, at(target) as new:
        os.replace(old.name, new.name, src_dir_fd=old.dir_fd, dst_dir_fd=new.dir_fd)


def make_folders(path: Path, mode: int = 0o777) -> tuple[Path, ...]:
    """Make a folder and its parents as needed; returns those made, the outermost first.

    Raises OSError, removing those made.
    """
    missing = list(
        itertools.takewhile(lambda folder: not lstat_or_none(folder), (path, *path.parents))
    )
    made: list[Path] = []
    try:
        for folder in reversed(missing):
            try:
                _make_folder(folder, mode)
            except FileExistsError:
                if not is_folder(folder):  # otherwise another process was faster
                    raise
                continue
            made.append(folder)
            sync_folder(folder.parent)
    except OSError:
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                remove_folder(folder)
        raise
    return tuple(made)


def _make_folder(folder: Path, mode: int) -> None:
    with at(folder, check=False) as place:
        os.mkdir(place.name, mode, dir_fd=place.dir_fd)
        with _taken_back(lambda: os.rmdir(place.name, dir_fd=place.dir_fd)):
            place.check()


@contextlib.contextmanager
def _taken_back(undo: Callable[[], None]) -> Iterator[None]:
    """Take a change back where the checks in here find that it was made elsewhere."""
    try:
        yield
    except OSError:
        with contextlib.suppress(OSError):
            undo()
        raise


def is_folder(path: Path) -> bool:
    """Whether a folder is there, and no link to one. Raises OSError."""
    status = lstat_or_none(path)
    return status is not None and stat.S_ISDIR(status.st_mode)


def remove_folder(path: Path) -> None:
    """Remove a folder if it is there and empty, else leave it. Raises other OSErrors."""
    try:
        with at(path) as place:
            os.rmdir(place.name, dir_fd=place.dir_fd)
    except OSError as error:
        if error.errno not in _NOT_EMPTY:
            raise


def remove(path: Path) -> None:
    """Remove a file of our own, such as a part; it may be absent."""
    if lstat_or_none(path):  # a read-only disk refuses to remove even what is not there
        with contextlib.suppress(FileNotFoundError), at(path) as place:
            _unlink(place)


def _unlink(place: Place) -> None:
    os.unlink(place.name, dir_fd=place.dir_fd)


def remove_claim(path: Path) -> None:
    """Remove an empty file that only reserved a name. Raises OSError if it is not empty."""
    with at(path) as place:
        _check_empty(place, path)
        _unlink(place)


def _check_empty(place: Place, path: Path) -> None:
    if place.stat().st_size:
        raise OSError(errno.EEXIST, "the name was taken meanwhile", str(path))


def remove_spare(spare: Path, kept: Path, *, sync: bool = True) -> None:
    """Remove one of two names of a photo, after checking that the other one holds it, too.

    Without `sync` the other one must be on the disk already. Raises OSError and removes nothing if
    `kept` is neither a second link nor an equal copy; one link that appears under two names (a
    bind mount) is the last copy.
    """
    with at(spare) as one, at(kept) as two:
        linked = os.path.samestat(one.stat(), two.stat())
        if not (one.stat().st_nlink > 1 if linked else sha256(spare) == sha256(kept)):
            raise OSError(errno.EEXIST, f"differs from {display_path(kept)}", str(spare))
        if sync:
            sync_folder(kept.parent)
        one.check()
        two.check()
        _unlink(one)


def part_of(target: Path) -> Path:
    """The name beside `target` under which a copy from another file system is written."""
    return target.with_name(PART + hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16])


def quarantine(folder: Path) -> Path:
    """Rename a damaged folder to the first free `NAME.damaged-N`; returns the new path."""
    if not folder.is_dir():
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    for number in range(1, 1000):
        try:  # renaming a folder replaces nothing but an empty folder
            return folder.rename(folder.with_name(f"{folder.name}.damaged-{number}"))
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
    raise OSError(errno.EEXIST, "too many damaged copies beside it", str(folder))


def move(source: Path, target: Path, on_claim: Callable[[Path], None]) -> None:
    """Move a regular file to a name that must be free, across file systems if need be.

    `on_claim` is called before an empty file reserves the name, which only systems without a
    better way need. Raises FileExistsError if the name is taken, OSError otherwise; both names may
    then exist (see `iqcli.transactions.steps`), but at least one does.
    """
    try:
        place_new(source, target, on_claim)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        before = copy(source, target, on_claim)
        sync_folder(target.parent)
        with at(source) as place:
            _check_same(before, place.stat(), source)
            _unlink(place)


def place_new(source: Path, target: Path, on_claim: Callable[[Path], None]) -> None:
    """Move as `move` does, on one file system only. Raises like it.

    What turns out to be another file than was there before, or in another folder than the path
    leads to, goes back.
    """
    with at(source, check=False) as old, at(target, check=False) as new:
        before = old.stat()
        if not stat.S_ISREG(before.st_mode):
            raise OSError(errno.EINVAL, "it is no plain file", str(source))
        linked = _rename_or_link(source, old, target, new, on_claim)

        def undo() -> None:
            second = linked and os.path.samestat(before, new.stat())
            if second or _rename_or_link(target, new, source, old, on_claim):
                _unlink(new)

        with _taken_back(undo):
            _check_same(before, new.stat(), source)
            old.check()
            new.check()
            if linked:
                sync_folder(target.parent)
                _check_same(before, old.stat(), source)
        if linked:
            _unlink(old)


def _rename_or_link(
    source: Path, old: Place, target: Path, new: Place, on_claim: Callable[[Path], None]
) -> bool:
    """Give a file its new name; True where that is a second one, and the old one is to go."""
    try:
        rename_new(source, target, old.dir_fd, new.dir_fd)
    except OSError as error:
        if error.errno not in _NO_CALL:
            raise
    else:
        return False
    try:
        _link(old, new)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    else:
        return True
    on_claim(target)
    os.close(os.open(new.name, NEW, 0o600, dir_fd=new.dir_fd))
    _check_empty(new, target)
    os.rename(old.name, new.name, src_dir_fd=old.dir_fd, dst_dir_fd=new.dir_fd)
    return False


def _link(old: Place, new: Place) -> None:
    if old.dir_fd is None and new.dir_fd is None:
        os.link(old.name, new.name)
    else:
        os.link(
            old.name,
            new.name,
            src_dir_fd=old.dir_fd,
            dst_dir_fd=new.dir_fd,
            follow_symlinks=False,
        )


def _check_same(before: os.stat_result, now: os.stat_result, path: Path) -> None:
    """See that this is the file of before; some network disks give it a new number."""
    same = os.path.samestat(before, now) or (
        stat.S_ISREG(now.st_mode)
        and (before.st_size, before.st_mtime_ns) == (now.st_size, now.st_mtime_ns)
    )
    if not same:
        raise OSError(errno.ESTALE, "it was replaced meanwhile", str(path))


def rename_new(
    source: Path, target: Path, source_folder: int | None = None, target_folder: int | None = None
) -> None:
    """Rename in one step that fails if `target` exists; ENOSYS where there is no such call.

    With open folders only the names of the paths count.
    """
    if sys.platform == "win32":
        source.rename(target)  # refuses by itself there
        return
    from iqcli.fs import syscalls  # deferred: loads ctypes, and only moves need it

    syscalls.rename_new(source, target, source_folder, target_folder)


def copy(
    source: Path, target: Path, on_claim: Callable[[Path], None], expect: str | None = None
) -> os.stat_result:
    """Copy a regular file, verified, to a name that must be free, with its time, mode and owner.

    Returns the stat of what was copied. The content is synced, the name is not. `on_claim` is as
    for `move`; `expect` is the hex digest that the content must have. Raises FileExistsError if the
    name is taken, OSError otherwise; a part of ours may then be left.
    """
    part, before = part_of(target), lstat(source)
    digest = copied(source, part, before)
    after = lstat(source)
    steady = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    if not steady or sha256(part) != digest or digest != (expect or digest):
        raise OSError(errno.EIO, "the copy differs from the original", str(source))
    place_new(part, target, on_claim)
    return after


def trash(folder: Path) -> None:
    """Send a whole folder to the system's trash. Raises OSError if it is still there."""
    from send2trash import send2trash  # deferred: an extra, and only this needs it

    send2trash(folder)
    if lstat_or_none(folder):
        raise OSError(errno.EIO, "the trash did not take it", str(folder))


def make_link(path: Path, text: str) -> None:
    """Make a symbolic link to `text`. Raises FileExistsError if the name is taken, or OSError."""
    with at(path, check=False) as place:
        os.symlink(text, place.name, dir_fd=place.dir_fd)
        with _taken_back(lambda: _unlink(place)):
            place.check()


def link_reads(path: Path, text: str) -> bool:
    """Whether this is a symbolic link to `text`. Raises OSError where that cannot be found out."""
    status = lstat_or_none(path)
    if status is None or not stat.S_ISLNK(status.st_mode):
        return False
    with at(path, check=False) as place:
        return os.readlink(place.name, dir_fd=place.dir_fd) == text


def remove_link(path: Path, text: str) -> None:
    """Remove a symbolic link to `text`. Raises OSError, removing nothing, if it is another file."""
    if not link_reads(path, text):
        raise OSError(errno.EEXIST, "it is no link of iq", str(path))
    with at(path) as place:
        _unlink(place)
