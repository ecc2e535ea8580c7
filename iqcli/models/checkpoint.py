"""The safetensors files of trained models: arrays, and the metadata that the training wrote.

`load` reads a file and checks what all formats have in common; each format adds its own fields and
shapes. Files are untrusted input: nothing in them is used before it was checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from iqcli.errors import IqError
from iqcli.records import HoldoutSample
from iqcli.text import display_path
from iqcli.weights.store import read_metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from iqcli.records import Array

    Shapes = Mapping[str, tuple[int, ...]]

# The last three are how NumPy and the JSON reader refuse number kinds and nesting they do not know.
UNREADABLE = (OSError, ValueError, TypeError, AttributeError, RecursionError)
# Optional, (n,) each: scores, uncertainties and opinions; one photo a scene.
HOLDOUT = ("held.scores", "held.sigmas", "held.opinions")
# No training of ours comes near it; below it no sum can overflow.
LARGEST = 1e4
KNOTS = "knots."


def read(path: Path) -> tuple[Any, dict[str, NDArray[np.float32]]]:
    """The metadata, which may be any JSON value, and the arrays. Raises one of `UNREADABLE`."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    return read_metadata(path), tensors


def format_of(path: Path) -> str | None:
    """What kind of model a safetensors file holds by its metadata, None for a file without any."""
    try:
        info = read_metadata(path)
    except UNREADABLE:
        return None
    return str(info.get("format")) if isinstance(info, dict) else None


def load(
    path: Path,
    what: str,
    again: str,
    valid_metadata: Callable[[object], bool],
    valid_tensors: Callable[[Mapping[str, Array], Mapping[str, Any]], bool] = lambda *_: True,
) -> tuple[dict[str, Any], dict[str, Array]]:
    """The metadata and arrays of a file that passes both checks.

    Raises IqError for every other file: that it is no `what` of this iq, and to do it `again`.
    """
    try:
        info, tensors = read(path)
    except UNREADABLE as error:
        raise IqError(f"cannot read the model {display_path(path)}: {error}; {again}") from error
    if not valid_metadata(info) or not valid_tensors(tensors, info):
        raise invalid_file(path, what, again)
    return info, tensors


def invalid_file(path: Path, what: str, again: str) -> IqError:
    """What to say of a file that is no `what`."""
    return IqError(f"{display_path(path)} is no {what} of this iq; {again}")


def valid_arrays(tensors: Mapping[str, Array], shapes: Shapes, largest: float = LARGEST) -> bool:
    """Exactly these shapes, all float32, finite and bounded; quantiles (`knots.*`) rise instead."""
    return (
        {name: tensor.shape for name, tensor in tensors.items()} == shapes
        and all(tensor.dtype == np.float32 for tensor in tensors.values())
        and all(
            np.isfinite(tensor).all() and (np.diff(tensor) > 0).all()
            if name.startswith(KNOTS)
            else (np.abs(tensor) < largest).all()
            for name, tensor in tensors.items()
        )
    )


def without_holdout(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays of the model itself."""
    return {name: tensor for name, tensor in tensors.items() if name not in HOLDOUT}


def holdout_of(tensors: Mapping[str, Array], info: Mapping[str, Any]) -> HoldoutSample | None:
    """The holdout sample that a checked file carries, if any."""
    if HOLDOUT[0] not in tensors:
        return None
    scores, sigmas, opinions = (tensors[name] for name in HOLDOUT)
    return HoldoutSample(scores, sigmas, opinions, info.get("held", ""))


def valid_holdout(tensors: Mapping[str, Array], info: Mapping[str, Any]) -> bool:
    """None of it, or all: of one length, points of 1..10, deviations above 0, a printable name.

    The fingerprints of the blocks that the file records must be a table.
    """
    named, fingerprints = info.get("held", ""), info.get("known_by", {})
    if not (isinstance(named, str) and named.isprintable() and isinstance(fingerprints, dict)):
        return False
    found = [tensors[name] for name in HOLDOUT if name in tensors]
    if not found:
        return True
    if len(found) < len(HOLDOUT) or any(each.dtype != np.float32 for each in found):
        return False
    scores, sigmas, opinions = found
    if not scores.shape == sigmas.shape == opinions.shape or scores.ndim != 1 or not len(scores):
        return False
    on_scale = all(((each >= 1) & (each <= 10)).all() for each in (scores, opinions))
    return on_scale and bool(((sigmas > 0) & (sigmas < LARGEST)).all())
