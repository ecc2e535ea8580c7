"""Blocks of pictures that are at hand already: no files, no cache, no workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iqcli.errors import PhotoError
from iqcli.extractors.base import PhotoBlock
from iqcli.pipeline.devices import Batches, choose_device

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from iqcli.extractors.base import AnyBlock
    from iqcli.records import Vector, Views


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
