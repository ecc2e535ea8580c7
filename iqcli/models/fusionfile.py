"""The files that published fusion networks lie in. Nothing in them is believed or run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from iqcli.errors import IqError
from iqcli.fs.files import shown
from iqcli.models import checkpoint
from iqcli.models.fusionnet import OUTPUT_RANGE, Network, shapes
from iqcli.weights import store

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Tensors = dict[str, NDArray[np.generic]]

# What their wrapper for the hub puts before every key.
PREFIX = "fusion_model."
# Bounds on what a stranger's file may ask for, and on its numbers: no sum overflows below them.
WIDEST, LARGEST = 4096, 1e4
OTHERS = {
    "EnsembleFusionModel": ("ensemble_weights", "deep_fusion.", "weighted_fusion."),
    "WeightedFusionModel": ("brisque_weight", "laion_weight", "clip_reducer.", "final_layer."),
}


def network_of(place: Path) -> Network:
    """The network in a folder or file of the published kinds.

    A folder of `save_pretrained`, a safetensors file (with its `config.json` beside it, if there is
    one), or what torch stored: weights, or `{model_state_dict, model_config}`. Raises IqError for
    anything else; nothing in a file is run.
    """
    if place.is_dir():
        found = [place / name for name in ("model.safetensors", "pytorch_model.bin")]
        files = [file for file in found if file.is_file()]
        if not files:
            raise IqError(f"{shown(place)} holds no {found[0].name}; give a folder of a network")
        return network_of(files[0])
    if not place.exists():
        raise IqError(f"there is no {shown(place)}; give a folder or file of a fusion network")
    return unpacked(packed(place), place)


def packed(file: Path) -> Tensors:
    """The tensors of a file by name, `output_range` (2,) among them. Raises IqError for others."""
    state, config = _of_safetensors(file) if file.suffix == ".safetensors" else _of_torch(file)
    state = {name.removeprefix(PREFIX): values for name, values in state.items()}
    for other, names in OTHERS.items():
        if any(name.startswith(names) for name in state):
            raise IqError(f"{shown(file)} is an {other}; iq reads the deep fusion network alone")
    found: Tensors = {name: np.asarray(each, np.float32) for name, each in state.items()}
    told = config.get("output_range", OUTPUT_RANGE)
    try:
        found["output_range"] = np.array(told, np.float32)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # the last is torch's
        found["output_range"] = np.full(2, np.nan, np.float32)
    _check_config(config, unpacked(found, file), file)
    return found


def _of_safetensors(file: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    try:
        _, tensors = checkpoint.read(file)
        beside = file.with_name("config.json")
        config = json.loads(beside.read_bytes()) if beside.is_file() else {}
    except checkpoint.UNREADABLE as error:
        raise IqError(
            f"cannot read the network {shown(file)}: {error}; give another file"
        ) from error
    return tensors, config if isinstance(config, dict) else {}


def _of_torch(file: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    match store.read_torch(file):
        case {"model_state_dict": dict(state), "model_config": dict(config)}:
            pass
        case dict(state):
            config = {}
        case _:
            state, config = {}, {}
    if not all(isinstance(name, str) and hasattr(each, "numpy") for name, each in state.items()):
        raise _foreign(file, "it holds more than named tensors")
    try:
        # Half precision is read too; NumPy has no bfloat16 of its own.
        return {name: each.detach().float().numpy() for name, each in state.items()}, config
    except (TypeError, RuntimeError) as error:  # sparse tensors, and mere shapes
        raise _foreign(file, "it holds tensors that are no plain numbers") from error


def unpacked(tensors: Mapping[str, Any], file: Path) -> Network:
    """The network of `packed` tensors. Raises IqError where they are not those of one."""
    own = dict(tensors)
    low, high = _range(own.pop("output_range", None), file)
    first, embedded = own.get("fusion_net.0.bias"), own.get("clip_net.0.weight")
    if first is None or embedded is None or (first.ndim, embedded.ndim) != (1, 2):
        raise _foreign(file, "it has no fusion_net and clip_net")
    hidden, embedding = len(first), embedded.shape[1]
    if not (4 <= hidden <= WIDEST and hidden % 4 == 0 and 1 <= embedding <= WIDEST):
        raise _foreign(file, f"it is {hidden} wide and reads {embedding} numbers")
    wanted = shapes(hidden, embedding)
    for odd in sorted(set(own) ^ set(wanted)):
        raise _foreign(file, f"it lacks {odd}" if odd in wanted else f"it has {odd}")
    for name, values in own.items():
        if values.shape != wanted[name]:
            raise _foreign(file, f"{name} is {values.shape}, not {wanted[name]}")
        if not (np.abs(values) < LARGEST).all():
            raise _foreign(file, f"{name} holds numbers that no training gives")
    return Network(own, (low, high))


def _range(told: Any, file: Path) -> tuple[float, float]:
    values = np.asarray(told, np.float32)
    sound = values.shape == (2,) and bool((np.abs(values) < LARGEST).all())
    if not sound or not values[0] < values[1]:
        raise _foreign(file, "its output_range is not two numbers, the lower first")
    return float(values[0]), float(values[1])


def _check_config(config: Mapping[str, Any], network: Network, file: Path) -> None:
    found = {"clip_embed_dim": network.embedding, "hidden_dim": network.hidden}
    for name, value in found.items():
        told = config.get(name, value)
        if not isinstance(told, int | float):
            raise _foreign(file, f"its config says no number as {name}")
        if told != value:
            raise _foreign(file, f"its config says {name} {told}, its tensors {value}")


def _foreign(file: Path, why: str) -> IqError:
    return IqError(f"{shown(file)} is no published fusion network: {why}; give another file")
