"""The block `qualiclip` of a file that `iq train qualiclip` wrote: the whole scoring view.

The file is safetensors: `clip_model.*`, both towers, and `prompts_features`, the texts; its
metadata has the open_clip config of the towers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from iqcli.errors import IqError
from iqcli.extractors.clip import ClipTowerBlock
from iqcli.fs.files import sha256
from iqcli.text import display_path
from iqcli.weights.store import read_metadata

if TYPE_CHECKING:
    import numpy as np
    import open_clip
    from numpy.typing import NDArray

FORMAT = "iq-qualiclip-1"
TEXTS = "prompts_features"
AGAIN = "train it again with `iq train qualiclip`"
# No tower is that wide.
WIDEST = 1 << 16
_READING = Lock()


@dataclass(frozen=True)
class QualiclipBlock(ClipTowerBlock):
    """The image tower of a file; `weights` is its path. See `ClipTowerBlock`."""

    whole: bool = True
    edition: int = 1  # always float32

    @cached_property
    def installed(self) -> str:
        """The content of the file. Raises IqError for one that cannot be read."""
        path = Path(self.weights)
        try:
            return f"own {sha256(path)}"
        except OSError as error:
            raise IqError(f"cannot read {display_path(path)}: {error}; {AGAIN}") from error

    def tower(self, device: str) -> open_clip.CLIP:
        """The tower. Raises IqError for a file that is not one of ours."""
        with _READING:
            return _tower(Path(self.weights), self.installed, device)


@lru_cache(maxsize=2)
def _tower(path: Path, _content: str, device: str) -> open_clip.CLIP:
    from iqcli.extractors.clip_model import load_clip

    clip = load_clip(tower_config(path), path, "a QualiCLIP of this iq", AGAIN, device)
    if not hasattr(clip.visual, "attnpool"):
        raise IqError(
            f"{display_path(path)} has no ResNet, whose pictures may have any size; {AGAIN}"
        )
    return clip


def tower_config(path: Path) -> dict[str, Any]:
    """The open_clip config of a file; `embed_dim` is how wide its embedding is. Needs no torch.

    Raises IqError for a file that is none.
    """
    try:
        info = read_metadata(path)
    except (OSError, ValueError, RecursionError) as error:
        raise IqError(f"cannot read {display_path(path)}: {error}; {AGAIN}") from error
    info = info if isinstance(info, dict) else {}
    config = info.get("config")
    size = config.get("embed_dim") if isinstance(config, dict) else None
    if info.get("format") != FORMAT or not isinstance(config, dict) or not isinstance(size, int):
        raise IqError(f"{display_path(path)} is no QualiCLIP of this iq; {AGAIN}")
    if not 0 < size < WIDEST:
        raise IqError(f"{display_path(path)} has a tower of {size} numbers; {AGAIN}")
    return config


def texts(path: Path) -> NDArray[np.float32]:
    """The texts of a safetensors file, as they are stored. Raises IqError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return file.get_tensor(TEXTS)
    except (OSError, SafetensorError, TypeError, AttributeError) as error:
        raise IqError(f"cannot read the texts of {display_path(path)}: {error}; {AGAIN}") from error
