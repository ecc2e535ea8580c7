"""The block `mini`: our own small network on a photo, as a whole and in pieces.

For each kind of view (see `iqcli.extractors.mini_crops`) the embedding and the logit of the score
that the network itself would give; several mosaics are averaged. Its libraries are imported when
the first photo needs them.
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
from iqcli.weights.store import read_metadata

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from iqcli.extractors.backbone import Backbone
    from iqcli.extractors.mini_cpu import CpuBackbone
    from iqcli.records import Pixels, Views

VERSION = 1
SIZE = len(KINDS) * (EMBEDDING + 1)
# Where in its cell each piece lies, down and across, in each mosaic.
PLACES = (0.5,)
_READING = Lock()
# Views that torch runs at once on a CPU: more do not fit its caches.
CPU_CHUNK = 8


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
        return hash_of(self.name, str(VERSION), str(PLACES), *packages, _digest(self.weights))

    @cached_property
    def weights_fingerprint(self) -> str:
        """Of the weights and of this code: a head fits no other backbone than its own."""
        return hash_of(self.name, str(VERSION), str(PLACES), _digest(self.weights))

    def check(self) -> None:
        """Raise IqError where the weights are missing or foreign; needs no torch."""
        from iqcli.extractors.mini_weights import is_ours

        try:
            info = read_metadata(self.weights)
        except (OSError, ValueError, RecursionError) as error:
            raise IqError(
                f"cannot read the backbone {self.weights}: {error}; install iq again"
            ) from error
        if not is_ours(info):
            raise IqError(f"{self.weights} is no backbone of this iq; install iq again")

    def prepare(self, views: Views) -> Pixels:
        """(views, side, side, 3) of uint8: the whole, then each mosaic."""
        import numpy as np

        from iqcli.extractors.mini_crops import GRID, mosaic, whole

        grid = (GRID, GRID, 2)
        pieces = [mosaic(views.scoring, np.full(grid, place, np.float32)) for place in PLACES]
        return np.stack([whole(views.scoring), *pieces])

    def needs_torch(self, device: str) -> bool:
        """Torch runs it on accelerators, and on a CPU that the inference library is not for."""
        from iqcli.runtime.library import is_there

        return device != "cpu" or not is_there()

    def forward(self, batch: Sequence[NDArray[np.generic]], device: str) -> NDArray[np.float32]:
        """n of (views, side, side, 3) to (n, SIZE): of each kind the embedding, then the logit."""
        import numpy as np

        views = np.stack(batch)
        if self.needs_torch(device):
            return _with_torch(self.weights, views, device)
        backbone = _cpu_backbone(self.weights)
        taps = backbone.taps(views.reshape(-1, *views.shape[2:])).reshape(*views.shape[:2], -1)
        pieces = [backbone.read(taps[:, k], KINDS[1]) for k in range(1, views.shape[1])]
        seen = backbone.read(taps[:, 0], KINDS[0])
        return np.concatenate([seen, np.mean(pieces, axis=0)], axis=1)


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


def _with_torch(weights: Path, views: Pixels, device: str) -> NDArray[np.float32]:
    """(n, views, side, side, 3) to (n, SIZE), in bfloat16 where the device has it."""
    import numpy as np
    import torch

    from iqcli.extractors.base import autocast_type

    with _READING:
        network = _read_for_torch(weights, device)
    kind, given = autocast_type(device), torch.from_numpy(views)
    autocast = torch.autocast(
        torch.device(device).type, kind or torch.bfloat16, enabled=kind is not None
    )
    with torch.inference_mode(), autocast:
        seen = _run(network, given[:, 0], KINDS[0], device)
        pieces = _run(network, given[:, 1:].flatten(0, 1), KINDS[1], device)
        pieces = pieces.unflatten(0, (len(views), -1)).mean(dim=1)
    return np.asarray(torch.cat([seen, pieces], dim=1), np.float32)


def _run(network: Backbone, views: torch.Tensor, kind: str, device: str) -> torch.Tensor:
    """(n, side, side, 3) views to (n, EMBEDDING + 1) on the CPU."""
    import torch

    found = []
    for some in views.split(CPU_CHUNK if device == "cpu" else len(views)):
        embedding, logit = network(some.to(device), kind)
        found.append(torch.cat([embedding.float(), logit.float()[:, None]], dim=1).cpu())
    return torch.cat(found)


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
