"""The model `fusion`: BRISQUE, LAION V1 and CLIP joined by the published network of its authors.

    b = clamp(BRISQUE, 0, 100) / 100      (n, 1), 0 is best      a = (clamp(LAION, 1, 10) - 1) / 9
    c = the CLIP vector as it is          (n, d)
    h = [branch(b), branch(a), branch(c)], branch(x) = relu(relu(x W0 + w0) W3 + w3)
    z = relu(relu(h W0 + w0) W3 + w3) W6 + w6
    score = low + (high - low) sigmoid(z)

The CLIP vector keeps its length (about 10): so were the vectors that the network was trained and
measured on. Its own code divided them by their length when it scored, which is another input. The
other faults of that code are not kept either: each photo is scored with its own vector, CLIP has
its QuickGELU, BRISQUE is read at 512 pixels, and a photo without features has no score. None of
this repairs the weights, which were trained with the vectors of other photos: see the card.

Source: github.com/mattkyuan/image-quality-fusion (MIT), whose keys the tensors have. Files of
networks are untrusted input; nothing in them is run. Inference in NumPy.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iqcli.errors import IqError
from iqcli.models import brisque as brisque_live
from iqcli.models import checkpoint, laion
from iqcli.models.base import Method, dense, relu
from iqcli.models.calibration import calibration_of, to_points
from iqcli.models.registry import ENTRIES
from iqcli.text import display_path
from iqcli.weights.store import read_torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from iqcli.models.base import Blocks, Source
    from iqcli.models.calibration import Calibration
    from iqcli.records import Array
    from iqcli.weights.store import WeightStore

    Tensors = dict[str, NDArray[np.generic]]

WEIGHTS = "fusion"
BRANCHES = ("brisque_net", "laion_net", "clip_net")
BRISQUE, CLIP, CLIP_SIZE = brisque_live.BLOCK, "clip:ViT-B-32", 512
HIDDEN, EMBEDDING, OUTPUT_RANGE = 256, 512, (1.0, 10.0)
# What their wrapper for the hub puts before every key.
PREFIX = "fusion_model."
# Bounds on what an untrusted file may ask for, and on its numbers: no sum overflows below them.
WIDEST, LARGEST = 4096, 1e4
OTHERS = {
    "EnsembleFusionModel": ("ensemble_weights", "deep_fusion.", "weighted_fusion."),
    "WeightedFusionModel": ("brisque_weight", "laion_weight", "clip_reducer.", "final_layer."),
}


@dataclass(frozen=True)
class Network:
    """Weights by the keys of the published file, `NET.LAYER.weight`; read-only once loaded."""

    tensors: Mapping[str, Array]
    output_range: tuple[float, float] = OUTPUT_RANGE

    @property
    def hidden(self) -> int:
        """Width of the widest layers."""
        return len(self.tensors["fusion_net.0.bias"])

    @property
    def embedding(self) -> int:
        """Length of the CLIP vector that it reads."""
        return int(self.tensors["clip_net.0.weight"].shape[1])

    @property
    def fingerprint(self) -> str:
        """Another for every other network."""
        parts = [repr(self.output_range).encode()]
        parts += [self.tensors[name].tobytes() for name in sorted(self.tensors)]
        return hashlib.sha256(b"".join(parts)).hexdigest()[:12]

    def share(self, brisque: Array, laion: Array, clip: Array) -> Array:
        """(n,) b and (n,) a in 0..1 and (n, d) vectors to (n,) shares 0..1 of `output_range`."""
        inputs = (brisque[:, None], laion[:, None], clip)
        joined = np.concatenate(
            [self._through(net, (0, 3), x) for net, x in zip(BRANCHES, inputs, strict=True)], axis=1
        )
        hidden = self._through("fusion_net", (0, 3), joined)
        z = np.clip(dense(self.tensors, "fusion_net.6", hidden)[:, 0], -30, 30)
        found: Array = (1 / (1 + np.exp(-z))).astype(np.float32)
        return found

    def _through(self, net: str, layers: tuple[int, ...], x: Array) -> Array:
        for layer in layers:
            x = relu(dense(self.tensors, f"{net}.{layer}", x))
        return x


def layer_shapes(hidden: int, embedding: int) -> dict[str, dict[int, tuple[int, int]]]:
    """By net and place in it the (outputs, inputs) of its linear layers."""
    quarter, half = hidden // 4, hidden // 2
    return {
        "brisque_net": {0: (64, 1), 3: (quarter, 64)},
        "laion_net": {0: (64, 1), 3: (quarter, 64)},
        "clip_net": {0: (hidden, embedding), 3: (half, hidden)},
        "fusion_net": {0: (hidden, 2 * quarter + half), 3: (half, hidden), 6: (1, half)},
    }


def tensor_shapes(hidden: int, embedding: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a network of this width."""
    found: dict[str, tuple[int, ...]] = {}
    for net, layers in layer_shapes(hidden, embedding).items():
        for layer, (rows, columns) in layers.items():
            found[f"{net}.{layer}.weight"] = (rows, columns)
            found[f"{net}.{layer}.bias"] = (rows,)
    return found


