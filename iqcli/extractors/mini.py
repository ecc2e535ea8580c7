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
from iqcli.extractors.schema import EMBEDDING, FORMAT, KINDS
from iqcli.weights.store import read_metadata

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from iqcli.extractors.backbone import Backbone
    from iqcli.records import Pixels, Views

VERSION = 1
SIZE = len(KINDS) * (EMBEDDING + 1)
# Where in its cell each piece lies, down and across, in each mosaic.
PLACES = (0.5,)
# No training of ours comes near it; below it no sum can overflow.
LARGEST = 1e4
_READING = Lock()
# Views that a CPU runs at once: more do not fit its caches.
CPU_CHUNK = 8
# How torch and the JSON reader refuse number kinds, names and nesting they do not know.
_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RuntimeError)


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
        try:
            info = read_metadata(self.weights)
        except (OSError, ValueError, RecursionError) as error:
            raise IqError(f"cannot read the backbone {self.weights}: {error}") from error
        if not _is_ours(info):
            raise IqError(f"{self.weights} is no backbone of this iq; install iq again")

    def prepare(self, views: Views) -> Pixels:
        """(views, side, side, 3) of uint8: the whole, then each mosaic."""
        import numpy as np

        from iqcli.extractors.mini_crops import GRID, mosaic, whole

        grid = (GRID, GRID, 2)
        pieces = [mosaic(views.scoring, np.full(grid, place, np.float32)) for place in PLACES]
        return np.stack([whole(views.scoring), *pieces])

    def forward(self, batch: Sequence[NDArray[np.generic]], device: str) -> NDArray[np.float32]:
        """n of (views, side, side, 3) to (n, SIZE): of each kind the embedding, then the logit."""
        import numpy as np
        import torch

        from iqcli.extractors.base import autocast_type

        network, kind = _network(self.weights, device), autocast_type(device)
        views = torch.from_numpy(np.stack(batch))
        autocast = torch.autocast(
            torch.device(device).type, kind or torch.bfloat16, enabled=kind is not None
        )
        with torch.inference_mode(), autocast:
            seen = _run(network, views[:, 0], KINDS[0], device)
            pieces = _run(network, views[:, 1:].flatten(0, 1), KINDS[1], device)
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


def _network(weights: Path, device: str) -> Backbone:
    """The network ready to run, read once however many workers ask at once."""
    with _READING:
        return _read(weights, device)


@lru_cache(maxsize=2)
def _read(weights: Path, device: str) -> Backbone:
    """The network of a file. Raises IqError for a file that is not one of ours."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    from iqcli.extractors.backbone import Backbone

    network = Backbone()
    wanted = {name: tensor.shape for name, tensor in network.state_dict().items()}
    try:
        tensors, info = load(weights.read_bytes()), read_metadata(weights)
    except (OSError, SafetensorError, *_MALFORMED) as error:
        raise IqError(f"cannot read the backbone {weights}: {error}; install iq again") from error
    if not _is_ours(info) or not _is_valid(tensors, wanted):
        raise IqError(f"{weights} is no backbone of this iq; train it with `iq train backbone`")
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def _is_valid(tensors: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Size]) -> bool:
    import torch

    return {name: tensor.shape for name, tensor in tensors.items()} == wanted and all(
        tensor.dtype in (torch.bfloat16, torch.float32)
        and bool((tensor.abs() < LARGEST).all())
        and (name != "tap_deviation" or bool((tensor > 1 / LARGEST).all()))
        for name, tensor in tensors.items()
    )


def _is_ours(info: object) -> bool:
    return isinstance(info, dict) and info.get("format") == FORMAT


@lru_cache(maxsize=8)
def _digest(weights: Path) -> str:
    try:
        return hashlib.sha256(weights.read_bytes()).hexdigest()
    except OSError as error:
        raise IqError(f"cannot read the backbone {weights}: {error}; install iq again") from error
