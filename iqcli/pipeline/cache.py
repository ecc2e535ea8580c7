"""The cache of what earlier runs measured: of paths (by their stat), of pictures (by content).

A `fingerprint` covers everything besides the content that a value depends on. Values are only ever
added or replaced: a file that is gone may be on a disk that is only unmounted.
"""

from __future__ import annotations

import os
import time
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from iqcli.extractors.base import ANY
from iqcli.pipeline import cache_codec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from iqcli.photos.names.evidence import Header
    from iqcli.photos.times.capture_time import Taken
    from iqcli.pipeline.cache_codec import Failure
    from iqcli.pipeline.cache_store import Store
    from iqcli.pipeline.kept_codec import Page
    from iqcli.records import Facts, Marks, Vector

    IsPhoto = Callable[[Path, os.stat_result], bool]

T = TypeVar("T")

# A folder of our own inside the cache folder: its permissions can be restricted, and it can be
# renamed as a whole. No folder of a person's has this name.
FOLDER = "iq-measurements"
# git's racy rule: a file changed this shortly before it was read may change again and keep its
# stat. Clocks of file systems step by at most 10 ms, but FAT counts in steps of two seconds.
FINE_NS, COARSE_NS = 50_000_000, 2_000_000_000
# b"m" knew ratings in fewer forms, and none in pictures.
MARKS = b"m2"
# The mounts of Linux; other systems have no such file.
MOUNTS = Path("/proc/mounts")
_NETWORK = ("nfs", "cifs", "smb", "afs", "ceph", "9p", "fuse.sshfs", "fuse.rclone", "glusterfs")


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """Where the cache lies and how much it holds. `filesystem` is None where it is unknown."""

    folder: Path
    entries: int
    bytes: int
    filesystem: str | None

    @property
    def on_network(self) -> bool:
        """Whether it lies on a network disk, where SQLite's locks cannot be trusted."""
        return (self.filesystem or "").startswith(_NETWORK)


