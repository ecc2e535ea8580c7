"""The block `qualiclip` of a file of one's own: the whole head view, seen by the tower it holds.

The file is safetensors: `clip_model.*`, both towers, and `prompts_features`, the texts; and the
training's own account with the open_clip config of the towers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from iqcli.errors import IqError
from iqcli.extractors.clip import TowerBlock
from iqcli.fs.files import sha256
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Mapping

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
class Account:
    """What a file says of itself: the open_clip config, and how wide its embedding is."""

    config: Mapping[str, Any]
    size: int


@dataclass(frozen=True)
class OwnBlock(TowerBlock):
    """The image tower of a file; `weights` is its path. See `TowerBlock`."""

    whole: bool = True
    short: bool = False

    @cached_property
    def installed(self) -> str:
        """Known by the content of the file. Raises IqError for one that cannot be read."""
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
    from iqcli.extractors.clip_model import filled

    clip = filled(account(path).config, path, "a QualiCLIP of this iq", AGAIN, device)
    if not hasattr(clip.visual, "attnpool"):
        raise IqError(
            f"{display_path(path)} has no ResNet, whose pictures may have any size; {AGAIN}"
        )
    return clip


def account(path: Path) -> Account:
    """What a file says of itself; needs no torch. Raises IqError for a file that is none."""
    told = _metadata(path)
    config = told.get("config")
    size = config.get("embed_dim") if isinstance(config, dict) else None
    if told.get("format") != FORMAT or not isinstance(config, dict) or not isinstance(size, int):
        raise IqError(f"{display_path(path)} is no QualiCLIP of this iq; {AGAIN}")
    if not 0 < size < WIDEST:
        raise IqError(f"{display_path(path)} has a tower of {size} numbers; {AGAIN}")
    return Account(config, size)


def texts(path: Path) -> NDArray[np.float32]:
    """The texts of a safetensors file, as they are stored. Raises IqError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return file.get_tensor(TEXTS)
    except (OSError, SafetensorError, TypeError, AttributeError) as error:
        raise IqError(f"cannot read the texts of {display_path(path)}: {error}; {AGAIN}") from error


def _metadata(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            told = json.loads((file.metadata() or {}).get("iq", "{}"))
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise IqError(f"cannot read {display_path(path)}: {error}; {AGAIN}") from error
    return told if isinstance(told, dict) else {}