@dataclass(frozen=True)
class FusionInputs:
    """The network with what it reads of a photo; `calibration` is that of `brisque-live`."""

    brisque: brisque_live.Brisque
    laion: laion.Laion
    network: Network
    calibration: Calibration | None = None

    def technical(self, blocks: Blocks) -> Array:
        """(n,) b, 0 (best) .. 1; NaN where BRISQUE is not defined."""
        return self.brisque.score(blocks[BRISQUE]) / np.float32(100)

    def aesthetic(self, blocks: Blocks) -> Array:
        """(n,) a, 0 .. 1 (best)."""
        return self.laion.quality(blocks)

    def quality(self, blocks: Blocks) -> Array:
        """(n,) shares of the output range, 0..1; NaN where BRISQUE is not defined."""
        return self.network.share(self.technical(blocks), self.aesthetic(blocks), blocks[CLIP])

    def technical_points(self, blocks: Blocks) -> list[float | None]:
        """n points of BRISQUE alone."""
        points = to_points(self.brisque.quality(blocks), self.calibration)
        return [float(each) for each in points]


def predictor(source: Source) -> Method:
    """The model `fusion`, or that of the folder which is the entry's own.

    Raises IqError where weights are missing or damaged, or read another CLIP.
    """
    entry, weights = source.entry, source.weights
    if entry.weights is None:
        name, network = entry.name, pulled(weights)
    else:
        network = network_of(entry.weights)
        weights.require(each for each in ENTRIES["fusion"].needs if each != WEIGHTS)
        name = f"{entry.name}/{network.fingerprint}"
    if network.embedding != CLIP_SIZE:
        raise IqError(
            f"{name} reads CLIP vectors of {network.embedding} numbers, and {CLIP} has "
            f"{CLIP_SIZE}; give a network for {CLIP}"
        )
    inputs = inputs_of(network, weights)
    return Method(
        quality=inputs.quality,
        reads=(BRISQUE, CLIP),
        name=name,
        technical=inputs.technical_points,
    )


def pulled(weights: WeightStore) -> Network:
    """The published network. Raises IqError that says what to pull where it is not here."""
    return unpacked(weights.converted(WEIGHTS, packed), weights.path_of(WEIGHTS))


def inputs_of(network: Network, weights: WeightStore) -> FusionInputs:
    """The network with the installed BRISQUE and LAION V1 before it."""
    calibration = calibration_of("brisque-live", weights.data_dir)
    return FusionInputs(
        brisque_live.load(weights), laion.load("laion-v1", weights), network, calibration
    )


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
            raise IqError(
                f"{display_path(place)} holds no {found[0].name}; give a folder of a network"
            )
        return network_of(files[0])
    if not place.exists():
        raise IqError(
            f"there is no {display_path(place)}; give a folder or file of a fusion network"
        )
    return unpacked(packed(place), place)


def packed(file: Path) -> Tensors:
    """The tensors of a file by name, `output_range` (2,) among them. Raises IqError for others."""
    state, config = _of_safetensors(file) if file.suffix == ".safetensors" else _of_torch(file)
    state = {name.removeprefix(PREFIX): values for name, values in state.items()}
    for other, names in OTHERS.items():
        if any(name.startswith(names) for name in state):
            raise IqError(
                f"{display_path(file)} is an {other}; iq reads the deep fusion network alone"
            )
    found: Tensors = {name: np.asarray(each, np.float32) for name, each in state.items()}
    given = config.get("output_range", OUTPUT_RANGE)
    try:
        found["output_range"] = np.array(given, np.float32)
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
            f"cannot read the network {display_path(file)}: {error}; give another file"
        ) from error
    return tensors, config if isinstance(config, dict) else {}


def _of_torch(file: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    match read_torch(file):
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
    wanted = tensor_shapes(hidden, embedding)
    for odd in sorted(set(own) ^ set(wanted)):
        raise _foreign(file, f"it lacks {odd}" if odd in wanted else f"it has {odd}")
    for name, values in own.items():
        if values.shape != wanted[name]:
            raise _foreign(file, f"{name} is {values.shape}, not {wanted[name]}")
        if not (np.abs(values) < LARGEST).all():
            raise _foreign(file, f"{name} holds numbers that no training gives")
    return Network(own, (low, high))


def _range(given: Any, file: Path) -> tuple[float, float]:
    values = np.asarray(given, np.float32)
    sound = values.shape == (2,) and bool((np.abs(values) < LARGEST).all())
    if not sound or not values[0] < values[1]:
        raise _foreign(file, "its output_range is not two numbers, the lower first")
    return float(values[0]), float(values[1])


def _check_config(config: Mapping[str, Any], network: Network, file: Path) -> None:
    found = {"clip_embed_dim": network.embedding, "hidden_dim": network.hidden}
    for name, value in found.items():
        given = config.get(name, value)
        if not isinstance(given, int | float):
            raise _foreign(file, f"its config says no number as {name}")
        if given != value:
            raise _foreign(file, f"its config says {name} {given}, its tensors {value}")


def _foreign(file: Path, why: str) -> IqError:
    return IqError(f"{display_path(file)} is no published fusion network: {why}; give another file")
