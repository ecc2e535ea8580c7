"""Scoring views on disk, decoded once: what the long training of the network reads.

A store is a folder with one array of uint8 a photo, `PHOTOS.npy`, and a table, `photos.csv`. It is
written in order, so that a preparation that was killed goes on where it stopped.
"""

from __future__ import annotations

import csv
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from iqcli.errors import PhotoError
from iqcli.photos.read import read_photo

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from iqcli.records import Pixels

SIDE = 512
MAX_MEGAPIXELS = 100.0


@dataclass(frozen=True)
class SquareStore:
    """Scoring views (n, SIDE, SIDE, 3) of uint8 in one file, and a row of facts for each.

    A photo that is not square is squeezed: hardly any of BIQ2021 is.
    """

    views: Pixels
    rows: Sequence[dict[str, str]]

    @classmethod
    def open(cls, folder: Path) -> SquareStore:
        """The store of a folder; only what is read comes into memory."""
        rows = list(csv.DictReader((folder / "photos.csv").open(newline="")))
        views = np.memmap(folder / "views.u8", np.uint8, "r", shape=(len(rows), SIDE, SIDE, 3))
        return cls(views, rows)


@dataclass(frozen=True)
class LooseStore:
    """Scoring views (h, w, 3) of any shape, one file each."""

    folder: Path
    names: Sequence[str]

    @classmethod
    def open(cls, folder: Path) -> LooseStore:
        """The store of a folder."""
        return cls(folder, sorted(path.stem for path in folder.glob("*.npy")))

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, k: int) -> Pixels:
        """One view, mapped from disk."""
        return np.load(self.folder / f"{self.names[k]}.npy", mmap_mode="r")


def git_files(repository: Path, names: Sequence[str]) -> Iterator[bytes]:
    """The files of HEAD of a bare repository, in the order of `names`; b"" of an absent one."""
    asked = subprocess.Popen(  # noqa: S603
        [  # noqa: S607
            "git",
            "-C",
            str(repository),
            "cat-file",
            "--batch",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert asked.stdin and asked.stdout
    for name in names:
        asked.stdin.write(f"HEAD:{name}\n".encode())
        asked.stdin.flush()
        head = asked.stdout.readline().split()
        if head[-1] == b"missing":
            yield b""
            continue
        data = asked.stdout.read(int(head[2]))
        asked.stdout.read(1)
        yield data
    asked.stdin.close()
    asked.wait()


def fill_square(
    folder: Path, repository: Path, names: Sequence[str], rows: Sequence[dict[str, str]]
) -> None:
    """Decode photos into a square store, or go on doing so."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "views.u8"
    size = SIDE * SIDE * 3
    done = target.stat().st_size // size if target.exists() else 0
    with target.open("r+b" if target.exists() else "wb") as stream:
        stream.truncate(done * size)
        stream.seek(done * size)
        for data in git_files(repository, names[done:]):
            stream.write(np.ascontiguousarray(squared(scoring_view(data))).tobytes())
    with (folder / "photos.csv.part").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (folder / "photos.csv.part").replace(folder / "photos.csv")


def fill_loose(folder: Path, repository: Path, names: Sequence[str], *, enlarge: bool) -> None:
    """Decode photos into a loose store; without `enlarge` a small photo keeps its size."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in zip(names, git_files(repository, names), strict=True):
        stem = Path(name).stem.replace(" ", "_")
        if (folder / f"{stem}.npy").exists():
            continue
        try:
            view = scoring_view(data) if enlarge else _as_it_is(data)
        except PhotoError:
            continue
        np.save(folder / f"{stem}.part.npy", view)
        (folder / f"{stem}.part.npy").replace(folder / f"{stem}.npy")
    (folder / "files.json").write_text(json.dumps(list(names)))


def scoring_view(data: bytes) -> Pixels:
    """The scoring view of a photo file, as `iq score` has it."""
    return read_photo(data, max_megapixels=MAX_MEGAPIXELS)[1].scoring


def squared(view: Pixels) -> Pixels:
    """The view, both sides `SIDE`."""
    if view.shape[:2] == (SIDE, SIDE):
        return view
    return np.asarray(cv2.resize(view, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _as_it_is(data: bytes) -> Pixels:
    views = read_photo(data, max_megapixels=MAX_MEGAPIXELS)[1]
    return views.scoring if min(views.detail.shape[:2]) >= SIDE else views.detail
