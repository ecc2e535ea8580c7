"""The accelerator: which one, and batches that shrink when its memory runs out.

Works on inputs that are prepared already: no files, no cache, no workers.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from iqcli.errors import IqError, PhotoError
from iqcli.extractors.base import PhotoBlock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from iqcli.extractors.base import AnyBlock, DeviceBlock
    from iqcli.records import Vector, Views

CPU_BATCH = 32
DEVICE_BATCH = 64
# The words for it in messages of torch, cuDNN, cuBLAS, Metal and the C library.
_FULL = ("out of memory", "allocate memory", "not enough memory", "alloc_failed")
LINUX_DEVICES = Path("/dev")
# What the drivers of the accelerators that torch knows as "cuda" put there: NVIDIA's, also on its
# boards and in Windows' Linux, and AMD's.
_LINUX_DRIVERS = ("nvidia[0-9]*", "nvhost-*", "nvmap", "nvgpu", "dxg", "kfd")
_WINDOWS_DRIVERS = ("nvcuda.dll", "amdhip64*.dll")


def choose_device(name: str) -> str:
    """The torch device for "auto", "cpu", "cuda" or "mps"; "cpu" is chosen without torch.

    Raises IqError where there is no such device.
    """
    if name == "cpu" or (name == "auto" and not _may_have_accelerator()):
        return "cpu"
    import torch  # deferred: seconds that a run without a network does not need

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next((device for device, usable in there.items() if usable), "cpu")
    elif not there[name]:
        raise IqError(f"torch finds no {name} device here; give --device auto or --device cpu")
    if name == "cuda":
        # Else cuDNN rounds what a convolution of float32 reads to ten bits, which moves scores.
        torch.backends.cudnn.allow_tf32 = False
    return name


def _may_have_accelerator() -> bool:
    """False where no driver of an accelerator is installed: asking torch costs seconds."""
    if sys.platform == "linux":
        return any(any(LINUX_DEVICES.glob(name)) for name in _LINUX_DRIVERS)
    if sys.platform == "win32":
        system = Path(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32")
        return any(any(system.glob(name)) for name in _WINDOWS_DRIVERS)
    return sys.platform != "darwin" or platform.machine() == "arm64"


def keep_to_one_core() -> None:
    """Let torch compute in the calling thread alone."""
    import torch  # deferred, and waits where another thread is still loading it

    torch.set_num_threads(1)


class Batches:
    """Runs device blocks on `device` by batches of `size` (0: as suits it), in the order given."""

    def __init__(self, device: str, size: int = 0) -> None:
        self.device = device
        self.size = size or (CPU_BATCH if device == "cpu" else DEVICE_BATCH)

    def run(
        self, block: DeviceBlock, inputs: Sequence[NDArray[np.generic]]
    ) -> Iterator[Vector | str]:
        """The vector of each input, or one line that says why there is none.

        A batch that does not fit is halved, and so are all that follow it. Raises IqError as the
        block does.
        """
        start = 0
        while start < len(inputs):
            batch = inputs[start : start + self.size]
            found = self._forward(block, batch)
            if found is None:
                self.size = len(batch) // 2
                self._free()
                continue
            yield from found
            start += len(batch)

    def _forward(
        self, block: DeviceBlock, batch: Sequence[NDArray[np.generic]]
    ) -> list[Vector | str] | None:
        """The results, or None if the batch has to be smaller."""
        try:
            vectors = np.asarray(block.forward(batch, self.device), np.float32)
        except IqError:
            raise
        except Exception as error:
            if not _is_full(error):
                return [f"{block.name} failed: {one_line(error)}"] * len(batch)
            if len(batch) > 1:
                return None
            return [f"{block.name} needs more memory than {self.device} has; give --device cpu"]
        if vectors.shape != (len(batch), block.size):
            return [f"{block.name} failed: its result has the shape {vectors.shape}"] * len(batch)
        return list(vectors)

    def _free(self) -> None:
        # Outside the except clause: its traceback keeps the tensors of the batch alive.
        if self.device != "cpu":
            import torch

            getattr(torch, self.device).empty_cache()


def one_line(error: BaseException) -> str:
    """The kind of an unforeseen error and the first line of its text."""
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _is_full(error: Exception) -> bool:
    # By name: torch is not imported for a block that does without it.
    text = str(error).lower()
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or (isinstance(error, RuntimeError) and any(word in text for word in _FULL))


def measure_views(
    several: Iterable[Views], blocks: Sequence[AnyBlock], device: str = "auto"
) -> list[dict[str, Vector]]:
    """The vectors of each picture by block; networks run once for all, in batches.

    Raises PhotoError where the device cannot measure a picture.
    """
    found: list[dict[str, Vector]] = []
    inputs: dict[str, list[NDArray[np.generic]]] = {}
    for views in several:
        found.append({b.name: b.extract(views) for b in blocks if isinstance(b, PhotoBlock)})
        for block in blocks:
            if not isinstance(block, PhotoBlock):
                inputs.setdefault(block.name, []).append(block.prepare(views))
    for block in blocks:
        if block.name in inputs:
            assert not isinstance(block, PhotoBlock)
            results = Batches(choose_device(device)).run(block, inputs[block.name])
            for vectors, result in zip(found, results, strict=True):
                if isinstance(result, str):
                    raise PhotoError(result)
                vectors[block.name] = result
    return found
