"""Ladders: a good photo and its spoilt copies, each rung worse than the one before.

Opinions alone teach a network what its data set holds. BIQ2021 has no white noise and little
over-exposure, so a network that knows nothing else takes noise for detail. No opinion of a spoilt
copy is known, but its order is: the copy is worse than the photo.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iqcli.photos.read import read_photo
from iqcli.photos.views import views_of
from iqcli.training.faults import FAULTS, compress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from iqcli.features.extractor import PhotoBlock
    from iqcli.records import Facts, Measured, Shot, Views

    Array = NDArray[np.float32]
    MeasureSpoilt = Callable[[Sequence[PhotoBlock], Sequence[Shot], "Spoilt"], Iterable[Measured]]

VERSION = 1
RUNGS = {**FAULTS, "compressed": (compress, (40.0, 20.0, 8.0))}


@dataclass(frozen=True, slots=True)
class Spoilt:
    """Reads a photo as if it had a fault of `RUNGS`, at rung 0, 1 or 2; the same each time."""

    fault: str
    rung: int

    @property
    def fingerprint(self) -> str:
        """What the blocks of the spoilt copy depend on besides the photo and its decoder."""
        return f"|{self.fault} {RUNGS[self.fault][1][self.rung]} v{VERSION}"

    def __call__(self, data: bytes, *, max_megapixels: float) -> tuple[Facts, Views]:
        """Like `read_photo`; the fault is put on the larger view."""
        facts, views = read_photo(data, max_megapixels=max_megapixels)
        spoil, strengths = RUNGS[self.fault]
        scale = max(views.detail.shape) / 2048 if self.fault == "blurred" else 1.0
        random = np.random.default_rng(zlib.crc32(data))
        return facts, views_of(spoil(views.detail, strengths[self.rung] * scale, random))


def climb(
    shots: Sequence[Shot], blocks: Sequence[PhotoBlock], measure: MeasureSpoilt
) -> dict[str, Array]:
    """The blocks of every spoilt copy, by name: (shot, fault, rung, size)."""
    found: dict[str, list[list[list[Array]]]] = {block.name: [] for block in blocks}
    for fault in RUNGS:
        rungs = [list(measure(blocks, shots, Spoilt(fault, rung))) for rung in range(3)]
        for block in blocks:
            found[block.name].append(
                [[each.blocks[block.name] for each in rung if each.blocks] for rung in rungs]
            )
    return {name: np.array(values).transpose(2, 0, 1, 3) for name, values in found.items()}


def pocket_shots(count: int) -> list[NDArray[np.uint8]]:
    """Pictures that nobody keeps: black, white or plain frames, with and without sensor noise."""
    random = np.random.default_rng(VERSION)
    frames = []
    for k in range(count):
        colour = random.integers(0, 256, 3) if k % 3 == 0 else np.full(3, (2, 12, 255, 128)[k % 4])
        noise = random.normal(0, (0, 2, 6, 20)[k // 3 % 4], (512, 683, 3))
        frames.append(np.clip(colour + noise, 0, 255).astype(np.uint8))
    return frames
