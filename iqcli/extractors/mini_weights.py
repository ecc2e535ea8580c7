"""The shape of the network behind the block `mini`, and its weights as arrays, without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from iqcli.errors import IqError
from iqcli.extractors.schema import EMBEDDING, FORMAT, KINDS
from iqcli.weights.store import read_metadata

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Tensors = dict[str, NDArray[np.float32]]

STEM = 32
# (kernel, stride, expansion, channels, repeats) of each stage
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
LAST = 1280
# The last stage that sees the mosaic: what it is of, the later ones cannot tell.
MOSAIC_STAGE = 4
# They take uint8 to what the network was trained on: whole numbers, exact in bfloat16.
CENTRE, SCALE = 127.0, 128.0
# Statistics of the maps: of the whole, and of the mosaic.
TAPS = (
    2 * sum(stage[3] for stage in STAGES) + LAST,
    2 * sum(stage[3] for stage in STAGES[: MOSAIC_STAGE + 1]),
)
# The variance that is added before a root is taken.
FAINTEST = 1e-6
# No training of ours comes near it; below it no sum can overflow.
LARGEST = 1e4
# How the readers refuse number kinds, names and nesting they do not know.
_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RuntimeError)


def shapes() -> dict[str, tuple[int, ...]]:
    """The shape of each tensor by its name in the file."""
    found: dict[str, tuple[int, ...]] = {}

    def layer(name: str, *shape: int) -> None:
        found[f"{name}.weight"] = shape
        found[f"{name}.bias"] = shape[:1]

    layer("stem", STEM, 3, 3, 3)
    channels = STEM
    for stage, (kernel, _, expansion, outputs, repeats) in enumerate(STAGES):
        for k in range(repeats):
            name, wide = f"stages.{stage}.{k}", channels * expansion
            if expansion > 1:
                layer(f"{name}.widen", wide, channels, 1, 1)
            layer(f"{name}.filter", wide, 1, kernel, kernel)
            layer(f"{name}.narrow", outputs, wide, 1, 1)
            channels = outputs
    layer("last", LAST, channels, 1, 1)
    for k, (kind, taps) in enumerate(zip(KINDS, TAPS, strict=True)):
        found[f"{kind}_mean"] = found[f"{kind}_deviation"] = (taps,)
        layer(f"embed.{k}", EMBEDDING, taps)
        layer(f"score.{k}", 1, EMBEDDING)
    return found


def check(path: Path) -> None:
    """Raise IqError where a file is missing or says of itself that it is no backbone of ours."""
    try:
        info = read_metadata(path)
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, error) from error
    if not (isinstance(info, dict) and info.get("format") == FORMAT):
        raise _foreign(path)


def read(path: Path) -> Tensors:
    """The tensors of a backbone file in float32. Raises IqError for a file that is not ours."""
    from safetensors import SafetensorError, deserialize

    check(path)
    try:
        tensors = {name: _values(each) for name, each in deserialize(path.read_bytes())}
    except (OSError, SafetensorError, RecursionError, *_MALFORMED) as error:
        raise _unreadable(path, error) from error
    if not _is_valid(tensors):
        raise _foreign(path)
    return tensors


def _unreadable(path: Path, error: Exception) -> IqError:
    return IqError(f"cannot read the backbone {path}: {error}; install iq again")


def _foreign(path: Path) -> IqError:
    return IqError(f"{path} is no backbone of this iq; install iq again")


def _values(stored: dict[str, Any]) -> NDArray[np.float32]:
    """A tensor of bfloat16 or float32. Raises ValueError for one of another kind."""
    shape = stored["shape"]
    if stored["dtype"] == "F32":
        return np.frombuffer(stored["data"], "<f4").reshape(shape).astype(np.float32)
    if stored["dtype"] == "BF16":
        upper = np.frombuffer(stored["data"], "<u2").astype(np.uint32) << 16
        return upper.view(np.float32).reshape(shape)
    raise ValueError(f"numbers of the kind {stored['dtype']}")


def _is_valid(tensors: Tensors) -> bool:
    return {name: each.shape for name, each in tensors.items()} == shapes() and all(
        bool((np.abs(each) < LARGEST).all())
        and (not name.endswith("_deviation") or bool((each > 1 / LARGEST).all()))
        for name, each in tensors.items()
    )
