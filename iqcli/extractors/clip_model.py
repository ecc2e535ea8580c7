"""CLIP models from installed weights: built, filled and run; pixels and prompts to embeddings.

Nothing is ever downloaded here. A file that does not fit its config is refused. QuickGELU is always
on: OpenAI's weights were trained with it, and with another activation they give other embeddings
without an error.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any

from iqcli.errors import IqError
from iqcli.fs.files import write_atomic
from iqcli.text import display_path
from iqcli.weights.store import read_torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import open_clip
    import torch

    from iqcli.records import Array
    from iqcli.weights.manifest import Weight
    from iqcli.weights.store import WeightStore

    State = dict[str, torch.Tensor]

# Of the texts stored beside weights.
VERSION = 1
# What else wraps or accompanies the tensors of a CLIP in published files.
PREFIX = "clip_model."
NO_TENSOR = ("input_resolution", "context_length", "vocab_size")
PARTS = {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu"}
# Towers that open_clip itself would download from a hub.
FOREIGN = ("timm_model_name", "hf_model_name")
# No tensor of OpenAI's comes near it.
LARGEST = 1e6
COUNTER = "num_batches_tracked"
# How open_clip refuses a config that makes no sense.
_BAD_CONFIG = (
    *(TypeError, ValueError, KeyError, AttributeError),
    *(AssertionError, ArithmeticError, RuntimeError),
)
_READING = Lock()
_WRITING = Lock()


def tower(store: WeightStore, weights: str, device: str) -> open_clip.CLIP:
    """The CLIP of a row of the table, float32, ready to run; read once for all workers.

    Raises IqError where the weights are not installed or are not what their row describes.
    """
    return tower_of(store, weights, weights_identity(store, weights), device)


def tower_of(store: WeightStore, weights: str, known: str, device: str) -> open_clip.CLIP:
    """Like `tower`, for those who keep the `weights_identity`: asking again costs nothing."""
    with _READING:
        return _tower(store, weights, known, device)


@lru_cache(maxsize=4)
def _tower(store: WeightStore, weights: str, known: str, device: str) -> open_clip.CLIP:
    row, path = store.row(weights), store.path_of(weights)
    return load_clip(config_of(row), path, row.what, "pull it again", device)


def weights_identity(store: WeightStore, weights: str) -> str:
    """Of the installed file and of the architecture that its row gives; a part of fingerprints.

    Raises IqError where it is not installed.
    """
    row = store.row(weights)
    shape = json.dumps(row.config, sort_keys=True) if row.config else str(row.arch)
    return f"{store.digest(weights)}|{shape}"


def config_of(row: Weight) -> dict[str, Any]:
    """What `open_clip.CLIP` is built from. Raises IqError for a row without a usable one."""
    import open_clip

    known = row.arch in open_clip.list_models()
    config = dict(row.config or (open_clip.get_model_config(row.arch) if known else {}))
    if set(config) - {"quick_gelu"} != PARTS - {"quick_gelu"}:
        raise IqError(
            f"the table of weights gives {row.name} no config of a CLIP: {row.arch or config}; "
            f"a config has {', '.join(sorted(PARTS))}"
        )
    return config


def load_clip(
    config: Mapping[str, Any], path: Path, what: str, way_out: str, device: str
) -> open_clip.CLIP:
    """The CLIP of a config with the numbers of a file, ready to run.

    Raises IqError for a file that is not `what` it should be, with the way out.
    """
    import torch

    clip, state = build(config), _unwrap(_tensors(path))
    if fault := _mismatch(state, clip.state_dict()):
        raise IqError(f"{display_path(path)} is not {what}: {fault}; {way_out}")
    clip.load_state_dict(state, strict=False, assign=True)  # `_mismatch` was strict
    for module in clip.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.num_batches_tracked = torch.zeros((), dtype=torch.long)
    # Not stored in any file: no token attends to those after it.
    context = clip.context_length
    clip.attn_mask = torch.full((context, context), float("-inf")).triu_(1)
    return clip.eval().requires_grad_(False).to(device)


def build(config: Mapping[str, Any]) -> open_clip.CLIP:
    """The modules of a config without any numbers, on torch's device "meta".

    Raises IqError for a config that is none, or that open_clip would fetch from somewhere.
    """
    import open_clip
    import torch

    parts = {**config, "quick_gelu": True}
    try:
        foreign = [
            key
            for name in ("vision_cfg", "text_cfg")
            for key in FOREIGN
            if parts[name].get(key) is not None
        ]
        if not foreign:
            with torch.device("meta"):
                return open_clip.CLIP(**parts)
    except _BAD_CONFIG as error:
        why = str(error).partition("\n")[0]  # the rest is where in torch's code
        raise IqError(f"open_clip builds no CLIP from this config: {why}; correct it") from error
    raise IqError(f"a tower that has {foreign[0]} is not read by this iq; give a plain CLIP")


def _tensors(path: Path) -> State:
    """Every tensor of a file, on the CPU."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if path.suffix != ".safetensors":
        content = read_torch(path)
        tensors = content if isinstance(content, dict) else {}
        return {str(k): v for k, v in tensors.items() if isinstance(v, torch.Tensor)}
    try:
        return dict(load_file(path))
    except (OSError, SafetensorError, *_BAD_CONFIG) as error:
        raise IqError(f"cannot read {display_path(path)}: {error}; pull it again") from error


