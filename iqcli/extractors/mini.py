"""The block `mini`: our own small network on a photo, as a whole and in pieces.

For each kind of view (see `iqcli.extractors.mini_crops`) the embedding and the logit of the score
that the network itself would give. A panorama is judged in squares as well as whole, and the block
is the mean of them all. Its libraries are imported when the first photo needs them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from iqcli.errors import IqError
from iqcli.extractors.base import hash_of, versions
from iqcli.extractors.schema import EMBEDDING, KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from iqcli.extractors.backbone import Backbone
    from iqcli.extractors.mini_cpu import CpuBackbone
    from iqcli.records import Pixels, Views

# Of the views and of what is read from them.
VERSION = 2
SIZE = len(KINDS) * (EMBEDDING + 1)
_READING = Lock()
# Pairs of views that torch runs at once on a CPU: more do not fit its caches.
CPU_CHUNK = 4


@dataclass(frozen=True)
class MiniBlock:
    """The extractor with the weights of a backbone file (`iq train backbone`).

    See `iqcli.extractors.base.DeviceBlock`. Bfloat16 where the device has it, else float32.
    """

    weights: Path
    name: str = "mini"
    size: int = SIZE
    within = (-1e3, 1e3)
    may_be_nan = False

    @cached_property
    def fingerprint(self) -> str:
        """Of the weights, of what prepares the views, and of this code."""
        packages = versions("numpy", "opencv-contrib-python")
        return hash_of(self.name, str(VERSION), *packages, _digest(self.weights))

    @cached_property
    def weights_fingerprint(self) -> str:
        """Of the weights and of this code: a head fits no other backbone than its own."""
        return hash_of(self.name, str(VERSION), _digest(self.weights))

    def check(self) -> None:
        """Raise IqError where the weights are missing or foreign; needs no torch."""
        from iqcli.extractors.mini_weights import check

        check(self.weights)

    def prepare(self, views: Views) -> Pixels:
        """(pairs, 2, side, side, 3) of uint8: a whole and a mosaic of it; more for a panorama."""
        import numpy as np

        from iqcli.extractors.mini_crops import pair, squares

        return np.stack([pair(each) for each in (views.scoring, *squares(views.scoring))])

    def needs_torch(self, device: str) -> bool:
        """Torch runs it on accelerators, and on a CPU that the inference library is not for."""
        from iqcli.runtime.library import is_there

        return device != "cpu" or not is_there()

    def forward(self, batch: Sequence[NDArray[np.generic]], device: str) -> NDArray[np.float32]:
        """n of (pairs, 2, side, side, 3) to (n, SIZE): of each kind the embedding, the logit."""
        import numpy as np

        pairs = np.concatenate(batch)
        if self.needs_torch(device):
            found = _with_torch(self.weights, pairs, device)
        else:
            found = _cpu_backbone(self.weights)(pairs)
        several = np.split(found, np.cumsum([len(each) for each in batch])[:-1])
        return np.stack([each.mean(axis=0) for each in several])


def _cpu_backbone(weights: Path) -> CpuBackbone:
    """The network ready to run, read once however many workers ask at once."""
    from iqcli.runtime.library import has_bfloat16

    with _READING:
        return _read_for_cpu(weights, has_bfloat16())


@lru_cache(maxsize=2)
def _read_for_cpu(weights: Path, short: bool) -> CpuBackbone:
    from iqcli.extractors.mini_cpu import CpuBackbone
    from iqcli.extractors.mini_weights import read

    return CpuBackbone(read(weights), short=short)


def _with_torch(weights: Path, pairs: Pixels, device: str) -> NDArray[np.float32]:
    """(n, 2, side, side, 3) to (n, SIZE), in bfloat16 where the device has it."""
    import numpy as np
    import torch

    from iqcli.extractors.base import autocast_type

    with _READING:
        network = _read_for_torch(weights, device)
    kind, given = autocast_type(device), torch.from_numpy(pairs)
    autocast = torch.autocast(
        torch.device(device).type, kind or torch.bfloat16, enabled=kind is not None
    )
    with torch.inference_mode(), autocast:
        several = given.split(CPU_CHUNK if device == "cpu" else len(given))
        found = torch.cat([network(some.to(device)).float().cpu() for some in several])
    return np.asarray(found, np.float32)


@lru_cache(maxsize=2)
def _read_for_torch(weights: Path, device: str) -> Backbone:
    import torch

    from iqcli.extractors.backbone import Backbone
    from iqcli.extractors.mini_weights import read

    network = Backbone()
    network.load_state_dict({name: torch.from_numpy(each) for name, each in read(weights).items()})
    return network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


@lru_cache(maxsize=8)
def _digest(weights: Path) -> str:
    try:
        return hashlib.sha256(weights.read_bytes()).hexdigest()
    except OSError as error:
        raise IqError(f"cannot read the backbone {weights}: {error}; install iq again") from error
