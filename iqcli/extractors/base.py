"""Extractors: named, versioned functions from the views of a photo to a float32 vector, a block."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from iqcli.records import Vector, Views


# The widest range of a block: the kurtosis of one odd pixel is as large as the number of pixels.
ANY = (-1e7, 1e7)
# Several blocks ask for each version, and it lies in a long file.
package_version = cache(version)


def hash_of(*parts: str) -> str:
    """The fingerprint of these parts, 16 hex digits."""
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]


def versions(*packages: str) -> list[str]:
    """The installed versions of distributions, as parts of a fingerprint."""
    return [f"{package}={package_version(package)}" for package in packages]


def edition_of(edition: int) -> list[str]:
    """An edition as a part of a fingerprint: the first is none, so what was cached of it stays."""
    return [f"edition {edition}"] if edition > 1 else []


class Block(Protocol):
    """What every extractor has, without importing the library that does the work."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int:
        """Length of the vector."""
        ...

    @property
    def within(self) -> tuple[float, float]:
        """What no number of it lies outside of, for any picture."""
        ...

    @property
    def may_be_nan(self) -> bool:
        """Whether there are pictures that it is not defined for, whose vector is NaN throughout."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes whenever the same picture could give another vector.

        Not with the device nor with its precision: they must not move a score by more than 0.05.
        """
        ...

    @property
    def weights_fingerprint(self) -> str:
        """Changes whenever a head that was trained on the block no longer fits it."""
        ...


@dataclass(frozen=True)
class PhotoBlock:
    """An extractor that works on one picture on the CPU, inside the decode worker.

    `module` is imported on first use and offers `extract(views: Views) -> Vector`, float32 of
    length `size`; a picture the method is not defined for gives a vector of NaN. `packages` are the
    distributions whose version can change the numbers. Another `version` means something else and
    needs other heads; another `edition` is another way to nearly the same numbers, for every head.
    """

    name: str
    version: int
    size: int
    module: str
    packages: tuple[str, ...] = field(default=("numpy", "opencv-contrib-python"))
    within: tuple[float, float] = ANY
    may_be_nan: bool = True
    edition: int = 1

    @cached_property
    def fingerprint(self) -> str:
        own = self.name, str(self.version), str(self.size), *edition_of(self.edition)
        return hash_of(*own, *versions(*self.packages))

    @property
    def weights_fingerprint(self) -> str:
        return str(self.version)

    @cached_property
    def extract(self) -> Callable[[Views], Vector]:
        """The function itself; asking for it imports its module."""
        extract: Callable[[Views], Vector] = import_module(self.module).extract
        return extract


class DeviceBlock(Block, Protocol):
    """An extractor that runs on the accelerator, in batches, outside the decode workers."""

    def prepare(self, views: Views) -> NDArray[np.generic]:
        """The network's input for one picture; runs in a decode worker."""
        ...

    def needs_torch(self, device: str) -> bool:
        """Whether `forward` loads torch there."""
        ...

    def forward(self, batch: Sequence[NDArray[np.generic]], device: str) -> NDArray[np.float32]:
        """n inputs, whose shapes may differ where the block's own do, to (n, size) on `device`.

        An accelerator that runs out of memory raises `torch.OutOfMemoryError`; the caller halves
        the batch.
        """
        ...


AnyBlock = PhotoBlock | DeviceBlock


def autocast_type(device: str) -> torch.dtype | None:
    """The shorter floating-point type that `device` computes in at full speed, None if none.

    bfloat16 on CPUs with the instructions for it: emulated elsewhere, it is slower than float32.
    """
    import torch

    if device == "cpu":
        known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return torch.bfloat16 if known.get("avx512_bf16") or known.get("amx_bf16") else None
    if device.startswith("cuda") and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return None
