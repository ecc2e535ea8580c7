"""A decoder and extractors small enough to count: a "photo" is the line `tiny NUMBER [SECONDS]`."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from iqcli.errors import PhotoError
from iqcli.extractors.base import PhotoBlock
from iqcli.pipeline.cache import Cache
from iqcli.pipeline.measure import measure
from iqcli.records import Facts, Photo, Shot, Views
from iqcli.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

calls: Counter[str] = Counter()
SIZE = 4


def decode(data: bytes, *, max_megapixels: float) -> tuple[Facts, Views]:
    calls["decode"] += 1
    kind, _, rest = data.decode(errors="replace").partition(" ")
    if kind != "tiny":
        raise PhotoError("is no picture")
    number, *seconds = rest.split()
    if seconds:
        time.sleep(float(seconds[0]))
    head = np.full((8, 8, 3), int(number) % 256, np.uint8)
    facts = Facts(8, 8, "png", taken="2024-05-01T12:00:00", taken_from="xmp")
    return facts, Views(head, head)


@dataclass(frozen=True)
class Reader:
    """Reads photos with that function, or with `decode`."""

    read: Callable[..., tuple[Facts, Views]] | None = None
    fingerprint: str = "tiny-1"

    def __call__(self, data: bytes, *, max_megapixels: float) -> tuple[Facts, Views]:
        return (self.read or decode)(data, max_megapixels=max_megapixels)


def extract(views: Views) -> NDArray[np.float32]:
    calls["extract"] += 1
    if views.scoring[0, 0, 0] == 255:
        raise ZeroDivisionError("white\npaper")
    return np.array([views.scoring.mean(), 0, 1, 2], np.float32)


def block(name: str = "a", version: int = 1) -> PhotoBlock:
    return PhotoBlock(name, version, SIZE, __name__, ("numpy",))


@dataclass
class OnDevice:
    """A device block; `forward` may be told to run out of memory above `room` inputs."""

    name: str = "net"
    size: int = SIZE
    fingerprint: str = "net-1"
    within: tuple[float, float] = (0, 255)
    may_be_nan: bool = False
    room: int = 10**6
    full: type[Exception] = MemoryError
    batches: list[int] = field(default_factory=list)

    def prepare(self, views: Views) -> NDArray[np.generic]:
        calls["prepare"] += 1
        return views.scoring

    def needs_torch(self, device: str) -> bool:
        return False

    def forward(self, batch: Sequence[NDArray[np.generic]], device: str) -> NDArray[np.float32]:
        self.batches.append(len(batch))
        if len(batch) > self.room:
            raise self.full("CUDA out of memory. Tried to allocate 2.00 GiB")
        means = np.stack(batch).reshape(len(batch), -1).mean(axis=1)
        return np.stack([means] * SIZE, axis=1).astype(np.float32)


def settings(root: Path, **changes: object) -> Settings:
    values = {"device": "cpu", "jobs": 2} | changes
    return Settings(cache_dir=root / "cache", state_dir=root / "state", **values)


def photos(folder: Path, lines: Iterable[str]) -> list[Shot]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{index:04}.tiny" for index, _ in enumerate(lines)]
    for path, line in zip(paths, lines, strict=True):
        path.write_text(line)
    return [Shot(folder, path) for path in paths]


def run(shots: Iterable[Shot], cache: Cache, given: Settings, *blocks: object) -> list[Photo]:
    chosen = blocks or (block(),)
    return list(measure(shots, chosen, cache, given, reader=Reader()))


def main() -> None:
    """Measure every photo of the folder in the environment, as a process that can be killed."""
    root = Path(os.environ["TINY_ROOT"])
    shots = [Shot(root, path) for path in sorted((root / "photos").iterdir())]
    cache = Cache(root / "cache", lambda sentence: print("warn", sentence, flush=True))
    for done in measure(shots, [block()], cache, settings(root), reader=Reader()):
        print(done.error or done.shot.path.name, flush=True)
    cache.close()
    print("extracted", calls["extract"], flush=True)


if __name__ == "__main__":
    main()
