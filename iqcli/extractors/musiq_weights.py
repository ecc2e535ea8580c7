"""The weights of MUSIQ as they were published: Google's .npz files, or torch conversions of them.

Both are read by the tensor names of the conversions. Google's names are those of its code
(https://github.com/google-research/google-research/tree/master/musiq); the numbers that flax adds
to unnamed parts (`MlpBlock_3`) are not relied on, only their order is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from iqcli.errors import IqError
from iqcli.text import display_path
from iqcli.weights.store import read_torch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from iqcli.weights.store import WeightStore

    Tensors = dict[str, NDArray[np.generic]]

HEAD = "head."
# Of an archive when unpacked; the published ones have a tenth of it.
MOST_BYTES = 1 << 30
# No published tensor comes near it; below it no sum can overflow.
LARGEST = 1e4
ROOT = "opt/target/"
ENCODER = "transformer_encoder."
# How Google's names become those of the conversions, from the left to the right.
RENAMED = (
    (r"^block1/unit1/", "block1/"),
    (r"^Transformer/(encoderblock_\d+)/", rf"{ENCODER}transformer/\1/"),
    (r"^Transformer/", ENCODER),
    (r"/pos_embedding$", "/position_emb"),
    (r"/scale_embedding$", "/scale_emb"),
    (r"/LayerNorm_0/", "/norm1/"),
    (r"/LayerNorm_\d+/", "/norm2/"),
    (r"/(MultiHeadDotProduct|Self)Attention_\d+/", "/attention/"),
    (r"/MlpBlock_\d+/Dense_0/", "/mlp/fc1/"),
    (r"/MlpBlock_\d+/Dense_\d+/", "/mlp/fc2/"),
    (r"/(kernel|scale)$", "/weight"),
    ("/", "."),
)


def read_tensors(store: WeightStore, name: str, *, head: bool) -> dict[str, NDArray[np.float32]]:
    """The installed tensors of the head, or of all else, float32, by the conversions' names.

    Raises IqError where the weights are not installed or hold something else.
    """
    path = store.path_of(name)
    # Google's is read where it lies, the head alone in no time.
    found = _of_flax(path, head) if path.suffix == ".npz" else store.converted(name, _of_torch)
    kept = {key: value for key, value in found.items() if key.startswith(HEAD) == head}
    if not kept or not all(_is_valid(value) for value in kept.values()):
        raise invalid_file(path)
    return {key: np.ascontiguousarray(value, np.float32) for key, value in kept.items()}


def invalid_file(path: Path) -> IqError:
    """The error for a file that holds no MUSIQ."""
    return IqError(f"{display_path(path)} is no MUSIQ of the published shape; pull it again")


def _is_valid(value: NDArray[np.generic]) -> bool:
    return value.dtype.kind == "f" and bool((np.abs(value) < LARGEST).all())


def _of_torch(path: Path) -> Tensors:
    state: Any = read_torch(path)
    state = state.get("params", state) if isinstance(state, dict) else None
    try:
        return {
            # The head of AVA stands before a softmax, in a sequence.
            str(key).replace("head.0.", HEAD): value.detach().float().contiguous().numpy()
            for key, value in state.items()
        }
    except (TypeError, AttributeError, RuntimeError) as error:  # what is no plain tensor
        raise invalid_file(path) from error


def _of_flax(path: Path, head: bool) -> Tensors:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            if sum(each.file_size for each in file.zip.infolist()) > MOST_BYTES:
                raise invalid_file(path)
            names = [key for key in file.files if key.startswith(ROOT)]
            return {
                _renamed(key): _transpose(key, file[key])
                for key in names
                if key.startswith(f"{ROOT}head/") == head
            }
    except Exception as error:  # archives can fail in every way
        raise invalid_file(path) from error


def _renamed(key: str) -> str:
    name = key.removeprefix(ROOT)
    for pattern, replacement in RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def _transpose(key: str, value: NDArray[np.generic]) -> NDArray[np.generic]:
    """Flax has inputs before outputs, heads apart, and vectors with all axes of their pictures."""
    *_, owner, leaf = key.split("/")
    if leaf == "scale_embedding":
        return value[0]
    if leaf != "kernel":
        return value.reshape(-1) if leaf in ("bias", "scale") else value
    if value.ndim == 4:
        return value.transpose(3, 2, 0, 1)
    inputs = value.shape[0] * value.shape[1] if owner == "out" else value.shape[0]
    return value.reshape(inputs, -1).T


def shape_of(found: Mapping[str, NDArray[np.float32]]) -> tuple[int, int, int]:
    """Width, layers and hidden size of a network with these tensors. Raises KeyError."""
    layers = {key.split(".")[2] for key in found if "encoderblock_" in key}
    hidden = found[f"{ENCODER}transformer.encoderblock_0.mlp.fc1.bias"]
    return len(found["conv_root.weight"]), len(layers), len(hidden)
