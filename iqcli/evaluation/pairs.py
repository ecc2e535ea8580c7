"""Pairs of originals and copies, matched by name, and each pair compared."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iqcli.errors import IqError, PhotoError
from iqcli.fs.read import read_bytes
from iqcli.photos.find import find_shots
from iqcli.pipeline.spec import reason
from iqcli.text import display_path, escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from iqcli.evaluation.full_reference import Fidelity
    from iqcli.records import Pixels, Shot

# Sides of a scaled copy are rounded to whole pixels; a larger difference is another crop.
ROUNDED = 1.0


@dataclass(frozen=True, slots=True)
class Pair:
    """An original and its copy; for an unpaired picture the other is None, and `error` says why."""

    original: Path | None
    copy: Path | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class PairResult:
    """A pair compared: the size of the original, and the measures or why there are none.

    `notes` say what was done to the copy and which measure is not defined.
    """

    pair: Pair
    width: int | None = None
    height: int | None = None
    fidelity: Fidelity | None = None
    notes: tuple[str, ...] = ()
    error: str | None = None


def pairs(
    original: Path,
    copy: Path,
    on_problem: Callable[[Path, str], None],
    exclude: Sequence[str] = (),
) -> list[Pair]:
    """Two files as one pair; of two folders the shots that have one name, in path order.

    One name is the same path inside the folder, else the same but for the extension. Raises
    IqError for a path that does not exist, and for a folder beside a file or beside itself.
    """
    for path in (original, copy):
        if not path.exists():
            raise IqError(f"there is no file or folder {display_path(path)}; check the name")
    if not original.is_dir() and not copy.is_dir():
        return [Pair(original, copy)]
    if original.is_dir() != copy.is_dir():
        folder, file = (original, copy) if original.is_dir() else (copy, original)
        raise IqError(
            f"{display_path(folder)} is a folder and {display_path(file)} a file; give two "
            "files or two folders"
        )
    if original.samefile(copy):
        raise IqError(
            f"{display_path(original)} is given twice; give the folder of the copies, too"
        )
    both = (original, copy), (copy, original)
    pictures = (
        _inside(*each, find_shots(each[:1], on_problem=on_problem, exclude=exclude))
        for each in both
    )
    return sorted(_matched(*pictures), key=lambda pair: str(pair.original or pair.copy))


def _inside(folder: Path, other: Path, shots: Iterable[Shot]) -> dict[str, Path]:
    """The pictures of a folder by their path in it, without those of the other folder in it."""
    inner = other.resolve()
    return {
        shot.path.relative_to(folder).as_posix(): shot.path
        for shot in shots
        if not (folder.resolve() in inner.parents and shot.path.resolve().is_relative_to(inner))
    }


def _matched(originals: dict[str, Path], copies: dict[str, Path]) -> list[Pair]:
    same = originals.keys() & copies.keys()
    found = [Pair(originals[name], copies[name]) for name in same]
    left, right = _by_stem(originals, same), _by_stem(copies, same)
    for stem in left.keys() | right.keys():
        ours, theirs = left.get(stem, []), right.get(stem, [])
        if len(ours) == len(theirs) == 1:
            found.append(Pair(ours[0], theirs[0]))
            continue
        several = f"several pictures are called {escape(stem)}; give them two by two"
        why = several if ours and theirs else "has no partner of that name"
        found += [Pair(path, None, why) for path in ours]
        found += [Pair(None, path, why) for path in theirs]
    return found


def _by_stem(paths: dict[str, Path], done: set[str]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = defaultdict(list)
    for name, path in paths.items():
        if name not in done:
            found[name.removesuffix(path.suffix)].append(path)
    return found


def compare_pair(pair: Pair, *, max_megapixels: float, resize: bool) -> PairResult:
    """Read both pictures at full size and compare them; a failure is a value."""
    if pair.original is None or pair.copy is None:
        return PairResult(pair, error=pair.error)
    from iqcli.evaluation.full_reference import compare

    read: list[Pixels] = []
    for path in (pair.original, pair.copy):
        try:
            read.append(_read(path, max_megapixels))
        except Exception as error:
            return PairResult(pair, error=f"{display_path(path)}: {reason(error)}")
    original, copy = read
    height, width = original.shape[:2]
    done: tuple[str, ...] = ()
    if copy.shape != original.shape:
        other = f"{copy.shape[1]} x {copy.shape[0]}"
        why = _refused(original, copy, f"{width} x {height}", other, resize)
        if why:
            return PairResult(pair, width, height, error=why)
        copy, done = _scaled(copy, width, height), (f"the copy was scaled from {other}",)
    found = compare(original, copy)
    return PairResult(pair, width, height, found, (*done, *found.notes))


def _read(path: Path, max_megapixels: float) -> Pixels:
    from iqcli.photos.read import read_whole

    if path.is_dir():
        raise PhotoError("is a folder")
    return read_whole(read_bytes(path)[0], max_megapixels=max_megapixels)


def _refused(original: Pixels, copy: Pixels, size: str, other: str, resize: bool) -> str | None:
    sizes = f"the original has {size} pixels and the copy {other}"
    if not _one_shape(original.shape[:2], copy.shape[:2]):
        if _one_shape(original.shape[:2], copy.shape[1::-1]):
            return f"{sizes}, turned on its side; turn it as the original"
        return f"{sizes}, another crop; export the copy uncropped"
    return None if resize else f"{sizes}; export it at that size, or give --resize"


def _one_shape(original: tuple[int, ...], copy: tuple[int, ...]) -> bool:
    """Whether a scale makes one (height, width) the other, up to what rounds either side."""
    (height, width), (high, wide) = original, copy
    off = abs(wide * height - high * width)
    return off <= ROUNDED * max(*original, *copy)


def _scaled(picture: Pixels, width: int, height: int) -> Pixels:
    import cv2
    import numpy as np

    how = cv2.INTER_AREA if picture.shape[1] > width else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (width, height), interpolation=how), np.uint8)
