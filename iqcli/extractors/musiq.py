"""The blocks `musiq-*`: the class token of MUSIQ, one block a data set of opinions.

The scoring view (short side 512) and copies with long sides of 384 and 224 are cut into
patches, as in https://arxiv.org/abs/2108.05997 and its torch conversion. Any size will do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from threading import Lock
from typing import TYPE_CHECKING

from iqcli.extractors.base import ANY, hash_of, versions

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from iqcli.extractors.musiq_net import Musiq
    from iqcli.records import Views
    from iqcli.weights.store import WeightStore

VERSION = 1
SIZE = 384
# Long sides of the copies, in the order of their numbers; the picture itself comes last.
LONG_SIDES = (224, 384)
# The shape of the network that a file may ask for at most.
LARGEST = (256, 64, 8192)
_READING = Lock()


@dataclass(frozen=True)
class MusiqBlock:
    """The extractor with the weights `name`. See `iqcli.extractors.base.DeviceBlock`.

    Always float32: one number is read from a sum over fourteen layers.
    """

    name: str
    size: int = SIZE
    store: WeightStore = field(kw_only=True, repr=False)
    within = ANY
    may_be_nan = False

    @cached_property
    def fingerprint(self) -> str:
        """Of the weights, of what prepares the views, and of this code.

        Raises IqError where the weights are not installed.
        """
        packages = versions("numpy", "opencv-contrib-python", "pillow")
        return hash_of(self.weights_fingerprint, *packages)

    @cached_property
    def weights_fingerprint(self) -> str:
        """Of the weights and of this code. Raises IqError where they are not installed."""
        return hash_of(self.name, str(VERSION), self.store.digest(self.name))

    def prepare(self, views: Views) -> NDArray[np.generic]:
        """The picture itself, (h, w, 3) of uint8: what is cut from it is larger."""
        return views.scoring

    def needs_torch(self, device: str) -> bool:
        return True

    def forward(self, batch: Sequence[NDArray[np.generic]], device: str) -> NDArray[np.float32]:
        """n pictures of any sizes to (n, SIZE): the class token after the last norm."""
        import numpy as np
        import torch
        from torch.nn.utils.rnn import pad_sequence

        with _READING:
            network = _network(self.store, self.name, self.store.digest(self.name), device)
        with torch.inference_mode():
            several = [_tokens(network, torch.tensor(each, device=device)) for each in batch]
            lengths = torch.tensor([len(each) for each in several], device=device)
            padded = pad_sequence(several, batch_first=True)
            real = torch.arange(padded.shape[1], device=device) < lengths[:, None]
            return np.asarray(network(padded, real).cpu(), np.float32)


def _tokens(network: Musiq, picture: torch.Tensor) -> torch.Tensor:
    """(h, w, 3) of uint8 to (patches of all scales, SIZE)."""
    import torch
    from torch.nn import functional as F  # noqa: N812

    whole = (picture.permute(2, 0, 1)[None].float() / 255 - 0.5) * 2
    height, width = whole.shape[-2:]
    found = []
    for scale, long in enumerate((*LONG_SIDES, None)):
        view = whole
        if long is not None:
            ratio = long / max(height, width)
            # Neither smoothed before nor clipped after, as in the conversion.
            size = (max(round(height * ratio), 1), max(round(width * ratio), 1))
            view = F.interpolate(whole, size, mode="bicubic", align_corners=False)
        patches, rows, columns = _patches(view)
        at = torch.from_numpy(places(rows, columns)).to(picture.device)
        found.append(network.tokens(patches, at, torch.full_like(at, scale)))
    return torch.cat(found)


def _patches(view: torch.Tensor) -> tuple[torch.Tensor, int, int]:
    """(1, 3, h, w) to (rows * columns, 3, PATCH, PATCH), row by row, and how many of each."""
    from iqcli.extractors.musiq_net import PATCH, same

    grid = same(view, PATCH, PATCH)[0].unflatten(2, (-1, PATCH)).unflatten(1, (-1, PATCH))
    rows, columns = grid.shape[1], grid.shape[3]
    return grid.permute(1, 3, 0, 2, 4).flatten(0, 1), rows, columns


def places(rows: int, columns: int) -> NDArray[np.int64]:
    """(rows * columns,) places in the grid of 10 x 10 that patches of any picture share.

    The nearest below, as torch and TensorFlow interpolate: in float32 it is the same.
    """
    import numpy as np

    down, across = (np.arange(count) * 10 // count for count in (rows, columns))
    return (down[:, None] * 10 + across).reshape(-1)


@lru_cache(maxsize=2)
def _network(store: WeightStore, name: str, sha256: str, device: str) -> Musiq:
    """The network of the installed weights `name`, of that content. Raises IqError."""
    import torch

    from iqcli.extractors.musiq_net import Musiq
    from iqcli.extractors.musiq_weights import invalid_file, read_tensors, shape_of

    found = read_tensors(store, name, head=False)
    try:
        shape = shape_of(found)
        if any(given > most for given, most in zip(shape, LARGEST, strict=True)):
            raise invalid_file(store.path_of(name))
        network = Musiq(*shape)
        network.load_state_dict({key: torch.from_numpy(value) for key, value in found.items()})
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        raise invalid_file(store.path_of(name)) from error
    return network.eval().to(device)
