"""The safetensors file of a head as it lies on the disk: arrays, and the training's own account.

Nothing in it is believed here; who loads a file checks it.

What a weight file tells of photos that nothing was learnt from: the model's experience.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from iqcli.records import HoldoutSample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from iqcli.records import Array


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


# Optional, (n,) each: scores, uncertainties and opinions; one photo a scene.
HELD = ("held.scores", "held.sigmas", "held.opinions")


def experience_of(tensors: Mapping[str, Array], info: Mapping[str, Any]) -> HoldoutSample | None:
    """The held-out experience that a checked file carries, if any."""
    if HELD[0] not in tensors:
        return None
    scores, sigmas, opinions = (tensors[name] for name in HELD)
    return HoldoutSample(scores, sigmas, opinions, info.get("held", ""))


def is_sound(tensors: Mapping[str, Array], info: Mapping[str, Any]) -> bool:
    """Nothing of it, or all of it: of one length, on the scale, with some doubt, well named.

    So must be what the file says of the blocks it knows (`known_by`).
    """
    held = [tensors[name] for name in HELD if name in tensors]
    named, known_by = info.get("held", ""), info.get("known_by", {})
    if not (isinstance(named, str) and named.isprintable() and isinstance(known_by, dict)):
        return False
    return not held or (len(held) == len(HELD) and _is_told(held))


def _is_told(held: Sequence[Array]) -> bool:
    scores, sigmas, opinions = held
    if not scores.shape == sigmas.shape == opinions.shape or scores.ndim != 1 or not len(scores):
        return False
    on_scale = all(((each >= 1) & (each <= 10)).all() for each in (scores, opinions))
    return on_scale and bool((sigmas > 0).all())
