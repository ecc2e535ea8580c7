"""The safetensors file of a head as it lies on the disk: arrays, and the training's own account.

Nothing in it is believed here; who loads a file checks it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

# The last three are how NumPy and the JSON reader refuse number kinds and nesting they do not know.
UNREADABLE = (OSError, SafetensorError, ValueError, TypeError, AttributeError, RecursionError)


def read(path: Path) -> tuple[Any, dict[str, NDArray[np.float32]]]:
    """The account, which may be any JSON value, and the arrays. Raises one of `UNREADABLE`."""
    with safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return account(path), tensors


def account(path: Path) -> Any:
    """The account alone, {} where there is none. Raises one of `UNREADABLE`."""
    with safe_open(path, framework="numpy") as file:
        return json.loads((file.metadata() or {}).get("iq", "{}"))