class Cache:
    """The cache under `root`; None is no cache at all. Nothing is opened before it is asked for.

    No method raises for trouble with the disk: what cannot be read is unknown, what cannot be kept
    is dropped, and `warn` gets one sentence about it. Only the thread that reads first may write;
    any thread may read.
    """

    def __init__(self, root: Path | None, warn: Callable[[str], None]) -> None:
        self._folder = root / FOLDER if root else None
        self._warn = warn
        self._noted = self._computing_noted = False

    @cached_property
    def _store(self) -> Store | None:
        from iqcli.pipeline.cache_store import Store  # deferred: diskcache is not for `iq --help`

        return Store(self._folder, self._warn) if self._folder else None

    def content(self, path: Path, stat: os.stat_result) -> str | None:
        """The sha256 (hex) of a file whose stat is as it was when it was read."""
        found = self._by_stat(_path_key(b"c", path), stat, 32)
        return None if found is None else found.hex()

    def remember_content(self, path: Path, stat: os.stat_result, at_ns: int, sha256: str) -> None:
        """Keep the hash of a file that was read from `at_ns` (Unix time) on, unless it is young."""
        self._keep_stat(_path_key(b"c", path), stat, at_ns, bytes.fromhex(sha256))

    def is_photo(self, path: Path, stat: os.stat_result, check: IsPhoto) -> bool:
        """What `check` gives for a file, called again only once the file has changed."""
        key = _path_key(b"p2", path)  # b"p" knew fewer formats
        if (found := self._by_stat(key, stat, 1)) in (b"\0", b"\1"):
            return found == b"\1"
        at_ns = time.time_ns()
        verdict = check(path, stat)
        self._keep_stat(key, stat, at_ns, bytes([verdict]))
        return verdict

    def header(self, path: Path, stat: os.stat_result) -> Header | None:
        """What the header of an unchanged file tells; None if it was never read."""
        return self._read(
            _path_key(b"h1", path), lambda data: cache_codec.unpack_header(data, stat)
        )

    def remember_header(self, path: Path, stat: os.stat_result, at_ns: int, header: Header) -> None:
        """Keep what the header of a file tells that was read from `at_ns` on."""
        if is_settled(stat, at_ns):
            self._keep(_path_key(b"h1", path), cache_codec.pack_header(stat, header))

    def likeness(
        self, edit: Path, stat: os.stat_result, original: Path, other: os.stat_result
    ) -> int | None:
        """How an edit looks beside its original, a small number; None if that is unknown."""
        found = self._by_stat(_pair_key(edit, original), stat, 17)
        known = found is not None and found[:16] == cache_codec.stat_digest(other)
        return found[16] if found is not None and known else None

    def remember_likeness(
        self,
        edit: Path,
        stat: os.stat_result,
        original: Path,
        other: os.stat_result,
        at_ns: int,
        likeness: int,
    ) -> None:
        """Keep how an edit looks beside its original; both were read from `at_ns` on."""
        if is_settled(other, at_ns):
            payload = cache_codec.stat_digest(other) + bytes([likeness])
            self._keep_stat(_pair_key(edit, original), stat, at_ns, payload)

    def marks(self, path: Path, stat: os.stat_result, fingerprint: str) -> Marks | None:
        """The rating and the flag in an unchanged sidecar; None if it was never read."""
        key = _path_key(_kind(MARKS, fingerprint), path)
        return self._read(key, lambda data: cache_codec.unpack_marks(data, stat))

    def remember_marks(
        self, path: Path, stat: os.stat_result, at_ns: int, fingerprint: str, marks: Marks
    ) -> None:
        """Keep the rating (-1..5) and the flag (-1..1) in a sidecar that was read from `at_ns`."""
        key = _path_key(_kind(MARKS, fingerprint), path)
        self._keep_stat(key, stat, at_ns, cache_codec.marks_bytes(marks))

    def time_beside(self, path: Path, stat: os.stat_result) -> tuple[Taken | None] | None:
        """The time that an unchanged file beside a photo tells, None in a tuple if it tells none.

        None if it was never asked.
        """
        key = _path_key(b"w", path)
        return self._read(key, lambda data: cache_codec.unpack_time(data, stat))

    def remember_time(
        self, path: Path, stat: os.stat_result, at_ns: int, taken: Taken | None
    ) -> None:
        """Keep the time in a file beside a photo that was read from `at_ns`."""
        self._keep_stat(_path_key(b"w", path), stat, at_ns, cache_codec.time_bytes(taken))

    def note_reading_anew(self) -> None:
        """Say, once a run, that metadata are read which an earlier version did not ask for."""
        if not self._noted:
            self._noted = True
            self._warn(
                "some photos were measured by an earlier version: they are read once more for "
                "the time that they were taken, and not measured again"
            )

    def note_computing(self, blocks: Sequence[str]) -> None:
        """Say, once a run, that a part of what a model reads is computed that the cache lacks."""
        if not self._computing_noted:
            self._computing_noted = True
            self._warn(
                f"some photos were measured without {', '.join(blocks)} as this model reads it: "
                "that is computed once, and the rest is taken from the cache"
            )

    def facts(self, sha256: str, fingerprint: str) -> Facts | Failure | None:
        """The facts of a picture, or why it could not be decoded; None if unknown."""
        return self._read(_content_key(b"t", sha256, fingerprint), cache_codec.unpack_facts)

    def remember_facts(self, sha256: str, fingerprint: str, facts: Facts | Failure) -> None:
        """Keep the facts of a picture, or why it could not be decoded."""
        self._keep(_content_key(b"t", sha256, fingerprint), cache_codec.pack_facts(facts))

    def block(
        self,
        sha256: str,
        fingerprint: str,
        size: int,
        *,
        within: tuple[float, float] = ANY,
        may_be_nan: bool = True,
    ) -> Vector | None:
        """A block of a picture: read-only float32 of length `size`, in a range or all NaN."""
        key = _content_key(b"b", sha256, fingerprint)
        return self._read(
            key,
            lambda data: cache_codec.unpack_vector(
                data, size, within=within, may_be_nan=may_be_nan
            ),
        )

    def remember_block(self, sha256: str, fingerprint: str, vector: Vector) -> None:
        """Keep a block of a picture."""
        self._keep(_content_key(b"b", sha256, fingerprint), cache_codec.pack_vector(vector))

    def thumbnail(self, sha256: str, fingerprint: str) -> bytes | None:
        """A thumbnail (WebP) of a picture, empty where it has none; None if unknown."""
        return self._read(_content_key(b"i", sha256, fingerprint), cache_codec.unpack_thumbnail)

    def remember_thumbnail(self, sha256: str, fingerprint: str, picture: bytes) -> None:
        """Keep a thumbnail (WebP); no bytes mean that there is none."""
        self._keep(_content_key(b"i", sha256, fingerprint), cache_codec.pack_thumbnail(picture))

    def several(self) -> AbstractContextManager[None]:
        """In here, several reads of a thread that may not write are as cheap as one."""
        return self._store.several() if self._store else nullcontext()

    def page(self, folder: str, first: str, name: str, fingerprint: str) -> Page | None:
        """The page of results for the model `name` that begins with a file; None if unknown.

        None also for one of another fingerprint.
        """
        from iqcli.pipeline import kept_codec  # deferred: NumPy is not for `iq --help`

        key = _page_key(folder, first, name)
        return self._read(key, lambda data: kept_codec.unpack(fingerprint, data))

    def remember_page(self, folder: str, first: str, name: str, page: bytes) -> None:
        """Keep a page of results, packed, in place of the one there was."""
        self._keep(_page_key(folder, first, name), page)

    def flush(self) -> None:
        """Commit what is not yet on disk."""
        if self._is_open and self._store:
            self._store.flush()

    def close(self) -> None:
        """Commit, and let go of the files."""
        if self._is_open and self._store:
            self._store.close()

    def clear(self) -> int:
        """Delete everything; returns how many entries there were."""
        return self._store.clear() if self._exists and self._store else 0

    def info(self) -> CacheInfo | None:
        """Location and size; None without a cache. Makes none where there is none."""
        if self._folder is None:
            return None
        count = self._store.count() if self._exists and self._store else 0
        sizes = [] if self._linked else [each.lstat().st_size for each in self._folder.glob("*")]
        return CacheInfo(self._folder, count, sum(sizes), _filesystem(self._folder))

    @property
    def _is_open(self) -> bool:
        return "_store" in vars(self)

    @property
    def _exists(self) -> bool:
        return self._folder is not None and (self._linked or self._folder.is_dir())

    @property
    def _linked(self) -> bool:
        """Whether a link stands for the folder: opening the store says so, and follows none."""
        folder = self._folder
        return folder is not None and (folder.is_symlink() or folder.parent.is_symlink())

    def _by_stat(self, key: bytes, stat: os.stat_result, size: int) -> bytes | None:
        return self._read(key, lambda data: cache_codec.unpack_stat(data, stat, size))

    def _keep_stat(self, key: bytes, stat: os.stat_result, at_ns: int, payload: bytes) -> None:
        if is_settled(stat, at_ns):
            self._keep(key, cache_codec.pack_stat(stat, payload))

    def _read(self, key: bytes, unpack: Callable[[object], T]) -> T | None:
        if self._store is None or (data := self._store.get(key)) is None:
            return None
        try:
            return unpack(data)
        except (ValueError, RecursionError):
            self._store.distrust()
            return None

    def _keep(self, key: bytes, value: bytes) -> None:
        if self._store:
            self._store.put(key, value)