def _unwrap(tensors: State) -> State:
    """Those of the CLIP itself, by its own names, in float32."""
    prefix = PREFIX if any(name.startswith(PREFIX) for name in tensors) else ""
    own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    kept = {k: v for k, v in own.items() if k not in NO_TENSOR and not k.endswith(COUNTER)}
    return {k: v.float() if v.is_floating_point() else v for k, v in kept.items()}


def _mismatch(state: State, wanted: State) -> str | None:
    """Why these tensors do not fill that tower, None if they do."""
    shapes = {k: v.shape for k, v in wanted.items() if not k.endswith(COUNTER)}
    for odd in sorted(set(state) ^ set(shapes)):
        return f"it lacks {odd}" if odd in shapes else f"it has {odd}"
    for name, tensor in state.items():
        if tensor.shape != shapes[name]:
            return f"{name} is {tuple(tensor.shape)}, not {tuple(shapes[name])}"
        lowest = 0 if name.endswith("running_var") else -LARGEST
        if not (_is_plain(tensor) and _within(tensor, lowest, LARGEST)):
            return f"{name} holds numbers that no CLIP has"
    return None


def _is_plain(tensor: torch.Tensor) -> bool:
    """Of real numbers that are all there: files may hold sparse tensors, and mere shapes."""
    import torch

    return tensor.is_floating_point() and tensor.layout == torch.strided and not tensor.is_meta


def _within(tensor: torch.Tensor, lowest: float, highest: float) -> bool:
    """Also false for what is no number; makes no copy."""
    low, high = (float(each) for each in tensor.aminmax())
    return lowest <= low and high <= highest


def embed_whole(clip: open_clip.CLIP, pixels: torch.Tensor) -> torch.Tensor:
    """(n, 3, h, w) normalised pixels of any size, sides of 32 and more, to (n, embed_dim).

    For towers that are a ResNet: their attention pooling without its positional embedding, which
    knows one size only (Wang et al., CLIP-IQA, AAAI 2023). The query is the mean of all places.
    """
    import torch
    from torch.nn import functional as F  # noqa: N812

    eye = clip.visual
    x = eye.layer4(eye.layer3(eye.layer2(eye.layer1(eye.stem(pixels)))))
    pool = eye.attnpool
    places = x.flatten(2).permute(2, 0, 1)
    tokens = torch.cat([places.mean(dim=0, keepdim=True), places])
    found, _ = F.multi_head_attention_forward(
        query=tokens[:1],
        key=tokens,
        value=tokens,
        embed_dim_to_check=tokens.shape[-1],
        num_heads=pool.num_heads,
        q_proj_weight=pool.q_proj.weight,
        k_proj_weight=pool.k_proj.weight,
        v_proj_weight=pool.v_proj.weight,
        in_proj_weight=None,
        in_proj_bias=torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias]),
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=pool.c_proj.weight,
        out_proj_bias=pool.c_proj.bias,
        use_separate_proj_weight=True,
        training=False,
        need_weights=False,
    )
    return found[0]


def text_features(store: WeightStore, weights: str, prompts: Sequence[str]) -> Array:
    """(n, embed_dim) float32 unit rows, one a prompt; read-only.

    Encoded once, on the CPU in float32, and stored beside the weights, so that later runs need no
    torch; in a folder that cannot be written, once a run. Raises IqError like `tower`.
    """
    with _WRITING:
        return _texts(store, weights, weights_identity(store, weights), tuple(prompts))


@lru_cache(maxsize=32)
def _texts(store: WeightStore, weights: str, known: str, prompts: tuple[str, ...]) -> Array:
    from safetensors.numpy import save

    parts = json.dumps([VERSION, known, prompts])
    key = hashlib.sha256(parts.encode()).hexdigest()[:16]
    file = store.folder(weights) / f"texts-{key}.safetensors"
    rows = _stored_texts(file, len(prompts))
    if rows is None:
        rows = encode_texts(tower_of(store, weights, known, "cpu"), prompts)
        with suppress(OSError):  # a read-only folder: encoded again at the next start
            write_atomic(file, save({"rows": rows}))
    rows.flags.writeable = False
    return rows


def _stored_texts(file: Path, count: int) -> Array | None:
    """The rows of an earlier run; None where there are none, or they are damaged."""
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        rows = load(file.read_bytes())["rows"]
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    sound = rows.dtype == np.float32 and rows.ndim == 2 and len(rows) == count
    if sound and np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-3):
        return np.array(rows)
    return None


def encode_texts(clip: open_clip.CLIP, prompts: Sequence[str]) -> Array:
    """(n, embed_dim) unit rows of a tower on the CPU."""
    import numpy as np
    import torch

    with torch.inference_mode():
        rows = clip.encode_text(tokenize(clip, prompts), normalize=True)
    return np.ascontiguousarray(rows.float().numpy())


def tokenize(clip: open_clip.CLIP, prompts: Sequence[str]) -> torch.Tensor:
    """(n, context) token numbers of OpenAI's own tokenizer."""
    from open_clip import SimpleTokenizer

    tokens: torch.Tensor = SimpleTokenizer(context_length=clip.context_length)(list(prompts))
    return tokens