def is_settled(stat: os.stat_result, at_ns: int) -> bool:
    """Whether a file read from `at_ns` on was changed so long before that its stat tells."""
    return _changed_ns(stat) < at_ns - _step_ns(stat)


def _changed_ns(stat: os.stat_result) -> int:
    # Every change of content moves a Unix ctime, and nobody can set it back; a Windows ctime is
    # the birth of the file.
    return stat.st_ctime_ns if os.name == "posix" else max(stat.st_mtime_ns, stat.st_ctime_ns)


def _step_ns(stat: os.stat_result) -> int:
    return FINE_NS if _changed_ns(stat) % 1_000_000_000 else COARSE_NS


def _kind(letter: bytes, fingerprint: str) -> bytes:
    return letter + fingerprint.encode() + b"\0"


def _path_key(kind: bytes, path: Path) -> bytes:
    # Not normalised: `link/../photo.jpg` is another file than `photo.jpg`.
    return kind + os.fsencode(path.absolute())


def _page_key(folder: str, first: str, name: str) -> bytes:
    return _path_key(_kind(b"k", name), Path(folder, first))


def _pair_key(edit: Path, original: Path) -> bytes:
    return _path_key(b"l1", edit) + b"\0" + os.fsencode(original.name)


def _content_key(kind: bytes, sha256: str, fingerprint: str) -> bytes:
    return kind + bytes.fromhex(sha256) + fingerprint.encode()


def _filesystem(folder: Path) -> str | None:
    if not MOUNTS.exists():
        return None
    place = os.fsencode(folder.resolve()) + b"/"
    best, kind = b"", None
    for line in MOUNTS.read_bytes().splitlines():
        _, point, found, *_ = line.split(b" ")
        # Blanks and the like stand there as octal escapes; a later mount hides an earlier one.
        point = point.decode("unicode_escape").encode("latin-1").rstrip(b"/") + b"/"
        if place.startswith(point) and len(point) >= len(best):
            best, kind = point, found.decode()
    return kind
